"""NLA505 and NLA510: HISTORY.md as an append-only log, and the numbers that it retracts."""

import itertools
import re
import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from nla_release.cards.blocks import generated_blocks
from nla_release.gate.adapter_folder import AdapterFolder, read_file, reading, regular_file
from nla_release.gate.authored import (
    MAX_FINDINGS,
    MAX_PROSE,
    Authored,
    check_authored,
    check_length,
    lines_before,
)
from nla_release.gate.findings import Problem, Skip, UnreadableError
from nla_release.gate.model import RENDERED, rule
from nla_release.gate.subject import Subject
from nla_release.gate.typed_numbers import numbers_of
from nla_release.history.fragments import Fragment, fragment_files, read_fragment
from nla_release.history.log import HistoryEntry, SupersededNumber, entries, read_history, read_log
from nla_release.history.retractions import RETRACTED, retracted_block
from nla_release.io.files import read_text
from nla_release.io.layout import (
    CALIBRATION_FILE,
    CALIBRATION_PAGE_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    RUN_FILE,
)
from nla_release.release.folder import ROLES, Release, tag
from nla_release.release.manifest import read_manifest
from nla_release.text.literals import LiteralNumber, literals
from nla_release.text.sentences import Sentence, sentences
from nla_release.text.visible import hiding


@rule(
    "NLA505",
    "error",
    "HISTORY.md is only appended to, and has an entry for this version",
    each=RENDERED,
)
def history_appended(subject: Subject) -> Iterator[Problem]:
    """Compare with earlier logs, then the entries with each other and with the fragments.

    Checks: HISTORY.md in both repositories begins, byte for byte, with the HISTORY.md that was last
        published. If release.yaml names a `previous` release with more than its evidence, the same
        holds for its HISTORY.md. If these already have an entry for this version, it is published,
        and its log may be a prefix of theirs. HISTORY.md has an entry for this version and for the
        previous one; if it has older entries, the published log must be there. Each generated
        comment records the entry below it, ids are unique, and an entry that supersedes a number
        names a version in the log. No entry holds raw HTML or an unclosed fence, which would hide
        later entries. Every fragment in history/ is included unchanged.
    Why: SolshineCode/nla-gemma-4-e2b corrected its injection scale with a new entry that names the
        old one, so anyone can still follow what happened. A log that is edited in place cannot be
        trusted with a retraction.
    Fix: Restore the published text. Write the change as a new entry with `nla-release history add`
        or `nla-release history retract`, then run `nla-release render`.
    Example: does not begin with the history as last published
    Waive: Never: not even for a typing mistake.
    """
    release = subject.release
    published = _published(release.history) if release else None
    previous = _log_of(release.previous) if release and release.previous else None
    for adapter in subject.rendered:
        path, text = adapter.folder / HISTORY_FILE, adapter.text(HISTORY_FILE)
        with reading(path, "NLA505"):
            log = read_text(path, newline="")
        if published and not (log.startswith(published) or _continues(published, log, adapter)):
            yield Problem(path, "does not begin with the history as last published")
        known = entries(text)
        if adapter.manifest.tag not in known:
            yield Problem(path, f"has no entry for {adapter.manifest.tag}")
        elif previous:
            yield from _not_continued(adapter, log, previous, release)
        elif release and published is None and (older := known.keys() - {adapter.manifest.tag}):
            yield Problem(
                path,
                f"has entries for {', '.join(sorted(older))}, but there is no published"
                f" {HISTORY_FILE} next to release.yaml to compare with",
            )
        yield from _unknown_versions(path, adapter.log)
        yield from _hiding(adapter, path)
        if release:
            yield from _fragments_left_out(release, path, adapter.log, published or "")


def _published(path: Path) -> str | None:
    with reading(path, "NLA505"):
        return read_history(path)


def _log_of(previous: Path) -> Path | None:
    """The log of the previous release, preferably as rendered; None if there is none."""
    places = [previous / "dist" / ROLES[0], previous / ROLES[0], previous]
    if (previous / RUN_FILE).exists():
        places.append(previous.parent)
    return next((log for each in places if (log := each / HISTORY_FILE).exists()), None)


def _continues(published: str, log: str, adapter: AdapterFolder) -> bool:
    """Whether the published log has this version and continues after it."""
    return published.startswith(log) and adapter.manifest.tag in entries(published)


def _not_continued(
    adapter: AdapterFolder, log: str, previous: Path, release: Release | None
) -> Iterator[Problem]:
    """Where a log does not continue that of the previous release."""
    path = adapter.folder / HISTORY_FILE
    with reading(previous, "NLA505"):
        before = read_history(previous) or ""
        repository = (previous.parent / MANIFEST_FILE).exists()
        its_tag = read_manifest(previous.parent).tag if repository else None
    if not (log.startswith(before) or _continues(before, log, adapter)):
        here = f" {shlex.quote(str(release.history))}" if release else ""
        yield Problem(
            path,
            f"does not begin with the history of the previous release, {previous}; if that has new"
            f" entries: `cp {shlex.quote(str(previous))}{here}`, then render"
            f" {adapter.manifest.tag} again",
        )
    elif its_tag and its_tag not in entries(log):
        yield Problem(path, f"has no entry for {its_tag}, the previous release")


def _unknown_versions(path: Path, log: Sequence[HistoryEntry]) -> Iterator[Problem]:
    """Entries that supersede a number of a version without an entry."""
    tags = {entry.tag for entry in log}
    for entry in log:
        superseded = entry.record.supersedes if entry.record else None
        if superseded and tag(superseded.version) not in tags:
            its_tag = tag(superseded.version)
            yield Problem(
                path, f"the entry of {entry.day} supersedes {its_tag}, which has no entry"
            )


def _hiding(adapter: AdapterFolder, path: Path) -> Iterator[Problem]:
    """Entries that hide later ones when the page is displayed."""
    for entry in adapter.log:
        prose = entry.text.partition("\n")[2] if entry.record else entry.text
        if len(prose) > MAX_PROSE:
            raise UnreadableError(
                "NLA505", path, f"has an entry of more than {MAX_PROSE} characters"
            )
        if what := hiding(prose):
            line = lines_before(adapter, entry) + 1
            yield Problem(f"{path}:{line}", f"has an entry with {what}, which hides what follows")


def _fragments_left_out(
    release: Release, path: Path, log: Sequence[HistoryEntry], published: str
) -> Iterator[Problem]:
    rendered = {entry.record.id: entry.record.source for entry in log if entry.record}
    last = {entry.record.id for entry in read_log(published) if entry.record}
    for fragment in _fragments(release):
        source = rendered.get(fragment.record.id)
        if source is None:
            yield Problem(fragment.path, f"is not in {path} yet: render again")
        elif source == fragment.record.source:
            continue
        elif fragment.record.id in last:
            yield Problem(fragment.path, f"was edited after it was published in {path}")
        else:
            yield Problem(fragment.path, f"was edited after {path} was rendered: render again")


def _fragments(release: Release) -> Iterator[Fragment]:
    with reading(release.fragments, "NLA505"):
        paths = fragment_files(release.fragments)
    for path in paths:
        with reading(path, "NLA505"):
            yield read_fragment(path)


# A sentence that reports a retraction, and does not deny it.
_REPORTS = re.compile(r"\b(?:retract|supersed|withdr[ae]w|corrected\s(?:to|from)\b)", re.IGNORECASE)
_DENIES = re.compile(r"\b(?:not?|never|nor|neither|none|nothing)\b|n['’]t\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{3,}")

# With fewer decimals a number equals others by chance: 0.4 does not identify 0.438.
_DECIMALS = 2


@rule("NLA510", "error", "no retracted number is shown", each=RENDERED)
def nothing_retracted_shown(subject: Subject) -> Iterator[Problem | Skip]:
    """The list, the calibration and the texts of people in each repository, then the notes.

    Checks: RELEASE_CALIBRATION.md lists every number that HISTORY.md retracts. calibration.json
        holds no retracted number under the same name for its own version or the same evidence. No
        text of the authors shows a retracted value, rounded to 2 decimals or more; with fewer
        decimals it counts only if the sentence names the version or a word of the metric. The
        authors' texts are the notes, `title` and `updates` of release.yaml, blocks added by hand,
        and the entries of HISTORY.md that are about this version or not published yet. Exempt are
        the entry that retracts the number, a sentence that links to HISTORY.md or says without a
        negation that a number is retracted, superseded, withdrawn or corrected to another, and a
        number that this version's calibration.json also has, unless the sentence names the other
        version.
    Why: A gain of 54 per cent in SolshineCode/nla-gemma-4-e2b came from evaluating at another
        injection scale than was used for training, and was retracted by hand. A number that is
        retracted in one document of that repository still appears in the next, and most readers see
        only the card.
    Fix: Remove the number from the note, or link to HISTORY.md in the same sentence. Then run
        `nla-release render`. If it is this version's own number, measure again and render the next
        version.
    Example: shows 0.438, the cosine.mean of v0.0.1 that HISTORY.md retracts
    Waive: If an unrelated number happens to be the same: name it in the reason.
    """
    for adapter in subject.rendered:
        page = regular_file(adapter.folder / CALIBRATION_PAGE_FILE, "NLA701")
        blocks = read_file(page, "NLA510", lambda path: generated_blocks(read_text(path)))
        if blocks.get(RETRACTED) != retracted_block(adapter.log).get(RETRACTED):
            yield Problem(page, f"does not list the retracted numbers of {HISTORY_FILE}")
        if _retracted(adapter):
            yield from _own(adapter)
            yield from check_authored(adapter, subject, partial(_in, adapter))
    notes = subject.release.notes if subject.release else None
    stated = subject.rendered[0].manifest.stated
    rendered = stated.notes if stated else {}
    for path in sorted(notes.glob("*.md")) if notes else ():
        text = read_file(path, "NLA510", read_text)
        check_length(path, text)
        if text.strip() != rendered.get(path.stem):  # it was edited since, or quotes numbers
            yield from itertools.islice(
                _in(subject.rendered[0], Authored("note", path, text)), MAX_FINDINGS
            )


def _retracted(adapter: AdapterFolder, but: Authored | None = None) -> list[SupersededNumber]:
    """The numbers that the log retracts, without those of the entry that is being checked."""
    own = but.entry if but else None
    return [
        entry.record.supersedes
        for entry in adapter.log
        if entry is not own and entry.record and entry.record.supersedes
    ]


def _is_own(superseded: SupersededNumber, adapter: AdapterFolder) -> bool:
    """Whether the retracted number is one of this version or of its evidence."""
    version, run = adapter.manifest.version, adapter.calibration.evidence.run_sha256
    return superseded.version == version or superseded.run_sha256 == run


def _own(adapter: AdapterFolder) -> Iterator[Problem]:
    """Retracted numbers that calibration.json still has, and generated blocks show."""
    numbers = list(numbers_of(adapter.calibration))
    for each in _retracted(adapter):
        if _is_own(each, adapter) and any(
            name.partition("[")[0] == each.metric and each.writes(value) for name, value in numbers
        ):
            yield Problem(adapter.folder / CALIBRATION_FILE, _message(each.shown, each))


def _in(adapter: AdapterFolder, text: Authored) -> Iterator[Problem]:
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
    superseded: SupersededNumber,
    own: Sequence[float],
    adapter: AdapterFolder,
) -> bool:
    """Whether a literal is a retracted number that this version does not have itself."""
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
    """Whether a sentence says that a number is retracted, or links to HISTORY.md."""
    if any(HISTORY_FILE in link for link in sentence.links):
        return True
    return bool(_REPORTS.search(sentence.text)) and not _DENIES.search(sentence.text)


def _names_version(sentence: Sentence, superseded: SupersededNumber) -> bool:
    named = rf"(?<![\w.]){re.escape(tag(superseded.version))}(?!\w|[.+]\w)"
    return re.search(named, f"{sentence.label} {sentence.text}") is not None


def _names_metric(sentence: Sentence, superseded: SupersededNumber) -> bool:
    words = set(_WORD.findall(f"{sentence.label} {sentence.text}".lower()))
    return not words.isdisjoint(_WORD.findall(superseded.metric.lower()))


def _message(shown: str, superseded: SupersededNumber) -> str:
    number = f"{shown}, the {superseded.metric} of {tag(superseded.version)}"
    return f"shows {number} that {HISTORY_FILE} retracts"
