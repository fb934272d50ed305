"""Filling a recipe's prompts in."""

from hypothesis import given
from hypothesis import strategies as st

from nla_release.training.labelling.answers import fill


@given(st.text())
def test_a_value_is_put_in_as_it_is(text):
    assert fill("<text>{text}</text>", {"text": text}) == f"<text>{text}</text>"


def test_what_a_value_says_is_not_filled_in_again():
    values = {"text": "{explanation}", "explanation": "{text}"}
    assert fill("{text}|{explanation}", values) == "{explanation}|{text}"


def test_other_braces_are_the_prompts_own():
    assert fill('{"a": {b}, "c": {text}} {', {"text": "x"}) == '{"a": {b}, "c": x} {'
    assert fill("{text} {explanation}", {"text": "x"}) == "x {explanation}"
