"""What the steps' command lines share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from nla_release.cli.edge import debug_option
from nla_release.cli.edge import run as run_at_the_edge

Step = Callable[..., Any]


def step(function: Step) -> click.Command:
    """A click command of a step: RECIPE, --folder, --device, --debug."""
    function = click.option("--device", help="Torch device; CUDA when there is one, by default.")(
        function
    )
    function = click.option(
        "--folder",
        type=click.Path(path_type=Path, file_okay=False),
        default=".",
        show_default=True,
        help="Where data/ and pair/ are read and written; a relative corpus lies here too.",
    )(function)
    function = click.argument("recipe", type=click.Path(path_type=Path, dir_okay=False))(function)
    command = click.command()(function)
    command.params.append(debug_option())
    return command


def run(command: click.Command, name: str) -> NoReturn:
    """Run a step as `python -m train.NAME`."""
    run_at_the_edge(command, f"python -m train.{name}")
