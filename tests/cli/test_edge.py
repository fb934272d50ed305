"""What the edge says when a person stops a command, and that nothing leaves it unmasked."""

import json
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from nla_release.cli import edge
from nla_release.cli.edge import INTERRUPTED, output, run
from nla_release.errors import InputError
from nla_release.io.files import dump_json


def test_an_interrupted_command_promises_nothing_but_that_it_can_be_run_again(capsys, monkeypatch):
    """Some verbs continue, others begin anew."""

    @click.command()
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.argv", ["nla-release"])
    with pytest.raises(SystemExit) as stop:
        run(stopped, "nla-release")

    assert stop.value.code == INTERRUPTED
    assert (
        capsys.readouterr().err.lstrip() == "error: interrupted\nhint: run the same command again\n"
    )


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
    output("is plain-token-0123 and " + TOKEN)
    output("{}\n", nl=False)

    assert capsys.readouterr().out == "is *** and ***\n{}\n"


SPEAKING = """
import json, logging, warnings
import click
from nla_release.cli.edge import debug_option, output, run
from nla_release.errors import InputError
from nla_release.io.log import log

@click.command(params=[debug_option()])
@click.argument("text", type=json.loads)
def speaking(text):
    output(text)
    log.info(text)
    log.note(text)
    with log.progress(text, 1, "rows") as advance:
        advance(1, text)
    logging.getLogger("some.library").warning("%s", text)
    warnings.warn(text)
    raise InputError(text, hint=text)

run(speaking, "nla-release")
"""


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("\x1b]0;owned\x07\x1b[2J", r"\u001b]0;owned\u0007\u001b[2J"),
        ("\x9b2J\x90", r"\u009b2J\u0090"),
        ("a\rb", r"a\rb"),
        ("safe\u202eelif\u2066.exe", r"safe\u202eelif\u2066.exe"),
        ("zero\u200bwidth\u2028line", r"zero\u200bwidth\u2028line"),
        ("half \ud800 of one", r"half \ud800 of one"),
        ("tag \U000e0041", r"tag \udb40\udc41"),
        ("ü ㊗ 😀\ttab", "ü ㊗ 😀\ttab"),
    ],
)
def test_nothing_that_leaves_steers_a_terminal(text, seen):
    """Whatever the way out is: an answer, a message, progress, a log, a warning, a traceback."""
    done = subprocess.run(
        [sys.executable, "-c", SPEAKING, json.dumps(text), "--debug"],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.stdout == f"{seen}\n"
    assert done.stderr.count(seen) == 9, done.stderr
    assert all(each.isprintable() or each in "\n\t" for each in done.stdout + done.stderr)


def test_a_json_document_is_the_same_once_it_is_parsed(capsys):
    document = {"key \x9b": "\u202e \U000e0041 ü", "b": [1]}
    output(dump_json(document))

    assert json.loads(capsys.readouterr().out) == document


def test_a_second_line_of_a_message_is_neither_an_error_nor_a_command_of_ci(capsys, monkeypatch):
    @click.command()
    def failing():
        raise InputError("key a\nerror: all is well\n::set-output name=x::y\n  ::stop-commands::z")

    monkeypatch.setattr("sys.argv", ["nla-release"])
    with pytest.raises(SystemExit):
        run(failing, "nla-release")
    lines = capsys.readouterr().err.splitlines()

    assert [line for line in lines if line.startswith("error:")] == ["error: key a"]
    assert not [line for line in lines if line.strip().startswith("::")]


def test_the_whole_package_speaks_through_one_log():
    """One place masks and escapes, for verbs, training and the library."""
    package = Path(edge.__file__).parents[1]
    spoken = [
        str(path)
        for path in [*package.rglob("*.py"), *(package.parent / "train").rglob("*.py")]
        # train/__init__.py says that a library is missing, before anything can be imported.
        if path != Path(edge.__file__)
        and path.parts[-2:] != ("train", "__init__.py")
        and re.search(
            r"click\.(?:secho|echo)|^\s*print\(|std(?:out|err)\.write",
            path.read_text(),
            re.MULTILINE,
        )
    ]
    assert spoken == []


LIBRARY = """
import logging, sys
from nla_release.io.log import log
if sys.argv[1:]:
    logging.basicConfig(level=sys.argv[1], format="%(levelname)s %(name)s %(kind)s %(message)s")
log.note("took hf_0123456789abcdef")
log.warning("odd\x1b")
with log.progress("read", 2, "rows") as advance:
    advance(2)
"""


def used_as_a_library(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    return done.stderr


def test_a_python_program_sees_nothing_unless_it_configures_logging():
    assert used_as_a_library() == ""
    assert used_as_a_library("WARNING") == "WARNING nla_release warning odd\\u001b\n"
    note, _, progress = used_as_a_library("INFO").splitlines()
    assert note == "INFO nla_release note took ***"
    assert re.fullmatch(r"INFO nla_release info read: 2 rows in \d+\.\d s", progress)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "--frmat", "json"), "no such option '--frmat'"),
        (("chekc",), "no such command 'chekc'"),
        (("explain", "NLA000"), "there is no rule nla000"),
        (("render",), "missing option '--version'"),
    ],
)
def test_an_error_comes_before_its_hint(tool, arguments, message):
    done = tool(*arguments)
    first, *others = done.stderr.lower().splitlines()

    assert done.returncode == 2
    assert first.startswith(f"error: {message}")
    assert [line.partition(": ")[0] for line in others] == ["hint"]
