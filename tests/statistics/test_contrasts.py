"""A row's own text against the texts of other rows: what `statistics/contrasts.py` promises."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.statistics.clustered import t_quantile
from nla_release.statistics.contrasts import ArmContrasts, centred, contrasts


def found(scores, documents, *, texts=None, failed=None, tokens=None) -> ArmContrasts:
    n = len(documents)
    return contrasts(
        np.asarray(scores, dtype=float),
        np.eye(n),
        documents,
        texts or [f"text {at}" for at in range(n)],
        np.zeros(n, bool) if failed is None else np.asarray(failed),
        tokens,
    )


def by_hand(scores, documents, tokens=None, failed=None):
    """The four differences, row by row, as their definitions read."""
    scores, n = np.asarray(scores, dtype=float), len(documents)
    failed = [False] * n if failed is None else failed

    def arm(i, name):
        rows = {
            "own": [i],
            "same": [j for j in range(n) if j != i and documents[j] == documents[i]],
            "other": [j for j in range(n) if documents[j] != documents[i]],
            "token": [
                j for j in range(n) if documents[j] != documents[i] and tokens[j] == tokens[i]
            ]
            if tokens
            else [],
        }[name]
        return np.mean([scores[i, j] for j in rows]) if rows else None

    def difference(first, second):
        pairs = [(arm(i, first), arm(i, second), failed[i]) for i in range(n)]
        both = [0 if bad else a - b for a, b, bad in pairs if a is not None and b is not None]
        return np.mean(both) if both else math.nan

    return {
        "within": difference("own", "same"),
        "between": difference("same", "other"),
        "above_others": difference("own", "other"),
        "above_token": difference("own", "token"),
    }


DOCUMENTS = ["a", "a", "b", "b", "b", "c", "d", "d"]
TOKENS = ["x", "y", "x", "z", "y", "x", "q", "z"]


def test_each_contrast_is_what_its_definition_says() -> None:
    scores = np.random.default_rng(0).standard_normal((8, 8))
    failed = [False, True, False, False, False, False, True, False]
    result = found(scores, DOCUMENTS, tokens=TOKENS, failed=failed)
    for name, value in by_hand(scores, DOCUMENTS, TOKENS, failed).items():
        assert getattr(result, name).difference == pytest.approx(value), name


def test_a_failed_row_counts_and_decides_nothing() -> None:
    scores = np.random.default_rng(1).standard_normal((8, 8))
    whole, with_failure = (
        found(scores, DOCUMENTS, failed=np.arange(8) == row).above_others for row in (-1, 3)
    )
    assert with_failure.n == whole.n == 8
    own, other = scores[3, 3], np.mean([scores[3, j] for j in range(8) if DOCUMENTS[j] != "b"])
    assert with_failure.difference == pytest.approx(whole.difference - (own - other) / 8)


def test_the_interval_takes_out_whole_documents_with_their_rows_and_their_texts() -> None:
    """The jackknife, recomputed from the arrays without each document."""
    random = np.random.default_rng(2)
    documents = [str(at // 3) for at in range(24)]
    scores = random.standard_normal((24, 24)) + np.eye(24)
    result = found(scores, documents)
    for name in ("within", "between", "above_others"):
        without = []
        for gone in sorted(set(documents)):
            kept = [at for at, document in enumerate(documents) if document != gone]
            without.append(
                by_hand(scores[np.ix_(kept, kept)], [documents[at] for at in kept])[name]
            )
        deviations = np.array(without) - np.mean(without)
        margin = t_quantile(7, 0.95) * math.sqrt(7 / 8 * np.sum(deviations**2))
        contrast = getattr(result, name)
        assert contrast.interval == pytest.approx(
            (contrast.difference - margin, contrast.difference + margin)
        )


def test_texts_that_many_documents_share_are_few_observations() -> None:
    """Five codes for 60 documents are five independent answers, however many rows there are."""
    random = np.random.default_rng(3)
    documents = [str(at // 5) for at in range(300)]
    topic = np.array([int(document) % 5 for document in documents])
    scores = random.standard_normal((5, 5))[np.ix_(topic, topic)]
    shared = found(scores, documents, texts=[str(each) for each in topic]).above_others
    alone = found(scores, documents).above_others
    assert shared.interval[1] - shared.interval[0] > 2 * (alone.interval[1] - alone.interval[0])


def test_one_text_for_all_rows_makes_no_difference_and_has_no_interval() -> None:
    scores = np.tile(np.random.default_rng(4).standard_normal(20), (20, 1)).T
    result = found(scores, [str(at // 2) for at in range(20)], texts=["the same"] * 20)
    for contrast in (result.within, result.between, result.above_others):
        assert contrast.difference == pytest.approx(0)
        assert contrast.interval is None


def test_with_one_row_per_document_nothing_is_within() -> None:
    result = found(np.eye(12), [str(at) for at in range(12)])
    assert result.within.n == result.between.n == 0
    assert result.above_others.n == 12


def test_documents_of_one_row_add_no_certainty_within_documents() -> None:
    """Forty documents of one row each say nothing of rows that share a document."""
    random = np.random.default_rng(5)
    several = [str(at // 3) for at in range(18)]
    scores = random.standard_normal((58, 58)) + np.eye(58)
    padded = found(scores, [*several, *(f"alone {at}" for at in range(40))]).within
    alone = found(scores[:18, :18], several).within
    assert (padded.n, padded.difference) == (18, pytest.approx(alone.difference))
    low, high = padded.interval
    assert high - low > 0.98 * (alone.interval[1] - alone.interval[0])


def test_four_documents_of_several_rows_give_no_interval_within_them() -> None:
    documents = [*(str(at // 3) for at in range(12)), *(f"alone {at}" for at in range(40))]
    result = found(np.random.default_rng(6).standard_normal((52, 52)), documents)
    assert result.within.interval is None
    assert result.above_others.interval is not None


def test_without_tokens_there_is_no_token_control() -> None:
    assert found(np.eye(4), ["a", "a", "b", "b"]).above_token is None


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_takes_out_documents_and_the_texts_that_they_share(seed: int) -> None:
    """The jackknife two ways, recomputed from the arrays without each document, text, and both."""
    random = np.random.default_rng(seed)
    n, sizes = 27, range(2, 8)
    documents = [str(each) for each in random.permutation(np.repeat(sizes, sizes))]
    texts, tokens = ([str(each) for each in random.integers(0, most, n)] for most in (8, 3))
    scores = random.standard_normal((n, n)) + np.eye(n)
    variances, effective = [], []
    for names in (documents, texts, [*zip(documents, texts, strict=True)]):
        without = []
        for gone in sorted(set(names)):
            kept = [at for at in range(n) if names[at] != gone]
            left = ([each[at] for at in kept] for each in (documents, tokens))
            without.append(list(by_hand(scores[np.ix_(kept, kept)], *left).values()))
        variances.append((len(without) - 1) * np.var(without, axis=0))
        effective.append(n**2 / sum(count**2 for count in Counter(names).values()))
    variance = variances[0] + np.maximum(0, variances[1] - variances[2])
    margins = t_quantile(min(effective) - 1, 0.95) * np.sqrt(variance)
    result = found(scores, documents, texts=texts, tokens=tokens)
    expected = by_hand(scores, documents, tokens)
    for (name, value), margin in zip(expected.items(), margins, strict=True):
        interval = getattr(result, name).interval
        assert interval == pytest.approx((value - margin, value + margin)), name


@given(st.permutations(range(8)), st.integers(0, 5))
def test_the_order_of_rows_does_not_matter(order: list[int], seed: int) -> None:
    scores = np.random.default_rng(seed).standard_normal((8, 8))
    one = found(scores, DOCUMENTS, tokens=TOKENS)
    other = found(
        scores[np.ix_(order, order)],
        [DOCUMENTS[at] for at in order],
        tokens=[TOKENS[at] for at in order],
    )
    for name in ("within", "between", "above_others", "above_token"):
        assert getattr(one, name).difference == pytest.approx(getattr(other, name).difference)


def test_centred_scores_see_rows_where_one_direction_holds_most_of_the_energy() -> None:
    random = np.random.default_rng(6)
    common = np.zeros(16)
    common[0] = 10
    gold = common + random.standard_normal((30, 16))
    mean = (gold / np.linalg.norm(gold, axis=1, keepdims=True)).mean(axis=0)
    plain, without_mean = (centred(gold, taken) for taken in (np.zeros(16), mean))
    assert (plain @ plain.T).min() > 0.6  # whatever is read
    assert np.abs(without_mean @ without_mean.T - np.eye(30)).mean() < 0.4
    assert np.linalg.norm(without_mean, axis=1) == pytest.approx(1)
