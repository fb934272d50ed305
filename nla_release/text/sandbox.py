"""The sandbox for templates and hand-written notes, within limits of time and memory.

Templates get plain data only (strings, numbers, lists, mappings): the sandbox blocks `__class__`,
but a `pathlib.Path` in the context would still offer `read_text`.
"""

import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from nla_release.errors import ConfigError
from nla_release.io.files import package_folder, read_text
from nla_release.text.markdown import (
    bibtex,
    code_cell,
    inline,
    python_block,
    python_literal,
    quoted,
    unseen,
)
from nla_release.text.numbers import count, interval, number, signed

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment


if sys.platform == "linux":
    import resource

# A note takes milliseconds and kilobytes.
SECONDS = 1.0
BYTES = 512 * 1024**2


@contextmanager
def bounded() -> Iterator[None]:
    """Run a block within `SECONDS` of processor time and `BYTES` of new memory.

    Time is limited in the main thread, except on Windows; memory is limited on Linux.

    Raises:
        TimeoutError: it took longer.
        MemoryError: it needed more.
    """
    with ExitStack() as stack:
        if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
            stack.enter_context(_bounded_time())
        if sys.platform == "linux":
            stack.enter_context(_bounded_memory())
        yield


if sys.platform != "win32":

    def _too_long(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {SECONDS:g} seconds")

    @contextmanager
    def _bounded_time() -> Iterator[None]:
        """Limit processor time, which does not depend on how busy the machine is."""
        before = signal.signal(signal.SIGVTALRM, _too_long)
        try:
            # Again and again: Jinja's optimizer swallows what is raised while it folds constants.
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, SECONDS)
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)


if sys.platform == "linux":

    @contextmanager
    def _bounded_memory() -> Iterator[None]:
        """Limit new address space; a process with torch may have much of it already."""
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
        wanted = int(pages) * resource.getpagesize() + BYTES
        known = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *known]), hard))
        try:
            yield
        except MemoryError as error:
            raise MemoryError(f"took more than {BYTES // 1024**2} MiB") from error
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


TEMPLATES = package_folder("model_cards")

# Ten pages; a document that a check reads may have a few such notes.
MAX_NOTE = 32 * 1024


def render_template(name: str, context: Mapping[str, Any]) -> str:
    """A document from a template in `model_cards/`."""
    return _ours().get_template(name).render(context)


def render_note(path: Path, context: Mapping[str, Any], text: str | None = None) -> str:
    """A hand-written note, in which `{{ ... }}` can insert values of the context and nothing else.

    Args:
        path: of the note.
        context: the values.
        text: the part of the file that is the note; all of it by default.

    Raises:
        InputError: it cannot be read.
        ConfigError: it is not a valid template, uses a name that is missing or not allowed, or
            takes too long; names the file and the line.
    """
    sandbox = _sandbox({path.name: read_text(path) if text is None else text})
    try:
        with bounded():
            note = sandbox.get_template(path.name).render(context).strip()
        if len(note) > MAX_NOTE:
            raise ValueError(f"makes {len(note)} characters, more than {MAX_NOTE}")
    except Exception as error:  # a note is a program of its author and may raise anything
        raise ConfigError(
            f"{path} line {_line(error)}: {type(error).__name__}: {error}",
            hint="a note may use {{ calibration... }}, {{ release... }} and {{ version }}",
        ) from error
    for line, name in unseen(note):
        raise ConfigError(
            f"{path} line {line}: {name}, which is invisible",
            hint="remove it; a text about this character can name it in words",
        )
    return note


def tokens(text: str) -> list[tuple[int, str, str]]:
    """The tokens of a note as Jinja reads it: line, kind and text, white space included.

    Raises:
        ConfigError: it is not a valid template.
    """
    from jinja2 import TemplateSyntaxError

    try:
        return list(_sandbox({}).lex(text))
    except TemplateSyntaxError as error:
        raise ConfigError(f"line {error.lineno}: {error.message}") from error


@cache
def _ours() -> "ImmutableSandboxedEnvironment":
    """The environment of `model_cards/`, which caches compiled templates."""
    return _sandbox(TEMPLATES)


def _sandbox(templates: Path | dict[str, str]) -> "ImmutableSandboxedEnvironment":
    """The environment for the templates of a folder, or for these by name."""
    # Imported here because a check of a trained pair renders nothing.
    from jinja2 import DictLoader, FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # No autoescaping: the output is Markdown and Python, where HTML entities would be noise. Text
    # from third parties goes through the filters instead.
    sandbox = ImmutableSandboxedEnvironment(
        loader=DictLoader(templates)
        if isinstance(templates, dict)
        else FileSystemLoader(templates),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sandbox.filters |= {
        "number": number,
        "signed": signed,
        "interval": interval,
        "count": count,
        "inline": inline,
        "code_cell": code_cell,
        "quoted": quoted,
        "python": python_literal,
        "python_block": python_block,
        "bibtex": bibtex,
    }
    return sandbox


def _line(error: Exception) -> int:
    """The line of a note where rendering stopped; Jinja calls templates from memory <template>."""
    from jinja2 import TemplateSyntaxError

    if isinstance(error, TemplateSyntaxError):
        return error.lineno
    frames = traceback.extract_tb(error.__traceback__)
    return next(
        (frame.lineno or 1 for frame in reversed(frames) if frame.filename == "<template>"), 1
    )
