"""A rule's documentation as plain text."""

import textwrap
from collections.abc import Iterable

from nla_release.rules.model import Rule

_WIDTH = 88


def rule_page(rule: Rule) -> str:
    """The rule's title and its page, without a final newline."""
    sections = (
        f"{heading}\n{textwrap.fill(text, _WIDTH, initial_indent='  ', subsequent_indent='  ')}"
        for heading, text in rule.page.sections()
    )
    return "\n\n".join([f"{rule.code} {rule.severity}: {rule.title}", *sections])


def rule_list(rules: Iterable[Rule]) -> str:
    """A line per rule, without a final newline."""
    return "\n".join(f"{rule.code} {rule.severity:<7}  {rule.title}" for rule in rules)
