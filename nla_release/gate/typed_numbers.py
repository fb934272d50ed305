"""NLA508: numbers typed into notes instead of quoted from the calibration."""

import re
from collections.abc import Iterator, Sequence

from nla_release.calibration.report import Calibration
from nla_release.cards.notes import QUOTED, own_words
from nla_release.errors import ConfigError
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.authored import Authored, check_authored, has_source, own_addresses
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import RENDERINGS, rule
from nla_release.gate.subject import Subject
from nla_release.history.log import entries
from nla_release.io.layout import CALIBRATION_FILE, HISTORY_FILE
from nla_release.release.folder import tag
from nla_release.text.literals import LiteralNumber, literals
from nla_release.text.sentences import Sentence, sentences

_TAG = re.compile(r"\bv\d+(?:\.\w+){1,8}")

# Digits next to a quoted number make another number of it: 4{{ ... }} or 4/{{ ... }}.
_GLUED = re.compile(
    rf"\d[\d.,]*(?:\s?/\s?|\s(?:out\s)?of\s)?{QUOTED}|{QUOTED}(?:\s?/\s?|\s(?:out\s)?of\s|[.,])?\d+"
)

# The words of a dotted name, but for those that half of all names have.
_PART = re.compile(r"[a-z]{2,}[0-9]?")
_GENERIC = {"all", "difference", "first", "interval", "mean", "probes", "second", "value"}

# With fewer decimals a typed number is equal to some number of the calibration by chance.
_DECIMALS = 3
_LEAST_DECIMALS = 2  # to say which number is meant

_ADVICE = "quote it with {{ ... }}, write it as code, or link to its source in the same sentence"


@rule("NLA508", "error", "measurements in notes are quoted, not typed", each=RENDERINGS)
def numbers_are_quoted(target: tuple[AdapterFolder, Subject]) -> Iterator[Problem | Skip]:
    """Every text of the authors, by what it may hold.

    Checks: A measurement in a note comes from `{{ ... }}`, is part of code, or is in a sentence
        with a source: a link or a citation key. A measurement is a decimal (0.81, 1e-4), a
        percentage (81%, eighty percent), a fraction (49/50, 12 of 60), a factor (3x, 2-fold, 3
        times), `n = 50`, or a whole number before rows, activations, documents, samples or
        explanations. Not a measurement: other whole numbers, dates, and names such as v0.3, E2B,
        top-1 and Llama 3.1. Not code: a code span with only a number. Not a source: a link to the
        repository, its partner or its base. Blocks added by hand to README.md or
        RELEASE_CALIBRATION.md cannot quote, and need code or a source. Three places may type a
        measurement of calibration.json: `title` and `updates` of release.yaml, and entries of
        HISTORY.md that are unpublished or about this version. There it must be given in full or to
        3 decimals or more, and the sentence must share a word with the number's name. HISTORY.md
        may also type a number that an entry supersedes. Not checked: entries of HISTORY.md about
        another version, and sentences that name one. NLA514 checks that notes match their sources.
    Why: SolshineCode/nla-gemma-4-e2b shows the deviation 0.054 of v0.0.1 with the cosine of v0.1,
        says n = 10 where 50 were measured, and calls one share about 80, 95 and 97 per cent
        structural. A typed number does not change when the pair is measured again.
    Fix: Write `{{ calibration.cosine.mean | number }}` into the note and run `nla-release render`;
        the finding names the number to quote if it knows it. Write settings and versions as code,
        such as `lr=1e-4`. Link to the source of other people's numbers.
    Example: 0.893 is typed: write {{ calibration.cosine.mean | number }}
    Waive: For a measurement that this tool does not make, until it has a page to link to.
    """
    adapter, subject = target
    yield from check_authored(adapter, subject, lambda text: _typed(text, adapter))


def _typed(text: Authored, adapter: AdapterFolder) -> Iterator[Problem]:
    if text.kind == "note" and text.source is not None:
        yield from _typed_into_note(text, text.source, adapter)
        return
    others = set(entries(adapter.text(HISTORY_FILE))) - {adapter.manifest.tag}
    about = text.entry.record.about if text.entry and text.entry.record else None
    if about and tag(about) in others:
        return
    measured = list(_unsourced(text.text, adapter, others))
    allowed = [] if text.kind == "block" or not measured else _numbers(text, adapter)
    for sentence, literal in measured:
        words = _words(sentence)
        if not any(
            _is_exactly(literal, number) and (name is None or _shared(name, words))
            for name, number in allowed
        ):
            yield _problem(text, sentence, literal, adapter)


def _typed_into_note(text: Authored, source: str, adapter: AdapterFolder) -> Iterator[Problem]:
    try:
        words, constants = own_words(source)
    except ConfigError:
        return  # NLA514 reports that it cannot be rendered
    for line, shown in constants:
        message = f"{shown} is typed inside {{{{ }}}}: quote a number of {CALIBRATION_FILE}"
        yield Problem(text.at(line), message)
    others = set(entries(adapter.text(HISTORY_FILE))) - {adapter.manifest.tag}
    for sentence, literal in _unsourced(words, adapter, others):
        yield _problem(text, sentence, literal, adapter)
    for sentence in sentences(words):
        for glued in _GLUED.finditer(sentence.text):
            shown = glued[0].replace(QUOTED, "{{ }}")
            message = f"{shown} adds typed digits to a quoted number: {_ADVICE}"
            yield Problem(text.at(sentence.line_of(glued.start())), message)


def _unsourced(
    text: str, adapter: AdapterFolder, others: set[str]
) -> Iterator[tuple[Sentence, LiteralNumber]]:
    """Measurements in sentences that neither have a source nor name another version."""
    own = own_addresses(adapter)
    for sentence in sentences(text):
        named = {*_TAG.findall(" ".join([sentence.text, *sentence.links]))}
        if not (others & named or has_source(sentence, own)):
            measured = (each for each in literals(sentence.text) if each.measured)
            yield from ((sentence, literal) for literal in measured)


def _numbers(text: Authored, adapter: AdapterFolder) -> list[tuple[str | None, float]]:
    """What may be typed, each number with the name that the sentence has to share a word with.

    In HISTORY.md these are also the numbers of this version before an evidence update, and those
    that an entry supersedes or gives as its reason. A note of which nobody recorded the source was
    published by an earlier version, which did not ask for names.
    """
    allowed: list[tuple[str | None, float]] = list(numbers_of(adapter.calibration))
    if text.kind == "note":
        return [(None, value) for _, value in allowed]
    if text.kind != "entry":
        return allowed
    for addendum in adapter.addenda:
        allowed += numbers_of(addendum.former.calibration)
    for entry in adapter.log:
        if entry.record and (superseded := entry.record.supersedes):
            allowed.append((None, superseded.value))
    record = text.entry.record if text.entry else None
    for reason in (
        record.supersedes.reason if record and record.supersedes else "",
        record.withdraws.reason if record and record.withdraws else "",
    ):
        allowed += ((None, each.value) for each in literals(reason))
    return allowed


def numbers_of(calibration: Calibration) -> Iterator[tuple[str, float]]:
    """The numbers of a calibration by dotted name, the ends of an interval by their index."""
    for name, value in calibration.leaves().items():
        ends: Sequence[object] = value if isinstance(value, list) else [value]
        for place, number in enumerate(ends):
            if isinstance(number, int | float) and not isinstance(number, bool):
                yield f"{name}[{place}]" if isinstance(value, list) else name, float(number)


def _is_exactly(literal: LiteralNumber, number: float) -> bool:
    """Whether a literal writes a number, in full or to enough decimals to tell it from others."""
    size = abs(literal.value)
    if literal.kind == "fraction":
        return abs(size - abs(number)) <= 1e-6
    return abs(size - abs(number)) <= 1e-9 or (
        literal.decimals >= _DECIMALS
        and abs(size - abs(number)) <= 10.0**-literal.decimals / 2 + 1e-6
    )


def _problem(
    text: Authored, sentence: Sentence, literal: LiteralNumber, adapter: AdapterFolder
) -> Problem:
    quoted = _quotation(literal, _words(sentence), adapter.calibration)
    if text.kind == "note" and text.source is not None:
        wrong = f"is typed: write {quoted}" if quoted else f"is typed: {_ADVICE}"
    elif text.kind == "block":
        instead = quoted or "{{ ... }}"
        wrong = f"is typed: write {instead} in a note, or link to its source here"
    else:
        wrong = (
            f"is no number that {CALIBRATION_FILE} has, to {_DECIMALS} decimals, under a name"
            " in this sentence: correct it, write it as code, or link to its source"
        )
    return Problem(text.at(sentence.line_of(literal.start)), f"{literal.shown} {wrong}")


def _quotation(literal: LiteralNumber, words: str, calibration: Calibration) -> str | None:
    """How a note quotes the number that a literal writes: of several, what the sentence names."""
    numbers = list(numbers_of(calibration))

    def named(value: float) -> str | None:
        equal = (name for name, number in numbers if number == value)
        return max(equal, key=lambda name: _shared(name, words), default=None)

    if literal.fraction:
        part, whole = (named(each) for each in literal.fraction)
        quoted = f"{{{{ calibration.{part} }}}}/{{{{ calibration.{whole} }}}}"
        return quoted if part and whole else None
    if literal.kind == "count":
        name = named(literal.value)
        return f"{{{{ calibration.{name} }}}}" if name else None
    if literal.decimals < _LEAST_DECIMALS:
        return None
    equal = [name for name, value in numbers if literal.means(value) or literal.means(-value)]
    name = max(equal, key=lambda name: _shared(name, words), default=None)
    if name is None:
        return None
    if literal.kind == "percent":
        return f"{{{{ (100 * calibration.{name}) | round(1) }}}}%"
    return f"{{{{ calibration.{name} | number }}}}"


def _words(sentence: Sentence) -> str:
    """What a sentence says, with the name that a calibration has for the same: a row."""
    words = f"{sentence.label} {sentence.text}".lower()
    return f"{words} rows" if re.search(r"\b(activation|sample|explanation)s?\b", words) else words


def _shared(name: str, words: str) -> int:
    """How many words of a dotted name a sentence has."""
    return sum(part in words for part in _PART.findall(name) if part not in _GENERIC)
