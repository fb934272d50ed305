"""The program of a child process that renders one chat template as `transformers` does.

A chat template is a program from the Hub. The sandbox keeps it from files and objects, but it could
loop or fill the memory. So `nla_release.contract.chat` runs this file in a process with limits:
`{"template", "variables"}` as JSON on stdin, `{"text"}` or `{"error"}` as JSON on stdout.
It imports nothing from the package, so that it starts in a tenth of a second.
"""

import contextlib
import json
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

# A prompt of any model is far shorter.
MAX_CHARACTERS = 1024 * 1024

MEMORY_BYTES = 1024 * 1024 * 1024


def rendered(template: str, variables: Mapping[str, Any]) -> str:
    """The text that a chat template writes.

    Raises:
        Exception: the template, which is a program, may raise anything. Text that is too long and
            a request for today's date also raise.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": _refuse_today,
        "namespace": _PlainNamespace,
    }
    text = ""
    for piece in environment.from_string(template).generate(variables):
        text += piece
        if len(text) > MAX_CHARACTERS:
            raise TemplateError(f"it writes more than {MAX_CHARACTERS} characters")
    text.encode()  # a lone surrogate is no text, and no tokenizer takes it
    return text


class _Generation(Extension):
    """`{% generation %}`, which marks what the assistant says, and writes nothing itself."""

    tags = {"generation"}  # noqa: RUF012 - the library's own declaration

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class _PlainNamespace(Namespace):
    """A namespace without names that begin with an underscore, such as Python's internals."""

    # Without a name of its own for the instance: a template may have a variable called self.
    def __init__(*args: Any, **kwargs: Any) -> None:
        names = dict(*args[1:], **kwargs)
        for name in names:
            _refuse_underscore(name)
        Namespace.__init__(args[0], names)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_underscore(name)
        super().__setitem__(name, value)


def _refuse_underscore(name: Any) -> None:
    if str(name).startswith("_"):
        raise SecurityError(f"a namespace may not have {name!r}")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without the HTML escapes of Jinja's own filter."""
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise_exception(message: str) -> NoReturn:
    raise TemplateError(message)


def _refuse_today(_format: str) -> NoReturn:
    raise TemplateError(
        "it writes today's date, so the prompt differs every day; set the option for the date,"
        " such as date_string"
    )


def _bound(seconds: int) -> None:
    """Limit memory and processor time, which does not depend on how busy the machine is."""
    if sys.platform == "win32":
        return
    import resource

    # Where the system cannot bound them, the deadline of the caller does.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    with contextlib.suppress(OSError, ValueError):  # SIGXCPU at the first, SIGKILL at the second
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def main() -> None:
    """Read one request, write one answer, in as many seconds as the first argument says."""
    _bound(int(sys.argv[1]))
    request = json.load(sys.stdin)
    try:
        answer = {"text": rendered(request["template"], request["variables"])}
    except Exception as error:  # a template may raise anything
        answer = {"error": f"cannot be rendered: {type(error).__name__}: {error}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
