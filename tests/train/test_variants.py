"""The reconstructors' variants: each does what its name says."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity

from nla_release import Reconstructor
from nla_release.adapter.training_log import read_log
from nla_release.contract.sidecar import read_sidecar
from nla_release.engine.adapters import attach, load_head
from nla_release.engine.base import load_base
from nla_release.errors import DataError
from nla_release.training.ar import new_head, train_ar
from nla_release.training.settings import CrossRowContrastive, NoiseHinge, ParaphraseInvariant
from nla_release.training.variants import (
    SecondTexts,
    contrastive_loss,
    direction_loss,
    hinge_loss,
    invariance_loss,
    noised,
    rephrased,
)
from tests.sidecars import TINY_BASE
from tests.train.built import build_rows, copied, recipe_with

PHRASES = {"the word": "a word spelt", "in a text": "within a passage"}


def vectors(*rows):
    return torch.tensor(rows, dtype=torch.float32)


# -- formulas --


def test_the_baseline_is_the_squared_distance_of_unit_vectors():
    read, gold = torch.randn(5, 8), torch.randn(5, 8)
    unit = [it / it.norm(dim=-1, keepdim=True) for it in (read, gold)]

    assert torch.allclose(direction_loss(read, gold), (unit[0] - unit[1]).square().sum(-1))
    assert torch.allclose(direction_loss(3 * read, gold), direction_loss(read, gold))


def test_invariance_is_nothing_for_the_same_direction():
    read = torch.randn(4, 8)

    assert torch.allclose(invariance_loss(read, 2 * read), torch.zeros(4), atol=1e-6)
    assert torch.allclose(invariance_loss(read, -read), torch.full((4,), 4.0))


@pytest.mark.parametrize(("ahead", "loss"), [(0.5, 0.0), (0.1, 0.0), (0.04, 0.06), (-0.2, 0.3)])
def test_the_hinge_is_nothing_once_the_margin_is_kept(ahead, loss):
    gold = vectors([1, 0])
    read = vectors([0.5, 0.75**0.5])
    cosine = 0.5 - ahead
    noise = vectors([cosine, (1 - cosine**2) ** 0.5])

    assert hinge_loss(read, noise, gold, 0.1).item() == pytest.approx(loss, abs=1e-6)


def test_contrast_is_the_cross_entropy_of_finding_the_own_row():
    candidates = vectors([1, 0], [0, 1], [-1, 0])
    read = vectors([2, 0], [0, 0.5])
    none = torch.zeros(2, 3, dtype=torch.bool)
    found = contrastive_loss(read, candidates, [0, 1], none, 0.5)
    expected = [
        -np.log(np.exp(2) / (np.exp(2) + 1 + np.exp(-2))),
        -np.log(np.exp(2) / (np.exp(2) + 2)),
    ]

    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_rows_that_are_no_fair_question_do_not_count():
    candidates = vectors([1, 0], [1, 0.01], [0, 1])
    unfair = torch.tensor([[False, True, False]])
    read = vectors([1, 0])
    with_all = contrastive_loss(read, candidates, [0], torch.zeros(1, 3, dtype=torch.bool), 0.1)

    assert with_all.item() > 0.6
    assert contrastive_loss(read, candidates, [0], unfair, 0.1).item() < 1e-3


# -- texts --


def test_phrases_are_replaced_as_whole_words_one_after_the_other():
    assert rephrased("the word wave in a text", PHRASES) == "a word spelt wave within a passage"
    assert rephrased("the wordy", {"the word": "x"}) is None
    assert rephrased("a.b", {"a.b": r"\1"}) == r"\1"


def test_noise_keeps_the_punctuation_and_takes_words_of_other_texts():
    generator = np.random.default_rng(0)
    text = noised("one, two; three.", ["aa", "bb"], 1.0, generator)

    assert [part for part in text if not part.isalnum()] == list(", ; .")
    assert {*text.replace(",", "").replace(";", "").replace(".", "").split()} <= {"aa", "bb"}
    half = noised("a b c d", ["x"], 0.5, generator)
    assert half.split().count("x") == 2
    assert noised("", ["x"], 0.5, generator) == ""


def test_noise_is_another_at_every_step_and_the_same_on_a_resumed_run():
    texts = ["one two three four"] * 2 + ["five six seven eight nine"]
    one, other = (
        SecondTexts(NoiseHinge(name="noise_hinge"), texts, [None] * 3, 7) for _ in range(2)
    )

    assert one.of(0, 1) == other.of(0, 1)
    assert len({one.of(row, step) for row in (0, 1) for step in range(5)}) > 5


def test_paraphrases_come_from_the_column_and_a_copy_is_none():
    variant = ParaphraseInvariant(name="paraphrase_invariant", paraphrases="column")
    seconds = SecondTexts(variant, list("abcde"), ["z", "b", None, "", " \n"], 0)

    assert [seconds.of(row, 1) for row in range(5)] == ["z", None, None, None, None]
    assert seconds.paraphrases == ["z"]


@pytest.mark.parametrize(
    ("paraphrases", "words"),
    [("column", "no column paraphrase"), ({"x": "y"}, "none of the recipe's phrases")],
)
def test_invariance_without_a_single_paraphrase_is_refused(paraphrases, words):
    variant = ParaphraseInvariant(name="paraphrase_invariant", paraphrases=paraphrases)
    with pytest.raises(DataError, match=words):
        SecondTexts(variant, ["a", "b"], [None, None], 0)


# -- trained --

STEPS = {"steps": 12, "micro_batch": 24, "gradient_accumulation": 1}
VARIANTS = {
    "baseline": {"name": "baseline"},
    "invariant": {"name": "paraphrase_invariant", "paraphrases": PHRASES, "weight": 4.0},
    "hinge": {"name": "noise_hinge", "margin": 0.6, "weight": 4.0},
    "contrastive": {"name": "cross_row_contrastive", "temperature": 0.1, "weight": 2.0},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    def paraphrase(label):
        return {"paraphrase": rephrased(label["explanation"], {"the": "that"})}

    return build_rows(tmp_path_factory.mktemp("built"), more=paraphrase)


@pytest.fixture(scope="module")
def trained(built, tmp_path_factory):
    """Each variant from the same start, on the same rows."""
    folders = {}
    for name, variant in VARIANTS.items():
        folders[name] = copied(built, tmp_path_factory.mktemp(name))
        recipe = recipe_with(folders[name], ar=STEPS | {"variant": variant})
        train_ar(recipe, folders[name], device="cpu")
    return folders


def reading(folder):
    """The AR of a folder as the release tool runs it, with its training rows."""
    from nla_release.engine.activations import read_activations

    ar = folder / "pair" / "ar"
    base = load_base(str(TINY_BASE), "x", quantization=None, dtype="float32", device="cpu")
    sidecar = read_sidecar(ar, "ar")
    reader = Reconstructor(base, attach(base, {"ar": [ar]}), load_head(ar, sidecar), sidecar)
    return reader.reconstruct, read_activations(folder / "data" / "ar_sft.parquet", 64)


def test_the_paraphrase_invariant_ar_moves_less_when_a_text_is_said_otherwise(trained):
    moved = {}
    for name in ("baseline", "invariant"):
        read, data = reading(trained[name])
        texts = data.explanations
        other = read([rephrased(text, PHRASES) or text for text in texts])
        moved[name] = float(invariance_loss(read(texts), other).mean())

    assert moved["invariant"] < moved["baseline"] / 2


def test_the_noise_hinge_ar_keeps_its_margin_where_the_baseline_does_not(trained):
    ahead = {}
    for name in ("baseline", "hinge"):
        read, data = reading(trained[name])
        words = [word for text in data.explanations for word in text.split()]
        generator = np.random.default_rng(5)
        noise = [noised(text, words, 1.0, generator) for text in data.explanations]
        gold = torch.from_numpy(data.vectors)
        texts, noises = (
            cosine_similarity(read(it), gold, dim=-1) for it in (data.explanations, noise)
        )
        ahead[name] = float((texts - noises).mean())

    assert ahead["hinge"] > ahead["baseline"]


def test_the_contrastive_ar_takes_fewer_rows_for_its_own(trained):
    nearer = {}
    for name in ("baseline", "contrastive"):
        read, data = reading(trained[name])
        unit = torch.nn.functional.normalize(read(data.explanations), dim=-1)
        gold = torch.nn.functional.normalize(torch.from_numpy(data.vectors), dim=-1)
        cosines = unit @ gold.T
        nearer[name] = float((cosines > cosines.diagonal()[:, None]).sum(dim=1).float().mean())

    assert nearer["contrastive"] < 0.75 * nearer["baseline"]


def test_the_sidecar_says_which_variant_it_is_and_of_how_many_rows(trained):
    facts = {
        name: read_sidecar(folder / "pair" / "ar", "ar").nla_release.training
        for name, folder in trained.items()
    }

    assert facts["baseline"]["variant"] == {"name": "baseline"}
    assert facts["hinge"]["variant"]["margin"] == 0.6
    assert facts["invariant"]["paraphrased_rows"] == facts["invariant"]["rows"]


def test_paraphrases_of_the_labels_own_column_are_read(built, tmp_path):
    folder = copied(built, tmp_path)
    variant = {"name": "paraphrase_invariant", "paraphrases": "column"}
    train_ar(recipe_with(tmp_path, ar={"variant": variant}), folder, device="cpu")
    facts = read_sidecar(folder / "pair" / "ar", "ar").nla_release.training

    assert facts["paraphrased_rows"] == facts["rows"]


def test_the_contrast_does_not_depend_on_how_a_step_is_cut(built, tmp_path):
    """Its other rows are those of the whole step, also at a micro-batch of one."""
    logs = []
    for size, accumulation in ((8, 1), (1, 8)):
        folder = copied(built, tmp_path / str(size))
        block = {"micro_batch": size, "gradient_accumulation": accumulation}
        variant = CrossRowContrastive(name="cross_row_contrastive").model_dump()
        recipe = recipe_with(tmp_path, ar=block | {"variant": variant})
        train_ar(recipe, folder, device="cpu")
        logs.append([step.loss for step in read_log(folder / "pair" / "ar")])

    assert logs[0] == pytest.approx(logs[1], abs=1e-4)


# -- head, read block, continuation --


def test_the_head_starts_at_a_multiple_of_the_identity(tmp_path):
    head = new_head(8, recipe_with(tmp_path, ar={"head_init": 0.1, "head_bias": True}).ar)

    assert torch.allclose(head.weight, 0.1 * torch.eye(8))
    assert head.bias.tolist() == [0] * 8


@pytest.mark.parametrize(
    ("head", "block", "blocks"),
    [
        ({"head_bias": False}, None, 4),  # the reference's head, read where the activations lie
        ({"head_bias": True}, 2, 3),  # the seed's head, and a declared block
    ],
)
def test_heads_with_and_without_bias_and_any_read_block_load_back(
    built, tmp_path, head, block, blocks
):
    folder = copied(built, tmp_path)
    train_ar(recipe_with(tmp_path, ar=head | {"read_block": block}), folder, device="cpu")
    sidecar = read_sidecar(folder / "pair" / "ar", "ar")
    read, data = reading(folder)

    assert sidecar.head.bias == head["head_bias"]
    assert sidecar.head.blocks == blocks
    assert sidecar.critic.extraction_layer_index == blocks - 1
    assert sidecar.extraction_layer_index == 3
    assert read(data.explanations[:3]).shape == (3, 64)
