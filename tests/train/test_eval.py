"""The trajectory: what checkpoints do, measured by the release tool's own round trip."""

import io
import shutil
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from nla_release.calibration.report import Calibration
from nla_release.cli.train import command
from nla_release.errors import ConfigError, DataError
from nla_release.io.files import sha256_file
from nla_release.training.ar import train_ar
from nla_release.training.av import train_av
from nla_release.training.checkpoints import kept_steps
from nla_release.training.eval import chosen, evaluate
from nla_release.training.trajectory import Point, read_points
from tests.train.built import build_rows, copied, recipe_with, write_recipe
from tests.train.chain import other_weights

QUICK = {"rows": 12, "max_new_tokens": 8}
KEPT = {"checkpoint_every": 2, "steps": 4}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = build_rows(tmp_path_factory.mktemp("trained"))
    recipe = recipe_with(folder, av=KEPT, ar=KEPT)
    train_av(recipe, folder, device="cpu")
    train_ar(recipe, folder, device="cpu")
    return folder


def recipe_of(folder, **choice):
    return recipe_with(folder, av=KEPT, ar=KEPT, eval=QUICK | choice)


@dataclass
class Measured:
    """The finished pair alone, then all checkpoints: points of both, and what was said of these."""

    folder: Path
    first: list[Point]
    points: list[Point]
    said: str


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    folder = copied(trained, tmp_path_factory.mktemp("measured"))
    first = evaluate(recipe_of(folder), folder, device="cpu")
    with redirect_stderr(io.StringIO()) as said:
        points = evaluate(recipe_of(folder, checkpoints="all"), folder, device="cpu")
    return Measured(folder, first, points, said.getvalue())


def test_checkpoints_are_measured_with_the_finished_other_half(measured):
    folder, points = measured.folder, measured.points
    table = (folder / "trajectory.md").read_text()
    places = sorted(path.name for path in (folder / "trajectory").iterdir())

    assert [(it.steps["av"], it.steps["ar"]) for it in points] == [(2, 4), (4, 2), (4, 4)]
    assert places == ["av-000002-ar-000004", "av-000004-ar-000002", "av-000004-ar-000004"]
    assert points[0].adapter_sha256["av"] == sha256_file(
        kept_steps(folder, "av")[2] / "adapter_model.safetensors"
    )
    assert table.count("\n| 4 |") == 2
    assert "release.yaml: `attempts: 3` under `evaluation`" in " ".join(table.split())


def test_a_points_figures_are_those_of_its_evidence(measured):
    point = measured.points[-1]
    place = measured.folder / "trajectory/av-000004-ar-000004"
    calibration = Calibration.read(place / "calibration.json")

    assert read_points(measured.folder) == measured.points
    assert point.cosine == calibration.cosine.mean
    assert point.real_minus_shuffled == calibration.controls["shuffled"].difference
    assert (point.rows, point.failed) == (12, 12 - calibration.denominators.ok)


def test_what_was_measured_is_not_measured_again(measured, tmp_path, capsys):
    assert measured.points[-1:] == measured.first
    assert "eval: av-000002-ar-000004, 1 of 3" in measured.said
    assert "eval: av-000004-ar-000004" not in measured.said

    folder = copied(measured.folder, tmp_path)
    again = evaluate(recipe_of(folder), folder, device="cpu", again=True)
    assert "eval: av-000004-ar-000004, 1 of 1" in capsys.readouterr().err
    assert again == measured.first
    assert_three_were_tried(folder)


def assert_three_were_tried(folder):
    steps = [(it.steps["av"], it.steps["ar"]) for it in read_points(folder)]
    assert steps == [(2, 4), (4, 2), (4, 4)]
    assert "`attempts: 3`" in (folder / "trajectory.md").read_text()


@pytest.fixture
def not_measured(measured, tmp_path, monkeypatch):
    """A folder where all is known, and what is measured once more, as it would be asked of it."""
    asked = []

    def known(_release, pairing, wanted, *_, **__):
        asked.append(pairing.name)
        (point,) = [it for it in measured.points if it.steps == pairing.steps]
        return point.model_copy(update={"measured_with": wanted})

    monkeypatch.setattr("nla_release.training.eval._measure", known)
    return copied(measured.folder, tmp_path), asked


def test_who_asks_for_the_finished_pair_alone_is_told_of_all_that_were_tried(not_measured):
    folder, asked = not_measured
    assert len(evaluate(recipe_of(folder), folder, device="cpu")) == 1
    assert_three_were_tried(folder)

    (two,) = evaluate(recipe_of(folder, rows=11), folder, device="cpu")
    assert asked == ["av-000004-ar-000004"]
    assert_three_were_tried(folder)
    assert read_points(folder)[-1] == two


def test_an_evaluation_that_is_killed_forgets_nothing(measured, not_measured, monkeypatch):
    def killed(_release, pairing, *_, **__):
        if pairing.steps["av"] == 2:
            return measured.points[0]
        raise KeyboardInterrupt

    folder, _ = not_measured
    monkeypatch.setattr("nla_release.training.eval._measure", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(recipe_of(folder, checkpoints="all"), folder, device="cpu", again=True)
    assert_three_were_tried(folder)


def test_what_was_measured_of_adapters_that_are_gone_is_forgotten(not_measured):
    folder, _ = not_measured
    shutil.rmtree(kept_steps(folder, "av")[2])
    evaluate(recipe_of(folder), folder, device="cpu")

    assert [(it.steps["av"], it.steps["ar"]) for it in read_points(folder)] == [(4, 2), (4, 4)]


def test_any_file_of_an_adapter_makes_it_another_to_be_measured(not_measured):
    """Its head, what it is stacked on, what it promises; not what a release writes into it."""
    folder, asked = not_measured
    place = kept_steps(folder, "ar")[2]
    recipe = recipe_of(folder, checkpoints=[2])

    def asked_after(name, content):
        asked.clear()
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(content)
        evaluate(recipe, folder, device="cpu")
        return asked

    sidecar = (place / "nla_meta.yaml").read_text()
    assert "partner: null" in sidecar
    assert asked_after("value_head.safetensors", "other") == ["av-000004-ar-000002"]
    assert asked_after("stack/1", "another below") == ["av-000004-ar-000002"]
    assert asked_after("nla_meta.yaml", sidecar.replace("seed: 0", "seed: 1", 1)) != []
    assert asked_after("nla_meta.yaml", f"# as it was\n{sidecar}") != []
    assert asked_after("nla_meta.yaml", sidecar) == []


def test_a_step_without_a_checkpoint_is_refused_with_those_that_have_one(trained, tmp_path):
    folder = copied(trained, tmp_path)
    with pytest.raises(ConfigError, match=r"names \[3\], kept are \[2, 4\]"):
        chosen(recipe_of(folder, checkpoints=[2, 3]), folder)


def test_an_unfinished_pair_is_not_measured(trained, tmp_path):
    folder = copied(trained, tmp_path)
    (folder / "steps" / "ar.json").unlink()
    with pytest.raises(DataError, match="pair/ar/adapter_model.safetensors"):
        evaluate(recipe_of(folder), folder, device="cpu")


def test_an_adapter_that_was_changed_afterwards_is_not_measured(trained, tmp_path):
    folder = copied(trained, tmp_path)
    with (folder / "pair" / "av" / "adapter_model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(DataError, match="was changed after the step av wrote it"):
        evaluate(recipe_of(folder), folder, device="cpu")


def test_a_pair_is_not_measured_with_other_weights_of_its_base(trained, tmp_path):
    folder = copied(trained, tmp_path)
    recipe = recipe_with(folder, av=KEPT, ar=KEPT, eval=QUICK, base=other_weights(tmp_path / "b"))
    with pytest.raises(DataError, match=r"eval\.parquet has base_sha256 '.*', expected '"):
        evaluate(recipe, folder, device="cpu")


def test_the_command_says_what_it_found_and_does_it_once(trained, tmp_path):
    folder = copied(trained, tmp_path)
    path = write_recipe(folder, av=KEPT, ar=KEPT, eval=QUICK)
    runs = [
        CliRunner().invoke(command, ["eval", str(path), "--folder", str(folder)]) for _ in range(2)
    ]

    assert [run.exit_code for run in runs] == [0, 0]
    assert "1 pairs; the finished one has cosine" in runs[0].output
    assert "eval: done already" in runs[1].output
