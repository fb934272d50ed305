"""All rows reach the page with what each arm scored, and the page stays of a size to open."""

import json

import numpy as np
import pytest

from nla_release.calibration.evidence_folder import write_evidence
from nla_release.calibration.neighbours import neighbours
from nla_release.evidence.controls import centred_cosines, cosines
from nla_release.evidence.parts import Evidence
from nla_release.report import rows
from nla_release.report.rows import BEST, OWN, browsed
from nla_release.statistics.contrasts import centred
from nla_release.text.numbers import number
from tests.builders import evidence_parts

FAILED = {3: "empty", 11: "truncated"}


def evidence_of(folder, *, text=None, **options) -> Evidence:
    parts = evidence_parts(**options)
    if text is not None:
        parts.rows[:] = [row.model_copy(update={"text": text}) for row in parts.rows]
    return write_evidence(folder, parts.rows, parts.vectors, parts.run)


def row_by_row(evidence):
    """The same, one pair of rows after another."""
    failed = evidence.failed("real")
    answers = evidence.vectors["real"].copy()
    answers[failed] = evidence.vectors["empty"][failed]
    gold = centred(evidence.vectors["gold"], evidence.vectors["reference_mean"])
    read = centred(answers, evidence.vectors["reference_mean"])
    for at, document in enumerate(evidence.documents):
        same = [it for it, each in enumerate(evidence.documents) if each == document and it != at]
        other = [it for it, each in enumerate(evidence.documents) if each != document]
        scores = {it: float(gold[at] @ read[it]) for it in same}
        best = max(scores, key=scores.get) if scores else -1
        score = scores.get(best, np.nan)
        others = float(np.mean([gold[at] @ read[it] for it in other]))
        yield best, *((np.nan, np.nan) if failed[at] else (score, others))


@pytest.mark.parametrize("documents", [4, 40])
@pytest.mark.parametrize("at_once", [1, 2_000_000])
def test_the_best_other_row_and_the_mean_of_other_documents_are_those_of_all_pairs(
    tmp_path, monkeypatch, documents, at_once
):
    monkeypatch.setattr("nla_release.calibration.neighbours.AT_ONCE", at_once)
    evidence = evidence_of(tmp_path / "evidence", rows=40, documents=documents, failed=FAILED)
    found = neighbours(evidence)
    best, score, others = map(list, zip(*row_by_row(evidence), strict=True))

    assert found.best.tolist() == best
    np.testing.assert_allclose(found.centred, score, atol=1e-9)
    np.testing.assert_allclose(found.others, others, atol=1e-9)


def test_a_row_has_the_numbers_of_its_arms_and_a_failed_one_no_comparison(tmp_path):
    evidence = evidence_of(tmp_path / "evidence", rows=40, documents=8, failed=FAILED)
    data = json.loads(browsed(evidence)["json"])
    names = [row.id for row in evidence.rows]

    for id_, _, status, difference, given in data["rows"]:
        at = names.index(id_)
        arms = dict(zip(data["arms"], given, strict=True))
        own = round(float(centred_cosines(evidence, "real")[at]), 6)
        plain = round(float(cosines(evidence, "real")[at]), 6)
        assert arms[OWN][1:] == [number(own), number(plain)]
        if status != "ok":
            assert (difference, arms[BEST][1]) == ("-", "-")
        else:
            best = data["rows"][arms[BEST][0]]
            assert best[1] == f"d{at % 8}"
            assert float(difference) == pytest.approx(own - float(arms[BEST][1]), abs=1e-3)


def test_texts_are_cut_where_all_of_them_are_too_large_and_the_page_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_BYTES", 40_000)
    evidence = evidence_of(tmp_path / "evidence", rows=40, documents=8, text="a long text " * 90)
    found = browsed(evidence)

    assert len(found["json"]) <= 40_000
    assert len(json.loads(found["json"])["rows"]) == 40
    assert found["left_out"] == (
        "Texts are cut after 500 characters to keep this file small. All of it is in"
        " evidence/rows.jsonl."
    )


def test_characters_that_take_more_room_in_the_page_than_in_the_evidence_count_as_they_do(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(rows, "MAX_BYTES", 60_000)
    evidence = evidence_of(tmp_path / "evidence", rows=40, documents=8, text="\U000e0001" * 500)

    assert len(browsed(evidence)["json"]) <= 60_000


def test_beyond_the_most_rows_the_worst_are_kept_and_no_text_of_another_is_lost(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(rows, "_SIZES", [(2000, 10)])
    evidence = evidence_of(tmp_path / "evidence", rows=40, documents=8)
    found = browsed(evidence)
    data = json.loads(found["json"])
    worst = np.sort(np.round(centred_cosines(evidence, "real"), 3))[:10]

    assert [round(float(row[4][0][1]), 3) for row in data["rows"]] == worst.tolist()
    assert found["left_out"].startswith("The 10 worst of 40 rows are here.")
    texts = {row.explanation for row in evidence.rows}
    for row in data["rows"]:
        for at in (1, 3):
            text = row[4][at][0]
            assert text in texts or text in range(10)
