"""Evidence in, report out. Nothing else is read: who has the evidence gets the same report."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from nla_release import __version__
from nla_release.calibration.evidence import Condition, Evidence
from nla_release.calibration.label import label
from nla_release.calibration.report import (
    CONTROL_NAMES,
    Bootstrap,
    Calibration,
    Control,
    ControlName,
    CosineSummary,
    CosineSurvivors,
    Denominators,
    Diversity,
    EvidenceHashes,
    Fve,
    InjectionCounts,
    Mse,
    ReferenceSet,
    Retrieval,
)
from nla_release.calibration.statistics import (
    Floats,
    Interval,
    clustered_bootstrap,
    cosine_rows,
    normalised_mse,
    retrieved,
    wilson,
)

BOOTSTRAP = Bootstrap(draws=2000, seed=0, cluster="document", level=0.95)

# The denominators are 0 when all training activations point one way; six decimals are published.
_NO_VARIANCE = 1e-6


def calibrate(evidence: Evidence) -> Calibration:
    """Every number of `calibration.json`.

    A row whose text failed counts cosine 0, mse 2 and a retrieval miss.
    """
    run = evidence.run
    cosines = _cosines(evidence, "real")
    controls = _control_cosines(evidence)
    cosine_interval, *difference_intervals = clustered_bootstrap(
        np.stack([cosines, *(cosines - control for control in controls.values())]),
        evidence.documents,
        draws=BOOTSTRAP.draws,
        seed=BOOTSTRAP.seed,
        level=BOOTSTRAP.level,
    )
    control_reports = {
        name: Control(
            mean=control.mean(),
            difference=(cosines - control).mean(),
            interval=interval,
            n=len(control),
            failed=_failed(evidence, name),
        )
        for (name, control), interval in zip(controls.items(), difference_intervals, strict=True)
    }
    denominators = _denominators(evidence)
    retrieval = _retrieval(evidence)
    mean_norm = float(np.linalg.norm(evidence.vectors["reference_mean"].astype(np.float64)))
    return Calibration(
        schema_=1,
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
        retrieval=retrieval,
        diversity=_diversity(evidence),
        injection=_injection(evidence),
        label=label(denominators, control_reports["shuffled"], retrieval),
    )


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

    varies = denominator >= _NO_VARIANCE
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
