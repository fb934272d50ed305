"""`nla-release calibrate`: from evidence to calibration.json."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import click

from nla_release.calibration.asked import check_asked
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, record_attempts
from nla_release.calibration.report import CurrentCalibration
from nla_release.calibration.tables import calibration_table
from nla_release.cli.edge import ExampleCommand, output
from nla_release.errors import ConfigError
from nla_release.evidence.parts import Evidence
from nla_release.gate.hygiene import unpublishable
from nla_release.history.evidence_update import Added, add_evidence, restore_evidence
from nla_release.io.files import write_atomic
from nla_release.io.layout import CALIBRATION_FILE, RELEASE_FILE
from nla_release.io.log import log
from nla_release.release.folder import read_release
from nla_release.text.numbers import count


@click.command("calibrate", cls=ExampleCommand, example="nla-release calibrate my-release")
@click.argument("path", type=click.Path(path_type=Path), default=".")
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
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json prints calibration.json on stdout.",
)
def command(
    path: Path, addendum: str | None, day: datetime | None, restore: bool, output_format: str
) -> None:
    """Compute calibration.json from the evidence in PATH.

    PATH is the folder that holds release.yaml and evidence/; calibration.json is written there. The
    same evidence gives the same bytes, on any machine, without torch. Evidence that was measured
    with other settings than those in release.yaml is refused. evaluation.attempts, which needs no
    measurement, is first copied from release.yaml into the evidence.

    --addendum is for new evidence of a published version: its weights must be exactly those in
    dist/. The superseded evidence and calibration are kept in addenda/. The next `render` of the
    same version writes both numbers into RELEASE_CALIBRATION.md and an entry into HISTORY.md. The
    same command with another TEXT changes the text, until the addendum is published. --restore puts
    back what the version in dist/ was rendered with. Exits with 3 when the evidence says nothing
    new, or is inconclusive where the superseded evidence was not.
    """
    if restore:
        if addendum is not None or day is not None or output_format != "text":
            raise click.UsageError("--restore goes with no other option")
        release = read_release(path)
        restored = restore_evidence(release)
        log.info(f"restored {release.evidence} and {release.calibration} as {restored} has them")
        return
    if addendum is None:
        if day is not None:
            raise ConfigError("--date belongs to --addendum", hint='add --addendum "..."')
        calibration: CurrentCalibration = calibrate(_evidence(path))
        write_atomic(path / CALIBRATION_FILE, calibration.dump())
        _show(calibration, path)
    else:
        if not addendum.strip():
            raise ConfigError(
                "the addendum has no text", hint="say why evidence was added, in a sentence"
            )
        if found := unpublishable(addendum):
            raise ConfigError(
                f"the text of the addendum holds {found}",
                hint="it would be published: say why evidence was added in plain words",
            )
        _evidence(path)
        added = add_evidence(read_release(path), addendum, _past(day))
        calibration = added.calibration
        _show(calibration, path)
        _show_addendum(added)
    if output_format == "json":
        output(calibration.dump(), nl=False)


def _evidence(path: Path) -> Evidence:
    """The evidence of a folder, which is what its release.yaml asks for, if there is one.

    `evaluation.attempts`, which nobody has to measure, is written into the evidence.
    """
    evidence = read_evidence(path / "evidence")
    if not (path / RELEASE_FILE).exists():
        return evidence
    release = read_release(path)
    attempts = release.config.evaluation.attempts
    if attempts not in (None, evidence.run.attempts) and evidence.run.schema_ > 1:
        record_attempts(release.evidence, attempts)
        log.info(f"recorded in {release.evidence}: evaluation.attempts is {attempts}")
        evidence = read_evidence(release.evidence)
    check_asked(release, evidence)
    return evidence


def _past(day: datetime | None) -> date:
    today = datetime.now(UTC).date()
    # Somewhere it is tomorrow already.
    if day and day.date() > today + timedelta(days=1):
        raise ConfigError(f"--date {day.date()} is in the future")
    return day.date() if day else today


def _show(calibration: CurrentCalibration, path: Path) -> None:
    log.info(calibration_table(calibration))
    log.info(f"\nwrote {path / CALIBRATION_FILE}")


def _show_addendum(added: Added) -> None:
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
