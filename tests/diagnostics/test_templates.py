import pytest

from nla_release.calibration.blocks import Inconclusive
from nla_release.diagnostics.templates import report


def saying(explain, gold=lambda row: f"label {row}"):
    def change(parts):
        for index, row in enumerate(parts.rows):
            parts.rows[index] = row.model_copy(
                update={"explanation": explain(index), "gold": gold(index)}
            )

    return change


def test_different_texts_share_nothing(measured):
    found = report(measured())

    assert {each.distinct for each in found.beginnings.values()} == {60}
    assert {each.largest for each in found.beginnings.values()} == {1}
    assert found.duplicates.hits == 0


def test_a_template_is_one_beginning_until_its_end(measured):
    found = report(measured(saying(lambda row: f"{'so ' * 16}ends {row % 6}")))

    counts = {length: (each.distinct, each.largest) for length, each in found.beginnings.items()}
    assert counts == {"40": (1, 60), "60": (6, 10), "80": (6, 10), "120": (6, 10)}


def test_one_text_for_all_documents_is_a_duplicate_everywhere(measured):
    assert report(measured(collapsed=True)).duplicates.share == 1


def test_a_text_repeated_within_its_document_is_no_duplicate(measured):
    assert report(measured(saying(lambda row: f"document {row % 30}"))).duplicates.hits == 0


@pytest.mark.parametrize(("texts", "hits"), [(20, 60), (31, 58), (60, 0)])
def test_a_text_of_several_documents_is_counted_in_each_row(measured, texts, hits):
    found = report(measured(saying(lambda row: f"text {row % texts}")))

    assert (found.duplicates.hits, found.duplicates.n) == (hits, 60)


def test_labels_are_counted_beside_it(measured):
    found = report(measured(saying(lambda row: f"text {row}", lambda row: f"label {row % 20}")))

    assert (found.duplicates.hits, found.gold_duplicates.hits) == (0, 60)


def test_without_labels_there_is_no_count_of_them(measured):
    assert report(measured(gold_text=False)).gold_duplicates is None


def test_failures_have_no_text_and_are_counted(measured):
    found = report(measured(failed={0: "empty", 7: "truncated"}))

    assert (found.n, found.failed) == (58, 2)


def test_nothing_said_is_inconclusive(measured):
    assert isinstance(report(measured(failed=dict.fromkeys(range(60), "empty"))), Inconclusive)
