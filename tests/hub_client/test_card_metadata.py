"""Cards are judged as the Hub judges them, with the place of the mistake."""

import pytest

from nla_release.hub_client.card_metadata import check_card

GOOD = """---
license: cc-by-4.0
base_model:
- google/gemma-3-4b-it
datasets: team/activations
tags: [nla, peft]
library_name: peft
model-index:
- name: pair
  results:
  - task: {type: feature-extraction}
    dataset: {type: team/activations, name: Held-out activations, config: layer-23}
    metrics:
    - {type: cosine, value: 0.44}
---
# Pair
"""


def test_a_good_card_has_no_errors_and_its_metadata_is_read():
    report = check_card(GOOD)
    assert (report.errors, report.warnings) == ([], [])
    assert report.metadata["base_model"] == ["google/gemma-3-4b-it"]


DATASET = "metrics: [{type: m, value: 1}], dataset: {type: d, name: d"


@pytest.mark.parametrize("text", ["# Pair\n", "", "---\n---\n# Pair", "---\nlicense: mit\n"])
def test_a_card_without_metadata_is_a_warning(text):
    report = check_card(text)
    assert (report.errors, report.metadata) == ([], {})
    assert "empty or missing yaml metadata" in report.warnings[0]


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("license: gpl-2.0-or-later", '"license[0]" must be one of'),
        ("license: [mit, mine]", '"license[1]" must be one of'),
        ("license: 4", '"license" must be an array'),
        ("base_model: /models/base", "\"base_model[0]\" with value '/models/base'"),
        ("base_model: a/b/c", '"base_model[0]" with value'),
        ("datasets: [./data]", '"datasets[0]" with value'),
        ("tags: [1]", '"tags[0]" must be a string'),
        ("library_name: [peft]", '"library_name" must be a string'),
        ("model-index: {}", '"model-index" must be an array'),
        ("model-index: [{results: []}]", '"model-index[0].name" is required'),
        (
            f"model-index: [{{name: a, results: [{{task: {{type: t}}, {DATASET}, config: 1}}}}]}}]",
            '"model-index[0].results[0].dataset.config" must be a string',
        ),
        (
            f"model-index: [{{name: a, results: [{{task: t, {DATASET}}}}}]}}]",
            '"model-index[0].results[0].task" must be an object',
        ),
        ("license: [", "not valid YAML"),
        ("- a", "must be a YAML mapping"),
        ("a: &x 1\nb: *x", "aliases"),
        ("a: .nan", "a is NaN"),
        ("license: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_a_wrong_card_is_told_what_and_where(yaml, message):
    errors = check_card(f"---\n{yaml}\n---\n# Pair\n").errors
    assert message in errors[0]


def test_all_mistakes_are_told_at_once():
    report = check_card("---\nlicense: mine\ntags: 3\nbase_model: ../base\n---\n")
    assert len(report.errors) == 3
    assert all(each["message"] for each in report.answer()["errors"])


def test_another_licence_should_have_a_name():
    assert check_card("---\nlicense: other\n---\n").warnings
    assert not check_card("---\nlicense: other\nlicense_name: mine\n---\n").warnings


def test_windows_line_ends_and_a_byte_order_mark_are_read():
    report = check_card("\ufeff---\r\nlicense: mit\r\n---\r\n# Pair\r\n")
    assert report.metadata == {"license": "mit"}


def test_metadata_beyond_all_measure_is_not_read():
    """A megabyte would take half a minute."""
    text = "---\n" + "tags: [a]\n" * 10_000 + "---\n"
    assert check_card(text).errors == [
        "the metadata is not valid YAML: longer than 65536 characters"
    ]
    assert check_card("---\nlicense: mit\n---\n" + "é" * 100_000).errors == []
