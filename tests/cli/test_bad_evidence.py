"""Evidence that can carry no number: every verb says what, where and what next, and shows none."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import write_evidence
from nla_release.cli import cli
from nla_release.errors import NlaReleaseError
from nla_release.io.files import dump_json, read_json, sha256_file
from nla_release.release.folder import read_release
from tests.builders import evidence_parts
from tests.builders_pair import pair_digests
from tests.pairs.zoo import HELD_OUT, ROWS, WIDTH, measured_as

NAMES = ("rows.jsonl", "vectors.safetensors", "run.json")


class Done(NamedTuple):
    """What a verb left: its exit code, stdout, and stderr with the error that it ended in."""

    code: int
    out: str
    said: str


def run(*arguments: object) -> Done:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if isinstance(done.exception, NlaReleaseError):
        error = done.exception
        assert error.hint, f"{error.message}: what next?"
        return Done(error.exit_code, done.stdout, f"{done.stderr}{error.message}\n{error.hint}")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def cut_short(name: str) -> Callable[[Path, Path], object]:
    def damage(folder: Path, _: Path) -> None:
        path = folder / "evidence" / name
        path.write_bytes(path.read_bytes()[:-20])

    return damage


def of_another_run(name: str) -> Callable[[Path, Path], object]:
    return lambda folder, other: shutil.copy(other / "evidence" / name, folder / "evidence" / name)


def not_a_number(value: float) -> Callable[[Path, Path], None]:
    """In a tensor whose hash is right: only the value is wrong."""

    def damage(folder: Path, _: Path) -> None:
        path = folder / "evidence" / "vectors.safetensors"
        tensors = dict(safetensors.numpy.load_file(path))
        tensors["real"][3, 1] = value
        safetensors.numpy.save_file(tensors, path)
        edited_run(folder, vectors_sha256=sha256_file(path))

    return damage


def of_other_weights(folder: Path, _: Path) -> None:
    files = read_json(folder / "evidence" / "run.json")["files"]
    edited_run(folder, files=files | {"av/adapter_model.safetensors": "9" * 64})
    assert run("calibrate", folder).code == 0, "the evidence itself is whole"


def edited_run(folder: Path, **changes: object) -> None:
    path = folder / "evidence" / "run.json"
    path.write_text(dump_json(read_json(path) | changes))


BROKEN = {
    "rows cut short": (cut_short("rows.jsonl"), "rows.jsonl line 60 is not valid JSON"),
    "vectors cut short": (cut_short("vectors.safetensors"), "is not a complete safetensors file"),
    "run cut short": (cut_short("run.json"), "run.json is not valid JSON"),
    "rows of another run": (of_another_run("rows.jsonl"), "belongs to another run"),
    "vectors of another run": (of_another_run("vectors.safetensors"), "belongs to another run"),
    "record of another run": (of_another_run("run.json"), "belongs to another run"),
    "NaN": (not_a_number(np.nan), "tensor real holds NaN or infinity in row 4 (id 'r3')"),
    "infinity": (not_a_number(np.inf), "tensor real holds NaN or infinity in row 4 (id 'r3')"),
    "other weights": (of_other_weights, "av/adapter_model.safetensors is "),
}


@pytest.fixture(scope="module")
def other(good, tmp_path_factory):
    """Another run of the same pair, on other activations, of which one failed."""
    folder = tmp_path_factory.mktemp("other") / "release"
    shutil.copytree(good, folder)
    measured_as(folder, lambda parts: None, seed=3, failed={59: "empty"})
    return folder


@pytest.fixture(params=BROKEN)
def broken(request, release, other):
    """A release with evidence that is no evidence, and what is to be said of it."""
    damage, words = BROKEN[request.param]
    damage(release, other)
    return release, words


def test_check_and_report_find_it_and_the_report_shows_no_number(broken, tmp_path):
    folder, words = broken
    checked = run("check", folder)
    written = run("report", folder, "-o", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert checked.code == 1
    (finding,) = [line for line in checked.out.splitlines() if line.startswith("NLA601 error")]
    assert words in finding
    assert (written.code, written.said) == (0, "verdict: fail\n")
    assert "see NLA601" in page
    assert "<svg" not in page
    assert "own cosine is" not in page


@pytest.mark.parametrize("verb", ["compare", "compare with", "sweep"])
def test_nothing_is_compared_with_it(broken, good, tmp_path, verb):
    folder, words = broken
    out = tmp_path / "swept"
    done = run(
        *{
            "compare": ("compare", folder, good),
            "compare with": ("compare", good, folder),
            "sweep": ("sweep", folder, "--ar", good / "pair" / "ar", "--out", out),
        }[verb]
    )

    assert (done.code, done.out) == (2, "")
    assert words in done.said
    assert not out.exists()


@pytest.mark.parametrize("name", [name for name in BROKEN if name != "other weights"])
def test_nothing_is_computed_from_it(release, other, name):
    """Except of other weights: evidence alone knows nothing of what lies beside it."""
    damage, words = BROKEN[name]
    damage(release, other)
    before = (release / "calibration.json").read_bytes()
    done = run("calibrate", release, "--format", "json")

    assert (done.code, done.out) == (2, "")
    assert words in done.said
    assert (release / "calibration.json").read_bytes() == before


SINGLE = {
    "one document": {"documents": 1},
    "one row": {"rows": 1, "documents": 1},
}
THIN = {
    "two documents": {"documents": 2},
    "four documents": {"documents": 4},
    "nineteen rows": {"rows": 19},
}


def measured_anew(folder: Path, **options: int) -> None:
    """Evidence of the pair beside the calibration of an older run, and nothing rendered."""
    made = read_release(folder)
    parts = evidence_parts(**ROWS | {"width": WIDTH} | options)
    facts = parts.run.model_copy(update={"files": pair_digests(made), "training": HELD_OUT})
    write_evidence(made.evidence, parts.rows, parts.vectors, facts)
    shutil.rmtree(made.dist)


@pytest.mark.parametrize("options", SINGLE.values(), ids=SINGLE)
def test_of_a_single_row_or_document_no_verb_says_a_number(release, tmp_path, options):
    measured_anew(release, **options)
    compared = run("compare", release, release)
    checked = run("check", release)
    written = run("report", release, "-o", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    calibrated = run("calibrate", release, "--format", "json")

    for done in (calibrated, compared):
        assert (done.code, done.out) == (3, "")
        assert "a calibration needs two or more of each" in done.said
    assert checked.code != 0
    assert "NLA608" in checked.out
    assert written.code == 0
    assert "Gate: pass" not in page
    assert "<svg" not in page
    assert "own cosine is" not in page


@pytest.mark.parametrize("options", THIN.values(), ids=THIN)
def test_too_little_is_inconclusive_everywhere(release, tmp_path, options):
    measured_as(release, lambda parts: None, **options)
    calibrated = run("calibrate", release, "--format", "json")
    compared = run("compare", release, release)
    run("report", release, "-o", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert calibrated.code == 0
    assert json.loads(calibrated.out)["label"]["name"] == "inconclusive"
    assert run("check", release)[:1] == (3,)
    assert "Inconclusive: there are too few common rows or documents." in compared.out
    assert "better than" not in compared.out
    assert "Gate: inconclusive" in page
    assert "are too few to tell" in page
    for text in (calibrated.out, compared.out, page):
        assert not re.search(r"\bnan\b|\binf\b", text.split('id="data"')[0], re.IGNORECASE)


@pytest.fixture
def unvaried(release):
    """Every activation and every reconstruction is the same vector."""
    made = read_release(release)
    rows, vectors, run_facts = evidence_parts(**ROWS | {"width": WIDTH})
    same = np.zeros(WIDTH, np.float32)
    same[0] = 1
    facts = run_facts.model_copy(
        update={
            "files": pair_digests(made),
            "training": HELD_OUT,
            "reference": run_facts.reference.model_copy(update={"variance": 0.0}),
        }
    )
    alike = {name: np.broadcast_to(same, each.shape) for name, each in vectors.items()}
    evidence = write_evidence(made.evidence, rows, alike, facts)
    made.calibration.write_text(calibrate(evidence).dump())
    shutil.rmtree(made.dist)
    return release


def test_without_variance_a_perfect_cosine_is_a_failure_with_its_reason(unvaried, tmp_path):
    calibrated = json.loads(run("calibrate", unvaried, "--format", "json").out)
    checked = run("check", unvaried)
    compared = run("compare", unvaried, unvaried)
    run("report", unvaried, "-o", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert calibrated["cosine"]["mean"] == 1
    assert calibrated["label"]["name"] == "format-only"
    assert calibrated["fve"]["value"] is calibrated["fve_mean_norm"]["value"] is None
    assert calibrated["retrieval"]["hits"] == 0, "a tie is no hit"
    assert checked.code == 1
    assert "NLA603 error" in checked.out
    assert "Left out: FVE: the reference set does not vary." in compared.out
    assert "No difference of the centred cosine is shown" in compared.out
    assert "the mean training activation" in page
    fve = "Variance explained (FVE)"
    assert re.search(rf'<th [^>]*>{re.escape(fve)}</th><td class="number">-</td>', page)
    assert "Gate: fail" in page


def test_a_pair_that_never_answers_fails_and_keeps_its_denominator(release):
    measured_as(release, lambda parts: None, failed=dict.fromkeys(range(60), "empty"))
    calibrated = json.loads(run("calibrate", release, "--format", "json").out)
    checked = run("check", release)

    assert calibrated["cosine"] | {"interval": None} == {
        "mean": 0, "sd": 0, "median": 0, "interval": None, "n": 60,
    }  # fmt: skip
    assert calibrated["cosine_survivors"] == {"mean": None, "n": 0}
    assert checked.code == 1
    assert "NLA609 error" in checked.out
    assert "60 of 60 rows failed" in checked.out


def test_a_calibration_with_nan_is_a_finding(release, tmp_path):
    path = release / "calibration.json"
    path.write_text(path.read_text().replace('"hits": ', '"hits": NaN, "was": ', 1))
    checked = run("check", release)
    run("report", release, "-o", tmp_path / "report.html")

    assert checked.code == 1
    assert "NLA602 error" in checked.out
    assert "NaN is not a number in JSON" in checked.out
    assert "see NLA602" in (tmp_path / "report.html").read_text(encoding="utf-8")
