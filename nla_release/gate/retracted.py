"""NLA5xx: the numbers that HISTORY.md retracts."""

import itertools
import re
from collections.abc import Iterator, Sequence

from nla_release.cards.blocks import generated_blocks
from nla_release.gate.adapter import CALIBRATION_PAGE_NAME, Adapter, reading, regular_file
from nla_release.gate.authored import MAX_FINDINGS, Authored, authored, check_length, not_compared
from nla_release.gate.findings import Page, Problem, Skip
from nla_release.gate.model import RENDERED, rule
from nla_release.gate.subject import Subject
from nla_release.gate.typed_numbers import numbers_of
from nla_release.history.log import Superseded
from nla_release.history.retractions import RETRACTING, retracted_block
from nla_release.io.files import read_text
from nla_release.release.folder import CALIBRATION_FILE_NAME, HISTORY_FILE_NAME, tag
from nla_release.text.literals import LiteralNumber, literals
from nla_release.text.sentences import Sentence, sentences

# A sentence that says so, and does not deny it.
_REPORTS = re.compile(r"\b(?:retract|supersed|withdr[ae]w|corrected\s(?:to|from)\b)", re.IGNORECASE)
_DENIES = re.compile(r"\b(?:not?|never|nor|neither|none|nothing)\b|n['’]t\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{3,}")

# With fewer decimals a number is equal to others by chance: 0.4 is no way to write 0.438.
_DECIMALS = 2


@rule(
    "NLA510",
    "error",
    "no retracted number is shown",
    each=RENDERED,
    page=Page(
        checks="RELEASE_CALIBRATION.md lists every number that HISTORY.md retracts."
        " calibration.json does not hold a number that was retracted, under the same name, of its"
        " own version or of the same evidence. No text of the authors (notes, `title` and `updates`"
        " of release.yaml, blocks added by hand, and the entries of HISTORY.md that are about this"
        " version or not published yet) shows a retracted value, rounded to 2 decimals or more. A"
        " value with fewer decimals counts only where the sentence names the version or a word of"
        " the metric. Exempt are the entry that retracts the number, a sentence that links to"
        " HISTORY.md or says without a negation that a number is retracted, superseded, withdrawn"
        " or corrected to another, and a number that this version's calibration.json has too,"
        " unless the sentence names the other version.",
        why="A gain of 54 per cent in SolshineCode/nla-gemma-4-e2b came from evaluating at another"
        " injection scale than was trained at, and was retracted by hand. The cards, README and"
        " HISTORY of that repository disagree about other numbers: what is retracted in one"
        " document stays in the next, and most readers see the card alone.",
        fix="Take the number out of the note, or link to HISTORY.md in the same sentence; then"
        " render. When it is this version's own number, measure again and render the next version.",
        example="shows 0.438, the cosine.mean of v0.0.1 that HISTORY.md retracts",
        waive="When a number of something else happens to be the same: name it in the reason.",
    ),
)
def nothing_retracted_shown(subject: Subject) -> Iterator[Problem | Skip]:
    """The list, the calibration, and the texts of people in each repository, then the notes."""
    for adapter in subject.rendered:
        page = regular_file(adapter.folder / CALIBRATION_PAGE_NAME, "NLA701")
        with reading(page, "NLA510"):
            listed = generated_blocks(read_text(page)).get(RETRACTING)
        if listed != retracted_block(adapter.log).get(RETRACTING):
            yield Problem(page, f"does not list the retracted numbers of {HISTORY_FILE_NAME}")
        if _retracted(adapter):
            yield from _own(adapter)
            shown = (each for text in authored(adapter, subject) for each in _in(text, adapter))
            yield from itertools.islice(shown, MAX_FINDINGS)
            yield from not_compared(adapter)
    notes = subject.release.notes if subject.release else None
    stated = subject.rendered[0].manifest.stated
    rendered = stated.notes if stated else {}
    for path in sorted(notes.glob("*.md")) if notes else ():
        note = regular_file(path, "NLA510")
        with reading(note, "NLA510"):
            text = read_text(note)
        check_length(note, text)
        if text.strip() != rendered.get(path.stem):  # it was edited since, or quotes numbers
            yield from itertools.islice(
                _in(Authored("note", note, text), subject.rendered[0]), MAX_FINDINGS
            )


def _retracted(adapter: Adapter, but: Authored | None = None) -> list[Superseded]:
    """The numbers that the log retracts, but for those of an entry that is read itself."""
    own = but.entry if but else None
    return [
        entry.record.supersedes
        for entry in adapter.log
        if entry is not own and entry.record and entry.record.supersedes
    ]


def _is_own(superseded: Superseded, adapter: Adapter) -> bool:
    """Whether a number was retracted of this version, or of the evidence that it is made of."""
    version, run = adapter.manifest.version, adapter.calibration.evidence.run_sha256
    return superseded.version == version or superseded.run_sha256 == run


def _own(adapter: Adapter) -> Iterator[Problem]:
    """Retracted numbers that calibration.json still holds, and every generated block shows."""
    numbers = list(numbers_of(adapter.calibration))
    for each in _retracted(adapter):
        if _is_own(each, adapter) and any(
            name.partition("[")[0] == each.metric and each.writes(value) for name, value in numbers
        ):
            yield Problem(adapter.folder / CALIBRATION_FILE_NAME, _message(each.shown, each))


def _in(text: Authored, adapter: Adapter) -> Iterator[Problem]:
    """The retracted numbers that a text shows."""
    retracted = _retracted(adapter, but=text)
    own = [abs(value) for _, value in numbers_of(adapter.calibration)] if retracted else []
    for sentence in sentences(text.text) if retracted else ():
        if _reports(sentence):
            continue
        for literal in literals(sentence.text):
            found = next(
                (each for each in retracted if _shows(sentence, literal, each, own, adapter)), None
            )
            if found:
                place = text.at(sentence.line_of(literal.start))
                yield Problem(place, _message(literal.shown, found))


def _shows(
    sentence: Sentence,
    literal: LiteralNumber,
    superseded: Superseded,
    own: Sequence[float],
    adapter: Adapter,
) -> bool:
    """Whether a literal is a retracted number, and not one that this version has itself."""
    decimals = min(literal.decimals, superseded.decimals)
    distance = abs(abs(literal.value) - abs(superseded.value))
    # Both are rounded decimals: a last digit of 5 may be on either side by the float's error.
    if not distance <= 10.0**-decimals / 2 + 1e-9:
        return False
    if _names_version(sentence, superseded) and decimals >= min(_DECIMALS, superseded.decimals):
        return True
    if decimals < _DECIMALS and (
        superseded.decimals >= _DECIMALS or not _names_metric(sentence, superseded)
    ):
        return False
    return _is_own(superseded, adapter) or not any(literal.means(each) for each in own)


def _reports(sentence: Sentence) -> bool:
    """Whether a sentence says that a number is retracted, or links to where that is said."""
    if any(HISTORY_FILE_NAME in link for link in sentence.links):
        return True
    return bool(_REPORTS.search(sentence.text)) and not _DENIES.search(sentence.text)


def _names_version(sentence: Sentence, superseded: Superseded) -> bool:
    named = rf"(?<![\w.]){re.escape(tag(superseded.version))}(?!\w|[.+]\w)"
    return re.search(named, f"{sentence.label} {sentence.text}") is not None


def _names_metric(sentence: Sentence, superseded: Superseded) -> bool:
    words = set(_WORD.findall(f"{sentence.label} {sentence.text}".lower()))
    return not words.isdisjoint(_WORD.findall(superseded.metric.lower()))


def _message(shown: str, superseded: Superseded) -> str:
    number = f"{shown}, the {superseded.metric} of {tag(superseded.version)}"
    return f"shows {number} that {HISTORY_FILE_NAME} retracts"
