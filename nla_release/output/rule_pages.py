"""A rule's documentation, as plain text and as Markdown."""

import textwrap
from collections.abc import Iterable

from nla_release.gate.model import Rule

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


def rule_markdown(rule: Rule) -> str:
    """The page as Markdown, under a heading of its code."""
    sections = (f"**{heading}.** {text}" for heading, text in rule.page.sections())
    return "\n\n".join([f"### {rule.code}", f"*{rule.severity}:* {rule.title}", *sections])


def rules_markdown(rules: Iterable[Rule]) -> str:
    """A table of all rules, and every page below it."""
    rules = list(rules)
    rows = (
        f"| [{rule.code}](#{rule.code.lower()}) | {rule.severity} | {rule.title} |"
        for rule in rules
    )
    return "\n".join(
        [
            "# Rules",
            "",
            "Written by `nla-release explain --format markdown`.",
            "",
            "| code | severity | what must hold |",
            "|---|---|---|",
            *rows,
            "",
            "\n\n".join(rule_markdown(rule) for rule in rules),
        ]
    )
