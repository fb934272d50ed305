"""Loading what somebody published, to see that it loads: every key lands, every value is finite."""

from pathlib import Path

from nla_release.adapter.stack import stack
from nla_release.contract.sidecar import Role, read_sidecar
from nla_release.engine.adapters import attach, load_head
from nla_release.engine.base import load_base
from nla_release.engine.pair import Pair


def load(folders: dict[Role, Path], base: Path | None) -> str:
    """Load a pair, or one half of it, on its base with PEFT.

    Args:
        folders: the adapters.
        base: a folder to take the base from; the sidecar's id and revision otherwise.

    Returns:
        What was loaded on what.

    Raises:
        InputError: a file is damaged.
        PairError: an adapter does not fit the base, or the halves do not fit each other.
        EnvironmentProblem: the base cannot be downloaded or loaded here.
    """
    if len(folders) == 2:
        pair = Pair.from_pretrained(folders["av"], folders["ar"], base)
        return f"AV and AR on {pair.av.nla_release.base.id}"
    ((role, folder),) = folders.items()
    sidecar = read_sidecar(folder, role)
    declared = sidecar.nla_release.base
    loaded = load_base(
        str(base or declared.id),
        None if base else declared.revision,
        quantization=None,
        dtype=declared.dtype,
        device=None,
    )
    attach(loaded, {role: stack(folder, sidecar)})
    if role == "ar":
        load_head(folder, sidecar)
    return f"{role.upper()} on {declared.id}"
