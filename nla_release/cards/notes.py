"""Hand-written notes: the prose of a card that no number can write."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nla_release.errors import ConfigError
from nla_release.text.sandbox import render_note
from nla_release.text.visible import misplaced

# The first seven stand on both cards, the others in RELEASE_CALIBRATION.md.
NAMES = (
    "summary",
    "customizations",
    "datasets",
    "distinctive",
    "rationale",
    "limitations",
    "intended_use",
    "positioning",
    "gaps",
    "alternatives",
    "comparison",
    "acknowledgments",
)


def read_notes(folder: Path | None, context: Mapping[str, Any]) -> dict[str, str | None]:
    """Every note by name, rendered; None for one that is not there.

    Args:
        folder: where the notes lie as `<name>.md`; None when the release has none.
        context: what `{{ ... }}` in a note may quote.

    Raises:
        ConfigError: the folder is missing, holds a Markdown file that is no note, or a note is
            broken or would hide what follows it.
    """
    if folder is None:
        return dict.fromkeys(NAMES)
    if not folder.is_dir():
        raise ConfigError(f"the notes folder {folder} of release.yaml does not exist")
    if unknown := sorted(path.name for path in folder.glob("*.md") if path.stem not in NAMES):
        raise ConfigError(
            f"{folder / unknown[0]} would appear on no card",
            hint=f"notes are {', '.join(f'{name}.md' for name in NAMES)}",
        )
    return {name: _note(folder / f"{name}.md", context) for name in NAMES}


def _note(path: Path, context: Mapping[str, Any]) -> str | None:
    if not path.exists():
        return None
    note = render_note(path, context)
    for hidden in misplaced(note):
        raise ConfigError(
            f"{path} line {hidden.line}: {hidden.what}; what follows it on the card could not be"
            " seen, or would be taken for another section",
            hint="close what is open, write links as [text](address) and headings with ###, and"
            " show markup as code between backticks",
        )
    return note
