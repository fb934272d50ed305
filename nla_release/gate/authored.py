"""What people wrote in the documents of a release, and where each text can be edited.

These are the notes, the lines of release.yaml that documents show, blocks added to a rendered
document, and the entries of HISTORY.md that are new in this version. To find added blocks, the
documents are rendered again from the files of the repository and compared.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from nla_release.calibration.report import CurrentCalibration
from nla_release.cards.blocks import block_places
from nla_release.cards.notes import QUOTED, without_comments
from nla_release.errors import InputError, NlaReleaseError, one_line
from nla_release.gate.adapter_folder import (
    AdapterFolder,
    older_format,
    read_file,
    reading,
    regular_file,
)
from nla_release.gate.findings import Problem, Skip, UnreadableError
from nla_release.gate.subject import ExpectedDocuments, Subject
from nla_release.history.log import HistoryEntry, entries, read_history, read_log
from nla_release.io.files import read_text
from nla_release.io.layout import (
    CALIBRATION_FILE,
    CALIBRATION_PAGE_FILE,
    CARD_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    RELEASE_FILE,
)
from nla_release.release.folder import Release
from nla_release.release.manifest import Stated
from nla_release.text.sentences import Sentence
from nla_release.text.visible import Block, view

if TYPE_CHECKING:
    from nla_release.cards.documents import Sources


# Ten times the longest card known; parsing Markdown costs time and memory by the character.
MAX_PROSE = 128 * 1024

# Of a thousand wrong numbers, the first few are enough.
MAX_FINDINGS = 20

_HUB = "https://huggingface.co/"
# [@key], [^note], \cite{key}, or a BibTeX key as Scholar and this package make them: author2026word
_CITATION = re.compile(r"\[[@^][^\]\s]{1,80}\]|\\cite\w{0,10}\{|\b[a-z]{2,40}(?:19|20)\d\d[a-z]+\b")

Kind = Literal["note", "line", "block", "entry"]


@dataclass(frozen=True)
class Authored:
    """A text that a person wrote.

    `text` is what readers see. It begins after line `before` of `path`, or is the value `key` of
    release.json. `source` is a note as it was written, None where it was not recorded. `entry` is
    the entry of HISTORY.md.
    """

    kind: Kind
    path: Path
    text: str
    before: int = 0
    key: str | None = None
    source: str | None = None
    entry: HistoryEntry | None = None

    def at(self, line: int) -> str:
        """The place of a line of the text."""
        if self.key:
            return f"{self.path}: {self.key}"
        return f"{self.path}:{self.before + line}"


def authored(adapter: AdapterFolder, subject: Subject) -> Iterator[Authored]:
    """The texts of people in one repository; what both share is given for the first only.

    Raises:
        UnreadableError: a document is too long, or cannot be rendered again to find additions.
    """
    for name in (CARD_FILE, CALIBRATION_PAGE_FILE):
        path = regular_file(adapter.folder / name, "NLA701")
        check_length(path, read_file(path, "NLA508", read_text))
    stated, first = adapter.manifest.stated, subject.rendered[0]
    if stated and (adapter is first or stated != first.manifest.stated):
        yield from _notes(adapter, subject, stated)
        yield from _lines(adapter, subject, stated)
    yield from _entries(adapter, subject, stated)
    if stated and isinstance(adapter.calibration, CurrentCalibration):
        for name, expected in expected_documents(adapter, subject, stated).documents.items():
            found = adapter.text(name)
            for stretch in compared(expected, found):
                for block in stretch.added:
                    path = adapter.folder / name
                    yield Authored("block", path, block.text, block.line - 1)


def check_authored(
    adapter: AdapterFolder, subject: Subject, check: Callable[[Authored], Iterable[Problem]]
) -> Iterator[Problem | Skip]:
    """What a check finds in the texts of people in one repository, up to `MAX_FINDINGS`."""
    found = (problem for text in authored(adapter, subject) for problem in check(text))
    yield from itertools.islice(found, MAX_FINDINGS)
    if not isinstance(adapter.calibration, CurrentCalibration):
        yield older_format(adapter)  # blocks that were added cannot be told apart


def check_length(path: Path, text: str) -> None:
    """Refuse a document that is too long to be read.

    Raises:
        UnreadableError: it is.
    """
    if len(text) > MAX_PROSE:
        raise UnreadableError("NLA508", path, f"has more than {MAX_PROSE} characters of text")


def own_addresses(adapter: AdapterFolder) -> tuple[str, ...]:
    """The addresses of this release and its base, which are no source for its claims."""
    manifest = adapter.manifest
    names = (manifest.repo, manifest.partner.repo, manifest.base.id)
    return tuple(f"{_HUB}{name}/" for name in names)


def has_source(sentence: Sentence, own: tuple[str, ...]) -> bool:
    """Whether a sentence cites a source, or links to a page outside of this release.

    Args:
        sentence: from a text of the authors.
        own: the addresses of this release.
    """
    links = (link for link in sentence.links if link.startswith(("https://", "http://")))
    return _CITATION.search(sentence.text) is not None or any(
        QUOTED not in unquote(link) and not f"{link}/".startswith(own) for link in links
    )


def lines_before(adapter: AdapterFolder, entry: HistoryEntry) -> int:
    """The number of lines of HISTORY.md before an entry."""
    history = adapter.text(HISTORY_FILE)
    return history.count("\n", 0, history.find(entry.text))


def _notes(adapter: AdapterFolder, subject: Subject, stated: Stated) -> Iterator[Authored]:
    """The notes: in the files to edit if they are here, else in release.json."""
    folder = subject.release.notes if subject.release else None
    for name, text in stated.notes.items():
        source = None if stated.sources is None else stated.sources.get(name, text)
        written = _written(folder / f"{name}.md", source) if folder and source else None
        if folder and written:
            yield Authored("note", folder / f"{name}.md", text, source=written)
        else:
            path, key = adapter.folder / MANIFEST_FILE, f"stated.notes.{name}"
            yield Authored("note", path, text, key=key, source=source)


def _written(path: Path, source: str) -> str | None:
    """The text of a note's file, if it is still the note that was rendered."""
    try:
        written = read_text(regular_file(path, "NLA508"))
        return written if without_comments(written) == source else None
    except InputError:
        return None


def _lines(adapter: AdapterFolder, subject: Subject, stated: Stated) -> Iterator[Authored]:
    """The texts of release.yaml that documents show."""
    from nla_release.cards.documents import stated_release

    path = adapter.folder / MANIFEST_FILE
    if subject.release:
        path = subject.release.folder / RELEASE_FILE
    with restating(path):
        release = stated_release(adapter.folder, stated).config
    yield Authored("line", path, release.title, key="title")
    for update in release.updates:
        yield Authored("line", path, update.text, key=f"update of {update.date}")


def _entries(adapter: AdapterFolder, subject: Subject, stated: Stated | None) -> Iterator[Authored]:
    """Text that was added to the entry of this version, and entries written for it."""
    path, own = adapter.folder / HISTORY_FILE, adapter.manifest.tag
    history = adapter.text(HISTORY_FILE)
    found = entries(history).get(own, "")
    if stated and isinstance(adapter.calibration, CurrentCalibration):
        expected = expected_documents(adapter, subject, stated).own_entry.rstrip()
        if found.replace("\r\n", "\n").startswith(expected):
            before = history.count("\n", 0, history.find(found)) + expected.count("\n")
            check_length(path, found)
            tail = found.replace("\r\n", "\n")[len(expected) :]
            yield Authored("entry", path, tail, before)
    for entry in new_entries(adapter, subject.release):
        check_length(path, entry.text)
        yield Authored("entry", path, entry.text, lines_before(adapter, entry), entry=entry)


@dataclass(frozen=True)
class Stretch:
    """Consecutive blocks that a document should have, and those that it has in their place.

    `line` is the line of the block before them.
    """

    expected: list[Block]
    found: list[Block]
    line: int
    same: bool

    @property
    def added(self) -> list[Block]:
        """The blocks beyond those that they replace."""
        return self.found[len(self.expected) :]


def expected_documents(
    adapter: AdapterFolder, subject: Subject, stated: Stated
) -> ExpectedDocuments:
    """The documents of a repository, rendered again from its files.

    Raises:
        UnreadableError: a file that they are computed from is damaged or not the one measured.
    """
    from nla_release.cards.documents import documents, own_entry, shared_context

    if adapter.role not in subject.rendered_again:
        with restating(adapter.folder / MANIFEST_FILE):
            sources = _sources(adapter, subject, stated)
            subject.rendered_again[adapter.role] = ExpectedDocuments(
                sources,
                documents(sources, shared_context(sources), adapter.role),
                own_entry(sources),
            )
    return subject.rendered_again[adapter.role]


@contextmanager
def restating(path: Path) -> Iterator[None]:
    """Turn every way in which an untrusted `stated` cannot be rendered into a finding."""
    from jinja2 import TemplateError

    try:
        yield
    except UnreadableError:
        raise
    except (
        NlaReleaseError,
        TemplateError,
        OSError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
        TypeError,
    ) as error:
        message = f"its `stated` cannot be rendered: {one_line(error)}"
        raise UnreadableError("NLA514", path, message) from error


def compared(expected: str, found: str) -> list[Stretch]:
    """A document against the expected one, without the generated blocks, which NLA502 compares."""
    try:
        ours, theirs = _blocks(expected), _blocks(found)
    except InputError:
        return []  # NLA502 reports misplaced markers
    matcher = SequenceMatcher(
        None, [each.text for each in ours], [each.text for each in theirs], autojunk=False
    )
    return [
        Stretch(
            ours[first:end],
            theirs[begin:stop],
            theirs[max(begin - 1, 0)].line if theirs else 1,
            kind == "equal",
        )
        for kind, first, end, begin, stop in matcher.get_opcodes()
    ]


def _blocks(document: str) -> list[Block]:
    """The blocks of a document that are not generated."""
    for place in sorted(block_places(document).values(), key=lambda it: it.start, reverse=True):
        blank = "\n" * document[place].count("\n")
        document = document[: place.start] + blank + document[place.stop :]
    return list(view(document).blocks)


def _sources(adapter: AdapterFolder, subject: Subject, stated: Stated) -> "Sources":
    """What to render a repository from again.

    Raises:
        UnreadableError: a file that it is computed from is damaged or not the one measured.
    """
    from nla_release.cards.compared import restated
    from nla_release.cards.documents import Sources, stated_release
    from nla_release.cards.inputs import Inputs, read_adapter

    measurement = next(
        each for each in subject.measurements if each.rendered and each.folder == adapter.folder
    )
    evidence, calibration = measurement.evidence, adapter.calibration
    assert isinstance(calibration, CurrentCalibration)  # the others are not rendered again
    for each in subject.rendered:
        for name, digest in evidence.run.files.items():
            role, _, file = name.partition("/")
            if role == each.role and each.digest(file) != digest:
                raise UnreadableError(
                    "NLA601", each.folder / file, "is not the file that was measured"
                )
    if calibration.model_dump(exclude={"tool_version"}) != measurement.recomputed.model_dump(
        exclude={"tool_version"}
    ):
        raise UnreadableError("NLA602", adapter.folder / CALIBRATION_FILE, "does not follow")
    adapters = {each.role: read_adapter(each.folder, each.role) for each in subject.rendered}
    release = stated_release(adapter.folder, stated)
    inputs = Inputs(release, adapters, evidence, calibration)
    before = None
    if stated.released:
        before = restated(stated.released, adapter.manifest.tag, calibration)
    return Sources(
        inputs,
        adapter.manifest.version,
        stated,
        before,
        adapter.log,
        adapter.addenda,
        adapter.comparison,
    )


def new_entries(adapter: AdapterFolder, release: Release | None) -> Iterator[HistoryEntry]:
    """The entries from fragments that the log as last published does not have.

    Entries about this version always count, and so do all after its own entry, because without a
    release.yaml the published log is not known.
    """
    published = None if release is None else _published(release)
    begun = False
    for entry in adapter.log:
        begun = begun or entry.tag == adapter.manifest.tag
        record = entry.record
        if record and (
            begun
            or record.about == adapter.manifest.version
            or (published is not None and record.id not in published)
        ):
            yield entry


def _published(release: Release) -> set[str]:
    with reading(release.history, "NLA505"):
        log = read_log(read_history(release.history) or "")
    return {entry.record.id for entry in log if entry.record}
