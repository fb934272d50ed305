"""Going on from an earlier adapter: with its weights, or on top of it."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_release.adapter.training_log import read_log
from nla_release.contract.sidecar import read_sidecar
from nla_release.contract.training_chain import training_chain
from nla_release.errors import ConfigError, PairError, WeightsError
from nla_release.io.files import sha256_file
from nla_release.training.ar import train_ar
from nla_release.training.av import train_av
from nla_release.training.record import base_sha256
from tests.train.built import copied, recipe_with


@pytest.mark.parametrize(
    ("role", "train", "more"), [("av", train_av, {}), ("ar", train_ar, {"head_bias": True})]
)
def test_a_training_starts_with_an_earlier_adapters_weights_and_says_whose(
    built, tmp_path, role, train, more
):
    folder = copied(built, tmp_path)
    train(recipe_with(tmp_path, **{role: more | {"steps": 8}}), folder, device="cpu")
    earlier = (folder / "pair" / role).rename(folder / "earlier")
    block = more | {"continue_from": "earlier", "steps": 1, "learning_rate": 1e-6}
    train(recipe_with(tmp_path, **{role: block}), folder, device="cpu", again=True)
    facts = read_sidecar(folder / "pair" / role, role).nla_release.training["continued_from"]

    assert facts["adapter_sha256"] == sha256_file(earlier / "adapter_model.safetensors")
    assert facts["steps"] == 8
    assert ("head_sha256" in facts) == (role == "ar")
    first, last = read_log(folder / "pair" / role)[0].loss, read_log(earlier)[-1].loss
    assert first == pytest.approx(last, abs=0.3)
    assert first < read_log(earlier)[0].loss - 0.3


def test_an_adapter_that_was_continued_twice_is_known_by_all_three_runs(built, tmp_path):
    """A continued adapter was shown as trained once: steps, time and first loss of the last run."""
    folder = copied(built, tmp_path)
    digests = []
    for steps in (3, 2, 1):
        block = {"steps": steps} | ({"continue_from": f"run{len(digests)}"} if digests else {})
        train_av(recipe_with(tmp_path, av=block), folder, device="cpu", again=True)
        place = (folder / "pair" / "av").rename(folder / f"run{len(digests) + 1}")
        digests.append(sha256_file(place / "adapter_model.safetensors"))
    training = read_sidecar(folder / "run3", "av").nla_release.training
    chain = training_chain(training)

    assert [run.steps for run in chain.runs] == [3, 2, 1]
    assert chain.steps_in_words == "6 in 3 runs: 3 + 2 + 1"
    assert [run.continued_from for run in chain.runs] == [None, *digests[:2]]
    assert [run.first_loss for run in chain.runs] == [
        pytest.approx(read_log(folder / f"run{number}")[0].loss, abs=1e-5) for number in (1, 2, 3)
    ]
    assert chain.seconds == pytest.approx(sum(run.seconds for run in chain.runs), abs=0.05)


@pytest.fixture(scope="module")
def begun(built, tmp_path_factory):
    """Rows, and an AV of one step to go on from."""
    folder = copied(built, tmp_path_factory.mktemp("begun"))
    train_av(recipe_with(folder, av={"steps": 1}), folder, device="cpu")
    (folder / "pair" / "av").rename(folder / "earlier")
    return folder


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"rank": 8}, "rank and alpha, tensors"),
        ({"alpha": 8}, "rank and alpha"),
        ({"injection_scale": 17.0}, "injection"),
        ({"target_modules": r"model\.language_model\.layers\.\d+\.mlp\.\w+_proj"}, "tensors"),
    ],
)
def test_an_earlier_adapter_of_another_kind_is_refused(begun, tmp_path, block, words):
    folder = copied(begun, tmp_path)
    recipe = recipe_with(tmp_path, av=block | {"continue_from": "earlier"})
    with pytest.raises(ConfigError, match=f"it has other {words} than this training"):
        train_av(recipe, folder, device="cpu", again=True)


def spoiled(path):
    weights = load_file(path)
    next(iter(weights.values()))[0] = torch.nan
    save_file(weights, path)


def test_an_earlier_adapter_of_another_scaling_is_not_gone_on_with(begun, tmp_path):
    """Alpha over the root of the rank: the same weights would say something else."""
    folder, recipe = copied(begun, tmp_path), recipe_with(tmp_path, av={"continue_from": "earlier"})
    path = folder / "earlier" / "adapter_config.json"
    path.write_text(path.read_text().replace('"r": 16', '"use_rslora": true, "r": 16'))
    with pytest.raises(ConfigError, match="it has other use_rslora than this training"):
        train_av(recipe, folder, device="cpu")


@pytest.mark.parametrize("how", ["continue_from", "stack_on"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda path: path.write_bytes(path.read_bytes()[:-9]),
            "not a complete safetensors file",
        ),
        (lambda path: path.unlink(), "does not exist"),
        (spoiled, "tensors hold NaN or infinity"),
    ],
)
def test_an_earlier_adapter_that_is_damaged_is_refused(begun, tmp_path, how, damage, words):
    folder = copied(begun, tmp_path)
    damage(folder / "earlier" / "adapter_model.safetensors")
    with pytest.raises(WeightsError, match=f"earlier/adapter_model.safetensors.* {words}"):
        train_av(recipe_with(tmp_path, av={how: "earlier"}), folder, device="cpu", again=True)


def test_an_adapter_below_whose_configuration_is_not_its_own_is_refused(begun, tmp_path):
    folder = copied(begun, tmp_path)
    path = folder / "earlier" / "adapter_config.json"
    path.write_text(path.read_text().replace('"r": 16', '"r": 8'))
    with pytest.raises(PairError, match="earlier: PEFT cannot load the adapter: .*size mismatch"):
        train_av(
            recipe_with(tmp_path, av={"stack_on": "earlier"}), folder, device="cpu", again=True
        )


@pytest.mark.parametrize("how", ["continue_from", "stack_on"])
def test_an_earlier_adapter_of_other_weights_of_the_base_is_refused(begun, tmp_path, how):
    """Of the same id and revision: in a folder anything may lie."""
    folder, recipe = copied(begun, tmp_path), recipe_with(tmp_path, av={how: "earlier"})
    path, ours = folder / "earlier" / "nla_meta.yaml", base_sha256(recipe.base)
    assert read_sidecar(path.parent, "av").nla_release.training["base_sha256"] == ours
    path.write_text(path.read_text().replace(ours, "0" * 64))
    with pytest.raises(ConfigError, match="earlier: it has other weights of the base than this"):
        train_av(recipe, folder, device="cpu", again=True)
