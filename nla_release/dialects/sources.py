"""Where a pair comes from: two folders, one with `av/` and `ar/` in it, or Hub repositories."""

from dataclasses import dataclass
from pathlib import Path

from nla_release.adapter.training_log import FILE_NAME as LOG_FILE_NAME
from nla_release.adapter.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME
from nla_release.contract.sidecar import HEAD_FILE_NAME, Role
from nla_release.dialects.folder import (
    CARD_FILE_NAME,
    DATASET_SUFFIX,
    INJECT_CONFIG,
    PICKLED_ADAPTER,
    SIDECAR_NAMES,
)
from nla_release.errors import ConfigError
from nla_release.hub_client.place import download, read_place
from nla_release.release.folder import ROLES
from nla_release.release.licences import LICENCE_FILE_NAME

# What an adapter's folder may hold that is read here; pickles are converted unexecuted.
_FILES = (
    *SIDECAR_NAMES,
    f"*{DATASET_SUFFIX}",
    INJECT_CONFIG,
    CONFIG_FILE_NAME,
    ADAPTER_FILE_NAME,
    PICKLED_ADAPTER,
    LOG_FILE_NAME,
    HEAD_FILE_NAME,
    CARD_FILE_NAME,
    f"{LICENCE_FILE_NAME}*",
    "*head*.safetensors",
    "*head*.pt",
    "*head*.pth",
    "*head*.bin",
    "*head*.pkl",
)
_FOLDERS = ("", "adapter/", *(f"{role}/{inner}" for role in ROLES for inner in ("", "adapter/")))


@dataclass(frozen=True)
class Source:
    """An adapter's folder; `origin` is its place on the Hub, `namespace/name@COMMIT:FOLDER`."""

    folder: Path
    origin: str | None = None

    def inside(self, name: str) -> "Source":
        """A folder in this one."""
        if self.origin is None:
            return Source(self.folder / name)
        separator = "/" if ":" in self.origin else ":"
        return Source(self.folder / name, f"{self.origin}{separator}{name}")


def find_sources(places: tuple[str, ...], downloads: Path) -> dict[Role, Source]:
    """The folders of AV and AR.

    Args:
        places: two folders or Hub ids, or one that holds `av/` and `ar/`. A Hub id may go on with
            a revision and a folder: `namespace/name@v0.0.1:weights/av`.
        downloads: an empty folder for what comes from the Hub.

    Raises:
        ConfigError: one place without `av/` and `ar/`, or neither a folder nor a Hub id.
        EnvironmentProblem: the Hub cannot be reached, or has no such repository or revision.
    """
    found = [_source(place, downloads / str(at)) for at, place in enumerate(places)]
    if len(found) == 2:
        return {"av": found[0], "ar": found[1]}
    if not all((found[0].folder / role).is_dir() for role in ROLES):
        raise ConfigError(
            f"{places[0]} holds no av/ and ar/", hint="give the AV's and the AR's folder"
        )
    return {role: found[0].inside(role) for role in ROLES}


def _source(place: str, target: Path) -> Source:
    if (path := Path(place)).is_dir():
        return Source(path)
    names = [f"{folder}{name}" for folder in _FOLDERS for name in _FILES]
    found = download(read_place(place), names, target)
    source = Source(target / found.inside, str(found))
    if not source.folder.is_dir():
        raise ConfigError(f"{source.origin} is no folder with files of an adapter")
    return source
