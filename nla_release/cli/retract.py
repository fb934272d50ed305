"""`nla-release retract`."""

from pathlib import Path

import click

from nla_release import api
from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import VERSION, path_argument, rehearsal_options, version_option
from nla_release.hub.retract import retraction_lines
from nla_release.io.log import log


@click.command(
    "retract",
    cls=ExampleCommand,
    example="nla-release retract my-release --version 0.0.1 --reason 'Wrong base model.'",
)
@path_argument
@version_option("The published version, such as 0.0.1.")
@click.option("--reason", required=True, help="One line: why nobody should use it.")
@click.option("--successor", type=VERSION, help="The published version to use instead.")
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@rehearsal_options
def command(
    path: Path,
    version: str,
    reason: str,
    successor: str | None,
    dry_run: bool,
    hub: api.Rehearsal | None,
) -> None:
    """Mark a published version as retracted on both model cards.

    PATH is the folder of release.yaml, which names the repositories; dist/ is not needed. Each
    repository gets one commit: a notice at the top of the card, an entry in HISTORY.md and, with
    --successor, the link by which the Hub points to the newer version. Nothing is deleted, and the
    tag stays where it is. The same command continues a retraction that was interrupted. Repeated
    with --successor, it adds the successor. To retract one number, use `nla-release history
    retract`.
    """
    result = api.retract(
        path, version=version, reason=reason, successor=successor, dry_run=dry_run, hub=hub
    )
    if dry_run:
        for line in retraction_lines(result.plan):
            output(line)
        if result.plan.note:
            log.note(result.plan.note)
        log.hint("nothing was written; run it again without --dry-run")
