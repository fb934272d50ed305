"""The tables of the diagnostics: what ran, next to its control, and what follows in words."""

from pathlib import Path
from typing import Any

import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.contamination import Contamination, contamination_sentence
from nla_release.calibration.multiplicity import adjusted_sentence
from nla_release.calibration.report import Calibration
from nla_release.cards.blocks import PROBES, TABLES, expected_blocks, expected_page_blocks
from nla_release.diagnostics import ceiling
from nla_release.diagnostics.ceiling import Ceiling
from nla_release.diagnostics.paraphrase import Paraphrase, rewording_sentence
from nla_release.evidence.diagnostic_names import DIAGNOSTICS
from nla_release.statistics.blocks import Ratio
from nla_release.statistics.measures import FORMAT_2
from tests.builders import make_evidence

ALL = ["text-controls", "injection", "claims", "paraphrase", "discrimination", "text-retrieval"]


def measured(folder: Path, **options: Any) -> Calibration:
    return calibrate(make_evidence(folder, **{"rows": 120, "documents": 30} | options))


def block(calibration: Calibration) -> str:
    return expected_page_blocks(calibration)[TABLES]


def lines(text: str) -> list[list[str]]:
    """The cells of every line of a table."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def test_a_card_says_what_overlaps_and_what_was_tried_and_leaves_the_tables_to_the_page(
    tmp_path: Path,
) -> None:
    calibration = measured(tmp_path, probes=ALL)
    text = expected_blocks(calibration)[PROBES]

    assert "|" not in text
    assert "training documents" in text
    assert "The author does not declare how many checkpoints or settings were tried." in text
    assert calibration.multiplicity is not None
    assert adjusted_sentence(calibration.multiplicity) in block(calibration)


@pytest.mark.parametrize(
    ("attempts", "words"),
    [
        (1, "Declared by the author: no other checkpoint or setting was tried."),
        (7, "one of 7 checkpoints or settings that were tried"),
    ],
)
def test_a_card_says_how_many_were_tried(tmp_path: Path, attempts: int, words: str) -> None:
    calibration = measured(tmp_path)
    assert calibration.multiplicity is not None
    tried = calibration.multiplicity.model_copy(update={"attempts": attempts})

    text = expected_blocks(calibration.model_copy(update={"multiplicity": tried}))[PROBES]

    assert words in text


def test_every_row_of_every_table_has_value_control_difference_interval_and_n(
    tmp_path: Path,
) -> None:
    lines = [line for line in block(measured(tmp_path, probes=ALL)).splitlines() if "|" in line]

    assert sum(line.startswith("| measured |") for line in lines) == len(DIAGNOSTICS)
    assert len(lines) > 40
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert len(cells) == 6
        assert all(cells)
    assert "None" not in block(measured(tmp_path / "again", probes=ALL))


def test_a_calibration_of_format_1_has_no_block(tmp_path: Path) -> None:
    later = {"probes", "contamination", "multiplicity"}
    older = Calibration.model_validate(
        {
            name: value
            for name, value in measured(tmp_path).model_dump(by_alias=True).items()
            if name not in later
        }
        | {"schema": 1}
    )

    assert PROBES not in expected_blocks(older)
    assert TABLES not in expected_page_blocks(older)


def test_what_did_not_run_and_what_is_too_small_is_said_with_its_reason(tmp_path: Path) -> None:
    text = block(measured(tmp_path, rows=6, documents=3, probes=["claims"]))

    assert "- Claims: inconclusive, `6 explanations of two or more claims of 3 documents" in text
    assert "- Not run: text controls, paraphrase, discrimination." in text
    assert "| measured |" not in text


def test_a_part_without_an_encoder_is_skipped_with_its_reason(tmp_path: Path) -> None:
    assert "by an encoder: skipped, no encoder was named." in block(measured(tmp_path))


def test_a_small_cost_of_rewording_counts_only_where_there_is_one_and_content(
    tmp_path: Path,
) -> None:
    calibration = measured(tmp_path / "reads", probes=["paraphrase"])
    ignores = block(measured(tmp_path / "ignores", probes=["paraphrase"], collapsed=True))
    probe = calibration.probes.of(Paraphrase)
    assert probe is not None
    dear = {
        name: found.model_copy(update={"share_interval": (0.4, 0.5)})
        for name, found in probe.rewordings.items()
    }

    assert "A small cost of rewording counts here" in block(calibration)
    assert "this says nothing, because texts without the content" in ignores
    assert "small cost" not in ignores
    assert "does not count here" in (
        rewording_sentence(probe.model_copy(update={"separates": False})) or ""
    )
    assert rewording_sentence(probe.model_copy(update={"rewordings": dear})) is None


def test_raw_activations_are_counted_by_documents_too() -> None:
    """40 of 200 rows of 10 documents: if rows hit together, those are 2 of 10."""
    few, many = (
        FORMAT_2.ratio([at < hits for at in range(200)], ["d"] * 200) for hits in (40, 150)
    )

    def said(nearest: Ratio) -> str:
        found = Ceiling(
            documents=10,
            nearest=nearest,
            nearest_chance=0.095,
            nearest_of_reconstructions=few,
            probe=few,
            probe_chance=0.1,
        )
        (sentence,) = ceiling.DIAGNOSTIC.sentences(found)
        return sentence

    assert few.interval[0] > 0.1
    assert "are not shown to identify their document either" in said(few)
    assert said(many).endswith("so the layer alone would not explain a score at chance.")


def test_claims_are_read_beside_another_activation(tmp_path: Path) -> None:
    text = block(measured(tmp_path, probes=["claims"]))

    assert "the same claim, left out for another document's activation" in text
    assert "Read the control of another activation" in text


def test_p_stands_beside_the_least_that_it_can_be(tmp_path: Path) -> None:
    assert "p = 0.0005 by 2000 permutations; the smallest possible p is 0.0005" in block(
        measured(tmp_path)
    )


def test_rows_that_were_trained_on_are_told_with_the_cosine_without_them() -> None:
    share = {"n": 20, "interval": (0.0, 0.3)}
    overlap = {
        "training_sha256": "0" * 64,
        "training_documents": 250,
        "documents": share | {"hits": 2, "share": 0.1},
        "texts": share | {"hits": 0, "share": 0.0},
        "clean": {"mean": 0.5, "n": 18},
    }
    said = contamination_sentence(Contamination.model_validate(overlap))

    assert "2 of 20 evaluation documents share an id with one" in said
    assert said.endswith("Without these documents the cosine is 0.500 (n = 18).")
    assert "is not known" in contamination_sentence(None)
