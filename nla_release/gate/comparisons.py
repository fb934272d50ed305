"""NLA616 to NLA618: the previous version of a release, its evidence updates, and other releases."""

from collections.abc import Iterator
from pathlib import Path

from nla_release.calibration.calibrate import calibrate, format_of
from nla_release.calibration.compare import compare_two
from nla_release.calibration.comparison import Comparison, ComparisonFormat, Unpaired, side_by_side
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.calibration.measured import Measured, read_measured
from nla_release.cards.compared import compared
from nla_release.errors import ConfigError
from nla_release.gate.adapter_folder import AdapterFolder, reading
from nla_release.gate.evidence import not_as_computed
from nla_release.gate.findings import Problem, Skip, UnreadableError
from nla_release.gate.model import MEASUREMENTS, RELEASES, RENDERED, SUBJECT, rule
from nla_release.gate.subject import Subject
from nla_release.history.updates import (
    EvidenceUpdate,
    changed_files,
    contradictions,
    missing_from,
    not_added,
)
from nla_release.io.layout import (
    ADDENDA_FOLDER,
    CALIBRATION_FILE,
    COMPARISON_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    RELEASE_FILE,
)
from nla_release.release.folder import Release
from nla_release.release.manifest import FileRecord, record_files
from nla_release.text.numbers import interval, listed, number, signed


@rule("NLA616", "error", "the release is not worse than the previous one", each=SUBJECT)
def no_regression(subject: Subject) -> Iterator[Problem | Skip]:
    """The previous release's evidence, row against row.

    Checks: On the activations that both releases measured, the 95% CI of the centred cosine of this
        release minus that of the previous one (paired by row, clustered by document) is not below
        0. If their reference sets differ, the plain cosine is used. `previous` in release.yaml
        names the folder of the previous release, of its evidence, or of one of its repositories,
        and not this release's own evidence.
    Why: SolshineCode/gpu-poor-nla compares 9 hits of 580 with 3 of 580 for another model and calls
        one significant and the other not. That is no comparison: as independent counts they do not
        differ (Fisher p = 0.14). Pairing the same rows separates a loss from noise.
    Fix: Run `nla-release compare PREVIOUS .`, look at the rows that got worse, and release the
        better checkpoint. If this one is better at something else, say so on the card.
    Example: worse than the previous release (../v0.0.1): cosine 0.706 against 0.878, difference
        -0.172, 95% CI -0.195 to -0.148, n = 60 rows of 12 documents
    Waive: For a release that gives up some cosine on purpose, for example for texts that are easier
        to read; its card says so.
    """
    release = subject.release
    if release is None or release.previous is None:
        yield Skip("release.yaml names no `previous` release" if release else RELEASES.absent)
        return
    if not subject.measurements:
        yield Skip(MEASUREMENTS.absent)
        return
    measurement = subject.measurements[0]
    before = _previous(release.previous, str(release.config.previous))
    if before.evidence.run_sha256 == measurement.evidence.run_sha256:
        yield Problem(
            release.folder / RELEASE_FILE,
            f"previous is {before.name}, which holds the evidence of this release itself",
        )
        return
    found = compare_two(before, Measured("this release", measurement.evidence))
    if isinstance(found, Unpaired):
        yield Skip(f"{before.name} cannot be compared: {found.reason}")
        return
    leading, asked = found.figures[0], f"{found.rows} rows of {found.documents} documents"
    if found.verdict == "inconclusive" or leading.interval is None:
        yield Skip(f"only {asked} are in {before.name} and this release, too few to compare")
    elif found.verdict == "worse":
        yield Problem(
            measurement.evidence_folder,
            f"worse than the previous release ({before.name}): {leading.name}"
            f" {number(leading.second)} against {number(leading.first)}, difference"
            f" {signed(leading.difference)}, 95% CI {interval(leading.interval)}, n = {asked}",
        )


def _previous(folder: Path, name: str) -> Measured:
    try:
        with reading(folder, "NLA616"):
            return read_measured(folder, name)
    except ConfigError as error:
        raise UnreadableError("NLA616", folder, error.message) from error


@rule("NLA617", "error", "evidence updates and superseded numbers are unchanged", each=RENDERED)
def addenda_kept(subject: Subject) -> Iterator[Problem]:
    """Each repository by itself, then the first against the other and release.yaml's folder.

    Checks: The evidence updates (addenda/) in both repositories are the same, numbered without a
        gap, in the order of their dates, and have the hashes that HISTORY.md records. With
        release.yaml, they match addenda/ next to it. Each one supersedes what the one before it
        added, and the last one added the current evidence. Adapters, head, configurations and
        sidecars are the files that each update was made for. Superseded evidence is kept complete,
        and its numbers follow from it.
    Why: SolshineCode/nla-gemma-4-e2b extended its calibration from n = 10 to n = 50 by dated
        addenda to a public card. A reader who cites the first number must still find it, see that
        it was superseded, and know that the weights are the same.
    Fix: Restore addenda/ as it was published, and run `nla-release render`. Add new measurements
        with `nla-release calibrate --addendum "..."`.
    Example: cal.1.json is not as HISTORY.md tells
    Waive: Never: a published number is superseded, not replaced.
    """
    first, *others = subject.rendered
    for adapter in subject.rendered:
        yield from _in_itself(adapter)
    for addendum in first.addenda:
        yield from _not_recomputed(first, addendum)
    kept = _kept(first)
    for other in others:
        if _kept(other) != kept:
            yield Problem(
                other.folder / ADDENDA_FOLDER, f"differs from {first.folder / ADDENDA_FOLDER}"
            )
    if subject.release:
        yield from _against_ours(subject.release, first, kept)


def _in_itself(adapter: AdapterFolder) -> Iterator[Problem]:
    addenda, manifest = adapter.addenda, adapter.manifest
    folder, history = adapter.folder / ADDENDA_FOLDER, adapter.folder / HISTORY_FILE
    for sentence in contradictions(adapter.log, manifest.version, addenda):
        yield Problem(folder, sentence)
    for each in missing_from(adapter.log, addenda):
        yield Problem(history, f"has no entry for {each.record.tag}")
    if addenda and (why := not_added(addenda, manifest.version, adapter.calibration.evidence)):
        yield Problem(folder, why)
    for name in changed_files(addenda, manifest):
        yield Problem(
            adapter.folder / MANIFEST_FILE,
            f"{name} is not the file that the evidence updates measured",
        )


def _not_recomputed(adapter: AdapterFolder, update: EvidenceUpdate) -> Iterator[Problem]:
    folder = adapter.folder / ADDENDA_FOLDER / update.record.former_name
    former = update.former.calibration
    with reading(folder, "NLA617"):
        recomputed = calibrate(read_evidence(folder / "evidence"), format_of(former.schema_))
    if differing := not_as_computed(former, recomputed):
        yield Problem(folder / CALIBRATION_FILE, listed(differing))


def _kept(adapter: AdapterFolder) -> dict[str, FileRecord]:
    """Every file of a repository's addenda, by its path in their folder."""
    prefix = f"{ADDENDA_FOLDER}/"
    return {
        name.removeprefix(prefix): record
        for name, record in adapter.manifest.files.items()
        if name.startswith(prefix)
    }


def _against_ours(
    release: Release, adapter: AdapterFolder, kept: dict[str, FileRecord]
) -> Iterator[Problem]:
    ours = release.addenda(adapter.manifest.version)
    with reading(ours, "NLA617"):
        found = record_files(ours)
    if found != kept:
        yield Problem(ours, f"differs from {adapter.folder / ADDENDA_FOLDER}: render again")


@rule("NLA618", "error", "comparisons match the evidence of both releases", each=RENDERED)
def comparisons_recomputed(subject: Subject) -> Iterator[Problem]:
    """Each repository against its own calibration, then against the releases themselves.

    Checks: The figures of this release in comparison.json are those of its calibration.json and
        come from the same evidence. With release.yaml, the releases in `compared_with` are compared
        again, and every figure and every differing setting is the same. A comparison of format 1 is
        computed by the rules of its format.
    Why: SolshineCode/nla-gemma-4-e2b compares its 2B pair with an NLA of a 27B model, of another
        layer, precision and training, and has to warn that these effects compound. The card must
        show what differs next to the figure, and the figure must be the published one.
    Fix: Run `nla-release render` again, with the compared releases at the paths that release.yaml
        names.
    Example: is not what release.yaml's compared_with gives: render again
    Waive: Never: other people's numbers are quoted as they published them.
    """
    first = subject.rendered[0]
    format_ = first.comparison.schema_ if first.comparison else 2
    expected = _recomputed(subject, format_)
    for adapter in subject.rendered:
        path, found = adapter.folder / COMPARISON_FILE, adapter.comparison
        if found:
            own = side_by_side([(found.releases[0].name, adapter.calibration)])
            same = found.releases[0].model_dump() == own[0].model_dump()
            if found.evidence[0] != adapter.calibration.evidence or not same:
                yield Problem(path, "has other numbers of this release than calibration.json")
                continue
        if subject.release and _plain(found) != _plain(expected):
            yield Problem(path, "is not what release.yaml's compared_with gives: render again")


def _recomputed(subject: Subject, format_: ComparisonFormat) -> Comparison | None:
    release, adapter = subject.release, subject.rendered[0]
    if release is None or not release.compared_with:
        return None
    with reading(release.folder, "NLA618"):
        evidence = read_evidence(adapter.folder / "evidence")
        sidecars = [each.sidecar for each in subject.trained]
        return compared(release, adapter.manifest.version, evidence, sidecars, format_)


def _plain(comparison: Comparison | None) -> dict[str, object] | None:
    """Everything except the version of the tool that wrote it."""
    return comparison.model_dump(exclude={"tool_version"}) if comparison else None
