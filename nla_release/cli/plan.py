"""`nla-release plan`."""

from pathlib import Path

import click

from nla_release import api
from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.version import VERSION
from nla_release.hub.plan import PushOptions, PushPlan
from nla_release.hub_client.client import quiet_client
from nla_release.output.plan import plan_json, plan_text

_REFUSED = 1
_PENDING = 10


@click.command("plan", cls=ExampleCommand, example="nla-release plan my-release --version 0.0.1")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--version", type=VERSION, required=True, help="The version that was rendered, such as 0.0.1."
)
@click.option(
    "--addendum",
    is_flag=True,
    help="As in push: dist/ adds new measurements to a published version.",
)
@click.option(
    "--private/--public", default=None, help="As in push: visibility of new repositories."
)
@click.option("--overwrite-card", is_flag=True, help="As in push: discard edits of the cards.")
@click.option("--allow-lower", is_flag=True, help="As in push: accept a lower version.")
@click.option(
    "--replace-unfinished", is_flag=True, help="As in push: replace a release without a tag."
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 10 when there is work to do.")
def command(
    path: Path,
    version: str,
    addendum: bool,
    private: bool | None,
    overwrite_card: bool,
    allow_lower: bool,
    replace_unfinished: bool,
    form: str,
    detailed_exitcode: bool,
) -> int:
    """Show what a push of PATH would do to each file of both repositories; write nothing.

    Exits with 1 when the push would be refused, for example because the token may not write.
    HF_ENDPOINT names the Hub.
    """
    quiet_client()
    options = PushOptions(
        private,
        overwrite_card,
        allow_lower,
        replace_unfinished=replace_unfinished,
        addendum=addendum,
    )
    plan = api.plan(path, version=version, options=options)
    return show(plan, form) or (_PENDING if detailed_exitcode and not plan.done else 0)


def show(plan: PushPlan, form: str) -> int:
    """Print a plan, and give the exit code: 1 when the push would be refused."""
    output(plan_json(plan) if form == "json" else plan_text(plan), nl=form == "text")
    return _REFUSED if plan.blockers else 0
