"""Figures: the same picture, to the byte, from the same numbers, with words and numbers beside."""

import csv
import io
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import matplotlib.image
import pytest

from nla_release.adapter.training_log import Step
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.comparison import side_by_side
from nla_release.cards.figures import (
    cosine_distributions,
    retrieval_vs_chance,
    three_questions,
    training_loss,
    versions_side_by_side,
)
from nla_release.cards.plot import Plot
from nla_release.evidence.controls import CONTROLS
from tests.builders import make_evidence

LOG = [Step(step=step, loss=3 - step / 100 + (step % 7) / 20, lr=0.001) for step in range(1, 200)]


def plots(folder: Path, **options: Any) -> dict[str, Plot]:
    """Every figure of a release, by name."""
    evidence = make_evidence(folder / "evidence", **options)
    other = calibrate(make_evidence(folder / "other", **options | {"seed": 7}))
    calibration = calibrate(evidence)
    return {
        plot.name: plot
        for plot in (
            training_loss("av", LOG),
            cosine_distributions(evidence, calibration),
            three_questions(calibration),
            retrieval_vs_chance(calibration),
            versions_side_by_side(side_by_side([("v0.2.0", calibration), ("v0.1.0", other)])),
        )
    }


def files(plot: Plot) -> tuple[bytes, bytes, str]:
    """PNG, SVG and CSV."""
    made = plot.files()
    assert list(made) == [f"figures/{plot.name}.{kind}" for kind in ("png", "svg", "csv")]
    png, svg, table = made.values()
    assert isinstance(png, bytes)
    assert isinstance(svg, bytes)
    assert isinstance(table, str)
    return png, svg, table


def table(plot: Plot) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files(plot)[2])))


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = plots(tmp_path / "one"), plots(tmp_path / "two")

    assert [plot.files() for plot in first.values()] == [plot.files() for plot in second.values()]


def test_the_users_own_style_changes_nothing() -> None:
    plain = training_loss("av", LOG).files()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "none"}):
        styled = training_loss("av", LOG).files()

    assert styled == plain


def test_other_numbers_give_another_picture_and_another_table(tmp_path: Path) -> None:
    for name, plot in plots(tmp_path / "one").items():
        if name != "training_loss":
            other = plots(tmp_path / "two", noise=1.5)[name]
            assert all(a != b for a, b in zip(files(plot), files(other), strict=True))


def test_a_file_says_nothing_of_who_drew_it_and_when(tmp_path: Path) -> None:
    for plot in plots(tmp_path).values():
        png, svg, _ = files(plot)
        assert png.startswith(b"\x89PNG")
        assert b"tEXt" not in png
        assert b"tIME" not in png
        assert b"dc:date" not in svg
        assert b"atplotlib v" not in svg


def test_pictures_are_twice_as_wide_as_a_readme_column_and_opaque(tmp_path: Path) -> None:
    for plot in plots(tmp_path).values():
        pixels = matplotlib.image.imread(io.BytesIO(files(plot)[0]))
        height, width, _ = pixels.shape
        assert width == 1350
        # The three questions have a line of words for every row of the tables.
        assert 400 <= height <= (1700 if plot.name == "three_questions" else 1000)
        # White to the last corner, so that black words can be read on a dark page.
        assert pixels[0, 0].tolist() == [1, 1, 1, 1]
        assert pixels[..., 3].min() == 1


def test_a_vector_graphic_has_the_same_shape_and_runs_no_code(tmp_path: Path) -> None:
    for plot in plots(tmp_path).values():
        png, svg, _ = files(plot)
        height, width, _ = matplotlib.image.imread(io.BytesIO(png)).shape
        root = ET.fromstring(svg)
        _, _, wide, high = map(float, root.attrib["viewBox"].split())
        assert wide / high == pytest.approx(width / height, rel=0.01)
        assert not re.search(rb"<script|\son\w+=|href=\"(?!#)", svg)


LONG = {
    "count": lambda number, noun: f"{number},123,456,789,012 {noun}s",
    "number": lambda value: f"{value:.17f}",
    "signed": lambda value: f"{value:+.17f}",
}
FIGURES = "training_loss", "cosine_real_vs_controls", "three_questions", "retrieval_vs_chance"


@pytest.mark.parametrize("words", ["short", "long"])
@pytest.mark.parametrize("name", [*FIGURES, "versions"])
def test_nothing_is_cut_off_at_an_edge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    if words == "long":
        for function, value in LONG.items():
            monkeypatch.setattr(f"nla_release.cards.figures.{function}", value)
    probes = ["text-retrieval", "discrimination"]
    options = {"rows": 120, "documents": 30, "probes": probes, "failed": {3: "empty"}}
    pixels = matplotlib.image.imread(io.BytesIO(files(plots(tmp_path, **options)[name])[0]))

    for edge in (pixels[:6], pixels[-6:], pixels[:, :6], pixels[:, -6:]):
        assert edge.min() == 1, "ink within 6 pixels of an edge"


@pytest.mark.parametrize("options", [{}, {"collapsed": True}], ids=["reads", "collapsed"])
def test_axes_are_as_wide_as_the_page_and_no_wider_than_their_marks(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    for plot in plots(tmp_path, **options).values():
        figure = plot.drawn()
        figure.draw_without_rendering()
        (axes,) = figure.axes
        assert axes.get_position().width > 0.65, f"{plot.name} leaves the page empty"
        low, high = sorted(axes.get_xlim())
        shown = axes.dataLim.x1 - min(axes.dataLim.x0, max(low, 0))
        assert shown > 0.85 * (high - low), f"{plot.name}: {low} to {high} for {axes.dataLim}"


def test_many_rows_are_drawn_as_pixels_in_a_vector_graphic(tmp_path: Path) -> None:
    _, svg, rows = files(plots(tmp_path, rows=2400, documents=60)["cosine_real_vs_controls"])

    assert b"data:image/png;base64," in svg
    assert len(svg) < 300_000
    assert rows.count(",2400\n") == 4


@pytest.mark.parametrize(
    "options",
    [
        {"rows": 2, "documents": 2},
        {"rows": 6, "documents": 3, "failed": dict.fromkeys(range(6), "empty")},
        {"collapsed": True},
    ],
    ids=["two rows", "nothing explained", "collapsed"],
)
def test_a_poor_pair_is_drawn_like_any_other(tmp_path: Path, options: dict[str, Any]) -> None:
    for plot in plots(tmp_path, **options).values():
        assert files(plot)[0].startswith(b"\x89PNG")
        assert "nan" not in files(plot)[2].lower()


def test_a_log_of_one_step_is_drawn() -> None:
    assert files(training_loss("av", LOG[:1]))[0].startswith(b"\x89PNG")


def test_the_words_beside_a_picture_hold_its_numbers(tmp_path: Path) -> None:
    calibration = calibrate(make_evidence(tmp_path / "evidence"))
    words = plots(tmp_path)["cosine_real_vs_controls"].alt

    centred = calibration.centred
    assert f"n = 40: mean {centred.mean:.3f} for its own explanation" in words
    assert f"{centred.controls['shuffled'].mean:.3f} for another row's explanation" in words
    assert f"{centred.controls['empty'].mean:.3f} for the empty explanation" in words
    assert training_loss("av", LOG).alt.startswith("Raw AV training loss over 199 logged steps")
    assert training_loss("av", LOG).alt.endswith("descending.")


def test_the_table_of_the_loss_is_the_log_and_its_line() -> None:
    rows = table(training_loss("av", LOG))

    assert [(int(row["step"]), float(row["loss"])) for row in rows] == [
        (step.step, step.loss) for step in LOG
    ]
    assert float(rows[0]["line"]) > float(rows[-1]["line"])


def test_the_tables_of_summaries_are_the_calibration(tmp_path: Path) -> None:
    calibration = calibrate(make_evidence(tmp_path / "evidence"))
    made = plots(tmp_path)
    means = {
        row["condition"]: float(row["mean_centred_cosine"])
        for row in table(made["cosine_real_vs_controls"])
    }
    found, before = table(made["versions"])
    headline = table(made["retrieval_vs_chance"])[0]

    assert means["its own explanation"] == calibration.centred.mean
    for name in ("shuffled", "random_vector", "empty"):
        assert means[CONTROLS[name].words] == calibration.centred.controls[name].mean
    assert (found["version"], before["version"]) == ("v0.2.0", "v0.1.0")
    assert float(found["centred_cosine"]) == calibration.contrasts.above_others.first
    assert found["label"] == calibration.label.name
    assert (int(headline["hits"]), int(headline["n"])) == (calibration.retrieval.hits, 40)
    assert float(headline["interval_low"]) == calibration.retrieval.interval[0]


def test_retrieval_is_told_beside_knowing_the_document_and_chance(tmp_path: Path) -> None:
    probes = ["text-retrieval", "discrimination"]
    calibration = calibrate(make_evidence(tmp_path, rows=120, documents=30, probes=probes))
    plot, found = retrieval_vs_chance(calibration), calibration.retrieval
    headline, *others = table(plot)

    assert f"(top-1): {found.hits} of 120, {found.top1:.3f}" in plot.alt
    assert "knowing the document alone 0.250, chance 0.0083" in plot.alt
    assert (headline["document_alone"], headline["chance"]) == ("0.25", "0.008333")
    assert [row["document_alone"] for row in others] == ["", "", ""], "one candidate a document"
    for name in ("by words", "by an encoder", "Source text leads to its activation"):
        assert name in plot.alt
