"""NLA5xx, third part: what hand-written prose claims, in words and in numbers."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nla_release.cards.history import entries
from nla_release.files import read_text
from nla_release.prose.claims import claim
from nla_release.prose.quantities import Quantity, quantities
from nla_release.prose.reader import Passage, Sentence, read_prose
from nla_release.prose.statements import compares, unfounded
from nla_release.release import CALIBRATION_FILE_NAME, HISTORY_FILE_NAME
from nla_release.rules.adapter import CARD_FILE_NAME, Adapter, reading, regular_file
from nla_release.rules.model import Page, Problem, UnreadableError, rule
from nla_release.rules.scopes import REPOSITORIES

CALIBRATION_PAGE_NAME = "RELEASE_CALIBRATION.md"

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
    """A text of a repository; what `read_prose` finds on its line 1 is on line `offset` + 1."""

    path: Path
    markdown: str
    offset: int = 0
    skip_generated: bool = False

    def passages(self) -> tuple[Passage, ...]:
        return read_prose(self.markdown, skip_generated=self.skip_generated)

    def at(self, line: int) -> str:
        return f"{self.path}:{self.offset + line}"


@rule(
    "NLA507",
    "warning",
    "claims of priority or superiority name their source",
    each=REPOSITORIES,
    page=Page(
        checks="No sentence of README.md, RELEASE_CALIBRATION.md or the entries of HISTORY.md about"
        " this version claims to be the first, the only one, the best or the state of the art"
        " without a link or a citation key in it. A link to the repository itself, its partner or"
        " its base is no source, and a claim that is denied is none.",
        why="The cards of SolshineCode/nla-gemma-4-e2b call it the first non-Anthropic-team NLA and"
        " the only NLA that reads Gemma-4-E2B. Nobody had looked: many forks and ports of"
        " kitft/natural_language_autoencoders were public.",
        fix="Link to what the claim rests on, such as a dated search of the Hub, or say what the"
        " release does and leave its rank to others.",
        example="claims 'first non-Anthropic-team open-source NLA' and names no source",
        waive="The warning may stand for words that only look like a claim.",
    ),
)
def claims_have_sources(adapter: Adapter) -> Iterator[Problem]:
    """Sentence by sentence; one finding each."""
    own = _own_addresses(adapter)
    for document in _documents(adapter):
        found = (
            Problem(document.at(sentence.line), f"claims {words!r} and names no source")
            for passage in document.passages()
            for sentence in passage.sentences
            if (words := claim(sentence.text)) and not _sourced(sentence, own)
        )
        yield from itertools.islice(found, MAX_FINDINGS)


@rule(
    "NLA508",
    "error",
    "numbers in prose are the calibration's",
    each=REPOSITORIES,
    page=Page(
        checks="A number in README.md, RELEASE_CALIBRATION.md or the entries of HISTORY.md about"
        " this version that stands in a sentence or table cell about a measured quantity (cosine,"
        " variance explained, error, retrieval, a control, an interval, n) is one that"
        " calibration.json gives, or follows from it, rounded to the digits that are written. Code,"
        " unless it is a number alone, quoted rows and the generated blocks of the card, which"
        " NLA502 holds to the character, are not read. A sentence with a link or a citation key, or"
        " about another version of HISTORY.md, speaks of somebody else's numbers.",
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
def numbers_are_the_calibrations(adapter: Adapter) -> Iterator[Problem]:
    """Every number of a sentence that speaks of something measured."""
    documents, own = list(_documents(adapter)), _own_addresses(adapter)
    level, known = adapter.calibration.bootstrap.level, known_quantities(adapter)
    other_tags = set(entries(adapter.text(HISTORY_FILE_NAME))) - {adapter.manifest.tag}

    def found(document: _Document) -> Iterator[Problem]:
        for passage in document.passages():
            comparing = compares(passage)
            for sentence in passage.sentences:
                of_another = other_tags.intersection(_TAG.findall(sentence.text))
                if of_another or _sourced(sentence, own):
                    continue
                for number in unfounded(sentence, known, level=level, comparing=comparing):
                    yield Problem(document.at(number.line), number.message)

    for document in documents:
        yield from itertools.islice(found(document), MAX_FINDINGS)


def known_quantities(adapter: Adapter) -> list[Quantity]:
    """The numbers that a repository's calibration gives.

    Raises:
        UnreadableError: it holds none, or impossible ones.
    """
    calibration = adapter.calibration
    try:
        return quantities(calibration)
    except ArithmeticError as error:
        path = adapter.folder / CALIBRATION_FILE_NAME
        raise UnreadableError("NLA602", path, f"holds impossible numbers: {error}") from error


def _documents(adapter: Adapter) -> Iterator[_Document]:
    """The card, the calibration's page, and what this version's entry adds to the history."""
    card = adapter.text(CARD_FILE_NAME)
    yield _document(adapter.folder / CARD_FILE_NAME, card, skip_generated=True)
    path = regular_file(adapter.folder / CALIBRATION_PAGE_NAME, "NLA701")
    with reading(path, "NLA508"):
        page = read_text(path)
    yield _document(path, page)
    history = adapter.text(HISTORY_FILE_NAME)
    for entry in (entries(history).get(adapter.manifest.tag, ""), *_fragments(adapter)):
        lines_before = history.count("\n", 0, history.find(entry))
        yield _document(adapter.folder / HISTORY_FILE_NAME, entry, offset=lines_before)


def _fragments(adapter: Adapter) -> Iterator[str]:
    """The other entries about this version, but for those that name a number that was wrong."""
    for entry in adapter.log:
        record = entry.record
        if record and record.version == adapter.manifest.version and not record.supersedes:
            yield entry.text


def _document(
    path: Path, markdown: str, *, offset: int = 0, skip_generated: bool = False
) -> _Document:
    if len(markdown) > MAX_PROSE:
        raise UnreadableError("NLA508", path, f"holds more prose than {MAX_PROSE} characters")
    return _Document(path, markdown, offset, skip_generated)


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
