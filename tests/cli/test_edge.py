"""What the edge says when a person stops a command, and that nothing leaves it unmasked."""

import re
from pathlib import Path

import click
import pytest

from nla_release.cli import edge
from nla_release.cli.edge import INTERRUPTED, run, tell


def test_an_interrupted_command_promises_nothing_but_that_it_can_be_run_again(capsys, monkeypatch):
    """Some verbs continue, others begin anew."""

    @click.command()
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["nla-release"])
    with pytest.raises(SystemExit) as stop:
        run(stopped, "nla-release")

    assert stop.value.code == INTERRUPTED
    assert capsys.readouterr().err.strip() == "error: interrupted; run the same command again"


TOKEN = "hf_" + "aB3" * 11


@pytest.mark.parametrize(
    "arguments",
    [
        ("hub", "--import", TOKEN),
        ("hub", TOKEN),
        ("verify", TOKEN),
        ("verify", "a/b@v0.0.1", "--format", TOKEN),
        ("verify", f"--{TOKEN}"),
        (TOKEN,),
    ],
)
def test_a_token_in_the_wrong_place_is_not_repeated(tool, arguments):
    done = tool(*arguments)

    assert done.returncode == 2
    assert TOKEN not in done.stdout + done.stderr
    assert "***" in done.stderr


def test_what_a_verb_tells_is_masked_too(capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "plain-token-0123")
    tell("is plain-token-0123 and " + TOKEN)
    tell("{}\n", nl=False)

    assert capsys.readouterr().out == "is *** and ***\n{}\n"


def test_every_verb_speaks_through_the_edge():
    """There is one mask, and it is there."""
    spoken = [
        path.name
        for path in Path(edge.__file__).parent.glob("*.py")
        if path.name != "edge.py"
        and re.search(r"click\.(?:secho|echo)|\bprint\(", path.read_text())
    ]
    assert spoken == []
