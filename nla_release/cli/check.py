"""`nla-release check`."""

from pathlib import Path

import click

from nla_release.output.json import verdict_json
from nla_release.output.text import skipped_lines, verdict_text
from nla_release.rules import judge
from nla_release.rules.subject import find_subject


@click.command("check")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json prints one document on stdout.",
)
@click.option(
    "--tokenizer",
    type=click.Path(path_type=Path),
    help="A tokenizer.json to replay prompts on; the base's own by default.",
)
@click.option("--strict", is_flag=True, help="Count warnings as failures.")
def command(path: Path, output_format: str, tokenizer: Path | None, strict: bool) -> None:
    """Judge PATH against every rule that applies to it.

    PATH is the folder of release.yaml, a rendered dist/ with av/ and ar/, or one adapter's folder.
    Needs neither torch nor a GPU, and no network unless the base's tokenizer is to be fetched.
    """
    verdict = judge(find_subject(path, tokenizer), strict=strict)
    if output_format == "json":
        for line in skipped_lines(verdict):
            click.echo(line, err=True)
        click.echo(verdict_json(verdict), nl=False)
    else:
        click.echo(verdict_text(verdict))
    if verdict.findings:
        code = verdict.findings[0].code
        click.echo(
            f"hint: nla-release explain {code} says why it matters and how to fix it", err=True
        )
    click.get_current_context().exit(verdict.exit_code)
