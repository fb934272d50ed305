"""The label follows from numbers, and from all that matter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import write_evidence
from nla_release.calibration.label import CONDITIONS, RULE, clauses, grades, label, label_name
from nla_release.calibration.report import Contrasts, CurrentCalibration
from nla_release.cards.blocks import expected_page_blocks
from nla_release.diagnostics.text_retrieval import Skipped
from tests.builders import evidence_parts, make_evidence

NOT_SHOWN = (-0.01, 0.31)


@pytest.fixture
def leaking(tmp_path: Path) -> Callable[[float], CurrentCalibration]:
    """The calibration of an AR that answers with one vector, and `leak` times the right one."""

    def measure(leak: float) -> CurrentCalibration:
        rows, vectors, run = evidence_parts()
        gold = vectors["gold"]
        constant = np.random.default_rng(0).normal(size=gold.shape[1]).astype(np.float32)
        vectors["real"] = constant + leak * gold
        return calibrate(write_evidence(tmp_path / "evidence", rows, vectors, run))

    return measure


@pytest.fixture
def good(tmp_path: Path) -> CurrentCalibration:
    return calibrate(make_evidence(tmp_path / "evidence", rows=60, documents=20))


def contrasted(
    calibration: CurrentCalibration, **changes: dict[str, Any] | None
) -> CurrentCalibration:
    """With other contrasts: the changes of each by its name, or None where there is none."""
    pairs: Contrasts = calibration.contrasts
    update = {
        name: change and getattr(pairs, name).model_copy(update=change)
        for name, change in changes.items()
    }
    return calibration.model_copy(update={"contrasts": pairs.model_copy(update=update)})


def retrieved(calibration: CurrentCalibration, **changes: Any) -> CurrentCalibration:
    """With other intervals of `in_document` or `percentile`."""
    found = calibration.retrieval
    update = {
        name: getattr(found, name).model_copy(update={"interval": interval})
        for name, interval in changes.items()
    }
    return calibration.model_copy(update={"retrieval": found.model_copy(update=update)})


def test_a_difference_that_brings_nothing_nearer_is_format_only(
    leaking: Callable[[float], CurrentCalibration],
) -> None:
    """An AR that ignores its text answers so much alike that any accident is significant."""
    result = leaking(1e-4)

    assert 0 < result.contrasts.above_others.interval[0] < 0.01
    assert result.retrieval.percentile.interval[0] <= 0
    assert result.label.name == "format-only"
    assert "not shown to be nearer to their own activation than to others" in result.label.sentence


def test_the_same_leak_made_large_is_row_level(
    leaking: Callable[[float], CurrentCalibration],
) -> None:
    assert leaking(1.0).label.name == "row-level"


@pytest.mark.parametrize("interval", [NOT_SHOWN, (0.0, 0.31), (-0.3, 0.0), (-0.3, -0.1), None])
def test_what_is_not_shown_to_differ_is_format_only_and_not_called_equal(
    good: CurrentCalibration, interval: tuple[float, float] | None
) -> None:
    found = label(contrasted(good, above_others={"interval": interval}))

    assert found.name == "format-only"
    assert "is not shown to reconstruct its activation better" in found.sentence
    assert "as well as" not in found.sentence


@pytest.mark.parametrize(
    ("changes", "name", "reason"),
    [
        ({}, "row-level", "Explanations tell rows of one document apart."),
        ({"within": {"interval": NOT_SHOWN}}, "document-level", "The own text scores"),
        ({"above_token": {"interval": NOT_SHOWN}}, "document-level", "not shown to say more than"),
        ({"above_token": None}, "document-level", "more than the token is not measured"),
        ({"between": {"interval": NOT_SHOWN}}, "token-level", "not shown to tell documents apart"),
        ({"within": None, "between": None}, "token-level", "With one row per document"),
    ],
    ids=["all", "no within", "no token", "token unknown", "no between", "one row each"],
)
def test_each_comparison_that_is_missing_lowers_the_label_and_is_named(
    good: CurrentCalibration, changes: dict[str, Any], name: str, reason: str
) -> None:
    found = label(contrasted(good, **changes))

    assert found.name == name
    assert reason in found.sentence


def test_a_row_must_be_found_among_those_of_its_document(good: CurrentCalibration) -> None:
    found = label(retrieved(good, in_document=NOT_SHOWN))

    assert found.name == "document-level"
    assert "not shown to find their own activation among those of the document" in found.sentence


def test_a_label_is_two_short_sentences_and_its_numbers(good: CurrentCalibration) -> None:
    within = good.contrasts.within
    assert within is not None
    low, high = within.interval or (0, 0)
    assert good.label.sentence == (
        "Row-level. Explanations tell rows of one document apart. Of centred cosines, the own text"
        f" scores {within.first:.3f}, texts of the same document {within.second:.3f} (difference"
        f" +{within.difference:.3f}, 95% CI +{low:.3f} to +{high:.3f}; 60 rows, 20 documents)."
    )


def test_a_small_difference_is_called_small_however_certain(good: CurrentCalibration) -> None:
    small = contrasted(good, within={"difference": 0.01, "interval": (0.009, 0.011)})

    assert label(small).name == "row-level"
    assert "difference +0.010, small, 95% CI" in label(small).sentence
    assert "small" not in good.label.sentence


# --- Clauses -----------------------------------------------------------------------------------


def test_a_pair_that_does_not_beat_the_mean_says_so_first(good: CurrentCalibration) -> None:
    """Whatever else it does: no reader takes a label for a good reconstruction."""
    fve = good.fve.model_copy(update={"above_mean_interval": (-0.0013, 0.011)})
    below = good.model_copy(update={"fve": fve})

    assert label(below).sentence.startswith("Does not beat the mean. Reconstructions are not shown")
    assert [each.head for each in clauses(below)] == ["Does not beat the mean.", "Row-level."]
    assert "95% CI -0.0013 to +0.011" in label(below).sentence
    assert (grades(below).reads_text, grades(good).reads_text) == ("partly", "yes")


def test_a_format_only_pair_is_not_told_twice_that_it_reads_nothing(
    good: CurrentCalibration,
) -> None:
    nothing = contrasted(good, above_others={"interval": NOT_SHOWN})
    fve = good.fve.model_copy(update={"above_mean_interval": (-1.0, 0.0)})

    assert [each.head for each in clauses(nothing.model_copy(update={"fve": fve}))] == [
        "Format-only."
    ]
    assert grades(nothing).reads_text == grades(nothing).tells_rows_apart == "no"


def test_failures_are_named_with_their_rate_and_do_not_change_the_label(tmp_path: Path) -> None:
    failed = calibrate(make_evidence(tmp_path, rows=60, documents=20, failed={7: "truncated"}))

    assert [each.head for each in clauses(failed)] == ["Row-level.", "Some explanations fail."]
    assert "1 of 60 (1.7%, 95% CI " in failed.label.sentence


def test_words_that_do_not_lead_to_the_source_are_read_by_the_own_ar_only(tmp_path: Path) -> None:
    """A code that AV and AR share passes every other comparison."""
    rows, vectors, run = evidence_parts(rows=60, documents=20)
    coded = [
        row.model_copy(
            update={"explanation": f"xq{at}", "raw": f"<explanation>xq{at}</explanation>"}
        )
        for at, row in enumerate(rows)
    ]
    found = calibrate(write_evidence(tmp_path / "evidence", coded, vectors, run))

    assert [each.head for each in clauses(found)] == ["Row-level.", "Read by its own AR only."]
    assert found.label.grades.readable == "no"


def test_words_about_a_token_are_not_blamed_for_not_finding_the_document(
    good: CurrentCalibration,
) -> None:
    """Whether a reader can use them, retrieval of the document does not measure."""
    found = good.probes.text_retrieval
    lost = found.lexical.model_copy(update={"hits": 3, "interval": (0.01, 0.14)})
    words = {
        "text_retrieval": found.model_copy(update={"lexical": lost, "encoder": Skipped(skipped="")})
    }
    coded = good.model_copy(update={"probes": good.probes.model_copy(update=words)})
    of_tokens = contrasted(coded, between={"interval": NOT_SHOWN})

    assert label(coded).grades.readable == "no"
    assert label(of_tokens).name == "token-level"
    assert label(of_tokens).grades.readable == "not measured"
    assert label(contrasted(good, between={"interval": NOT_SHOWN})).grades.readable == "yes"


def test_without_source_texts_nothing_is_said_of_words_or_tokens(tmp_path: Path) -> None:
    rows, vectors, run = evidence_parts(rows=60, documents=20)
    bare = [row.model_copy(update={"text": None}) for row in rows]
    found = calibrate(write_evidence(tmp_path / "evidence", bare, vectors, run))

    assert found.contrasts.above_token is None
    assert found.label.name == "document-level"
    assert "more than the token is not measured" in found.label.sentence
    assert "Read by its own AR only" not in found.label.sentence
    assert found.label.grades.readable == "not measured"


@pytest.mark.parametrize(
    ("options", "grade"),
    [
        ({}, "yes"),
        ({"reads": "document"}, "partly"),
        ({"reads": "token"}, "partly"),
        ({"collapsed": True}, "no"),
        ({"rows": 12, "documents": 3}, "not measured"),
    ],
)
def test_the_grade_of_telling_rows_apart_is_the_labels(
    tmp_path: Path, options: dict[str, Any], grade: str
) -> None:
    found = calibrate(make_evidence(tmp_path, **{"rows": 60, "documents": 20} | options))

    assert found.label.grades.tells_rows_apart == grade


def test_the_rule_is_the_same_wherever_it_stands(good: CurrentCalibration) -> None:
    """In calibration.json, on every release's page, where it is checked, and in the docs."""
    docs = (Path(__file__).parents[2] / "docs" / "calibration.md").read_text(encoding="utf-8")

    assert good.label.rule == RULE
    for name, condition in CONDITIONS.items():
        assert f"{name}, {condition}" in RULE
        for text in (expected_page_blocks(good)["rule"], docs):
            assert f"| {name} | {condition} |" in text


# --- Hostile calibrations ------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["within", "between", "above_token"])
@pytest.mark.parametrize("missing", [None, {"interval": None}, {"n": 0}])
def test_no_contrast_that_is_missing_crashes_the_label(
    good: CurrentCalibration, part: str, missing: dict[str, Any] | None
) -> None:
    """A calibration.json that somebody wrote by hand holds what no evidence gives."""
    changed = contrasted(good, **{part: missing})

    assert label(changed).sentence
    assert label_name(changed) == label(changed).name


def test_a_calibration_that_contradicts_itself_gets_a_label_and_no_crash(
    good: CurrentCalibration,
) -> None:
    nothing = good.model_copy(
        update={
            "contrasts": good.contrasts.model_copy(update={"within": None, "above_token": None}),
            "retrieval": good.retrieval.model_copy(update={"in_document": None}),
            "fve": good.fve.model_copy(update={"value": None, "of_mean": None}),
            "failures": good.failures.model_copy(update={"hits": 60, "share": 1.0}),
        }
    )

    assert label(nothing).sentence
    for update in ({"rows": 1}, {"documents": 1}, {"ok": 0}):
        asked = good.denominators.model_copy(update=update)
        changed = nothing.model_copy(update={"denominators": asked})
        assert label(changed).name == "inconclusive"
