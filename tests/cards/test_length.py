"""A card is short; what left it is in RELEASE_CALIBRATION.md."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nla_release.calibration.multiplicity import adjusted_sentence
from nla_release.calibration.report import Calibration
from nla_release.contract.sidecar import read_sidecar
from nla_release.release.folder import ROLES
from nla_release.text.numbers import interval, number, signed

MAX_WORDS = 1800


def body(card: str) -> str:
    """All of a card but its metadata: the comments that mark generated blocks count too."""
    return card.split("---\n", 2)[2]


def words(card: str) -> list[str]:
    """Those of its body, its code and the cells of its tables, but not the lines between cells."""
    return [word for word in body(card).split() if re.search(r"\w", word)]


@pytest.mark.parametrize("role", ROLES)
def test_the_demos_card_has_at_most_1800_words(good_release: Path, role: str) -> None:
    """The hand-made card that it replaces had 1,491; the generated one had grown to 3,500."""
    card = (good_release / "dist" / role / "README.md").read_text(encoding="utf-8")

    assert 1000 < len(words(card)) <= MAX_WORDS


def once_on_the_card(folder: Path) -> Iterator[str]:
    """The numbers that a card of this release showed when it was long."""
    found, sidecar = Calibration.read(folder / "calibration.json"), read_sidecar(folder)
    asked, mean = found.denominators, found.controls["predict_mean"]
    yield from (number(found.mse.mean), number(2 * (1 - mean.mean)), signed(-2 * mean.difference))
    for name in ("zero_vector", "gold_text"):
        if control := found.controls.get(name):
            yield from (number(control.mean), signed(control.difference))
            yield interval(control.interval)
    for fve in (found.fve, found.fve_mean_norm):
        yield from (number(fve.value), interval(fve.interval), number(fve.denominator))
        yield f"`{fve.definition}`"
    yield from (found.reference.sha256, str(found.reference.rows))
    yield from (number(found.cosine.median), number(found.cosine.sd))
    yield f"95% CI {number(found.cosine.interval[0])} to {number(found.cosine.interval[1])}"
    yield f"{found.diversity.distinct_prefixes_60} different beginnings"
    yield f"{found.injection.random_vector_same_text} equal the text for a random direction"
    yield f"{found.injection.zero_vector_same_text} the text for the zero vector"
    yield f"{found.bootstrap.draws} draws, seed {found.bootstrap.seed}"
    yield number(asked.documents / asked.rows)
    norms = sidecar.nla_release.norms
    yield from (f"| {norms.activation_mean} |", f"| {norms.embedding_mean} |")
    if sidecar.role == "av":
        yield f"({number(sidecar.injection.scale / norms.embedding_mean)} \u00d7 the mean"
    probes = found.probes
    yield from (number(probes.structural.shares["predict_mean"].share), "adds ")
    for ranking in (probes.retrieval.drawn, probes.text_retrieval.lexical):
        yield from (f"{ranking.hits}/{ranking.n} = ", number(ranking.chance))
    for ratio in (probes.ceiling.nearest, probes.ceiling.probe):
        yield f"{ratio.hits}/{ratio.n} = {number(ratio.share)}"
    yield from (probes.ceiling.nearest_chance, probes.ceiling.probe_chance)
    yield adjusted_sentence(found.multiplicity)
    yield "skipped, no encoder was named"
    yield "Not run: text controls, claims, paraphrase, discrimination."
    yield "descending when slope <= -0.002 per step and R2 >= 0.10"


@pytest.mark.parametrize("role", ROLES)
def test_every_number_that_left_the_card_is_in_release_calibration(
    good_release: Path, role: str
) -> None:
    folder = good_release / "dist" / role
    page = (folder / "RELEASE_CALIBRATION.md").read_text(encoding="utf-8")
    shown = [
        number(value) if isinstance(value, float) else value for value in once_on_the_card(folder)
    ]

    assert len(shown) > 40
    assert [value for value in shown if value not in page] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_number_of_the_headline_table_is_in_release_calibration(
    good_release: Path, role: str
) -> None:
    folder = good_release / "dist" / role
    page = (folder / "RELEASE_CALIBRATION.md").read_text(encoding="utf-8")
    card = body((folder / "README.md").read_text(encoding="utf-8"))
    table = card.partition("## Headline numbers")[2].partition("**What this shows**")[0]
    numbers = re.findall(r"[+-]?\d+\.\d+", table)

    assert len(numbers) > 20
    assert [value for value in numbers if value not in page] == []
