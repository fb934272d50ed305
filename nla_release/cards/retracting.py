"""What can be retracted: the versions that a release has published, and their numbers."""

import difflib
import re
from pathlib import Path

from nla_release.calibration.report import Calibration
from nla_release.cards.history import Superseded, entries, read_history
from nla_release.errors import ConfigError
from nla_release.manifest import FILE_NAME as MANIFEST_FILE_NAME
from nla_release.manifest import read_manifest
from nla_release.release import CALIBRATION_FILE_NAME, HISTORY_FILE_NAME, ROLES, Release, tag

# A name of calibration.json; any other is a metric that it does not have.
_DOTTED = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)+")


def check_retractable(release: Release, superseded: Superseded) -> None:
    """Refuse to retract what was never published, as far as the files here can tell.

    Raises:
        ConfigError: neither HISTORY.md nor dist/ has the version, or its calibration lacks the
            number.
        InputError: one of these files is damaged.
    """
    rendered = _rendered(release, superseded.version)
    known = [*entries(read_history(release.history) or "")]
    if rendered is None and tag(superseded.version) not in known:
        raise ConfigError(
            f"{HISTORY_FILE_NAME} has no {tag(superseded.version)}",
            hint=f"it has {', '.join(known) or 'no version yet'}",
        )
    if rendered and _DOTTED.fullmatch(superseded.metric):
        _check_number(rendered, superseded)


def _rendered(release: Release, version: str) -> Path | None:
    """The calibration of a version, when dist/ holds that version."""
    folder = release.dist / ROLES[0]
    if not (folder / MANIFEST_FILE_NAME).exists():
        return None
    same = read_manifest(folder).version == version
    return folder / CALIBRATION_FILE_NAME if same else None


def _check_number(path: Path, superseded: Superseded) -> None:
    leaves = Calibration.read(path).leaves()
    if superseded.metric not in leaves:
        near = difflib.get_close_matches(superseded.metric, leaves)
        raise ConfigError(
            f"{path} has no {superseded.metric}",
            hint=f"did you mean {' or '.join(near)}?" if near else None,
        )
    found = leaves[superseded.metric]
    # As good as equal when it is rounded to the digits that are given.
    within = 10.0**-superseded.decimals / 2 + 1e-9
    if not isinstance(found, int | float) or abs(found - superseded.value) > within:
        raise ConfigError(
            f"{superseded.metric} of {tag(superseded.version)} is {found}, not {superseded.shown}",
            hint="give the number as it was published, rounded as you like",
        )
