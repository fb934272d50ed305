"""NLA5xx, fourth part: the log of a pair, and the numbers that it retracts."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from nla_release.cards.blocks import generated_blocks
from nla_release.cards.fragments import read_fragments
from nla_release.cards.history import Entry, Superseded, entries
from nla_release.cards.retractions import RETRACTING, retracted_block
from nla_release.files import read_text
from nla_release.prose.quantities import Quantity
from nla_release.prose.reader import Passage, read_prose
from nla_release.prose.retracted import restated
from nla_release.release import HISTORY_FILE_NAME, Release, tag
from nla_release.rules.adapter import CARD_FILE_NAME, Adapter, reading, regular_file
from nla_release.rules.model import Page, Problem, UnreadableError, rule
from nla_release.rules.prose import (
    CALIBRATION_PAGE_NAME,
    MAX_FINDINGS,
    MAX_PROSE,
    known_quantities,
)
from nla_release.rules.scopes import RENDERED
from nla_release.rules.subject import Subject


@rule(
    "NLA505",
    "error",
    "HISTORY.md is only appended to, and has this version",
    each=RENDERED,
    page=Page(
        checks="HISTORY.md of both repositories begins with the release's HISTORY.md as it was"
        " last published, byte for byte, and has an entry for this version; when it tells of"
        " older ones, that published log must be there. Every comment of ours in it records the"
        " entry under it, no two entries have one id, and what supersedes a number names a version"
        " of the log. Every fragment in history/ is in it as the file says.",
        why="SolshineCode/nla-gemma-4-e2b corrected its injection scale by a new entry that names"
        " the old one, which is why anyone can still follow what happened; a log edited in place"
        " cannot be trusted with a retraction.",
        fix="Restore the published text, and write what changed as a new entry that names what it"
        " supersedes: `nla-release history add` or `nla-release history retract`, then render.",
        example="does not begin with the history as last published",
        waive="Never: not even for a typing mistake.",
    ),
)
def history_appended(subject: Subject) -> Iterator[Problem]:
    """Bytes against the release's log, the log in itself, and fragments against both."""
    release = subject.release
    published = release.history if release and release.history.exists() else None
    for adapter in subject.rendered:
        path, text = adapter.folder / HISTORY_FILE_NAME, adapter.text(HISTORY_FILE_NAME)
        if published is not None:
            with reading(published, "NLA505"):
                before = published.read_bytes()
            if not path.read_bytes().startswith(before):
                yield Problem(path, "does not begin with the history as last published")
        told = entries(text)
        if adapter.manifest.tag not in told:
            yield Problem(path, f"has no entry for {adapter.manifest.tag}")
        elif release and published is None and (older := told.keys() - {adapter.manifest.tag}):
            yield Problem(
                path,
                f"tells of {', '.join(sorted(older))}, and the {HISTORY_FILE_NAME} that was"
                " published with it does not lie beside release.yaml to compare with",
            )
        yield from _pointing_nowhere(path, adapter.log)
        if release:
            yield from _fragments_left_out(release, path, adapter.log)


@rule(
    "NLA510",
    "error",
    "no retracted number is shown",
    each=RENDERED,
    page=Page(
        checks="No sentence or table of README.md, RELEASE_CALIBRATION.md or a note of the release"
        " shows a number that HISTORY.md retracts, at any precision, where it names the metric."
        " The generated list of retracted numbers and sentences that say so (retracted,"
        " superseded, corrected) do not count, nor does a number that this version's own"
        " calibration.json gives for that metric, unless the sentence names the other version."
        " RELEASE_CALIBRATION.md holds the list.",
        why="A gain of 54 per cent in SolshineCode/nla-gemma-4-e2b came of evaluating at another"
        " injection scale than was trained at, and was withdrawn by hand. The cards, README and"
        " HISTORY of that repository disagree about other numbers already: what is withdrawn in one"
        " document stays in the next, and most readers see the card alone.",
        fix="Take the number out of the note, or say in the same sentence that it was retracted;"
        " then render. When it is this version's own number, measure again and render the next.",
        example="shows 0.438, the cosine.mean of v0.0.1 that HISTORY.md retracts",
        waive="When a number of something else happens to be the same: say which in the reason.",
    ),
)
def nothing_retracted_shown(subject: Subject) -> Iterator[Problem]:
    """Both documents of each repository, then the notes that they are made from."""
    for adapter in subject.rendered:
        page = regular_file(adapter.folder / CALIBRATION_PAGE_NAME, "NLA701")
        with reading(page, "NLA510"):
            text = read_text(page)
            listed = generated_blocks(text).get(RETRACTING)
        if listed != retracted_block(adapter.log).get(RETRACTING):
            yield Problem(page, f"does not list the retracted numbers of {HISTORY_FILE_NAME}")
        card = adapter.text(CARD_FILE_NAME)
        yield from _still_shown(adapter, adapter.folder / CARD_FILE_NAME, card)
        yield from _still_shown(adapter, page, text)
    notes = subject.release.notes if subject.release else None
    for path in sorted(notes.glob("*.md")) if notes else ():
        note = regular_file(path, "NLA510")
        with reading(note, "NLA510"):
            yield from _still_shown(subject.rendered[0], note, read_text(note))


def _pointing_nowhere(path: Path, log: Sequence[Entry]) -> Iterator[Problem]:
    """Entries that supersede a number of a version that the log does not know."""
    tags = {entry.tag for entry in log}
    for entry in log:
        superseded = entry.record.supersedes if entry.record else None
        if superseded and tag(superseded.version) not in tags:
            its_tag = tag(superseded.version)
            yield Problem(path, f"the entry of {entry.day} supersedes {its_tag}, which has none")


def _fragments_left_out(release: Release, path: Path, log: Sequence[Entry]) -> Iterator[Problem]:
    rendered = {entry.record.id: entry.record.source for entry in log if entry.record}
    with reading(release.fragments, "NLA505"):
        fragments = read_fragments(release.fragments)
    for fragment in fragments:
        source = rendered.get(fragment.record.id)
        if source is None:
            yield Problem(fragment.path, f"is not in {path} yet: render again")
        elif source != fragment.record.source:
            yield Problem(fragment.path, f"was edited after it went into {path}")


def _still_shown(adapter: Adapter, path: Path, markdown: str) -> Iterator[Problem]:
    """The retracted numbers in one document, the first few of them.

    In a document of the version that a number was retracted of, the generated one is that number.
    In one of another version it is that version's own, which NLA502 holds to the calibration.
    """
    retracted = [
        entry.record.supersedes for entry in adapter.log if entry.record and entry.record.supersedes
    ]
    if not retracted:
        return
    if len(markdown) > MAX_PROSE:
        raise UnreadableError("NLA508", path, f"holds more prose than {MAX_PROSE} characters")
    here = [each for each in retracted if each.version == adapter.manifest.version]
    elsewhere = [each for each in retracted if each not in here]
    shown = itertools.chain(
        _shown(path, read_prose(markdown, skip_generated=False), here, ()),
        _shown(
            path, read_prose(markdown, skip_generated=True), elsewhere, known_quantities(adapter)
        ),
    )
    yield from itertools.islice(shown, MAX_FINDINGS)


def _shown(
    path: Path,
    prose: Iterable[Passage],
    retracted: Sequence[Superseded],
    own: Collection[Quantity],
) -> Iterator[Problem]:
    for passage in prose:
        for line, literal, superseded in restated(passage, retracted, own):
            yield Problem(
                f"{path}:{line}",
                f"shows {literal.shown}, the {superseded.metric} of {tag(superseded.version)} that"
                f" {HISTORY_FILE_NAME} retracts",
            )
