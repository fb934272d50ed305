"""`nla-release history`."""

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from nla_release.cli.edge import ExampleCommand, ExampleGroup, output
from nla_release.cli.options import VERSION, path_argument, version_option
from nla_release.errors import ConfigError, NothingCheckedError, printable
from nla_release.history.fragments import (
    Fragment,
    FrontMatter,
    pending,
    read_fragments,
    write_fragment,
)
from nla_release.history.log import HistoryEntry, SupersededNumber, read_history, read_log
from nla_release.history.retractions import check_version_known, retractable
from nla_release.io.log import log
from nla_release.io.schema import parse
from nla_release.release.folder import Release, read_release, tag


def history_lines(log: Sequence[HistoryEntry], pending: Sequence[Fragment]) -> Iterator[str]:
    """Every entry of the log, then the fragments that the next `render` appends to it."""
    for entry in log:
        yield printable(entry.heading)
        if entry.record and entry.record.supersedes:
            yield _superseded(entry.record.supersedes)
    for fragment in pending:
        matter = fragment.matter
        yield f"{matter.date}, {matter.kind}: {matter.title} (not published yet)"
        if matter.supersedes:
            yield _superseded(matter.supersedes)


def _superseded(number: SupersededNumber) -> str:
    published = f"{number.metric} = {number.shown} of {tag(number.version)}"
    return f"  supersedes {published}: {number.reason}"


_DATE = click.option(
    "--date",
    "day",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Date of the entry; today (UTC) by default.",
)


@click.group(
    "history",
    cls=ExampleGroup,
    example="nla-release history add finding my-release \\\n"
    "  --title 'Short explanations' --message 'Half of them have under ten words.'",
)
def command() -> None:
    """Write fragments of HISTORY.md, which the next `render` appends to it.

    A fragment is a small file in history/, next to release.yaml. Edit it until it is published, and
    not afterwards.
    """


@command.command(
    "add",
    cls=ExampleCommand,
    example="nla-release history add finding my-release \\\n"
    "  --title 'Short explanations' --message 'Half of them have under ten words.'",
)
@click.argument("kind", type=click.Choice(["release", "finding", "correction", "process"]))
@click.option("--title", required=True, help="One line: what happened.")
@click.option("--version", type=VERSION, help="The version that the entry is about, such as 0.0.1.")
@click.option("--message", help="The entry's text in Markdown; read from stdin without it.")
@click.option(
    "--supersedes",
    metavar="METRIC=VALUE",
    help="For a correction: the published number that it replaces, such as fve.value=0.31.",
)
@click.option("--reason", help="With --supersedes, in one line: why that number is wrong.")
@_DATE
@path_argument
def add(
    kind: str,
    title: str,
    version: str | None,
    message: str | None,
    supersedes: str | None,
    reason: str | None,
    day: datetime | None,
    path: Path,
) -> None:
    """Write an entry of a KIND: a release, a finding, a correction, or a change of process.

    PATH is the folder of release.yaml. To retract a number, use `history retract`; to put another
    in its place, a correction that --supersedes it.
    """
    release = read_release(path)
    if message is None:
        if sys.stdin.isatty():
            raise click.UsageError("give the entry's text as --message, or on stdin")
        message = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    if not message.strip():
        raise ConfigError("the entry has no text", hint="give it as --message, or on stdin")
    number = _number(version, supersedes, reason) if supersedes or reason else None
    matter = _front_matter(day, kind=kind, title=title, version=version, supersedes=number)
    if version:
        check_version_known(release, version)
    _say_written(write_fragment(release.fragments, _checked(release, matter), message))


@command.command(
    "retract",
    cls=ExampleCommand,
    example="nla-release history retract my-release --version 0.0.1 \\\n"
    "  --metric fve.value --value 0.31 --reason 'Measured on training data.'",
)
@version_option("The version that published the number.")
@click.option(
    "--metric", required=True, help="Its name in calibration.json (cosine.mean), or any other."
)
@click.option("--value", type=float, required=True, help="The number as it was published.")
@click.option("--reason", required=True, help="One line: why the number is wrong.")
@click.option("--title", help="One line; the metric and version by default.")
@_DATE
@path_argument
def retract(
    version: str,
    metric: str,
    value: float,
    reason: str,
    title: str | None,
    day: datetime | None,
    path: Path,
) -> None:
    """Retract a number that a version published.

    PATH is the folder of release.yaml. After the next `render` the cards list the number as
    retracted, and `check` reports every text that still shows it.
    """
    release = read_release(path)
    matter = _front_matter(
        day,
        kind="retraction",
        title=title or f"{metric} of v{version}",
        supersedes={"version": version, "metric": metric, "value": value, "reason": reason},
    )
    _say_written(write_fragment(release.fragments, _checked(release, matter)))


@command.command("show", cls=ExampleCommand, example="nla-release history show my-release")
@path_argument
def show(path: Path) -> None:
    """List the entries of the log, and the fragments that are not in it yet.

    PATH is the folder of release.yaml.
    """
    release = read_release(path)
    entries = read_log(read_history(release.history) or "")
    lines = list(history_lines(entries, pending(read_fragments(release.fragments), entries)))
    if not lines:
        raise NothingCheckedError(
            f"{release.history} does not exist, and there are no fragments",
            hint="nla-release render writes a log, nla-release history add a fragment",
        )
    for line in lines:
        output(line)


def _front_matter(day: datetime | None, **keys: Any) -> FrontMatter:
    written: date = (day or datetime.now(UTC)).date()
    return parse(FrontMatter, {"date": written, **keys}, "the entry", error=ConfigError)


def _number(version: str | None, supersedes: str | None, reason: str | None) -> dict[str, Any]:
    """The number that a correction supersedes, from its options."""
    if not (version and supersedes and reason):
        raise ConfigError("to supersede a number, give --version, --supersedes and --reason")
    metric, _, value = supersedes.partition("=")
    try:
        return {"version": version, "metric": metric, "value": float(value), "reason": reason}
    except ValueError as error:
        raise ConfigError(f"--supersedes {supersedes} is not METRIC=VALUE") from error


def _checked(release: Release, matter: FrontMatter) -> FrontMatter:
    """The front matter, with the superseded number as it was published."""
    if matter.supersedes is None:
        return matter
    superseded, note = retractable(release, matter.supersedes)
    if note:
        log.note(note)
    return matter.model_copy(update={"supersedes": superseded})


def _say_written(path: Path) -> None:
    log.info(f"wrote {path}: the next `nla-release render` appends it to HISTORY.md")
