"""The label follows from numbers, and from all that matter."""

from pathlib import Path

import numpy as np
import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence import write_evidence
from nla_release.calibration.label import CONDITIONS, RULE, label
from nla_release.cards.blocks import expected_page_blocks
from tests.builders import evidence_parts, make_evidence


@pytest.fixture
def leaking(tmp_path):
    """The calibration of an AR that answers with one vector, and `leak` times the right one."""

    def measure(leak):
        rows, vectors, run = evidence_parts()
        gold = vectors["gold"]
        other = {row.id: at for at, row in enumerate(rows)}
        source = [other[row.shuffled_from] for row in rows]
        constant = np.random.default_rng(0).normal(size=gold.shape[1]).astype(np.float32)
        vectors["real"] = constant + leak * gold
        vectors["shuffled"] = constant + leak * gold[source]
        return calibrate(write_evidence(tmp_path / "evidence", rows, vectors, run))

    return measure


def test_a_difference_that_brings_nothing_nearer_is_format_only(leaking):
    """An AR that ignores its text answers so much alike that any accident is significant."""
    result = leaking(1e-4)

    assert 0 < result.controls["shuffled"].interval[0] < 0.001
    assert result.probes.retrieval.all.percentile.interval[0] <= 0
    assert result.label.name == "format-only"
    assert "not shown to be nearer to its own activation than to others" in result.label.sentence


def test_the_same_leak_made_large_is_content(leaking):
    assert leaking(1.0).label.name == "content-reading"


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((-0.01, 0.31), "is not shown to reconstruct the activation better than another row's"),
        ((0.0, 0.31), "is not shown to reconstruct the activation better than another row's"),
        ((-0.3, 0.0), "is not shown to reconstruct the activation better than another row's"),
        ((-0.3, -0.1), "another row's explanation reconstructs the activation better than"),
    ],
)
def test_what_is_not_shown_to_differ_is_not_called_equal(tmp_path, interval, words):
    result = calibrate(make_evidence(tmp_path))
    shuffled = result.controls["shuffled"].model_copy(update={"interval": interval})
    percentile = result.probes.retrieval.all.percentile
    found = label(result.denominators, shuffled, result.retrieval, percentile)

    assert found.name == "format-only"
    assert words in found.sentence
    assert "as well as" not in found.sentence


def test_with_one_row_per_document_the_label_says_that_it_cannot_tell(tmp_path):
    result = calibrate(make_evidence(tmp_path, rows=60, documents=60))

    assert result.label.name == "topic-level"
    assert "telling the document is telling the row" in result.label.sentence
    assert "knowing the document alone" not in result.label.sentence
    assert "by documents" not in result.label.sentence


def test_a_difference_is_written_with_its_sign(tmp_path):
    sentence = calibrate(make_evidence(tmp_path)).label.sentence

    assert "knowing the document alone 0.250, difference from it +0." in sentence
    assert "above it" not in sentence


def test_the_rule_is_the_same_wherever_it_stands(tmp_path):
    """In calibration.json, on every release's page, where it is checked, and in the docs."""
    result = calibrate(make_evidence(tmp_path))
    docs = (Path(__file__).parents[2] / "docs" / "calibration.md").read_text(encoding="utf-8")

    assert result.label.rule == RULE
    for name, condition in CONDITIONS.items():
        assert f"{name}, {condition}" in RULE
        for text in (expected_page_blocks(result)["rule"], docs):
            assert f"| {name} | {condition} |" in text
