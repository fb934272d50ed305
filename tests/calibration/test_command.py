import re

import pytest
from click.testing import CliRunner

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.report import Calibration
from nla_release.calibration.tables import calibration_table
from nla_release.cli.calibrate import command
from nla_release.errors import EvidenceError, NothingCheckedError
from nla_release.statistics.row import HEADER
from tests.builders import make_evidence


@pytest.fixture
def folder(tmp_path):
    make_evidence(tmp_path / "evidence", failed={0: "empty", 5: "truncated"})
    return tmp_path


def test_calibrate_writes_the_file_beside_the_evidence_and_shows_a_table(folder):
    result = CliRunner().invoke(command, [str(folder)])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.startswith(
        "40 activations: 38 explained, 1 empty, 1 truncated, 0 without tags\n"
    )
    assert str(folder / "calibration.json") in result.stderr
    assert (folder / "calibration.json").is_file()


def test_json_on_stdout_is_the_file(folder):
    result = CliRunner().invoke(command, [str(folder), "--format", "json"])
    assert result.stdout == (folder / "calibration.json").read_text(encoding="utf-8")


def test_a_second_run_changes_nothing(folder):
    CliRunner().invoke(command, [str(folder)])
    before = (folder / "calibration.json").read_bytes()
    CliRunner().invoke(command, [str(folder)])
    assert (folder / "calibration.json").read_bytes() == before


def test_damaged_evidence_leaves_the_older_calibration_alone(folder):
    CliRunner().invoke(command, [str(folder)])
    before = (folder / "calibration.json").read_bytes()
    (folder / "evidence" / "run.json").unlink()
    result = CliRunner().invoke(command, [str(folder)])
    assert isinstance(result.exception, EvidenceError)
    assert (folder / "calibration.json").read_bytes() == before


def test_every_metric_stands_beside_its_control(folder):
    calibration = calibrate(make_evidence(folder / "evidence"))
    table = calibration_table(calibration)
    first, second, third = table.split("\n\n")[1:4]
    assert [block.splitlines()[0] for block in (first, second, third)] == [
        "Does it tell rows apart? Yes.",
        "Does the AR read the text? Yes.",
        "Can a reader use the text? Yes.",
    ]
    header, *lines = first.splitlines()[1:]
    assert re.split(r"\s{2,}", header.strip()) == list(HEADER)
    within = calibration.contrasts.within
    assert re.split(r"\s{2,}", lines[0].strip()) == [
        "Centred cosine, own text",
        f"{within.first:.3f}",
        f"{within.second:.3f}: texts of other rows of the document",
        f"{within.difference:+.3f}",
        f"{within.interval[0]:+.3f} to {within.interval[1]:+.3f}",
        "40",
    ]
    for block in (first, second, third):
        assert {line.rindex("40") for line in block.splitlines()[2:]} == {len(header) - 2}
    assert table.splitlines()[-1] == calibration.label.sentence


def test_controls_of_the_same_document_and_the_same_token_are_the_first_rows(folder):
    """They settle whether it is the row, its document or its token that is read."""
    calibration = calibrate(make_evidence(folder / "evidence"))
    lines = calibration_table(calibration).splitlines()[4:7]
    assert [re.search(r"\d: (.*?)  ", line)[1] for line in lines] == [
        "texts of other rows of the document",
        "texts of other documents",
        "texts of other documents at the same token",
    ]


def test_both_of_a_release_that_is_complete_and_bad_can_be_seen(folder):
    """A gate that passes says nothing of how good the pair is: the grades do."""
    calibration = calibrate(make_evidence(folder / "evidence", collapsed=True))
    table = calibration_table(calibration)
    assert "Does it tell rows apart? No." in table
    assert "Does the AR read the text? No." in table


@pytest.mark.parametrize(
    ("rows", "documents", "asked"),
    [(1, 1, "1 row of 1 document"), (30, 1, "30 rows of 1 document")],
)
def test_of_a_single_row_or_document_nothing_is_said_and_nothing_written(
    tmp_path, rows, documents, asked
):
    make_evidence(tmp_path / "evidence", rows=rows, documents=documents)

    result = CliRunner().invoke(command, [str(tmp_path)])

    assert isinstance(result.exception, NothingCheckedError)
    assert result.exception.exit_code == 3
    assert result.exception.message.startswith(f"{asked}: a calibration needs two or more of each")
    assert not (tmp_path / "calibration.json").exists()


def test_ten_rows_give_numbers_and_no_label(tmp_path):
    """As many as the seed's first tests had."""
    make_evidence(tmp_path / "evidence", rows=10, documents=10)

    result = CliRunner().invoke(command, [str(tmp_path)])

    assert result.exit_code == 0
    found = Calibration.read(tmp_path / "calibration.json")
    assert found.cosine.interval is not None
    assert found.label.name == "inconclusive"


def test_what_cannot_be_computed_is_a_dash(folder):
    table = calibration_table(calibrate(make_evidence(folder / "evidence", rows=4, documents=2)))
    assert "nan" not in table.lower()
    assert " -  " in table


def test_every_diagnostic_is_in_the_table(folder):
    probes = ("text-controls", "injection", "claims", "paraphrase", "discrimination")
    calibration = calibrate(
        make_evidence(folder / "evidence", rows=60, documents=30, probes=probes)
    )
    lines = calibration_table(calibration).splitlines()
    report = calibration.probes

    def line(start):
        return next(line for line in lines if start in line)

    assert f"{report.retrieval.drawn.hits}/30 =" in line("nearest in a random subset")
    assert f"  {report.claims.change:.3f}  " in line("a claim left out")
    share = report.structural.shares["shuffled"].share
    assert f"  {share:.3f}  " in line("Share of the plain cosine: another row's explanation")
    assert f"{report.ceiling.probe.hits}/60 =" in line("Document predicted by a linear map")
    assert "0/60 = 0.000  0.000: in source texts" in line("Chinese, Japanese or Korean for the act")
    gibberish = report.text_controls.controls["gibberish"]
    assert f"{gibberish.mean:.3f}: gibberish of equal length" in line("Cosine of the explanation")
    assert report.paraphrase.rewordings["paraphrase"].sentence in lines
    assert "Text retrieval by an encoder: skipped, no encoder was named." in lines
    assert "-0.000" not in calibration_table(calibration)
    assert lines[-1] == calibration.label.sentence


def test_a_diagnostic_without_a_number_says_why(folder):
    table = calibration_table(calibrate(make_evidence(folder / "evidence", rows=4, documents=2)))

    assert "retrieval, structural share: inconclusive, 4 rows of 2 documents are too few" in table
