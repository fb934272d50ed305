"""`nla-release report`."""

from pathlib import Path

import click

from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import path_argument
from nla_release.errors import ConfigError
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.io.files import write_atomic
from nla_release.io.log import log
from nla_release.report.render import render_report

# Every report has this within its first bytes.
_MARK = (
    """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-"""
)
_HEAD = 4096


@click.command(
    "report", cls=ExampleCommand, example="nla-release report my-release --output report.html"
)
@path_argument
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path, dir_okay=False),
    default="report.html",
    show_default=True,
    help="The file to write.",
)
def command(path: Path, target: Path) -> None:
    """Write verdict, numbers and rows of PATH into one HTML file, to read or to send.

    PATH is the folder of release.yaml, a rendered dist/, or one adapter's folder. The file begins
    with two verdicts: whether the release is complete and honest, and how good the pair is. Three
    questions and their answers follow, the numbers with their controls, every rule, and all rows
    with the text and score of each control. It needs no network. Without scripts it shows the 50
    worst rows; without evidence, only the gate. Only an older report is replaced.

    Prints the file's path on stdout. Exits with 0 for any verdict; use `check` to fail on one.
    """
    # Resolved, so that the same release gives the same bytes for every name of its folder.
    _check_replaceable(target)
    subject = find_subject(path.resolve())
    verdict = apply_rules(subject)
    write_atomic(target, render_report(subject, verdict))
    log.info(f"verdict: {verdict.verdict}")
    output(str(target))


def _check_replaceable(target: Path) -> None:
    """Refuse to replace anything but an older report."""
    if not target.exists():
        return
    if target.is_file():
        with target.open(encoding="utf-8", errors="replace") as file:
            if _MARK in file.read(_HEAD):
                return
    raise ConfigError(
        f"{target} exists and is not a report of nla-release",
        hint="give another file as --output",
    )
