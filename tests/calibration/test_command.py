import pytest
from click.testing import CliRunner

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.report import Calibration
from nla_release.cli.calibrate import command
from nla_release.errors import EvidenceError, NothingCheckedError
from nla_release.output.calibration_text import calibration_table
from tests.builders import make_evidence


@pytest.fixture
def folder(tmp_path):
    make_evidence(tmp_path / "evidence", failed={0: "empty", 5: "truncated"})
    return tmp_path


def test_calibrate_writes_the_file_beside_the_evidence_and_shows_a_table(folder):
    result = CliRunner().invoke(command, [str(folder)])
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.startswith("asked 40 · ok 38 · empty 1 · truncated 1 · unparsed 0\n")
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
    lines = calibration_table(calibration).splitlines()
    header = lines[2]
    assert header.split() == [
        "metric",
        "value",
        "control",
        "difference",
        "95%",
        "interval",
        "of",
        "it",
        "n",
    ]
    shuffled = calibration.controls["shuffled"]
    assert lines[3].split() == [
        "cosine",
        f"{calibration.cosine.mean:.3f}",
        "shuffled",
        f"{shuffled.mean:.3f}",
        f"{shuffled.difference:+.3f}",
        f"{shuffled.interval[0]:+.3f}",
        "to",
        f"{shuffled.interval[1]:+.3f}",
        "40",
    ]
    assert [line.split("  ")[0] for line in lines[3:12]] == ["cosine"] * 6 + [
        "fve",
        "fve, mean norm",
        f"retrieval {calibration.retrieval.hits}/40",
    ]
    assert {line.rindex("40") for line in lines[3:12]} == {len(header) - 2}
    assert lines[-1] == calibration.label.sentence


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
    assert result.exception.message.startswith(f"{asked}: nothing can be said, and no number")
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

    assert f"{report.retrieval.drawn.hits}/30 =" in line("nearest of those drawn")
    assert f"  {report.claims.change:.3f}  " in line("a claim left out")
    share = report.structural.shares["shuffled"].share
    assert f"  {share:.3f}  " in line("Share of the cosine: another row's explanation")
    assert f"{report.ceiling.probe.hits}/60 =" in line("Document told by a linear map")
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
