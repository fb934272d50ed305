"""A pair that somebody trained becomes a release folder: whole, or not at all."""

import hashlib
import pickle
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch

from nla_release.contract.chat import read_chat
from nla_release.contract.prompt import check_replay, check_suffix, encoder, load_tokenizer
from nla_release.contract.sidecar import disagreements, read_sidecar
from nla_release.errors import ConfigError, InputError, PairError, RefusedError, WeightsError
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.io.files import dump_json, read_json, read_yaml, write_atomic
from nla_release.release.folder import read_release
from nla_release.sidecar_formats.adopt import Naming, adopt
from nla_release.sidecar_formats.folder import Source
from tests.builders_pair import make_base, make_pair
from tests.chats import CHATML, TURNS
from tests.sidecar_formats.samples import (
    COMMON,
    STAGES,
    TEMPLATES,
    TOKENIZER,
    head_values,
    make_foreign_pair,
    make_kitft_pair,
    make_solshine_pair,
    write_files,
)
from tests.sidecars import TINY_BASE
from train.demo import BASE

NAMING = Naming(namespace="somebody", license="apache-2.0")
KITFT = {name: answer for name, answer in COMMON.items() if name != "ar.final_norm"}
SOLSHINE = COMMON | TEMPLATES | STAGES | {"ar.read_block": "2"}


def adopted(pair: Path, out: Path, answers, naming=NAMING, tokenizer=TOKENIZER):
    sources = {role: Source(pair / role) for role in ("av", "ar")}
    return adopt(sources, out, answers=answers, naming=naming, tokenizer=tokenizer)


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder with the hash of its bytes and its time of change."""
    return {
        str(path): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def malicious(target: Path) -> Any:
    """An object whose pickle makes a file when it is read."""

    class Malicious:
        def __reduce__(self):
            return (Path.touch, (target,))

    return Malicious()


def assert_replays(folder: Path) -> None:
    """Both sidecars are canonical, agree, and say what the tokenizer says."""
    encode = encoder(load_tokenizer(TOKENIZER))
    av, ar = (read_sidecar(folder / "pair" / role, role) for role in ("av", "ar"))
    check_replay(av, encode, unk_id=3)
    check_suffix(ar, encode)
    assert disagreements(av, ar) == []


def test_a_pair_of_the_reference_contract_becomes_a_release(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    write_files(pair / "av", {"notes.txt": "private", "optimizer.pt": "x"})
    before = tree(pair)

    adopted(pair, tmp_path / "out", KITFT)

    assert tree(pair) == before
    assert files(tmp_path / "out") == {
        "release.yaml",
        "pair/av/adapter_config.json",
        "pair/av/adapter_model.safetensors",
        "pair/av/nla_meta.yaml",
        "pair/av/training_log.jsonl",
        "pair/ar/adapter_config.json",
        "pair/ar/adapter_model.safetensors",
        "pair/ar/nla_meta.yaml",
        "pair/ar/training_log.jsonl",
        "pair/ar/value_head.safetensors",
    }
    assert_replays(tmp_path / "out")
    av = read_sidecar(tmp_path / "out" / "pair" / "av")
    assert av.injection.scale == av.extraction.injection_scale == 150.0
    assert av.nla_release.adapters[0].rank == 2
    config = read_release(tmp_path / "out").config
    assert (config.name, config.namespace) == ("tiny-nla-L3", "somebody")


def test_a_pickled_head_becomes_safetensors_with_the_same_values(tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")
    before = tree(pair)
    pickled = torch.load(pair / "ar" / "linear_head.pt", weights_only=True)

    adopted(pair, tmp_path / "out", SOLSHINE)

    assert tree(pair) == before
    assert_replays(tmp_path / "out")
    ar = read_sidecar(tmp_path / "out" / "pair" / "ar")
    assert (ar.head.bias, ar.head.blocks, ar.head.dtype) == (True, 3, "float32")
    assert ar.extraction_layer_index == 3
    written = head_values(tmp_path / "out" / "pair" / "ar")
    assert np.array_equal(written["weight"], pickled["weight"].numpy())
    assert np.array_equal(written["bias"], pickled["bias"].numpy())
    assert "pair/ar/linear_head.pt" not in files(tmp_path / "out")
    av = read_sidecar(tmp_path / "out" / "pair" / "av")
    assert av.injection.scale == 4.0


def test_what_was_inferred_is_marked_where_it_is_written(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    adopted(pair, tmp_path / "out", KITFT)

    release = (tmp_path / "out" / "release.yaml").read_text()
    assert 'name: "tiny-nla-L3"  # inferred: from the base and the layer' in release
    assert 'base_model: "someone/tiny"  # inferred: from adapter_config.json of the AV' in release
    assert 'namespace: "somebody"\n' in release
    sidecar = (tmp_path / "out" / "pair" / "av" / "nla_meta.yaml").read_text()
    assert "# inferred: base_model, from adapter_config.json of the AV\n" in sidecar
    assert str(tmp_path) not in sidecar
    assert "# answered: base_dtype, from the answer given\n" in sidecar


def test_open_questions_are_all_listed_and_nothing_is_written(tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")

    with pytest.raises(ConfigError) as caught:
        adopted(pair, tmp_path / "out", {}, naming=Naming())

    asked = re.findall(r"--answer '?([a-z_.]+)=", caught.value.message)
    assert sorted(asked) == sorted([*SOLSHINE, "license"])
    assert "--namespace NAME" in caught.value.message
    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


def test_a_folder_that_exists_is_never_overwritten(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    (tmp_path / "out").mkdir()

    with pytest.raises(RefusedError, match="exists and is not overwritten"):
        adopted(pair, tmp_path / "out", KITFT)

    assert list((tmp_path / "out").iterdir()) == []


def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path):
    target = tmp_path / "executed"
    pair = make_solshine_pair(tmp_path / "theirs")
    head = pair / "ar" / "linear_head.pt"
    torch.save(malicious(target), head)
    torch.load(head, weights_only=False)
    assert target.exists(), "the pickle is a real one"
    target.unlink()

    with pytest.raises(WeightsError, match="was not executed") as caught:
        adopted(pair, tmp_path / "out", SOLSHINE)

    assert not target.exists()
    assert not (tmp_path / "out").exists()
    assert "linear_head.pt" in caught.value.message
    assert "holds code, getattr, which was not executed" in caught.value.message
    assert "will likely succeed" not in caught.value.message


def pickle_adapter(folder: Path) -> dict[str, np.ndarray]:
    """Leave the adapter's tensors as PEFT did of old, in a pickle; gives their values."""
    tensors = safetensors.numpy.load_file(folder / "adapter_model.safetensors")
    (folder / "adapter_model.safetensors").unlink()
    state = {name: torch.from_numpy(value) for name, value in tensors.items()}
    torch.save(state, folder / "adapter_model.bin")
    return tensors


def test_a_pickled_adapter_becomes_safetensors_with_the_same_values(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    tensors = pickle_adapter(pair / "ar")
    before = tree(pair)

    report = adopted(pair, tmp_path / "out", KITFT)

    assert tree(pair) == before
    written = safetensors.numpy.load_file(
        tmp_path / "out" / "pair" / "ar" / "adapter_model.safetensors"
    )
    assert written.keys() == tensors.keys()
    assert all(np.array_equal(written[name], tensors[name]) for name in tensors)
    assert not (tmp_path / "out" / "pair" / "ar" / "adapter_model.bin").exists()
    assert any("converted from the pickle adapter_model.bin" in note for note in report.notes["ar"])


def test_a_malicious_adapter_is_refused_and_not_executed(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    pickle_adapter(pair / "av")
    target = tmp_path / "executed"
    torch.save(malicious(target), pair / "av" / "adapter_model.bin")
    torch.load(pair / "av" / "adapter_model.bin", weights_only=False)
    assert target.exists(), "the pickle is a real one"
    target.unlink()

    with pytest.raises(WeightsError, match=r"adapter_model\.bin .* was not executed"):
        adopted(pair, tmp_path / "out", KITFT)

    assert not target.exists()
    assert not (tmp_path / "out").exists()


def test_an_adapter_without_weights_is_an_error(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    (pair / "av" / "adapter_model.safetensors").unlink()

    with pytest.raises(WeightsError, match=r"adapter_model\.safetensors does not exist"):
        adopted(pair, tmp_path / "out", KITFT)


@pytest.mark.parametrize("path", ["/home/someone/models/tiny", "./tiny", None])
def test_a_local_path_to_the_base_is_replaced_in_the_copy_and_said(tmp_path, path):
    pair = make_solshine_pair(tmp_path / "theirs")
    config = pair / "av" / "adapter_config.json"
    write_atomic(config, dump_json(read_json(config) | {"base_model_name_or_path": path}))
    before = tree(pair)

    report = adopted(pair, tmp_path / "out", SOLSHINE)

    assert tree(pair) == before
    copied = read_json(tmp_path / "out" / "pair" / "av" / "adapter_config.json")
    assert copied["base_model_name_or_path"] == "someone/tiny"
    assert any("now names someone/tiny" in note for note in report.notes["av"])
    assert not any("now names someone/tiny" in note for note in report.notes["ar"])
    sidecar = (tmp_path / "out" / "pair" / "av" / "nla_meta.yaml").read_text()
    assert "a path on the trainer's machine; it now names someone/tiny" in sidecar


def test_adapters_of_two_bases_are_an_error_unless_a_person_says_which(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    config = pair / "ar" / "adapter_config.json"
    write_atomic(config, dump_json(read_json(config) | {"base_model_name_or_path": "other/base"}))

    with pytest.raises(PairError, match=r"'someone/tiny' by .* AV but 'other/base' by .* AR"):
        adopted(pair, tmp_path / "out", KITFT)
    adopted(pair, tmp_path / "out", KITFT | {"base_model": "other/base"})

    for role in ("av", "ar"):
        copied = read_json(tmp_path / "out" / "pair" / role / "adapter_config.json")
        assert copied["base_model_name_or_path"] == "other/base"


def test_a_training_log_is_taken_along_only_when_it_can_be_read(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    write_files(pair / "ar", {"training_log.jsonl": '{"iteration": 1, "kl": 0.5}\n'})

    report = adopted(pair, tmp_path / "out", KITFT)

    assert (tmp_path / "out" / "pair" / "av" / "training_log.jsonl").read_bytes() == (
        pair / "av" / "training_log.jsonl"
    ).read_bytes()
    assert not (tmp_path / "out" / "pair" / "ar" / "training_log.jsonl").exists()
    assert any("left out because its format is unknown" in note for note in report.notes["ar"])


def test_a_prompt_through_a_chat_template_is_rendered_and_recorded(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    base = shutil.copytree(TINY_BASE, tmp_path / "base")
    write_files(base, {"chat_template.jinja": TURNS})
    answers = {name: answer for name, answer in KITFT.items() if name != "av.prompt_encoding"}

    report = adopted(pair, tmp_path / "out", answers, tokenizer=base / "tokenizer.json")

    assert report.known["av.prompt_encoding"].how == "inferred"
    assert "the reference contract" in report.known["av.prompt_encoding"].source
    av = read_sidecar(tmp_path / "out" / "pair" / "av", "av")
    assert av.injection.prompt_encoding == "chat"
    encode = encoder(load_tokenizer(base / "tokenizer.json"))
    check_replay(av, encode, unk_id=3, chat=read_chat(base))


def test_a_chat_template_that_can_think_is_a_question_of_whether_it_did(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    base = shutil.copytree(TINY_BASE, tmp_path / "base")
    write_files(base, {"chat_template.jinja": CHATML})
    answers = {name: answer for name, answer in KITFT.items() if name != "av.prompt_encoding"}

    with pytest.raises(ConfigError, match="1 question that the files") as caught:
        adopted(pair, tmp_path / "out", answers, tokenizer=base / "tokenizer.json")
    assert """such as {"enable_thinking": false}; {} for none""" in str(caught.value)

    answers["av.chat_options"] = '{"enable_thinking": false}'
    adopted(pair, tmp_path / "out", answers, tokenizer=base / "tokenizer.json")
    chat = read_sidecar(tmp_path / "out" / "pair" / "av", "av").injection.chat_template
    assert chat is not None
    assert chat.options == {"enable_thinking": False}


def test_without_the_chat_template_what_it_gives_is_asked_for(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    answers = {name: answer for name, answer in KITFT.items() if name != "av.prompt_encoding"}

    with pytest.raises(ConfigError) as caught:
        adopted(pair, tmp_path / "out", answers)

    asked = re.findall(r"--answer '?([a-z_0-9.]+)=", caught.value.message)
    assert sorted(asked) == ["av.chat_options", "av.chat_template_sha256", "av.prompt_token_ids"]
    assert "because there is no chat template with the tokenizer given" in caught.value.message
    assert "give --tokenizer" not in caught.value.message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not a pickle", "is damaged, or is no pickle of tensors"),
        (pickle.dumps({"weight": 1}, protocol=4), "is damaged, or is no pickle of tensors"),
        (b"", "is empty"),
        ({"a": 1}, "holds a dict, expected tensors by name"),
        ([torch.zeros(2, 2)], "holds a list"),
        ({"weight": torch.zeros(2, 2), "other": torch.zeros(2)}, "holds other, weight"),
        ({"x.weight": torch.zeros(2, 3)}, "expected \\[d, d\\]"),
        ({"weight": torch.zeros(2, 2).to_sparse()}, "expected tensors by name"),
        ({"weight": torch.zeros(2, 2, dtype=torch.int64)}, "expected a float"),
    ],
)
def test_a_pickle_that_is_no_head_is_an_error_with_its_name(tmp_path, content, words):
    pair = make_solshine_pair(tmp_path / "theirs")
    head = pair / "ar" / "linear_head.pt"
    if isinstance(content, bytes):
        head.write_bytes(content)
    else:
        torch.save(content, head)

    with pytest.raises(WeightsError, match=words) as caught:
        adopted(pair, tmp_path / "out", SOLSHINE)
    assert caught.value.message.startswith(str(head)), "and not the folder that was being written"
    assert caught.value.hint


@pytest.mark.parametrize(
    "state",
    [
        torch.eye(16),
        {"linear.weight": torch.eye(16), "linear.bias": torch.zeros(16)},
        {"weight": torch.eye(16, dtype=torch.bfloat16)},
    ],
)
def test_a_head_is_found_under_the_names_that_trainers_give_it(tmp_path, state):
    pair = make_solshine_pair(tmp_path / "theirs")
    torch.save(state, pair / "ar" / "linear_head.pt")

    adopted(pair, tmp_path / "out", SOLSHINE)

    read_sidecar(tmp_path / "out" / "pair" / "ar", "ar")


def test_two_pickled_heads_are_a_question_of_which(tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")
    shutil.copy(pair / "ar" / "linear_head.pt", pair / "ar" / "value_head.pt")

    with pytest.raises(WeightsError, match=r"linear_head\.pt, value_head\.pt"):
        adopted(pair, tmp_path / "out", SOLSHINE)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    secret = tmp_path / "secret.json"
    (pair / "av" / "adapter_config.json").rename(secret)
    (pair / "av" / "adapter_config.json").symlink_to(secret)

    with pytest.raises(InputError, match="symbolic link"):
        adopted(pair, tmp_path / "out", KITFT)


def test_an_adapter_in_a_folder_of_its_own_is_found(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    inner = pair / "av" / "adapter"
    inner.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (pair / "av" / name).rename(inner / name)

    adopted(pair, tmp_path / "out", KITFT)

    assert read_json(tmp_path / "out" / "pair" / "av" / "adapter_config.json")["r"] == 2


def test_a_canonical_pair_is_taken_as_it_is(tmp_path):
    pair = make_pair(tmp_path / "theirs")

    adopted(pair, tmp_path / "out", {}, tokenizer=None)

    for role in ("av", "ar"):
        assert read_sidecar(tmp_path / "out" / "pair" / role) == read_sidecar(pair / role)


@pytest.mark.parametrize("make", [make_kitft_pair, make_solshine_pair])
def test_swapped_adapters_are_told_before_their_files_are_read(tmp_path, make):
    pair = make(tmp_path / "theirs")
    sources = {"av": Source(pair / "ar"), "ar": Source(pair / "av")}

    with pytest.raises(InputError, match="are AV and AR swapped") as caught:
        adopt(sources, tmp_path / "out", answers={}, naming=NAMING)

    assert caught.value.hint == "give the AV's folder first, then the AR's"


def test_without_a_role_the_head_tells_which_is_the_reconstructor(tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")
    sidecar = pair / "av" / "nla_meta.yaml"
    write_atomic(sidecar, re.sub("role: .*\n", "", sidecar.read_text()))
    sources = {"av": Source(pair / "ar"), "ar": Source(pair / "av")}

    with pytest.raises(WeightsError, match=r"av has no head .* are AV and AR swapped\?"):
        adopt(sources, tmp_path / "out", answers={}, naming=NAMING)


def test_a_failed_run_leaves_no_folder_behind(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")

    with pytest.raises(ConfigError):
        adopted(pair, tmp_path / "fresh" / "deep" / "out", {})

    assert [path.name for path in tmp_path.iterdir()] == ["theirs"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: [", "is not valid YAML"),
        ("- kind", "must hold a YAML mapping"),
        ("x: .nan", "x is NaN"),
        ("x: 99999999999999999999", "x is an integer of more than 64 bits"),
        ("x: !!binary aGk=", "holds binary data, which"),
        ("kind: nla_model\nrole: av\nd_model: 16\nstage: no", "stage: false is not text; write it"),
    ],
)
def test_a_sidecar_that_cannot_be_read_says_what_to_do(tmp_path, text, words):
    pair = make_kitft_pair(tmp_path / "theirs")
    (pair / "av" / "nla_meta.yaml").write_text(text)

    with pytest.raises(InputError) as caught:
        adopted(pair, tmp_path / "out", KITFT)

    assert words in caught.value.message
    assert "in a copy of the folder" in caught.value.hint


def test_a_base_of_another_width_is_not_measured_for_the_pair(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    answers = {name: value for name, value in KITFT.items() if name != "embedding_mean"}
    sources = {role: Source(pair / role) for role in ("av", "ar")}

    with pytest.raises(PairError, match="has width 64, but the activations have 16"):
        adopt(sources, tmp_path / "out", answers=answers, naming=NAMING, base=BASE)


def test_a_format_that_cannot_be_run_is_refused_before_anything_is_written(tmp_path):
    pair = make_foreign_pair(tmp_path / "theirs", "EasyNLA", None)
    write_files(pair / "ar", {"linear_head.pt": "x"})

    with pytest.raises(RefusedError, match="EasyNLA") as caught:
        adopted(pair, tmp_path / "out", {})

    assert "release this pair with the tool that trained it" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_the_precision_of_the_training_is_that_of_the_evaluation(tmp_path):
    adopted(make_kitft_pair(tmp_path / "theirs"), tmp_path / "out", KITFT)

    evaluation = read_yaml(tmp_path / "out" / "release.yaml")["evaluation"]
    assert (evaluation["quantization"], evaluation["dtype"]) == ("nf4", "bfloat16")


def renamed_head(pair: Path, name: str, tensors: dict[str, torch.Tensor]) -> None:
    """Keep the AR's head as another trainer does: one file, under its own names."""
    (pair / "ar" / "linear_head.pt").unlink(missing_ok=True)
    if name.endswith(".safetensors"):
        safetensors.torch.save_file(tensors, pair / "ar" / name)
    else:
        torch.save(
            {"state_dict": tensors, "step": 400, "optimizer": {"lr": 0.1}}, pair / "ar" / name
        )


@pytest.mark.parametrize("name", ["ar_head_step400.pt", "LinearHead.pth", "my_head.safetensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_head_of_any_name_is_found_inside_a_checkpoint_too(tmp_path, name, dtype):
    pair = make_solshine_pair(tmp_path / "theirs")
    weight, bias = torch.eye(16, dtype=dtype) * 3, torch.ones(16, dtype=dtype)
    renamed_head(pair, name, {"proj.weight": weight, "proj.bias": bias})

    report = adopted(pair, tmp_path / "out", SOLSHINE)

    written = safetensors.torch.load_file(tmp_path / "out/pair/ar/value_head.safetensors")
    assert torch.equal(written["weight"], weight)
    assert torch.equal(written["bias"], bias)
    assert any(name in note for note in report.notes["ar"])


def test_the_likely_read_block_is_the_deepest_where_the_adapter_is_not_zero(tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")
    path = pair / "ar" / "adapter_model.safetensors"
    tensors = safetensors.numpy.load_file(path)
    for name, value in tensors.items():
        if ".layers.3." in name and "lora_B" in name:
            value[:] = -0.0
    safetensors.numpy.save_file(tensors, path)
    answers = {name: value for name, value in SOLSHINE.items() if name != "ar.read_block"}

    with pytest.raises(ConfigError) as caught:
        adopted(pair, tmp_path / "out", answers)

    assert "likely --answer ar.read_block=2" in caught.value.message


def test_nothing_is_called_likely_that_no_file_shows(tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")

    with pytest.raises(ConfigError) as caught:
        adopted(pair, tmp_path / "out", {})

    likely = re.findall(r"likely --answer '?([a-z_.]+)=", caught.value.message)
    assert sorted(likely) == ["ar.read_block", "injection_char"]
    assert "none or nf4: --answer base_quantization=..." in caught.value.message


def test_a_pair_without_any_sidecar_is_asked_for_everything(tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")
    (pair / "av" / "nla_meta.yaml").unlink()
    answers = SOLSHINE | {"layer": "3", "av.injection_scale": "4.0"}

    report = adopted(pair, tmp_path / "out", answers)

    assert report.formats[0] == "no sidecar"
    assert read_sidecar(tmp_path / "out" / "pair" / "av").injection.scale == 4.0


def test_a_sidecar_in_no_known_format_is_named_with_its_folder(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    write_files(pair / "ar", {"nla_meta.yaml": "{hello: 1}"})

    with pytest.raises(InputError) as caught:
        adopted(pair, tmp_path / "out", KITFT)

    assert str(pair / "ar") in caught.value.message


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "value_head.safetensors"])
@pytest.mark.parametrize("damage", ["pointer", "truncated"])
def test_weights_that_are_not_there_are_not_copied_without_a_word(tmp_path, name, damage):
    pair = make_kitft_pair(tmp_path / "theirs")
    path = pair / "ar" / name
    if damage == "pointer":
        oid = "0" * 64
        path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 9\n")
    else:
        path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(WeightsError) as caught:
        adopted(pair, tmp_path / "out", KITFT)

    assert str(path) in caught.value.message
    assert ("git lfs pull" if damage == "pointer" else "truncated") in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_truncated_weights_of_the_av_are_refused_too(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    path = pair / "av" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])

    with pytest.raises(WeightsError, match="is not a complete safetensors file"):
        adopted(pair, tmp_path / "out", KITFT)


def test_what_no_release_may_publish_is_left_out_of_the_sidecar_and_said(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    sidecar = pair / "av" / "nla_meta.yaml"
    text = sidecar.read_text() + "parents: [/home/ann/run/av, other]\nnote: {kept: yes}\n"
    write_atomic(sidecar, text)

    report = adopted(pair, tmp_path / "out", KITFT)

    written = tmp_path / "out" / "pair" / "av" / "nla_meta.yaml"
    left = read_yaml(written)
    assert "rollout_id" not in left["training"]
    assert left["training"]["loss_type"] == "policy_loss"
    assert left["note"] == {"kept": True}
    assert "/home/ann" not in written.read_text()
    notes = "\n".join(report.notes["av"])
    assert "training.rollout_id is left out of nla_meta.yaml" in notes
    found = find_subject(tmp_path / "out", None)
    assert "NLA504" not in {finding.code for finding in apply_rules(found).findings}


def test_the_licence_that_both_cards_state_is_not_asked_for(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    for role in ("av", "ar"):
        write_files(pair / role, {"README.md": "---\nlicense: mit\n---\n# Theirs\n"})

    adopted(pair, tmp_path / "out", KITFT, naming=Naming(namespace="somebody"))

    text = (tmp_path / "out" / "release.yaml").read_text()
    assert 'license: "mit"  # inferred: from README.md of AV and AR' in text


def test_two_cards_of_different_licences_are_a_question(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    for role, licence in (("av", "mit"), ("ar", "apache-2.0")):
        write_files(pair / role, {"README.md": f"---\nlicense: {licence}\n---\n# Theirs\n"})

    with pytest.raises(ConfigError, match="--answer license="):
        adopted(pair, tmp_path / "out", KITFT, naming=Naming(namespace="somebody"))


OWN_TERMS = "license: other\nlicense_name: mine-1.0\nlicense_link: "


@pytest.mark.parametrize("name", ["LICENSE", "LICENSE.md"])
def test_the_licence_file_of_both_cards_is_copied_and_not_asked_for(tmp_path, name):
    pair = make_kitft_pair(tmp_path / "theirs")
    for role in ("av", "ar"):
        card = f"---\n{OWN_TERMS}{name}\n---\n# Theirs\n"
        write_files(pair / role, {"README.md": card, name: "Do as you like.\n"})

    adopted(pair, tmp_path / "out", KITFT, naming=Naming(namespace="somebody"))

    config = read_release(tmp_path / "out").config
    assert (config.license, config.license_name) == ("other", "mine-1.0")
    assert config.license_link == "LICENSE"
    assert (tmp_path / "out" / "LICENSE").read_text() == "Do as you like.\n"


@pytest.mark.parametrize("link", ["LICENSE", "../secret.txt", "/etc/hostname", ".."])
def test_a_licence_file_that_cannot_be_taken_over_is_a_question(tmp_path, link):
    """AV and AR have different texts, or the card leads out of its folder."""
    pair = make_kitft_pair(tmp_path / "theirs")
    (pair / "secret.txt").write_text("not yours")
    for role in ("av", "ar"):
        card = f"---\n{OWN_TERMS}{link}\n---\n# Theirs\n"
        write_files(pair / role, {"README.md": card, "LICENSE": f"The terms of the {role}.\n"})

    with pytest.raises(ConfigError, match="--answer license="):
        adopted(pair, tmp_path / "out", KITFT, naming=Naming(namespace="somebody"))


def test_a_card_may_add_the_address_of_a_known_licence(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    for role in ("av", "ar"):
        card = f"license: apache-2.0\nlicense_link: https://huggingface.co/a/{role}/LICENSE"
        write_files(pair / role, {"README.md": f"---\n{card}\n---\n"})

    adopted(pair, tmp_path / "out", KITFT, naming=Naming(namespace="somebody"))

    config = read_release(tmp_path / "out").config
    assert (config.license, config.license_link) == ("apache-2.0", None)


@pytest.mark.parametrize(
    ("role", "old", "new"),
    [("ar", "d_model: 16", "d_model: 32"), ("av", "neighbor_id: 273", "neighbor_id: 272")],
)
def test_facts_that_contradict_each_other_name_both_folders(tmp_path, role, old, new):
    pair = make_kitft_pair(tmp_path / "theirs")
    path = pair / role / "nla_meta.yaml"
    path.write_text(path.read_text().replace(old, new))

    with pytest.raises(PairError) as caught:
        adopted(pair, tmp_path / "out", KITFT)

    assert str(pair / "av") in caught.value.message
    assert str(pair / "ar") in caught.value.message


def test_a_licence_that_render_would_refuse_is_refused_at_once(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")

    with pytest.raises(ConfigError, match=r"did you mean apache-2\.0\?"):
        adopted(pair, tmp_path / "out", KITFT, naming=Naming("somebody", license="Apache-2.0"))


def test_the_copy_of_the_base_is_written_as_base_path(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    base = make_base(tmp_path / "base")
    sources = {role: Source(pair / role) for role in ("av", "ar")}

    adopt(sources, tmp_path / "deep" / "out", answers=KITFT, naming=NAMING,
          tokenizer=TOKENIZER, base=base)  # fmt: skip

    release = read_release(tmp_path / "deep" / "out")
    assert release.base_path is not None
    assert release.base_path.resolve() == base
    assert release.config.base_path == "../../base"


def test_the_commit_of_a_copy_from_the_cache_is_offered(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    commit = "cd" * 20
    base = make_base(tmp_path / "models--someone--tiny" / "snapshots" / commit)
    answers = {name: value for name, value in KITFT.items() if name != "base_revision"}
    sources = {role: Source(pair / role) for role in ("av", "ar")}

    with pytest.raises(ConfigError) as caught:
        adopt(sources, tmp_path / "out", answers=answers, naming=NAMING,
              tokenizer=TOKENIZER, base=base)  # fmt: skip

    assert f"likely --answer base_revision={commit}" in caught.value.message
