"""This release beside others, which `compared_with` in release.yaml names.

`comparison.json` holds every figure, what it was computed from by hash, and what differs between
the releases. The block of RELEASE_CALIBRATION.md says the same: no figure of another release stands
there without what it is another in beside it.
"""

from pathlib import Path

from nla_release.calibration.compare import compare
from nla_release.calibration.comparison import Comparison, ComparisonFormat
from nla_release.calibration.comparison_text import comparison_markdown
from nla_release.calibration.evidence_folder import Evidence
from nla_release.calibration.measured import Measured, read_measured, sidecar_facts
from nla_release.contract.sidecar import Sidecar
from nla_release.errors import EvidenceError
from nla_release.io.files import read_json
from nla_release.io.schema import parse
from nla_release.release.folder import ROLES, Release, tag
from nla_release.release.manifest import FILE_NAME as MANIFEST_FILE_NAME
from nla_release.release.manifest import read_manifest
from nla_release.text.markdown import code_cell
from nla_release.text.numbers import count, interval, signed

FILE_NAME = "comparison.json"
COMPARISON = "comparison"
READERS = "readers"

_SAID_FIRST = (
    "A is this release. A cosine depends on what the activations of a layer share, and a fraction"
    " of variance on its denominator: where base, layer, precision or activations differ, the"
    " figures are of different things, and only what stands under common rows is compared. Every"
    " figure is in [comparison.json](comparison.json), with the hashes of the evidence that"
    " `nla-release compare` computes it from."
)


def compared(
    release: Release,
    version: str,
    evidence: Evidence,
    sidecars: list[Sidecar],
    format_: ComparisonFormat = 2,
) -> Comparison | None:
    """This release against those that release.yaml names; None when it names none.

    Args:
        release: whose release.yaml it is.
        version: of this release.
        evidence: of this release.
        sidecars: of both adapters.
        format_: 1 recomputes what an earlier version of this tool published.

    Raises:
        NothingCheckedError: one of them has no evidence.
        InputError: the evidence or a sidecar of one is damaged.
    """
    if not release.compared_with:
        return None
    facts = {name: value for each in sidecars for name, value in sidecar_facts(each).items()}
    others = [read_measured(folder, _name(folder)) for folder in release.compared_with]
    return compare([Measured(tag(version), evidence, facts), *others], format_)


def read_comparison(folder: Path) -> Comparison | None:
    """The comparison of a rendered repository, when it has one.

    Raises:
        InputError: it is damaged.
    """
    path = folder / FILE_NAME
    return parse(Comparison, read_json(path), path, error=EvidenceError) if path.exists() else None


def comparison_block(comparison: Comparison | None) -> dict[str, str]:
    """The block of RELEASE_CALIBRATION.md by its name; nothing when nothing is compared."""
    if comparison is None:
        return {}
    return {COMPARISON: f"{_SAID_FIRST}\n\n{comparison_markdown(comparison)}"}


def readers_block(comparison: Comparison | None) -> dict[str, str]:
    """The block of the cards: what each AR makes of the claims; nothing unless two were asked."""
    read = [
        (release, claims)
        for release, claims in zip(
            comparison.releases if comparison else (),
            comparison.claims if comparison else (),
            strict=False,
        )
        if claims is not None
    ]
    if len(read) < 2:
        return {}
    lines = [
        f"- {code_cell(release.name)}: mse {signed(claims.mse)} (95% CI"
        f" {interval(claims.mse_interval)}), FVE {signed(claims.fve)}"
        f" ({interval(claims.fve_interval)}), {count(claims.n, 'claim')}; top-1 retrieval"
        f" {release.retrieval.hits}/{release.retrieval.n}, chance 1/{release.retrieval.candidates}"
        for release, claims in read
    ]
    opening = (
        "**Claims, by reader.** Leaving one claim out of an explanation raises the error"
        " 2 (1 - cos) and lowers the FVE by these means. Paired differences are in"
        " [RELEASE_CALIBRATION.md](RELEASE_CALIBRATION.md)."
    )
    return {READERS: "\n".join([opening, "", *lines])}


def _name(folder: Path) -> str:
    """The repository and tag of what was published, the folder's name of anything else."""
    for place in (folder, folder / ROLES[0], folder / "dist" / ROLES[0]):
        if (place / MANIFEST_FILE_NAME).is_file():
            manifest = read_manifest(place)
            return f"{manifest.repo}@{manifest.published_tag}"
    return folder.resolve().name
