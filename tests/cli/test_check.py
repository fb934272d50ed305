"""`nla-release check`: one verdict, its exit code, and nothing else on stdout."""

import json
import os
import re

import pytest

from nla_release.io.files import dump_yaml, read_yaml, write_atomic
from tests.pairs.zoo import edited_card, in_sidecar, measured_as


def test_a_good_release_passes(check, good):
    done = check(good)

    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "verdict: pass"
    assert done.stderr == ""


def test_an_error_fails_and_names_the_page_to_read(check, release):
    in_sidecar(release / "pair", "av", ["extraction", "injection_scale"], ...)

    done = check(release)

    assert done.exit_code == 1
    assert done.stdout.startswith(f"NLA101 error    {release}/pair/av/nla_meta.yaml  ")
    assert done.stdout.splitlines()[-1] == "verdict: fail"
    assert done.stderr == (
        "hint: `nla-release explain NLA101` shows why it matters and how to fix it\n"
    )


def test_json_is_one_document_on_stdout_and_skips_go_to_stderr(check, good):
    done = check(good / "pair", "--format", "json", "--tokenizer", good / "base/tokenizer.json")

    document = json.loads(done.stdout)
    assert document["verdict"] == "pass"
    assert document["rules"]["skipped"] == len(set(re.findall(r"NLA\d{3}", done.stderr)))
    assert "skipped  there is no evidence yet: run nla-release roundtrip: NLA105, NLA601," in (
        done.stderr
    )


def test_too_little_evidence_is_inconclusive(check, release):
    measured_as(release, lambda _: None, rows=10, documents=10)

    done = check(release)

    assert (done.exit_code, done.stdout.splitlines()[-1]) == (3, "verdict: inconclusive")


def test_strict_counts_warnings_as_failures(check, release):
    measured_as(release, lambda _: None, failed={0: "empty"})

    assert check(release).exit_code == 0
    assert check(release, "--strict").exit_code == 1


def test_the_current_folder_is_checked_by_default(check, good, monkeypatch):
    monkeypatch.chdir(good)

    assert check().exit_code == 0


def test_nothing_to_check_is_not_a_pass(tool, tmp_path):
    done = tool("check", tmp_path)

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[0] == f"error: {tmp_path} holds nothing to check"


def test_a_wrong_tokenizer_is_a_usage_error(tool, good):
    done = tool("check", good, "--tokenizer", good / "release.yaml")

    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a tokenizer" in done.stderr


def test_an_unknown_format_is_a_usage_error(check, good):
    assert check(good, "--format", "xml").exit_code == 2


def test_a_token_in_the_environment_is_never_shown(tool, good):
    token = "hf_" + "aB3" * 12

    done = tool("check", good / "dist", environment={"HF_TOKEN": token})

    assert done.returncode == 0
    assert token not in done.stdout + done.stderr
    assert token not in os.environ.values()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("Apache-2.0", "did you mean apache-2.0?"),
        ("mine", "write other, license_name and license_link"),
    ],
)
def test_a_licence_that_the_hub_does_not_know_is_answered_with_what_to_write(
    release, check, written, words
):
    with edited_card(release / "dist" / "av" / "README.md") as metadata:
        metadata["license"] = written
    by_hand = check(release / "dist").output
    rewritten = dump_yaml(read_yaml(release / "release.yaml") | {"license": written})
    write_atomic(release / "release.yaml", rewritten)
    configured = check(release).exception

    assert "must be one of" not in by_hand
    assert words in by_hand
    assert words in str(configured)
