"""The blocks of `calibration.json` that decide the label, and their baselines.

All of them are new in format 3: contrasts over all pairs of rows, centred cosines, nearness to the
own activation, the energy of single dimensions, and the FVE of the reference mean.

In a language model one direction can hold most of the energy of every activation. Plain cosines are
then near 1 for any text, and only cosines less the reference mean tell rows apart.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from nla_release.calibration.consistency import documents_checked, looks
from nla_release.calibration.reading import (
    MeasuredRows,
    in_document,
    last_token,
    nearness,
    pair_contrasts,
)
from nla_release.calibration.report import (
    CONTROL_NAMES,
    Calibration,
    Centred,
    Contrasts,
    CurrentCalibration,
    CurrentRetrieval,
    DimensionShare,
    Energy,
    Fve,
    PairContrast,
)
from nla_release.evidence.controls import Vectors, centred_cosines, failures, has
from nla_release.evidence.parts import Evidence
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import NO_VARIANCE, AgainstChance
from nla_release.statistics.clustered import best_as_ties, lower
from nla_release.statistics.contrasts import ArmContrasts, Contrast
from nla_release.statistics.formulas import Floats, cosine_rows, group_sums, unit_rows
from nla_release.statistics.measures import FORMAT_3, rounded

# Share of the energy of unit activations, in one dimension or along the mean. Above it plain
# cosines are high unless a reconstruction misses that direction altogether.
DOMINATED = 0.5
_DIMENSIONS = 5


def extended(common: Calibration, evidence: Evidence) -> CurrentCalibration:
    """The calibration with the blocks that format 3 adds."""
    answers, others = _answers(evidence), means_of_other_documents(evidence)
    documents, inside = answers.documents, in_document(answers)
    retrieval = CurrentRetrieval(
        **_given(common.retrieval),
        document_alone=len(set(documents)) / len(documents),
        in_document=inside and _against_chance(inside),
        percentile=_against_chance(nearness(answers, evidence.places)),
    )
    added = {
        "retrieval": retrieval,
        "documents": documents_checked(evidence),
        "failures": FORMAT_3.ratio(answers.failed, documents),
        "energy": _energy(evidence),
        "centred": _centred(evidence),
        "contrasts": contrasts(answers),
        "plain_contrasts": contrasts(replace(answers, mean=np.zeros_like(answers.mean))),
        "fve": _against_mean(evidence, common.fve, others, _mean_squared_errors),
        "fve_mean_norm": _against_mean(
            evidence, common.fve_mean_norm, others, _mean_direction_errors
        ),
    }
    return CurrentCalibration(**(_given(common) | added))


def _given(block: Strict) -> dict[str, Any]:
    """The fields of a block that were given."""
    return {name: getattr(block, name) for name in sorted(block.model_fields_set)}


def _answers(evidence: Evidence) -> MeasuredRows:
    tokens = [last_token(row.text or "") for row in evidence.rows]
    return MeasuredRows(
        gold=evidence.vectors["gold"],
        real=evidence.vectors["real"],
        empty=evidence.vectors["empty"],
        mean=evidence.vectors["reference_mean"],
        documents=evidence.documents,
        texts=[looks(row.explanation) for row in evidence.rows],
        failed=evidence.failed("real"),
        tokens=tokens if all(tokens) else None,
    )


def contrasts(answers: MeasuredRows) -> Contrasts:
    """The own text against the texts of other rows, by cosines less `answers.mean`."""
    return _block(pair_contrasts(answers))


def _block(found: ArmContrasts) -> Contrasts:
    def block(contrast: Contrast | None) -> PairContrast | None:
        if contrast is None or not contrast.n:
            return None
        return PairContrast(
            first=np.clip(contrast.first, -1, 1),
            second=np.clip(contrast.second, -1, 1),
            difference=contrast.difference,
            interval=contrast.interval,
            n=contrast.n,
        )

    above_others = block(found.above_others)
    assert above_others is not None  # a single document is refused
    return Contrasts(
        within=block(found.within),
        between=block(found.between),
        above_others=above_others,
        above_token=block(found.above_token),
    )


def _centred(evidence: Evidence) -> Centred:
    # Always predicting the mean leaves nothing once the mean is taken out.
    names = [name for name in CONTROL_NAMES if has(evidence, name) and name != "predict_mean"]
    own = centred_cosines(evidence, "real")
    (interval,) = FORMAT_3.intervals(own[np.newaxis], evidence.documents)
    return Centred(
        mean=own.mean(),
        interval=interval,
        n=len(own),
        controls=FORMAT_3.controls(
            own,
            {name: centred_cosines(evidence, name) for name in names},
            evidence.documents,
            {name: failures(evidence, name) for name in names},
        ),
    )


def _energy(evidence: Evidence) -> Energy:
    gold = unit_rows(evidence.vectors["gold"])
    real = unit_rows(evidence.vectors["real"])
    shares = np.einsum("ij,ij->j", gold, gold) / len(gold)
    parts_of_cosine = np.einsum("ij,ij->j", gold, real) / len(gold)
    largest = np.argsort(-shares, kind="stable")[:_DIMENSIONS]
    mean = unit_rows(evidence.vectors["reference_mean"][np.newaxis])[0]
    along = float(np.mean((gold @ mean) ** 2))
    return Energy(
        dimensions=[
            DimensionShare(dimension=int(at), energy=shares[at], cosine=parts_of_cosine[at])
            for at in largest
        ],
        mean_direction=along,
        dominated=max(along, float(shares.max())) > DOMINATED,
    )


def _mean_squared_errors(evidence: Evidence, means: Vectors) -> Floats:
    """[N] `||u(v) - mu||^2`: the error of predicting a mean [N, d] without rescaling it."""
    apart = unit_rows(evidence.vectors["gold"])
    apart -= means
    errors: Floats = np.einsum("ij,ij->i", apart, apart)
    return errors


def _mean_direction_errors(evidence: Evidence, means: Vectors) -> Floats:
    """[N] `2 (1 - cos(v, mu))`: the error of predicting the direction of a mean [N, d]."""
    errors: Floats = 2 * (1 - cosine_rows(evidence.vectors["gold"], means))
    return errors


def means_of_other_documents(evidence: Evidence) -> Floats:
    """[N, d] the mean of the unit activations of all documents except the row's own."""
    units = unit_rows(evidence.vectors["gold"])
    _, label, sizes = np.unique(evidence.documents, return_inverse=True, return_counts=True)
    sums = group_sums(units, label)
    means: Floats = (sums.sum(axis=0) - sums) / (len(units) - sizes)[:, np.newaxis]
    return means[label]


def _against_mean(
    evidence: Evidence,
    fve: Fve,
    means_of_others: Floats,
    errors: Callable[[Evidence, Vectors], Floats],
) -> Fve:
    """The FVE of always predicting the reference mean on these rows, and the pair's FVE above it.

    The FVE of the mean is `1 - mean(error) / denominator`, with the error of predicting the mean.
    It is 0 on the reference set; another value on these rows shows a reference that does not fit
    them. A failed row is a tie: failing is a different question from reading.

    A mean that does not fit these rows is easy to beat. So the lower end of the interval is the
    lower one of two: against the reference mean, and against the mean of the evaluation's other
    documents, which nobody can choose.
    """
    if fve.denominator < NO_VARIANCE:
        return fve
    own = 2 * (1 - cosine_rows(evidence.vectors["gold"], evidence.vectors["real"]))
    failed = evidence.failed("real")
    mean = evidence.vectors["reference_mean"].astype(np.float64)
    of_mean = errors(evidence, np.broadcast_to(mean, evidence.vectors["gold"].shape))
    of_others = errors(evidence, means_of_others)
    apart, others = (
        np.where(failed, 0.0, each - own) / fve.denominator for each in (of_mean, of_others)
    )
    intervals = FORMAT_3.intervals(
        np.stack([apart, *(each * best_as_ties(each, failed) for each in (apart, others))]),
        evidence.documents,
    )
    return fve.model_copy(
        update={
            "of_mean": round(float(1 - of_mean.mean() / fve.denominator), 6) + 0.0,
            "above_mean": round(float(apart.mean()), 6) + 0.0,
            "above_mean_interval": rounded(lower(intervals)),
        }
    )


def _against_chance(found: Contrast) -> AgainstChance:
    return AgainstChance(
        mean=found.first,
        chance=found.second,
        difference=found.difference,
        interval=found.interval,
        n=found.n,
    )
