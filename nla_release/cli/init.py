"""`nla-release init`."""

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from nla_release.cli.edge import say
from nla_release.dialects.adopt import LICENSE_ANSWER, Naming, adopt
from nla_release.dialects.report import Known, OpenQuestionsError, Report
from nla_release.dialects.sources import find_sources
from nla_release.dialects.values import resolved

# Templates and token ids are longer; they stand in the sidecar.
_LONGEST = 48


def _pairs(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    answers: dict[str, str] = {}
    for value in values:
        key, equals, answer = value.partition("=")
        if not (key and equals and answer):
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
        if key in answers:
            raise click.BadParameter(f"{key} is answered twice")
        answers[key] = answer
    return answers


@click.command("init")
@click.argument("places", nargs=-1, required=True, metavar="AV [AR]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("release"),
    show_default=True,
    help="The folder to write; it must not exist.",
)
@click.option(
    "--answer",
    "answers",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_pairs,
    help="A fact that no file records; the command asks for what it needs.",
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    help="The base's tokenizer.json, to render prompts with; by default that of the base's pinned"
    " commit on the Hub. A chat template is looked for beside it.",
)
@click.option(
    "--base",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A copy of the base, to measure its embeddings, and to render with its tokenizer and chat"
    " template; by default its pinned commit in the client's cache or on the Hub.",
)
@click.option("--namespace", help="The user or organisation that the repositories go to.")
@click.option("--name", help="The release's name; from the base and the layer by default.")
def command(
    places: tuple[str, ...],
    out: Path,
    answers: dict[str, str],
    tokenizer: Path | None,
    base: Path | None,
    namespace: str | None,
    name: str | None,
) -> None:
    """Begin a release with a pair that somebody trained, in whatever dialect its sidecars are.

    AV and AR are folders or Hub ids; one alone must hold av/ and ar/. A Hub id may go on with a
    revision and a folder: somebody/pair@v0.0.1:weights. Both are copied and left as they are. What
    no file says is asked for, never guessed.
    """
    if len(places) > 2:
        raise click.UsageError(f"expected AV and AR, got {len(places)} places")
    license_ = answers.pop(LICENSE_ANSWER, None)
    with tempfile.TemporaryDirectory(prefix="nla-release-") as downloads:
        try:
            report = adopt(
                find_sources(places, Path(downloads)),
                out,
                answers=answers,
                naming=Naming(namespace, name, license_),
                tokenizer=tokenizer,
                base=base,
            )
        except OpenQuestionsError as questions:
            _tell(questions.report)
            raise
    _tell(report)
    say(f"wrote {out}: next, read {out / 'release.yaml'}")


def _tell(report: Report) -> None:
    for line in _lines(report):
        say(line)


def _lines(report: Report) -> list[str]:
    av, ar = report.dialects
    known = [_line(name, item, report) for name, item in report.known.items()]
    missing = [f"missing   {name}: written as unknown" for name in report.missing]
    notes = [
        f"note      {role.upper()}: {note}" for role, said in report.notes.items() for note in said
    ]
    return [f"read AV as {av}, AR as {ar}", *known, *missing, *notes]


def _line(name: str, item: Known, report: Report) -> str:
    line = f"{item.how:9} {name} = {_shown(item.value)}"
    if item.value == "sqrt_d_model":
        line += f", which is {resolved(item.value, report.known['d_model'].value)}"
    line += f": {item.source}"
    if (name, item.how) == ("av.prompt_encoding", "inferred"):
        line += "; --answer av.prompt_encoding=raw overrules it"
    return line


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
