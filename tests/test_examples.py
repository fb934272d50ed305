"""The commented sidecars that people copy from: canonical, and true to themselves."""

import math
from pathlib import Path

import pytest

from nla_release.contract.prompt import av_prompt
from nla_release.contract.sidecar import Role, Sidecar, disagreements, read_sidecar
from nla_release.io.files import package_folder, read_yaml, write_atomic
from tests.test_sidecar import strict_reference_reader

FAMILIES = {"Gemma-4": "", "Qwen2.5": "qwen2.5-", "Llama-3": "llama3-"}
EXAMPLES = [(family, role) for family in FAMILIES for role in ("av", "ar")]


def path(family: str, role: Role) -> Path:
    return Path(str(package_folder("sidecars") / f"{FAMILIES[family]}{role}.example.yaml"))


def example(tmp_path: Path, family: str, role: Role) -> Sidecar:
    folder = tmp_path / role
    write_atomic(folder / "nla_meta.yaml", path(family, role).read_text(encoding="utf-8"))
    return read_sidecar(folder, role)


def test_every_example_that_is_shipped_is_one_of_a_family_and_a_role():
    shipped = package_folder("sidecars").glob("*.example.yaml")

    assert {found.name for found in shipped} == {path(*each).name for each in EXAMPLES}


@pytest.mark.parametrize(("family", "role"), EXAMPLES)
def test_an_example_is_canonical_and_a_strict_reader_of_the_contract_accepts_it(
    tmp_path, family, role
):
    example(tmp_path, family, role)
    strict_reference_reader(read_yaml(path(family, role)))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_examples_of_a_family_are_one_pair(tmp_path, family):
    av, ar = (example(tmp_path, family, role) for role in ("av", "ar"))

    assert disagreements(av, ar) == []
    assert av.nla_release.base == ar.nla_release.base


@pytest.mark.parametrize("family", FAMILIES)
def test_an_examples_prompt_agrees_with_what_is_said_of_it(tmp_path, family):
    av = example(tmp_path, family, "av")
    tokens, injection = av.tokens, av.injection
    at, ids = injection.marker_position, injection.prompt_token_ids

    assert ids.count(tokens.injection_token_id) == 1
    assert ids[at - 1 : at + 2] == [
        tokens.injection_left_neighbor_id,
        tokens.injection_token_id,
        tokens.injection_right_neighbor_id,
    ]
    assert av.extraction.mse_scale == math.sqrt(av.d_model)
    prompt = av_prompt(av.prompt_templates.av, tokens.injection_char)
    assert f"<concept>{tokens.injection_char}</concept>" in prompt


@pytest.mark.parametrize("family", FAMILIES)
def test_an_examples_reconstructor_reads_the_layer_that_it_is_named_after(tmp_path, family):
    ar = example(tmp_path, family, "ar")

    assert ar.head.blocks == ar.extraction_layer_index + 1
    assert ar.head.shape == (ar.d_model, ar.d_model)
    assert ar.tokens.critic_suffix_ids


@pytest.mark.parametrize("family", ["Qwen2.5", "Llama-3"])
@pytest.mark.parametrize("role", ["av", "ar"])
def test_what_is_no_fact_of_the_base_is_marked(family, role):
    """Nobody may take a norm or a rank out of an example for a measurement."""
    lines = path(family, role).read_text(encoding="utf-8").splitlines()

    for key in ("stage:", "rank:", "alpha:", "activation_mean:", "embedding_mean:", "created_by:"):
        (line,) = [line for line in lines if line.strip().startswith(key)]
        assert "# yours" in line
