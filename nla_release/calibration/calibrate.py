"""Compute `calibration.json` from evidence. Nothing else is read."""

from collections import Counter
from collections.abc import Callable
from typing import Literal, overload

import numpy as np

from nla_release import __version__
from nla_release.calibration import headline
from nla_release.calibration.contamination import contamination
from nla_release.calibration.label import label
from nla_release.calibration.label_format_2 import label as label_format_2
from nla_release.calibration.multiplicity import multiplicity
from nla_release.calibration.report import (
    CONTROL_NAMES,
    CURRENT,
    Calibration,
    ControlName,
    CosineSummary,
    CosineSurvivors,
    CurrentCalibration,
    Denominators,
    Diversity,
    EvidenceHashes,
    Fve,
    InjectionCounts,
    Label,
    Mse,
    Probes,
    ReferenceSet,
    Retrieval,
)
from nla_release.diagnostics import registered
from nla_release.evidence.controls import all_places, failures, has
from nla_release.evidence.controls import cosines as cosines_of
from nla_release.evidence.parts import Evidence
from nla_release.statistics.blocks import (
    BOOTSTRAP,
    NO_VARIANCE,
    Control,
    refuse_single,
)
from nla_release.statistics.formulas import (
    Floats,
    Interval,
    cosine_rows,
    normalised_mse,
)
from nla_release.statistics.measures import FORMAT_2, FORMAT_3, Measures

Format = Literal[2, 3]

_UNDECIDED = Label(name="inconclusive", sentence="")


@overload
def calibrate(evidence: Evidence) -> CurrentCalibration: ...


@overload
def calibrate(evidence: Evidence, format_: Format) -> Calibration: ...


def calibrate(evidence: Evidence, format_: Format = 3) -> Calibration:
    """Compute every number of `calibration.json`.

    A row whose explanation failed counts as cosine 0, mse 2 and a retrieval miss, and as a tie in
    contrasts.

    Args:
        evidence: of a run.
        format_: 2 only recomputes a calibration that an earlier version of this tool published.

    Raises:
        NothingCheckedError: there is a single row, or a single document.
    """
    refuse_single(evidence.documents)
    if format_ == 2:
        found = _common(evidence, FORMAT_2)
        found = found.model_copy(update={"label": label_format_2(found)})
    else:
        current = headline.extended(_common(evidence, FORMAT_3), evidence)
        found = current.model_copy(update={"label": label(current)})
    tried = multiplicity(evidence, found.model_dump(), format_)
    return found.model_copy(update={"multiplicity": tried})


def format_of(schema: int) -> Format:
    """The format to recompute a calibration in; format 2 contains format 1."""
    return 3 if schema == CURRENT else 2


def _common(evidence: Evidence, measures: Measures) -> Calibration:
    """The blocks that all formats have, with the label undecided."""
    run = evidence.run
    cosines = cosines_of(evidence, "real")
    (cosine_interval,) = measures.intervals(cosines[np.newaxis], evidence.documents)
    mean_norm = float(np.linalg.norm(evidence.vectors["reference_mean"].astype(np.float64)))
    return Calibration(
        schema_=CURRENT if measures.clustered else 2,
        tool_version=__version__,
        evidence=EvidenceHashes(
            rows_sha256=run.rows_sha256,
            vectors_sha256=run.vectors_sha256,
            run_sha256=evidence.run_sha256,
        ),
        bootstrap=BOOTSTRAP,
        denominators=_denominators(evidence),
        cosine=CosineSummary(
            mean=cosines.mean(),
            sd=cosines.std(ddof=1),
            median=np.median(cosines),
            interval=cosine_interval,
            n=len(cosines),
        ),
        cosine_survivors=_survivors(evidence, cosines, measures),
        mse=Mse(
            mean=normalised_mse(cosines.mean()),
            interval=_image(normalised_mse, cosine_interval),
            n=len(cosines),
        ),
        reference=ReferenceSet(
            sha256=run.reference.sha256,
            rows=run.reference.rows,
            variance=run.reference.variance,
            other_documents=_other_documents(evidence),
        ),
        fve=_fve(
            cosines,
            cosine_interval,
            run.reference.variance,
            "1 - mean(mse) / Var(u(v)) over the reference set",
        ),
        fve_mean_norm=_fve(
            cosines,
            cosine_interval,
            normalised_mse(min(mean_norm, 1.0)),
            "1 - mean(mse) / (2 (1 - ||mean u(v)||)) over the reference set",
        ),
        controls=_controls(evidence, measures),
        retrieval=_retrieval(evidence, measures),
        diversity=_diversity(evidence),
        injection=_injection(evidence),
        label=_UNDECIDED,
        probes=_probes(evidence, measures),
        contamination=contamination(evidence, measures),
    )


def _controls(evidence: Evidence, measures: Measures) -> dict[ControlName, Control]:
    others = {name: cosines_of(evidence, name) for name in CONTROL_NAMES if has(evidence, name)}
    return measures.controls(
        cosines_of(evidence, "real"),
        others,
        evidence.documents,
        {name: failures(evidence, name) for name in others},
    )


def _probes(evidence: Evidence, measures: Measures) -> Probes:
    """The reports of the diagnostics that ran."""
    reports = {each.key: each.report(evidence, measures) for each in registered()}
    return Probes.model_validate({key: each for key, each in reports.items() if each is not None})


def _denominators(evidence: Evidence) -> Denominators:
    statuses = Counter(row.status for row in evidence.rows)
    return Denominators(
        rows=len(evidence.rows),
        documents=len(set(evidence.documents)),
        ok=statuses["ok"],
        empty=statuses["empty"],
        truncated=statuses["truncated"],
        unparsed=statuses["unparsed"],
    )


def _survivors(evidence: Evidence, cosines: Floats, measures: Measures) -> CosineSurvivors:
    """Over the rows with an explanation: the mean, and the positive control where it was read."""
    explained = np.flatnonzero(~evidence.failed("real"))
    n = len(explained)
    survivors = CosineSurvivors(mean=cosines[explained].mean() if n else None, n=n)
    if n == 0 or not has(evidence, "gold_text"):
        return survivors
    controls = measures.controls(
        cosines[explained],
        {"gold_text": cosines_of(evidence, "gold_text")[explained]},
        [evidence.documents[row] for row in explained],
        {"gold_text": 0},
    )
    return survivors.model_copy(update=controls)


def _other_documents(evidence: Evidence) -> float:
    """Mean cosine of each activation with the mean direction of all other documents'."""
    means = headline.means_of_other_documents(evidence)
    return float(cosine_rows(evidence.vectors["gold"], means).mean())


def _fve(cosines: Floats, interval: Interval | None, denominator: float, definition: str) -> Fve:
    def explained(cosine: float) -> float:
        return 1 - normalised_mse(cosine) / denominator

    varies = denominator >= NO_VARIANCE
    return Fve(
        value=explained(cosines.mean()) if varies else None,
        interval=_image(explained, interval) if varies else None,
        n=len(cosines),
        denominator=denominator,
        definition=definition,
    )


def _image(function: Callable[[float], float], interval: Interval | None) -> Interval | None:
    """The interval of a monotone function of the mean, from the interval of the mean."""
    if interval is None:
        return None
    low, high = sorted(map(function, interval))
    return low, high


def _retrieval(evidence: Evidence, measures: Measures) -> Retrieval:
    hit = all_places(evidence, measures).found
    found = hit.astype(np.float64)
    n, rows_of = len(found), Counter(evidence.documents)
    telling_document = np.array([1 / rows_of[document] for document in evidence.documents])
    above_chance, above_document = measures.intervals(
        np.stack([found - 1 / n, found - telling_document]), evidence.documents
    )
    hits = int(found.sum())
    return Retrieval(
        hits=hits,
        n=n,
        candidates=n,
        top1=hits / n,
        interval=measures.share_interval(hit, evidence.documents),
        chance=1 / n,
        above_chance_interval=above_chance,
        above_document_interval=above_document,
    )


def _diversity(evidence: Evidence) -> Diversity:
    explanations = [row.explanation for row in evidence.rows if row.status == "ok"]
    return Diversity(
        distinct_explanations=len(set(explanations)),
        distinct_prefixes_60=len({explanation[:60] for explanation in explanations}),
        n=len(explanations),
    )


def _injection(evidence: Evidence) -> InjectionCounts:
    explained = [row for row in evidence.rows if row.status == "ok"]
    for_zero = evidence.run.zero_vector.explanation
    return InjectionCounts(
        random_vector_same_text=sum(
            row.random_vector.explanation == row.explanation for row in explained
        ),
        zero_vector_same_text=sum(for_zero == row.explanation for row in explained),
        n=len(explained),
    )
