"""Arguments and options that several verbs share. A group of options becomes one argument."""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from nla_release.api import SEEDS, Rehearsal, RemeasureOptions
from nla_release.contract.sidecar import Dtype
from nla_release.errors import ConfigError
from nla_release.release.folder import check_version

if TYPE_CHECKING:
    from nla_release.hub.plan import PushOptions

_Command = TypeVar("_Command", bound=Callable[..., Any])
_Decorator = Callable[[_Command], _Command]

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)

path_argument = click.argument("path", type=click.Path(path_type=Path), default=".")


device_option = click.option("--device", help="Torch device; CUDA when there is one, by default.")


class _Version(click.ParamType[str]):
    name = "version"

    def convert(
        self,
        value: str,
        param: click.Parameter | None,  # noqa: ARG002 - click's signature
        ctx: click.Context | None,  # noqa: ARG002
    ) -> str:
        return check_version(value)


# Gives the version as written, or raises the ConfigError that names the right form.
VERSION = _Version()


def version_option(text: str) -> _Decorator[Any]:
    """`--version`, which is required; `text` is its help."""
    return click.option("--version", type=VERSION, required=True, help=text)


def format_option(
    text: str | None = None, choices: Sequence[str] = ("text", "json")
) -> _Decorator[Any]:
    """`--format`, as the argument `form`; `text` is its help."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(choices),
        default="text",
        show_default=True,
        help=text,
    )


def pairs(
    form: str,
) -> Callable[[click.Context, click.Parameter, Sequence[str]], list[tuple[str, str]]]:
    """A callback that splits each value of an option at its first `=`; `form` is its metavar."""

    def split(
        _context: click.Context, _option: click.Parameter, values: Sequence[str]
    ) -> list[tuple[str, str]]:
        found = []
        for value in values:
            key, _, text = value.partition("=")
            if not (key and text):
                raise click.BadParameter(f"{value!r} is not {form}")
            found.append((key, text))
        return found

    return split


def _group(
    argument: str, make: Callable[..., Any], **options: Callable[[Any], Any]
) -> _Decorator[Any]:
    """A decorator that gives a command these options, by the name of their values.

    The command gets one argument, which `make` makes of the values.
    """

    def decorated(command: _Command) -> _Command:
        @wraps(command)
        def gathered(**arguments: Any) -> Any:
            made = make(**{name: arguments.pop(name) for name in options})
            return command(**{argument: made}, **arguments)

        for option in reversed(options.values()):
            option(gathered)
        return gathered  # type: ignore[return-value]

    return decorated


def _push_options(**chosen: Any) -> "PushOptions":
    from nla_release.hub.plan import PushOptions

    return PushOptions(**chosen)


push_options = _group(
    "options",
    _push_options,
    addendum=click.option(
        "--addendum",
        is_flag=True,
        help="Add the new measurements of `calibrate --addendum` to the published version.",
    ),
    private=click.option(
        "--private/--public",
        default=None,
        help="Visibility of repositories that have to be created; public by default.",
    ),
    overwrite_card=click.option(
        "--overwrite-card",
        is_flag=True,
        help="Overwrite edits that anybody made to the cards on the Hub.",
    ),
    allow_lower=click.option(
        "--allow-lower",
        is_flag=True,
        help="Publish a version lower than the last published version.",
    ),
    replace_unfinished=click.option(
        "--replace-unfinished",
        is_flag=True,
        help="Replace another release that was committed and never tagged.",
    ),
)


def _hub(rehearse: bool, hub_root: Path | None) -> Rehearsal | None:
    """The rehearsal that was asked for, or None for the Hub of HF_ENDPOINT."""
    if hub_root is not None and not rehearse:
        raise ConfigError("--hub-root belongs to --rehearse", hint="add --rehearse")
    return Rehearsal(hub_root) if rehearse else None


rehearsal_options = _group(
    "hub",
    _hub,
    rehearse=click.option(
        "--rehearse", is_flag=True, help="Use an embedded Hub on 127.0.0.1 instead."
    ),
    hub_root=click.option(
        "--hub-root",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where the rehearsal's Hub keeps its files; a temporary folder by default.",
    ),
)


def _remeasure_options(
    measure: int | None, measure_seed: int | None, device: str | None, dtype: Dtype | None
) -> RemeasureOptions | None:
    if measure is not None:
        return RemeasureOptions(measure, measure_seed, device=device, dtype=dtype)
    if any(each is not None for each in (measure_seed, device, dtype)):
        raise click.UsageError("--measure-seed, --device and --dtype need --measure N")
    return None


measure_options = _group(
    "measure",
    _remeasure_options,
    measure=click.option(
        "--measure",
        metavar="N",
        type=click.IntRange(min=1),
        help="Also measure N rows of the evidence again; needs the engine extra.",
    ),
    measure_seed=click.option(
        "--measure-seed",
        metavar="SEED",
        type=click.IntRange(0, SEEDS - 1),
        help="Choose the rows as an earlier --measure did.  [default: a new seed]",
    ),
    device=click.option(
        "--device", help="Torch device for --measure; by default CUDA when there is one."
    ),
    dtype=click.option(
        "--dtype",
        type=click.Choice(get_args(Dtype)),
        help="Load the base for --measure in this, without quantization; as the evidence records by"
        " default.",
    ),
)
