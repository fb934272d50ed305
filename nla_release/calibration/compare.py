"""Comparing releases on the rows that they have in common.

A row is common when its id, its document and its activation, to the last bit, are the same. Then
the releases can be compared row by row, which is far more precise than comparing two intervals.
Where no row is common, nothing is subtracted.

Differences are `second - first`, with intervals clustered by document. Retrieval also has a p
value, from flipping the signs of the differences of whole documents. Format 1 used the exact
McNemar test, which treats rows as independent and rejects 16 to 57% of the time between equally
good releases whose hits agree within documents. Published comparisons of that format are still
recomputed so.

Source: McNemar, Psychometrika 12 (1947), for format 1; sign flips, `clustered.sign_flip_p`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import get_args

import numpy as np
import numpy.typing as npt

from nla_release import __version__
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.comparison import (
    ClaimsRead,
    Comparison,
    ComparisonFormat,
    Paired,
    PairedFigure,
    PairedRetrieval,
    PairedVerdict,
    Relation,
    Unpaired,
    side_by_side,
)
from nla_release.calibration.measured import Measured
from nla_release.calibration.report import CONTROL_NAMES
from nla_release.diagnostics import claims
from nla_release.evidence import controls
from nla_release.evidence.parts import Evidence, first_with_text
from nla_release.evidence.records import TextCondition
from nla_release.evidence.settings import differing
from nla_release.statistics.blocks import BOOTSTRAP, NO_VARIANCE, too_few
from nla_release.statistics.clustered import sign_flip_p
from nla_release.statistics.formulas import Floats
from nla_release.statistics.measures import FORMAT_2, FORMAT_3, Measures
from nla_release.statistics.places import retrieved

_CONTROLS: tuple[controls.Answer, ...] = tuple(
    dict.fromkeys((*CONTROL_NAMES, *get_args(TextCondition)))
)

# Settings that must agree for two measurements to have a row in common.
_DECISIVE = ("base", "base revision", "layer", "evaluation data")


def compare(releases: Sequence[Measured], format_: ComparisonFormat = 2) -> Comparison:
    """Compare every release with the first, on their common rows.

    Args:
        releases: two or more.
        format_: 1 only recomputes what an earlier version of this tool published.
    """
    measures = FORMAT_2 if format_ == 1 else FORMAT_3
    first, *others = releases
    results = [compare_two(first, other, measures) for other in others]
    calibrations = [calibrate(each.evidence, 2 if format_ == 1 else 3) for each in releases]
    read = [_claims_read(each.evidence) for each in releases] if format_ > 1 else []
    return Comparison(
        schema_=format_,
        tool_version=__version__,
        bootstrap=BOOTSTRAP,
        evidence=[each.evidence for each in calibrations],
        releases=side_by_side(
            [(each.name, found) for each, found in zip(releases, calibrations, strict=True)]
        ),
        claims=read if any(read) else [],
        differing=differing([each.settings for each in releases]),
        against_first=results,
        multiplicity=_multiplicity([each for each in results if isinstance(each, Paired)]),
    )


def compare_two(
    first: Measured, second: Measured, measures: Measures = FORMAT_3
) -> Paired | Unpaired:
    """Compare the second release with the first; or the reason why it is not possible."""
    one, other = _common(first.evidence, second.evidence)
    if not len(one):
        reason = _why_nothing_is_common(first, second)
        return Unpaired(first=first.name, second=second.name, reason=reason)
    sides = (
        _Side(first.evidence, one, measures),
        _Side(second.evidence, other, measures),
    )
    figures, left_out = _figures(*sides, measures)
    if measures.clustered:
        figures += _claim_figures(*sides) + _source_figures(*sides)
    return Paired(
        first=first.name,
        second=second.name,
        relation=_relation(*sides),
        rows=len(one),
        documents=len(set(sides[0].documents)),
        only_first=len(first.evidence.rows) - len(one),
        only_second=len(second.evidence.rows) - len(one),
        first_failed=int(sides[0].failed.sum()),
        second_failed=int(sides[1].failed.sum()),
        figures=figures,
        left_out=left_out,
        retrieval=_retrieval(*sides, measures),
        verdict=_verdict(figures[0], sides[0].documents),
    )


class _Side:
    """The common rows of one release, in the order of their ids."""

    def __init__(
        self, evidence: Evidence, positions: npt.NDArray[np.intp], measures: Measures
    ) -> None:
        self.evidence = evidence
        self.positions = positions
        self.documents = [evidence.rows[at].document for at in positions]
        self.texts = [evidence.rows[at].explanation for at in positions]
        self.failed = evidence.failed("real")[positions]
        gold, real = (evidence.vectors[name][positions] for name in ("gold", "real"))
        self.retrieved = retrieved(real, gold, controls.centre(evidence, measures))

    def cosines(self, name: controls.Answer) -> Floats:
        """[n] cosines under a control, or under `real`."""
        return controls.cosines(self.evidence, name)[self.positions]

    def centred_cosines(self, name: controls.Answer) -> Floats:
        """[n] centred cosines under a control, or under `real`."""
        return controls.centred_cosines(self.evidence, name)[self.positions]

    def changes(self) -> dict[str, tuple[Floats, Floats]]:
        """By id of a common row: the change of the error without each of its claims.

        The second of each pair is the same change for another activation.
        """
        if not isinstance(claims.report(self.evidence), claims.Claims):
            return {}
        own, others = claims.changes(self.evidence)
        ends = np.cumsum([len(row.probed_claims) for row in self.evidence.rows])[:-1]
        pairs = zip(np.split(own, ends), np.split(others["other_activation"], ends), strict=True)
        by_row = list(pairs)
        return {
            self.evidence.rows[at].id: by_row[at]
            for at in self.positions
            if self.evidence.rows[at].probed_claims
        }

    def source_texts(self, measures: Measures) -> dict[str, float]:
        """By id of a common row, one per document: the cosine of its source text - gibberish.

        Centred or plain, according to `measures`.
        """
        if "discrimination_factual" not in self.evidence.vectors:
            return {}
        at = first_with_text(self.evidence.rows)
        gold = self.evidence.vectors["gold"][at]
        factual, gibberish = (
            controls.between(
                self.evidence, gold, self.evidence.vectors[f"discrimination_{name}"], measures
            )
            for name in ("factual", "gibberish")
        )
        common = set(self.positions.tolist())
        return {
            self.evidence.rows[row].id: float(difference)
            for row, difference in zip(at, factual - gibberish, strict=True)
            if row in common
        }

    def hashes(self, role: str) -> dict[str, str]:
        """The hashes of the files of one adapter."""
        files = self.evidence.run.files.items()
        return {name: digest for name, digest in files if name.startswith(f"{role}/")}


def _common(first: Evidence, second: Evidence) -> tuple[npt.NDArray[np.intp], ...]:
    """The positions of the common rows in both releases, in the order of their ids."""
    places = {row.id: at for at, row in enumerate(second.rows)}
    gold, other_gold = first.vectors["gold"], second.vectors["gold"]
    pairs = sorted(
        (row.id, at, there)
        for at, row in enumerate(first.rows)
        if (there := places.get(row.id)) is not None
        and row.document == second.rows[there].document
        and np.array_equal(gold[at], other_gold[there])
    )
    positions = np.array([(at, there) for _, at, there in pairs], dtype=np.intp).reshape(-1, 2)
    return positions[:, 0], positions[:, 1]


def _why_nothing_is_common(first: Measured, second: Measured) -> str:
    ids = {row.id for row in first.evidence.rows} & {row.id for row in second.evidence.rows}
    found = (
        f"{len(ids)} ids are in both, but with other activations or documents"
        if ids
        else "no row has the same id"
    )
    others = [
        f"{each.setting} {' against '.join(value or 'unknown' for value in each.values)}"
        for each in differing([first.settings, second.settings])
        if each.setting in _DECISIVE
    ]
    return f"no row is common: {found}" + (f" ({'; '.join(others)})" if others else "")


def _relation(first: _Side, second: _Side) -> Relation:
    same_av = first.hashes("av") == second.hashes("av")
    same_ar = first.hashes("ar") == second.hashes("ar")
    if first.evidence.run_sha256 == second.evidence.run_sha256:
        return "the same evidence"
    if same_av and same_ar:
        return "the same pair, measured again"
    if same_ar:
        return "another AV, the same AR"
    if first.texts == second.texts:
        return "the same texts, another AR"
    return "another pair on the same activations"


def _figures(
    first: _Side, second: _Side, measures: Measures
) -> tuple[list[PairedFigure], list[str]]:
    """The means of both and of their differences; and what was left out, with the reason."""
    frozen, sides = _same_mean(first, second), (first, second)
    real = [side.cosines("real") for side in (first, second)]
    columns = {"cosine": real, "mse": [2 * (1 - cosines) for cosines in real]}
    left_out = []
    if centred := frozen and measures.clustered:
        columns = {"centred cosine": [side.centred_cosines("real") for side in sides]} | columns
    if not frozen:
        left_out.append(
            "centred cosine, FVE and the mean vector: the releases name other reference sets"
            if measures.clustered
            else "FVE and the mean vector: the releases name other reference sets"
        )
    elif (variance := first.evidence.run.reference.variance) < NO_VARIANCE:
        left_out.append("FVE: the reference set does not vary")
    else:
        columns["fve"] = [1 - 2 * (1 - cosines) / variance for cosines in real]
    for name in _CONTROLS:
        if not _in_both(name, first, second, frozen=frozen):
            continue
        words = name.replace("_", " ")
        if centred and name != "predict_mean":  # which nothing is left of
            columns[f"centred cosine - {words}"] = [
                side.centred_cosines("real") - side.centred_cosines(name) for side in sides
            ]
        else:
            columns[f"cosine - {words}"] = [
                cosines - side.cosines(name) for cosines, side in zip(real, sides, strict=True)
            ]
    columns["top-1 retrieval"] = [side.retrieved.astype(np.float64) for side in sides]
    return _paired(columns, first.documents, measures), left_out


def _claims_read(evidence: Evidence) -> ClaimsRead | None:
    """How much the error of this AR rises when a claim is left out."""
    found = claims.report(evidence)
    if not isinstance(found, claims.Claims):
        return None
    variance = evidence.run.reference.variance
    control = found.controls["other_activation"]
    varies = found.fve is not None and found.interval is not None
    return ClaimsRead(
        rows=found.rows,
        n=found.n,
        mse=found.change,
        mse_interval=found.interval,
        fve=found.fve,
        fve_interval=tuple(each / variance for each in found.interval or ()) if varies else None,
        above_other=control.difference,
        above_other_interval=control.interval,
    )


def _claim_figures(first: _Side, second: _Side) -> list[PairedFigure]:
    """Claim by claim, over the common rows with the same claims in both."""
    before, after = first.changes(), second.changes()
    said = [
        {row.id: row.claims for row in (side.evidence.rows[at] for at in side.positions)}
        for side in (first, second)
    ]
    common = [id_ for id_ in before if id_ in after and said[0][id_] == said[1][id_]]
    if not common:
        return []
    document = {
        first.evidence.rows[at].id: first.evidence.rows[at].document for at in first.positions
    }
    documents = [document[id_] for id_ in common for _ in before[id_][0]]
    own, other = (
        [np.concatenate([side[id_][part] for id_ in common]) for side in (before, after)]
        for part in (0, 1)
    )
    columns = {"mse of a claim left out": own}
    variances = {side.evidence.run.reference.variance for side in (first, second)}
    if len(variances) == 1 and (variance := variances.pop()) >= NO_VARIANCE:
        columns["fve of a claim left out"] = [each / variance for each in own]
    columns["mse of a claim left out - another activation"] = [
        mine - its for mine, its in zip(own, other, strict=True)
    ]
    return _paired(columns, documents)


def _source_figures(first: _Side, second: _Side) -> list[PairedFigure]:
    """Document by document, where both ARs read a source text of the same row."""
    centred = _same_mean(first, second)
    before, after = (
        side.source_texts(FORMAT_3 if centred else FORMAT_2) for side in (first, second)
    )
    common = [id_ for id_ in before if id_ in after]
    if not common:
        return []
    columns = [np.array([side[id_] for id_ in common]) for side in (before, after)]
    name = f"{'centred ' * centred}cosine, source text - gibberish"
    return _paired({name: columns}, common)


def _same_mean(first: _Side, second: _Side) -> bool:
    """Whether both releases have the same reference mean."""
    one, other = (side.evidence.vectors["reference_mean"] for side in (first, second))
    return np.array_equal(one, other)


def _paired(
    columns: Mapping[str, Sequence[Floats]],
    documents: Sequence[str],
    measures: Measures = FORMAT_3,
) -> list[PairedFigure]:
    """Both means of each column, and the mean of the paired differences with its interval."""
    differences = np.stack([after - before for before, after in columns.values()])
    return [
        PairedFigure(
            name=name,
            first=before.mean(),
            second=after.mean(),
            difference=(after - before).mean(),
            interval=interval,
            n=len(before),
        )
        for (name, (before, after)), interval in zip(
            columns.items(), measures.intervals(differences, documents), strict=True
        )
    ]


def _verdict(leading: PairedFigure, documents: Sequence[str]) -> PairedVerdict:
    """On the published numbers, so that a reader arrives at the same word."""
    if leading.interval is None or too_few(documents):
        return "inconclusive"
    low, high = leading.interval
    if high < 0:
        return "worse"
    return "better" if low > 0 else "no difference shown"


def _in_both(name: controls.Answer, first: _Side, second: _Side, *, frozen: bool) -> bool:
    if name == "predict_mean":
        return frozen
    return controls.has(first.evidence, name) and controls.has(second.evidence, name)


def _retrieval(first: _Side, second: _Side, measures: Measures) -> PairedRetrieval:
    before, after = first.retrieved, second.retrieved
    only_first, only_second = int((before & ~after).sum()), int((after & ~before).sum())
    if measures.clustered:
        p = sign_flip_p(after.astype(np.float64) - before, first.documents)
    else:
        p = mcnemar(only_first, only_second)
    return PairedRetrieval(
        first_hits=int(before.sum()),
        second_hits=int(after.sum()),
        only_first=only_first,
        only_second=only_second,
        n=len(before),
        p=1.0 if p is None else p,  # they differ in too few documents to reject anything
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p of the rows on which two releases disagree; 1 when there are none."""
    n, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / int(2**n))


def _multiplicity(paired: Sequence[Paired]) -> str:
    count = f"{len(paired)} comparison{'s' * (len(paired) != 1)}"
    figures = max((len(each.figures) + 1 for each in paired), default=0)
    if not figures:
        return count
    return f"{count} of up to {figures} figures; neither intervals nor p are adjusted for that"
