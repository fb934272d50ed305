"""`nla-release check`."""

import difflib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import click

from nla_release import api
from nla_release.cli.edge import ExampleCommand, annotate, output
from nla_release.cli.options import FOLDER, format_option, measure_options, path_argument
from nla_release.errors import EnvironmentProblem
from nla_release.fixes import Fix, LeftAlone, find_fixes, mended_on_cards, write
from nla_release.gate.model import Verdict
from nla_release.gate.subject import Subject, find_subject
from nla_release.io.log import log
from nla_release.output.ci import (
    FORMATS,
    annotations,
    without_commands,
)
from nla_release.output.verdict import skipped_lines, verdict_markdown

_TEXTS = {".md", ".json"}


@click.command("check", cls=ExampleCommand, example="nla-release check my-release")
@path_argument
@format_option("All but text are one document, alone on stdout.", list(FORMATS))
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    help="tokenizer.json with which prompts are encoded again; the base's own by default.",
)
@click.option(
    "--base",
    type=FOLDER,
    help="A local copy of the base for --measure; that of release.yaml, or the Hub's, by default.",
)
@click.option("--strict", is_flag=True, help="Count warnings as failures.")
@click.option("--fix", is_flag=True, help="Fix what the files determine, then check.")
@click.option(
    "--diff",
    is_flag=True,
    help="Show what --fix would write, without checking; exits with 1 when there is something.",
)
@measure_options
def command(
    path: Path,
    form: str,
    tokenizer: Path | None,
    base: Path | None,
    strict: bool,
    fix: bool,
    diff: bool,
    measure: api.RemeasureOptions | None,
) -> None:
    """Check PATH against every rule that applies to it.

    PATH is the folder of release.yaml, a rendered dist/ with av/ and ar/, or one adapter's folder.
    Needs neither torch nor a GPU, and no network unless the base's tokenizer is to be fetched.

    --measure N measures N rows of the evidence again, as `verify --measure` will on the Hub
    (NLA711). It needs the base and the engine extra.

    --fix puts a card's metadata in order, generates its blocks and metrics again from a valid
    calibration.json, and converts a trained AR's pickled head, whose original moves to originals/.
    It changes no fact and no hand-written text.

    In GitHub Actions, text comes with annotations, and text and github write the step summary.
    """
    if diff and (fix or form != "text" or measure):
        raise click.UsageError("--diff cannot be combined with --fix, --measure or --format")
    if diff:
        click.get_current_context().exit(_show_fixes(find_subject(path)))
    if measure:
        import nla_release.engine  # noqa: F401 - is it installed? Before anything is fixed.

        measure = replace(measure, base=base)
    if fix:
        _fix(find_subject(path))
    verdict = api.check(path, tokenizer=tokenizer, strict=strict, measure=measure)
    output(FORMATS[form](verdict, path), nl=False)
    if form == "json":
        for line in skipped_lines(verdict):
            log.info(line)
    if form in ("text", "github") and os.environ.get("GITHUB_ACTIONS") == "true":
        _write_for_github(verdict, path, annotated=form == "text")
    for hint in _hints(path, verdict):
        log.hint(hint)
    click.get_current_context().exit(verdict.exit_code)


def _hints(path: Path, verdict: Verdict) -> Iterator[str]:
    codes = [finding.code for finding in verdict.findings]
    if codes:
        yield f"`nla-release explain {codes[0]}` shows why it matters and how to fix it"
    on_cards = {"NLA501", "NLA502"} & set(codes)
    if fixable := sorted(on_cards and on_cards & mended_on_cards(find_subject(path))):
        yield f"run the same command with --fix to fix {', '.join(fixable)}"


def _show_fixes(subject: Subject) -> int:
    """The diff on stdout, what is left alone on stderr, and the exit code."""
    fixes = _fixes(subject)
    output(fixes_diff(fixes), nl=False)
    if fixes:
        log.hint("run the same command with --fix instead of --diff to write this")
    return 1 if fixes else 0


def _fix(subject: Subject) -> None:
    for fix in _fixes(subject):
        write(fix)
        log.info(fix_line(fix))


def _fixes(subject: Subject) -> list[Fix]:
    """The fixes. What cannot be fixed is reported on stderr."""
    proposals = find_fixes(subject)
    for each in proposals:
        if isinstance(each, LeftAlone):
            log.info(left_alone_line(each))
    fixes = [each for each in proposals if isinstance(each, Fix)]
    if not proposals:
        log.info("nothing to fix")
    return fixes


def _write_for_github(verdict: Verdict, folder: Path, *, annotated: bool) -> None:
    """Write annotations to stderr, and the summary to the file that the runner names."""
    for command in annotations(verdict, folder) if annotated else ():
        annotate(command)
    if not (name := os.environ.get("GITHUB_STEP_SUMMARY")):
        return
    try:
        with Path(name).open("a", encoding="utf-8") as summary:
            summary.write(verdict_markdown(verdict))
    except OSError as error:
        raise EnvironmentProblem(
            f"the step summary {name} cannot be written: {error.strerror or error}",
            hint="GITHUB_STEP_SUMMARY names it; unset it to go without",
        ) from error


def fixes_diff(fixes: Iterable[Fix]) -> str:
    """Unified diffs of texts and a line for anything else, with a final newline.

    Control characters are shown escaped, and so is what a runner of GitHub would take for a
    command.
    """
    lines = (line for fix in fixes for line in _diff(fix))
    return "".join(f"{_visible(line)}\n" for line in lines)


def fix_line(fix: Fix) -> str:
    """What was done, to which file, for which rules."""
    return _visible(f"fixed  {fix.path}  {fix.reason} ({', '.join(fix.codes)})")


def left_alone_line(left: LeftAlone) -> str:
    """What was not done, and why."""
    return _visible(f"left alone  {left.path}  {left.reason}")


def _diff(fix: Fix) -> list[str]:
    if fix.path.suffix in _TEXTS and fix.before is not None and fix.after is not None:
        before, after = (_lines(content) for content in (fix.before, fix.after))
        name = str(fix.path)
        return list(difflib.unified_diff(before, after, name, name, lineterm=""))
    size = f"{len(fix.after):,} bytes, " if fix.after is not None else ""
    return [f"{fix.path}: {size}{fix.reason}"]


def _lines(content: bytes) -> list[str]:
    return content.decode().removesuffix("\n").split("\n")


def _visible(line: str) -> str:
    shown = "".join(
        character if character.isprintable() or character == "\t" else repr(character)[1:-1]
        for character in without_commands(line)
    )
    return shown.replace("::", r"\x3a:", 1) if shown.lstrip().startswith("::") else shown
