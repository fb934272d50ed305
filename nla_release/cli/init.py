"""`nla-release init`."""

import json
import tempfile
from pathlib import Path
from typing import Any

import click

from nla_release.cli.edge import ExampleCommand
from nla_release.cli.options import FILE, FOLDER, pairs
from nla_release.io.files import read_text, read_yaml
from nla_release.io.log import log
from nla_release.release.folder import ROLES
from nla_release.release.licences import LICENCE_KEYS
from nla_release.sidecar_formats.adopt import Naming, adopt
from nla_release.sidecar_formats.folder import find_sources
from nla_release.sidecar_formats.report import Known, OpenQuestionsError, Report
from nla_release.sidecar_formats.values import resolved

# Templates and token ids are longer; they are in the sidecar.
_LONGEST = 48
_MAX_ANSWER = 64 * 1024


def _answers(
    context: click.Context, option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    found = pairs("KEY=VALUE")(context, option, values)
    answers = {key: _text_of(answer) for key, answer in found}
    if len(answers) < len(found):
        keys = [key for key, _ in found]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise click.BadParameter(f"{twice} is answered twice")
    return answers


def _text_of(answer: str) -> str:
    """An answer as it is; `@FILE` is the text of a file, exactly, and `@@` an @."""
    if not answer.startswith("@") or answer == "@":
        return answer
    return answer[1:] if answer.startswith("@@") else read_text(Path(answer[1:]), limit=_MAX_ANSWER)


def _answered(
    _context: click.Context, _option: click.Parameter, path: Path | None
) -> dict[str, Any]:
    """The answers in a YAML file, by fact; av and ar may hold theirs nested."""
    found: dict[str, Any] = {}
    for key, value in (read_yaml(path) if path else {}).items():
        if key in ROLES and isinstance(value, dict):
            found |= {f"{key}.{name}": item for name, item in value.items()}
        else:
            found[key] = value
    return found


@click.command(
    "init", cls=ExampleCommand, example="nla-release init their/av their/ar --out my-release"
)
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
    callback=_answers,
    help="A fact that no file records; the command asks for what it needs. KEY=@FILE takes the"
    " file's text exactly as it is, line breaks included.",
)
@click.option(
    "--answers",
    "file_answers",
    type=FILE,
    metavar="FILE.yaml",
    callback=_answered,
    help="The same facts as a YAML mapping of keys to values; --answer overrides them.",
)
@click.option(
    "--data",
    type=FOLDER,
    help="The folder that `nla-release data` wrote. It is copied; activation_mean is read from it.",
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    help="The base's tokenizer.json, to render prompts with; by default that of the base's pinned"
    " commit on the Hub. A chat template is looked for next to it.",
)
@click.option(
    "--base",
    type=FOLDER,
    help="A copy of the base, to measure its embeddings, and to render with its tokenizer and chat"
    " template; by default its pinned commit in the client's cache or on the Hub.",
)
@click.option("--namespace", help="The user or organisation that the repositories go to.")
@click.option("--name", help="The release's name; from the base and the layer by default.")
def command(
    places: tuple[str, ...],
    out: Path,
    answers: dict[str, str],
    file_answers: dict[str, Any],
    data: Path | None,
    tokenizer: Path | None,
    base: Path | None,
    namespace: str | None,
    name: str | None,
) -> None:
    """Begin a release with a trained pair, in any known sidecar format.

    AV and AR are folders or Hub ids; one alone must contain av/ and ar/. A Hub id may have a
    revision and a folder: user/pair@v0.0.1:weights. Both are copied and stay unchanged. The command
    lists the facts that no file records, and never guesses them.
    """
    if len(places) > 2:
        raise click.UsageError(f"expected AV and AR, got {len(places)} places")
    said = file_answers | answers
    licence = {key: said.pop(key) for key in LICENCE_KEYS if key in said}
    if wrong := [key for key, value in licence.items() if not isinstance(value, str)]:
        raise click.UsageError(f"{wrong[0]} must be text")
    with tempfile.TemporaryDirectory(prefix="nla-release-") as downloads:
        try:
            report = adopt(
                find_sources(places, Path(downloads)),
                out,
                answers=said,
                naming=Naming(namespace, name, **licence),
                tokenizer=tokenizer,
                base=base,
                data=data,
            )
        except OpenQuestionsError as questions:
            _log_report(questions.report)
            raise
    _log_report(report)
    log.info(f"wrote {out}: next, read {out / 'release.yaml'}")


def _log_report(report: Report) -> None:
    for line in _lines(report):
        log.info(line)


def _lines(report: Report) -> list[str]:
    av, ar = report.formats
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
    half = (_LONGEST - 5) // 2  # a prompt's end matters as much as its beginning
    return text if len(text) <= _LONGEST else f"{text[:half]} ... {text[-half:]}"
