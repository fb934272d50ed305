"""A pair on its base: what it gives, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_release import Pair
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.engine.activations import read_activations
from nla_release.engine.architecture import block_output, decoder_of
from nla_release.engine.base import load_base
from nla_release.errors import (
    ConfigError,
    DataError,
    EnvironmentProblem,
    PairError,
    SidecarError,
    WeightsError,
)
from nla_release.evidence.controls import centred_cosines, cosines
from nla_release.io.files import dump_yaml, read_yaml
from tests.sidecars import TINY_BASE


def load(release, **more):
    return Pair.from_pretrained(
        release / "pair" / "av", release / "pair" / "ar", base=TINY_BASE, device="cpu", **more
    )


@pytest.fixture(scope="module")
def pair(good_release):
    return load(good_release)


@pytest.fixture(scope="module")
def vectors(good_release):
    return torch.from_numpy(
        read_activations(good_release / "data" / "eval.parquet", 64).vectors[:12]
    )


def said(pair, vectors, **options):
    """The texts of explanations."""
    options = {"max_new_tokens": 48} | options
    return [explanation.text for explanation in pair.explain(vectors, **options)]


def test_activations_become_words_and_words_become_activations(pair, vectors):
    explanations = pair.explain(vectors, max_new_tokens=48)
    again = pair.reconstruct(explanations)

    assert [explanation.status for explanation in explanations] == ["ok"] * 12
    assert all(str(explanation).startswith("the word") for explanation in explanations)
    assert (again.shape, again.dtype) == ((12, 64), torch.float32)
    assert torch.equal(again, pair.reconstruct([explanation.text for explanation in explanations]))


def test_score_is_the_evidences_cosine_plain_and_centred(good_release):
    """The mean that centres is in the evidence of a rendered release."""
    pair = Pair.from_pretrained(good_release / "dist", base=TINY_BASE, device="cpu")
    evidence = read_evidence(good_release / "evidence")
    gold = evidence.vectors["gold"][:12]
    scores = pair.score(gold, [row.explanation for row in evidence.rows[:12]])

    assert scores.cosine.numpy() == pytest.approx(cosines(evidence, "real")[:12], abs=1e-5)
    assert scores.centred.numpy() == pytest.approx(centred_cosines(evidence, "real")[:12], abs=1e-5)
    mean = evidence.vectors["reference_mean"]
    given = pair.score(gold, [row.explanation for row in evidence.rows[:12]], mean=mean)
    assert torch.equal(given.centred, scores.centred)


def test_a_pair_without_evidence_asks_for_the_mean(pair, vectors):
    with pytest.raises(DataError, match="the mean to centre cosines with is not known") as caught:
        pair.score(vectors[:1], ["the word rose"])

    assert "give mean=" in caught.value.hint
    with pytest.raises(DataError, match=r"2 vectors and 1 texts"):
        pair.score(vectors[:2], ["the word rose"], mean=torch.zeros(64))


def test_a_failed_explanation_scores_zero(pair, vectors):
    explanations = pair.explain(vectors[:3], max_new_tokens=2)
    scores = pair.score(vectors[:3], explanations, mean=np.zeros(64))

    assert [item.status for item in explanations] == ["truncated"] * 3
    assert scores.cosine.tolist() == scores.centred.tolist() == [0, 0, 0]


def test_batching_changes_nothing(pair, vectors):
    whole = pair.explain(vectors, max_new_tokens=48, batch_size=12)
    single = pair.explain(vectors, max_new_tokens=48, batch_size=1)
    texts = ["", "the word rose in a text", *whole]

    assert whole == single
    assert torch.allclose(
        pair.reconstruct(texts, batch_size=14), pair.reconstruct(texts, batch_size=1), atol=1e-4
    )


def test_numpy_and_torch_vectors_are_both_taken(pair, vectors):
    assert pair.explain(vectors.numpy()[:2], max_new_tokens=48) == pair.explain(
        vectors[:2], max_new_tokens=48
    )


def test_only_the_direction_of_a_vector_matters(pair, vectors):
    assert pair.explain(vectors * 1000, max_new_tokens=48) == pair.explain(
        vectors, max_new_tokens=48
    )


def test_the_prompt_is_injected_once_and_decoding_steps_never(pair, vectors, monkeypatch):
    import nla_release.engine.hooks as hooks

    lengths = []

    def counting(input_ids, *args, **kwargs):
        lengths.append(input_ids.shape[1])
        return inject(input_ids, *args, **kwargs)

    inject = hooks.inject
    monkeypatch.setattr(hooks, "inject", counting)
    pair.explain(vectors[:1], max_new_tokens=10)

    injection = pair.av.injection
    assert lengths == [len(injection.prompt_token_ids) - injection.marker_position + 1]


def test_the_ar_stops_at_its_read_block_and_leaves_the_base_whole(pair):
    decoder = decoder_of(pair._model)
    ran = []
    handles = [
        layer.register_forward_hook(lambda *_, at=at: ran.append(at))
        for at, layer in enumerate(decoder.layers)
    ]
    pair.reconstruct(["the word rose"])
    for handle in handles:
        handle.remove()

    assert ran == [0, 1, 2, 3]
    assert len(decoder_of(pair._model).layers) == 6
    assert type(decoder_of(pair._model).norm).__name__ == "Gemma4RMSNorm"


def test_a_blocks_output_is_the_next_hidden_state(pair):
    ids = torch.tensor([[2, 300, 301, 302]])
    with torch.no_grad():
        hidden = pair.base.model(input_ids=ids, output_hidden_states=True).hidden_states
        for block in range(5):
            read = block_output(pair.base.model, block, ids, torch.ones_like(ids))
            assert torch.allclose(read, hidden[block + 1], atol=1e-5)


def test_no_text_gives_no_vector(pair):
    assert pair.reconstruct([]).shape == (0, 64)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (torch.zeros(3, 65), r"take|takes \[N, 64\]"),
        (torch.zeros(64), r"takes \[N, 64\]"),
        (torch.full((2, 64), float("nan")), r"vectors \[0, 1\] hold NaN"),
        (np.full((1, 64), np.inf), "hold NaN or infinity"),
    ],
)
def test_vectors_that_cannot_be_activations_are_refused(pair, bad, words):
    with pytest.raises(DataError, match=words):
        pair.explain(bad)


@pytest.mark.parametrize("more", [{"dtype": "bfloat16"}, {"quantization": "nf4"}])
def test_it_works_in_bfloat16_and_on_a_4_bit_base(good_release, vectors, more):
    pair = load(good_release, **more)
    texts = said(pair, vectors)
    cosine = torch.nn.functional.cosine_similarity(
        pair.reconstruct(["the word rose in a text about gardening"]), vectors[:1]
    )

    assert sum(text.startswith("the word") for text in texts) >= 10
    assert torch.isfinite(cosine).all()
    if "quantization" in more:
        kinds = {type(module).__name__ for module in pair.base.model.modules()}
        assert "Linear4bit" in kinds


def change_sidecar(folder, keys, value):
    document = read_yaml(folder / "nla_meta.yaml")
    place = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (folder / "nla_meta.yaml").write_text(dump_yaml(document))


@pytest.mark.parametrize(
    ("role", "keys", "value", "words"),
    [
        ("ar", ("extraction_layer_index",), 4, "extraction_layer_index: AV says 3, AR says 4"),
        ("ar", ("nla_release", "base", "revision"), "other", "base.revision"),
        ("av", ("prompt_templates", "ar"), "{explanation} then", "prompt_templates.ar"),
        ("av", ("tokens", "injection_left_neighbor_id"), 9, "injection_left_neighbor_id 9"),
        ("ar", ("tokens", "critic_suffix_ids"), [9], "critic_suffix_ids"),
    ],
)
def test_a_pair_whose_sidecars_disagree_is_refused(good_release, copy_of, role, keys, value, words):
    release = copy_of(good_release)
    change_sidecar(release / "pair" / role, keys, value)
    with pytest.raises(PairError, match=words):
        load(release)


def test_a_pair_for_another_width_is_refused(good_release, copy_of):
    release = copy_of(good_release)
    for role in ("av", "ar"):
        change_sidecar(release / "pair" / role, ("d_model",), 32)
    change_sidecar(release / "pair" / "ar", ("nla_release", "ar_head", "shape"), [32, 32])
    save_file({"weight": torch.eye(32)}, release / "pair" / "ar" / "value_head.safetensors")
    with pytest.raises(PairError, match="d_model 32, base nla-demo/tiny-gemma4 has 64"):
        load(release)


def test_a_pair_for_a_deeper_base_is_refused(good_release, copy_of):
    release = copy_of(good_release)
    for role in ("av", "ar"):
        change_sidecar(release / "pair" / role, ("extraction_layer_index",), 23)
    with pytest.raises(PairError, match="needs block 23, the base has blocks 0 to 5"):
        load(release)


def rename_keys(path, old, new):
    save_file({key.replace(old, new): value for key, value in load_file(path).items()}, path)


def test_an_adapter_whose_keys_do_not_land_is_refused_where_peft_only_warns(good_release, copy_of):
    release = copy_of(good_release)
    path = release / "pair" / "av" / "adapter_model.safetensors"
    rename_keys(path, "model.language_model.", "language_model.model.")
    with pytest.raises(PairError, match=r"\d+ adapted modules do not fit Gemma4For") as caught:
        load(release)

    assert "no such module" in caught.value.message


def test_an_adapter_that_lacks_tensors_its_config_asks_for_is_refused(good_release, copy_of):
    release = copy_of(good_release)
    path = release / "pair" / "av" / "adapter_model.safetensors"
    tensors = {key: value for key, value in load_file(path).items() if ".layers.2." not in key}
    save_file(tensors, path)
    with pytest.raises(
        PairError, match="7 modules that target_modules matches .* are not in the file"
    ):
        load(release)


def test_an_adapter_of_another_shape_is_refused(good_release, copy_of):
    release = copy_of(good_release)
    path = release / "pair" / "av" / "adapter_model.safetensors"
    tensors = load_file(path)
    key = next(key for key in tensors if key.endswith("q_proj.lora_A.weight"))
    tensors[key] = torch.ones(tensors[key].shape[0], 65)
    save_file(tensors, path)
    with pytest.raises(PairError, match="the base has in, out"):
        load(release)


@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("av", "adapter_model.safetensors"),
        ("ar", "adapter_model.safetensors"),
        ("ar", "value_head.safetensors"),
    ],
)
def test_damaged_weights_are_refused_by_name(good_release, copy_of, role, name):
    release = copy_of(good_release)
    path = release / "pair" / role / name
    tensors = load_file(path)
    first = next(iter(tensors))
    tensors[first][0, 0] = float("nan")
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=name):
        load(release)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError, match="not a complete safetensors file"):
        load(release)


def test_a_head_with_other_tensors_is_refused(good_release, copy_of):
    release = copy_of(good_release)
    save_file({"v_head.weight": torch.eye(64)}, release / "pair" / "ar" / "value_head.safetensors")
    with pytest.raises(WeightsError, match="v_head.weight.*the sidecar declares"):
        load(release)


def test_swapped_folders_are_noticed(good_release):
    with pytest.raises(SidecarError, match="swapped"):
        Pair.from_pretrained(good_release / "pair" / "ar", good_release / "pair" / "av")


def test_a_base_that_is_not_there_is_the_environments_fault(good_release):
    with pytest.raises(EnvironmentProblem, match="the commit of the default branch of base a/b"):
        Pair.from_pretrained(good_release / "pair" / "av", good_release / "pair" / "ar", base="a/b")


def test_a_folder_that_is_not_there_is_the_users_fault(good_release):
    with pytest.raises(ConfigError, match="/nowhere/at/all, does not exist"):
        Pair.from_pretrained(
            good_release / "pair" / "av", good_release / "pair" / "ar", base="/nowhere/at/all"
        )


def test_a_base_whose_weights_do_not_fit_its_configuration_is_told(tmp_path):
    base = tmp_path / "base"
    shutil.copytree(TINY_BASE, base)
    config = json.loads((base / "config.json").read_text())
    config["text_config"]["intermediate_size"] *= 2
    (base / "config.json").write_text(json.dumps(config))

    with pytest.raises(EnvironmentProblem, match="cannot be loaded: .*mismatched"):
        load_base(str(base), None, quantization=None, dtype="float32", device="cpu")


def test_a_repository_that_is_not_there_is_the_environments_fault():
    with pytest.raises(EnvironmentProblem, match="nobody/nothing-av"):
        Pair.from_pretrained("nobody/nothing-av", "nobody/nothing-ar", revision="v0.0.1")
    with pytest.raises(PairError, match="neither a folder nor a Hub id"):
        Pair.from_pretrained("../no/such/folder", "nobody/nothing-ar")
    with pytest.raises(EnvironmentProblem, match="nobody/nothing-av"):
        Pair.from_pretrained("nobody/nothing-av", local_files_only=True)


def test_the_adapters_config_names_the_base_by_its_hub_id(good_release):
    for role in ("av", "ar"):
        config = json.loads((good_release / "pair" / role / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "nla-demo/tiny-gemma4"


def test_a_pair_whose_partners_name_others_is_refused(good_release, copy_of):
    release = copy_of(good_release)
    for role in ("av", "ar"):
        (release / "pair" / role / "nla_meta.yaml").write_bytes(
            (release / "dist" / role / "nla_meta.yaml").read_bytes()
        )
    load(release)
    keys = ("nla_release", "partner", "sha256")
    change_sidecar(release / "pair" / "av", keys, "0" * 64)
    with pytest.raises(PairError, match="the AV was released with .* sha256 000000000000"):
        load(release)


def test_no_vector_gives_no_text_and_one_text_is_not_many(pair):
    assert pair.explain(torch.zeros(0, 64)) == []
    with pytest.raises(DataError, match="a list of texts, not one text"):
        pair.reconstruct("the word rose")


@pytest.mark.parametrize(
    ("device", "error"), [("banana", ConfigError), ("cuda", EnvironmentProblem)]
)
def test_a_device_that_is_not_there_is_named(good_release, device, error):
    with pytest.raises(error, match="device"):
        Pair.from_pretrained(
            good_release / "pair" / "av",
            good_release / "pair" / "ar",
            base=TINY_BASE,
            device=device,
        )
