"""The numbers that prose about a calibration may state, by the metric that they belong to."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

from nla_release.calibration.report import Calibration
from nla_release.prose.diagnostic_quantities import METRICS, of_diagnostics, part_of
from nla_release.text.quantity import Metric, Quantity

_METRIC_OF: dict[str, Metric] = {
    "denominators": "count",
    "cosine": "cosine",
    "cosine_survivors": "cosine",
    "controls": "control",
    "mse": "mse",
    "reference": "fve",
    "fve": "fve",
    "fve_mean_norm": "fve",
    "retrieval": "retrieval",
    "diversity": "diversity",
    "injection": "count",
    "failures": "failure",
    "energy": "cosine",
    "centred": "cosine",
    "contrasts": "cosine",
    "plain_contrasts": "cosine",
}


def metric_of(name: str) -> Metric | None:
    """The metric that a number of calibration.json belongs to, by its dotted name."""
    return next(iter(_metrics_of(name)), None)


def _metrics_of(name: str) -> tuple[Metric, ...]:
    """The metric, and those next to which a number of a diagnostic is read."""
    if metric := _METRIC_OF.get(name.partition(".")[0]):
        return (metric,)
    return next((found for part, found in METRICS.items() if name.startswith(part)), ())


def quantities(calibration: Calibration) -> list[Quantity]:
    """What calibration.json gives, and the differences, shares and rates that follow from it.

    Raises:
        ArithmeticError: a number in it is beyond all measure, or a chance is 0.
    """
    return [
        *_given(calibration),
        *_of_cosine(calibration),
        *_of_controls(calibration),
        *_of_retrieval(calibration),
        *_of_counts(calibration),
        *of_diagnostics(calibration.probes),
    ]


def _given(calibration: Calibration) -> Iterator[Quantity]:
    """Every number of the file, whole numbers as counts, and intervals by their ends."""
    for name, value in _leaves(calibration):
        metrics, part = _metrics_of(name), part_of(name)
        if isinstance(value, int) and not isinstance(value, bool) and metrics:
            yield Quantity("count", name, float(value), part=part)
            continue
        for metric in metrics:
            if isinstance(value, float):
                yield Quantity(metric, name, value, edge=name.endswith(".sd"), part=part)
                if name.endswith(".difference"):
                    yield Quantity(metric, f"-{name}", -value, derived=True, part=part)
            elif name.endswith("interval") and value is not None:
                low, high = value
                ends = {name: low, f"{name}, upper end": high, f"{name}, half": (high - low) / 2}
                for end, bound in ends.items():
                    yield Quantity(metric, end, bound, True, edge=True, part=part)
                    yield Quantity(metric, f"-{end}", -bound, True, edge=True, part=part)


def _leaves(calibration: Calibration) -> Iterator[tuple[str, Any]]:
    """Those of calibration.json, of which single dimensions have the last."""
    yield from calibration.leaves().items()
    for dimension in calibration.energy.dimensions if calibration.energy else ():
        for name, value in dimension.model_dump().items():
            yield f"energy.dimensions.{dimension.dimension}.{name}", value


def _of_cosine(calibration: Calibration) -> Iterator[Quantity]:
    cosine = calibration.cosine
    if cosine.sd is not None:
        error = cosine.sd / math.sqrt(cosine.n)
        yield Quantity("cosine", "the standard error of the cosine", error, derived=True, edge=True)


def _of_controls(calibration: Calibration) -> Iterator[Quantity]:
    """Shares of the cosine, differences among controls, and both as an error 2 (1 - cos)."""
    cosine = calibration.cosine.mean
    for name, control in calibration.controls.items():
        path = f"controls.{name}"
        yield Quantity("mse", f"2 (1 - {path}.mean)", 2 * (1 - control.mean), derived=True)
        for sign in (1, -1):
            yield Quantity("mse", f"2 {path}.difference", 2 * sign * control.difference, True)
            for bound in control.interval or ():
                yield Quantity("mse", f"2 {path}.interval", 2 * sign * bound, True, edge=True)
        if cosine:
            share = control.mean / cosine
            yield Quantity("control", f"{path}.mean / cosine.mean", share)
            yield Quantity("control", f"1 - {path}.mean / cosine.mean", 1 - share, derived=True)
        if control.mean:
            times = cosine / control.mean
            yield Quantity("control", f"cosine.mean / {path}.mean", times, derived=True)
    for one, other in itertools.permutations(calibration.controls.values(), 2):
        apart = one.mean - other.mean
        yield Quantity("control", "between controls", apart, derived=True, edge=True)


def _of_retrieval(calibration: Calibration) -> Iterator[Quantity]:
    """Misses, and how far above chance or above knowing the document alone."""
    found, asked = calibration.retrieval, calibration.denominators
    document = asked.documents / asked.rows
    yield Quantity("retrieval", "1 - retrieval.top1", 1 - found.top1, derived=True)
    yield Quantity("retrieval", "denominators.documents / denominators.rows", document, True)
    for baseline, name in ((found.chance, "retrieval.chance"), (document, "the document alone")):
        yield Quantity("retrieval", f"retrieval.top1 - {name}", found.top1 - baseline, derived=True)
        yield Quantity("retrieval", f"retrieval.top1 / {name}", found.top1 / baseline)
        for bound in found.interval:
            above = bound - baseline
            yield Quantity("retrieval", f"retrieval.interval - {name}", above, True, edge=True)
    if within := found.in_document:
        name, above = "retrieval.in_document", within.mean - within.chance
        yield Quantity("retrieval", f"{name}.mean - {name}.chance", above, derived=True)


def _of_counts(calibration: Calibration) -> Iterator[Quantity]:
    """Failures and misses, and every count as a rate of its whole."""
    asked, texts, found = calibration.denominators, calibration.diversity, calibration.retrieval
    failed = asked.rows - asked.ok
    yield Quantity("count", "rows without an explanation", failed, derived=True)
    yield Quantity("count", "rows not retrieved", found.n - found.hits, derived=True)
    if asked.rows % asked.documents == 0:
        rows = asked.rows // asked.documents
        yield Quantity("count", "rows of a document", rows, derived=True)
    for status, amount in {
        "rows without an explanation": failed,
        "denominators.ok": asked.ok,
        "denominators.empty": asked.empty,
        "denominators.truncated": asked.truncated,
        "denominators.unparsed": asked.unparsed,
    }.items():
        yield Quantity("failure", f"{status} / denominators.rows", amount / asked.rows)
    for name in ("distinct_explanations", "distinct_prefixes_60"):
        if texts.n:
            rate = getattr(texts, name) / texts.n
            yield Quantity("diversity", f"diversity.{name} / diversity.n", rate)
            yield Quantity("diversity", f"1 - diversity.{name} / diversity.n", 1 - rate, True)
    for name in ("random_vector_same_text", "zero_vector_same_text"):
        if calibration.injection.n:
            rate = getattr(calibration.injection, name) / calibration.injection.n
            yield Quantity("diversity", f"injection.{name} / injection.n", rate)
