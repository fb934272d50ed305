"""This version beside the one before, when release.yaml names a published one."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.compare import compare_two
from nla_release.calibration.comparison import Paired, Version, side_by_side
from nla_release.calibration.measured import Measured, read_measured
from nla_release.calibration.report import Calibration
from nla_release.cards.inputs import Inputs
from nla_release.errors import ConfigError, InputError, one_line
from nla_release.history.log import read_history, read_log
from nla_release.release.folder import HISTORY_FILE_NAME, ROLES, tag
from nla_release.release.manifest import FILE_NAME as MANIFEST_FILE_NAME
from nla_release.release.manifest import read_manifest


@dataclass(frozen=True)
class Released:
    """Two versions, each on its own rows, and on the rows that they share."""

    versions: list[Version]
    link: str
    paired: Paired | None
    reason: str | None

    def plain(self) -> dict[str, Any]:
        """For a template."""
        return asdict(self) | {
            "versions": [each.model_dump(mode="json") for each in self.versions],
            "paired": self.paired.model_dump(mode="json") if self.paired else None,
        }


def released(inputs: Inputs, version: str) -> Released | None:
    """The previous version and this one; None without a previous one that was published.

    Evidence alone, such as that of a checkpoint, is no version, and neither is this one itself.

    Raises:
        ConfigError: the log does not know the previous version.
        NothingCheckedError, InputError: the previous release cannot be read.
    """
    if (folder := _repository(inputs.release.previous)) is None:
        return None
    manifest = read_manifest(folder)
    if manifest.version == version:
        return None
    log = read_log(read_history(inputs.release.history) or "")
    if all(entry.tag != manifest.tag for entry in log):
        raise ConfigError(
            f"release.yaml: previous is {manifest.tag}, of which {inputs.release.history} has no"
            " entry",
            hint=f"put the {HISTORY_FILE_NAME} of that version beside release.yaml",
        )
    before = read_measured(folder, manifest.tag)
    now = Measured(tag(version), inputs.evidence)
    found = compare_two(before, now)
    return Released(
        side_by_side([(now.name, inputs.calibration), (before.name, calibrate(before.evidence))]),
        f"https://huggingface.co/{manifest.repo}/tree/{manifest.published_tag}",
        *((found, None) if isinstance(found, Paired) else (None, found.reason)),
    )


def restated(plain: dict[str, Any], name: str, calibration: Calibration) -> Released:
    """The same from `Released.plain`, with this version's own figures computed again.

    Raises:
        InputError: it is not what `plain` gives.
    """
    try:
        _, *others = plain["versions"]
        return Released(
            [*side_by_side([(name, calibration)]), *map(_version, others)],
            str(plain["link"]),
            Paired.model_validate_json(json.dumps(plain["paired"])) if plain["paired"] else None,
            plain["reason"],
        )
    except (ValueError, TypeError, LookupError) as error:
        raise InputError(f"stated.released is wrong: {one_line(error)}") from error


def _version(document: Any) -> Version:
    return Version.model_validate_json(json.dumps(document))


def _repository(folder: Path | None) -> Path | None:
    """The folder itself, or the one in it, in a rendered dist/ or beside release.yaml."""
    if folder is None:
        return None
    places = (folder, folder / ROLES[0], folder / "dist" / ROLES[0])
    return next((each for each in places if (each / MANIFEST_FILE_NAME).is_file()), None)
