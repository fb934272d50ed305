"""Released versions side by side, each on its own rows."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from nla_release.calibration.comparison import Version
from nla_release.cards.figures.plot import (
    BLUE,
    GREY,
    VERMILION,
    Plot,
    canvas,
    legend_above,
    named_rows,
)
from nla_release.evidence.controls import CONTROLS
from nla_release.text.numbers import number


def versions_side_by_side(versions: Sequence[Version]) -> Plot:
    """Cosine of every version with its interval, beside its own two controls."""
    told = ", ".join(
        f"{each.name} {number(each.cosine.mean)} (another row's {number(each.shuffled.mean)}, mean"
        f" direction {number(each.predict_mean)}, n = {each.rows})"
        for each in versions
    )
    columns = (
        "version", "n", "documents", "cosine", "interval_low", "interval_high", "another_rows",
        "mean_direction", "fve", "retrieved", "label",
    )  # fmt: skip
    return Plot(
        "versions",
        f"Round-trip cosine by version, each on its own rows: {told}.",
        columns,
        [
            (
                each.name,
                each.rows,
                each.documents,
                each.cosine.mean,
                *(each.cosine.interval or (None, None)),
                each.shuffled.mean,
                each.predict_mean,
                each.fve.value,
                each.retrieval.top1,
                each.label,
            )
            for each in versions
        ],
        lambda: _drawn(versions),
    )


def _drawn(versions: Sequence[Version]) -> Figure:
    figure, axes = canvas(1.8 + 0.7 * len(versions))
    mean = CONTROLS["predict_mean"].words.removeprefix("the ")
    for place, each in enumerate(versions):
        first = place == 0
        if each.cosine.interval:
            axes.hlines(-place, *each.cosine.interval, color=BLUE, linewidth=3)
        for value, mark, color, words in (
            (each.cosine.mean, "o", BLUE, "own explanation, 95% interval"),
            (each.shuffled.mean, "s", GREY, CONTROLS["shuffled"].words),
            (each.predict_mean, "D", VERMILION, mean),
        ):
            axes.plot(
                value, -place, mark, color=color, markersize=9, label=words if first else None
            )
    named_rows(axes, [f"{each.name}\n{each.label}, n = {each.rows}" for each in versions])
    axes.set_xlabel("cosine of activation and reconstruction")
    axes.set_title("Versions, each on its own rows")
    legend_above(figure, 3)
    return figure
