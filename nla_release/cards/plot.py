"""What every figure has in common: its files, its canvas, its colours.

The object API of matplotlib on its Agg canvas, in its default style whatever the user's own is: no
display, no date and no program's name in a file. The background is opaque white, so that a figure
reads the same on a dark page. Colours are Okabe and Ito's, told apart by colour-blind readers, and
never the only thing that tells two marks apart.
"""

import csv
import io
import platform
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib import __version__ as mpl_version
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import __version__ as pillow_version

BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "#595959"

# 1350 pixels wide, twice what a README column shows, so that it stays sharp on dense screens. At
# 7.5 inches a font of 10 points is 12 pixels high there.
WIDTH, DPI = 7.5, 180

# White space around everything in a figure, in inches.
_PAD = 0.08

# The layout engine moves words and breaks none: so many characters fit into a line of a row's name,
# which leaves most of the width to the marks, and of a title or label below the axes.
_NAME_WIDTH, _LINE_WIDTH = 28, 60

# More marks than this are drawn as pixels in an SVG, which would else grow by 100 bytes each.
MANY = 2000

# SVG ids are hashes salted with this, by default with a random number.
_STYLE = {"svg.hashsalt": "nla_release", "svg.fonttype": "path"}


@dataclass(frozen=True)
class Plot:
    """One figure.

    `alt` tells it in words, `columns` and `rows` are the numbers that it shows, and `draw` makes
    the picture.
    """

    name: str
    alt: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str | int | float | None, ...]]
    draw: Callable[[], Figure]

    def drawn(self) -> Figure:
        """The picture, with title and label broken into lines that fit."""
        figure = self.draw()
        for axes in figure.axes:
            for words in (axes.title, axes.xaxis.label):
                words.set_text(textwrap.fill(words.get_text(), _LINE_WIDTH))
        return figure

    def files(self) -> dict[str, str | bytes]:
        """PNG, SVG and CSV, by their names in a repository."""
        with style.context(["default", _STYLE]):
            figure, png, svg = self.drawn(), io.BytesIO(), io.StringIO()
            # Unlike `savefig`, which draws everything once more beforehand.
            FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
            figure.set_layout_engine("none")  # as laid out for the PNG
            FigureCanvasSVG(figure).print_svg(svg, metadata={"Creator": None, "Date": None})
        return {
            f"figures/{self.name}.png": png.getvalue(),
            f"figures/{self.name}.svg": svg.getvalue().encode(),
            f"figures/{self.name}.csv": self._table(),
        }

    def _table(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


def drawn_with() -> str:
    """What decides the bytes of a figure besides its numbers: the libraries and the machine."""
    system, machine = platform.system(), platform.machine()
    return f"matplotlib {mpl_version}, Pillow {pillow_version}, {system} {machine}"


def canvas(height: float) -> tuple[Figure, Axes]:
    """A figure of the common width, `height` inches high, with one pair of axes."""
    layout = ConstrainedLayoutEngine(w_pad=_PAD, h_pad=_PAD)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", color="#E0E0E0", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def named_rows(axes: Axes, names: Sequence[str]) -> None:
    """One name per row of marks, the first on top, at heights 0, -1, -2 and so on."""
    lines = [
        "\n".join(textwrap.fill(line, _NAME_WIDTH) for line in name.splitlines()) for name in names
    ]
    axes.set_yticks([-place for place in range(len(names))], lines)
    axes.set_ylim(0.5 - len(names), 0.5)
    axes.tick_params(axis="y", length=0)


def legend_above(figure: Figure, columns: int) -> None:
    """What the marks are, above the picture and inside of it."""
    figure.legend(loc="outside upper center", ncols=columns, frameon=False)
