"""What is retrieved, against what knowing the document gives, and against chance."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from nla_release.calibration.report import Calibration, Retrieval
from nla_release.calibration.tables import rankings
from nla_release.cards.figures.plot import BLUE, GREY, VERMILION, Plot, canvas, named_rows
from nla_release.statistics.blocks import Ranking
from nla_release.text.numbers import number


@dataclass(frozen=True)
class _Rate:
    """How often a row's own item ranks first.

    `document_alone` is the same of a text that says its document and nothing of the row; None where
    it says the item.
    """

    words: str
    hits: int
    n: int
    share: float
    interval: tuple[float, float]
    document_alone: float | None
    chance: float

    @property
    def baselines(self) -> str:
        """In words."""
        chance = f"chance {number(self.chance)}"
        if self.document_alone is None:
            return chance
        return f"knowing the document alone {number(self.document_alone)}, {chance}"


def retrieval_vs_chance(calibration: Calibration) -> Plot:
    """Shares retrieved with their Wilson intervals, each with its baselines."""
    rates = _rates(calibration)
    told = "; ".join(
        f"{rate.words}: {rate.hits} of {rate.n}, {number(rate.share)} (95% interval"
        f" {number(rate.interval[0])} to {number(rate.interval[1])}), {rate.baselines}"
        for rate in rates
    )
    return Plot(
        "retrieval_vs_chance",
        f"Share retrieved against baselines: {told}.",
        (
            "retrieved",
            "hits",
            "n",
            "share",
            "interval_low",
            "interval_high",
            "document_alone",
            "chance",
        ),
        [
            (
                rate.words,
                rate.hits,
                rate.n,
                rate.share,
                *rate.interval,
                "" if rate.document_alone is None else rate.document_alone,
                rate.chance,
            )
            for rate in rates
        ],
        lambda: _drawn(rates),
    )


def _rates(calibration: Calibration) -> list[_Rate]:
    """What was retrieved, as far as it was measured; the headline first."""
    headline = _rate("Own activation is the nearest of all (top-1)", calibration.retrieval)
    found = (_rate(words, each) for words, each in rankings(calibration.probes).items())
    return [headline, *(each for each in found if each.words != headline.words)]


def _rate(words: str, found: Retrieval | Ranking) -> _Rate:
    alone = None if found.document_alone == 1 else found.document_alone
    return _Rate(words, found.hits, found.n, found.top1, found.interval, alone, found.chance)


def _drawn(rates: list[_Rate]) -> Figure:
    figure, axes = canvas(1.4 + 0.75 * len(rates))
    for place, rate in enumerate(rates):
        low, high = rate.interval
        axes.hlines(-place, low, high, color=BLUE, linewidth=3)
        axes.plot(rate.share, -place, "o", color=BLUE, markersize=8)
        axes.vlines(rate.chance, -place - 0.3, -place + 0.3, color=GREY, linewidth=3)
        if rate.document_alone is not None:
            axes.vlines(
                rate.document_alone, -place - 0.3, -place + 0.3, color=VERMILION, linewidth=3
            )
    named_rows(
        axes,
        [f"{rate.words}\n{rate.hits}/{rate.n} = {number(rate.share)}" for rate in rates],
    )
    axes.set_xlim(left=-0.02 * axes.get_xlim()[1])  # a mark at 0 is whole
    axes.set_xlabel(
        "share of rows whose own item ranks first; bars: chance (grey), document alone (red)"
    )
    axes.set_title("Retrieval against its baselines, 95% intervals")
    return figure
