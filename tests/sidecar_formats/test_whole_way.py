"""Somebody else's pair goes the whole way: adopted, measured, rendered and judged.

The sound pair of the demo is written down as others would have left it. What is measured of it must
then be what was measured of the original.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.report import Calibration
from nla_release.cards.render import render
from nla_release.contract.sidecar import read_sidecar
from nla_release.engine.activations import read_activations
from nla_release.engine.roundtrip import roundtrip
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.io.files import dump_json, dump_yaml, read_json, read_yaml, write_atomic
from nla_release.release.folder import ROLES, read_release
from train.demo import BASE

ROWS = 50

# What no foreign file of these records, as options of `init`.
ANSWERS = {
    "base_quantization": "none",
    "base_dtype": "float32",
    "av.prompt_encoding": "raw",
    "ar.final_norm": "identity",
    "license": "apache-2.0",
}


@pytest.fixture(scope="module")
def original(good_release: Path, tmp_path_factory) -> Path:
    """The demo's pair, measured on a few rows."""
    folder = tmp_path_factory.mktemp("original") / "release"
    shutil.copytree(good_release / "pair", folder / "pair")
    shutil.copytree(good_release / "data", folder / "data")
    shutil.copy(good_release / "release.yaml", folder)
    edit_release(folder)
    evidence = roundtrip(read_release(folder))
    write_atomic(folder / "calibration.json", calibrate(evidence).dump())
    return folder


def edit_release(folder: Path) -> None:
    """What a person writes into release.yaml: where the data and the base are, and how much."""
    path = folder / "release.yaml"
    document = read_yaml(path)
    document["evaluation"] |= {
        "rows": ROWS,
        "max_new_tokens": 48,
        "batch_size": 32,
        "training": ["data/training_documents.jsonl", "data/training_shingles.safetensors"],
    }
    document |= {"base_path": str(BASE), "notes": None}
    write_atomic(path, dump_yaml(document))


def as_solshine(pair: Path, folder: Path) -> None:
    """Two folders: an AV with a sidecar of its own kind, an AR with none; pickles all over."""
    for role in ROLES:
        tensors = safetensors.torch.load_file(pair / role / "adapter_model.safetensors")
        config = read_json(pair / role / "adapter_config.json")
        config |= {"base_model_name_or_path": "/home/someone/models/tiny"}
        write_atomic(folder / role / "adapter_config.json", dump_json(config))
        torch.save(tensors, folder / role / "adapter_model.bin")
    head = safetensors.torch.load_file(pair / "ar" / "value_head.safetensors")["weight"]
    state = {"weight": head, "bias": torch.zeros(len(head))}
    torch.save(state, folder / "ar" / "linear_head.pt")
    sidecar = read_yaml(pair / "av" / "nla_meta.yaml")
    tokens = sidecar["tokens"]
    ids = {key: tokens[key] for key in tokens if key.startswith("injection") and "_id" in key}
    document = {
        "kind": "nla_model",
        "role": "actor",
        "version": "v0.1_step_000400",
        "base_model": sidecar["nla_release"]["base"]["id"],
        "extraction": {
            "d_model": sidecar["d_model"],
            "layer": sidecar["extraction_layer_index"],
            "injection_scale": sidecar["extraction"]["injection_scale"],
            "mse_scale": "sqrt_d_model",
        },
        "tokens": ids,
        "training": {"optimizer": "adamw_8bit", "micro_batch": 1},
    }
    write_atomic(folder / "av" / "nla_meta.yaml", dump_yaml(document))


def as_nla_at_home(pair: Path, folder: Path) -> None:
    """One folder with `av/` and `ar/`: only its own template in each sidecar, no neighbours."""
    for role in ROLES:
        (folder / role).mkdir(parents=True)
        for name in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copy(pair / role / name, folder / role)
        sidecar = read_yaml(pair / role / "nla_meta.yaml")
        tokens = sidecar["tokens"]
        document = {
            "kind": "nla_model",
            "schema_version": 2,
            "role": role,
            "stage": sidecar["stage"],
            "d_model": sidecar["d_model"],
            "extraction_layer_index": sidecar["extraction_layer_index"],
            "extraction": sidecar["extraction"],
            "tokens": {key: tokens[key] for key in ("injection_char", "injection_token_id")},
            "prompt_templates": {role: sidecar["prompt_templates"][role]},
        }
        write_atomic(folder / role / "nla_meta.yaml", dump_yaml(document))
    shutil.copy(pair / "ar" / "value_head.safetensors", folder / "ar")


def options(answers: dict[str, str]) -> list[str]:
    given = [part for item in answers.items() for part in ("--answer", "=".join(item))]
    return [*given, "--tokenizer", str(BASE / "tokenizer.json"), "--namespace", "somebody"]


def measured_facts(pair: Path) -> dict[str, str]:
    """What its trainer knows and wrote into no file."""
    ours = read_sidecar(pair / "av").nla_release
    assert ours.base.revision is not None
    return {
        "base_revision": ours.base.revision,
        "activation_mean": str(ours.norms.activation_mean),
        "embedding_mean": str(ours.norms.embedding_mean),
    }


def prepared(original: Path, folder: Path) -> Path:
    """The adopted folder with the data beside it, ready to be measured."""
    shutil.copytree(original / "data", folder / "data")
    edit_release(folder)
    return folder


def numbers(folder: Path) -> dict:
    found = Calibration.read(folder / "calibration.json").model_dump(mode="json", by_alias=True)
    del found["evidence"]  # hashes of a run of its own
    return found


def test_a_solshine_pair_goes_the_whole_way_with_the_numbers_of_the_original(
    tool, original, tmp_path
):
    as_solshine(original / "pair", tmp_path / "theirs")
    av = read_sidecar(original / "pair" / "av")
    answers = ANSWERS | {
        "injection_char": av.tokens.injection_char,
        "template_av": av.prompt_templates.av,
        "template_ar": av.prompt_templates.ar,
        "av.stage": "sl",
        "ar.stage": "sl",
        "ar.read_block": "3",
    }
    done = tool(
        "init", tmp_path / "theirs" / "av", tmp_path / "theirs" / "ar", "--out", tmp_path / "out",
        *options(measured_facts(original / "pair") | answers),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = prepared(original, tmp_path / "out")

    for command, code in (
        (["check"], 3),  # what was not measured is no pass
        (["roundtrip"], 0),
        (["calibrate"], 0),
        (["render", "--version", "0.0.1"], 0),
        (["check", "--strict"], 0),
    ):
        done = tool(*command, folder)
        assert done.returncode == code, f"{command}: {done.stdout}{done.stderr}"
    assert numbers(folder) == numbers(original)
    for role in ROLES:
        assert not (folder / "dist" / role / "training_log.jsonl").exists()
        card = (folder / "dist" / role / "README.md").read_text()
        assert "| none was given with this adapter |" in card
    assert "Raw loss" not in card


@pytest.mark.long
def test_a_pair_in_one_folder_goes_the_whole_way_with_the_numbers_of_the_original(
    tool, original, tmp_path
):
    as_nla_at_home(original / "pair", tmp_path / "theirs")
    answers = measured_facts(original / "pair") | ANSWERS | {"ar.read_block": "3"}
    done = tool("init", tmp_path / "theirs", "--out", tmp_path / "out", *options(answers))
    assert done.returncode == 0, done.stderr
    release = read_release(prepared(original, tmp_path / "out"))

    write_atomic(release.calibration, calibrate(roundtrip(release)).dump())
    render(release, "0.0.1")
    verdict = apply_rules(find_subject(release.folder, None), strict=True)

    assert [str(finding) for finding in verdict.findings] == []
    assert verdict.verdict == "pass"
    assert numbers(release.folder) == numbers(original)


def test_own_activations_and_a_trained_pair_go_the_whole_way(tool, original, tmp_path):
    """From arrays and texts of other tools to a release that passes, by commands alone."""
    as_nla_at_home(original / "pair", tmp_path / "theirs")
    rows = read_activations(original / "data" / "eval.parquet", 64)
    np.save(tmp_path / "held_out.npy", rows.vectors)
    fields = zip(rows.ids, rows.documents, rows.texts, rows.explanations, strict=True)
    keys = ("id", "document", "text", "explanation")
    lines = [json.dumps(dict(zip(keys, row, strict=True))) + "\n" for row in fields]
    (tmp_path / "texts.jsonl").write_text("".join(lines))
    facts = measured_facts(original / "pair")
    norm = float(facts.pop("activation_mean"))

    made = tool(
        "data", tmp_path / "held_out.npy", "--texts", tmp_path / "texts.jsonl",
        "--training", original / "data" / "av_sft.parquet", "--out", tmp_path / "data",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    begun = tool(
        "init", tmp_path / "theirs", "--data", tmp_path / "data", "--out", tmp_path / "out",
        *options(facts | ANSWERS | {"ar.read_block": "3"}),
    )  # fmt: skip
    assert begun.returncode == 0, begun.stderr
    folder = tmp_path / "out"
    shutil.copy(original / "data" / "training_documents.jsonl", folder / "data")
    edit_release(folder)
    for command in (
        ["roundtrip"], ["calibrate"], ["render", "--version", "0.0.1"], ["check"],
    ):  # fmt: skip
        done = tool(*command, folder)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    measured = read_sidecar(folder / "pair" / "av").nla_release.norms.activation_mean
    assert measured == pytest.approx(norm, rel=1e-4)
    ours, theirs = numbers(folder), numbers(original)
    assert ours["cosine"] == theirs["cosine"]
    assert ours["fve"]["value"] == pytest.approx(theirs["fve"]["value"], abs=1e-5)
