"""Stacked adapters: one that was trained on top of others, all of which are active together.

`nla_release.adapters` of a sidecar lists them in the order of application. The last one is the
folder's own adapter, `.`. Those below it are in `adapters/1`, `adapters/2` and so on, each with its
adapter_config.json, and the sidecar records the sha256 of their weights. An adapter that was not
trained on top of another is a list of one.
"""

from collections.abc import Iterator
from pathlib import Path

from nla_release.contract.sidecar import AdapterRecord, Sidecar
from nla_release.contract.training_chain import STACKED_ON
from nla_release.errors import PairError
from nla_release.io.files import sha256_file
from nla_release.io.layout import ADAPTER_CONFIG_FILE, ADAPTER_FILE, STACK_FOLDER

FILE_NAMES = (ADAPTER_FILE, ADAPTER_CONFIG_FILE)

# No known stack is as high; reading an untrusted one must end.
MAX_HEIGHT = 9


def below(sidecar: Sidecar) -> list[AdapterRecord]:
    """What the sidecar records of the adapters below the folder's own, in order."""
    return sidecar.nla_release.adapters[:-1]


def place(number: int) -> str:
    """The folder of the adapter that is applied as number `number`, from 1."""
    return f"{STACK_FOLDER}/{number}"


def disorder(sidecar: Sidecar) -> str | None:
    """What is wrong with the recorded order, as a sentence; None when it is valid."""
    recorded = [adapter.path for adapter in sidecar.nla_release.adapters]
    if len(recorded) > MAX_HEIGHT:
        return f"{len(recorded)} adapters are recorded, at most {MAX_HEIGHT} are allowed"
    expected = [*(place(number) for number in range(1, len(recorded))), "."]
    if recorded != expected:
        return f"adapters are recorded at {', '.join(recorded)}, expected {', '.join(expected)}"
    lower = below(sidecar)
    if bare := [adapter.path for adapter in lower if adapter.sha256 is None]:
        return f"no sha256 is recorded of {', '.join(bare)}"
    stacked = sidecar.nla_release.training.get(STACKED_ON)
    trained_on = stacked.get("adapter_sha256") if isinstance(stacked, dict) else None
    if trained_on is not None and (not lower or lower[-1].sha256 != trained_on):
        return f"training.stacked_on is {str(trained_on)[:12]}, which is not the adapter below"
    return None


def stack(folder: Path, sidecar: Sidecar) -> list[Path]:
    """The folders of all adapters of a stack, in the order of application; the last is `folder`.

    Raises:
        PairError: the order is wrong, or an adapter below is missing or not the recorded one.
    """
    if wrong := disorder(sidecar):
        raise PairError(f"{folder}: {wrong}")
    for adapter, path in zip(below(sidecar), paths(folder, sidecar), strict=True):
        weights = path / ADAPTER_FILE
        for name in FILE_NAMES:
            if not (path / name).is_file():
                raise PairError(
                    f"{path / name} is missing, and {folder} was trained on top of it",
                    hint="download the whole release: without the adapters below, this one behaves"
                    " differently",
                )
        if (found := sha256_file(weights)) != adapter.sha256:
            raise PairError(
                f"{weights} has sha256 {found[:12]}, {folder} was trained on top of"
                f" {str(adapter.sha256)[:12]}",
                hint="restore the adapter that this one was trained on top of",
            )
    return [*paths(folder, sidecar), folder]


def paths(folder: Path, sidecar: Sidecar) -> list[Path]:
    """The folders of the adapters below, in order."""
    return [folder / adapter.path for adapter in below(sidecar)]


def files(sidecar: Sidecar) -> Iterator[str]:
    """The files of the adapters below, relative to the folder."""
    for adapter in below(sidecar):
        for name in FILE_NAMES:
            yield f"{adapter.path}/{name}"
