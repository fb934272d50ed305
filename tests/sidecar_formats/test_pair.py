"""What is known of a foreign pair, where it is from, and what only a person can say."""

import copy
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nla_release.contract.sidecar import dump_sidecar, read_sidecar
from nla_release.errors import (
    ConfigError,
    InputError,
    NlaReleaseError,
    PairError,
    RefusedError,
    SidecarError,
)
from nla_release.io.files import dump_yaml, read_yaml, write_atomic
from nla_release.sidecar_formats.canonical import canonical, original
from nla_release.sidecar_formats.folder import check_roles, read_ar_weights, read_folder
from nla_release.sidecar_formats.pair import read_pair
from nla_release.sidecar_formats.prompts import read_base_tokenizer
from tests.builders_pair import make_pair
from tests.sidecar_formats.samples import (
    COMMON,
    SAMPLES,
    STAGES,
    TEMPLATES,
    TOKENIZER,
    make_foreign_pair,
    make_kitft_pair,
    write_files,
)
from tests.sidecar_formats.test_table import KEYS, TREES

SOLSHINE_ANSWERS = COMMON | TEMPLATES | STAGES | {"ar.read_block": "2"}

# The reference contract says what the AR does with the final norm.
KITFT_ANSWERS = {name: answer for name, answer in COMMON.items() if name != "ar.final_norm"}


def read(pair: Path, answers=None, *, tokenizer: bool = True):
    """Both folders, the AR's head, and the report."""
    folders = {role: read_folder(pair / role) for role in ("av", "ar")}
    check_roles(folders["av"], folders["ar"])
    found = read_ar_weights(folders["ar"], pair / "ar")
    rendering = tiny_rendering() if tokenizer else None
    report = read_pair(folders["av"], folders["ar"], found, answers or {}, rendering)
    return folders, found, report


@cache
def tiny_rendering():
    return read_base_tokenizer(TOKENIZER)


def solshine(tmp_path: Path) -> Path:
    """A Solshine pair whose head was converted already, its AR told apart by the old file."""
    pair = make_foreign_pair(tmp_path / "pair", "Solshine", None)
    write_files(pair / "ar", {"linear_head.pt": "the old one"})
    return pair


def asked(report) -> dict[str, str | None]:
    return {question.name: question.likely for question in report.questions}


def test_a_pair_of_the_reference_contract_asks_only_what_it_does_not_record(tmp_path):
    _, _, report = read(make_kitft_pair(tmp_path / "pair"))

    assert asked(report) == {
        "base_revision": None,
        "base_quantization": None,
        "base_dtype": None,
        "activation_mean": None,
        "embedding_mean": None,
        "av.prompt_token_ids": None,
        "av.chat_template_sha256": None,
        "av.chat_options": None,
    }


def test_each_fact_says_where_it_is_from(tmp_path):
    _, _, report = read(make_kitft_pair(tmp_path / "pair"))

    scale = report.known["av.injection_scale"]
    assert (scale.value, scale.how) == (150.0, "recorded")
    assert scale.source == "extraction.injection_scale of the AV's nla_meta.yaml"
    base = report.known["base_model"]
    assert (base.value, base.how) == ("someone/tiny", "inferred")
    assert base.source == "adapter_config.json of the AV"
    assert report.known["ar.final_norm"].source == "the reference contract"


def test_what_a_sidecar_can_do_without_is_listed_as_missing(tmp_path):
    _, _, report = read(solshine(tmp_path))

    assert report.missing == ("av.created_at", "av.created_by", "ar.created_at", "ar.created_by")


def test_an_absent_scale_is_a_question_and_never_a_default(tmp_path):
    pair = make_kitft_pair(tmp_path / "pair")
    document = read_yaml(pair / "av" / "nla_meta.yaml")
    del document["extraction"]["injection_scale"]
    write_atomic(pair / "av" / "nla_meta.yaml", dump_yaml(document))

    _, _, report = read(pair, KITFT_ANSWERS)

    assert asked(report) == {"av.injection_scale": None}
    assert "no safe default" in report.questions[0].asks
    assert str(report.questions[0]).endswith("--answer av.injection_scale=...")


@pytest.mark.parametrize(
    ("name", "likely"), [("kitft, version 1", "3"), ("AlexWortega", "3"), ("Nano-NLA", "3")]
)
def test_a_depth_that_is_k_here_and_k_plus_1_there_is_asked_for(tmp_path, name, likely):
    pair = make_foreign_pair(tmp_path / "pair", "Neuronpedia", name)
    text = (pair / "ar" / "nla_meta.yaml").read_text().replace("role: actor", "role: critic")
    write_files(pair / "ar", {"nla_meta.yaml": text})

    _, _, report = read(pair, tokenizer=False)

    assert asked(report)["layer"] == likely
    assert asked(report)["ar.read_block"] == likely


def test_a_missing_marker_is_proposed_from_the_tokenizer_and_not_filled_in(tmp_path):
    _, _, report = read(solshine(tmp_path))

    assert asked(report)["injection_char"] == "㊗"
    assert "injection_char" not in report.known


def test_without_a_tokenizer_rendered_ids_are_asked_for(tmp_path):
    pair = make_foreign_pair(tmp_path / "pair", "nla-at-home", "Nano-NLA")
    _, _, report = read(pair, tokenizer=False)

    wanted = {"left_neighbor_id", "right_neighbor_id", "av.prompt_token_ids", "ar.suffix_ids"}
    assert wanted <= set(asked(report))


def test_the_read_block_of_a_reconstructor_without_a_sidecar_is_its_deepest_adapted(tmp_path):
    _, _, report = read(solshine(tmp_path))

    assert asked(report)["ar.read_block"] == "3"
    assert report.known["layer"].source.startswith("extraction.layer of the AV's")


def test_the_layer_in_a_folders_name_is_only_a_likely_answer(tmp_path):
    pair = tmp_path / "tiny-nla-L3-v0"
    make_foreign_pair(pair, "Solshine, inject_config.json", None)
    write_files(pair / "ar", {"linear_head.pt": "x"})

    assert asked(read(pair)[2])["layer"] == "3"


def test_a_template_with_the_marker_in_it_gets_its_placeholder(tmp_path):
    pair = make_foreign_pair(tmp_path / "pair", "flat NLAMeta", None)
    write_files(pair / "ar", {"linear_head.pt": "x"})

    _, _, report = read(pair, {"injection_char": "㊗"})

    assert report.known["template_av"].value == "Say it.\n<concept>{injection_char}</concept>\n"
    assert report.known["template_av"].how == "inferred"


@pytest.mark.parametrize(
    ("role", "old", "new", "words"),
    [
        (
            "ar",
            "d_model: 16",
            "d_model: 32",
            "d_model is 16 by d_model of the AV's .* but 32 by d_model of the AR's",
        ),
        ("ar", "498", "499", "injection_token_id is 498"),
        ("av", "Say it.", "Tell it.", "template_av is "),
    ],
)
def test_sidecars_that_disagree_are_an_error_with_both_places(tmp_path, role, old, new, words):
    pair = make_kitft_pair(tmp_path / "pair")
    path = pair / role / "nla_meta.yaml"
    write_atomic(path, path.read_text().replace(old, new))

    with pytest.raises(PairError, match=words):
        read(pair)


def test_a_width_that_is_not_the_heads_is_an_error(tmp_path):
    pair = make_kitft_pair(tmp_path / "pair")
    for role in ("av", "ar"):
        path = pair / role / "nla_meta.yaml"
        write_atomic(path, path.read_text().replace("d_model: 16", "d_model: 32"))

    with pytest.raises(PairError, match=r"d_model is 32 .* head has shape \[16, 16\]"):
        read(pair)


def test_recorded_neighbours_are_held_against_the_tokenizer(tmp_path):
    pair = make_kitft_pair(tmp_path / "pair")
    for role in ("av", "ar"):
        path = pair / role / "nla_meta.yaml"
        write_atomic(path, path.read_text().replace("neighbor_id: 273", "neighbor_id: 272"))

    with pytest.raises(PairError, match=r"left_neighbor_id is 272 .* tokenizer given gives 273"):
        read(pair, {"av.prompt_encoding": "raw"})


@pytest.mark.parametrize("scale", ["4.0", "sqrt_d_model"])
def test_a_scale_by_name_is_the_number_it_stands_for(tmp_path, scale):
    """Also when only the other sidecar says how wide the activations are."""
    pair = make_kitft_pair(tmp_path / "pair")
    for role, mse, width in (("av", "sqrt_d_model", ""), ("ar", scale, "d_model: 16\n")):
        path = pair / role / "nla_meta.yaml"
        text = re.sub(r"mse_scale: [\w.]+", f"mse_scale: {mse}", path.read_text())
        write_atomic(path, text.replace("d_model: 16\n", width))

    _, _, report = read(pair)

    assert report.known["mse_scale"].value == "sqrt_d_model"


def test_swapped_adapters_are_noticed(tmp_path):
    pair = make_kitft_pair(tmp_path / "pair")
    (pair / "av").rename(pair / "x")
    (pair / "ar").rename(pair / "av")
    (pair / "x").rename(pair / "ar")

    with pytest.raises(SidecarError, match="AV and AR swapped"):
        read(pair)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"ar.final_norm": "kept"}, "without the final norm"),
        ({"av.injection_scale": "raw"}, "av.injection_scale is null: .* at their own norm"),
    ],
)
def test_what_the_engine_does_not_do_is_refused_when_it_is_said(tmp_path, answers, words):
    pair = make_foreign_pair(tmp_path / "pair", "Neuronpedia", None)
    write_files(pair / "ar", {"linear_head.pt": "x"})

    with pytest.raises(RefusedError, match=words):
        read(pair, answers)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"layre": "3"}, "there is no such fact"),
        ({"av.prompt_encoding": "maybe"}, "is not one of raw, chat"),
        ({"base_revision": "main"}, "'main' is not a commit hash"),
        ({"activation_mean": "nan"}, "is not a norm"),
        ({"base_dtype": "float8"}, "is not one of float32"),
        ({"av.injection_scale": "80000"}, "already says 150.0"),
    ],
)
def test_an_answer_is_checked_and_never_overrules_a_file(tmp_path, answers, words):
    pair = make_kitft_pair(tmp_path / "pair")

    with pytest.raises(ConfigError, match=words):
        read(pair, answers)


@pytest.mark.parametrize("value", ["/home/someone/models/tiny", "main-checkpoint"])
def test_a_trainers_local_path_names_no_base(tmp_path, value):
    pair = solshine(tmp_path)
    path = pair / "av" / "nla_meta.yaml"
    write_atomic(path, path.read_text().replace("someone/tiny", value))

    _, _, report = read(pair)

    assert report.known["base_model"].how == "inferred"
    assert report.known["base_model"].value == "someone/tiny"


@pytest.mark.parametrize("spelling", ["4.5e0", "'4.5'", "45e-1", "+4.5"])
def test_a_number_is_read_in_every_spelling_that_versions_of_yaml_have(tmp_path, spelling):
    pair = solshine(tmp_path)
    path = pair / "av" / "nla_meta.yaml"
    text = path.read_text().replace("scale: sqrt_d_model", f"scale: {spelling}", 1)
    write_atomic(path, text.replace("d_model: 16", "d_model: '1_6'"))

    _, _, report = read(pair)

    assert report.known["av.injection_scale"].value == 4.5
    assert report.known["d_model"].value == 16


@pytest.mark.parametrize("value", ["true", "[1]", "{a: 1}", "-3", "3.5", ".nan", "4294967296"])
def test_a_value_that_cannot_be_what_its_key_says_is_named(tmp_path, value):
    pair = solshine(tmp_path)
    path = pair / "av" / "nla_meta.yaml"
    write_atomic(path, path.read_text().replace("layer: 3", f"layer: {value}"))

    with pytest.raises(InputError, match="layer"):
        read(pair)


def test_unknown_blocks_survive_and_replaced_ones_are_kept_beside(tmp_path):
    pair = solshine(tmp_path)
    before = yaml.safe_load(SAMPLES["Solshine"]["nla_meta.yaml"])

    folders, head, report = read(pair, SOLSHINE_ANSWERS)
    written = dump_sidecar(canonical("av", folders["av"], report, head))
    write_atomic(tmp_path / "out" / "nla_meta.yaml", written)
    after = read_sidecar(tmp_path / "out", "av")

    assert original(after) == before
    document = yaml.safe_load(written)
    for block in ("training", "honest_reading", "av_lora", "base_model"):
        assert document[block] == before[block]
    assert document["training"]["lr"] == "1e-05"
    assert document["av_lora"]["trainable_params_approx"] == 120_000_000
    assert document["source_sidecar"]["dialect"] == "Solshine"


KITFT = yaml.safe_load(SAMPLES["kitft, published"]["nla_meta.yaml"])


@pytest.fixture(scope="module")
def kitft_pair(tmp_path_factory):
    """One pair for many sidecars: each test writes the AV's anew."""
    return make_kitft_pair(tmp_path_factory.mktemp("fuzz") / "pair")


BLOCKS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=6), BLOCKS, max_size=4), BLOCKS)
def test_whatever_else_a_sidecar_holds_comes_back_as_it_was(kitft_pair, blocks, nested):
    sidecar = kitft_pair / "av" / "nla_meta.yaml"
    # not aliases of one another: those are refused
    named = {"training": copy.deepcopy(nested), "source_sidecar": copy.deepcopy(nested)}
    write_atomic(sidecar, dump_yaml(blocks | KITFT | named))
    before = read_yaml(sidecar)

    folders, head, report = read(kitft_pair, KITFT_ANSWERS)
    write_atomic(sidecar, dump_sidecar(canonical("av", folders["av"], report, head)))

    assert original(read_sidecar(sidecar.parent)) == before


def test_a_pair_that_is_canonical_stays_as_it_is(tmp_path):
    pair = make_pair(tmp_path / "pair")
    folders, head, report = read(pair, tokenizer=False)

    assert not report.questions
    for role in ("av", "ar"):
        assert canonical(role, folders[role], report, head) == read_sidecar(pair / role)


@given(st.dictionaries(KEYS, TREES, max_size=4), st.dictionaries(KEYS, TREES, max_size=4))
def test_no_change_of_a_sidecar_causes_anything_but_an_error_of_ours(kitft_pair, top, nested):
    document = KITFT | top
    for block in ("extraction", "tokens", "prompt_templates"):
        if isinstance(document[block], dict):
            document[block] = document[block] | copy.deepcopy(nested)
    write_atomic(kitft_pair / "av" / "nla_meta.yaml", dump_yaml(document))

    with suppress(NlaReleaseError):
        folders, head, report = read(kitft_pair, KITFT_ANSWERS)
        if not report.questions:
            dump_sidecar(canonical("av", folders["av"], report, head))
