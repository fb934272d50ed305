"""The tripwire: what held-out rows show of adapters that learn, and of those that do not."""

from pathlib import Path

import numpy as np
import pytest
import torch

from nla_release.adapter.training_log import loss_trend, read_log
from nla_release.engine.activations import Activations
from nla_release.errors import ConfigError, DataError, NlaReleaseError
from nla_release.training.av import train_av
from nla_release.training.checkpoints import kept_steps
from nla_release.training.learner import without_dropout
from nla_release.training.settings import TripwireSettings, VerbalizerTripwire
from nla_release.training.tripwire import held_out_rows, watch_ar, watch_av
from tests.train.built import build_rows, copied, recipe_with

PATH = Path("eval.parquet")
READING = TripwireSettings(every=1, rows=6)
SETTINGS = VerbalizerTripwire(every=1, rows=6, min_distinct=3)


def rows(count=6, labels=True, documents=3):
    generator = np.random.default_rng(0)
    return Activations(
        ids=[f"row{at}" for at in range(count)],
        documents=[f"document{at % documents}" for at in range(count)],
        texts=[None] * count,
        explanations=[f"label {at}" if labels else None for at in range(count)],
        document_digests=[None] * count,
        paraphrases=[None] * count,
        claims=[None] * count,
        vectors=generator.normal(size=(count, 8)).astype(np.float32),
        sha256="x",
        available=count,
    )


DATA = rows()
GOLD = torch.from_numpy(DATA.vectors)


def names(vectors):
    """Each vector's own name, when it is one of the rows'; the same word for any other."""
    return [
        str(hits[0]) if (hits := (vector == GOLD).all(dim=1).nonzero().flatten().tolist()) else "?"
        for vector in vectors
    ]


def knowing(vectors):
    """-1 nat per token with a row's own vector, -3 with any other."""
    return torch.where((vectors == GOLD).all(dim=1), -1.0, -3.0)


# -- the AV --


def test_an_av_that_reads_its_vectors_passes():
    shown = watch_av(DATA, knowing, names, SETTINGS, 0)()

    assert shown.failures == []
    assert (shown.real_minus_shuffled, shown.real_minus_random, shown.real_minus_zero) == (2, 2, 2)
    assert (shown.rows, shown.distinct, shown.same_as_random) == (6, 6, 0)
    assert shown.unit == "nats per token"


def test_an_av_that_says_one_thing_trips():
    shown = watch_av(DATA, knowing, lambda vectors: ["so"] * len(vectors), SETTINGS, 0)()

    assert shown.failures == [
        "1 distinct explanations of 6 vectors, expected at least 3",
        "6 of 6 vectors are explained word for word as a random direction is",
    ]


def test_an_av_to_which_every_vector_is_the_same_trips():
    shown = watch_av(DATA, lambda vectors: torch.zeros(6), names, SETTINGS, 0)()

    assert [failure.partition(" vector by")[0] for failure in shown.failures] == [
        "the row's own vector is better than another row's",
        "the row's own vector is better than a random",
        "the row's own vector is better than a zero",
    ]


def test_an_av_that_only_sees_whether_something_was_injected_trips():
    """Real and shuffled alike, and zero worse: the loss falls, and no content comes through."""

    def injected(vectors):
        return torch.where(vectors.any(dim=1), -1.0, -3.0)

    shown = watch_av(DATA, injected, names, SETTINGS, 0)()

    assert shown.real_minus_zero == 2
    assert len(shown.failures) == 2
    assert "better than another row's vector by 0.0000 nats per token" in shown.failures[0]


def test_a_recipe_may_ask_for_more_than_any_difference():
    asking = SETTINGS.model_copy(update={"min_difference": 2.5})
    assert len(watch_av(DATA, knowing, names, asking, 0)().failures) == 3


def test_without_labels_only_what_it_says_is_looked_at():
    shown = watch_av(rows(labels=False), None, names, SETTINGS, 0)()

    assert shown.real_minus_shuffled is None
    assert (shown.distinct, shown.failures) == (6, [])


# -- the AR --


def own_vectors(texts):
    return torch.stack([GOLD[int(text.split()[-1])] for text in texts])


def test_an_ar_that_reads_its_texts_passes():
    shown = watch_ar(DATA, own_vectors, READING, 0, PATH)()

    assert shown.failures == []
    assert shown.unit == "cosine"
    assert shown.real_minus_shuffled > 0.5


def test_an_ar_that_gives_the_mean_whatever_it_reads_trips():
    mean = GOLD.mean(dim=0)
    shown = watch_ar(DATA, lambda texts: mean.expand(len(texts), -1), READING, 0, PATH)()

    assert shown.real_minus_shuffled == pytest.approx(0, abs=1e-6)
    (failure,) = shown.failures
    assert failure.startswith("the row's own text is better than another row's text by 0.0000")


def test_an_ar_is_not_asked_what_it_says(tmp_path):
    with pytest.raises(ConfigError, match="ar.tripwire.max_new_tokens"):
        recipe_with(tmp_path, ar={"tripwire": {"every": 1, "max_new_tokens": 4}})


def test_an_ar_needs_labels_to_be_tried_on():
    with pytest.raises(DataError, match="eval.parquet has no two labels of at most ar.max_tokens"):
        watch_ar(rows(labels=False), own_vectors, READING, 0, PATH)


# -- the rows --


def test_rows_are_of_as_many_documents_as_there_are_and_always_the_same():
    data = rows(count=30, documents=5)
    chosen = held_out_rows(data, 5, 3, PATH, fits=bool)

    assert len(set(chosen.documents)) == 5
    assert chosen.ids == held_out_rows(data, 5, 3, PATH, fits=bool).ids
    assert all(
        (data.vectors[data.ids.index(name)] == vector).all()
        for name, vector in zip(chosen.ids, chosen.vectors, strict=True)
    )


def test_labels_that_are_too_long_to_be_tried_are_passed_over():
    data = rows(count=12)
    chosen = held_out_rows(data, 12, 0, PATH, fits=lambda text: len(text) < len("label 10"))

    assert sorted(chosen.explanations) == [f"label {at}" for at in range(10)]


@pytest.mark.parametrize("longest", [0, len("label 0")])
def test_with_less_than_two_labels_that_can_be_tried_rows_are_looked_at_without(longest):
    """The others would be longer than max_tokens, and one alone has none to be compared with."""
    data = rows(count=11)
    data.explanations[1:10] = ["a much longer label"] * 9
    chosen = held_out_rows(data, 11, 0, PATH, fits=lambda text: len(text) <= longest)

    assert sorted(chosen.ids) == sorted(data.ids)
    assert set(chosen.explanations) == {None}


def test_a_single_held_out_row_is_refused():
    with pytest.raises(DataError, match="has 1 rows, and a tripwire needs at least two"):
        held_out_rows(rows(count=1), 5, 0, PATH, fits=bool)


# -- the real thing --


@pytest.fixture(scope="module")
def one_label(tmp_path_factory):
    """Every row but one is labelled alike, so that vectors tell nothing."""
    first = iter(["the word rose in a text"])

    def label(_label):
        return {"explanation": next(first, "the word wave in a text")}

    return build_rows(tmp_path_factory.mktemp("one"), more=label)


@pytest.mark.parametrize("role", ["av", "ar"])
def test_the_demos_pair_passes_and_the_collapsed_one_trips(good_release, collapsed_release, role):
    """What tells them apart is neither the loss, which falls in both, nor the verdict on it."""
    good, collapsed = (read_log(it / "pair" / role) for it in (good_release, collapsed_release))
    passed, tripped = ([it.tripwire for it in log if it.tripwire] for log in (good, collapsed))

    assert good[-1].loss < good[0].loss / 2
    assert collapsed[-1].loss < collapsed[0].loss / 2
    assert {loss_trend(log).name for log in (good, collapsed)} == {"not descending"}
    assert passed
    assert not any(shown.failures for shown in passed)
    assert tripped[-1].failures


STOP = {"every": 15, "rows": 4, "on_failure": "stop", "max_new_tokens": 24}
LEARNING = {"steps": 20, "micro_batch": 16, "gradient_accumulation": 1}


def test_a_collapsed_av_is_stopped_and_kept_to_be_looked_at(one_label, tmp_path):
    """Its loss falls steeply, which the verdict calls descending."""
    folder = copied(one_label, tmp_path)
    recipe = recipe_with(tmp_path, av=LEARNING | {"tripwire": STOP})
    with pytest.raises(NlaReleaseError, match="tripwire at step 15: .*1 distinct") as caught:
        train_av(recipe, folder, device="cpu")
    log = read_log(kept_steps(folder, "av")[15])

    assert "docs/reference/training.md" in caught.value.hint
    assert log[-1].tripwire.distinct == 1
    assert loss_trend(log).name == "descending"
    assert not (folder / "pair").exists()


def test_after_a_look_that_fails_dropout_is_at_work_again():
    model = torch.nn.Dropout()
    with pytest.raises(KeyError), without_dropout(model):
        raise KeyError
    assert model.training


def test_looking_does_not_change_what_is_learned(built, tmp_path):
    folders = [copied(built, tmp_path / name) for name in ("watched", "not")]
    block = {"dropout": 0.3}
    watched = recipe_with(
        tmp_path, av=block | {"tripwire": {"every": 1, "rows": 3, "max_new_tokens": 4}}
    )
    train_av(watched, folders[0], device="cpu")
    train_av(recipe_with(tmp_path, av=block), folders[1], device="cpu")
    left, right = ((it / "pair/av/adapter_model.safetensors").read_bytes() for it in folders)

    assert left == right
