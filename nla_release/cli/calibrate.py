"""`nla-release calibrate`: from evidence to calibration.json."""

from datetime import datetime
from pathlib import Path

import click

from nla_release import api
from nla_release.calibration.tables import calibration_table
from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import format_option, path_argument
from nla_release.errors import ConfigError
from nla_release.history.add_evidence import AddedEvidence, restore_evidence
from nla_release.io.log import log
from nla_release.release.folder import read_release
from nla_release.text.numbers import count


@click.command("calibrate", cls=ExampleCommand, example="nla-release calibrate my-release")
@path_argument
@click.option(
    "--addendum",
    metavar="TEXT",
    help="Add the evidence to the published version in dist/; the text says why, in a sentence.",
)
@click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Date of the addendum; today (UTC) by default.",
)
@click.option(
    "--restore",
    is_flag=True,
    help="Put back the evidence/ and calibration.json that the version in dist/ was rendered with.",
)
@format_option("json prints calibration.json on stdout.")
def command(
    path: Path, addendum: str | None, day: datetime | None, restore: bool, form: str
) -> None:
    """Compute calibration.json from the evidence in PATH.

    PATH is the folder that holds release.yaml and evidence/; calibration.json is written there. The
    same evidence gives the same bytes, on any machine, without torch. Evidence that was measured
    with other settings than those in release.yaml is refused. evaluation.attempts, which needs no
    measurement, is first copied from release.yaml into the evidence.

    --addendum is for new evidence of a published version: the weights must be those in dist/. The
    superseded evidence and calibration are kept in addenda/. The next `render` of the same version
    writes both numbers into RELEASE_CALIBRATION.md and an entry into HISTORY.md. Until the addendum
    is published, the same command with another TEXT changes the text. --restore puts back what the
    version in dist/ was rendered with. Exits with 3 if the evidence is not new, or if it is
    inconclusive and the superseded evidence was not.
    """
    if restore:
        if addendum is not None or day is not None or form != "text":
            raise click.UsageError("--restore goes with no other option")
        release = read_release(path)
        restored = restore_evidence(release)
        log.info(f"restored {release.evidence} and {release.calibration} as {restored} has them")
        return
    if addendum is None and day is not None:
        raise ConfigError("--date belongs to --addendum", hint='add --addendum "..."')
    result = api.calibrate(path, addendum=addendum, day=day.date() if day else None)
    log.info(calibration_table(result.calibration))
    log.info(f"\nwrote {result.path}")
    if result.update:
        _show_addendum(result.update)
    if form == "json":
        output(result.calibration.dump(), nl=False)


def _show_addendum(added: AddedEvidence) -> None:
    record, before = added.record, added.former.denominators
    asked = added.calibration.denominators
    fewer = ": fewer rows than before" if asked.rows < before.rows else ""
    log.info(
        f"{record.tag}, {record.date}: {count(asked.rows, 'row')} of"
        f" {count(asked.documents, 'document')}, superseding {record.former_name} of"
        f" {count(before.rows, 'row')} of {count(before.documents, 'document')}{fewer}"
    )
    verdicts = added.former.label.name, added.calibration.label.name
    log.info(f"verdict: {verdicts[0]} before, {verdicts[1]} now")
    log.info(f"next: nla-release render --version {record.version}")
