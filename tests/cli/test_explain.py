"""`nla-release explain`: the page of a rule, or the list of all."""

import pytest
from click.testing import CliRunner

from nla_release.cli.explain import command
from nla_release.gate import ALL_RULES


@pytest.mark.parametrize("code", ["NLA102", "nla102"])
def test_a_rule_is_explained_by_its_code(code):
    done = CliRunner().invoke(command, [code])

    assert done.exit_code == 0
    assert done.stdout.startswith("NLA102 error: the injection scale fits the base\n")
    assert "\nHow to fix\n" in done.stdout


def test_without_a_code_all_rules_are_listed():
    done = CliRunner().invoke(command, [])

    codes = [rule.code for rule in ALL_RULES]
    assert [line.split()[0] for line in done.stdout.splitlines()] == codes


def test_an_unknown_code_suggests_the_close_ones(tool):
    done = tool("explain", "NLA1O2")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "error: there is no rule NLA1O2"
    assert done.stderr.splitlines()[1] == "hint: did you mean NLA102?"


def test_exchanged_digits_suggest_the_codes_of_these_digits(tool):
    assert "did you mean NLA711?" in tool("explain", "NLA117").stderr


@pytest.mark.parametrize("code", ["banana", "NLA999", "NLA60"])
def test_a_code_like_no_other_or_like_many_points_to_the_list(tool, code):
    done = tool("explain", code)

    assert done.returncode == 2
    assert "`nla-release explain` lists all rules" in done.stderr


def test_all_pages_come_as_markdown():
    done = CliRunner().invoke(command, ["--format", "markdown"])

    for rule in ALL_RULES:
        assert f"\n### {rule.code}\n" in done.stdout


def test_one_page_comes_as_markdown_too(tool):
    done = tool("explain", "NLA603", "--format", "markdown")

    assert done.stdout.startswith("### NLA603\n")
    assert "**How to fix.**" in done.stdout
