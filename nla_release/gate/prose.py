"""NLA5xx, third part: what hand-written prose claims, in words and in numbers."""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nla_release.calibration.report import Calibration
from nla_release.gate.adapter import (
    CALIBRATION_PAGE_NAME,
    CARD_FILE_NAME,
    Adapter,
    reading,
    regular_file,
)
from nla_release.gate.entries import new_entries
from nla_release.gate.findings import Page, Problem, UnreadableError
from nla_release.gate.model import RENDERINGS, rule
from nla_release.history.log import Entry, entries
from nla_release.io.files import read_text
from nla_release.prose.claims import claim
from nla_release.prose.diagnostic_quantities import spoken_of
from nla_release.prose.quantities import metric_of, quantities
from nla_release.prose.reader import Passage, Sentence, read_prose
from nla_release.prose.statements import compares, unfounded
from nla_release.release.folder import CALIBRATION_FILE_NAME, HISTORY_FILE_NAME, ROLES, Release, tag
from nla_release.text.quantity import Quantity

# Ten times the longest card known; taking Markdown apart costs time and memory by the character.
MAX_PROSE = 128 * 1024

# One wrong number is told as it is; of a thousand, the first few tell the same.
MAX_FINDINGS = 20

_HUB = "https://huggingface.co/"
# [@key], [^note], \cite{key}, or a BibTeX key as Scholar and this package make them: author2026word
_CITATION = re.compile(r"\[[@^][^\]\s]{1,80}\]|\\cite\w{0,10}\{|\b[a-z]{2,40}(?:19|20)\d\d[a-z]+\b")
_TAG = re.compile(r"\bv\d+(?:\.\w+){1,8}")


@dataclass(frozen=True)
class _Document:
    """A text of a repository; what `read_prose` finds on its line 1 is on line `offset` + 1.

    `about` is the tag of the version that an entry of the log is about, when it says.
    """

    path: Path
    markdown: str
    offset: int = 0
    skip_generated: bool = False
    about: str | None = None
    notes: Mapping[Path, str] = field(default_factory=dict)

    def passages(self) -> tuple[Passage, ...]:
        return read_prose(self.markdown, skip_generated=self.skip_generated)

    def at(self, line: int) -> str:
        """The place to edit: the line of a note where it comes from one, else of the document."""
        for note, text in self.notes.items():
            before, found, _ = self.markdown.partition(f"\n{text}\n")
            first = before.count("\n") + 2
            if found and first <= line <= first + text.count("\n"):
                return f"{note}:{line - first + 1}"
        return f"{self.path}:{self.offset + line}"


@rule(
    "NLA507",
    "warning",
    "claims of priority or superiority name their source",
    each=RENDERINGS,
    page=Page(
        checks="No sentence of README.md, RELEASE_CALIBRATION.md, or the entries of HISTORY.md that"
        " are about this version or not published yet, claims to be the first, the only one, the"
        " best or the state of the art without a link or a citation key in it. A link to the"
        " repository itself, its partner or its base is no source, and a claim that is denied is"
        " none.",
        why="The cards of SolshineCode/nla-gemma-4-e2b call it the first non-Anthropic-team NLA and"
        " the only NLA that reads Gemma-4-E2B. Nobody had looked: many forks and ports of"
        " kitft/natural_language_autoencoders were public.",
        fix="Link to what the claim rests on, such as a dated search of the Hub, or say what the"
        " release does and leave its rank to others.",
        example="claims 'first non-Anthropic-team open-source NLA' and names no source",
        waive="The warning may stand for words that only look like a claim.",
    ),
)
def claims_have_sources(target: tuple[Adapter, Release | None]) -> Iterator[Problem]:
    """Sentence by sentence; one finding each."""
    adapter, release = target
    own = _own_addresses(adapter)
    for document in _documents(adapter, release):
        found: Iterator[Problem] = (
            Problem(document.at(sentence.line), f"claims {words!r} and names no source")
            for passage in document.passages()
            for sentence in passage.sentences
            if (words := claim(sentence.text)) and not _sourced(sentence, own)
        )
        yield from itertools.islice(_once(found, document, adapter), MAX_FINDINGS)


@rule(
    "NLA508",
    "error",
    "numbers in prose are the calibration's",
    each=RENDERINGS,
    page=Page(
        checks="A number in README.md, RELEASE_CALIBRATION.md, or the entries of HISTORY.md that"
        " are about this version or not published yet, that stands in a sentence or table cell"
        " about a measured quantity (cosine, variance explained, error, retrieval, a control, an"
        " interval, n) is one that calibration.json gives, or follows from it, rounded to the"
        " digits that are written. Code, unless it is a number alone, quoted rows and the generated"
        " blocks, which NLA502 holds to the character, are not read. A sentence with a link or a"
        " citation key, or about another version of HISTORY.md, speaks of somebody else's numbers,"
        " and so does an entry about one; an entry about this one may tell of those that were"
        " superseded.",
        why="SolshineCode/nla-gemma-4-e2b shows the deviation 0.054 of v0.0.1 beside the cosine of"
        " v0.1, n = 10 where 50 were measured, and calls one share about 80, 95 and 97 per cent"
        " structural. Prose does not follow when a pair is measured again.",
        fix="Write `{{ calibration.cosine.mean | number }}` into the note, which then follows the"
        " numbers, and render again. Give the source of a number from elsewhere as a link in the"
        " same sentence.",
        example="says cosine 0.46; calibration.json gives cosine.mean 0.438",
        waive="For a measurement that this package does not make, until it has a page to link to.",
    ),
)
def numbers_are_the_calibrations(target: tuple[Adapter, Release | None]) -> Iterator[Problem]:
    """Every number of a sentence that speaks of something measured."""
    adapter, release = target
    documents, own = list(_documents(adapter, release)), _own_addresses(adapter)
    level, known = adapter.calibration.bootstrap.level, known_quantities(adapter)
    formerly = [each.former.calibration for each in adapter.addenda]
    known_then = [
        *known,
        *(found for each in formerly for found in _quantities(adapter, each)),
        *_superseded(adapter),
    ]
    other_tags = set(entries(adapter.text(HISTORY_FILE_NAME))) - {adapter.manifest.tag}

    def found(document: _Document) -> Iterator[Problem]:
        for passage in document.passages():
            may_tell = known_then if document.path.name == HISTORY_FILE_NAME else known
            comparing, stated = compares(passage), spoken_of(passage.words, may_tell)
            for sentence in passage.sentences:
                of_another = other_tags & {
                    *_TAG.findall(" ".join([sentence.text, *sentence.links]))
                }
                if of_another or _sourced(sentence, own):
                    continue
                for number in unfounded(sentence, stated, level=level, comparing=comparing):
                    yield Problem(document.at(number.line), number.message)

    for document in documents:
        if document.about not in other_tags:
            yield from itertools.islice(_once(found(document), document, adapter), MAX_FINDINGS)


def _once(problems: Iterable[Problem], document: _Document, adapter: Adapter) -> Iterator[Problem]:
    """Findings in a note, which stands in both repositories, for the first of them alone."""
    for problem in problems:
        in_a_note = any(str(problem.path).startswith(f"{note}:") for note in document.notes)
        if not in_a_note or adapter.role == ROLES[0]:
            yield problem


def known_quantities(adapter: Adapter) -> list[Quantity]:
    """The numbers that a repository's calibration gives.

    Raises:
        UnreadableError: it holds none, or impossible ones.
    """
    return _quantities(adapter, adapter.calibration)


def _quantities(adapter: Adapter, calibration: Calibration) -> list[Quantity]:
    try:
        return quantities(calibration)
    except ArithmeticError as error:
        path = adapter.folder / CALIBRATION_FILE_NAME
        raise UnreadableError("NLA602", path, f"holds impossible numbers: {error}") from error


def _superseded(adapter: Adapter) -> Iterator[Quantity]:
    """The numbers of this version that its log supersedes, which may be told there."""
    for entry in adapter.log:
        superseded = entry.record.supersedes if entry.record else None
        if superseded and superseded.version == adapter.manifest.version:
            metric = metric_of(superseded.metric)
            if metric:
                yield Quantity(metric, superseded.metric, superseded.value, derived=True)


def _documents(adapter: Adapter, release: Release | None) -> Iterator[_Document]:
    """The card, the calibration's page, and what this version adds to the history."""
    card = adapter.text(CARD_FILE_NAME)
    notes = _notes(adapter, release)
    yield _document(adapter.folder / CARD_FILE_NAME, card, skip_generated=True, notes=notes)
    path = regular_file(adapter.folder / CALIBRATION_PAGE_NAME, "NLA701")
    with reading(path, "NLA508"):
        page = read_text(path)
    yield _document(path, page, skip_generated=True, notes=notes)
    path = adapter.folder / HISTORY_FILE_NAME
    own = (entry for entry in adapter.log if entry.tag == adapter.manifest.tag)
    for entry in (*itertools.islice(own, 1), *new_entries(adapter, release)):
        about = entry.record.about if entry.record else None
        offset = lines_before(adapter, entry)
        yield _document(path, entry.text, offset=offset, about=tag(about) if about else None)


def _notes(adapter: Adapter, release: Release | None) -> dict[Path, str]:
    """The rendered text of every note by its file, where the release that has it is here."""
    stated = adapter.manifest.stated
    if release is None or release.notes is None or stated is None:
        return {}
    return {release.notes / f"{name}.md": text for name, text in stated.notes.items()}


def lines_before(adapter: Adapter, entry: Entry) -> int:
    """How many lines of the log stand before an entry of it."""
    history = adapter.text(HISTORY_FILE_NAME)
    return history.count("\n", 0, history.find(entry.text))


def _document(
    path: Path,
    markdown: str,
    *,
    offset: int = 0,
    skip_generated: bool = False,
    about: str | None = None,
    notes: Mapping[Path, str] | None = None,
) -> _Document:
    if len(markdown) > MAX_PROSE:
        raise UnreadableError("NLA508", path, f"holds more prose than {MAX_PROSE} characters")
    return _Document(path, markdown, offset, skip_generated, about, notes or {})


def _sourced(sentence: Sentence, own: tuple[str, ...]) -> bool:
    """Whether a sentence cites, or links to a page that is not of this release."""
    links = (link for link in sentence.links if link.startswith(("https://", "http://")))
    return _CITATION.search(sentence.text) is not None or any(
        not f"{link}/".startswith(own) for link in links
    )


def _own_addresses(adapter: Adapter) -> tuple[str, ...]:
    """Where this release and its base are: pages that prove nothing of what is said here."""
    manifest = adapter.manifest
    names = (manifest.repo, manifest.partner.repo, manifest.base.id)
    return tuple(f"{_HUB}{name}/" for name in names)
