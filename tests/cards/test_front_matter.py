"""The YAML that the Hub reads: accepted by its rules, and no number in it without its control."""

from typing import Any

import huggingface_hub
import pytest
import yaml

from nla_release.calibration.report import Calibration
from nla_release.hub_client.card_metadata import check_card
from nla_release.release.folder import Release
from nla_release.release.licences import LICENSES


def metadata(card: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return loaded


@pytest.mark.parametrize("role", ["av", "ar"])
def test_the_hub_accepts_the_card(cards: dict[str, str], role: str) -> None:
    report = check_card(cards[role])

    assert (report.errors, report.warnings) == ([], [])


@pytest.mark.parametrize(
    ("role", "pipeline_tag", "role_tag"),
    [
        ("av", "text-generation", "activation-verbalizer"),
        ("ar", "feature-extraction", "activation-reconstructor"),
    ],
)
def test_the_card_says_what_it_is_and_what_it_adapts(
    cards: dict[str, str], role: str, pipeline_tag: str, role_tag: str
) -> None:
    found = metadata(cards[role])

    assert found["license"] == "apache-2.0"
    assert found["license"] in LICENSES
    assert found["base_model"] == "someone/tiny"
    assert found["base_model_relation"] == "adapter"
    assert found["library_name"] == "peft"
    assert found["pipeline_tag"] == pipeline_tag
    assert set(found["tags"]) == {
        "natural-language-autoencoder",
        "nla",
        role_tag,
        "interpretability",
        "mechanistic-interpretability",
        "lora",
        "peft",
    }


@pytest.mark.parametrize("role", ["av", "ar"])
def test_huggingface_hub_reads_every_result_back(
    cards: dict[str, str], role: str, release: Release
) -> None:
    data = huggingface_hub.ModelCard(cards[role]).data
    written = metadata(cards[role])["model-index"][0]["results"][0]["metrics"]

    assert data.eval_results is not None
    assert [(each.metric_name, each.metric_value) for each in data.eval_results] == [
        (each["name"], each["value"]) for each in written
    ]
    found = Calibration.read(release.calibration)
    values = {each.metric_name: each.metric_value for each in data.eval_results}
    assert values["Round-trip cosine"] == found.cosine.mean
    assert data.eval_results[0].metric_name == "Centred cosine"
    assert {each.dataset_config for each in data.eval_results} == {"block-3"}


@pytest.mark.parametrize("role", ["av", "ar"])
def test_the_metadata_survives_a_round_trip_through_huggingface_hub(
    cards: dict[str, str], role: str
) -> None:
    """The Hub's own tools read a card and write it again; no number, name or text may be lost."""
    written = metadata(cards[role])
    card = huggingface_hub.ModelCard(cards[role])
    again = huggingface_hub.ModelCard(str(card))

    assert yaml.safe_load(card.data.to_yaml()) == written
    assert metadata(str(again)) == written
    assert again.text.strip() == cards[role].split("---\n", 2)[2].strip()
    assert again.data.eval_results == card.data.eval_results
    report = check_card(str(again))
    assert (report.errors, report.warnings) == ([], [])


@pytest.mark.parametrize("role", ["av", "ar"])
def test_huggingface_hub_finds_the_metadata_of_the_file(release: Release, role: str) -> None:
    path = release.dist / role / "README.md"

    assert huggingface_hub.metadata_load(path) == metadata(path.read_text(encoding="utf-8"))


def test_every_metric_stands_beside_its_control(cards: dict[str, str]) -> None:
    metrics = metadata(cards["av"])["model-index"][0]["results"][0]["metrics"]
    names = [each["name"] for each in metrics]

    for control in ("another row's explanation", "the empty explanation"):
        assert f"Round-trip cosine, control: {control}" in names
        assert f"Round-trip cosine, minus: {control}" in names
    assert "Round-trip cosine, control: the mean training direction" in names
    assert "Own activation retrieved, control: chance" in names
    assert "Own activation retrieved, control: knowing the document" in names
    for name in ("Centred cosine", "Variance explained", "Variance explained, mean-norm"):
        assert names[names.index(name) + 1].startswith(f"{name}, control: ")
