"""This release next to others: the previous version, and those that `compared_with` names.

`VersionComparison` has two versions of a pair, for a table and a figure. `comparison.json` has the
numbers of the releases in `compared_with`, the hashes of what they were computed from, and how the
releases differ. RELEASE_CALIBRATION.md shows the same numbers and differences.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.compare import compare, compare_two
from nla_release.calibration.comparison import (
    Comparison,
    ComparisonFormat,
    Paired,
    ReleaseFigures,
    side_by_side,
)
from nla_release.calibration.comparison_text import comparison_markdown
from nla_release.calibration.measured import Measured, read_measured, sidecar_facts
from nla_release.calibration.report import Calibration
from nla_release.cards.inputs import Inputs
from nla_release.contract.sidecar import Sidecar
from nla_release.errors import ConfigError, EvidenceError, InputError, one_line
from nla_release.evidence.parts import Evidence
from nla_release.history.log import read_history, read_log
from nla_release.io.files import read_json
from nla_release.io.layout import COMPARISON_FILE, HISTORY_FILE, MANIFEST_FILE
from nla_release.io.schema import parse
from nla_release.release.folder import ROLES, Release, tag
from nla_release.release.manifest import read_manifest
from nla_release.text.markdown import code_cell
from nla_release.text.numbers import count, interval, signed

COMPARISON = "comparison"

READERS = "readers"

_INTRODUCTION = (
    "A is this release. A cosine depends on what the activations of a layer have in common, and FVE"
    " on its denominator. Where base, layer, precision or activations differ, compare only the"
    " numbers under common rows. [comparison.json](comparison.json) has every number and the hashes"
    " of the evidence; `nla-release compare` computes them again."
)


def compared(
    release: Release,
    version: str,
    evidence: Evidence,
    sidecars: list[Sidecar],
    format_: ComparisonFormat = 2,
) -> Comparison | None:
    """This release against those in `compared_with` of release.yaml; None if it has none.

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


def comparison_block(comparison: Comparison | None) -> dict[str, str]:
    """The block of RELEASE_CALIBRATION.md by its name; nothing without a comparison."""
    if comparison is None:
        return {}
    return {COMPARISON: f"{_INTRODUCTION}\n\n{comparison_markdown(comparison)}"}


def readers_block(comparison: Comparison | None) -> dict[str, str]:
    """The block of the cards on what each AR reads from the claims; nothing for fewer than two."""
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


def read_comparison(folder: Path) -> Comparison | None:
    """The comparison of a rendered repository, when it has one.

    Raises:
        InputError: it is damaged.
    """
    path = folder / COMPARISON_FILE
    return parse(Comparison, read_json(path), path, error=EvidenceError) if path.exists() else None


def _name(folder: Path) -> str:
    """The repository and tag of a rendered release; otherwise the folder's name."""
    if (repository := _repository(folder)) is None:
        return folder.resolve().name
    manifest = read_manifest(repository)
    return f"{manifest.repo}@{manifest.published_tag}"


@dataclass(frozen=True)
class VersionComparison:
    """Two versions, each on its own rows, and both on the rows that they share.

    Attributes:
        versions: this version, then the previous one.
        link: address of the previous one on the Hub.
        paired: both on their common rows; None where they cannot be paired.
        reason: why they cannot.
    """

    versions: list[ReleaseFigures]
    link: str
    paired: Paired | None
    reason: str | None

    def plain(self) -> dict[str, Any]:
        """For a template."""
        return asdict(self) | {
            "versions": [each.model_dump(mode="json") for each in self.versions],
            "paired": self.paired.model_dump(mode="json") if self.paired else None,
        }


def compared_with_previous(inputs: Inputs, version: str) -> VersionComparison | None:
    """This version and the previous one; None without a previous version that was published.

    Evidence alone, such as that of a checkpoint, is not a version, nor is this one itself.

    Raises:
        ConfigError: HISTORY.md has no entry of the previous version.
        NothingCheckedError, InputError: the previous release cannot be read.
    """
    previous = inputs.release.previous
    if previous is None or (folder := _repository(previous)) is None:
        return None
    manifest = read_manifest(folder)
    if manifest.version == version:
        return None
    log = read_log(read_history(inputs.release.history) or "")
    if all(entry.tag != manifest.tag for entry in log):
        raise ConfigError(
            f"release.yaml: previous is {manifest.tag}, but {inputs.release.history} has no"
            " entry for it",
            hint=f"put the {HISTORY_FILE} of that version next to release.yaml",
        )
    before = read_measured(folder, manifest.tag)
    now = Measured(tag(version), inputs.evidence)
    found = compare_two(before, now)
    return VersionComparison(
        side_by_side([(now.name, inputs.calibration), (before.name, calibrate(before.evidence))]),
        f"https://huggingface.co/{manifest.repo}/tree/{manifest.published_tag}",
        *((found, None) if isinstance(found, Paired) else (None, found.reason)),
    )


def restated(plain: dict[str, Any], name: str, calibration: Calibration) -> VersionComparison:
    """The comparison from `VersionComparison.plain`, with this version's numbers computed again.

    Raises:
        InputError: `plain` is not such a comparison.
    """
    try:
        _, *others = plain["versions"]
        return VersionComparison(
            [*side_by_side([(name, calibration)]), *map(_version, others)],
            str(plain["link"]),
            Paired.model_validate_json(json.dumps(plain["paired"])) if plain["paired"] else None,
            plain["reason"],
        )
    except (ValueError, TypeError, LookupError) as error:
        raise InputError(f"stated.released is wrong: {one_line(error)}") from error


def _version(document: Any) -> ReleaseFigures:
    return ReleaseFigures.model_validate_json(json.dumps(document))


def _repository(folder: Path) -> Path | None:
    """The folder of a rendered AV: the folder itself, or one in it."""
    places = (folder, folder / ROLES[0], folder / "dist" / ROLES[0])
    return next((each for each in places if (each / MANIFEST_FILE).is_file()), None)
