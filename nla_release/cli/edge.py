"""The edge: the one place that turns exceptions into words on stderr and an exit code."""

import errno
import io
import os
import sys
import traceback
from typing import Any, NoReturn

import click

from nla_release.errors import EnvironmentProblem, NlaReleaseError
from nla_release.hub.masking import known_secrets, masked

INTERRUPTED = 130
HELP_OPTIONS = ["-h", "--help"]


def run(command: click.Command, name: str) -> NoReturn:
    """Run a command to its end and exit the process with the documented code."""
    state: dict[str, Any] = {"debug": bool(os.environ.get("NLA_RELEASE_DEBUG"))}
    sys.exit(_run(command, name, state))


def debug_option() -> click.Option:
    """`--debug`, which every command takes."""

    def remember(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
        if value:
            context.find_root().obj["debug"] = True

    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        callback=remember,
        help="Show a traceback when something goes wrong.",
    )


def _run(command: click.Command, name: str, state: dict[str, Any]) -> int:
    try:
        result = command.main(
            prog_name=name, standalone_mode=False, obj=state, help_option_names=HELP_OPTIONS
        )
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as problem:
        said = io.StringIO()
        problem.show(said)
        say(said.getvalue().rstrip())
        return problem.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("error: interrupted; run the same command again")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if state["debug"]:
            say(traceback.format_exc())
        return _explain(_known(error), error)
    return result if isinstance(result, int) else 0


def _known(error: Exception) -> NlaReleaseError | None:
    if isinstance(error, NlaReleaseError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
        return EnvironmentProblem(f"{error.filename or 'a file'}: {error.strerror}")
    return None


def _explain(known: NlaReleaseError | None, error: Exception) -> int:
    if known is None:
        say("hint: this is a defect of nla-release; run it with --debug and report the traceback")
        say(f"error: {type(error).__name__}: {error}")
        return 1
    if known.hint:
        say(f"hint: {known.hint}")
    say(f"error: {known.message}")
    return known.exit_code


def tell(text: str, *, nl: bool = True) -> None:
    """Give on stdout what a verb was asked for, with every secret blotted out."""
    click.echo(masked(text, known_secrets()), nl=nl)


def say(text: str) -> None:
    """Tell on stderr, with every secret blotted out."""
    click.echo(masked(text, known_secrets()), err=True)
