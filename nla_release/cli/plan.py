"""`nla-release plan`."""

from pathlib import Path

import click

from nla_release import api
from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import format_option, path_argument, push_options, version_option
from nla_release.hub.plan import PushOptions
from nla_release.output.plan import FORMATS

_REFUSED = 1
_PENDING = 10


@click.command("plan", cls=ExampleCommand, example="nla-release plan my-release --version 0.0.1")
@path_argument
@version_option("The version that was rendered, such as 0.0.1.")
@push_options
@format_option()
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 10 when there is work to do.")
def command(
    path: Path,
    version: str,
    options: PushOptions,
    form: str,
    detailed_exitcode: bool,
) -> int:
    """Show what a push of PATH would do to each file of both repositories; write nothing.

    Exits with 1 when the push would be refused, for example because the token may not write.
    HF_ENDPOINT names the Hub.
    """
    plan = api.plan(path, version=version, options=options)
    output(FORMATS[form](plan), nl=form == "text")
    if plan.blockers:
        return _REFUSED
    return _PENDING if detailed_exitcode and not plan.done else 0
