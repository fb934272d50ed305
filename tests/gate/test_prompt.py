"""Prompts are replayed raw and through the base's chat template, as they were trained."""

import json
import shutil

import pytest

from nla_release.cards.render import render
from nla_release.contract.chat import read_chat
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.io.files import write_atomic
from nla_release.release.folder import read_release
from tests.builders_pair import REVISION
from tests.chats import STYLES, TURNS
from tests.pairs.prompt import in_chat
from tests.pairs.zoo import in_both_sidecars, judged


def replayed(verdict):
    return next(outcome for outcome in verdict.outcomes if outcome.rule.code == "NLA202")


@pytest.mark.parametrize("style", STYLES)
def test_every_rule_passes_on_a_good_release_that_was_trained_in_a_chat(release, style):
    in_chat(release, STYLES[style], {"enable_thinking": False})
    (release / "HISTORY.md").unlink()
    rendered = render(read_release(release), "0.0.1")
    write_atomic(release / "HISTORY.md", (rendered.folders["av"] / "HISTORY.md").read_bytes())

    assert [
        outcome.rule.code for outcome in judged(release).outcomes if outcome.state != "passed"
    ] == []


def test_the_chat_template_may_stand_in_the_configuration(release):
    in_chat(release)
    template = (release / "base" / "chat_template.jinja").read_text()
    (release / "base" / "chat_template.jinja").unlink()
    write_atomic(
        release / "base" / "tokenizer_config.json", json.dumps({"chat_template": template})
    )

    assert replayed(judged(release)).state == "passed"


def test_a_chat_without_its_template_is_skipped_and_says_so(release):
    in_chat(release)
    (release / "base" / "chat_template.jinja").unlink()

    (reason,) = replayed(judged(release)).skipped

    assert reason == (
        "the AV's prompt goes through a chat template, and no chat_template.jinja and no"
        " chat_template in a tokenizer_config.json lies beside the base's tokenizer.json"
    )


def test_the_chat_template_is_the_one_beside_the_tokenizer_given(release):
    in_chat(release)
    tokenizer = release / "base" / "tokenizer.json"

    assert replayed(apply_rules(find_subject(release / "pair", tokenizer))).state == "passed"


@pytest.mark.parametrize("absent", [True, False])
def test_of_the_hub_client_s_cache_the_chat_template_is_taken_too(release, tmp_path, absent):
    """A file that the cache does not hold is only known to be missing when the cache says so."""
    in_chat(release, TURNS)
    cache = tmp_path / "cache" / "models--someone--tiny"
    snapshot = cache / "snapshots" / REVISION
    shutil.copytree(release / "base", snapshot)
    (snapshot / "chat_template.jinja").unlink()
    config = json.dumps({"chat_template": TURNS, "bos_token": "<bos>"})
    write_atomic(snapshot / "tokenizer_config.json", config)
    if absent:
        write_atomic(cache / ".no_exist" / REVISION / "chat_template.jinja", b"")

    outcome = replayed(judged(release, "pair"))

    assert outcome.state == ("passed" if absent else "skipped")
    assert absent or "cannot be had here" in outcome.skipped[0]


@pytest.mark.parametrize("known", [True, False])
def test_a_legacy_template_is_asked_for_where_no_other_file_has_one(release, tmp_path, known):
    in_chat(release, TURNS)
    cache = tmp_path / "cache" / "models--someone--tiny"
    snapshot = cache / "snapshots" / REVISION
    shutil.copytree(release / "base", snapshot)
    (snapshot / "chat_template.jinja").unlink()
    write_atomic(cache / ".no_exist" / REVISION / "chat_template.jinja", b"")
    if known:
        write_atomic(snapshot / "chat_template.json", json.dumps({"chat_template": TURNS}))

    outcome = replayed(judged(release, "pair"))

    assert outcome.state == ("passed" if known else "skipped")
    assert known or "cannot be had here" in outcome.skipped[0]


def test_a_raw_pair_needs_no_chat_template(good):
    assert read_chat(good / "base") is None
    assert replayed(judged(good)).state == "passed"


def test_both_prompts_are_named_when_both_are_wrong(release):
    in_both_sidecars(release / "pair", ["prompt_templates", "av"], "<bos>{injection_char} and on")
    in_both_sidecars(release / "pair", ["prompt_templates", "ar"], "<bos>{explanation} and on")
    found = {
        (finding.path.rsplit("/", 2)[-2], "begins with special token 2 twice" in finding.message)
        for finding in replayed(judged(release)).findings
        if "/pair/" in finding.path
    }

    assert found == {("av", True), ("ar", True)}
