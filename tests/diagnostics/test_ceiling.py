import numpy as np
import pytest

from nla_release.diagnostics.ceiling import _predicted, report
from nla_release.statistics.blocks import Inconclusive
from nla_release.statistics.formulas import unit_rows


def documents_apart(spread, seed=1):
    """Activations around one centre per document."""

    def change(parts):
        random = np.random.default_rng(seed)
        documents = np.array([int(row.document[1:]) for row in parts.rows])
        centres = random.normal(size=(documents.max() + 1, 64))
        gold = centres[documents] + spread * random.normal(size=(len(documents), 64))
        parts.vectors["gold"] = gold.astype(np.float32)

    return change


def test_activations_that_know_their_document_tell_it(measured):
    found = report(measured(documents_apart(0.1), documents=10, width=64))

    assert (found.documents, found.nearest.hits, found.probe.hits) == (10, 60, 60)
    assert found.nearest_chance == pytest.approx(5 / 59, abs=1e-6)
    assert found.probe_chance == pytest.approx(1 / 10, abs=1e-6)
    assert found.nearest_of_reconstructions.share < found.nearest.share


def test_activations_that_do_not_are_at_chance(measured):
    found = report(measured(documents_apart(100, seed=2), rows=300, documents=10, width=64))

    assert found.nearest.interval[0] < found.nearest_chance < found.nearest.interval[1]
    assert found.probe.interval[0] < found.probe_chance < found.probe.interval[1]


def test_a_row_alone_in_its_document_is_left_out(measured):
    def leave_alone(parts):
        parts.rows[0] = parts.rows[0].model_copy(update={"document": "alone"})
        asked = parts.run.evaluation.model_copy(update={"documents": 31})
        object.__setattr__(parts.run, "evaluation", asked)

    found = report(measured(leave_alone))

    assert (found.nearest.n, found.documents) == (58, 29)


def test_one_row_per_document_is_inconclusive(measured):
    assert isinstance(report(measured(documents=60)), Inconclusive)


def test_activations_that_are_all_alike_tell_nothing(measured):
    def same(parts):
        parts.vectors["gold"][:] = parts.vectors["gold"][0]

    found = report(measured(same))

    assert (found.nearest.hits, found.probe.hits) == (0, 0)


def test_leaving_one_out_is_refitting_without_it():
    """The closed form against as many fits as there are rows."""
    random = np.random.default_rng(0)
    labels = np.arange(24) % 4
    features = unit_rows(random.normal(size=(4, 8))[labels] + random.normal(size=(24, 8)))
    penalty = 0.1 * np.mean(np.linalg.svd(features, compute_uv=False) ** 2)
    targets = np.eye(4)[labels]
    hits = 0
    for left_out in range(24):
        kept = np.arange(24) != left_out
        x, y = features[kept], targets[kept]
        weights = np.linalg.solve(x.T @ x + penalty * np.eye(8), x.T @ y)
        hits += int(np.argmax(features[left_out] @ weights) == labels[left_out])

    assert _predicted(features, labels).sum() == hits
    assert 6 < hits < 24


def test_the_order_of_rows_does_not_matter(reordered):
    one, two = reordered()

    assert report(one) == report(two)
