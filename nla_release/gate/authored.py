"""What the authors of a release wrote on its documents, and where each text can be edited.

That is the notes, the lines of release.yaml that documents show, blocks that somebody added to a
rendered document, and the entries of HISTORY.md for which this version answers. Everything else on
a document is computed, and NLA502 and NLA514 compare it with what its files give.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from nla_release.calibration.report import CurrentCalibration
from nla_release.cards.notes import QUOTED, without_comments
from nla_release.errors import InputError
from nla_release.gate.adapter import (
    CALIBRATION_PAGE_NAME,
    CARD_FILE_NAME,
    Adapter,
    older_format,
    reading,
    regular_file,
)
from nla_release.gate.entries import new_entries
from nla_release.gate.findings import Skip, UnreadableError
from nla_release.gate.rendering import MAX_PROSE, compared, rendering, restating
from nla_release.gate.subject import Subject
from nla_release.history.log import Entry, entries
from nla_release.io.files import read_text
from nla_release.release.folder import FILE_NAME as RELEASE_FILE_NAME
from nla_release.release.folder import HISTORY_FILE_NAME
from nla_release.release.manifest import FILE_NAME as MANIFEST_FILE_NAME
from nla_release.release.manifest import Stated
from nla_release.text.sentences import Sentence

# Of a thousand wrong numbers, the first few say enough.
MAX_FINDINGS = 20

_HUB = "https://huggingface.co/"
# [@key], [^note], \cite{key}, or a BibTeX key as Scholar and this package make them: author2026word
_CITATION = re.compile(r"\[[@^][^\]\s]{1,80}\]|\\cite\w{0,10}\{|\b[a-z]{2,40}(?:19|20)\d\d[a-z]+\b")

Kind = Literal["note", "line", "block", "entry"]


@dataclass(frozen=True)
class Authored:
    """A text of a person's.

    `text` is what readers see, and begins after line `before` of `path`, or is the value `key` of
    release.json. `source` is a note as it was written, None where nobody recorded it. `entry` is
    that of HISTORY.md.
    """

    kind: Kind
    path: Path
    text: str
    before: int = 0
    key: str | None = None
    source: str | None = None
    entry: Entry | None = None

    def at(self, line: int) -> str:
        """The place of a line of the text."""
        if self.key:
            return f"{self.path}: {self.key}"
        return f"{self.path}:{self.before + line}"


def authored(adapter: Adapter, subject: Subject) -> Iterator[Authored]:
    """The texts of people in one repository; what both have alike is given for the first alone.

    Raises:
        UnreadableError: a document is too long, or cannot be rendered again to find additions.
    """
    for name in (CARD_FILE_NAME, CALIBRATION_PAGE_NAME):
        path = regular_file(adapter.folder / name, "NLA701")
        with reading(path, "NLA508"):
            check_length(path, read_text(path))
    stated, first = adapter.manifest.stated, subject.rendered[0]
    if stated and (adapter is first or stated != first.manifest.stated):
        yield from _notes(adapter, subject, stated)
        yield from _lines(adapter, subject, stated)
    yield from _entries(adapter, subject, stated)
    if stated and isinstance(adapter.calibration, CurrentCalibration):
        for name, expected in rendering(adapter, subject, stated).documents.items():
            found = adapter.text(name)
            for stretch in compared(expected, found):
                for block in stretch.added:
                    path = adapter.folder / name
                    yield Authored("block", path, block.text, block.line - 1)


def not_compared(adapter: Adapter) -> Iterator[Skip]:
    """Why nobody can say what was added to the documents of a repository."""
    if not isinstance(adapter.calibration, CurrentCalibration):
        yield older_format(adapter)


def check_length(path: Path, text: str) -> None:
    """Refuse a document that is too long to be read.

    Raises:
        UnreadableError: it is.
    """
    if len(text) > MAX_PROSE:
        raise UnreadableError("NLA508", path, f"holds more prose than {MAX_PROSE} characters")


def own_addresses(adapter: Adapter) -> tuple[str, ...]:
    """Where this release and its base are: pages that prove nothing of what is said here."""
    manifest = adapter.manifest
    names = (manifest.repo, manifest.partner.repo, manifest.base.id)
    return tuple(f"{_HUB}{name}/" for name in names)


def has_source(sentence: Sentence, own: tuple[str, ...]) -> bool:
    """Whether a sentence cites, or links to a page that is not of this release.

    Args:
        sentence: of a text of the authors.
        own: the addresses of this release.
    """
    links = (link for link in sentence.links if link.startswith(("https://", "http://")))
    return _CITATION.search(sentence.text) is not None or any(
        QUOTED not in unquote(link) and not f"{link}/".startswith(own) for link in links
    )


def lines_before(adapter: Adapter, entry: Entry) -> int:
    """How many lines of the log come before an entry of it."""
    history = adapter.text(HISTORY_FILE_NAME)
    return history.count("\n", 0, history.find(entry.text))


def _notes(adapter: Adapter, subject: Subject, stated: Stated) -> Iterator[Authored]:
    """The notes: at the files to edit where these are here, else in release.json."""
    folder = subject.release.notes if subject.release else None
    for name, text in stated.notes.items():
        source = None if stated.sources is None else stated.sources.get(name, text)
        written = _written(folder / f"{name}.md", source) if folder and source else None
        if folder and written:
            yield Authored("note", folder / f"{name}.md", text, source=written)
        else:
            path, key = adapter.folder / MANIFEST_FILE_NAME, f"stated.notes.{name}"
            yield Authored("note", path, text, key=key, source=source)


def _written(path: Path, source: str) -> str | None:
    """The file of a note, when it is still the note that was rendered."""
    try:
        written = read_text(regular_file(path, "NLA508"))
        return written if without_comments(written) == source else None
    except InputError:
        return None


def _lines(adapter: Adapter, subject: Subject, stated: Stated) -> Iterator[Authored]:
    """What release.yaml says in words on the documents."""
    from nla_release.cards.documents import stated_release

    path = adapter.folder / MANIFEST_FILE_NAME
    if subject.release:
        path = subject.release.folder / RELEASE_FILE_NAME
    with restating(path):
        release = stated_release(adapter.folder, stated).config
    yield Authored("line", path, release.title, key="title")
    for update in release.updates:
        yield Authored("line", path, update.text, key=f"update of {update.date}")


def _entries(adapter: Adapter, subject: Subject, stated: Stated | None) -> Iterator[Authored]:
    """What was added to the entry of this version, and the entries that are its word."""
    path, own = adapter.folder / HISTORY_FILE_NAME, adapter.manifest.tag
    history = adapter.text(HISTORY_FILE_NAME)
    found = entries(history).get(own, "")
    if stated and isinstance(adapter.calibration, CurrentCalibration):
        expected = rendering(adapter, subject, stated).own_entry.rstrip()
        if found.replace("\r\n", "\n").startswith(expected):
            before = history.count("\n", 0, history.find(found)) + expected.count("\n")
            check_length(path, found)
            tail = found.replace("\r\n", "\n")[len(expected) :]
            yield Authored("entry", path, tail, before)
    for entry in new_entries(adapter, subject.release):
        check_length(path, entry.text)
        yield Authored("entry", path, entry.text, lines_before(adapter, entry), entry=entry)
