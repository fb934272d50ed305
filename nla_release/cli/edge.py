"""The edge: the one place that turns exceptions into words on stderr and an exit code."""

import errno
import io
import logging
import os
import re
import signal
import sys
import traceback
from typing import Any, NoReturn

import click

from nla_release.errors import EnvironmentProblem, NlaReleaseError
from nla_release.io.masking import shown

INTERRUPTED = 130
# click keeps a command's help option once it is made: each command says so itself, so that it has
# both names whoever calls it first.
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}
TERMINATED = 143

# A line of a third party's text that GitHub's runner would take for a workflow command.
_COMMAND = re.compile(r"^(\s*)::", re.MULTILINE)


def run(command: click.Command, name: str) -> NoReturn:
    """Run a command to its end and exit the process with the documented code."""
    _show_logs()
    state: dict[str, Any] = {"debug": bool(os.environ.get("NLA_RELEASE_DEBUG"))}

    def terminate(_signal: int, _frame: object) -> None:
        """Do what Ctrl-C does, so that nothing is left half written."""
        state["terminated"] = True
        raise KeyboardInterrupt

    if "LOCAL_RANK" not in os.environ:  # a launcher ends the processes of a training its own way
        signal.signal(signal.SIGTERM, terminate)
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
        result = command.main(prog_name=name, standalone_mode=False, obj=state)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as problem:
        said = io.StringIO()
        problem.show(said)
        say(said.getvalue().rstrip())
        return problem.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("error: interrupted; run the same command again")
        return TERMINATED if state.get("terminated") else INTERRUPTED
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
        say(f"error: {type(error).__name__}: {_indented(str(error))}")
        return 1
    if known.hint:
        say(f"hint: {_indented(known.hint)}")
    say(f"error: {_indented(known.message)}")
    return known.exit_code


def _indented(text: str) -> str:
    """A text whose further lines cannot be taken for an error or a hint of their own."""
    return text.replace("\n", "\n  ")


def tell(text: str, *, nl: bool = True) -> None:
    """Give on stdout what a verb was asked for, as `shown` lets it leave."""
    click.echo(shown(text), nl=nl)


def annotate(command: str) -> None:
    """Give a workflow command of our own to GitHub's runner, on stderr."""
    click.echo(shown(command), err=True)


def say(text: str) -> None:
    """Tell on stderr, as `shown` lets it leave, and without a line that is a command in CI."""
    click.echo(_COMMAND.sub(r"\1: :", shown(text)), err=True)


class _Shown(logging.Formatter):
    """A log's record as `shown` lets it leave."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


def _show_logs() -> None:
    """Let what libraries log and warn of leave as everything else does."""
    logging.captureWarnings(capture=True)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Shown())
        # Without a handler of its own, this logger is given one that drops everything.
        logging.getLogger("py.warnings").addHandler(logging.lastResort)
