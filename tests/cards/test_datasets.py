"""Facts of the training data: those that the sidecar has, and none besides."""

from pathlib import Path

from nla_release.cards.method import dataset_facts
from nla_release.cards.render import render
from tests.builders_pair import make_release, measure
from tests.cards.conftest import card
from tests.pairs.zoo import edited_yaml


def test_a_sidecar_that_tells_nothing_gives_no_row() -> None:
    assert dataset_facts({"rows": 1000, "documents": 250}) == []


def test_corpus_labeler_licence_and_datasets_are_told() -> None:
    facts = dataset_facts(
        {
            "corpus": "OpenWebText",
            "labeler": "gpt-4o-mini",
            "data_license": "cc-by-4.0",
            "datasets": [
                {"name": "someone/av", "license": "cc-by-4.0", "rows": 4734, "labeler": "a | b"},
                "someone/ar",
                {"license": "mit"},
            ],
        }
    )

    assert facts == [
        ("Corpus", "OpenWebText"),
        ("Explanations written by", "gpt-4o-mini"),
        ("Licence of the training data", "cc-by-4.0"),
        (
            "Datasets",
            r"someone/av (cc-by-4.0, 4734 rows, labelled by a \| b); someone/ar; unnamed (mit)",
        ),
    ]


def test_what_is_no_text_is_left_out() -> None:
    assert dataset_facts({"corpus": {"a": 1}, "datasets": "x", "labeler": None}) == []


def test_they_stand_in_the_training_setup_of_the_card(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    with edited_yaml(release.adapter("av") / "nla_meta.yaml") as sidecar:
        sidecar["nla_release"]["training"]["corpus"] = "Tiny stories"
    measure(release)
    render(release, "0.0.1")

    assert "\n| Corpus | Tiny stories |\n" in card(release, "av")
    assert "| Corpus |" not in card(release, "ar")
