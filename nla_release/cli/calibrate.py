"""`nla-release calibrate`: from evidence to calibration.json."""

from pathlib import Path

import click

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence import read_evidence
from nla_release.files import write_atomic
from nla_release.output.calibration_text import calibration_table
from nla_release.release import CALIBRATION_FILE_NAME


@click.command("calibrate")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json prints calibration.json on stdout.",
)
def command(path: Path, output_format: str) -> None:
    """Compute calibration.json from the evidence in PATH.

    PATH is the folder that holds release.yaml, evidence/ and, afterwards, calibration.json. Only
    the evidence is read: the same evidence gives the same bytes, on any machine, without torch.
    """
    calibration = calibrate(read_evidence(path / "evidence"))
    text = calibration.dump()
    write_atomic(path / CALIBRATION_FILE_NAME, text)
    click.echo(calibration_table(calibration), err=True)
    click.echo(f"\nwrote {path / 'calibration.json'}", err=True)
    if output_format == "json":
        click.echo(text, nl=False)
