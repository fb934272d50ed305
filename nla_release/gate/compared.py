"""NLA618: what is said of other releases."""

from collections.abc import Iterator

from nla_release.calibration.comparison import Comparison, ComparisonFormat, side_by_side
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.cards.compared import FILE_NAME, compared
from nla_release.gate.adapter import Adapter, reading
from nla_release.gate.findings import Page, Problem
from nla_release.gate.model import RENDERED, rule
from nla_release.gate.subject import Subject
from nla_release.release.folder import Release


@rule(
    "NLA618",
    "error",
    "comparisons with other releases are of this evidence, and of theirs",
    each=RENDERED,
    page=Page(
        checks="The figures of this release in comparison.json are those of its calibration.json,"
        " and of the same evidence. With release.yaml, the releases that `compared_with` names are"
        " compared again, and every figure and every setting that differs is the same. A comparison"
        " of format 1, which earlier versions published, is computed by the rules of its format.",
        why="SolshineCode/nla-gemma-4-e2b sets its 2B pair beside an NLA of a 27B model, of another"
        " layer, precision and training, and has to warn that these effects compound. What differs"
        " must stand beside the figure, and the figure must be the one that was published.",
        fix="Run `nla-release render` again, with the releases that release.yaml names where it"
        " says they are.",
        example="is not what release.yaml's compared_with gives: render again",
        waive="Never: numbers of others are theirs.",
    ),
)
def comparisons_stand(subject: Subject) -> Iterator[Problem]:
    """Each repository against its own calibration, then against the releases themselves."""
    first = subject.rendered[0]
    format_ = first.comparison.schema_ if first.comparison else 2
    expected = _recomputed(subject.release, first, format_) if subject.release else None
    for adapter in subject.rendered:
        path, found = adapter.folder / FILE_NAME, adapter.comparison
        if found:
            own = side_by_side([(found.releases[0].name, adapter.calibration)])
            same = found.releases[0].model_dump() == own[0].model_dump()
            if found.evidence[0] != adapter.calibration.evidence or not same:
                yield Problem(path, "is of other numbers of this release than calibration.json")
                continue
        if subject.release and _plain(found) != _plain(expected):
            yield Problem(path, "is not what release.yaml's compared_with gives: render again")


def _recomputed(release: Release, adapter: Adapter, format_: ComparisonFormat) -> Comparison | None:
    if not release.compared_with:
        return None
    with reading(release.folder, "NLA618"):
        evidence = read_evidence(adapter.folder / "evidence")
        sidecars = [each.sidecar for each in _both(release)]
        return compared(release, adapter.manifest.version, evidence, sidecars, format_)


def _both(release: Release) -> list[Adapter]:
    return [Adapter(role, release.adapter(role), rendered=False) for role in ("av", "ar")]


def _plain(comparison: Comparison | None) -> dict[str, object] | None:
    """All but the version of the tool that wrote it."""
    return comparison.model_dump(exclude={"tool_version"}) if comparison else None
