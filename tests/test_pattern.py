"""Patterns of third parties match what `re` says they match, within limits."""

import re
import warnings
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nla_release.adapter.pattern import MAX_LENGTH, UntriedError, fully_matching
from nla_release.errors import InputError

NAMES = tuple(
    f"model.{part}.layers.{block}.{place}"
    for part in ("language_model", "vision_tower.encoder", "audio_tower")
    for block in range(64)
    for place in ("self_attn", "self_attn.q_proj", "mlp.down_proj", "mlp.down_proj.linear")
)


@pytest.mark.parametrize(
    "pattern",
    [
        r"model\.language_model\.layers\.(\d|1[0-7])\.self_attn\.(q_proj|k_proj|v_proj|o_proj)",
        r".*language_model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj",
        r"^(?!.*(?:vision|audio)).*(?:q_proj|v_proj)$",
        # The one that Unsloth writes for every model, shortened in its alternatives.
        r"(?:.*?(?:language|text).*?(?:mlp).*?(?:q_proj|down_proj).*?)|(?:\bmodel\.layers\.[\d]{1,})",
        r"(?i).*Q_PROJ",
        r".*\.(layers)\.\d+\..*|.*(\d)\2.*",
        r".*[[:alpha:]].*",  # a later Python may read this set otherwise, and `re` warns of it
    ],
)
def test_the_names_that_match_are_those_of_fullmatch(pattern):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {name for name in NAMES if re.fullmatch(pattern, name)}

    assert fully_matching(pattern, NAMES) == expected


@pytest.mark.parametrize("pattern", ["(a+)+!", "(?:){4294967294}a*"])
def test_a_pattern_on_which_re_takes_years_is_given_up(pattern):
    with pytest.raises(UntriedError, match="takes more than 2 seconds or 512 MB"):
        fully_matching(pattern, ("a" * 60,))


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(" * 900 + "a" + ")" * 900, "deeply nested"),
        ("a" * (MAX_LENGTH + 1), f"{MAX_LENGTH + 1} characters"),
    ],
)
def test_a_pattern_that_is_not_tried_is_reported(pattern, words):
    with pytest.raises(UntriedError, match=words):
        fully_matching(pattern, ("a" * 60,))


@pytest.mark.parametrize("pattern", ["(", "*", "[z-a]", "a{99999999999999999999}", "(?<=a+)b"])
def test_what_is_no_pattern_is_reported(pattern):
    with pytest.raises(InputError, match="is not a regular expression"):
        fully_matching(pattern, ())


@given(st.text(max_size=30))
@settings(max_examples=30, deadline=None)
def test_any_text_is_a_pattern_or_an_error(text):
    with suppress(InputError):
        fully_matching(text, ("model.layers.0.self_attn.q_proj",))


def test_without_a_process_a_pattern_is_not_tried(monkeypatch):
    """The rest of a check goes on."""

    def no_process(*_args, **_options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("nla_release.adapter.pattern.subprocess.run", no_process)
    with pytest.raises(UntriedError, match="none can be started: .*temporarily unavailable"):
        fully_matching("a pattern that no other test has", ("a",))
