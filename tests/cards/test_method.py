"""The release beside the method: from its files, component by component."""

from pathlib import Path

import pytest

from nla_release.cards.inputs import read_inputs
from nla_release.cards.method import Component, alignment
from nla_release.cards.render import render
from nla_release.release.folder import Release, read_release
from tests.builders_pair import make_release, measure
from tests.cards.conftest import card
from tests.pairs.zoo import edited_yaml


def components(release: Release) -> dict[str, Component]:
    inputs = read_inputs(release)
    sidecars = {role: adapter.sidecar for role, adapter in inputs.adapters.items()}
    found = alignment(
        sidecars, {"av": "rank 2", "ar": "rank 2"}, inputs.evidence.run, inputs.calibration
    )
    return {each.name: each for each in found}


def test_what_was_not_done_is_out_of_scope_and_not_left_out(tmp_path: Path) -> None:
    found = components(make_release(tmp_path))

    for name in (
        "Reinforcement learning of the AV on reconstruction",
        "Contribution of single claims",
        "Truth of single claims, judged by a model",
    ):
        assert found[name].status == "out of scope"
    assert found["Injection: replaces the marker's embedding, rescaled"].status == "implemented"


def test_the_files_decide(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    for role in ("av", "ar"):
        with edited_yaml(release.adapter(role) / "nla_meta.yaml") as sidecar:
            sidecar["stage"] = "rl"
            sidecar["nla_release"]["base"] |= {"quantization": "nf4", "dtype": "bfloat16"}
    measure(release, probes=["claims"], rows=60, documents=20)
    found = components(read_release(tmp_path))

    assert found["Reinforcement learning of the AR on reconstruction"].status == "implemented"
    assert found["Base of the AV and the AR in training: bfloat16"] == Component(
        "Base of the AV and the AR in training: bfloat16",
        "adapted",
        "NF4 (4 bits), computing in bfloat16",
    )
    assert found["Contribution of single claims"].status == "adapted"


def test_adapters_trained_at_two_precisions_are_told_apart(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    with edited_yaml(release.adapter("av") / "nla_meta.yaml") as sidecar:
        sidecar["nla_release"]["base"]["dtype"] = "bfloat16"
    measure(release)
    found = components(read_release(tmp_path))

    assert found["Base of the AV in training: bfloat16"].status == "implemented"
    assert found["Base of the AR in training: bfloat16"].status == "adapted"


@pytest.mark.parametrize(
    ("stage", "warm", "reinforced"),
    [
        ("sl", "implemented", "out of scope"),
        ("av_sft", "implemented", "out of scope"),
        ("rl", "not recorded", "implemented"),
        ("ppo", "not recorded", "implemented"),
        ("GRPO-step60", "not recorded", "implemented"),
        ("sft+grpo", "implemented", "implemented"),
        ("final", "not recorded", "not recorded"),
        ("world", "not recorded", "not recorded"),
    ],
)
def test_a_stage_tells_no_more_than_its_name(
    tmp_path: Path, stage: str, warm: str, reinforced: str
) -> None:
    release = make_release(tmp_path)
    with edited_yaml(release.adapter("av") / "nla_meta.yaml") as sidecar:
        sidecar["stage"] = stage
    measure(release)
    found = components(read_release(tmp_path))

    assert found["Supervised warm start of the AV"].status == warm
    assert found["Reinforcement learning of the AV on reconstruction"].status == reinforced
    assert found["Reinforcement learning of the AR on reconstruction"].status == "out of scope"


def test_the_card_has_what_differs_and_the_page_has_all(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    render(release, "0.0.1")
    page = (release.dist / "ar" / "RELEASE_CALIBRATION.md").read_text()
    found = components(release)

    for name, component in found.items():
        assert f"\n| {name} | " in page
        listed = f"\n- {name.replace(': ', '. Method: ', 1)}; here: " in card(release, "av")
        assert listed == (component.status == "adapted")
