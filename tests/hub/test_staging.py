"""What is sent is a copy that nobody edits, and there is room for it or a word about it."""

import errno
from pathlib import Path
from typing import NamedTuple

import pytest

from nla_release.errors import EnvironmentProblem, InputError
from nla_release.hub.staging import check_room, check_small_files, stage
from nla_release.io.layout import MANIFEST_FILE
from nla_release.release.manifest import read_manifest
from tests.hub.publishing import publish, repos


class Usage(NamedTuple):
    """As the operating system tells it."""

    total: int
    used: int
    free: int


def test_a_staged_copy_is_the_release_to_the_byte(release, tmp_path):
    folder = release.dist / "ar"
    manifest = read_manifest(folder)
    stage(folder, manifest, tmp_path / "copy")
    for name in [*manifest.files, MANIFEST_FILE]:
        assert (tmp_path / "copy" / name).read_bytes() == (folder / name).read_bytes()


def test_a_file_that_changes_while_it_is_copied_is_found(release, tmp_path):
    folder = release.dist / "av"
    manifest = read_manifest(folder)
    (folder / "README.md").write_text("# By hand\n")
    with pytest.raises(InputError, match="README.md was changed"):
        stage(folder, manifest, tmp_path / "copy")


def test_a_file_that_is_gone_is_named(release, tmp_path):
    folder = release.dist / "av"
    manifest = read_manifest(folder)
    (folder / "LICENSE").unlink()
    with pytest.raises(InputError, match="LICENSE is missing"):
        check_small_files(folder, manifest)
    with pytest.raises(InputError, match="LICENSE"):
        stage(folder, manifest, tmp_path / "copy")


def test_too_little_room_is_found_before_anything_is_created(release, server, client, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(100, 99, 1))
    with pytest.raises(EnvironmentProblem, match="has 1 bytes left") as caught:
        publish(release, client)
    assert "TMPDIR" in caught.value.hint
    assert server.log.writes == ()


def test_a_disk_that_fills_up_while_copying_leaves_the_hub_as_it_was(release, client, monkeypatch):
    def full(source: Path, target: Path):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("nla_release.hub.staging._copied", full)
    with pytest.raises(EnvironmentProblem, match="is full: "):
        publish(release, client)
    assert all(client.state(repo).files == {} for repo in repos(release))


def test_room_is_counted_for_both_repositories(release, tmp_path, monkeypatch):
    folders = [(release.dist / role, read_manifest(release.dist / role)) for role in ("av", "ar")]
    check_room(folders, tmp_path)
    needed = sum(path.stat().st_size for path in release.dist.rglob("*") if path.is_file())
    monkeypatch.setattr("shutil.disk_usage", lambda path: Usage(0, 0, needed))
    with pytest.raises(EnvironmentProblem, match=f"takes {needed:,}"):
        check_room(folders, tmp_path)
