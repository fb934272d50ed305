"""`nla-release retract`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.kept_history import keep_history, say_what_lacks_it
from nla_release.cli.version import VERSION
from nla_release.cli.which_hub import hub_root_option, rehearse_option, which_hub
from nla_release.contract.sidecar import Role
from nla_release.errors import ConfigError
from nla_release.history.log import read_history
from nla_release.hub.retract import Retraction, RetractionPlan, examine, plan_retraction, retract
from nla_release.io.log import log
from nla_release.release.folder import ROLES, Release, read_release, tag


def retraction_lines(plan: RetractionPlan) -> Iterator[str]:
    """Each repository with the files that change, and what stays."""
    its_tag = tag(plan.retraction.version)
    for repo in plan.repos:
        yield f"{repo.role}  {repo.repo}  main {repo.state.head[:12]}"
        yield f"  {its_tag} stays at {repo.state.tags[its_tag][:12]}; nothing is deleted"
        for name in sorted(repo.files):
            yield f"  ~ {name}"
        if repo.done:
            yield "  is marked as retracted already"
        elif repo.edited:
            yield "  README.md was edited on the Hub since the push: that text stays"
        if repo.manifest.version != plan.retraction.version:
            yield f"  main holds {repo.manifest.tag}, whose card lists {its_tag} as retracted"


@click.command(
    "retract",
    cls=ExampleCommand,
    example="nla-release retract my-release --version 0.0.1 --reason 'Wrong base model.'",
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--version", type=VERSION, required=True, help="The published version, such as 0.0.1."
)
@click.option("--reason", required=True, help="One line: why nobody should use it.")
@click.option("--successor", type=VERSION, help="The published version to use instead.")
@click.option("--dry-run", is_flag=True, help="Show what would change; write nothing.")
@rehearse_option
@hub_root_option
def command(
    path: Path,
    version: str,
    reason: str,
    successor: str | None,
    dry_run: bool,
    rehearse: bool,
    hub_root: Path | None,
) -> int:
    """Mark a published version as retracted on both model cards.

    PATH is the folder of release.yaml, which names the repositories; dist/ is not needed. Each
    repository gets one commit: a notice at the top of the card, an entry in HISTORY.md and, with
    --successor, the link by which the Hub points to the newer version. Nothing is deleted, and the
    tag stays where it is. The same command continues what was cut off. Repeated with --successor,
    it adds the successor. To retract one number, use `nla-release history retract`.
    """
    release = read_release(path)
    repos = {role: release.repo_id(role, version) for role in ROLES}
    retraction = Retraction(
        version, reason, datetime.now(UTC).date(), successor, _repos(release, version, successor)
    )
    with which_hub(rehearse, hub_root, writing=not dry_run) as hub:
        plan = plan_retraction(hub, repos, retraction, read_history(release.history))
        for line in retraction_lines(plan):
            (output if dry_run else log.info)(line)
        if plan.note:
            log.note(plan.note)
        if dry_run:
            examine(plan, hub)
            log.hint("nothing was written; run it again without --dry-run")
            return 0
        retract(plan, hub)
    if not rehearse:
        keep_history(release, plan.history, plan.repos[0].repo)
        say_what_lacks_it(release, plan.history)
    return 0


def _repos(release: Release, version: str, successor: str | None) -> dict[Role, str]:
    if successor is None:
        return {}
    if successor == version:
        raise ConfigError("--successor is the version that is to be retracted")
    return {role: release.repo_id(role, successor) for role in ROLES}
