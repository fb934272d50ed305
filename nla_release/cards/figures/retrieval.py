"""What is retrieved, against chance."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from nla_release.calibration.blocks import Ranking
from nla_release.calibration.probes.discrimination import Discrimination
from nla_release.calibration.probes.retrieval import Retrieval as RetrievalProbe
from nla_release.calibration.probes.text_retrieval import TextRetrieval
from nla_release.calibration.report import Calibration, Retrieval
from nla_release.cards.figures.plot import BLUE, VERMILION, Plot, canvas, named_rows
from nla_release.text.numbers import number


@dataclass(frozen=True)
class _Rate:
    """How often a row's own item ranks first."""

    words: str
    hits: int
    n: int
    share: float
    interval: tuple[float, float]
    chance: float


def retrieval_vs_chance(calibration: Calibration) -> Plot:
    """Shares retrieved with their Wilson intervals, each beside its chance."""
    rates = _rates(calibration)
    told = "; ".join(
        f"{rate.words}: {rate.hits} of {rate.n}, {number(rate.share)} (95% interval"
        f" {number(rate.interval[0])} to {number(rate.interval[1])}), chance {number(rate.chance)}"
        for rate in rates
    )
    return Plot(
        "retrieval_vs_chance",
        f"Share retrieved against chance: {told}.",
        ("retrieved", "hits", "n", "share", "interval_low", "interval_high", "chance"),
        [
            (rate.words, rate.hits, rate.n, rate.share, *rate.interval, rate.chance)
            for rate in rates
        ],
        lambda: _drawn(rates),
    )


def _rates(calibration: Calibration) -> list[_Rate]:
    """What was retrieved, as far as it was measured; the headline first."""
    headline, probes = calibration.retrieval, calibration.probes
    found: dict[str, Retrieval | Ranking] = {"reconstruction to activation": headline}
    ranked = probes.retrieval
    if isinstance(ranked, RetrievalProbe) and ranked.drawn.candidates < headline.candidates:
        found[f"the same, worst of {ranked.draws} draws"] = ranked.drawn
    if isinstance(matched := probes.text_retrieval, TextRetrieval):
        found["explanation to document, by words"] = matched.lexical
        if isinstance(matched.encoder, Ranking):
            found["explanation to document, by an encoder"] = matched.encoder
    if isinstance(told := probes.discrimination, Discrimination):
        found["source text to activation"] = told.cross_row
    return [
        _Rate(words, each.hits, each.n, each.top1, each.interval, each.chance)
        for words, each in found.items()
    ]


def _drawn(rates: list[_Rate]) -> Figure:
    figure, axes = canvas(1.4 + 0.75 * len(rates))
    for place, rate in enumerate(rates):
        low, high = rate.interval
        axes.hlines(-place, low, high, color=BLUE, linewidth=3)
        axes.plot(rate.share, -place, "o", color=BLUE, markersize=8)
        axes.vlines(rate.chance, -place - 0.3, -place + 0.3, color=VERMILION, linewidth=3)
    named_rows(
        axes,
        [f"{rate.words}\n{rate.hits}/{rate.n} = {number(rate.share)}" for rate in rates],
    )
    axes.set_xlim(left=-0.02 * axes.get_xlim()[1])  # a mark at 0 is whole
    axes.set_xlabel("share of rows whose own item ranks first; vertical bar: chance")
    axes.set_title("Retrieval against chance, 95% intervals")
    return figure
