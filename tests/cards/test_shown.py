"""What a release shows and does not show: chosen by its label, from its numbers, and no more."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.label import grades
from nla_release.calibration.report import Calibration, LabelName
from nla_release.cards.blocks import expected_blocks, expected_page_blocks
from nla_release.cards.sentences import shown
from nla_release.diagnostics.paraphrase import Paraphrase
from nla_release.diagnostics.text_retrieval import TextRetrieval
from nla_release.gate.priority_claims import claim
from tests.builders import make_evidence

GOLDEN = Path(__file__).parent.parent / "golden" / "shows"

# Evidence that gets each label.
OPTIONS: dict[LabelName, dict[str, Any]] = {
    "row-level": {"rows": 120, "documents": 30, "probes": ["claims"]},
    "document-level": {"rows": 60, "documents": 20, "reads": "document"},
    "token-level": {"rows": 60, "documents": 20, "reads": "token"},
    "format-only": {"rows": 60, "documents": 20, "collapsed": True},
    "inconclusive": {"rows": 12, "documents": 3},
}


def measured(folder: Path, **options: Any) -> Calibration:
    return calibrate(make_evidence(folder, **options))


def words(calibration: Calibration) -> str:
    found = shown(calibration)
    return " ".join([*found.shows, *found.does_not_show])


@pytest.mark.parametrize("label", OPTIONS)
def test_the_block_of_each_label_is_the_one_that_was_read_and_approved(
    tmp_path: Path, label: LabelName
) -> None:
    """Read the difference, then accept it with NLA_RELEASE_UPDATE_GOLDEN=1 pytest tests/cards."""
    calibration = measured(tmp_path, **OPTIONS[label])
    assert calibration.label.name == label
    block = expected_blocks(calibration)["shows"] + "\n"
    golden = GOLDEN / f"{label}.md"
    if os.environ.get("NLA_RELEASE_UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(block, encoding="utf-8")

    assert block == golden.read_text(encoding="utf-8")
    assert expected_page_blocks(calibration)["shows"] + "\n" == block


@pytest.mark.parametrize("label", OPTIONS)
def test_every_label_says_something_on_either_side(tmp_path: Path, label: LabelName) -> None:
    found = shown(measured(tmp_path, **OPTIONS[label]))

    assert found.shows
    assert found.does_not_show
    for sentence in (*found.shows, *found.does_not_show):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert claim(sentence) is None


def test_a_pair_of_which_only_the_form_is_shown_shows_no_content(tmp_path: Path) -> None:
    """A cosine of 0.8 that a constant reaches too is no success."""
    text = words(measured(tmp_path, **OPTIONS["format-only"]))

    assert "How much of the score needs no content:" in text
    assert "belong to their activations" not in text
    assert "injected activation matters" not in text


def test_a_document_is_no_row_of_it(tmp_path: Path) -> None:
    found = shown(measured(tmp_path, **OPTIONS["document-level"]))

    assert not any("rows of one document apart" in sentence for sentence in found.shows)
    assert "from others of the same document" in found.does_not_show[0]


def test_a_token_is_no_document(tmp_path: Path) -> None:
    """What another row of the document says is no better than what any row says: no topic."""
    found = shown(measured(tmp_path, **OPTIONS["token-level"]))

    assert not any("documents apart" in sentence for sentence in found.shows)
    assert found.does_not_show[0].startswith("Whether an explanation says anything about its docum")


def test_with_one_row_per_document_others_of_it_were_not_there_to_tell(tmp_path: Path) -> None:
    calibration = measured(tmp_path, rows=60, documents=60)
    found = shown(calibration)

    assert not any("same document" in sentence for sentence in found.shows)
    assert "With one row per document, rows of a document cannot be compared." in (
        calibration.label.sentence
    )
    assert "1.000" not in found.does_not_show[0]


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((-0.01, 0.31), "not shown to say more about it than explanations of other documents do"),
        ((-0.3, -0.1), "explanations of other documents reconstruct it better"),
        ((0.11, 0.19), "the reconstruction is not shown to be nearer to its own activation"),
    ],
    ids=["not shown", "worse", "better and yet no nearer"],
)
def test_format_only_says_why_and_calls_nothing_equal(
    tmp_path: Path, interval: tuple[float, float], words: str
) -> None:
    calibration = measured(tmp_path, **OPTIONS["format-only"])
    pairs = calibration.contrasts
    others = pairs.above_others.model_copy(update={"interval": interval})
    update = {"contrasts": pairs.model_copy(update={"above_others": others})}
    found = shown(calibration.model_copy(update=update))

    assert words in found.does_not_show[0]
    assert not re.search(r"as well|as high", " ".join(found.does_not_show))


def test_words_about_a_token_are_not_blamed_for_not_leading_to_the_document(
    tmp_path: Path,
) -> None:
    calibration = measured(tmp_path, **OPTIONS["token-level"])
    found = calibration.probes.of(TextRetrieval)
    assert found
    chance = found.lexical.model_copy(update={"interval": (0.0, 0.2)})
    found = found.model_copy(update={"lexical": chance})
    probes = calibration.probes.model_copy(update={"text_retrieval": found})
    calibration = calibration.model_copy(update={"probes": probes})
    (sentence,) = (each for each in shown(calibration).does_not_show if "a reader finds" in each)

    assert "an explanation of the token or the position need not lead to" in sentence
    assert "in a way of its own" not in sentence


def test_that_it_is_more_than_the_token_is_shown_or_not_said(tmp_path: Path) -> None:
    rows = shown(measured(tmp_path, **OPTIONS["row-level"]))

    assert any("Explanations carry more than the last token" in sentence for sentence in rows.shows)
    for label in ("document-level", "token-level"):
        assert "more than the last token" not in " ".join(
            shown(measured(tmp_path, **OPTIONS[label])).shows
        )


def test_wording_that_may_carry_it_is_said(tmp_path: Path) -> None:
    """As where a paraphrase costs half of what another row's text does."""
    calibration = measured(tmp_path, rows=120, documents=30, probes=["paraphrase"])
    probe = calibration.probes.paraphrase
    assert isinstance(probe, Paraphrase)
    dear = probe.rewordings["paraphrase"].model_copy(update={"share_interval": (0.4, 0.5)})
    reworded = probe.model_copy(update={"rewordings": {"paraphrase": dear}})
    probes = calibration.probes.model_copy(update={"paraphrase": reworded})
    changed = calibration.model_copy(update={"probes": probes})

    assert "Whether meaning rather than wording carries the content:" in words(changed)
    assert "wording" not in words(calibration)


def test_too_little_evidence_shows_nothing_of_the_content(tmp_path: Path) -> None:
    found = shown(measured(tmp_path, **OPTIONS["inconclusive"]))

    assert found.shows == ["The pair runs: 12 of 12 activations got an explanation."]
    assert "cosine" not in words(measured(tmp_path, **OPTIONS["inconclusive"]))


def test_a_pair_below_the_mean_is_not_said_to_beat_it(tmp_path: Path) -> None:
    better = measured(tmp_path / "better", rows=60, documents=20)
    below = measured(tmp_path / "below", rows=60, documents=20, noise=1.5)

    assert below.controls["predict_mean"].difference < 0
    assert "beats predicting the mean" in words(better)
    assert "beats predicting the mean" not in words(below)


def test_words_that_lead_nowhere_are_said_to(tmp_path: Path) -> None:
    """What the AR finds in a text need not be what a reader finds in it."""
    calibration = measured(tmp_path, rows=60, documents=20)
    found = calibration.probes.text_retrieval
    assert isinstance(found, TextRetrieval)
    lost = found.lexical.model_copy(update={"hits": 3, "interval": (0.01, 0.14)})
    probes = calibration.probes.model_copy(
        update={"text_retrieval": found.model_copy(update={"lexical": lost})}
    )
    changed = calibration.model_copy(update={"probes": probes})

    percentile = found.lexical.percentile.model_copy(update={"interval": (-0.01, 0.2)})
    unsure = found.lexical.model_copy(update={"percentile": percentile})
    by_chance = calibration.probes.model_copy(
        update={"text_retrieval": found.model_copy(update={"lexical": unsure})}
    )

    assert any(
        re.match("The words are informative", sentence) for sentence in shown(calibration).shows
    )
    assert "informative without the AR" not in words(
        calibration.model_copy(update={"probes": by_chance})
    )
    assert any("in a way of its own" in sentence for sentence in shown(changed).does_not_show)
    assert not any("informative" in sentence for sentence in shown(changed).shows)


def test_words_that_an_encoder_reads_are_not_said_to_be_lost(tmp_path: Path) -> None:
    """The grade says that a reader can use the text: no sentence may say otherwise."""
    calibration = measured(tmp_path, rows=60, documents=20)
    found = calibration.probes.text_retrieval
    lost = found.lexical.model_copy(update={"hits": 3, "interval": (0.01, 0.14)})
    probes = calibration.probes.model_copy(
        update={
            "text_retrieval": found.model_copy(update={"lexical": lost, "encoder": found.lexical})
        }
    )
    changed = calibration.model_copy(update={"probes": probes})

    assert grades(changed).readable == "yes"
    assert "without the AR. By a text encoder" in words(changed)
    assert "in a way of its own" not in words(changed)
