"""`nla-release explain`."""

import difflib

import click

from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import format_option
from nla_release.errors import ConfigError
from nla_release.gate import ALL_RULES
from nla_release.output.rule_pages import rule_list, rule_markdown, rule_page, rules_markdown


@click.command("explain", cls=ExampleCommand, example="nla-release explain NLA603")
@click.argument("code", required=False)
@format_option("markdown gives the table and pages as in the documentation.", ["text", "markdown"])
def command(code: str | None, form: str) -> None:
    """Show what the rule CODE checks, why, and how to fix what it finds; without CODE, list all."""
    if code is None:
        output(rules_markdown(ALL_RULES) if form == "markdown" else rule_list(ALL_RULES))
        return
    pages = {rule.code: rule for rule in ALL_RULES}
    if (rule := pages.get(code.upper())) is None:
        close = difflib.get_close_matches(code.upper(), pages)
        raise ConfigError(
            f"there is no rule {code}",
            hint=f"did you mean {' or '.join(close)}?"
            if close
            else "`nla-release explain` lists all rules",
        )
    output(rule_markdown(rule) if form == "markdown" else rule_page(rule))
