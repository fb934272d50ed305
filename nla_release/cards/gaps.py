"""How far the pair falls short of perfect, and of other texts and vectors on the same rows.

A pure function of the calibration.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nla_release.calibration.report import Calibration
from nla_release.diagnostics.ceiling import Ceiling
from nla_release.diagnostics.text_controls import TextControls
from nla_release.text.numbers import number, signed


@dataclass(frozen=True)
class Gap:
    """One thing that was measured, what it is held against, and what lies between."""

    what: str
    here: str
    against: str
    gap: str
    n: int


def gaps(calibration: Calibration) -> list[Gap]:
    """What falls short, from the numbers that are there; nothing is compared with other pairs.

    Where the pair is as good as what it is held against, or better, there is no gap to tell of.
    """
    return [*_of_reading(calibration), *_of_retrieval(calibration), *_of_failures(calibration)]


def _of_reading(calibration: Calibration) -> Iterator[Gap]:
    cosine, fve = calibration.cosine, calibration.fve
    gold = calibration.controls.get("gold_text")
    if gold and gold.difference < 0:
        yield Gap(
            "Round-trip cosine",
            number(cosine.mean),
            f"{number(gold.mean)}: the labelled explanation, read by this AR",
            signed(gold.difference),
            gold.n,
        )
    read = calibration.probes.of(TextControls)
    source = read.controls.get("source_text") if read else None
    if source and source.difference < 0:
        yield Gap(
            "Round-trip cosine",
            number(cosine.mean),
            f"{number(source.mean)}: the source text itself, read by this AR",
            signed(source.difference),
            source.n,
        )
    if fve.value is not None:
        yield Gap(
            "Variance explained (FVE)",
            number(fve.value),
            "1: a perfect reconstruction",
            signed(fve.value - 1),
            fve.n,
        )


def _of_retrieval(calibration: Calibration) -> Iterator[Gap]:
    found = calibration.retrieval
    if found.hits < found.n:
        yield Gap(
            "Own activation retrieved",
            f"{found.hits}/{found.n} = {number(found.top1)}",
            f"{found.n}/{found.n} = 1: every one",
            signed(found.top1 - 1),
            found.n,
        )
    raw = calibration.probes.of(Ceiling)
    if raw and raw.nearest_of_reconstructions.hits < raw.nearest.hits:
        seen, near = raw.nearest_of_reconstructions, raw.nearest
        yield Gap(
            "Nearest other activation is of the same document",
            f"{seen.hits}/{seen.n} = {number(seen.share)}",
            f"{near.hits}/{near.n} = {number(near.share)}: the raw activation itself",
            signed(seen.share - near.share),
            seen.n,
        )


def _of_failures(calibration: Calibration) -> Iterator[Gap]:
    asked = calibration.denominators
    if asked.ok < asked.rows:
        yield Gap(
            "Activations explained",
            f"{asked.ok}/{asked.rows} = {number(asked.ok / asked.rows)}",
            f"{asked.rows}/{asked.rows} = 1: every one",
            signed(asked.ok / asked.rows - 1),
            asked.rows,
        )
