"""The sidecar is complete, consistent and readable by others, or it is refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.contract.prompt import check_replay, check_suffix, encoder, load_tokenizer
from nla_release.contract.sidecar import contract_digest, dump_sidecar, read_sidecar
from nla_release.errors import SidecarError
from nla_release.io.files import dump_yaml, package_folder, write_atomic
from tests.sidecars import TINY_BASE, document, sidecar

SHA = "0" * 64
ENCODING = ("nla_release", "injection", "prompt_encoding")
CHAT = ("nla_release", "injection", "chat_template")


def chat_with(options):
    return {ENCODING: "chat", CHAT: {"sha256": SHA, "options": options}}


def read(tmp_path, role, changes, as_role=None):
    write_atomic(tmp_path / "nla_meta.yaml", dump_yaml(document(role, changes)))
    return read_sidecar(tmp_path, as_role or role)


@pytest.mark.parametrize("role", ["av", "ar"])
def test_a_sidecar_survives_being_written_and_read(tmp_path, role):
    before = sidecar(role)
    write_atomic(tmp_path / "nla_meta.yaml", dump_sidecar(before))

    assert read_sidecar(tmp_path, role) == before
    assert dump_sidecar(read_sidecar(tmp_path, role)) == dump_sidecar(before)


def test_a_missing_injection_scale_is_an_error_with_advice_never_a_default(tmp_path):
    with pytest.raises(SidecarError, match=r"extraction.injection_scale is missing") as caught:
        read(tmp_path, "av", {("extraction", "injection_scale"): ...})

    assert "no safe default" in caught.value.hint


@pytest.mark.parametrize(
    ("role", "changes", "words"),
    [
        ("av", {("extraction", "injection_scale"): None}, "needs the scale it trained with"),
        ("av", {("extraction", "injection_scale"): "sqrt_d_model"}, "injection_scale"),
        ("av", {("extraction", "injection_scale"): float("nan")}, "injection_scale"),
        ("av", {("extraction", "injection_scale"): float("inf")}, "injection_scale"),
        ("av", {("extraction", "injection_scale"): 80000.0}, "one of them is wrong"),
        ("av", {("nla_release", "injection"): None}, "injection is missing"),
        ("av", {("nla_release",): ...}, "nla_release is missing"),
        ("av", {("nla_release", "typo"): 1}, "nla_release.typo is not a known key"),
        ("av", {("tokens", "injection_char"): ...}, "tokens.injection_char is missing"),
        ("av", {("prompt_templates", "av"): "no marker"}, "0 times, expected 1"),
        ("av", {("d_model",): 0}, "d_model"),
        ("av", {("kind",): "nla_dataset"}, "kind"),
        ("av", {("schema_version",): 1}, "schema_version"),
        ("av", {ENCODING: "chat"}, "prompt_encoding is chat and chat_template is missing"),
        ("av", {CHAT: {"sha256": SHA}}, "prompt_encoding is raw and chat_template is given"),
        ("av", {ENCODING: "chat", CHAT: {"sha256": "00"}}, "chat_template.sha256"),
        ("av", {ENCODING: "chat", CHAT: {"sha256": SHA, "name": "x"}}, "not a known key"),
        ("av", chat_with({"tools": "x"}), "'tools' cannot be the name"),
        ("av", chat_with({"a b": True}), "'a b' cannot be the name"),
        ("av", chat_with({"class": True}), "'class' cannot be the name"),
        ("av", chat_with({"depth": 1.5}), "options.depth"),
        ("av", chat_with({"depth": 10**20}), "options.depth"),
        ("av", chat_with({"tools_given": [1]}), "options.tools_given"),
        ("ar", {("critic",): None}, "an AR needs critic"),
        ("ar", {("tokens", "critic_suffix_ids"): None}, "critic_suffix_ids"),
        ("ar", {("nla_release", "ar_head", "shape"): [64, 32]}, "d_model is 64"),
        ("ar", {("nla_release", "ar_head", "blocks"): 3}, "needs 4 blocks"),
        ("ar", {("nla_release", "ar_head", "file"): "linear_head.pt"}, "ar_head.file"),
    ],
)
def test_each_defect_is_named_with_its_place(tmp_path, role, changes, words):
    with pytest.raises(SidecarError, match=words) as caught:
        read(tmp_path, role, changes)

    assert str(tmp_path / "nla_meta.yaml") in caught.value.message


def test_every_defect_is_reported_at_once(tmp_path):
    with pytest.raises(SidecarError) as caught:
        read(tmp_path, "av", {("d_model",): -1, ("stage",): ..., ("tokens",): ...})

    for name in ("d_model", "stage", "tokens"):
        assert name in caught.value.message


def test_a_swapped_pair_is_noticed(tmp_path):
    with pytest.raises(SidecarError, match="are AV and AR swapped"):
        read(tmp_path, "av", {}, as_role="ar")


def test_what_the_contract_does_not_know_is_kept(tmp_path):
    changes = {("training",): {"rollout": 3}, ("extraction", "norm"): "none"}
    kept = dump_sidecar(read(tmp_path, "av", changes))

    assert "rollout: 3" in kept
    assert "norm: none" in kept


def test_a_scale_written_as_text_with_an_exponent_is_a_number(tmp_path):
    """PyYAML reads 8e0 without a dot as text (YAML 1.1)."""
    text = dump_sidecar(sidecar("av")).replace("scale: 8.0", "scale: 8e0")
    write_atomic(tmp_path / "nla_meta.yaml", text)

    assert read_sidecar(tmp_path).injection.scale == 8.0


def test_a_release_does_not_change_what_a_sidecar_promises():
    released = {
        ("nla_release", "partner"): {"repo": "a/b", "version": "1", "sha256": SHA},
        ("nla_release", "norms", "scale_evaluated"): 8.0,
    }

    assert contract_digest(sidecar("av", released)) == contract_digest(sidecar("av"))
    assert contract_digest(sidecar("av", {("stage",): "rl"})) != contract_digest(sidecar("av"))


@given(st.binary(max_size=400))
def test_no_bytes_at_all_cause_anything_but_a_sidecar_error(data):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "nla_meta.yaml").write_bytes(data)
        with pytest.raises(SidecarError):
            read_sidecar(Path(folder))


def strict_reference_reader(meta):
    """What a strict reader of the reference contract (kitft, schema_version 2) requires."""
    assert meta["kind"] == "nla_model"
    tokens = meta["tokens"]
    for key in (
        "injection_char",
        "injection_token_id",
        "injection_left_neighbor_id",
        "injection_right_neighbor_id",
    ):
        assert tokens[key] is not None
    assert isinstance(meta["d_model"], int)
    templates = meta["prompt_templates"]
    assert templates.get("av") or templates.get("actor")
    assert "injection_scale" in meta["extraction"]
    assert isinstance(meta["extraction"]["mse_scale"], float)
    if meta["role"] == "av":
        assert float(meta["extraction"]["injection_scale"]) > 0
    else:
        assert meta["critic"]["extraction_layer_index"] >= 0
        assert all(isinstance(token, int) for token in tokens["critic_suffix_ids"])


@pytest.mark.parametrize(
    ("role", "changes"),
    [("av", {}), ("av", chat_with({"enable_thinking": False})), ("ar", {})],
)
def test_a_strict_reader_of_the_reference_contract_accepts_it(role, changes):
    import yaml

    strict_reference_reader(yaml.safe_load(dump_sidecar(sidecar(role, changes))))


def test_the_options_of_a_chat_keep_their_kinds(tmp_path):
    """`true`, `1` and `"1"` are three different variables to a template."""
    options = {"enable_thinking": True, "depth": 1, "date_string": "1"}
    found = read(tmp_path, "av", chat_with(options)).injection.chat_template.options

    assert [(name, type(value)) for name, value in found.items()] == [
        (name, type(value)) for name, value in options.items()
    ]


@pytest.mark.parametrize("role", ["av", "ar"])
def test_the_shipped_examples_are_canonical_and_replay_on_the_tiny_base(tmp_path, role):
    text = (package_folder("sidecars") / f"{role}.example.yaml").read_text(encoding="utf-8")
    write_atomic(tmp_path / "nla_meta.yaml", text)
    example = read_sidecar(tmp_path, role)
    encode = encoder(load_tokenizer(TINY_BASE / "tokenizer.json"))

    if role == "av":
        check_replay(example, encode, unk_id=3)
    else:
        check_suffix(example, encode)
