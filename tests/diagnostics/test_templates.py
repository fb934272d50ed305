import numpy as np
import pytest

from nla_release.diagnostics.templates import report, skeletons_of
from nla_release.statistics.blocks import Inconclusive
from nla_release.statistics.measures import FORMAT_2


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


WORDS = ["lens", "moon", "galaxy", "oven", "flour", "crust", "bond", "loan", "nerve", "bone"]
PLACES = ["Nairobi", "Lima", "Kyoto", "Havana", "Oslo", "Quito", "Dakar", "Hanoi", "Perth"]


def follows_a_template(row):
    return f"the word {WORDS[row % 10]} in a text about {PLACES[row % 9]}, number {row}"


def test_a_template_whose_every_word_varies_is_one_skeleton(measured):
    """214 different beginnings were reported of 307 texts that are one template."""
    found = report(measured(saying(follows_a_template)))

    assert found.beginnings["60"].distinct == 60
    assert found.skeletons.distinct == 1
    assert {k: each.hits for k, each in found.skeletons.shares.items()} == {
        "1": 60,
        "3": 60,
        "10": 60,
    }
    (common,) = found.skeletons.most_common
    assert common.skeleton == "the word \u2026 in a text about \u2026 , number \u2026"
    assert (common.rows, common.example) == (60, min(map(follows_a_template, range(60))))


def test_free_text_has_no_common_skeleton():
    """Words that all texts use, such as of and the, do not make a template of them."""
    random = np.random.default_rng(0)
    words = ["the", "of", "a", *WORDS, *PLACES]
    texts = [" ".join(random.choice(words, size=12)) for _ in range(200)]

    assert set(skeletons_of(texts)) == {None}


def test_several_templates_are_counted_by_how_common_they_are(measured):
    def explain(row):
        name = WORDS[row % 10]
        if row < 30:
            return f"here it speaks about {name} again"
        return (
            f"someone writes {name} to a friend" if row < 50 else f"see {name} under number {row}"
        )

    found = report(measured(saying(explain)))

    assert {k: each.hits for k, each in found.skeletons.shares.items()} == {
        "1": 30,
        "3": 50,
        "10": 50,
    }


def test_labels_and_source_texts_are_held_against_the_same_rule(measured):
    def change(parts):
        saying(follows_a_template, follows_a_template)(parts)
        for index, row in enumerate(parts.rows):
            text = f"{WORDS[index % 10]} {PLACES[index % 7]} {index}"
            parts.rows[index] = row.model_copy(update={"text": text})

    found = report(measured(change)).skeletons

    assert found.gold_shares == {"1": 1, "3": 1, "10": 1}
    assert found.source_shares == {"1": 0, "3": 0, "10": 0}


def test_an_example_is_one_short_line_without_control_characters(measured):
    def explain(row):
        return f"the word \x1b[31m{WORDS[row % 10]}\n{'in a text about things ' * 20}"

    (common,) = report(measured(saying(explain))).skeletons.most_common

    assert len(common.example) == len(common.skeleton) == 160
    assert common.example.isprintable()


def test_the_order_of_rows_changes_no_skeleton(reordered):
    one, two = (report(each).skeletons for each in reordered())

    assert one == two


def test_format_2_counts_no_skeletons(measured):
    """Published calibrations of that format are computed again, to the byte."""
    found = report(measured(), FORMAT_2)

    assert "skeletons" not in found.model_dump(exclude_unset=True)
