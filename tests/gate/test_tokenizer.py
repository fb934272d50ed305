"""The tokenizer is the one given, the one beside the release, or the pinned one of the Hub."""

import shutil

import pytest

from nla_release.contract.prompt import load_tokenizer
from nla_release.errors import InputError
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.gate.tokenizer import unknown_id
from tests.builders_pair import REVISION
from tests.pairs.zoo import edited_yaml, judged


def replayed(verdict):
    return next(outcome for outcome in verdict.outcomes if outcome.rule.code == "NLA202")


def test_the_tokenizer_given_is_used(good):
    verdict = apply_rules(find_subject(good / "dist", good / "base" / "tokenizer.json"))

    assert replayed(verdict).state == "passed"


def test_a_tokenizer_given_that_is_none_is_a_usage_error(good):
    with pytest.raises(InputError, match="is not a tokenizer"):
        apply_rules(find_subject(good / "dist", good / "release.yaml"))


def test_the_pinned_tokenizer_is_found_in_the_cache_of_the_hub_client(good, tmp_path):
    snapshot = tmp_path / "cache" / "models--someone--tiny" / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    shutil.copyfile(good / "base" / "tokenizer.json", snapshot / "tokenizer.json")

    assert replayed(judged(good, "dist")).state == "passed"


def test_without_a_tokenizer_the_rule_is_skipped_and_says_how_to_give_one(good):
    (reason,) = replayed(judged(good, "dist")).skipped

    assert reason.startswith(f"the tokenizer of someone/tiny at {REVISION} cannot be had here")
    assert reason.endswith("give one with --tokenizer")


@pytest.mark.parametrize(
    ("path", "words"), [("../typo", "is not a folder"), ("data", "holds no tokenizer.json")]
)
def test_a_base_path_without_a_tokenizer_is_named(release, path, words):
    (release / "data").mkdir(exist_ok=True)
    with edited_yaml(release / "release.yaml") as document:
        document["base_path"] = path

    (reason,) = replayed(judged(release, "release")).skipped

    assert reason.startswith(f"base_path {release / path} {words}, and the tokenizer of")


def test_a_base_that_is_not_pinned_has_no_tokenizer_to_trust(release):
    for role in ("av", "ar"):
        path = release / "pair" / role / "nla_meta.yaml"
        path.write_text(path.read_text().replace(f"revision: '{REVISION}'", "revision: null"))

    (reason,) = replayed(judged(release, "pair")).skipped

    assert reason.startswith("the base's revision is not pinned")


def test_the_unknown_token_is_that_of_the_model(good):
    tokenizer = load_tokenizer(good / "base" / "tokenizer.json")

    assert unknown_id(tokenizer) == tokenizer.token_to_id("<unk>")
