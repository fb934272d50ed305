"""What a pair on a real language model reads: the level must come out as what is true of it."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.labels import NOTHING, SHAPES, TRUTHS, label_of
from nla_release.calibration.reading import (
    MeasuredRows,
    in_document,
    last_token,
    level_of,
    nearness,
    pair_contrasts,
)
from nla_release.statistics.contrasts import centred
from nla_release.statistics.places import own_places
from tests.calibration.real_pair import real_parts


@pytest.fixture(scope="module")
def real() -> MeasuredRows:
    rows, vectors, _ = real_parts()
    return MeasuredRows(
        gold=vectors["gold"],
        real=vectors["real"],
        empty=vectors["empty"][0],
        mean=vectors["reference_mean"],
        documents=[row.document for row in rows],
        texts=[row.explanation for row in rows],
        failed=np.array([row.status != "ok" for row in rows]),
        tokens=[last_token(row.text or "") for row in rows],
    )


def decided(answers: MeasuredRows) -> str:
    return level_of(answers)


def test_a_pair_that_reads_the_last_words_is_row_level(real: MeasuredRows) -> None:
    assert decided(real) == "row-level"


def test_centred_cosines_show_it_and_plain_ones_are_all_alike(real: MeasuredRows) -> None:
    centred = pair_contrasts(real)
    plain = pair_contrasts(replace(real, mean=np.zeros_like(real.mean)))
    assert (centred.within.first, centred.within.second) == pytest.approx((0.220, 0.109), abs=2e-3)
    assert centred.above_others.second == pytest.approx(0, abs=2e-3)
    assert min(plain.within.first, plain.within.second, plain.above_others.second) > 0.8


def test_explanations_that_are_cut_off_hide_no_reading(real: MeasuredRows) -> None:
    """Every twentieth row without an explanation: the others still tell rows apart."""
    cut = replace(real, failed=real.failed | (np.arange(len(real.failed)) % 20 == 0))
    assert decided(cut) == "row-level"
    whole, rest = pair_contrasts(real).above_others, pair_contrasts(cut).above_others
    assert rest.n == whole.n
    assert rest.difference < 0.97 * whole.difference


def test_explanations_that_fail_most_of_the_time_show_nothing(real: MeasuredRows) -> None:
    assert decided(replace(real, failed=np.arange(len(real.failed)) % 30 != 0)) == "format-only"


def test_four_documents_give_no_interval(real: MeasuredRows) -> None:
    few = np.isin(real.documents, sorted(set(real.documents))[:4])
    at = np.flatnonzero(few)
    cut = MeasuredRows(
        gold=real.gold[at],
        real=real.real[at],
        empty=real.empty,
        mean=real.mean,
        documents=[real.documents[row] for row in at],
        texts=[real.texts[row] for row in at],
        failed=real.failed[at],
        tokens=None,
    )
    assert nearness(cut, own_places(cut.real, cut.gold, cut.mean)).interval is None
    assert in_document(cut).interval is None
    assert pair_contrasts(cut).above_others.interval is None


def test_other_rows_explanations_are_format_only(real: MeasuredRows) -> None:
    order = np.roll(np.arange(len(real.documents)), 45)
    moved = replace(
        real,
        real=real.real[order],
        texts=[real.texts[at] for at in order],
        failed=real.failed[order],
    )
    assert decided(moved) == "format-only"


def test_what_its_document_says_is_not_row_level(real: MeasuredRows) -> None:
    """The first row's explanation for all rows of a document."""
    first = {document: at for at, document in reversed(list(enumerate(real.documents)))}
    source = [first[document] for document in real.documents]
    told = replace(
        real,
        real=real.real[source],
        texts=[real.texts[at] for at in source],
        failed=real.failed[source],
    )
    assert decided(told) == "document-level"


def documents_of_three(said: np.ndarray, documents: int = 10) -> MeasuredRows:
    """In each document one activation is what all three share, the others have a part of their own.

    Args:
        said: [3, 3] how much of the parts of each row each of the three texts says.
        documents: how many.
    """
    random = np.random.default_rng(0)
    shared = np.repeat(random.standard_normal((documents, 32)), 3, axis=0)
    parts = random.standard_normal((documents, 3, 32)) * [[0.1], [1.0], [1.0]]
    return MeasuredRows(
        gold=shared + parts.reshape(-1, 32),
        real=shared + (said @ parts).reshape(-1, 32),
        empty=random.standard_normal(32),
        mean=np.zeros(32),
        documents=[f"d{at}" for at in range(documents) for _ in range(3)],
        texts=[str(at) for at in range(3 * documents)],
        failed=np.zeros(3 * documents, np.bool_),
        tokens=None,
    )


def test_a_text_that_says_a_little_of_its_row_finds_it() -> None:
    """The activation that is nearest to every text of its document is not what all texts say."""
    little = documents_of_three(0.15 * np.eye(3))
    plainly = [
        own_places(little.real[at : at + 3], little.gold[at : at + 3]).found
        for at in range(0, 30, 3)
    ]
    assert np.mean(plainly) == pytest.approx(1 / 3)
    assert in_document(little).first == 1


def test_texts_that_say_the_document_alone_find_no_row_of_it() -> None:
    alike = in_document(documents_of_three(np.zeros((3, 3))))
    swapped = in_document(documents_of_three(0.15 * np.eye(3)[[1, 2, 0]]))
    assert (alike.first, swapped.first, alike.second) == (0, 0, pytest.approx(1 / 3))


def test_an_explanation_that_fails_counts_as_knowing_the_document() -> None:
    """Of two explained rows in each document, which are compared without the third."""
    little = documents_of_three(0.15 * np.eye(3))
    one, two = (in_document(replace(little, failed=np.arange(30) % 3 > at)) for at in (1, 0))
    assert (one.first, one.second, one.n) == (pytest.approx((20 + 10 / 2) / 30), 0.5, 30)
    assert (two.first, two.second, two.n) == (1, 1, 30)


@pytest.mark.parametrize("shape", [0, 5], ids=lambda at: SHAPES[at].name)
def test_a_pair_that_says_a_little_of_each_row_is_row_level_even_in_little_evidence(
    shape: int,
) -> None:
    """Of 20 rows, and where one document is half of 100 rows."""
    labels = [label_of(TRUTHS["row"], SHAPES[shape], seed) for seed in range(5)]
    assert labels == ["row-level"] * 5


@pytest.mark.parametrize(
    ("text", "token"),
    [("He said: stop", "stop"), ("to Paris,", ","), ("the end. ", "."), ("", ""), ("它在", "它在")],
)
def test_the_last_token_is_the_last_word_or_mark(text: str, token: str) -> None:
    assert last_token(text) == token


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_rows_that_fail_where_they_would_do_worst_lift_no_label(
    real: MeasuredRows, share: float
) -> None:
    """The texts change places within documents, or among all: nothing is told apart, or said."""
    names = np.array(real.documents)
    random = np.random.default_rng(0)
    of_documents = ("document-level", "token-level", "format-only")
    for groups, (true, *lower) in ((names, of_documents), (np.zeros(len(names)), NOTHING)):
        source = np.arange(len(names))
        for name in np.unique(groups):
            rows = np.flatnonzero(groups == name)
            source[rows] = random.permutation(rows)
        moved = replace(
            real,
            real=real.real[source],
            texts=[real.texts[at] for at in source],
            failed=real.failed[source],
        )
        assert decided(moved) == true
        gold, read = centred(real.gold, real.mean), centred(moved.real, real.mean)
        scores = gold @ read.T
        apart = [
            scores[at, at] - scores[at, (names == names[at]) & (np.arange(len(names)) != at)].mean()
            for at in range(len(names))
        ]
        worst = np.argsort(apart)[: int(share * len(names))]
        failing = moved.failed | np.isin(np.arange(len(names)), worst)
        assert decided(replace(moved, failed=failing)) in (true, *lower)
