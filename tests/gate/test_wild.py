"""Folders as people have them: pointers of Git LFS, shards, MLX, and what a trainer left there."""

import shutil

import pytest
from click.testing import CliRunner

from nla_release.adapter.weights import read_header
from nla_release.base_model.measure import measure_base
from nla_release.cli.check import command
from nla_release.engine.activations import read_activations
from nla_release.errors import InputError, WeightsError
from nla_release.evidence.reference import read_reference
from nla_release.io.files import read_json
from tests.builders_pair import BASE, REVISION
from tests.pairs.zoo import CONFIG, HEAD, SIDECAR, WEIGHTS, edited_json, edited_tensors, judged

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 132\n"
)


def findings(release, what="pair"):
    return [(f.code, f.severity, f.message) for f in judged(release, what).findings]


class TestGitLfsPointers:
    @pytest.mark.parametrize(
        ("name", "code"),
        [
            (f"av/{WEIGHTS}", "NLA302"),
            (f"av/{CONFIG}", "NLA302"),
            (f"av/{SIDECAR}", "NLA101"),
            (f"ar/{HEAD}", "NLA305"),
            ("av/training_samples.png", "NLA301"),
        ],
    )
    def test_a_file_of_a_pair_is_named_with_the_command(self, release, name, code):
        (release / "pair" / name).write_text(POINTER)

        ((found, severity, message),) = findings(release)

        assert (found, severity) == (code, "error")
        assert "is a Git LFS pointer, and not the file itself" in message
        assert "`git lfs pull`" in message

    def test_a_file_of_the_evidence_is_named(self, release):
        shutil.rmtree(release / "dist")
        (release / "evidence" / "vectors.safetensors").write_text(POINTER)

        assert any(
            code == "NLA601" and "`git lfs pull`" in message
            for code, _, message in findings(release, "release")
        )

    def test_a_clone_of_a_published_repository_is_named(self, release):
        """As pre-commit and CI see it when `git lfs` was not run."""
        for role in ("av", "ar"):
            for path in (release / "dist" / role).rglob("*"):
                if path.suffix in (".safetensors", ".png"):
                    path.write_text(POINTER)

        done = CliRunner().invoke(command, [str(release / "dist")])

        assert done.exit_code == 1
        assert done.output.count("is a Git LFS pointer, and not the file itself") >= 4

    def test_a_base_is_named(self, release):
        (release / "base" / "model.safetensors").write_text(POINTER)

        with pytest.raises(InputError, match="is a Git LFS pointer") as found:
            measure_base(BASE, REVISION, release / "base")
        assert "git lfs pull" in found.value.hint

    def test_held_out_activations_and_their_reference_are_named(self, tmp_path):
        path = tmp_path / "data"
        path.write_text(POINTER)

        for read in (read_activations, read_reference):
            with pytest.raises(InputError, match="is a Git LFS pointer") as found:
                read(path, 16)
            assert "git lfs pull" in found.value.hint

    def test_a_document_is_named(self, tmp_path):
        (tmp_path / "tokenizer.json").write_text(POINTER)

        with pytest.raises(InputError, match="is a Git LFS pointer"):
            read_json(tmp_path / "tokenizer.json")


class TestOtherFormatsOfAdapters:
    def test_a_sharded_adapter_is_named(self, release):
        folder = release / "pair" / "av"
        for shard in ("00001-of-00002", "00002-of-00002"):
            shutil.copy(folder / WEIGHTS, folder / f"adapter_model-{shard}.safetensors")
        (folder / WEIGHTS).unlink()

        ((code, _, message),) = findings(release)

        assert code == "NLA302"
        assert "the adapter is sharded, 2 files such as adapter_model-00001-of-00002" in message
        with pytest.raises(WeightsError, match="the adapter is sharded") as found:
            read_header(folder / WEIGHTS)
        assert found.value.hint.startswith("join them")

    def test_an_adapter_of_mlx_is_named_by_its_weights(self, release):
        folder = release / "pair" / "av"
        (folder / WEIGHTS).rename(folder / "adapters.safetensors")

        ((code, _, message),) = findings(release)

        assert code == "NLA302"
        assert "is an adapter of MLX" in message
        assert "lora_a [in, r] is lora_A.weight [r, in]" in message

    def test_and_by_its_configuration(self, release):
        with edited_json(release / "pair" / "av" / CONFIG) as config:
            config.clear()
            config |= {"fine_tune_type": "lora", "lora_parameters": {"rank": 8, "scale": 20.0}}

        ((code, _, message),) = findings(release)

        assert code == "NLA302"
        assert "an adapter of MLX" in message

    def test_an_adapter_that_is_only_missing_is_only_missing(self, release):
        (release / "pair" / "av" / WEIGHTS).unlink()

        ((code, _, message),) = findings(release)

        assert (code, message) == ("NLA302", "does not exist")


def test_an_only_module_of_which_a_half_is_zero_is_a_warning(release):
    with edited_tensors(release / "pair" / "av" / WEIGHTS) as tensors:
        kept = min(name.partition(".lora_")[0] for name in tensors)
        for name in list(tensors):
            if not name.startswith(kept):
                del tensors[name]
            elif name.endswith("lora_B.weight"):
                tensors[name][: len(tensors[name]) // 2] = 0

    found = [each for each in findings(release) if each[0] == "NLA312"]
    assert found == [
        ("NLA312", "warning", "the rows from 0% to 50% of lora_B are zero in its only module")
    ]


LEFT_OVER = [
    "optimizer.pt",
    "optimizer_state.pt",
    "lr_scheduler.pt",
    "recipe_state.pt",
    "scheduler.pt",
    "training_args.bin",
    "rng_state.pth",
    "rng_state_0.pth",
    "checkpoint-200/optimizer.pt",
    "checkpoint-200/adapter_model.bin",
    "global_step200/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "random_states_0.pkl",
]


@pytest.mark.parametrize("name", LEFT_OVER)
def test_what_a_trainer_left_where_it_trained_is_a_warning(release, name):
    path = release / "pair" / "av" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"PK\x03\x04...")

    ((code, severity, message),) = findings(release)

    assert (code, severity) == ("NLA301", "warning")
    assert message == "was left by the trainer and is not released; it may be deleted"


@pytest.mark.parametrize("name", LEFT_OVER)
def test_the_same_in_a_repository_is_an_error(release, name):
    path = release / "dist" / "av" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"PK\x03\x04...")

    found = findings(release, "dist")

    pickle = "is or may be a pickle, which runs code when it is loaded"
    assert ("NLA301", "error", pickle) in found


@pytest.mark.parametrize("name", ["linear_head.pt", "adapter_model.bin", "my_optimizer.pt"])
def test_a_pickle_that_is_no_leftover_is_an_error(release, name):
    (release / "pair" / "av" / name).write_bytes(b"PK\x03\x04...")

    ((code, severity, _),) = findings(release)

    assert (code, severity) == ("NLA301", "error")


@pytest.mark.parametrize(
    ("role", "task", "expected"),
    [
        ("av", "CAUSAL_LM", None),
        ("av", "FEATURE_EXTRACTION", "expected CAUSAL_LM for an AV"),
        ("av", "SEQ_CLS", "expected CAUSAL_LM for an AV"),
        ("ar", "FEATURE_EXTRACTION", None),
        ("ar", "TOKEN_CLS", "expected CAUSAL_LM or FEATURE_EXTRACTION for an AR"),
    ],
)
def test_a_task_of_another_kind_is_a_warning(release, role, task, expected):
    with edited_json(release / "pair" / role / CONFIG) as config:
        config["task_type"] = task

    found = findings(release)

    if expected is None:
        assert found == []
    else:
        ((code, severity, message),) = found
        assert (code, severity) == ("NLA309", "warning")
        assert expected in message


def test_a_task_that_peft_refuses_is_an_error(release):
    with edited_json(release / "pair" / "av" / CONFIG) as config:
        config["task_type"] = "CASUAL_LM"

    ((code, severity, message),) = findings(release)

    assert (code, severity) == ("NLA302", "error")
    assert "did you mean CAUSAL_LM?" in message
