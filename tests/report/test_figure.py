"""The figure shows values, controls and intervals to scale, and says them in words."""

import re
import xml.etree.ElementTree as ET

import pytest

from nla_release.report.figure import lowest, rows_alt, rows_figure
from nla_release.statistics.row import Row


def row(value, baseline=0.1, interval=(0.2, 0.4), **more):
    difference = None if value is None or baseline is None else value - baseline
    return Row(
        "Centred cosine, own text", value, 40, control="texts of others", baseline=baseline,
        difference=difference, interval=interval, **more,
    )  # fmt: skip


def drawn(*rows):
    return ET.fromstring(rows_figure("apart", "Does it?", rows, lowest(rows)))


def places(figure):
    """Where the marks are: dots, bars of controls, and the ends of bands, row by row."""
    dots = [float(it.get("cx")) for it in figure.iter("circle") if it.get("r") == "5"]
    starts = {
        kind: [
            re.findall(r"[\d.]+", it.get("d"))
            for it in figure.iter("path")
            if kind == it.get("class")
        ]
        for kind in ("baseline", "whisker", "zero")
    }
    bars = [float(it[0]) for it in starts["baseline"] if it[0] != "5"]
    bands = [(float(it[0]), float(it[2])) for it in starts["whisker"]]
    return dots, bars, bands, float(starts["zero"][0][0])


def test_the_band_is_the_interval_of_the_difference_added_to_the_control():
    (dot,), (bar,), ((low, high),), zero = places(drawn(row(0.4)))

    assert zero < bar < low < dot < high
    assert (low + high) / 2 == pytest.approx(dot, abs=0.1)
    assert low - bar == pytest.approx(2 * (bar - zero), abs=0.3)


def test_a_row_without_a_control_has_the_band_of_its_value_and_no_bar():
    share = Row("Explanations that fail", 0.1, 40, hits=4, interval=(0.05, 0.2))
    (dot,), bars, ((low, high),), zero = places(drawn(share))

    assert not bars
    assert zero < low < dot < high
    assert rows_alt([share]) == (
        "Explanations that fail 4/40 = 0.100; 95% CI 0.050 to 0.200 (of the value)."
    )


def test_without_an_interval_there_is_no_band_and_the_words_say_so():
    given = row(0.4, interval=None)

    assert not places(drawn(given))[2]
    assert rows_alt([given]) == (
        "Centred cosine, own text 0.400; control 0.100, texts of others; 95% CI of the difference"
        " -."
    )


@pytest.mark.parametrize("value", [0.0, 1e-6, -1.0, 1.0, 2.0])
def test_every_mark_stays_inside_of_the_picture(value):
    figure = drawn(row(value, value, (value, value)))
    dots, bars, bands, _ = places(figure)
    width = float(figure.get("viewBox").split()[2])

    assert all(0 <= it <= width for it in [*dots, *bars, *bands[0]])


def test_what_lies_below_the_axis_is_an_arrow_at_its_edge():
    figure = drawn(row(-0.6))
    arrows = [it.get("d") for it in figure.iter("path") if it.get("class") == "dot"]

    assert not places(figure)[0]
    assert arrows == [arrows[0]]
    assert arrows[0].startswith("M9.0 ")


def test_what_has_no_value_is_not_drawn():
    dots, *_ = places(drawn(row(None), row(0.3)))

    assert len(dots) == 1


def test_figures_next_to_each_other_share_an_axis():
    low = lowest([row(0.5), row(-0.2)])
    alone = ET.fromstring(rows_figure("a", "A", [row(0.5)], low))
    other = ET.fromstring(rows_figure("b", "B", [row(-0.2)], low))

    assert places(alone)[3] == places(other)[3]


def test_long_names_are_broken_and_numbers_stand_at_the_end():
    name = "Explanation leads to its source document, by words"
    figure = drawn(Row(name, 0.5, 40, control="chance", baseline=0.1, difference=0.4))
    texts = [(it.text, it.get("text-anchor")) for it in figure.iter("text")]

    assert texts[:3] == [
        ("Explanation leads to its source", None), ("document, by words", None), ("0.500", "end"),
    ]  # fmt: skip
