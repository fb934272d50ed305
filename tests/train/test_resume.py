"""A training that was killed goes on, and ends as if nothing had happened: to the bit."""

import resource
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file

from nla_release.adapter.training_log import dump_log, read_log
from nla_release.contract.sidecar import read_sidecar
from nla_release.errors import ConfigError, DataError, EnvironmentProblem, NlaReleaseError
from nla_release.io.files import read_json, sha256_file
from nla_release.training.ar import train_ar
from nla_release.training.av import train_av
from nla_release.training.checkpoints import Checkpoints, Fit, kept_steps, write_tensors
from nla_release.training.loop import fit
from nla_release.training.recipe import read_recipe
from tests.train.built import copied, recipe_with, write_recipe
from tests.train.toys import Line, settings
from tests.waiting import wait_until
from tests.workers import started


class KilledError(Exception):
    """Stands for the end of a process."""


class Dying(Line):
    """A line whose training ends in the middle of a step."""

    def __init__(self, dies_at, **options):
        super().__init__(**options)
        self.dies_at = dies_at

    def loss(self, rows, draw):
        if draw.number == self.dies_at:
            raise KilledError
        return super().loss(rows, draw)


def checkpoints(folder, every=3, **inputs):
    def write(target, done):
        target.mkdir(parents=True, exist_ok=True)
        (target / "training_log.jsonl").write_text(dump_log(done.steps))

    return Checkpoints(folder, every, {"rows": "x"} | inputs, write)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_8bit"])
@pytest.mark.parametrize("dies_at", [1, 2, 4, 7, 8])
def test_a_training_cut_off_anywhere_ends_as_the_uninterrupted_one(tmp_path, dies_at, optimizer):
    """Dropout, data order across epochs, rate, and the moments of either optimizer."""
    chosen = settings(optimizer=optimizer)
    whole = Line(rows=7, width=5000, dropout=0.4)
    expected = fit("x", whole.parameters, whole, chosen)

    dying = Dying(dies_at, rows=7, width=5000, dropout=0.4)
    with pytest.raises(KilledError):
        fit("x", dying.parameters, dying, chosen, checkpoints=checkpoints(tmp_path))
    resumed = Line(rows=7, width=5000, dropout=0.4)
    found = fit("x", resumed.parameters, resumed, chosen, checkpoints=checkpoints(tmp_path))

    assert dump_log(found.steps) == dump_log(expected.steps)
    assert torch.equal(resumed.weights, whole.weights)
    assert len(resumed.seen) == 4 * (8 - (dies_at - 1) // 3 * 3), "it did not begin anew"


def test_only_the_newest_state_is_kept_and_every_adapter(tmp_path):
    line = Line()
    kept = checkpoints(tmp_path)
    fit("x", line.parameters, line, settings(), checkpoints=kept)
    names = sorted(path.name for path in tmp_path.iterdir())

    assert names == ["state_000006", "step_000003", "step_000006"]
    assert [step.step for step in read_log(tmp_path / "step_000003")] == [1, 2, 3]
    kept.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_000003", "step_000006"]


def test_a_state_is_tensors_and_json_and_no_pickle(tmp_path):
    line = Line()
    fit(
        "x",
        line.parameters,
        line,
        settings(optimizer="adamw_8bit"),
        checkpoints=checkpoints(tmp_path),
    )
    place = tmp_path / "state_000006"

    assert {path.name for path in place.iterdir()} == {
        "optimizer.safetensors",
        "state.json",
        "weights.safetensors",
    }
    assert load_file(place / "weights.safetensors").keys() == {"weights", "unused"}
    assert len(read_json(place / "state.json")["log"]) == 6


def test_a_full_disk_is_said_in_a_sentence_and_leaves_what_was_there(tmp_path):
    """A limit on the size of files stands for the disk."""
    line, kept = Line(width=5000), checkpoints(tmp_path)
    fit("x", line.parameters, line, settings(steps=3), checkpoints=kept)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(EnvironmentProblem, match=r"weights.safetensors cannot be written"):
            write_tensors(tmp_path / "weights.safetensors", line.parameters)
        with pytest.raises(EnvironmentProblem, match="cannot be written"):
            kept.keep(Fit([], 0.0, "adamw"), line.parameters, torch.optim.AdamW([line.weights]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert not (tmp_path / "weights.safetensors").exists()
    assert (tmp_path / "state_000003").exists()
    assert not (tmp_path / "state_000000").exists()


def half_done(folder, **inputs):
    line = Dying(5)
    with pytest.raises(KilledError):
        fit("x", line.parameters, line, settings(), checkpoints=checkpoints(folder, **inputs))


def test_a_state_of_other_inputs_is_never_gone_on_from(tmp_path):
    half_done(tmp_path, rate=1)
    line = Line()
    with pytest.raises(ConfigError, match="with other inputs: rate changed"):
        fit("x", line.parameters, line, settings(), checkpoints=checkpoints(tmp_path, rate=2))
    assert not line.weights.any()


def test_a_state_of_another_optimizer_is_never_gone_on_from(tmp_path):
    half_done(tmp_path)
    line = Line()
    eight = settings(optimizer="adamw_8bit")
    with pytest.raises(ConfigError, match="with other inputs: optimizer changed"):
        fit("x", line.parameters, line, eight, checkpoints=checkpoints(tmp_path))


@pytest.mark.parametrize("harm", ["flip", "cut", "json", "gone"])
def test_a_damaged_state_is_named_and_never_gone_on_from(tmp_path, harm):
    half_done(tmp_path)
    weights = tmp_path / "state_000003" / "weights.safetensors"
    if harm == "flip":
        save_file({name: it + 1 for name, it in load_file(weights).items()}, weights)
    if harm == "cut":
        weights.write_bytes(weights.read_bytes()[:-7])
    if harm == "json":
        (tmp_path / "state_000003" / "state.json").write_text("{")
    if harm == "gone":
        weights.unlink()
    line = Line()
    with pytest.raises(DataError, match="state_000003") as caught:
        fit("x", line.parameters, line, settings(), checkpoints=checkpoints(tmp_path))
    assert caught.value.hint == f"remove {tmp_path / 'state_000003'} to start this training again"


def test_a_checkpoint_that_was_being_written_is_passed_over(tmp_path):
    half_done(tmp_path)
    shutil.copytree(tmp_path / "state_000003", tmp_path / ".state_000006.x1")
    (tmp_path / ".state_000006.x1" / "state.json").unlink()
    line = Line()
    fit("x", line.parameters, line, settings(), checkpoints=checkpoints(tmp_path))

    assert len(line.seen) == 4 * 5


# -- the real thing --


LOOKS = {"every": 4, "rows": 3}
DROPOUT = {"steps": 12, "dropout": 0.2, "checkpoint_every": 3, "tripwire": LOOKS}


@pytest.mark.parametrize(
    ("role", "train"),
    [pytest.param("av", train_av, marks=pytest.mark.long), ("ar", train_ar)],
)
def test_killed_with_9_and_started_again_it_gives_the_same_bytes(
    built, tmp_path, capsys, role, train
):
    """Adapter, head and log, of both trainings, with dropout and a tripwire."""
    whole, killed = copied(built, tmp_path / "whole"), copied(built, tmp_path / "killed")
    path = write_recipe(tmp_path, **{role: DROPOUT})
    train(read_recipe(path), whole, device="cpu")
    line = [path, "--device", "cpu", "--folder", killed]
    process = started(f"train {role}", *line, stop_at="state_000003")
    state = killed / "checkpoints" / role / "state_000003"
    wait_until(state.exists, alive=lambda: process.alive)
    process.kill()
    assert process.wait().returncode == -signal.SIGKILL
    assert not (killed / "pair" / role).exists()
    train(read_recipe(path), killed, device="cpu")

    assert f"train {role.upper()} from step " in capsys.readouterr().err
    names = ["adapter_model.safetensors", "adapter_config.json", "training_log.jsonl"]
    for name in [*names, *(["value_head.safetensors"] if role == "ar" else [])]:
        left, right = whole / "pair" / role / name, killed / "pair" / role / name
        assert sha256_file(left) == sha256_file(right), name
    assert any(step.tripwire for step in read_log(killed / "pair" / role))
    assert kept_steps(killed, role).keys() == {3, 6, 9, 12}
    assert not list((killed / "checkpoints" / role).glob("state_*"))


def test_a_checkpoint_is_an_adapter_with_its_sidecar_and_says_how_far_it_came(built, tmp_path):
    folder = copied(built, tmp_path)
    train_av(recipe_with(tmp_path, av={"checkpoint_every": 3}), folder, device="cpu")
    sidecar = read_sidecar(kept_steps(folder, "av")[3], "av")
    final = read_sidecar(folder / "pair" / "av", "av")

    assert (sidecar.nla_release.training["steps"], final.nla_release.training["steps"]) == (3, 4)
    assert sidecar.nla_release.training["planned_steps"] == 4
    assert sidecar.nla_release.training["verdict"]["steps"] == 3
    assert sidecar.injection == final.injection


def test_a_training_begun_again_leaves_no_checkpoints_of_the_earlier_one(built, tmp_path):
    folder = copied(built, tmp_path)
    train_av(recipe_with(tmp_path, av={"checkpoint_every": 1}), folder, device="cpu")
    train_av(recipe_with(tmp_path, av={"checkpoint_every": 2}), folder, device="cpu", again=True)

    assert kept_steps(folder, "av").keys() == {2, 4}


@pytest.mark.parametrize(("role", "train"), [("av", train_av), ("ar", train_ar)])
def test_a_training_that_blows_up_names_step_rows_norms_and_scale(built, tmp_path, role, train):
    folder = copied(built, tmp_path)
    recipe = recipe_with(tmp_path, **{role: {"learning_rate": 1e30}})
    with pytest.raises(NlaReleaseError, match=rf"train {role.upper()}: (loss|gradient) is") as it:
        train(recipe, folder, device="cpu")

    assert "at step 2, on rows [" in it.value.message
    assert "doc-00" in it.value.message
    assert "with activation norms " in it.value.message
    assert ("injected at scale 16" in it.value.message) == (role == "av")
    assert not (folder / "pair").exists()
