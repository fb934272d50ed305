import numpy as np
import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.diagnostics.retrieval import DIAGNOSTIC, _rows_drawn, report
from nla_release.statistics.blocks import Inconclusive
from nla_release.statistics.contrasts import centred
from nla_release.statistics.measures import UNEQUAL


def test_perfect_reconstructions_are_first_everywhere(measured):
    found = report(measured(noise=0))

    assert (found.all.hits, found.drawn.hits) == (60, 30)
    for ranking in (found.all, found.drawn):
        assert (ranking.top1, ranking.mrr.mean, ranking.percentile.mean) == (1, 1, 1)
        assert (
            ranking.permutation.p == ranking.permutation.floor == pytest.approx(1 / 2001, abs=1e-6)
        )
    assert found.margin.mean > 0


def test_top_1_of_all_rows_is_the_headline(measured):
    evidence = measured(noise=1)
    found, headline = report(evidence).all, calibrate(evidence).retrieval

    for name in ("hits", "n", "candidates", "top1", "interval", "chance"):
        assert getattr(found, name) == getattr(headline, name)


def test_chance_is_what_random_reconstructions_get(measured):
    def guess(parts):
        random = np.random.default_rng(0)
        for name in ("gold", "real"):
            parts.vectors[name] = random.normal(size=parts.vectors[name].shape).astype(np.float32)

    found = report(measured(guess, rows=300, width=64))

    for measure in (found.all.mrr, found.all.percentile, found.margin):
        assert measure.interval[0] < 0 < measure.interval[1]
    assert found.all.permutation.p > 0.05


def test_a_failure_is_a_miss_and_ranks_last(measured):
    found = report(measured(noise=0, failed=dict.fromkeys(range(15), "empty")))

    assert (found.all.hits, found.all.n) == (45, 60)
    assert found.all.percentile.mean == 0.75
    assert found.all.mrr.mean == pytest.approx((45 + 15 / 60) / 60, abs=1e-6)
    assert found.margin.n == 45


@pytest.mark.parametrize(("rows", "candidates"), [(60, 30), (100, 50), (400, 40)])
def test_the_worst_draw_is_of_at_most_fifty_rows_of_whole_documents(measured, rows, candidates):
    """Of 3, 5 and 20 rows a document. At 100 rows too the four draws differ."""
    found = report(measured(rows=rows, documents=20, noise=2))

    assert found.drawn.n == found.drawn.candidates == candidates
    assert found.drawn.chance == pytest.approx(1 / candidates, abs=1e-6)
    assert found.all.candidates == rows


def test_the_margin_of_an_activation_at_random_is_what_it_stands_beside(measured):
    evidence = measured(noise=1, rows=20, documents=10)
    found = report(evidence).margin

    mean = evidence.vectors["reference_mean"]
    units = [centred(evidence.vectors[name], mean) for name in ("real", "gold")]
    scores = units[0] @ units[1].T
    others = [[max(np.delete(row, at)) for at in range(20)] for row in scores]
    assert found.chance == pytest.approx(np.mean(scores - others), abs=1e-6)
    assert found.mean == pytest.approx(np.mean((scores - others).diagonal()), abs=1e-6)
    assert found.chance < 0


def test_documents_of_as_many_rows_each_as_no_other_cannot_change_places(measured):
    def of_all_sizes(parts):
        documents = [f"d{size}" for size in range(1, 11) for _ in range(size)]
        for index, row in enumerate(parts.rows):
            other = (index + 12) % 55  # farther away than any document is large
            parts.rows[index] = row.model_copy(
                update={"document": documents[index], "shuffled_from": f"r{other}"}
            )

    found = report(measured(of_all_sizes, rows=55, documents=10, noise=0)).all

    assert found.permutation == UNEQUAL


def test_a_collapsed_pair_retrieves_one_whatever_the_assignment(measured):
    found = report(measured(collapsed=True)).all

    assert found.hits == 1
    assert isinstance(found.permutation, Inconclusive)
    assert "the same 1 hits" in found.permutation.inconclusive


def test_without_any_explanation_there_is_no_margin(measured):
    assert report(measured(failed=dict.fromkeys(range(60), "empty"))).margin is None


def test_the_order_of_rows_does_not_matter(reordered):
    one, two = reordered(rows=150, noise=2)

    assert report(one) == report(two)


def test_too_little_gives_a_reason_and_no_number(measured):
    assert isinstance(report(measured(rows=1, documents=1)), Inconclusive)


def rows_of(found):
    return {row.name: row for row in DIAGNOSTIC.rows(found)}


def test_every_row_is_held_against_knowing_the_document_and_names_chance(measured):
    """ "Worst of 4 draws 31/50, chance 0.020": telling the document alone gives 0.62 to 0.74."""
    found = report(measured(rows=120, documents=30, noise=2))
    rows = rows_of(found)

    for name, row in rows.items():
        if "nearest other" not in name:
            assert row.control.startswith("knowing the document (chance "), name
    first = rows["Own activation is the nearest of all (top-1)"]
    assert first.baseline == pytest.approx(30 / 120)
    assert first.difference == pytest.approx(found.all.top1 - 30 / 120)
    assert first.control == "knowing the document (chance 0.0083, 1 in 120)"
    subset = f"a random subset of {found.drawn.candidates} rows"
    drawn = rows[f"Own activation is the nearest in {subset}, lowest of {found.draws} draws"]
    assert drawn.baseline == found.drawn.document_alone > found.drawn.chance


def test_the_difference_of_ranks_is_that_from_knowing_the_document(measured):
    found = report(measured(rows=120, documents=30, noise=2)).all
    row = rows_of(report(measured(rows=120, documents=30, noise=2)))[
        "Own activation is the nearest of all (top-1): mean of 1 / rank"
    ]

    # With 4 rows each, the own one is in each of the first four places as often.
    assert row.baseline == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4, abs=1e-6)
    assert row.interval == found.mrr.above_document_interval


def test_draws_take_whole_documents(measured):
    """Drawn one by one, most rows would be the only ones of their document."""
    documents = measured(rows=120, documents=20).documents

    for rows in _rows_drawn(documents):
        drawn = {documents[row] for row in rows}
        assert len(rows) == sum(document in drawn for document in documents)


def test_with_one_row_per_document_there_is_only_chance(measured):
    rows = rows_of(report(measured(rows=40, documents=40)))

    assert rows["Own activation is the nearest of all (top-1)"].control == "chance, 1 in 40"


def test_a_pair_that_tells_only_its_document_is_not_shown_above_it(measured):
    found = rows_of(report(measured(rows=120, documents=30, reads="document", noise=0.1)))
    first = found["Own activation is the nearest of all (top-1)"]

    assert first.value > 10 * first.n**-1
    assert first.interval[0] < 0
