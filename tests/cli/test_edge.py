"""What the edge says when a person stops a command."""

import click
import pytest

from nla_release.cli.edge import INTERRUPTED, run


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
