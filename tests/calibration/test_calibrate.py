import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.calibration.reading import Level
from nla_release.calibration.report import CONTROL_NAMES, Calibration
from nla_release.errors import EvidenceError, NothingCheckedError
from nla_release.io.files import dump_json
from nla_release.statistics.formulas import cosine_rows
from tests.builders import evidence_parts, make_evidence, verbalization
from tests.calibration.real_pair import real_parts

EVERY_PROBE = (
    "text-controls",
    "injection",
    "text-retrieval",
    "claims",
    "paraphrase",
    "discrimination",
)

# The training rows of synthetic evidence are not known, so nothing can be looked up in them.
EVERY_CONTROL = {*CONTROL_NAMES} - {"lookup_table"}


def calibration_of(folder, rows, vectors, run):
    return calibrate(write_evidence(folder / "evidence", rows, vectors, run))


@pytest.fixture
def measured(tmp_path):
    """The calibration of synthetic evidence with the given properties."""

    def measure(**options):
        return calibrate(make_evidence(tmp_path / "evidence", **options))

    return measure


def with_variance(parts, variance):
    """The parts on another reference set: its mean has the norm that belongs to the variance."""
    mean = parts.vectors["reference_mean"]
    mean = (mean / np.linalg.norm(mean) * np.sqrt(1 - variance)).astype(np.float32)
    reference = parts.run.reference.model_copy(update={"variance": variance})
    return (
        parts.rows,
        {**parts.vectors, "reference_mean": mean},
        parts.run.model_copy(update={"reference": reference}),
    )


def test_perfect_reconstruction_scores_everything(measured):
    result = measured(noise=0)
    assert result.cosine.mean == 1
    assert result.cosine.interval == (1, 1)
    assert result.mse.mean == 0
    assert result.fve.value == result.fve_mean_norm.value == 1
    assert (result.retrieval.hits, result.retrieval.n) == (40, 40)
    assert result.label.name == "row-level"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(noise=st.floats(0, 5), seed=st.integers(0, 100), failures=st.integers(0, 39))
def test_mse_and_fve_are_the_cosine_in_other_units(measured, noise, seed, failures):
    failed = dict.fromkeys(range(failures), "truncated")
    result = measured(noise=noise, seed=seed, failed=failed)
    low, high = result.cosine.interval
    assert low <= result.cosine.mean <= high
    assert result.mse.mean == pytest.approx(2 * (1 - result.cosine.mean), abs=3e-6)
    assert result.mse.interval == pytest.approx((2 * (1 - high), 2 * (1 - low)), abs=3e-6)
    for fve in (result.fve, result.fve_mean_norm):
        expected = [1 - 2 * (1 - cosine) / fve.denominator for cosine in (low, high)]
        assert fve.interval == pytest.approx(expected, abs=1e-4)


def test_predicting_the_mean_explains_nothing(tmp_path):
    """The AR's output is normalised: exactly 0 by the mean-norm definition, below 0 by the other.

    The raw-variance definition is 0 for the mean at its own length, which no AR can produce.
    """
    rows, vectors, run = evidence_parts()
    mean = vectors["reference_mean"].astype(np.float64)
    vectors["real"] = np.tile(mean, (len(rows), 1)).astype(np.float32)
    result = calibration_of(tmp_path, rows, vectors, run)
    assert result.fve_mean_norm.value == pytest.approx(0, abs=2e-6)
    norm = np.linalg.norm(mean)
    assert result.fve.value == pytest.approx(-(1 - norm) / (1 + norm), abs=1e-5)
    units = vectors["gold"] / np.linalg.norm(vectors["gold"], axis=1, keepdims=True)
    raw_mse = np.mean(np.sum((units - mean) ** 2, axis=1))
    assert 1 - raw_mse / result.fve.denominator == pytest.approx(0, abs=1e-5)


def test_predict_mean_scores_the_norm_of_the_mean(measured):
    """The baseline that every cosine is shown beside: sqrt(1 - variance)."""
    result = measured()
    assert result.controls["predict_mean"].mean == pytest.approx(
        np.sqrt(1 - result.reference.variance), abs=1e-5
    )


@pytest.mark.parametrize(
    ("variance", "denominator"), [(0.7335, 0.9675), (0.0302, 0.0304), (0.0579, 0.0588)]
)
def test_both_denominators_are_those_of_the_published_pairs(tmp_path, variance, denominator):
    """2 (1 - sqrt(1 - Var)): Qwen, Gemma 12B and Gemma 27B."""
    result = calibration_of(tmp_path, *with_variance(evidence_parts(), variance))
    assert result.fve.denominator == variance
    assert result.fve_mean_norm.denominator == pytest.approx(denominator, abs=5.1e-5)
    assert result.fve_mean_norm.denominator == pytest.approx(
        2 * (1 - np.sqrt(1 - variance)), abs=1e-6
    )


def test_failures_stay_in_every_denominator(measured):
    """A pair that fails on a quarter of its rows scores a quarter less, not the same."""
    failed = {0: "empty", 1: "truncated", 2: "unparsed"} | dict.fromkeys(range(3, 10), "empty")
    result = measured(noise=0, failed=failed)
    assert result.denominators.model_dump() == {
        "rows": 40,
        "documents": 10,
        "ok": 30,
        "empty": 8,
        "truncated": 1,
        "unparsed": 1,
    }
    assert (result.cosine.mean, result.cosine.n) == (0.75, 40)
    assert result.mse.mean == 0.5
    assert (result.retrieval.hits, result.retrieval.n, result.retrieval.top1) == (30, 40, 0.75)
    assert (result.cosine_survivors.mean, result.cosine_survivors.n) == (1, 30)
    assert result.controls["shuffled"].failed == 10
    assert result.diversity.n == result.injection.n == 30


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=10)
@given(seed=st.integers(0, 100), reads=st.sampled_from(["row", "document", "token"]))
def test_a_row_that_fails_is_a_tie_in_every_contrast(tmp_path, seed, reads):
    """10% of explanations that fail are no advantage of one text over another, and no label."""
    options = {"rows": 120, "documents": 30, "seed": seed, "reads": reads}
    failed = dict.fromkeys(range(seed % 10, 120, 10), "truncated")
    whole, failing = (
        calibrate(make_evidence(tmp_path / name, **options, failed=gone))
        for name, gone in (("whole", {}), ("failing", failed))
    )
    assert failing.label.name == whole.label.name == f"{reads}-level"
    assert (failing.failures.hits, failing.failures.n) == (12, 120)
    assert whole.failures.hits == 0
    assert "12 of 120 (10.0%, 95% CI" in failing.label.sentence
    for name in ("within", "between", "above_others", "above_token"):
        before, after = getattr(whole.contrasts, name), getattr(failing.contrasts, name)
        assert after.n == before.n == 120
        if abs(before.difference) > 0.1:
            assert after.difference == pytest.approx(0.9 * before.difference, rel=0.2)


def test_where_every_row_of_a_document_fails_nothing_is_won_or_lost(tmp_path):
    failed = dict.fromkeys(range(0, 60, 20), "empty")
    without = [at for at in range(60) if at % 20]
    found = calibrate(make_evidence(tmp_path, rows=60, documents=20, failed=failed))
    assert found.contrasts.within.n == 60
    assert found.contrasts.within.first * 60 / len(without) == pytest.approx(
        calibrate(make_evidence(tmp_path, rows=60, documents=20)).contrasts.within.first, abs=0.02
    )


def test_a_failed_control_scores_what_the_empty_text_does(tmp_path):
    """A zero would flatter: the worse the AV speaks of noise, the better the pair would look."""
    rows, vectors, run = evidence_parts(noise=0)
    rows[3] = rows[3].model_copy(update={"random_vector": verbalization("", "empty")})
    vectors["random_vector"][3] = 0
    result = calibration_of(tmp_path, rows, vectors, run)
    vectors["random_vector"][3] = vectors["empty"][3]
    rows[3] = rows[3].model_copy(update={"random_vector": verbalization("said of noise")})
    told = calibration_of(tmp_path, rows, vectors, run).controls["random_vector"]
    assert result.controls["random_vector"].failed == 1
    assert result.controls["random_vector"] == told.model_copy(update={"failed": 1})


def test_other_rows_that_failed_score_what_the_empty_text_does(tmp_path):
    rows, vectors, run = evidence_parts(failed=dict.fromkeys(range(0, 40, 4), "empty"))
    result = calibration_of(tmp_path, rows, vectors, run)
    gone = [row.shuffled_status != "ok" for row in rows]
    gold, other = vectors["gold"], np.where(np.c_[gone], vectors["empty"], vectors["shuffled"])
    assert result.controls["shuffled"].failed == sum(gone) == 10
    assert result.controls["shuffled"].mean == pytest.approx(
        cosine_rows(gold, other).mean(), abs=1e-6
    )
    assert result.probes.structural.shares["shuffled"].share == pytest.approx(
        result.controls["shuffled"].mean / result.cosine.mean, abs=1e-5
    )


def test_a_control_that_mostly_failed_decides_nothing_and_says_so(tmp_path):
    rows, vectors, run = evidence_parts(noise=0)
    run = run.model_copy(update={"zero_vector": verbalization("", "unparsed")})
    vectors["zero_vector"][:] = 0
    zero = calibration_of(tmp_path, rows, vectors, run).controls["zero_vector"]
    assert (zero.failed, zero.interval) == (40, None)
    assert zero.inconclusive == "40 of its 40 texts failed"


def test_the_empty_text_does_not_lend_content_to_a_pair_without_any(tmp_path):
    """Every other row failed, and the pair says the same of everything: no content from that."""
    rows, vectors, run = evidence_parts(collapsed=True, failed={0: "empty", 1: "empty"})
    for index, row in enumerate(rows):
        source = 1 if row.document == "d0" else 0
        rows[index] = row.model_copy(
            update={"shuffled_from": f"r{source}", "shuffled_status": "empty"}
        )
    vectors["shuffled"][:] = 0
    result = calibration_of(tmp_path, rows, vectors, run)
    assert result.controls["shuffled"].inconclusive == "40 of its 40 texts failed"
    assert result.label.name == "format-only"


def test_the_document_alone_stands_beside_every_retrieval(measured):
    """Top-1, mean reciprocal rank and percentile say little that knowing the document does not."""
    result = measured(rows=120, documents=30, reads="document")
    assert result.retrieval.document_alone == 0.25
    for ranking in (result.probes.retrieval.all, result.probes.retrieval.drawn):
        assert ranking.document_alone == 0.25
        assert ranking.mrr.document_alone > ranking.mrr.chance
        assert ranking.percentile.document_alone > 0.9
    assert result.retrieval.above_document_interval[0] <= 0


def test_a_draw_takes_whole_documents(measured):
    """Of 120 rows, 50 that are drawn one by one are mostly the only ones of their document."""
    drawn = measured(rows=120, documents=30).probes.retrieval.drawn
    assert drawn.candidates == 48
    assert drawn.document_alone == 0.25


def test_what_the_mean_explains_of_these_rows_is_measured(tmp_path):
    """It is 0 on the reference set alone: a shortened mean flatters FVE, and shows here."""
    rows, vectors, run = evidence_parts(rows=60, documents=20)
    honest = calibration_of(tmp_path, rows, vectors, run)
    assert honest.fve.of_mean == pytest.approx(0, abs=1e-5)
    assert honest.fve.above_mean == pytest.approx(honest.fve.value - honest.fve.of_mean, abs=1e-5)
    short = calibration_of(tmp_path, *with_variance(evidence_parts(rows=60, documents=20), 0.999))
    assert short.fve.value > honest.fve.value
    assert short.fve.of_mean > 0.03


def test_a_reference_turned_away_from_the_rows_makes_no_mean_easy_to_beat(tmp_path):
    """Within what NLA625 lets pass: the turned mean explains less, and the pair no more."""

    def measured(turn):
        rows, vectors, run = real_parts()
        mean = vectors["reference_mean"].astype(np.float64)
        aside = np.zeros_like(mean)
        aside[int(np.argmin(abs(mean)))] = 1
        mean = turn * mean + np.sqrt(1 - turn**2) * np.linalg.norm(mean) * aside
        vectors["reference_mean"] = mean.astype(np.float32)
        norm = float(np.sum(vectors["reference_mean"].astype(np.float64) ** 2))
        reference = run.reference.model_copy(update={"variance": 1 - norm})
        return calibration_of(
            tmp_path, rows, vectors, run.model_copy(update={"reference": reference})
        )

    for result in (measured(1), measured(0.9)):
        assert result.fve.value < -0.5
        assert result.fve.above_mean_interval[0] < -0.1
        assert result.label.grades.reads_text == "partly"
        assert result.label.sentence.startswith("Does not beat the mean.")
    assert result.fve.of_mean < -0.7


def test_every_control_is_paired_with_the_real_rows(measured):
    result = measured()
    assert set(result.controls) == EVERY_CONTROL
    assert all(
        "inconclusive" not in control.model_fields_set for control in result.controls.values()
    )
    for control in result.controls.values():
        assert control.difference == pytest.approx(result.cosine.mean - control.mean, abs=2e-6)
        assert control.interval[0] <= control.difference <= control.interval[1]
        assert control.n == 40


def test_a_collapsed_pair_is_format_only_and_at_chance(measured):
    """The same words for everything, and a cosine that looks fine."""
    result = measured(collapsed=True)
    assert result.cosine.mean > 0.65
    assert result.contrasts.above_others.difference == 0
    assert result.retrieval.hits == 1
    assert result.retrieval.interval[0] <= result.retrieval.chance
    assert result.diversity.distinct_explanations == 1
    assert result.injection.random_vector_same_text == 40
    assert result.injection.zero_vector_same_text == 40
    assert result.label.name == "format-only"
    assert result.label.sentence.startswith(
        "Format-only. The own explanation is not shown to reconstruct its activation better than"
        " explanations of other documents."
    )


def test_a_pair_that_does_better_with_other_rows_text_is_format_only(tmp_path):
    rows, vectors, run = evidence_parts()
    vectors["real"] = np.roll(vectors["gold"], 1, axis=0)
    result = calibration_of(tmp_path, rows, vectors, run)
    assert result.contrasts.above_others.difference < 0
    assert result.label.name == "format-only"


def test_a_pair_that_only_knows_the_document_is_document_level(measured):
    result = measured(reads="document")
    within = result.contrasts.within
    assert within.interval[0] <= 0
    assert result.label.name == "document-level"
    assert "not shown to tell rows of one document apart" in result.label.sentence
    assert f"score {within.second:.3f} (difference {within.difference:.4f}" in result.label.sentence


def test_a_pair_that_only_knows_a_topic_of_many_documents_is_not_row_level(tmp_path):
    """Two topics over ten documents, each in rows of every document."""
    rows, vectors, run = evidence_parts()
    random = np.random.default_rng(0)
    topics = 3 * random.normal(size=(2, 16))
    topic = np.arange(40) // 10 % 2
    vectors["gold"] = (topics[topic] + random.normal(size=(40, 16))).astype(np.float32)
    vectors["real"] = topics[topic].astype(np.float32)
    result = calibration_of(tmp_path, rows, vectors, run)
    assert result.label.name == "token-level"
    assert "not shown to tell documents apart" in result.label.sentence


def test_a_pair_that_knows_no_more_than_the_token_is_token_level(measured):
    result = measured(reads="token")
    assert result.contrasts.within.interval[0] > 0
    assert result.contrasts.between.interval[0] <= 0
    assert result.label.name == "token-level"
    assert "not shown to tell documents apart" in result.label.sentence


def test_a_pair_that_says_its_token_tells_rows_apart_and_is_not_row_level(tmp_path):
    """What it says of a row, it says of every row at that token."""
    rows, vectors, run = with_variance(evidence_parts(rows=80, documents=20), 0.9999)
    random = np.random.default_rng(0)
    token = random.normal(size=(4, 16))[np.arange(80) // 20]
    document = random.normal(size=(20, 16))[np.arange(80) % 20]
    own = 0.2 * random.normal(size=(80, 16))
    vectors["gold"] = (token + 0.5 * document + own).astype(np.float32)
    vectors["real"] = token.astype(np.float32)
    found = calibration_of(tmp_path, rows, vectors, run)
    assert found.contrasts.within.interval[0] > 0.5
    assert found.label.name != "row-level"


@pytest.mark.parametrize("options", [{"rows": 19, "documents": 10}, {"rows": 40, "documents": 4}])
def test_few_rows_or_documents_are_inconclusive_however_good(measured, options):
    result = measured(noise=0, **options)
    assert result.label.name == "inconclusive"
    assert "are too few: a label takes 20 from 10" in result.label.sentence


def test_the_least_that_can_be_told_from(measured):
    assert measured(noise=0, rows=20, documents=10).label.name == "row-level"


@pytest.mark.parametrize("options", [{"rows": 1, "documents": 1}, {"rows": 30, "documents": 1}])
def test_a_single_row_or_document_gives_no_number(measured, options):
    with pytest.raises(NothingCheckedError, match="needs two or more of each"):
        measured(**options)


def test_below_five_documents_there_is_no_interval(measured):
    """What it would cover was not measured; two documents would give next to nothing."""
    result = measured(rows=40, documents=4)
    assert result.cosine.interval is result.mse.interval is result.fve.interval is None
    assert result.controls["shuffled"].interval is None
    assert result.retrieval.above_chance_interval is None
    assert result.label.name == "inconclusive"
    assert measured(rows=40, documents=5).cosine.interval is not None


def test_rows_that_are_retrieved_together_are_no_independent_hits(tmp_path):
    """7 of 20 documents hit with all of their rows: as rows, 35 of 100 is surely above 1 in 5."""
    rows, vectors, run = evidence_parts(rows=100, documents=20, width=64)
    vectors["real"] = np.roll(vectors["gold"], 1, axis=0)
    chosen = [int(row.document[1:]) < 7 for row in rows]
    vectors["real"][chosen] = vectors["gold"][chosen]
    result = calibration_of(tmp_path, rows, vectors, run)
    published = calibrate(read_evidence(tmp_path / "evidence"), 2)
    assert (result.retrieval.hits, result.retrieval.n) == (35, 100)
    assert published.retrieval.interval[0] > 20 / 100
    assert result.retrieval.interval[0] < 20 / 100
    assert result.retrieval.above_document_interval[0] < 0


def test_what_a_text_retrieves_that_tells_its_document_depends_on_how_many_rows_that_has(tmp_path):
    rows, vectors, run = evidence_parts(rows=40, documents=10, noise=0)
    for index in (0, 10, 20):
        rows[index] = rows[index].model_copy(update={"document": "d1", "shuffled_from": "r5"})
    result = calibration_of(tmp_path, rows, vectors, run)
    sizes = [1] + [7] * 7 + [4] * 32
    expected = np.mean([1 - 1 / size for size in sizes])
    low, high = result.retrieval.above_document_interval
    assert low < expected < high
    assert result.retrieval.above_chance_interval == (0.975, 0.975)


def test_with_one_row_per_document_no_rows_of_a_document_can_be_told_apart(measured):
    result = measured(rows=60, documents=60, noise=0)
    assert result.retrieval.hits == 60
    assert result.contrasts.within is result.contrasts.between is result.retrieval.in_document
    assert result.contrasts.within is None
    assert result.label.name == "token-level"
    assert "With one row per document" in result.label.sentence


def test_no_row_has_an_explanation(measured):
    result = measured(failed=dict.fromkeys(range(40), "truncated"))
    assert result.label.sentence == (
        "Inconclusive. None of 40 activations from 10 documents has an explanation."
    )


def test_labels_are_compared_where_there_is_an_explanation(tmp_path):
    """Failures would hide that the labels' own text does worse than the pair's."""
    rows, vectors, run = evidence_parts(noise=0.3, failed=dict.fromkeys(range(0, 40, 3), "empty"))
    vectors["gold_text"] = vectors["empty"]
    result = calibration_of(tmp_path, rows, vectors, run)
    there = result.cosine_survivors.gold_text
    assert there.n == result.cosine_survivors.n == 26
    assert there.difference > result.controls["gold_text"].difference
    assert there.difference == pytest.approx(result.cosine_survivors.mean - there.mean, abs=2e-6)


def test_the_reference_mean_stands_beside_what_the_other_documents_give(measured):
    result = measured(rows=400, documents=40)
    assert result.reference.other_documents == pytest.approx(
        result.controls["predict_mean"].mean, abs=0.02
    )


def test_all_rows_failed(measured):
    result = measured(failed=dict.fromkeys(range(40), "truncated"))
    assert (result.cosine.mean, result.mse.mean) == (0, 2)
    assert result.cosine_survivors.mean is None
    assert result.retrieval.hits == 0
    assert result.diversity.n == result.diversity.distinct_explanations == 0
    assert result.label.name == "inconclusive"


def test_an_activation_of_zero_norm_scores_zero(tmp_path):
    rows, vectors, run = evidence_parts(noise=0)
    vectors["gold"][7] = 0
    result = calibration_of(tmp_path, rows, vectors, run)
    assert result.cosine.mean == pytest.approx(39 / 40)
    assert result.retrieval.hits == 39


def test_fve_is_null_when_the_reference_set_does_not_vary(tmp_path):
    result = calibration_of(tmp_path, *with_variance(evidence_parts(), 0.0))
    assert result.fve.value is result.fve.interval is None
    assert result.fve_mean_norm.value is result.fve_mean_norm.interval is None


def test_without_gold_explanations_their_control_is_absent(measured):
    result = measured(gold_text=False)
    assert "gold_text" not in result.controls
    assert "gold_text" not in json.loads(result.dump())["controls"]


def test_repeated_rows_of_a_document_do_not_narrow_the_interval(tmp_path):
    """Measuring each document's one activation ten times over is no evidence about others."""
    once = evidence_parts(rows=10, documents=10)
    result_once = calibration_of(tmp_path, *once)
    tenfold = [
        row.model_copy(update={"id": f"{row.id}-{copy}", "shuffled_from": f"{row.shuffled_from}-0"})
        for copy in range(10)
        for row in once.rows
    ]
    vectors = {k: v if v.ndim == 1 else np.tile(v, (10, 1)) for k, v in once.vectors.items()}
    asked = once.run.evaluation.model_copy(update={"rows": 100})
    result_tenfold = calibration_of(
        tmp_path, tenfold, vectors, once.run.model_copy(update={"evaluation": asked})
    )
    assert result_tenfold.cosine.interval == result_once.cosine.interval


@pytest.mark.parametrize("probes", [(), EVERY_PROBE])
def test_two_calibrations_are_the_same_bytes(tmp_path, probes):
    evidence = make_evidence(tmp_path / "evidence", failed={3: "empty"}, probes=probes)
    assert calibrate(evidence).dump() == calibrate(evidence).dump()


def test_the_order_of_rows_does_not_matter(tmp_path):
    rows, vectors, run = evidence_parts(failed={3: "empty"})
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = {k: v if v.ndim == 1 else v[order] for k, v in vectors.items()}
    one = calibration_of(tmp_path, rows, vectors, run)
    two = calibration_of(tmp_path, [rows[i] for i in order], shuffled, run)
    assert one.model_copy(update={"evidence": two.evidence}) == two


FVE_KEYS = {
    *("value", "interval", "n", "denominator", "definition"),
    *("of_mean", "above_mean", "above_mean_interval"),
}


def test_the_file_has_exactly_the_documented_keys(measured):
    document = json.loads(measured().dump())
    keys = {name: set(value) for name, value in document.items() if isinstance(value, dict)}
    assert keys.pop("controls") == EVERY_CONTROL
    assert "shingles" in keys.pop("contamination")
    assert keys == {
        "evidence": {"rows_sha256", "vectors_sha256", "run_sha256"},
        "bootstrap": {"draws", "seed", "cluster", "level"},
        "denominators": {"rows", "documents", "ok", "empty", "truncated", "unparsed"},
        "cosine": {"mean", "sd", "median", "interval", "n"},
        "cosine_survivors": {"mean", "n", "gold_text"},
        "mse": {"mean", "interval", "n"},
        "reference": {"sha256", "rows", "variance", "other_documents"},
        "fve": FVE_KEYS,
        "fve_mean_norm": FVE_KEYS,
        "retrieval": {
            "hits",
            "n",
            "candidates",
            "top1",
            "interval",
            "chance",
            "above_chance_interval",
            "above_document_interval",
            "document_alone",
            "in_document",
            "percentile",
        },
        "diversity": {"distinct_explanations", "distinct_prefixes_60", "n"},
        "injection": {"random_vector_same_text", "zero_vector_same_text", "n"},
        "documents": {"checked"},
        "failures": {"hits", "n", "share", "interval"},
        "energy": {"dimensions", "mean_direction", "dominated"},
        "centred": {"mean", "interval", "n", "controls"},
        "contrasts": {"within", "between", "above_others", "above_token"},
        "plain_contrasts": {"within", "between", "above_others", "above_token"},
        "label": {"name", "sentence", "rule", "grades"},
        "probes": {
            "ceiling",
            "injection",
            "retrieval",
            "structural",
            "templates",
            "text_retrieval",
        },
        "multiplicity": {"attempts", "metrics", "note", "runs", "rows", "documents"},
    }
    assert set(document) == {*keys, "controls", "contamination", "schema", "tool_version"}
    for control in document["controls"].values():
        assert set(control) == {"mean", "difference", "interval", "n", "failed"}


def test_what_is_dumped_reads_back(measured, tmp_path):
    result = measured()
    (tmp_path / "calibration.json").write_text(result.dump())
    again = Calibration.read(tmp_path / "calibration.json")
    assert again == result
    assert again.dump() == result.dump()


@pytest.mark.parametrize(
    ("key", "value"),
    [("schema", 4), ("cosine", {"mean": 1.5}), ("label", {"name": "great", "sentence": ""})],
)
def test_a_calibration_that_breaks_the_format_is_named(measured, tmp_path, key, value):
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({**json.loads(measured().dump()), key: value}))
    with pytest.raises(EvidenceError, match=rf"calibration\.json: {key}"):
        Calibration.read(path)


def test_every_field_is_described():
    """Cards and the JSON schema take their words from here."""
    schema = Calibration.model_json_schema()
    for name, definition in schema["$defs"].items():
        assert "description" in definition, name
        for field, entry in definition["properties"].items():
            assert "description" in entry, f"{name}.{field}"


def test_a_probe_that_did_not_run_is_absent_and_not_zero(tmp_path):
    without = json.loads(calibrate(make_evidence(tmp_path / "one")).dump())["probes"]
    with_all = calibrate(make_evidence(tmp_path / "two", rows=60, documents=30, probes=EVERY_PROBE))
    every = json.loads(with_all.dump())["probes"]

    assert {*every} - {*without} == {"text_controls", "claims", "paraphrase", "discrimination"}
    assert not [name for name, report in every.items() if "inconclusive" in report]


@pytest.mark.parametrize(
    "options", [{"rows": 2, "documents": 2}, {"documents": 9}, {"rows": 19, "documents": 10}]
)
def test_too_little_for_a_probe_gives_a_reason_and_never_a_number(measured, options):
    probes = json.loads(measured(**options, probes=EVERY_PROBE).dump())["probes"]

    assert len(probes) == 10
    assert {tuple(report) for report in probes.values()} == {("inconclusive",)}


def test_all_rows_failed_with_every_probe(measured):
    failed = dict.fromkeys(range(60), "empty")
    result = measured(rows=60, documents=30, failed=failed, probes=EVERY_PROBE)

    assert "NaN" not in result.dump()
    assert result.probes.claims.inconclusive
    assert result.probes.templates.inconclusive


def as_format_1(evidence):
    """The file as the tool of format 1 wrote it."""
    document = json.loads(calibrate(evidence, 2).dump())
    for key in ("probes", "contamination", "multiplicity"):
        del document[key]
    del document["label"]["rule"]
    del document["cosine_survivors"]["gold_text"]
    del document["reference"]["other_documents"]
    del document["retrieval"]["above_chance_interval"]
    del document["retrieval"]["above_document_interval"]
    return document | {"schema": 1}


def test_a_calibration_of_format_1_reads_and_is_written_as_it_was(tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text(dump_json(as_format_1(make_evidence(tmp_path / "evidence"))))
    old = Calibration.read(path)

    assert old.dump() == path.read_text()
    assert (old.multiplicity, old.probes.retrieval) == (None, None)
    assert not [name for name in old.leaves() if name.startswith("probes")]


@pytest.fixture
def probed(tmp_path):
    """Evidence with every diagnostic."""
    options = {"rows": 60, "documents": 30, "failed": {3: "empty"}, "probes": EVERY_PROBE}
    return make_evidence(tmp_path / "evidence", **options)


def test_what_format_2_published_is_recomputed_to_the_last_digit(probed):
    """`format_2.json` was written by the last version of the tool that wrote this format."""
    published = (Path(__file__).parent / "format_2.json").read_text(encoding="utf-8")
    assert calibrate(probed, 2).dump() == published


def test_a_calibration_of_format_2_reads_and_is_written_as_it_was(tmp_path):
    path = Path(__file__).parent / "format_2.json"
    old = Calibration.read(path)
    assert old.dump() == path.read_text(encoding="utf-8")
    assert (old.label.name, old.label.grades, old.contrasts) == ("content-reading", None, None)


def test_diagnostics_add_to_the_report_and_change_nothing_in_it(tmp_path):
    bare, probed = (
        json.loads(calibrate(make_evidence(tmp_path / name, probes=probes)).dump())
        for name, probes in (("one", ()), ("two", EVERY_PROBE))
    )
    for document in (bare, probed):
        for part in ("evidence", "probes", "multiplicity"):
            del document[part]

    assert bare == probed


def test_the_rule_of_the_label_is_printed(measured):
    rule = measured().label.rule

    for part in ("inconclusive, fewer than 20 rows or 10 documents", *get_args(Level)):
        assert part in rule


def test_how_much_was_tried_is_part_of_the_record(tmp_path):
    rows, vectors, run = evidence_parts()
    run = run.model_copy(update={"attempts": 14})
    result = calibration_of(tmp_path, rows, vectors, run)

    assert result.multiplicity.attempts == 14
    assert result.multiplicity.metrics > 20
