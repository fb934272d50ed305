"""Prompts are replayed on a tokenizer, and any drift is named."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.contract.chat import Chat
from nla_release.contract.prompt import (
    ar_prompt,
    av_prompt,
    check_replay,
    check_suffix,
    encoder,
    load_tokenizer,
    mark,
    suffix_ids,
)
from nla_release.errors import InputError, PairError
from tests.chats import GEMMA
from tests.sidecars import TINY_BASE, sidecar

AV = "Describe the vector.\n<concept>{injection_char}</concept>\n"
AR = "Summary of the following text: <text>{explanation}</text> <summary>"


@pytest.fixture(scope="module")
def encode():
    return encoder(load_tokenizer(TINY_BASE / "tokenizer.json"))


def test_the_marker_is_found_between_its_neighbours(encode):
    prompt = mark(encode, AV, "㊗")

    assert prompt.ids[prompt.position] == prompt.token_id
    assert (prompt.left_id,) == tuple(encode(">", False))
    assert (prompt.right_id,) == tuple(encode("</", False))


def test_a_marker_of_several_tokens_is_refused(encode):
    with pytest.raises(PairError, match=r"marker '龘' is \d+ tokens here, expected 1"):
        mark(encode, AV, "龘")


@pytest.mark.parametrize("template", [AV + "{injection_char}", "{injection_char} first", "none"])
def test_a_prompt_without_exactly_one_marker_is_refused(encode, template):
    def raw(text, special):
        return encode(text, False)

    with pytest.raises(PairError, match="expected exactly one"):
        mark(raw, template.replace("{injection_char}", "㊗"), "㊗")


# An explanation is stripped when it is read: a space at its end would join the suffix.
@given(st.text(max_size=40).map(str.strip))
def test_every_ar_prompt_ends_with_the_suffix(text):
    encode = encoder(load_tokenizer(TINY_BASE / "tokenizer.json"))
    suffix = suffix_ids(encode, AR)
    ids = encode(ar_prompt(AR, text), True)

    assert ids[-len(suffix) :] == suffix


def test_a_template_that_ends_with_the_explanation_is_refused(encode):
    with pytest.raises(PairError, match="fixed ending"):
        suffix_ids(encode, "Summary: {explanation}")


def test_braces_in_an_explanation_stay_braces():
    assert ar_prompt(AR, "{explanation} {0} {x!r}").count("{explanation}") == 1
    assert av_prompt("{0} {injection_char}", "㊗") == "{0} ㊗"


def test_a_faithful_sidecar_replays(encode):
    check_replay(sidecar("av"), encode, unk_id=3)
    check_suffix(sidecar("ar"), encode)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("tokens", "injection_token_id"), 5),
        (("tokens", "injection_left_neighbor_id"), 5),
        (("tokens", "injection_right_neighbor_id"), 5),
        (("nla_release", "injection", "marker_position"), 3),
    ],
)
def test_each_drifted_fact_is_named_with_both_values(encode, keys, value):
    with pytest.raises(PairError, match=rf"{keys[-1]} {value}, the tokenizer gives \d+"):
        check_replay(sidecar("av", {keys: value}), encode, unk_id=3)


def test_a_changed_prompt_is_named_at_its_first_difference(encode):
    ids = list(sidecar("av").injection.prompt_token_ids)
    ids[2] += 1
    changed = sidecar("av", {("nla_release", "injection", "prompt_token_ids"): ids})
    with pytest.raises(PairError, match="at position 2"):
        check_replay(changed, encode, unk_id=3)


def test_an_unknown_marker_is_refused(encode):
    marker = sidecar("av").tokens.injection_token_id
    with pytest.raises(PairError, match="unknown token"):
        check_replay(sidecar("av"), encode, unk_id=marker)


def test_other_suffix_ids_are_named(encode):
    changed = sidecar("ar", {("tokens", "critic_suffix_ids"): [1, 2]})
    with pytest.raises(PairError, match=re.escape("critic_suffix_ids [1, 2]")):
        check_suffix(changed, encode)


def test_a_file_that_is_no_tokenizer_is_one_clear_error(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": 1}')
    with pytest.raises(InputError, match="is not a tokenizer"):
        load_tokenizer(tmp_path / "tokenizer.json")


# -- chats --


def chatted(changes=None):
    """An AV's sidecar whose prompt went through a chat template, and that template."""
    chat = Chat(GEMMA, {"bos_token": "<bos>"}, {"enable_thinking": False})
    encode = encoder(load_tokenizer(TINY_BASE / "tokenizer.json"))
    prompt = mark(encode, AV, "㊗", chat)
    injection = ("nla_release", "injection")
    recorded = {
        (*injection, "prompt_encoding"): "chat",
        (*injection, "chat_template"): {"sha256": chat.sha256, "options": chat.options},
        (*injection, "prompt_token_ids"): list(prompt.ids),
        (*injection, "marker_position"): prompt.position,
    }
    return sidecar("av", recorded | (changes or {})), chat


def test_a_chat_prompt_is_encoded_without_special_tokens_of_the_tokenizer(encode):
    meta, chat = chatted()

    assert meta.injection.prompt_token_ids[:2] == [2, *encode("<", False)]
    check_replay(meta, encode, 3, chat)


def test_options_of_training_are_given_to_the_template_again(encode):
    meta, chat = chatted()

    check_replay(meta, encode, 3, chat.with_options({"enable_thinking": True}))


def test_another_chat_template_is_named_by_both_hashes(encode):
    meta, chat = chatted()
    other = Chat(GEMMA + " ", chat.special_tokens)

    with pytest.raises(PairError, match=f"{chat.sha256}, the base's has {other.sha256}"):
        check_replay(meta, encode, 3, other)


def test_a_base_without_a_chat_template_cannot_replay_a_chat(encode):
    with pytest.raises(PairError, match="the base's tokenizer has none"):
        check_replay(chatted()[0], encode, unk_id=3)


def test_a_raw_prompt_goes_through_no_template(encode):
    check_replay(sidecar("av"), encode, 3, Chat("{{ raise_exception('not asked') }}", {}))


def test_a_raw_template_that_writes_bos_itself_is_refused(encode):
    twice = sidecar("ar", {("prompt_templates", "ar"): "<bos>" + AR})
    for refused in (
        lambda: mark(encode, "<bos>" + AV, "㊗"),
        lambda: suffix_ids(encode, "<bos>" + AR),
        lambda: check_suffix(twice, encode),
    ):
        with pytest.raises(PairError, match="begins with special token 2 twice"):
            refused()


def test_a_prompt_may_begin_with_a_word_twice(encode):
    """Without BOS, as on tokenizers that have none."""

    def plain(text, special):
        return encode(text, False)

    assert plain(">> ", True)[:2] == plain(">", True) * 2
    mark(plain, ">> " + AV, "㊗")
