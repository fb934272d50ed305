"""Strangers' patterns match what `re` says they match, and cost only so much."""

import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nla_release.adapter.pattern import MAX_LENGTH, Pattern, UntriedError
from nla_release.errors import InputError

ATOMS = st.sampled_from(
    [
        "a", "b", "7", ".", r"\.", "[ab]", "[^a]", "[a-c.]", r"[\d.]", r"[^\w.]", r"\d", r"\D",
        r"\w", r"\W", r"\s", r"\S", r"\b", r"\B", "^", "$", r"\A", r"\Z", "(?=a)", "(?!b)",
        "(?<=a)", "(?<!ab)", "(?:)", "layers",
    ]
)  # fmt: skip
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map("".join),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        inner.map(lambda part: f"(?={part})"),
        inner.map(lambda part: f"(?!{part})"),
    ),
    max_leaves=6,
)
NAMES = st.lists(st.text("ab7._ \n", max_size=7), min_size=1, max_size=6)


@given(PATTERNS, NAMES)
@settings(max_examples=400)
def test_the_names_that_match_are_those_of_fullmatch(pattern, names):
    assert Pattern(pattern).matching(names) == {
        name for name in names if re.fullmatch(pattern, name)
    }


@pytest.mark.parametrize(
    "pattern",
    [
        r"model\.language_model\.layers\.(\d|1[0-7])\.self_attn\.(q_proj|k_proj|v_proj|o_proj)",
        r".*language_model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj",
        r"^(?!.*(?:vision|audio)).*(?:q_proj|v_proj)$",
        r"^(?:(?!tower).)*_proj$",
        # The one that Unsloth writes for every model, shortened in its alternatives.
        r"(?:.*?(?:language|text).*?(?:mlp).*?(?:q_proj|down_proj).*?)|(?:\bmodel\.layers\.[\d]{1,})",
    ],
)
def test_patterns_that_people_use_are_tried_on_a_whole_base(pattern):
    names = [
        f"model.{part}.layers.{block}.{place}"
        for part in ("language_model", "vision_tower.encoder", "audio_tower")
        for block in range(64)
        for place in ("self_attn", "self_attn.q_proj", "mlp.down_proj", "mlp.down_proj.linear")
    ]

    assert Pattern(pattern).matching(names) == {
        name for name in names if re.fullmatch(pattern, name)
    }


@pytest.mark.parametrize("pattern", ["(a+)+!", "(a|a)*!", "(.*)*(.*)*(.*)*!", "(a?){60}a{60}!"])
def test_a_pattern_on_which_re_takes_years_is_tried_at_once(pattern):
    assert Pattern(pattern).matching(["a" * 60]) == set()
    assert Pattern(pattern).matching(["a" * 60 + "!"]) == {"a" * 60 + "!"}


@pytest.mark.parametrize(
    "pattern",
    [
        "(?:){4294967294}",
        "(?:){4294967294}a*",
        "(?:(?:){4294967294}){4294967294}a*",
        "(?:|){4294967294}a*",
        "(?:(?=a)){4294967294}a*",
        r"(?:^|\b){4294967294}a*",
        "(?:(?:)*)*a*",
        "(?:a?){4294967294}",
        "(?:(.|..|...)*){4294967294}",
        "a*(?:){0,4294967294}",
        "a{0,4294967294}",
        "(?:a{0,4294967294}){0,4294967294}",
    ],
)
def test_what_is_repeated_four_billion_times_costs_a_counted_number_of_steps(pattern):
    """Parts that match nothing, and parts that can move no further."""
    assert Pattern(pattern).matching(["a" * 60, ""]) <= {"a" * 60, ""}
    assert Pattern(f"(?:{pattern})!").matching(["a" * 60]) == set()


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(?i)A", "flags"),
        ("(?i:A)", "flags"),
        (r"(a)\1", "GROUPREF"),
        ("(?>a)", "ATOMIC_GROUP"),
        ("a*+", "POSSESSIVE_REPEAT"),
        ("(" * 500 + "a" + ")" * 500, "deeply nested"),
        ("a" * (MAX_LENGTH + 1), f"{MAX_LENGTH + 1} characters"),
    ],
)
def test_what_is_not_followed_is_said_and_not_guessed(pattern, words):
    with pytest.raises(UntriedError, match=words):
        Pattern(pattern).matching(["a" * 60])


def test_a_pattern_that_costs_much_on_many_names_is_not_tried_to_the_end():
    with pytest.raises(UntriedError, match="takes more than 2000000 steps"):
        Pattern("((.?){60}.?){60}").matching(f"{'a' * 60}{number}" for number in range(1000))


@pytest.mark.parametrize("pattern", ["(", "*", "[z-a]", "a{99999999999999999999}", "(?<=a+)b"])
def test_what_is_no_pattern_is_said(pattern):
    with pytest.raises(InputError, match="is not a regular expression"):
        Pattern(pattern)


@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_an_error(text):
    with suppress(InputError):
        Pattern(text).matching(["model.layers.0.self_attn.q_proj"])
