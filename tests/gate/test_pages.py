"""Every rule explains itself under the same headings, and its code is its own."""

import re
import subprocess
import sys

import pytest

from nla_release.gate import ALL_RULES as ALL
from nla_release.gate.findings import Page

HEADINGS = [
    "What it checks",
    "Why it matters",
    "How to fix",
    "Example",
    "When to waive",
    "Since version",
]


def test_codes_are_unique_and_in_order():
    codes = [rule.code for rule in ALL]

    assert len(set(codes)) == len(codes)
    assert [code[:4] for code in codes] == sorted(code[:4] for code in codes)
    assert all(re.fullmatch(r"NLA[1-7]\d\d", code) for code in codes)


@pytest.mark.parametrize("rule", ALL, ids=lambda rule: rule.code)
def test_a_rule_has_a_whole_page(rule):
    sections = rule.page.sections()

    assert [heading for heading, _ in sections] == HEADINGS
    assert all(text.strip() for _, text in sections)
    assert "  " not in "".join(text for _, text in sections)
    assert rule.title[0].islower() or rule.title.split()[0].isupper() or "." in rule.title
    assert not rule.title.endswith(".")


def test_a_page_is_read_from_a_docstring():
    page = Page.of(
        """Compare two numbers.

        Checks: The first is
            larger: by 2.
        Why: It once was not.
        Fix: Swap them.
        Example: 1 is not larger
        Waive: Never.
        """
    )

    assert page == Page(
        "The first is larger: by 2.", "It once was not.", "Swap them.", "1 is not larger", "Never."
    )


@pytest.mark.parametrize("docstring", [None, "Compare.", "Compare.\n\nChecks: a\nWho: b"])
def test_a_page_without_its_sections_is_refused(docstring):
    with pytest.raises(TypeError):
        Page.of(docstring)


def test_the_headings_are_those_of_every_page():
    page = Page("a", "b", "c", "d", "e", "f")

    assert dict(page.sections()) == dict(zip(HEADINGS, "abcdef", strict=True))


def test_python_without_docstrings_is_refused_with_the_reason():
    """Rule pages are docstrings, and say which rules can be waived."""
    done = subprocess.run(
        [sys.executable, "-OO", "-m", "nla_release", "check", "."],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 4
    assert "error: Python runs with -OO, which removes the rules' pages" in done.stderr
    assert "Traceback" not in done.stderr
