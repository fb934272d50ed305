"""An adapter on top of another: trained, recorded, loaded, rendered, and refused when one lacks."""

import shutil

import peft
import pytest
import torch

from nla_release import Pair
from nla_release.adapter.stack import stack
from nla_release.cards.render import render
from nla_release.contract.sidecar import read_sidecar
from nla_release.contract.training_chain import chains_below, training_chain
from nla_release.engine.adapters import attach, calm, use
from nla_release.engine.base import load_base
from nla_release.errors import ConfigError, PairError
from nla_release.gate.model import Verdict
from nla_release.io.files import sha256_file
from nla_release.training.ar import train_ar
from nla_release.training.av import VerbalizerTask, train_av
from tests.builders_pair import make_release, measure
from tests.pairs.weights import stacked
from tests.pairs.zoo import in_sidecar, judged
from tests.sidecars import TINY_BASE
from tests.train.built import build_rows, copied, recipe_with

WEIGHTS = "adapter_model.safetensors"
IDS = torch.tensor([[2, 300, 301, 302]])


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two AVs and two ARs, each on top of the one before; `first`, `second` and `pair/`."""
    folder = build_rows(tmp_path_factory.mktemp("stack"))
    for role, train in (("av", train_av), ("ar", train_ar)):
        train(recipe_with(folder), folder, device="cpu")
        (folder / "pair" / role).rename(folder / f"first-{role}")
        block = {"stack_on": f"first-{role}", "rank": 4, "alpha": 8}
        train(recipe_with(folder, **{role: block}), folder, device="cpu", again=True)
    return folder


def state(folder):
    return sha256_file(folder / WEIGHTS)


def failed(verdict: Verdict) -> set[str]:
    return {finding.code for finding in verdict.findings if finding.severity == "error"}


@pytest.mark.parametrize("role", ["av", "ar"])
def test_what_lies_below_stays_as_it_was_and_is_recorded_in_order(pair, role):
    top = pair / "pair" / role
    sidecar = read_sidecar(top, role)
    lower, own = sidecar.nla_release.adapters

    assert (lower.path, lower.rank, lower.sha256) == (
        "adapters/1",
        16,
        state(pair / f"first-{role}"),
    )
    assert (own.path, own.rank, own.sha256) == (".", 4, None)
    assert state(top / "adapters" / "1") == lower.sha256
    assert sidecar.nla_release.training["stacked_on"]["adapter_sha256"] == lower.sha256
    first = read_sidecar(pair / f"first-{role}", role).nla_release.training
    assert chains_below(sidecar.nla_release.training) == [training_chain(first)]
    assert sorted(it.name for it in (top / "adapters" / "1").iterdir()) == [
        "adapter_config.json",
        WEIGHTS,
    ]


@torch.no_grad()
def test_all_adapters_of_a_stack_are_active_at_once(pair):
    def logits(*folders):
        base = load_base(TINY_BASE, None, quantization=None, dtype="float32", device="cpu")
        model = attach(base, {"av": list(folders)})
        use(model, "av")
        return model(input_ids=IDS).logits

    top = pair / "pair" / "av"
    both = logits(*stack(top, read_sidecar(top, "av")))
    merged = load_base(TINY_BASE, None, quantization=None, dtype="float32", device="cpu").model
    for folder in (top / "adapters" / "1", top):
        with calm():
            merged = peft.PeftModel.from_pretrained(merged, folder).merge_and_unload()

    assert torch.allclose(both, merged(input_ids=IDS).logits, atol=1e-4)
    assert not torch.allclose(both, logits(top), atol=1e-3)
    assert not torch.allclose(both, logits(top / "adapters" / "1"), atol=1e-6)


def test_a_stacked_pair_is_read_whole_and_refused_without_its_warm_start(pair, tmp_path):
    for role in ("av", "ar"):
        shutil.copytree(pair / "pair" / role, tmp_path / role)
    vectors = torch.randn(2, 64, generator=torch.Generator().manual_seed(0))
    pair = Pair.from_pretrained(tmp_path, base=TINY_BASE, device="cpu")
    assert torch.isfinite(pair.reconstruct(pair.explain(vectors, max_new_tokens=4))).all()

    shutil.rmtree(tmp_path / "av" / "adapters")
    with pytest.raises(PairError, match=r"adapters/1/adapter_model.safetensors is missing"):
        Pair.from_pretrained(tmp_path, base=TINY_BASE, device="cpu")


def test_an_adapter_of_another_run_below_is_refused(pair, tmp_path):
    shutil.copytree(pair / "pair" / "av", tmp_path / "av")
    shutil.copyfile(pair / "pair" / "av" / WEIGHTS, tmp_path / "av" / "adapters" / "1" / WEIGHTS)
    with pytest.raises(PairError, match="was trained on top of"):
        stack(tmp_path / "av", read_sidecar(tmp_path / "av", "av"))


def test_a_stack_from_whose_list_the_adapter_below_was_struck_is_refused(pair, tmp_path):
    """It would pass for an adapter that was trained on top of nothing."""
    folder = copied(pair, tmp_path)
    av = folder / "pair" / "av"
    assert "NLA310" not in failed(judged(folder, "pair"))

    shutil.rmtree(av / "adapters")
    alone = [{"path": ".", "rank": 4, "alpha": 8.0}]
    in_sidecar(folder / "pair", "av", ["nla_release", "adapters"], alone)
    assert "NLA310" in failed(judged(folder, "pair"))
    with pytest.raises(PairError, match="stacked_on is .*, which is not the adapter below"):
        stack(av, read_sidecar(av, "av"))


def test_a_third_adapter_goes_on_top_of_both(pair, tmp_path):
    folder = copied(pair, tmp_path)
    (folder / "pair" / "av").rename(folder / "second")
    train_av(recipe_with(folder, av={"stack_on": "second"}), folder, device="cpu", again=True)
    sidecar = read_sidecar(folder / "pair" / "av", "av")
    recorded = sidecar.nla_release.adapters

    assert len(chains_below(sidecar.nla_release.training)) == 2
    assert [it.path for it in recorded] == ["adapters/1", "adapters/2", "."]
    assert [it.rank for it in recorded] == [16, 4, 16]


def test_an_adapter_of_another_scale_is_not_stacked_on(pair, tmp_path):
    folder = copied(pair, tmp_path)
    block = {"stack_on": "first-av", "injection_scale": 17.0}
    with pytest.raises(ConfigError, match="stack_on .*: it has other injection than this training"):
        train_av(recipe_with(folder, av=block), folder, device="cpu", again=True)


def test_going_on_in_two_ways_at_once_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="give continue_from or stack_on, not both"):
        recipe_with(tmp_path, av={"stack_on": "a", "continue_from": "b"})


# -- the release --


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A rendered release whose AV is a stack of two: never change it, copy it."""
    release = make_release(tmp_path_factory.mktemp("stack") / "release", rows=60, documents=12)
    stacked(release.folder / "pair")
    measure(release, rows=60, documents=12)
    render(release, "0.0.1")
    return release


def test_a_stack_is_published_whole_and_its_card_loads_all_of_it(release):
    card = (release.dist / "av" / "README.md").read_text()

    assert (release.dist / "av" / "adapters" / "1" / WEIGHTS).is_file()
    assert 'subfolder="adapters/1", revision=REVISION, adapter_name="below_1"' in card
    assert 'av.base_model.set_adapter(["below_1", "top"])' in card
    assert "| On top of | 1 adapter, in `adapters/`: rank 2, alpha 4, sha256 `" in card
    assert not failed(judged(release.folder, "dist")) & {"NLA310", "NLA601", "NLA701", "NLA703"}


def test_a_repository_without_a_part_of_its_stack_is_refused(release, copy_of):
    folder = copy_of(release.folder)
    (folder / "dist" / "av" / "adapters" / "1" / WEIGHTS).unlink()

    assert "NLA310" in failed(judged(folder, "dist"))


@torch.no_grad()
def test_the_cards_lines_load_the_stack_as_the_engine_does(pair):
    top = pair / "pair" / "av"
    base = load_base(TINY_BASE, None, quantization=None, dtype="float32", device="cpu")
    with calm():
        av = peft.PeftModel.from_pretrained(
            base.model, str(top), subfolder="adapters/1", adapter_name="below_1"
        )
        av.load_adapter(str(top), adapter_name="top")
    av.set_adapter("top")
    av.base_model.set_adapter(["below_1", "top"])
    ours = load_base(TINY_BASE, None, quantization=None, dtype="float32", device="cpu")
    model = attach(ours, {"av": stack(top, read_sidecar(top, "av"))})
    use(model, "av")

    assert torch.equal(av.eval()(input_ids=IDS).logits, model(input_ids=IDS).logits)


@pytest.mark.parametrize(("role", "train"), [("av", train_av), ("ar", train_ar)])
def test_dropout_is_at_work_in_a_training_on_top_of_another(
    pair, tmp_path, monkeypatch, role, train
):
    class SeenError(Exception):
        pass

    def seen(title, parameters, task, *args, **options):
        assert task._model.training
        dropouts = [it for it in task._model.modules() if isinstance(it, torch.nn.Dropout)]
        assert dropouts
        assert all(it.training for it in dropouts)
        raise SeenError

    monkeypatch.setattr("nla_release.training.adapter_training.fit", seen)
    folder = copied(pair, tmp_path)
    block = {"stack_on": f"first-{role}", "dropout": 0.5}
    with pytest.raises(SeenError):
        train(recipe_with(folder, **{role: block}), folder, device="cpu", again=True)


@pytest.mark.parametrize("how", ["stack_on", "continue_from"])
@pytest.mark.parametrize("place", ["pair/av", "checkpoints/av/step_000001"])
def test_an_adapter_that_the_training_would_clear_away_is_refused(pair, tmp_path, how, place):
    folder = copied(pair, tmp_path)
    if not (folder / place).exists():
        shutil.copytree(folder / "first-av", folder / place)
    before = state(folder / place)
    with pytest.raises(ConfigError, match=f"{how} {place}: it is in .*, which this training"):
        train_av(recipe_with(folder, av={how: place}), folder, device="cpu", again=True)
    assert state(folder / place) == before


def test_a_training_on_top_of_another_that_was_cut_off_ends_as_if_it_was_not(
    pair, tmp_path, monkeypatch
):
    block = {"stack_on": "first-av", "dropout": 0.5, "checkpoint_every": 2}
    whole, cut = copied(pair, tmp_path / "whole"), copied(pair, tmp_path / "cut")
    train_av(recipe_with(whole, av=block), whole, device="cpu", again=True)

    class KilledError(Exception):
        pass

    def dying(self, rows, draw, learn=VerbalizerTask.loss):
        if draw.number == 4:
            raise KilledError
        return learn(self, rows, draw)

    with monkeypatch.context() as patch:
        patch.setattr(VerbalizerTask, "loss", dying)
        with pytest.raises(KilledError):
            train_av(recipe_with(cut, av=block), cut, device="cpu", again=True)
    train_av(recipe_with(cut, av=block), cut, device="cpu")

    left, right = (folder / "pair" / "av" for folder in (cut, whole))
    for name in (WEIGHTS, "training_log.jsonl"):
        assert sha256_file(left / name) == sha256_file(right / name)
