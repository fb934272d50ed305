"""`nla-release check --diff` shows, `--fix` writes and judges again."""

import json

import pytest

from tests.fixes.steps import contents
from tests.pairs.card import ar_as_text_generation, block_removed, number_edited_by_hand


def test_a_diff_shows_every_fix_and_writes_nothing(check, release):
    ar_as_text_generation(release / "dist")
    before = contents(release)

    done = check(release, "--diff")

    card = release / "dist" / "ar" / "README.md"
    assert done.exit_code == 1
    assert f"--- {card}\n+++ {card}\n" in done.stdout
    assert "-pipeline_tag: text-generation\n+pipeline_tag: feature-extraction\n" in done.stdout
    assert "verdict" not in done.stdout
    assert done.stderr == "hint: run the same command with --fix instead of --diff to write this\n"
    assert contents(release) == before


def test_a_fix_is_told_and_the_verdict_is_that_of_what_was_written(check, release, good):
    number_edited_by_hand(release / "dist")

    done = check(release, "--fix")

    av = release / "dist" / "av"
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "verdict: pass"
    assert done.stderr.splitlines() == [
        f"fixed  {av}/release.json  the record of README.md (NLA701)",
        f"fixed  {av}/README.md  block calibration of calibration.json (NLA502)",
    ]
    assert contents(release) == contents(good)


@pytest.mark.parametrize("option", ["--fix", "--diff"])
def test_nothing_to_fix_is_said(check, good, option):
    before = contents(good)

    done = check(good, option)

    assert (done.exit_code, done.stderr) == (0, "nothing to fix\n")
    assert (done.stdout == "") == (option == "--diff")
    assert contents(good) == before


def test_what_is_not_fixed_still_fails(check, release):
    block_removed(release / "dist")
    number_edited_by_hand(release / "dist")

    done = check(release, "--fix")

    assert done.exit_code == 1
    assert "the block label is missing" in done.stdout
    assert "fixed" in done.stderr


def test_what_a_fix_would_mend_is_hinted_at(check, release):
    number_edited_by_hand(release / "dist")
    block_removed(release / "dist")

    assert check(release).stderr.splitlines()[1:] == [
        "hint: run the same command with --fix to fix NLA502"
    ]
    check(release, "--fix")
    assert "--fix" not in check(release).stderr, "nobody else can put back a block"


def test_json_stays_one_document(check, release):
    ar_as_text_generation(release / "dist")

    done = check(release, "--fix", "--format", "json")

    assert json.loads(done.stdout)["verdict"] == "pass"
    assert "fixed" in done.stderr


@pytest.mark.parametrize("other", [["--fix"], ["--format", "json"]])
def test_a_diff_goes_alone(check, good, other):
    done = check(good, "--diff", *other)

    assert done.exit_code == 2
    assert "--diff cannot be combined with --fix, --measure or --format" in done.stderr


def test_fixing_twice_is_fixing_once(check, release):
    ar_as_text_generation(release / "dist")
    check(release, "--fix")
    before = contents(release)

    assert check(release, "--fix").stderr == "nothing to fix\n"
    assert contents(release) == before
