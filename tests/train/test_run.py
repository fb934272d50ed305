"""The chain: what is done is not done again, and what is not as the recipe says is not used."""

import os
import re
import sys

import pytest
from click.testing import CliRunner

from nla_release.cli.edge import run
from nla_release.cli.train import command
from nla_release.errors import ConfigError, DataError, RefusedError
from nla_release.release.folder import ROLES
from nla_release.training import STEPS, build
from nla_release.training.dataset import data_path
from nla_release.training.record import (
    check_inputs,
    outdated,
    read_record,
    record_path,
    settings_digest,
    settings_of,
)
from nla_release.training.steps import chosen, plan
from tests.train.chain import labelled, other_weights, shortened, write_corpus

SHARES = {"split": {"av": 0.4, "ar": 0.4, "eval": 0.2}}
DATA_STEPS = list(STEPS[:4])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Everything up to the adapters, by one command."""
    folder = tmp_path_factory.mktemp("chain")
    write_corpus(folder / "corpus.jsonl", *labelled(40))
    shortened(folder, **SHARES)
    ran(folder, "--to", "ar")
    return folder


@pytest.fixture
def folder(finished, copy_of):
    return copy_of(finished)


def ran(folder, *options):
    """What `nla-release train run` says."""
    recipe = str(folder / "recipe.yaml")
    line = ["run", recipe, "--folder", str(folder), "--device", "cpu", *options]
    return CliRunner().invoke(command, line, catch_exceptions=False).output


def ran_step(step, folder, *options):
    line = [step, str(folder / "recipe.yaml"), "--folder", str(folder), *options]
    return CliRunner().invoke(command, line, catch_exceptions=False).stderr


def stamps(folder):
    return {
        path: path.stat().st_mtime_ns
        for name in ("data", "pair", "steps")
        for path in (folder / name).rglob("*")
        if path.is_file()
    }


def test_one_command_makes_the_pair(finished):
    for name in DATA_STEPS:
        assert read_record(finished, name).recipe == "tiny-gemma4-L3"
    for role in ROLES:
        assert (finished / "pair" / role / "adapter_model.safetensors").exists()


def test_every_step_is_told_as_the_command_that_a_person_would_type(folder):
    told = ran(folder, "--to", "build", "--again")

    assert re.findall(r"\$ nla-release train (\w+) ", told) == DATA_STEPS


def test_what_is_done_is_not_done_again(folder):
    before = stamps(folder)
    told = ran(folder, "--to", "ar")

    assert told.count("done already") == 6
    assert stamps(folder) == before


def test_only_what_a_changed_setting_touches_is_done_again(folder):
    shortened(folder, **SHARES, av={"rank": 4, "alpha": 8})
    before = stamps(folder)
    with pytest.raises(RefusedError, match=r"av\.alpha 32\.0, the recipe has 8\.0") as caught:
        ran(folder, "--to", "ar")
    assert "`nla-release train av` with --again" in caught.value.hint
    assert stamps(folder) == before

    ran(folder, "--from", "av", "--to", "av", "--again")
    told = ran(folder, "--to", "ar")
    changed = {path for path, stamp in stamps(folder).items() if before.get(path) != stamp}
    assert told.count("done already") == 6
    assert {path.relative_to(folder).parts[1] for path in changed} == {"av", "av.json"}


def test_a_scale_out_of_proportion_can_be_allowed_for_the_whole_chain(folder):
    shortened(folder, **SHARES, av={"injection_scale": 1000.0})
    steps = ["--from", "build", "--to", "av", "--again"]
    with pytest.raises(ConfigError, match="injection"):
        ran(folder, *steps)
    told = ran(folder, *steps, "--allow-ood-injection")

    assert told.count("--allow-ood-injection") == 1, "of the AV alone"
    assert "pair/av: loss" in told


def test_a_step_whose_file_is_gone_is_done_again(folder):
    wanted = data_path(folder, "av_sft").read_bytes()
    data_path(folder, "av_sft").unlink()
    ran(folder, "--to", "ar")

    assert data_path(folder, "av_sft").read_bytes() == wanted


def test_a_file_that_somebody_changed_is_not_replaced_silently(folder):
    path = data_path(folder, "eval")
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(RefusedError, match=r"data/eval\.parquet was changed afterwards"):
        ran(folder, "--to", "build")
    ran(folder, "--from", "build", "--to", "build", "--again")

    assert not path.read_bytes().endswith(b" ")


def test_another_corpus_is_noticed(folder):
    write_corpus(folder / "corpus.jsonl", *labelled(41))
    with pytest.raises(RefusedError, match=r"corpus\.jsonl was changed afterwards"):
        ran(folder, "--to", "extract")


def test_other_weights_of_the_base_are_noticed(folder):
    shortened(folder, **SHARES, base=other_weights(folder / "other"))
    with pytest.raises(RefusedError, match=r"base\.path .*/other holds another base now"):
        ran(folder, "--to", "extract")
    assert "extract: done otherwise (base.path" in ran(folder, "--to", "extract", "--plan")


def test_other_weights_to_go_on_from_are_noticed(folder):
    (folder / "pair" / "av").rename(folder / "first")
    shortened(folder, **SHARES, av={"continue_from": "first"})
    steps = ["--from", "av", "--to", "av"]
    ran(folder, *steps, "--again")
    assert "done already" in ran(folder, *steps)

    with (folder / "first" / "adapter_model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(RefusedError, match=r"first/adapter_model\.safetensors was changed after"):
        ran(folder, *steps)


def test_a_corpus_that_is_gone_does_no_harm(folder):
    (folder / "corpus.jsonl").unlink()

    assert "done already" in ran(folder, "--to", "extract")


def test_what_came_before_may_be_thrown_away(folder):
    data_path(folder, "base").unlink()
    before = stamps(folder)

    assert ran(folder, "--from", "build", "--to", "ar").count("done already") == 3
    assert stamps(folder) == before


def test_later_steps_do_not_go_on_from_what_was_made_anew(folder):
    """The split has other sides now, and the labels are still those of before."""
    shortened(folder, split={"av": 0.3, "ar": 0.5, "eval": 0.2})
    ran(folder, "--from", "split", "--to", "split", "--again")
    with pytest.raises(DataError, match=r"labels/av\.parquet is not what this recipe gives"):
        ran_step("build", folder, "--again")
    with pytest.raises(RefusedError, match="label is done already, and not as the recipe says"):
        ran_step("label", folder)


def test_the_same_files_made_again_leave_later_steps_done(folder):
    ran(folder, "--to", "build", "--again")

    assert ran(folder, "--to", "ar").count("done already") == 6


def test_a_killed_step_is_not_done(folder, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("nla_release.training.build.write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        build.build(shortened(folder, **SHARES), folder)
    monkeypatch.undo()
    assert plan(shortened(folder, **SHARES), folder, ["build"]) == ["build: to do"]

    assert "av_sft has" in ran(folder, "--from", "build", "--to", "build")


@pytest.mark.parametrize(
    "at",
    [
        *(1, 10, 19),
        *(pytest.param(at, marks=pytest.mark.long) for at in range(1, 22) if at not in (1, 10, 19)),
    ],
)
def test_killed_at_any_write_the_same_command_finishes_what_was_begun(folder, monkeypatch, at):
    """Every file is whole or absent: of split, label and build, as the last write is the 21st."""
    names = ("av_sft", "ar_sft", "eval")
    before = {name: data_path(folder, name).read_bytes() for name in names}
    for name in ("split", "label", "build"):
        record_path(folder, name).unlink()
    replaced, replace = [], os.replace

    def killing(*paths, **options):
        replaced.append(paths)
        if len(replaced) == at:
            raise KeyboardInterrupt
        return replace(*paths, **options)

    monkeypatch.setattr(os, "replace", killing)
    assert "Aborted!" in ran(folder, "--to", "build")
    monkeypatch.undo()
    assert ran(folder, "--to", "ar").count("done already") >= 3

    assert before == {name: data_path(folder, name).read_bytes() for name in names}


# -- the range, and the plan --


def test_a_run_is_a_range_of_the_chain():
    assert chosen("extract", "eval") == list(STEPS)
    assert chosen("label", "av") == ["label", "build", "av"]
    with pytest.raises(ConfigError, match="--to split comes before --from build"):
        chosen("build", "split")


def test_a_plan_says_what_would_be_done_and_does_nothing(folder):
    shortened(folder, **SHARES, label={"shuffle": 1})
    record_path(folder, "split").unlink()
    before = stamps(folder)
    line = ["run", str(folder / "recipe.yaml"), "--folder", str(folder), "--plan", "--to", "build"]
    told = CliRunner().invoke(command, line, catch_exceptions=False).stdout.splitlines()

    assert told[:2] == ["extract: done", "split: to do"]
    assert told[2].startswith("label: done otherwise (it was made with label.shuffle None")
    assert stamps(folder) == before


def test_a_plan_of_trainings_tells_their_memory_beside_the_cards(folder):
    line = ["run", str(folder / "recipe.yaml"), "--folder", str(folder), "--plan", "--card", "4GB"]
    told = CliRunner().invoke(command, line, catch_exceptions=False).stdout

    assert "\nar: done\n" in told
    assert "optimizer" in told


def test_starting_in_the_middle_needs_what_comes_before(tmp_path):
    shortened(tmp_path, **SHARES)
    with pytest.raises(DataError, match="was not written by any step") as caught:
        ran(tmp_path, "--from", "split")

    assert "nla-release train extract" in caught.value.hint


@pytest.mark.parametrize("name", ["split", "build", "eval"])
def test_of_several_processes_one_does_what_they_do_not_share(tmp_path, monkeypatch, name):
    for variable, value in (("RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(variable, value)
    line = [name, str(tmp_path / "no-recipe.yaml"), "--folder", str(tmp_path)]

    assert CliRunner().invoke(command, line, catch_exceptions=False).exit_code == 0
    assert not list(tmp_path.iterdir())


def test_what_goes_wrong_is_a_sentence_and_an_exit_code(tmp_path, monkeypatch, capsys):
    shortened(tmp_path)
    line = ["nla-release train", "split", str(tmp_path / "recipe.yaml"), "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(SystemExit) as stopped:
        run(command, "nla-release train")
    told = capsys.readouterr().err

    assert stopped.value.code == 2
    assert "was not written by any step" in told
    assert "Traceback" not in told


# -- settings --


def test_a_digest_follows_what_a_step_makes_and_not_how_fast(tmp_path):
    before = {step: settings_digest(shortened(tmp_path), step) for step in STEPS}
    slower = {step: settings_digest(shortened(tmp_path, extract={"batch_size": 1}), step)
              for step in STEPS}  # fmt: skip
    deeper = {step: settings_digest(shortened(tmp_path, extract={"layer": 2}), step)
              for step in STEPS}  # fmt: skip
    av = {step: settings_digest(shortened(tmp_path, av={"rank": 4}), step) for step in STEPS}

    assert slower == before
    assert not set(deeper.values()) & set(before.values())
    assert [step for step in STEPS if av[step] != before[step]] == ["av", "eval"]


def test_settings_are_named_as_in_the_recipe(tmp_path):
    found = settings_of(shortened(tmp_path), "extract")

    assert found["extract.layer"] == 3
    assert found["base.revision"] == "f974c5eb2341da97aadd5e41caa2645f36d5d9f5"
    assert not {key for key in found if key.startswith(("av.", "label.", "base.path"))}


def test_a_record_of_another_recipe_says_what_differs(folder):
    record = read_record(folder, "build")

    assert outdated(record, shortened(folder, **SHARES), folder) is None
    assert outdated(record, shortened(folder, **SHARES, build={"max_cjk_share": 0.5}), folder) == (
        "it was made with build.max_cjk_share 0.1, the recipe has 0.5"
    )


def test_inputs_are_named_with_their_hashes(folder):
    recipe = shortened(folder, **SHARES)
    found = check_inputs("av", recipe, folder, ["data/av_sft.parquet"])

    names = ("data/av_sft.parquet", "data/av_sft.parquet.nla_meta.yaml")
    assert found == {name: read_record(folder, "build").outputs[name] for name in names}
