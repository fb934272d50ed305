"""`nla-release explain`."""

from collections import Counter
from collections.abc import Collection

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
        close = _misspelled(code.upper(), pages)
        raise ConfigError(
            f"there is no rule {code}",
            hint=f"did you mean {' or '.join(close)}?"
            if close
            else "`nla-release explain` lists all rules",
        )
    output(rule_markdown(rule) if form == "markdown" else rule_page(rule))


# Letters that are read as digits.
_LOOKALIKES = str.maketrans("OILSB", "01158")


def _misspelled(written: str, codes: Collection[str]) -> list[str]:
    """The codes with the same digits in another order, or with one more or one fewer.

    A wrong digit may mean any of many codes. So may a missing one: more than three are none.
    """
    written = f"{written[:3]}{written[3:].translate(_LOOKALIKES)}"
    if written in codes:
        return [written]
    typed = Counter(written)
    near = [code for code in codes if _apart(typed, Counter(code)) <= 1]
    return near if len(near) <= 3 else []


def _apart(one: Counter[str], other: Counter[str]) -> int:
    """How many characters only one of both has."""
    return ((one - other) + (other - one)).total()
