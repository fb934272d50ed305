"""`nla-release compare`."""

import tempfile
from pathlib import Path

import click

from nla_release.calibration.compare import compare
from nla_release.calibration.comparison import Comparison
from nla_release.calibration.comparison_text import comparison_markdown, comparison_text
from nla_release.calibration.measured import PUBLISHED_FILES, Measured, read_measured
from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import format_option
from nla_release.errors import NothingCheckedError
from nla_release.hub_client.place import read_place
from nla_release.io.log import log
from nla_release.statistics.blocks import MIN_DOCUMENTS, MIN_ROWS

FORMATS = ("text", "json", "markdown")


@click.command(
    "compare",
    cls=ExampleCommand,
    example="nla-release compare my-release someone/pair-av-v0_0_1@v0.0.1",
)
@click.argument("first")
@click.argument("others", nargs=-1, required=True)
@format_option("Each is one document on stdout.", FORMATS)
def command(first: str, others: tuple[str, ...], form: str) -> None:
    """Compare releases with the FIRST on the rows that they have in common.

    Each is the folder of release.yaml, a rendered dist/ or repository, an evidence/ folder, or a
    repository on the Hub, such as namespace/name@v0.0.1. Rows are matched by id and activation, and
    differences are paired by row. Releases without a common row are shown next to each other,
    without differences.

    Exits with 3 when no release has a row in common with the first, or too few to decide.
    """
    with tempfile.TemporaryDirectory(prefix="nla-release-") as downloads:
        releases = [
            _measured(place, Path(downloads) / str(at)) for at, place in enumerate((first, *others))
        ]
    show(compare(releases), form)


def show(comparison: Comparison, form: str) -> None:
    """The comparison on stdout.

    Raises:
        NothingCheckedError: nothing in it could be compared, or nothing decided.
    """
    if form == "json":
        output(comparison.dump(), nl=False)
    else:
        output((comparison_text if form == "text" else comparison_markdown)(comparison))
    if not comparison.paired:
        raise NothingCheckedError(
            "nothing was compared: no release has a row in common with the first",
            hint="measure both on the same held-out activations, `evaluation.data` in release.yaml",
        )
    if all(each.verdict == "inconclusive" for each in comparison.paired):
        raise NothingCheckedError(
            "nothing was decided: the releases have too few rows in common",
            hint=f"the minimum is {MIN_ROWS} common rows of {MIN_DOCUMENTS} documents",
        )


def _measured(place: str, target: Path) -> Measured:
    if Path(place).exists():
        return read_measured(Path(place), place)
    from nla_release.hub_client.reader import fetch

    asked = read_place(place)
    log.info(f"{place}: downloading its evidence")
    found = fetch(asked, PUBLISHED_FILES, target)
    return read_measured(target / found.inside, str(found))
