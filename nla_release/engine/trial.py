"""Loading what somebody published, to see that it loads: every key lands, every value is finite."""

from pathlib import Path

from nla_release.contract.sidecar import Role
from nla_release.engine.pair import Pair
from nla_release.engine.reconstructor import Reconstructor
from nla_release.engine.verbalizer import Verbalizer


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
        pair = Pair.from_pretrained(folders["av"], folders["ar"], base=base)
        return f"AV and AR on {pair.av.nla_release.base.id}"
    ((role, folder),) = folders.items()
    half = (Verbalizer if role == "av" else Reconstructor).from_pretrained(folder, base=base)
    return f"{role.upper()} on {half.sidecar.nla_release.base.id}"
