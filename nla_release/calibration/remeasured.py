"""Published evidence compared with new outputs of the published pair.

Three things are compared: the stored activations with those that the base gives at the end of the
rows' texts, the AR's reconstructions of the published texts, and the AV's explanations.
Explanations are decoded greedily, so with another precision or device one different token changes
all that follow. Different explanations are counted, but compared by how well they reconstruct.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nla_release.contract.explanation import Explanation
from nla_release.evidence.parts import Evidence
from nla_release.io.files import sha256_bytes
from nla_release.statistics.clustered import t_quantile
from nla_release.statistics.formulas import Floats, cosine_rows, unit_rows


@dataclass(frozen=True)
class Conditions:
    """The conditions, apart from its files, that may change a pair's outputs."""

    quantization: str | None
    dtype: str
    device: str

    @classmethod
    def of(cls, evidence: Evidence) -> "Conditions":
        """Those that the evidence records."""
        precision = evidence.run.precision
        return cls(precision.quantization, precision.dtype, evidence.run.device)

    def __str__(self) -> str:
        held = f"{self.quantization} and {self.dtype}" if self.quantization else self.dtype
        return f"{held} on {self.device}"


@dataclass(frozen=True)
class Tolerance:
    """How far the outputs of the same pair may differ from the published ones.

    `activation` bounds 1 - the cosine of a stored activation with the one that the base gives now,
    plain and centred. `cosine` bounds the change of a cosine with the activation, and 1 - the
    cosine of both reconstructions, `loss` the mean by which published explanations may reconstruct
    better than new ones. `texts` is the share of explanations that may differ; 1 allows all.
    """

    activation: float
    cosine: float
    loss: float
    texts: float


# The minimum squared distance of a unit activation from the mean of the others, below which its
# centred cosine is mostly rounding.
_OWN_PART = 0.05

# docs/how-to/verify.md reports the differences that were measured on unchanged pairs.
EXACT = Tolerance(activation=0.005, cosine=0.001, loss=0.001, texts=0.1)
ROUNDED = Tolerance(activation=0.02, cosine=0.02, loss=0.005, texts=0.5)
OTHERWISE = Tolerance(activation=0.02, cosine=0.05, loss=0.01, texts=1.0)
REQUANTIZED = Tolerance(activation=0.3, cosine=0.2, loss=0.04, texts=1.0)


def tolerance(recorded: Conditions, used: Conditions) -> Tolerance:
    """The tolerance for outputs under `used`, compared with evidence recorded under `recorded`."""
    if recorded.quantization != used.quantization:
        return REQUANTIZED
    if recorded.dtype == used.dtype == "float32" and not used.quantization:
        return EXACT
    return ROUNDED if recorded == used else OTHERWISE


def choose_rows(evidence: Evidence, count: int, seed: int) -> list[int]:
    """The positions of `count` rows, or of all, chosen by the seed alone, in order."""

    def drawn(position: int) -> str:
        return sha256_bytes(f"{seed}\0{evidence.rows[position].id}".encode())

    return sorted(sorted(range(len(evidence.rows)), key=drawn)[:count])


@dataclass(frozen=True)
class NewOutputs:
    """The new outputs of the pair for n chosen rows.

    `extracted` [n, d] are the activations that the base gives at the end of the rows' texts, NaN
    for a row without a text or with one that is too long. `explanations` [n] are those of the
    activations, `reconstructed` [n, d] their reconstructions, and `read` by tensor [n, d] the
    reconstructions of the published texts; zeros without a text.
    """

    extracted: Floats
    explanations: Sequence[Explanation]
    reconstructed: Floats
    read: Mapping[str, Floats]


@dataclass(frozen=True)
class LargestDifference:
    """The largest of some differences, with its tensor and row."""

    value: float
    tensor: str
    row: str


@dataclass(frozen=True)
class Remeasured:
    """The result of measuring rows of published evidence again.

    `extracted` counts activations that the base computed again; `activation` is the largest 1 -
    cosine with the stored one, None where there is none. `read` counts texts that the AR read
    again. `cosine` is the largest change of a cosine with the activation, `apart` the largest 1 -
    cosine of both reconstructions. `published` and `again` are mean cosines of the published and of
    the new explanations; `loss` is the mean of the differences and `loss_at_least` the lower limit
    of its 95% interval, None for a single row.
    """

    rows: int
    available: int
    seed: int
    recorded: Conditions
    used: Conditions
    tolerance: Tolerance
    extracted: int
    activation: LargestDifference | None
    texts_same: int
    read: int
    cosine: LargestDifference
    apart: LargestDifference
    published: float
    again: float
    loss: float
    loss_at_least: float | None

    @property
    def activations_agree(self) -> bool:
        """Whether every stored activation is within the tolerance of the base's."""
        return self.activation is None or self.activation.value <= self.tolerance.activation

    @property
    def ar_agrees(self) -> bool:
        """Whether every reconstruction of a published text is within the tolerance."""
        return max(self.cosine.value, self.apart.value) <= self.tolerance.cosine

    @property
    def texts_agree(self) -> bool:
        """Whether no more explanations differ than the tolerance allows; one always may."""
        allowed = max(1, int(self.tolerance.texts * self.rows))
        return self.rows - self.texts_same <= allowed

    @property
    def texts_as_good(self) -> bool:
        """Whether the published texts are not shown to reconstruct better than the new ones."""
        return self.loss_at_least is None or self.loss_at_least <= self.tolerance.loss


def compare_answers(
    evidence: Evidence,
    rows: Sequence[int],
    seed: int,
    used: Conditions,
    answers: NewOutputs,
    *,
    trained: Conditions | None = None,
) -> Remeasured:
    """Compare published rows with new outputs of the pair.

    Args:
        evidence: as published.
        rows: [n] positions of the rows that were measured again.
        seed: that chose them.
        used: the conditions now.
        answers: the new outputs.
        trained: the conditions of the training, under which the activations may have been
            extracted; by default those of the evidence.
    """
    chosen = list(rows)
    allowed = tolerance(Conditions.of(evidence), used)
    if trained is not None:
        activation = max(allowed.activation, tolerance(trained, used).activation)
        allowed = replace(allowed, activation=activation)
    gold = evidence.vectors["gold"][chosen]
    asked = ~np.isnan(answers.extracted).any(axis=1)
    differences = np.full(len(chosen), -np.inf)
    differences[asked] = 1 - _lower_cosines(
        gold[asked].astype(np.float64), answers.extracted[asked]
    )
    cosine, apart = _farthest(evidence, chosen, answers.read)
    published = cosine_rows(gold, evidence.vectors["real"][chosen])
    again = cosine_rows(gold, answers.reconstructed)
    loss, at_least = _loss(published - again)
    same = sum(
        (evidence.rows[at].status, evidence.rows[at].explanation) == (new.status, new.text)
        for at, new in zip(chosen, answers.explanations, strict=True)
    )
    return Remeasured(
        rows=len(chosen),
        available=len(evidence.rows),
        seed=seed,
        recorded=Conditions.of(evidence),
        used=used,
        tolerance=allowed,
        extracted=int(asked.sum()),
        activation=_largest(evidence, chosen, {"gold": differences}) if asked.any() else None,
        texts_same=same,
        read=sum(int(read.any(axis=1).sum()) for read in answers.read.values()),
        cosine=cosine,
        apart=apart,
        published=float(published.mean()),
        again=float(again.mean()),
        loss=loss,
        loss_at_least=at_least,
    )


def _lower_cosines(published: Floats, extracted: Floats) -> Floats:
    """[n] the lower of two cosines of published activations [n, d] with those of the base [n, d].

    One is plain. The other is of unit vectors minus the mean of the base's other ones: where all
    activations share most of their direction, any two have a plain cosine near 1. For a row near
    that mean, the difference is mostly rounding, and the plain cosine is used.
    """
    gold, base = unit_rows(published), unit_rows(extracted)
    others = (base.sum(axis=0) - base) / max(1, len(base) - 1)
    centred = cosine_rows(gold - others, base - others)
    own = np.square(base - others).sum(axis=1) >= _OWN_PART
    plain = cosine_rows(published, extracted)
    return np.where(own, np.minimum(plain, centred), plain)


def _farthest(
    evidence: Evidence, rows: list[int], read: Mapping[str, Floats]
) -> tuple[LargestDifference, LargestDifference]:
    gold = evidence.vectors["gold"][rows]
    changes, distances = {}, {}
    for name, again in read.items():
        before = evidence.vectors[name][rows]
        changes[name] = np.abs(cosine_rows(gold, before) - cosine_rows(gold, again))
        there = before.any(axis=1) | again.any(axis=1)
        distances[name] = np.where(there, 1 - cosine_rows(before, again), 0.0)
    return _largest(evidence, rows, changes), _largest(evidence, rows, distances)


def _largest(
    evidence: Evidence, rows: list[int], values: Mapping[str, Floats]
) -> LargestDifference:
    name = max(values, key=lambda each: float(values[each].max()))
    at = int(values[name].argmax())
    return LargestDifference(float(values[name][at]), name, evidence.rows[rows[at]].id)


def _loss(differences: Floats) -> tuple[float, float | None]:
    """The mean, and the lower limit of its 95% interval by t."""
    mean, n = float(differences.mean()), len(differences)
    if n < 2:
        return mean, None
    margin = t_quantile(n - 1, 0.95) * float(differences.std(ddof=1)) / math.sqrt(n)
    return mean, mean - margin
