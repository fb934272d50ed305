"""The gap table: what falls short of perfect or of something measured, and nothing else."""

from pathlib import Path

from nla_release.calibration.calibrate import calibrate
from nla_release.cards.blocks import Gap, gaps
from tests.builders import make_evidence


def table(folder: Path, **options: object) -> dict[str, Gap]:
    return {gap.what: gap for gap in gaps(calibrate(make_evidence(folder, **options)))}


def test_every_gap_stands_between_what_is_here_and_what_could_be(tmp_path: Path) -> None:
    found = table(tmp_path, rows=60, documents=20, noise=1.5, failed={0: "empty"})

    assert set(found) == {
        "Centred cosine",
        "Variance explained (FVE)",
        "Own activation retrieved",
        "Nearest other activation is of the same document",
        "Activations explained",
    }
    for gap in found.values():
        assert gap.gap.startswith("-")
        assert gap.n == 60
    assert found["Activations explained"].here == "59/60 = 0.983"
    assert found["Activations explained"].against == "60/60 = 1: every one"


def test_where_nothing_is_missing_no_gap_is_told(tmp_path: Path) -> None:
    found = table(tmp_path, noise=0.01)

    assert "Activations explained" not in found
    assert "Own activation retrieved" not in found


def test_without_labels_there_is_no_ceiling_of_theirs(tmp_path: Path) -> None:
    assert "Centred cosine" not in table(tmp_path, gold_text=False)
