"""The help of every command begins with an example that the command accepts."""

import importlib
import shlex

import click
import pytest
from click.testing import CliRunner

from nla_release.cli import VERBS, cli


def commands():
    """Every command and group by its words: `history`, `history add`."""
    found = {"": cli}
    for verb in VERBS:
        command = importlib.import_module(f"nla_release.cli.{verb}").command
        found[verb] = command
        for name, each in getattr(command, "commands", {}).items():
            found[f"{verb} {name}"] = each
    return found


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("words", commands())
def test_help_begins_with_an_example(words, option):
    done = CliRunner().invoke(cli, [*words.split(), option], prog_name="nla-release", obj={})
    usage, *lines = done.output.split("\n\n")
    examples = [line.removeprefix("  Example: ").strip() for line in lines[0].splitlines()]

    assert usage.startswith(f"Usage: nla-release {words}".rstrip())
    assert lines[0].startswith(f"  Example: nla-release {words}".rstrip())
    for example in "\n".join(examples).replace("\\\n", "").splitlines():
        _accepts(shlex.split(example))


def _accepts(line):
    """An example names a command, options that it has, and all arguments that it needs."""
    assert line.pop(0) == "nla-release"
    command = cli
    while isinstance(command, click.Group):
        command = commands()[f"{command.name} {line[0]}" if command is not cli else line[0]]
        line = line[1:]
    parser = command.make_parser(click.Context(command, **command.context_settings))
    values, rest, _ = parser.parse_args(list(line))
    assert rest == []
    for each in command.params:
        if each.required:
            assert values[each.name] not in (None, ()), each.name
