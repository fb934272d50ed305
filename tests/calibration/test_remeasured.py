"""Which answers of a pair are its published ones, and which are not."""

import numpy as np
import pytest

from nla_release.calibration.remeasured import (
    EXACT,
    OTHERWISE,
    REQUANTIZED,
    ROUNDED,
    Conditions,
    NewOutputs,
    choose_rows,
    compare_answers,
    tolerance,
)
from nla_release.contract.explanation import Explanation
from nla_release.evidence.controls import row_texts
from tests.builders import make_evidence

RECORDED = Conditions(None, "float32", "cpu")


@pytest.fixture
def evidence(tmp_path):
    return make_evidence(tmp_path / "evidence", rows=40, documents=10)


def answers(evidence, rows, *, other=0, shift=0.0, worse=0.0, moved=0.0):
    """The published answers, with `other` texts, and vectors shifted, made worse or moved."""
    random = np.random.default_rng(0)
    noise = random.normal(size=evidence.vectors["real"][rows].shape)
    published = {name: evidence.vectors[name][rows] for name in row_texts(evidence)}
    said = [
        Explanation("other words" if at < other else row.explanation, row.status, row.raw)
        for at, row in enumerate(evidence.rows[position] for position in rows)
    ]
    read = {name: values + shift * noise for name, values in published.items()}
    extracted = evidence.vectors["gold"][rows].astype(np.float64)
    extracted += moved * np.abs(extracted).max() * noise
    return NewOutputs(extracted, said, published["real"] + worse * noise, read)


def compared(evidence, *, count=20, used=RECORDED, **changes):
    rows = choose_rows(evidence, count, 1)
    return compare_answers(evidence, rows, 1, used, answers(evidence, rows, **changes))


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        (RECORDED, EXACT),
        (Conditions(None, "float32", "cuda"), EXACT),
        (Conditions(None, "bfloat16", "cpu"), OTHERWISE),
        (Conditions("nf4", "float32", "cpu"), REQUANTIZED),
    ],
)
def test_the_tolerance_is_what_the_conditions_need(used, expected):
    assert tolerance(RECORDED, used) is expected


def test_the_recorded_precision_is_less_strict_on_another_device():
    recorded = Conditions("nf4", "bfloat16", "cuda")

    assert tolerance(recorded, recorded) is ROUNDED
    assert tolerance(recorded, Conditions("nf4", "bfloat16", "cpu")) is OTHERWISE
    assert tolerance(recorded, Conditions(None, "bfloat16", "cuda")) is REQUANTIZED


def test_the_same_answers_agree(evidence):
    found = compared(evidence)

    assert (found.texts_same, found.cosine.value, found.loss) == (20, 0, 0)
    assert (found.ar_agrees, found.texts_agree, found.texts_as_good) == (True, True, True)


def test_the_ar_decides_by_every_text_that_it_reads(evidence):
    assert not compared(evidence, shift=0.2).ar_agrees
    assert not compared(evidence, shift=0.2, used=Conditions(None, "bfloat16", "cpu")).ar_agrees


def test_a_reconstruction_of_the_same_cosine_in_another_direction_is_found(evidence):
    """What is published may not be turned around the activation."""
    rows = choose_rows(evidence, 20, 1)
    found = answers(evidence, rows)
    gold, real = evidence.vectors["gold"][rows], found.read["real"]
    along = (real * gold).sum(1, keepdims=True) / (gold * gold).sum(1, keepdims=True) * gold
    mirrored = {**found.read, "real": 2 * along - real}
    again = NewOutputs(found.extracted, found.explanations, found.reconstructed, mirrored)
    result = compare_answers(evidence, rows, 1, RECORDED, again)

    assert result.cosine.value < 1e-6
    assert result.apart.tensor == "real"
    assert not result.ar_agrees


def test_activations_that_the_base_does_not_give_are_found(evidence):
    found = compared(evidence, moved=1.0)

    assert (found.extracted, found.activations_agree) == (20, False)
    assert compared(evidence).activations_agree


def test_rows_without_a_text_are_not_extracted_again(evidence):
    found = compared(evidence, moved=np.nan)

    assert (found.extracted, found.activation) == (0, None)


@pytest.mark.parametrize(("other", "agree"), [(2, True), (3, False), (20, False)])
def test_a_tenth_of_the_texts_may_differ_in_float32(evidence, other, agree):
    found = compared(evidence, other=other)

    assert found.texts_same == 20 - other
    assert found.texts_agree is agree


def test_one_text_may_always_differ(evidence):
    assert compared(evidence, count=3, other=1).texts_agree
    assert not compared(evidence, count=3, other=2).texts_agree


def test_in_another_precision_texts_decide_by_what_is_read_in_them(evidence):
    used = Conditions(None, "bfloat16", "cpu")

    assert compared(evidence, other=20, used=used).texts_agree
    assert compared(evidence, other=20, used=used).texts_as_good
    worse = compared(evidence, other=20, worse=0.5, used=used)
    assert worse.loss > worse.loss_at_least > 0.01
    assert not worse.texts_as_good


def test_one_row_has_no_interval(evidence):
    found = compared(evidence, count=1, worse=0.5)

    assert found.loss_at_least is None
    assert found.texts_as_good
