"""`nla-release init`: two folders, one folder or the Hub in, a release folder out."""

import shutil
import subprocess
import sys

import pytest

from nla_release.contract.sidecar import read_sidecar
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.remote import Hub
from nla_release.io.files import dump_yaml
from nla_release.local_hub.server import LocalHub
from nla_release.local_hub.store import Store
from nla_release.release.folder import ROLES
from tests.builders_pair import make_base
from tests.sidecar_formats.samples import (
    COMMON,
    STAGES,
    TEMPLATES,
    TOKENIZER,
    make_kitft_pair,
    make_solshine_pair,
    write_files,
)
from tests.sidecars import TINY_BASE

KITFT = {name: answer for name, answer in COMMON.items() if name != "ar.final_norm"}
SOLSHINE = COMMON | TEMPLATES | STAGES | {"ar.read_block": "3"}


def options(answers: dict[str, str]) -> list[str]:
    said = [f"{name}={answer}" for name, answer in (answers | {"license": "apache-2.0"}).items()]
    given = [part for answer in said for part in ("--answer", answer)]
    return [*given, "--tokenizer", str(TOKENIZER), "--namespace", "somebody"]


def test_two_folders_become_a_release(tool, tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")

    done = tool(
        "init", pair / "av", pair / "ar", "--out", tmp_path / "out", "--name", "mine",
        *options(SOLSHINE),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert lines[0] == "read AV as Solshine, AR as Solshine"
    assert "recorded  layer = 3: extraction.layer of the AV's nla_meta.yaml" in lines
    assert "missing   av.created_at: written as unknown" in lines
    assert 'name: "mine"\n' in (tmp_path / "out" / "release.yaml").read_text()


def test_one_folder_with_both_adapters_becomes_a_release(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")

    done = tool("init", pair, "--out", tmp_path / "out", *options(KITFT))

    assert done.returncode == 0, done.stderr
    assert read_sidecar(tmp_path / "out" / "pair" / "ar", "ar").head.blocks == 4


def test_open_questions_end_with_the_options_to_give(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")

    done = tool("init", pair, "--out", tmp_path / "out")

    assert done.returncode == 2
    assert "questions that the files do not answer:" in done.stderr
    assert "none or nf4: --answer base_quantization=..." in done.stderr
    assert "--answer base_revision=..." in done.stderr
    assert "--namespace NAME" in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_is_known_is_told_before_the_questions(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")

    done = tool("init", pair, "--out", tmp_path / "out")

    lines = done.stderr.splitlines()
    assert lines[0] == "read AV as kitft, published, AR as kitft, published"
    questions = next(at for at, line in enumerate(lines) if "questions that the files" in line)
    known = lines[:questions]
    scale = "extraction.injection_scale of the AV's nla_meta.yaml"
    assert f"recorded  av.injection_scale = 150.0: {scale}" in known
    assert (
        'inferred  av.prompt_encoding = "chat": the reference contract: an AV\'s prompt goes'
        " through the chat template; --answer av.prompt_encoding=raw overrules it"
    ) in known


def test_a_pair_asks_how_each_adapter_was_trained(tool, tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")

    asked = tool("init", pair / "av", pair / "ar", "--out", tmp_path / "out").stderr

    assert "  how the AV was trained, sl (supervised) or rl: --answer av.stage=..." in asked
    assert "  how the AR was trained, sl (supervised) or rl: --answer ar.stage=..." in asked
    assert "note      AR: value_head.safetensors is converted from the pickle" in asked
    assert '"sqrt_d_model", which is 4.0: extraction.mse_scale of the AV' in asked


def test_a_copy_of_the_base_answers_what_it_can(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    base = make_base(tmp_path / "base")
    shutil.copy(TOKENIZER, base)
    answers = {name: value for name, value in KITFT.items() if name != "embedding_mean"}
    line = options(answers)
    at = line.index("--tokenizer")

    done = tool(
        "init", pair, "--out", tmp_path / "out", *line[:at], *line[at + 2 :], "--base", base
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert (
        "inferred  embedding_mean = 38.5: the embedding of the given copy of the base, 512 sampled"
        " rows of 512"
    ) in done.stderr.splitlines()
    assert "of the given copy of the base" in done.stderr
    sidecar = read_sidecar(tmp_path / "out" / "pair" / "av", "av")
    assert sidecar.nla_release.norms.embedding_mean == 38.5


def test_a_pinned_base_is_measured_on_the_hub(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    with LocalHub(tmp_path / "hub") as server:
        commit = server.store.import_folder("someone/tiny", make_base(tmp_path / "base"))
        answers = KITFT | {"base_revision": commit}
        del answers["embedding_mean"]
        done = tool(
            "init", pair, "--out", tmp_path / "out", *options(answers),
            environment={"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "home")},
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert f"inferred  embedding_mean = 38.5: the embedding of someone/tiny at {commit}" in (
        done.stderr
    )


def test_without_the_base_the_question_says_how_to_get_its_norm(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")

    done = tool("init", pair, "--out", tmp_path / "out")

    assert "(measured for you from --base FOLDER, or from the Hub once base_revision is known)" in (
        done.stderr
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--base", "pair/av"], 2, "--base pair/av holds no weights in safetensors"),
        (["--tokenizer", "pair"], 2, "give the file: pair/tokenizer.json"),
        (["--name", "../x"], 2, "--name '../x' cannot be part of a repository name"),
        (["--namespace", "a/b"], 2, "--namespace 'a/b' cannot be part of a repository name"),
        (["--out", "pair/av/out"], 1, "pair/av/out is inside pair/av, which is not changed"),
    ],
)
def test_an_option_that_cannot_be_is_named(tool, tmp_path, monkeypatch, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    make_kitft_pair(tmp_path / "pair")

    done = tool("init", "pair", *options(KITFT), *arguments)

    assert done.returncode == code
    assert words in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.splitlines()[-1].startswith("hint: ")
    assert [path.name for path in tmp_path.iterdir()] == ["pair"]


def test_a_folder_that_exists_is_refused(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")

    done = tool("init", pair, "--out", pair, *options(KITFT))

    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"error: {pair} exists and is not overwritten"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere/at/all"], "nowhere/at/all is neither a folder nor a Hub id"),
        (["some--body/av"], "some--body/av is neither a folder nor a Hub id"),
        (["somebody/av@main:../ar"], "is neither a folder nor a Hub id"),
        (["somebody/av@:x"], "is neither a folder nor a Hub id"),
        (["somebody/av:*"], "is neither a folder nor a Hub id"),
        (["."], ". does not contain av/ and ar/"),
        (["a", "b", "c"], "expected AV and AR, got 3 places"),
        (["a", "b", "--answer", "layer"], "'layer' is not KEY=VALUE"),
        (["a", "b", "--answer", "layer=1", "--answer", "layer=2"], "layer is answered twice"),
        ([], "missing argument"),
    ],
)
def test_wrong_usage_is_exit_2(tool, arguments, words):
    done = tool("init", *arguments)

    assert done.returncode == 2
    assert words in done.stderr


def test_a_hub_that_cannot_be_reached_is_exit_4(tool, tmp_path):
    done = tool(
        "init", "somebody/av", "somebody/ar", "--out", tmp_path / "out",
        environment={"HF_HOME": str(tmp_path / "home")},
    )  # fmt: skip

    assert done.returncode == 4
    assert "somebody/av is not a local folder and cannot be fetched from the Hub" in done.stderr


def test_repositories_on_the_hub_are_read_without_what_does_not_belong(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    write_files(pair / "av", {"evil.py": "raise SystemExit", "notes.txt": "private"})
    store = Store(tmp_path / "hub")
    commits = {role: store.import_folder(f"somebody/tiny-{role}", pair / role) for role in ROLES}
    with LocalHub(tmp_path / "hub") as server:
        done = tool(
            "init", "somebody/tiny-av", "somebody/tiny-ar", "--out", tmp_path / "out",
            *options(KITFT),
            environment={"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "home")},
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    for role, commit in commits.items():
        line = f"note      {role.upper()}: from somebody/tiny-{role}@{commit}"
        assert line in done.stderr.splitlines()
    assert {path.name for path in (tmp_path / "out" / "pair" / "av").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
        "nla_meta.yaml",
        "training_log.jsonl",
    }


def test_a_place_on_the_hub_may_name_a_revision_and_a_folder(tool, tmp_path):
    """As in a repository that keeps `weights/<version>/{av,ar}/` and goes on changing."""
    make_kitft_pair(tmp_path / "repo" / "weights" / "v1")
    store = Store(tmp_path / "hub")
    pinned = store.import_folder("somebody/tiny", tmp_path / "repo")
    write_files(tmp_path / "repo", {"weights/v1/av/nla_meta.yaml": "{kind: other}"})
    store.import_folder("somebody/tiny", tmp_path / "repo")
    quiet_client()
    with LocalHub(tmp_path / "hub") as server:
        hub = Hub(server.endpoint, server.token)
        hub.tag("somebody/tiny", "v0.0.1", pinned, message="theirs")
        environment = {"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "home")}

        def init(place, out):
            line = ["init", place, "--out", tmp_path / out, *options(KITFT)]
            return tool(*line, environment=environment)

        by_tag = init("somebody/tiny@v0.0.1:weights/v1", "out")
        by_commit = init(f"somebody/tiny@{pinned}:weights/v1", "same")
        today = init("somebody/tiny:weights/v1", "none")
        elsewhere = init("somebody/tiny@v0.0.1:weights/v2", "none")
        never = init("somebody/tiny@v9:weights/v1", "none")

    assert by_tag.returncode == by_commit.returncode == 0, by_tag.stderr + by_commit.stderr
    said = f"note      AV: from somebody/tiny@{pinned}:weights/v1/av"
    assert said in by_tag.stderr.splitlines()
    assert f"# from somebody/tiny@{pinned}" in (
        tmp_path / "out" / "pair" / "av" / "nla_meta.yaml"
    ).read_text(encoding="utf-8")
    assert (today.returncode, elsewhere.returncode, never.returncode) == (2, 2, 4)
    assert "has no files of an adapter" in elsewhere.stderr


def test_the_tokenizer_of_a_pinned_base_is_fetched_when_none_is_given(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    commit = Store(tmp_path / "hub").import_folder("someone/tiny", TINY_BASE)
    line = options(KITFT | {"base_revision": commit})
    at = line.index("--tokenizer")
    with LocalHub(tmp_path / "hub") as server:
        done = tool(
            "init", pair, "--out", tmp_path / "out", *line[:at], *line[at + 2 :],
            environment={"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "home")},
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert f": the tokenizer of someone/tiny at {commit}" in done.stderr


def test_only_a_pickled_head_needs_the_engine(tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    pickled = make_solshine_pair(tmp_path / "pickled")

    def run(source, answers, out):
        line = ["init", str(source), "--out", str(tmp_path / out), *options(answers)]
        code = (
            "import sys; sys.modules['torch'] = None\n"
            f"sys.argv = ['nla-release', *{line!r}]\n"
            "from nla_release.cli import main; main()"
        )
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )

    assert run(pair, KITFT, "out").returncode == 0
    refused = run(pickled, SOLSHINE, "none")
    assert refused.returncode == 4
    assert "pip install 'nla-release[engine]" in refused.stderr


TYPED = r"template_av=Describe the vector.\n<concept>{injection_char}</concept>"


def test_a_backslash_n_in_a_template_is_refused_with_the_way_to_give_a_line_break(tool, tmp_path):
    """A shell gives the two characters; a pair asked with them answers nothing."""
    pair = make_solshine_pair(tmp_path / "theirs")
    line = options({name: value for name, value in SOLSHINE.items() if name != "template_av"})

    typed = tool("init", pair / "av", pair / "ar", "--out", tmp_path / "out",
                 *line, "--answer", TYPED)  # fmt: skip
    meant = tool("init", pair / "av", pair / "ar", "--out", tmp_path / "out",
                 *line, "--answer", TYPED, "--answer", "escapes=literal")  # fmt: skip

    assert typed.returncode == 2
    assert r"template_av by the answer given contains \n as 2 characters" in typed.stderr
    assert "--answer template_av=@FILE" in typed.stderr
    assert meant.returncode == 0, meant.stderr
    assert r".\n<" in read_sidecar(tmp_path / "out" / "pair" / "av").prompt_templates.av


@pytest.mark.parametrize("escape", [r"\t", r"\r", r"\u3297", r"\x0a"])
def test_a_sidecar_with_an_escape_as_characters_is_refused_too(tool, tmp_path, escape):
    pair = make_kitft_pair(tmp_path / "theirs")
    for role in ROLES:
        path = pair / role / "nla_meta.yaml"
        text = path.read_text().replace(r"Say it.\n", "Say it." + escape.replace("\\", "\\\\"))
        path.write_text(text)

    done = tool("init", pair, "--out", tmp_path / "out", *options(KITFT))

    assert done.returncode == 2
    assert f"contains {escape} as {len(escape)} characters" in done.stderr
    assert "--answer escapes=literal" in done.stderr


def test_a_template_is_taken_from_a_file_with_its_line_breaks(tool, tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")
    (tmp_path / "av.txt").write_text(TEMPLATES["template_av"])
    answers = SOLSHINE | {"template_av": f"@{tmp_path / 'av.txt'}"}

    done = tool("init", pair / "av", pair / "ar", "--out", tmp_path / "out", *options(answers))

    assert done.returncode == 0, done.stderr
    av = read_sidecar(tmp_path / "out" / "pair" / "av")
    assert av.prompt_templates.av == TEMPLATES["template_av"]


def test_answers_come_from_one_file_and_the_command_line_overrules_it(tool, tmp_path):
    pair = make_solshine_pair(tmp_path / "theirs")
    answers = {key: value for key, value in SOLSHINE.items() if "." not in key}
    nested = {
        role: {
            key.partition(".")[2]: value
            for key, value in SOLSHINE.items()
            if key.startswith(f"{role}.")
        }
        for role in ROLES
    }
    nested["ar"]["read_block"] = 3
    document = answers | nested | {"license": "mit", "base_dtype": "float16", "layer": 3}
    (tmp_path / "answers.yaml").write_text(dump_yaml(document))

    done = tool(
        "init", pair / "av", pair / "ar", "--out", tmp_path / "out", "--namespace", "somebody",
        "--tokenizer", TOKENIZER, "--answers", tmp_path / "answers.yaml",
        "--answer", "base_dtype=bfloat16",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    ours = read_sidecar(tmp_path / "out" / "pair" / "av").nla_release
    assert ours.base.dtype == "bfloat16"
    assert 'license: "mit"' in (tmp_path / "out" / "release.yaml").read_text()


def test_the_commit_that_main_of_the_base_has_today_is_named(tool, tmp_path):
    pair = make_kitft_pair(tmp_path / "theirs")
    commit = Store(tmp_path / "hub").import_folder("someone/tiny", TINY_BASE)
    with LocalHub(tmp_path / "hub") as server:
        done = tool(
            "init", pair, "--out", tmp_path / "out",
            environment={"HF_ENDPOINT": server.endpoint, "HF_HOME": str(tmp_path / "home")},
        )  # fmt: skip

    assert f"because main moves; today it is {commit}: --answer base_revision=..." in done.stderr
