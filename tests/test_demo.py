"""`make demo` leaves what it says, the good pair passes, and the collapsed one does not."""

import json
import re
from pathlib import Path

import pytest

from nla_release.calibration.questions import questions
from nla_release.calibration.reading import above_zero
from nla_release.calibration.report import Calibration, CurrentCalibration
from nla_release.io.files import read_text
from nla_release.release.folder import read_release
from train.demo import BASE, RECIPE, steps

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "docs" / "tutorials" / "first-release.md"


def test_the_demo_leaves_the_whole_release(good_release):
    for name in (
        "pair/av/adapter_model.safetensors",
        "pair/ar/value_head.safetensors",
        "release.yaml",
        "base.json",
        "evidence/rows.jsonl",
        "evidence/vectors.safetensors",
        "evidence/run.json",
        "calibration.json",
        "dist/av/README.md",
        "dist/ar/README.md",
        "dist/av/figures/training_loss.png",
        "dist/av/figures/cosine_real_vs_controls.png",
        "hub",
    ):
        assert (good_release / name).exists(), name


def test_the_tutorial_shows_the_steps_of_today():
    shown = read_text(TUTORIAL)
    for title, line in steps(Path("build/demo")):
        assert f"== {title}\n   $ {' '.join([Path(line[0]).name, *line[1:]])}\n" in shown


def test_the_good_pair_reads_content(good_release):
    calibration = Calibration.read(good_release / "calibration.json")
    contrasts = calibration.contrasts

    assert calibration.denominators.rows == calibration.denominators.ok >= 300
    assert contrasts.within.interval[0] > 0.05
    assert contrasts.above_others.interval[0] > 0.3
    assert calibration.controls["predict_mean"].interval[0] > 0.2
    assert calibration.retrieval.above_document_interval[0] > 0
    assert calibration.label.name == "row-level"


def test_the_readme_shows_what_the_good_pair_can_do(good_release):
    """Its rows are the calibration's; the numbers of another machine differ a little."""
    calibration = CurrentCalibration.read(good_release / "calibration.json")
    measured = {
        (row.name, row.control): row for each in questions(calibration) for row in each.rows
    }
    (table,) = re.findall(r"\n\| measured .*\n\|.*\n((?:\|.*\n)+)", read_text(ROOT / "README.md"))
    for line in table.splitlines():
        name, value, control, baseline, _ = (part.strip() for part in line.strip("|").split("|"))
        row = measured[name, control]
        assert float(value) == pytest.approx(row.value, abs=0.05)
        assert float(baseline) == pytest.approx(row.baseline, abs=0.05)
    assert f"label *{calibration.label.name}*" in read_text(ROOT / "README.md")


def test_the_good_pair_passes_every_rule(good_release, tool):
    done = tool("check", good_release, "--format", "json")
    verdict = json.loads(done.stdout)

    assert done.returncode == 0
    assert verdict["verdict"] == "pass"
    # NLA616 compares with the release before, and this is the first.
    assert verdict["rules"]["passed"] == verdict["rules"]["total"] - 1
    assert verdict["rules"]["skipped"] == 1
    assert verdict["findings"] == []


@pytest.mark.parametrize("part", ["dist", "dist/av", "dist/ar"])
def test_so_do_its_rendered_repositories_wherever_check_is_pointed(good_release, tool, part):
    done = tool("check", good_release / part, "--tokenizer", BASE / "tokenizer.json")

    assert done.returncode == 0, done.stdout


def test_the_collapsed_pair_is_rejected_whatever_its_cosine_looks_like(collapsed_release, tool):
    calibration = Calibration.read(collapsed_release / "calibration.json")
    done = tool("check", collapsed_release, "--format", "json")
    codes = {finding["code"] for finding in json.loads(done.stdout)["findings"]}

    assert done.returncode == 1
    assert "NLA603" in codes
    assert calibration.label.name == "format-only"
    assert not above_zero(calibration.contrasts.above_others)


def test_the_collapsed_pairs_card_says_so_in_plain_words(collapsed_release, tool, version):
    assert tool("render", "--version", version, collapsed_release).returncode == 0
    card = (collapsed_release / "dist" / "av" / "README.md").read_text()

    assert "> **Format-only.**" in card
    assert "not shown to carry content" in card


def test_the_collapsed_pair_is_not_published(collapsed_release, tool, version):
    tool("render", "--version", version, collapsed_release)
    done = tool("push", "--version", version, "--rehearse", collapsed_release)

    assert done.returncode == 1
    assert "does not pass `nla-release check`" in done.stderr


def test_rendering_again_gives_the_same_bytes(good_release, copy_of, tool, version):
    release = copy_of(good_release)
    before = {path: path.read_bytes() for path in (release / "dist").rglob("*") if path.is_file()}
    assert tool("render", "--version", version, release).returncode == 0

    assert before == {
        path: path.read_bytes() for path in (release / "dist").rglob("*") if path.is_file()
    }


def test_calibrating_again_gives_the_same_bytes(good_release, copy_of, tool):
    release = copy_of(good_release)
    before = (release / "calibration.json").read_bytes()
    assert tool("calibrate", release).returncode == 0

    assert (release / "calibration.json").read_bytes() == before


def test_the_release_names_the_list_of_what_the_pair_learned_from(good_release):
    listed = good_release / "data" / "training_documents.jsonl"

    assert read_release(good_release).training_documents == [listed]
    assert len(listed.read_text().splitlines()) == 400


def test_the_recipe_and_the_release_name_the_shipped_base(good_release):
    """`prepare` imports the shipped base and compares its commit; the recipe must agree."""
    from nla_release.io.files import read_yaml

    released = read_yaml(good_release / "release.yaml")
    trained = read_yaml(RECIPE)["base"]

    assert (trained["id"], trained["revision"]) == (
        released["base_model"],
        released["base_revision"],
    )
