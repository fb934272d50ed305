"""Fragments: the entries of HISTORY.md other than releases, one small file per entry.

`history/2026-11-23-scale.md` next to release.yaml is the entry `2026-11-23-scale`: front matter,
then prose in Markdown, in which `{{ ... }}` may quote the numbers as in a note. The next `render`
appends it. Once that is published the file must stay as it is: the log is not rewritten.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, model_validator

from nla_release.errors import ConfigError, InputError, RefusedError
from nla_release.history.log import (
    Day,
    HistoryEntry,
    Kind,
    Line,
    NormalVersion,
    Record,
    SupersededNumber,
)
from nla_release.io.documents import MAX_YAML_BYTES, parse_yaml
from nla_release.io.files import (
    dump_yaml,
    read_text,
    sha256_bytes,
    write_atomic,
)
from nla_release.io.schema import Strict, parse
from nla_release.release.folder import tag
from nla_release.text.sandbox import render_note, render_template
from nla_release.text.visible import hiding

_FRONT_MATTER = re.compile(r"---[ \t]*\n(?P<yaml>.*?)^---[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
# A heading in prose that would be taken for a version's entry.
_LIKE_A_VERSION = re.compile(r"^##(?= v\S+, )", re.MULTILINE)
_NAME = re.compile(r"[^a-z0-9]+")
_NAME_LENGTH = 60


def _is_past(day: date) -> date:
    # Somewhere it is tomorrow already.
    if day > datetime.now(UTC).date() + timedelta(days=1):
        raise ValueError(f"{day} is in the future")
    return day


class FrontMatter(Strict):
    """The keys at the top of a fragment."""

    date: Annotated[Day, AfterValidator(_is_past)]
    kind: Kind
    title: Line
    version: NormalVersion | None = None
    supersedes: SupersededNumber | None = None

    @model_validator(mode="after")
    def _supersedes_what_it_retracts(self) -> "FrontMatter":
        if self.kind == "retraction" and self.supersedes is None:
            raise ValueError("a retraction must say what it supersedes")
        if self.supersedes and self.kind not in ("retraction", "correction"):
            raise ValueError(f"supersedes is for retractions and corrections, not a {self.kind}")
        return self


@dataclass(frozen=True)
class Fragment:
    """A fragment as it lies there: its front matter, its prose, and its record in the log."""

    path: Path
    matter: FrontMatter
    body: str
    record: Record


def read_fragments(folder: Path) -> list[Fragment]:
    """Every fragment, by date and name; none when there is no folder.

    Raises:
        InputError: a Markdown file in it is no fragment, or it is no folder; says why.
    """
    fragments = [read_fragment(path) for path in fragment_files(folder)]
    return sorted(fragments, key=lambda each: (each.matter.date, each.record.id))


def fragment_files(folder: Path) -> list[Path]:
    """The Markdown files of a folder of fragments; none when there is no folder.

    Raises:
        InputError: it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, not a folder of fragments")
    return sorted(path for path in folder.glob("*") if path.suffix.lower() == ".md")


def read_fragment(path: Path) -> Fragment:
    """One fragment.

    Raises:
        InputError: it is no text file, or no fragment; says why.
    """
    text = read_text(path, limit=MAX_YAML_BYTES).removeprefix("\N{BYTE ORDER MARK}")
    found = _FRONT_MATTER.match(text)
    if found is None:
        raise InputError(
            f"{path} does not begin with front matter between two lines of ---",
            hint="nla-release history add writes it",
        )
    matter = parse(FrontMatter, parse_yaml(found["yaml"], path), path)
    record = {
        "id": path.stem,
        **matter.model_dump(include={"date", "kind", "version", "supersedes"}),
        "source": sha256_bytes(text.encode()),
    }
    return Fragment(path, matter, text[found.end() :].strip(), parse(Record, record, path))


def write_fragment(folder: Path, matter: FrontMatter, body: str = "") -> Path:
    """Write a new fragment, named after its date and title; gives its path.

    Raises:
        RefusedError: there is one of that name.
        InputError: the text holds what is no character.
    """
    name = _NAME.sub("-", matter.title.lower()).strip("-")[:_NAME_LENGTH].rstrip("-")
    path = folder / f"{matter.date}-{name or matter.kind}.md"
    if path.exists():
        raise RefusedError(
            f"{path} exists and is not overwritten", hint="choose another --title, or edit the file"
        )
    head = dump_yaml(matter.model_dump(exclude_none=True))
    try:
        content = f"---\n{head}---\n{body.strip()}".rstrip().encode() + b"\n"
    except UnicodeEncodeError as error:
        raise InputError(f"the entry's text is not Unicode: {error.reason}") from error
    write_atomic(path, content)
    return path


def pending(fragments: Sequence[Fragment], log: Sequence[HistoryEntry]) -> list[Fragment]:
    """The fragments that the log does not have yet.

    Raises:
        RefusedError: a fragment that it has was edited since.
    """
    published = {entry.record.id: entry.record for entry in log if entry.record}
    for fragment in fragments:
        known = published.get(fragment.record.id)
        if known and known.source != fragment.record.source:
            raise RefusedError(
                f"{fragment.path} was edited after it was published in HISTORY.md",
                hint="restore the file, then describe the change in a new entry with"
                " `nla-release history add`",
            )
    return [fragment for fragment in fragments if fragment.record.id not in published]


def fragment_entry(
    fragment: Fragment, context: Mapping[str, Any], log: Sequence[HistoryEntry]
) -> str:
    """The text of a fragment's entry.

    Args:
        fragment: to be appended.
        context: what its prose may quote: `version`, `release` and `calibration`, which are those
            of the version that is rendered. A fragment about another has no calibration to quote.
        log: the entries that it may link to.

    Raises:
        ConfigError: its prose is no valid template or would hide the entries after it, or it
            supersedes what is not in the log.
    """
    matter = fragment.matter
    about = matter.version
    quotable = {
        name: value
        for name, value in context.items()
        if name != "calibration" or about in (None, context["version"])
    }
    prose = render_note(fragment.path, quotable, fragment.body) if fragment.body else ""
    prose = _harmless(prose)
    if what := hiding(prose):
        raise ConfigError(
            f"{fragment.path} holds {what}: it would hide the entries after it",
            hint="say it in Markdown, or show it as code between backticks",
        )
    return render_template(
        "history_fragment.md.jinja",
        {
            "comment": fragment.record.comment(),
            "about": tag(about) if about else None,
            "supersedes": _superseded(fragment, log),
            "prose": prose,
            **matter.model_dump(mode="json", include={"date", "kind", "title"}),
        },
    )


def _superseded(fragment: Fragment, log: Sequence[HistoryEntry]) -> dict[str, Any] | None:
    """What the entry supersedes, with the anchor of the entry that it was published in."""
    if (superseded := fragment.matter.supersedes) is None:
        return None
    its_tag = tag(superseded.version)
    anchor = next((entry.anchor for entry in log if entry.tag == its_tag), None)
    if anchor is None:
        raise ConfigError(f"{fragment.path} supersedes {its_tag}, which has no entry in HISTORY.md")
    return superseded.model_dump() | {
        "value": superseded.shown,
        "tag": its_tag,
        "anchor": anchor,
    }


def _harmless(prose: str) -> str:
    """Prose that can neither begin an entry of its own nor hide the next in a comment."""
    return _LIKE_A_VERSION.sub("###", prose.replace("<!--", "&lt;!--"))
