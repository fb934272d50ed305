"""A base in a folder is known by what is loaded of it, and by nothing else."""

import pytest

from nla_release.training.recipe import BaseSettings
from nla_release.training.record import base_sha256


def base(path):
    return BaseSettings(
        id="a/b",
        revision="main",
        path=None if path is None else str(path),
        quantization=None,
        dtype="float32",
    )


@pytest.fixture
def folder(tmp_path):
    for name in ("config.json", "a.safetensors", "model.safetensors.index.json", "README.md"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize("name", ["config.json", "a.safetensors", "model.safetensors.index.json"])
def test_other_content_is_another_base(folder, name):
    before = base_sha256(base(folder))
    (folder / name).write_text(name[::-1])

    assert base_sha256(base(folder)) != before


def test_one_file_more_is_another_base(folder):
    before = base_sha256(base(folder))
    (folder / "b.safetensors").write_text("")

    assert base_sha256(base(folder)) != before


def test_where_it_lies_and_what_is_not_loaded_makes_no_difference(folder, tmp_path_factory):
    before = base_sha256(base(folder))
    (folder / "README.md").write_text("other words")
    elsewhere = folder.rename(tmp_path_factory.mktemp("elsewhere") / "base")

    assert base_sha256(base(elsewhere)) == before


@pytest.mark.parametrize("path", [None, "/nowhere"])
def test_on_the_hub_the_commit_says_it(path):
    assert base_sha256(base(path)) is None
