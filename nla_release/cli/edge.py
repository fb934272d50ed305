"""Runs a command: prints its messages on stderr, turns exceptions into messages and exit codes."""

import errno
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from nla_release.errors import EnvironmentProblem, NlaReleaseError
from nla_release.io.log import Advance, log, logger
from nla_release.io.masking import shown

INTERRUPTED = 130
TERMINATED = 143
# click keeps a command's help option once it is made: each command says so itself, so that it has
# both names for every caller.
CONTEXT_SETTINGS = {"help_option_names": ["-h", "--help"]}

# A line of a third party's text that GitHub's runner would take for a workflow command.
_COMMAND = re.compile(r"^(\s*)::", re.MULTILINE)


def run(command: click.Command, name: str) -> NoReturn:
    """Run a command to its end and exit the process with the documented code."""
    print_messages()
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


class ExampleCommand(click.Command):
    """A command whose help begins with an example: one command line or several."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **{"context_settings": CONTEXT_SETTINGS, **kwargs})
        self.example = example

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example, then what the command does."""
        lines = self.example.replace("\n", "\n" + " " * len("  Example: "))
        formatter.write(f"\n  Example: {lines}\n")
        super().format_help_text(ctx, formatter)


class ExampleGroup(ExampleCommand, click.Group):
    """A group whose help begins with an example, and lists the commands in their own order."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names of the commands."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands, each with its first sentence."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, each.get_short_help_str(200)) for name, each in self.commands.items()]
            )


def output(text: str, *, nl: bool = True) -> None:
    """Print a command's result on stdout, masked and escaped."""
    click.echo(shown(text), nl=nl)


def annotate(command: str) -> None:
    """Print a workflow command for GitHub's runner on stderr."""
    click.echo(shown(command), err=True)


def _run(command: click.Command, name: str, state: dict[str, Any]) -> int:
    try:
        result = command.main(prog_name=name, standalone_mode=False, obj=state)
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as problem:
        log.error(_clause(problem.format_message()))
        if context := getattr(problem, "ctx", None):
            log.hint(f"`{context.command_path} --help` shows an example and all options")
        return problem.exit_code
    except (KeyboardInterrupt, click.Abort):
        log.error("interrupted")
        log.hint("run the same command again")
        return TERMINATED if state.get("terminated") else INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        if state["debug"]:
            log.info(traceback.format_exc())
        return _explain(_known(error), error)
    return result if isinstance(result, int) else 0


def _clause(sentence: str) -> str:
    """A sentence of click after `error: `: without its capital letter and full stop."""
    first = sentence[:1].lower() if sentence[1:2].islower() else sentence[:1]
    return (first + sentence[1:]).removesuffix(".")


def _known(error: Exception) -> NlaReleaseError | None:
    if isinstance(error, NlaReleaseError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES):
        return EnvironmentProblem(f"{error.filename or 'a file'}: {error.strerror}")
    return None


def _explain(known: NlaReleaseError | None, error: Exception) -> int:
    if known is None:
        log.error(f"{type(error).__name__}: {error}")
        log.hint("this is a bug in nla-release: run it with --debug and report the traceback")
        return 1
    log.error(known.message)
    if known.hint:
        log.hint(known.hint)
    return known.exit_code


class _Stderr(logging.Handler):
    """Prints messages on what is stderr at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(rendered(record), err=True)


def rendered(record: logging.LogRecord) -> str:
    """A message as the terminal shows it, with its kind in front.

    No line after the first can be taken for an error, a hint or a workflow command.
    """
    text, kind = record.getMessage(), getattr(record, "kind", "info")
    if kind != "info":
        text = f"{kind}: " + text.replace("\n", "\n  ")
    return _COMMAND.sub(r"\1: :", text)


class _Shown(logging.Formatter):
    """Masks and escapes what libraries log."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))


def print_messages() -> None:
    """Print our messages, and the warnings of libraries, on stderr."""
    if not any(isinstance(each, _Stderr) for each in logger.handlers):
        logger.addHandler(_Stderr())
    logger.setLevel(logging.INFO)
    logger.propagate = False  # a library that configures the root logger must not print them again
    log.bar = _bar if sys.stderr.isatty() else None
    logging.captureWarnings(capture=True)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Shown())
        # Without a handler of its own, this logger is given one that drops everything.
        logging.getLogger("py.warnings").addHandler(logging.lastResort)


@contextmanager
def _bar(title: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit} {{task.fields[note]}}", markup=False),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(shown(title), total=total, note="")
        yield lambda done, note="": bar.update(task, completed=done, note=shown(note))
