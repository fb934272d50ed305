"""What is measured of a base: from a few of its bytes, the same wherever these come from."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
import transformers

from nla_release.base_model.facts import BaseFacts, dump_base_facts, read_base_facts
from nla_release.base_model.measure import measure_base, sampled_blocks
from nla_release.errors import ConfigError, EnvironmentProblem, InputError, WeightsError
from nla_release.io.files import dump_json, write_atomic
from nla_release.local_hub.server import LocalHub
from tests.builders_pair import BASE, REVISION, base_config, base_modules, make_base
from train.demo import BASE as TINY

WEIGHTS = "model.safetensors"
EMBEDDING = "model.language_model.embed_tokens.weight"


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def base(tmp_path) -> Path:
    return make_base(tmp_path / "base")


@pytest.fixture
def hub(tmp_path, on_hub):
    """A Hub of its own, which the client takes for the real one."""
    with LocalHub(tmp_path / "hub") as running:
        on_hub(running.endpoint)
        yield running


@pytest.fixture
def on_hub(monkeypatch) -> Callable[[str], None]:
    def set_endpoint(endpoint: str) -> None:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            endpoint + "/{repo_id}/resolve/{revision}/{filename}",
        )

    return set_endpoint


def measured(folder: Path) -> BaseFacts:
    return measure_base(BASE, REVISION, folder)


def save(path: Path, tensors: dict[str, tuple[str, list[int], bytes]]) -> None:
    """A safetensors file of (dtype, shape, bytes), of dtypes that numpy does not have too."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        offsets = [len(data), len(data) + len(content)]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        data += content
    save_raw(path, json.dumps(header).encode(), data)


def save_raw(path: Path, header: bytes, data: bytes = b"") -> None:
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)


def configure(folder: Path, **changes: object) -> None:
    write_atomic(folder / "config.json", dump_json(base_config(512) | changes))


# Facts


def test_the_modules_are_those_of_the_model_that_transformers_builds():
    model = transformers.Gemma4ForConditionalGeneration.from_pretrained(TINY).requires_grad_(False)
    linear = {
        name: tuple(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    del linear["lm_head"]  # tied to the embedding, and not stored
    norms = model.get_input_embeddings()(torch.arange(512)).norm(dim=-1)
    facts = measured(TINY)

    assert facts.modules == linear
    assert facts.embedding.norm_mean == pytest.approx(float(norms.mean()), rel=1e-5)


def test_shapes_licence_and_architecture_are_those_of_the_files():
    facts = measured(TINY)

    assert (facts.id, facts.revision, facts.license) == (BASE, REVISION, "apache-2.0")
    assert (facts.model_type, facts.architectures) == ("gemma4", ["Gemma4ForConditionalGeneration"])
    assert (facts.hidden_size, facts.num_hidden_layers, facts.vocab_size) == (64, 6, 512)
    assert facts.embedding.tensor == EMBEDDING
    assert facts.embedding.scale == 8.0


def test_the_document_reads_back_as_it_was_written(base, tmp_path):
    facts = measured(base)
    write_atomic(tmp_path / "base.json", dump_base_facts(facts))

    assert read_base_facts(tmp_path) == facts


def test_a_sample_of_the_rows_gives_their_mean_norm_within_its_error(base):
    random = np.random.default_rng(3)
    lengths = random.uniform(0.5, 1.5, size=(20_000, 1)) + np.linspace(0, 1, 20_000)[:, None]
    rows = (random.normal(size=(20_000, 16)) * lengths).astype(np.float32)
    safetensors.numpy.save_file({EMBEDDING: rows}, base / WEIGHTS)
    facts = measured(base).embedding

    assert (facts.vocabulary, facts.rows, facts.seed) == (20_000, 1024, 0)
    assert facts.norm_error < 0.1 * facts.norm_mean
    assert abs(facts.norm_mean - 4 * np.linalg.norm(rows, axis=1).mean()) < 3 * facts.norm_error


def test_a_vocabulary_that_is_read_whole_has_no_sampling_error(base):
    facts = measured(base).embedding

    assert facts.rows == facts.vocabulary == 512
    assert (facts.norm_mean, facts.norm_error) == (38.5, 0)


@pytest.mark.parametrize("rows", [1, 5, 16, 100, 1024, 1025, 4097, 262_144])
def test_the_sample_is_spread_over_the_vocabulary(rows):
    blocks = sampled_blocks(rows, 0)
    numbers = [row for start, stop in blocks for row in range(start, stop)]

    assert numbers == sorted(set(numbers))
    assert len(numbers) == min(rows, 1024)
    assert (numbers[0], numbers[-1]) <= (rows // 16, rows - 1)
    assert sampled_blocks(rows, 0) == blocks


@pytest.mark.parametrize(
    ("dtype", "encode"),
    [
        ("F64", lambda rows: rows.astype("<f8")),
        ("F16", lambda rows: rows.astype("<f2")),
        ("BF16", lambda rows: (rows.astype("<f4").view("<u4") >> 16).astype("<u2")),
    ],
)
def test_every_float_dtype_is_read(base, dtype, encode):
    rows = np.full((512, 16), 2.5)
    save(base / WEIGHTS, {EMBEDDING: (dtype, [512, 16], encode(rows).tobytes())})

    assert measured(base).embedding.norm_mean == 40.0


def test_only_gemmas_multiply_their_embeddings(base):
    configure(base, model_type="qwen2", hidden_size=16, num_hidden_layers=6, text_config=None)
    facts = measured(base).embedding

    assert (facts.scale, facts.norm_mean) == (1.0, 9.625)


def test_a_vocabulary_that_the_configuration_leaves_out_is_counted(base):
    """As google/gemma-3-4b-it does."""
    text = {"model_type": "gemma3_text", "num_hidden_layers": 6}
    configure(base, model_type="gemma3", text_config=text)

    assert (measured(base).vocab_size, measured(base).hidden_size) == (512, 16)


@pytest.mark.parametrize(
    "card",
    [None, "# Tiny\n", "---\ntags: [x]\n---\n", "---\nlicense: [\n---\n", "---\nlicense: 3\n---\n"],
)
def test_a_card_without_a_licence_names_none(base, card):
    (base / "README.md").unlink()
    if card is not None:
        (base / "README.md").write_text(card)

    assert measured(base).license is None


def test_shards_are_one_checkpoint(base):
    whole = measured(base)
    tensors = safetensors.numpy.load_file(base / WEIGHTS)
    (base / WEIGHTS).unlink()
    shards = {
        f"model-0000{part + 1}-of-00003.safetensors": dict(list(tensors.items())[part::3])
        for part in range(3)
    }
    for name, part in shards.items():
        safetensors.numpy.save_file(part, base / name)
    weight_map = {tensor: name for name, part in shards.items() for tensor in part}
    write_atomic(base / f"{WEIGHTS}.index.json", dump_json({"weight_map": weight_map}))

    assert measured(base) == whole


def test_a_quantised_module_is_listed_without_a_shape_that_the_file_does_not_tell(base):
    rows = np.ones((512, 16), np.float32).tobytes()
    save(
        base / WEIGHTS,
        {
            EMBEDDING: ("F32", [512, 16], rows),
            "nf4.weight": ("U8", [128, 1], bytes(128)),
            "nf4.weight.absmax": ("F32", [4], bytes(16)),
            "nf4.weight.quant_state.bitsandbytes__nf4": ("U8", [8], bytes(8)),
            "gptq.qweight": ("I32", [2, 16], bytes(128)),
            "gptq.scales": ("F32", [1, 16], bytes(64)),
            "packed.weight_packed": ("I32", [2, 16], bytes(128)),
            "int8.weight": ("I8", [16, 8], bytes(128)),
            "fp8.weight": ("F8_E4M3", [16, 8], bytes(128)),
            "position_embedding.weight": ("F32", [2, 8], bytes(64)),
            "norm.weight": ("F32", [16], bytes(64)),
            "conv.weight": ("F32", [2, 1, 3], bytes(24)),
        },
    )

    assert measured(base).modules == {
        "nf4": None, "gptq": None, "packed": None, "int8": (16, 8), "fp8": (16, 8),
    }  # fmt: skip


# Where the bytes come from


def test_the_hub_gives_the_same_facts_as_a_folder_in_ranges_alone(tmp_path, hub):
    base = make_base(tmp_path / "base", rows=100_000)
    commit = hub.store.import_folder(BASE, base)
    facts = measure_base(BASE, commit)
    weights = [request for request in hub.log.requests if request.path.endswith(WEIGHTS)]

    assert facts == measure_base(BASE, commit, base)
    assert {request.status for request in weights if request.method == "GET"} == {206}
    assert sum(request.size for request in weights) < 0.05 * (base / WEIGHTS).stat().st_size
    assert len(hub.log.requests) < 30
    assert not (tmp_path / "cache").exists()


def test_shards_are_found_on_the_hub_too(base, hub):
    (base / WEIGHTS).rename(base / "model-1.safetensors")
    weight_map = {EMBEDDING: "model-1.safetensors"}
    write_atomic(base / f"{WEIGHTS}.index.json", dump_json({"weight_map": weight_map}))
    commit = hub.store.import_folder(BASE, base)

    assert measure_base(BASE, commit).modules == base_modules()


def test_a_folder_with_the_tokenizer_alone_is_passed_over(base, tmp_path, hub):
    (tmp_path / "tokenizer.json").write_text("{}")
    commit = hub.store.import_folder(BASE, base)

    assert measure_base(BASE, commit, tmp_path) == measure_base(BASE, commit, base)


def test_a_snapshot_in_the_cache_needs_no_network(base, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "cache" / "models--someone--tiny" / "snapshots" / REVISION
    shutil.copytree(base, snapshot)

    assert measure_base(BASE, REVISION) == measured(base)


@pytest.mark.parametrize("missing", ["README.md", WEIGHTS, "config.json", "model-2.safetensors"])
def test_a_cache_that_lacks_a_file_is_not_enough(base, tmp_path, monkeypatch, missing):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "cache" / "models--someone--tiny" / "snapshots" / REVISION
    shutil.copytree(base, snapshot)
    if (snapshot / missing).exists():
        (snapshot / missing).unlink()
    else:
        index = dump_json({"weight_map": {"a": WEIGHTS, "b": missing}})
        write_atomic(snapshot / f"{WEIGHTS}.index.json", index)

    with pytest.raises(EnvironmentProblem, match="HF_HUB_OFFLINE is set") as problem:
        measure_base(BASE, REVISION)
    assert "nla-release base" in (problem.value.hint or "")


@pytest.mark.parametrize("revision", ["main", "0123456", "v1.0.0"])
def test_what_is_not_a_commit_is_not_measured(revision):
    with pytest.raises(ConfigError, match="is not a commit"):
        measure_base(BASE, revision)


# Files of strangers


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"", "header is not valid JSON"),
        (b"[" * 99_999, "nested more than 50 deep"),
        (b"9" * 9_999, "more than 64 bits"),
        (b"[]", "is not a mapping"),
        (b'{"a": 1}', "tensor a"),
        (b'{"a": {"dtype": "F32", "shape": [1e999], "data_offsets": [0, 1]}}', "number 1e999 is"),
        (b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 1]}}', "shape"),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 99]}}', "outside of the file"),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}', "outside of the file"),
        (b"{}", "expected one input embedding of width 16, found none"),
    ],
)
def test_a_damaged_header_is_said_to_be_one(base, header, words):
    save_raw(base / WEIGHTS, header, bytes(8))

    with pytest.raises(WeightsError, match=words):
        measured(base)


@pytest.mark.parametrize("length", [100_000_000, 2**63, 2**64 - 1])
def test_a_header_longer_than_the_file_is_not_waited_for(base, length):
    (base / WEIGHTS).write_bytes(struct.pack("<Q", length) + b"{}")

    with pytest.raises(
        WeightsError,
        match=f"is not a complete safetensors file: 10 bytes, with a header of {length}",
    ):
        measured(base)


def test_a_header_of_a_hundred_megabytes_is_not_read(base):
    with (base / WEIGHTS).open("wb") as handle:
        handle.write(struct.pack("<Q", 100_000_000))
        handle.truncate(200_000_000)

    with pytest.raises(WeightsError, match="which is not read"):
        measured(base)


@pytest.mark.parametrize("content", [b"", b"1234567"])
def test_a_file_too_short_for_a_header(base, content):
    (base / WEIGHTS).write_bytes(content)

    with pytest.raises(WeightsError, match="is not a complete safetensors file"):
        measured(base)


@pytest.mark.parametrize(
    ("dtype", "shape", "content", "words"),
    [
        ("F32", [512, 16], bytes(64), "needs 32768 bytes, the header gives it 64"),
        ("F32", [2**60, 16], bytes(64), "the header gives it 64"),
        ("F32", [0, 16], b"", r"has the shape \[0, 16\]"),
        ("F32", [512], bytes(2048), "found none"),
        ("F32", [512, 8], bytes(16384), "found none"),
        ("U8", [512, 16], bytes(8192), "has dtype U8, expected a float"),
        ("F32", [2, 16], bytes(128), "is 0"),
        ("F32", [2, 16], b"\xff" * 128, "is nan"),
        ("F64", [2, 16], struct.pack("<32d", *[1e300] * 32), "is inf"),
    ],
)  # fmt: skip
def test_an_embedding_that_cannot_be_measured(base, dtype, shape, content, words):
    save(base / WEIGHTS, {EMBEDDING: (dtype, shape, content)})

    with pytest.raises(WeightsError, match=words):
        measured(base)


def test_two_input_embeddings_are_a_question(base):
    rows = ("F32", [2, 16], np.ones((2, 16), np.float32).tobytes())
    save(base / WEIGHTS, {"a.embed_tokens.weight": rows, "b.embed_tokens.weight": rows})

    with pytest.raises(WeightsError, match="found a.embed_tokens.weight, b.embed_tokens.weight"):
        measured(base)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[", "is not valid JSON"),
        ("[]", "config.json"),
        ("{}", "model_type is missing"),
        ('{"model_type": "x"}', "num_hidden_layers"),
        ('{"model_type": "x", "num_hidden_layers": 9999999}', "num_hidden_layers"),
        ('{"model_type": "x", "hidden_size": 1e999}', "number 1e999 is too large"),
    ],
)
def test_a_configuration_that_says_nothing(base, config, words):
    (base / "config.json").write_text(config)

    with pytest.raises(InputError, match=words):
        measured(base)


def test_a_base_without_safetensors_is_said_to_have_none(base, hub):
    (base / WEIGHTS).rename(base / "pytorch_model.bin")
    commit = hub.store.import_folder(BASE, base)

    with pytest.raises(InputError, match=r"model\.safetensors does not exist, and neither does"):
        measure_base(BASE, commit, base)


@pytest.mark.parametrize(
    "name", ["../secret.safetensors", "/etc/passwd", "a/b.safetensors", ".x.safetensors"]
)
def test_an_index_names_files_of_its_own_folder_only(base, name):
    (base / WEIGHTS).unlink()
    write_atomic(base / f"{WEIGHTS}.index.json", dump_json({"weight_map": {EMBEDDING: name}}))

    with pytest.raises(InputError, match="not a valid name"):
        measured(base)


def test_a_shard_that_is_missing_is_named(base):
    (base / WEIGHTS).unlink()
    index = dump_json({"weight_map": {EMBEDDING: "model-1.safetensors"}})
    write_atomic(base / f"{WEIGHTS}.index.json", index)

    with pytest.raises(InputError, match=r"model-1\.safetensors does not exist"):
        measured(base)
