"""Where a pair comes from: two folders, one with `av/` and `ar/` in it, or Hub repositories."""

from pathlib import Path

from nla_release.dialects.folder import DATASET_SUFFIX, INJECT_CONFIG, SIDECAR_NAMES
from nla_release.dialects.values import hub_id
from nla_release.errors import ConfigError, EnvironmentProblem
from nla_release.release import ROLES
from nla_release.sidecar import HEAD_FILE_NAME, Role
from nla_release.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME

# What an adapter's folder may hold that is read here; heads may be pickles, converted unexecuted.
_FILES = (
    *SIDECAR_NAMES,
    f"*{DATASET_SUFFIX}",
    INJECT_CONFIG,
    CONFIG_FILE_NAME,
    ADAPTER_FILE_NAME,
    HEAD_FILE_NAME,
    "*head*.pt",
    "*head*.pth",
    "*head*.bin",
    "*head*.pkl",
)
_PATTERNS = [
    *_FILES,
    *(f"{folder}/{name}" for folder in (*ROLES, "adapter") for name in _FILES),
]


def find_sources(places: tuple[str, ...], downloads: Path) -> dict[Role, Path]:
    """The folders of AV and AR.

    Args:
        places: two folders or Hub ids, or one that holds `av/` and `ar/`.
        downloads: an empty folder for what comes from the Hub.

    Raises:
        ConfigError: one place without `av/` and `ar/`, or neither a folder nor a Hub id.
        EnvironmentProblem: the Hub cannot be reached, or has no such repository.
    """
    folders = [_folder(place, downloads / str(at)) for at, place in enumerate(places)]
    if len(folders) == 2:
        return {"av": folders[0], "ar": folders[1]}
    if not all((folders[0] / role).is_dir() for role in ROLES):
        raise ConfigError(
            f"{places[0]} holds no av/ and ar/", hint="give the AV's and the AR's folder"
        )
    return {role: folders[0] / role for role in ROLES}


def _folder(place: str, target: Path) -> Path:
    if (path := Path(place)).is_dir():
        return path
    try:
        repo = hub_id(place)
    except ValueError as error:
        raise ConfigError(f"{place} is neither a folder nor a Hub id") from error
    return _download(repo, target)


def _download(repo: str, target: Path) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils import httpx

    try:
        snapshot_download(repo, allow_patterns=_PATTERNS, local_dir=target)
    except HFValidationError as error:
        raise ConfigError(f"{repo} is neither a folder nor a Hub id: {error}") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError) as error:
        reason = " ".join(str(error).split())
        raise EnvironmentProblem(
            f"{repo} is no folder here and cannot be fetched from the Hub: {reason}",
            hint="check the path or the id, the network and HF_TOKEN",
        ) from error
    return target
