"""Whatever a tired person types: one clear message, the documented code, nothing half written."""

import shutil
import socket

import pytest

from nla_release.cards.render import render
from tests.builders_pair import make_release


@pytest.fixture(scope="module")
def small_release(tmp_path_factory):
    release = make_release(tmp_path_factory.mktemp("small") / "release", rows=60, documents=12)
    render(release, "0.0.1")
    return release.folder


@pytest.fixture
def folder(small_release, tmp_path):
    target = tmp_path / "release"
    shutil.copytree(small_release, target)
    return target


def snapshot(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def complains(done, code, words):
    """One message with advice, no traceback, and the documented code."""
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert sum(line.startswith("error: ") for line in done.stderr.splitlines()) == 1


VERBS = {
    "roundtrip": ["roundtrip"],
    "render": ["render", "--version", "0.0.1"],
    "plan": ["plan", "--version", "0.0.1"],
    "push": ["push", "--version", "0.0.1", "--rehearse"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_folder_without_release_yaml(tool, tmp_path, verb):
    done = tool(*VERBS[verb], tmp_path)
    complains(done, 2, "release.yaml does not exist")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("verb", ["roundtrip", "check", "push"])
def test_every_verb_names_an_unknown_key_of_release_yaml(tool, folder, verb):
    (folder / "release.yaml").write_text("nmae: x\n")
    before = snapshot(folder)
    complains(tool(*VERBS.get(verb, [verb]), folder), 2, "nmae is not a known key")
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "is not valid YAML"),
        ("name: x\nname: y\n", "appears twice"),
        ("a: &a [1]\nb: *a\n", "aliases are not allowed"),
    ],
)
def test_a_release_yaml_that_is_wrong(tool, folder, text, words):
    (folder / "release.yaml").write_text(text)
    before = snapshot(folder)
    complains(tool("render", "--version", "0.0.1", folder), 2, words)
    assert snapshot(folder) == before


@pytest.mark.parametrize("text", ["", "- name", "name: ["])
def test_a_release_yaml_that_is_there_is_not_looked_for_elsewhere(tool, folder, text):
    (folder / "release.yaml").write_text(text)
    done = tool("render", "--version", "0.0.1", folder)
    complains(done, 2, "release.yaml")
    assert "hint: correct it" in done.stderr
    assert "run the command where" not in done.stderr


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{namespace}/{name}", "must hold {role}"),
        ("{namespace}/../{role}", "is not a repository id"),
        ("{namespace}/{role!r:>99999999}", "take no format"),
        ("{namespace}/{role:>{namespace}}", "take no format"),
    ],
)
def test_a_repo_template_that_gives_no_two_repositories(tool, folder, template, words):
    with (folder / "release.yaml").open("a") as handle:
        handle.write(f'repo: "{template}"\n')
    complains(tool("render", "--version", "0.0.1", folder), 2, words)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("1.0.x", "is not a version"),
        ("v0.0.1", "must be written '0.0.1'"),
        ("../../etc", "is not a version"),
    ],
)
def test_a_version_that_is_none(tool, folder, version, words):
    complains(tool("render", "--version", version, folder), 2, words)
    complains(tool("push", "--version", version, "--rehearse", folder), 2, words)


def test_a_verb_that_does_not_exist_suggests_the_nearest(tool):
    done = tool("rendr")

    assert done.returncode == 2
    assert "render" in done.stderr


def test_calibrate_without_evidence(tool, folder):
    shutil.rmtree(folder / "evidence")
    before = snapshot(folder)
    done = tool("calibrate", folder)
    complains(done, 2, "rows.jsonl does not exist")
    assert snapshot(folder) == before


@pytest.mark.parametrize("name", ["rows.jsonl", "vectors.safetensors", "run.json"])
def test_calibrate_on_truncated_evidence(tool, folder, name):
    path = folder / "evidence" / name
    path.write_bytes(path.read_bytes()[:-20])
    before = snapshot(folder)
    complains(tool("calibrate", folder), 2, name)
    assert snapshot(folder) == before


def test_calibrate_on_no_rows_is_not_a_result(tool, folder):
    (folder / "evidence" / "rows.jsonl").write_text("")
    complains(tool("calibrate", folder), 3, "holds no rows")


def test_render_of_a_sidecar_without_a_scale(tool, folder):
    path = folder / "pair" / "av" / "nla_meta.yaml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "injection_scale" not in line))
    before = snapshot(folder)
    done = tool("render", "--version", "0.0.1", folder)
    complains(done, 2, "extraction.injection_scale is missing")
    assert "no safe default" in done.stderr
    assert snapshot(folder) == before


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "value_head.safetensors"])
def test_check_on_truncated_weights_is_a_finding(tool, folder, name):
    path = folder / "pair" / "ar" / name
    path.write_bytes(path.read_bytes()[:-4])
    done = tool("check", folder)

    assert done.returncode == 1
    assert name in done.stdout
    assert "Traceback" not in done.stderr


def test_check_on_nothing_is_not_a_pass(tool, tmp_path):
    complains(tool("check", tmp_path), 3, "nothing to check")
    complains(tool("check", tmp_path / "nowhere"), 3, "does not exist")


def test_explain_of_a_code_that_does_not_exist(tool):
    complains(tool("explain", "NLA999"), 2, "NLA999")


def test_push_without_a_token(tool, folder, tmp_path):
    done = tool(
        "push", "--version", "0.0.1", folder, environment={"HF_HOME": str(tmp_path / "empty")}
    )
    complains(done, 4, "there is no Hub token")
    assert "HF_TOKEN" in done.stderr


def test_push_without_a_network(tool, folder):
    done = tool("push", "--version", "0.0.1", folder, environment={"HF_TOKEN": "hf_" + "x" * 30})
    complains(done, 4, "cannot be reached")
    assert "xxxx" not in done.stdout + done.stderr


def test_push_offline(tool, folder):
    environment = {"HF_TOKEN": "hf_" + "x" * 30, "HF_HUB_OFFLINE": "1"}
    done = tool("push", "--version", "0.0.1", folder, environment=environment)
    complains(done, 4, "HF_HUB_OFFLINE is set")


def test_push_of_what_was_not_rendered(tool, folder):
    shutil.rmtree(folder / "dist")
    done = tool("push", "--version", "0.0.1", "--rehearse", folder)
    complains(done, 2, "release.json does not exist")
    assert "nla-release render" in done.stderr


def test_push_of_a_release_that_does_not_pass_is_refused(tool, folder):
    path = folder / "pair" / "ar" / "value_head.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    complains(tool("push", "--version", "0.0.1", "--rehearse", folder), 1, "does not pass")


def test_a_hub_root_without_a_rehearsal(tool, folder, tmp_path):
    done = tool("push", "--version", "0.0.1", "--hub-root", tmp_path, folder)
    complains(done, 2, "--hub-root belongs to --rehearse")


def test_a_port_in_use(tool, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        complains(tool("hub", "--root", tmp_path, "--port", port), 4, str(port))


def test_debug_shows_the_traceback_and_only_then(tool, tmp_path):
    assert "Traceback" not in tool("render", "--version", "0.0.1", tmp_path).stderr
    done = tool("render", "--version", "0.0.1", tmp_path, "--debug")

    assert "Traceback" in done.stderr
    assert done.returncode == 2
    assert done.stderr.splitlines()[-2].startswith("error: ")


def test_a_dry_run_and_a_rehearsal_of_a_good_release(tool, folder, tmp_path):
    root = tmp_path / "hub"
    dry = tool("push", "--version", "0.0.1", "--rehearse", "--dry-run", "--hub-root", root, folder)

    assert dry.returncode == 0
    assert "2 repositories to create, 2 tags to set." in dry.stdout
    first = tool("push", "--version", "0.0.1", "--rehearse", "--hub-root", root, folder)
    assert first.returncode == 0, first.stderr
    assert "files identical" in first.stderr
    again = tool("push", "--version", "0.0.1", "--rehearse", "--hub-root", root, folder)
    assert again.returncode == 0
    assert "already published, nothing to do" in again.stderr
