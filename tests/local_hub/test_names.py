"""No name that a stranger chooses leads outside the folder it belongs in."""

from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.local_hub.git import check_path, check_ref_name, check_repo_id
from nla_release.local_hub.refusals import BadRequestError

ROOT = Path("/store")
PIECES = st.one_of(
    st.sampled_from(["", ".", "..", "a", ".git", "C:", "\\", "~", "\0", "\x85", " ", "--", "é"]),
    st.text(max_size=8),
)
NAMES = st.lists(PIECES, max_size=6).map("/".join) | st.text(max_size=300)


def accepted(check, name: str) -> bool:
    try:
        return check(name) == name
    except BadRequestError:
        return False


@given(NAMES)
def test_an_accepted_path_stays_in_its_folder_on_every_system(path):
    if accepted(check_path, path):
        assert (ROOT / path).resolve().is_relative_to(ROOT)
        assert (ROOT / path).resolve() != ROOT
        windows = PureWindowsPath(path)
        assert not windows.anchor
        assert ".." not in windows.parts
        assert path.isprintable() or not any(ord(char) < 32 for char in path)


@given(NAMES)
def test_an_accepted_repository_id_is_two_plain_names(repo_id):
    if accepted(check_repo_id, repo_id):
        folder = ROOT.joinpath(*repo_id.split("/"))
        assert folder.resolve() == folder
        assert folder.parent.parent == ROOT
        assert repo_id.isascii()


@given(NAMES)
def test_an_accepted_ref_cannot_be_taken_for_anything_else(name):
    if accepted(check_ref_name, name):
        assert not name.startswith(("-", "refs/"))
        assert ".." not in name
        assert not any(char.isspace() for char in name)


@pytest.mark.parametrize(
    "path",
    ["README.md", "evidence/rows.jsonl", ".gitattributes", "a b.txt", "名.txt", "...", "a..b"],
)
def test_ordinary_paths_are_accepted(path):
    assert check_path(path) == path


@pytest.mark.parametrize(
    "repo_id", ["team/pair-av-v0_0_1", "a/b", "Team_1/gemma.3-4b", "a/" + "b" * 96]
)
def test_ordinary_repository_ids_are_accepted(repo_id):
    assert check_repo_id(repo_id) == repo_id


@pytest.mark.parametrize(
    "repo_id",
    [
        "pair",
        "a/b/c",
        "a/b.git",
        "a/-b",
        "a/b-",
        "a/b--c",
        "a/b..c",
        "a/.b",
        "api/models",
        "a/é",
        "a/b\n",
        "a/" + "b" * 97,
    ],
)
def test_ids_that_the_hub_would_not_give_out_are_refused(repo_id):
    with pytest.raises(BadRequestError):
        check_repo_id(repo_id)


@pytest.mark.parametrize("name", ["v0.0.1", "main", "candidate/0.0.2", "v1.0+rc1"])
def test_ordinary_refs_are_accepted(name):
    assert check_ref_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a b",
        "a..b",
        "-a",
        "a~1",
        "a^",
        "refs/heads/a",
        "a.lock",
        "a/",
        "a//b",
        "@{0}",
        "0" * 40,
        "a\n",
        "x" * 300,
    ],
)
def test_refs_that_git_would_not_take_are_refused(name):
    with pytest.raises(BadRequestError):
        check_ref_name(name)
