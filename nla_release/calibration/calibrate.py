"""Evidence in, report out. Nothing else is read: who has the evidence gets the same report."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from nla_release import __version__
from nla_release.calibration.blocks import BOOTSTRAP
from nla_release.calibration.contamination import contamination
from nla_release.calibration.enough import NO_VARIANCE
from nla_release.calibration.evidence import Condition, Evidence
from nla_release.calibration.label import label
from nla_release.calibration.measures import controls, intervals
from nla_release.calibration.multiplicity import multiplicity
from nla_release.calibration.probes import (
    ceiling,
    claims,
    discrimination,
    injection,
    paraphrase,
    retrieval,
    structural,
    templates,
    text_controls,
    text_retrieval,
)
from nla_release.calibration.report import (
    CONTROL_NAMES,
    Calibration,
    ControlName,
    CosineSummary,
    CosineSurvivors,
    Denominators,
    Diversity,
    EvidenceHashes,
    Fve,
    InjectionCounts,
    Mse,
    Probes,
    ReferenceSet,
    Retrieval,
)
from nla_release.calibration.statistics import (
    Floats,
    Interval,
    cosine_rows,
    normalised_mse,
    retrieved,
    wilson,
)


def calibrate(evidence: Evidence) -> Calibration:
    """Every number of `calibration.json`.

    A row whose text failed counts cosine 0, mse 2 and a retrieval miss.
    """
    run = evidence.run
    cosines = _cosines(evidence, "real")
    (cosine_interval,) = intervals(cosines[np.newaxis], evidence.documents)
    others = _control_cosines(evidence)
    control_reports = controls(
        cosines, others, evidence.documents, {name: _failed(evidence, name) for name in others}
    )
    denominators = _denominators(evidence)
    found = _retrieval(evidence)
    mean_norm = float(np.linalg.norm(evidence.vectors["reference_mean"].astype(np.float64)))
    calibration = Calibration(
        schema_=2,
        tool_version=__version__,
        evidence=EvidenceHashes(
            rows_sha256=run.rows_sha256,
            vectors_sha256=run.vectors_sha256,
            run_sha256=evidence.run_sha256,
        ),
        bootstrap=BOOTSTRAP,
        denominators=denominators,
        cosine=CosineSummary(
            mean=cosines.mean(),
            sd=cosines.std(ddof=1) if len(cosines) > 1 else None,
            median=np.median(cosines),
            interval=cosine_interval,
            n=len(cosines),
        ),
        cosine_survivors=_survivors(evidence, cosines),
        mse=Mse(
            mean=normalised_mse(cosines.mean()),
            interval=_image(normalised_mse, cosine_interval),
            n=len(cosines),
        ),
        reference=ReferenceSet(
            sha256=run.reference.sha256,
            rows=run.reference.rows,
            variance=run.reference.variance,
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
        controls=control_reports,
        retrieval=found,
        diversity=_diversity(evidence),
        injection=_injection(evidence),
        label=label(denominators, control_reports["shuffled"], found),
        probes=_probes(evidence),
        contamination=contamination(evidence),
    )
    tried = multiplicity(run.attempts, calibration.model_dump(), BOOTSTRAP.level)
    return calibration.model_copy(update={"multiplicity": tried})


def _probes(evidence: Evidence) -> Probes:
    """The reports of what ran; the others stay absent."""
    reports = {
        "text_controls": text_controls.report(evidence),
        "injection": injection.report(evidence),
        "retrieval": retrieval.report(evidence),
        "text_retrieval": text_retrieval.report(evidence),
        "claims": claims.report(evidence),
        "paraphrase": paraphrase.report(evidence),
        "structural": structural.report(evidence),
        "discrimination": discrimination.report(evidence),
        "templates": templates.report(evidence),
        "ceiling": ceiling.report(evidence),
    }
    ran = {name: report for name, report in reports.items() if report is not None}
    return Probes.model_validate(ran)


def _cosines(evidence: Evidence, condition: Condition) -> Floats:
    """[N] cosines under a condition; failed rows hold zero vectors, whose cosine is 0."""
    return cosine_rows(evidence.vectors["gold"], evidence.vectors[condition])


def _control_cosines(evidence: Evidence) -> dict[ControlName, Floats]:
    gold, mean = evidence.vectors["gold"], evidence.vectors["reference_mean"]
    return {
        name: cosine_rows(gold, np.broadcast_to(mean, gold.shape))
        if name == "predict_mean"
        else _cosines(evidence, name)
        for name in CONTROL_NAMES
        if name == "predict_mean" or name in evidence.vectors
    }


def _failed(evidence: Evidence, control: ControlName) -> int:
    return 0 if control == "predict_mean" else int(evidence.failed(control).sum())


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


def _survivors(evidence: Evidence, cosines: Floats) -> CosineSurvivors:
    survivors = cosines[~evidence.failed("real")]
    return CosineSurvivors(mean=survivors.mean() if len(survivors) else None, n=len(survivors))


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
    """The interval of a monotone function of the mean is the function of the mean's interval."""
    if interval is None:
        return None
    low, high = sorted(map(function, interval))
    return low, high


def _retrieval(evidence: Evidence) -> Retrieval:
    hits = int(retrieved(evidence.vectors["real"], evidence.vectors["gold"]).sum())
    n = len(evidence.rows)
    return Retrieval(
        hits=hits,
        n=n,
        candidates=n,
        top1=hits / n,
        interval=wilson(hits, n, level=BOOTSTRAP.level),
        chance=1 / n,
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
