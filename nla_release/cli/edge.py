"""The edge: the one place that turns exceptions into words on stderr and an exit code."""

import errno
import os
import re
import sys
import traceback
from typing import Any, NoReturn

import click

from nla_release.errors import EnvironmentProblem, NlaReleaseError

INTERRUPTED = 130

# Hub tokens (hf_..., hf_jwt_...) and bearer headers, wherever a library put them in a message.
_SECRET = re.compile(r"hf_(?:jwt_)?[A-Za-z0-9.\-]{16,}|(?i:bearer)\s+[A-Za-z0-9_.\-]{8,}")


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


def mask(text: str) -> str:
    """The text with anything that looks like a token blotted out."""
    return _SECRET.sub("***", text)


def _run(command: click.Command, name: str, state: dict[str, Any]) -> int:
    try:
        result = command.main(prog_name=name, standalone_mode=False, obj=state)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as problem:
        problem.show()
        return problem.exit_code
    except (KeyboardInterrupt, click.Abort):
        _say("error: interrupted; run the same command again")
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if state["debug"]:
            _say(traceback.format_exc())
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
        _say("hint: this is a defect of nla-release; run it with --debug and report the traceback")
        _say(f"error: {type(error).__name__}: {error}")
        return 1
    if known.hint:
        _say(f"hint: {known.hint}")
    _say(f"error: {known.message}")
    return known.exit_code


def _say(text: str) -> None:
    click.echo(mask(text), err=True)
