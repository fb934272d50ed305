"""Reading answers: whatever an endpoint sends is an answer or a fault, never an accident."""

import json

import pytest
from huggingface_hub import ChatCompletionOutput
from hypothesis import given
from hypothesis import strategies as st

from nla_release.contract.explanation import wrap
from nla_release.training.labelling.answers import (
    Answer,
    MalformedError,
    answer_of,
    read_audit,
    read_label,
)

KEYS = [
    "choices",
    "message",
    "content",
    "refusal",
    "finish_reason",
    "usage",
    "prompt_tokens",
    "model",
    "get",
    "items",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.fixed_dictionaries({"choices": JSON | st.lists(JSON, min_size=1)}) | JSON)
def test_any_json_is_an_answer_or_a_fault(document):
    try:
        parsed = ChatCompletionOutput.parse_obj_as_instance(json.dumps(document).encode())
        answer = answer_of(parsed, 1)
    except (MalformedError, ValueError):
        return
    assert read_label(answer).status in ("ok", "refused", "unparsed")


@given(st.text())
def test_a_reading_is_ok_or_holds_no_text(content):
    for reading in (read_label(Answer(content=content)), read_audit(Answer(content=content))):
        assert (reading.status == "ok") == bool(reading.text)
        assert (reading.status == "ok") == (reading.reason is None)


@given(st.text().filter(lambda text: text.strip() and "explanation>" not in text))
def test_an_explanation_between_its_tags_is_read_whole(text):
    assert read_label(Answer(content=f"Here it is: {wrap(text)} ")).text == text.strip()


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (wrap("better"), "ok"),
        ("<reject>no\nrain</reject>", "rejected"),
        (f"<reject>no</reject>{wrap('but this')}", "unparsed"),
        ("<reject>a</reject><reject>b</reject>", "unparsed"),
        ("<reject>a</reject><explanation>", "unparsed"),
        ("keep it", "unparsed"),
    ],
)
def test_an_auditor_explains_or_rejects(content, status):
    assert read_audit(Answer(content=content)).status == status


@pytest.mark.parametrize("read", [read_label, read_audit])
def test_a_refusal_is_one_whatever_stands_beside_it(read):
    answer = Answer(content=wrap("text"), refusal="I would rather not")
    assert read(answer).status == "refused"
    assert read(Answer(content="<reject>a</reject>", refusal="no")).status == "refused"


def test_an_audit_that_was_cut_off_is_no_rejection():
    assert read_audit(Answer(content="<reject>a</reject>", finish_reason="length")).status == (
        "unparsed"
    )
