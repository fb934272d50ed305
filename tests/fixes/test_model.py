"""A fix is written whole, to the file that it was made for, or not at all."""

import os

import pytest

from nla_release.errors import EnvironmentProblem, RefusedError
from nla_release.fixes import Fix, write


def fix(path, before, after):
    return Fix(path, before, after, ("NLA501",), "a reason")


def test_a_file_is_changed_made_and_removed(tmp_path):
    path = tmp_path / "new" / "a.md"

    write(fix(path, None, b"one"))
    write(fix(path, b"one", b"two"))
    assert path.read_bytes() == b"two"
    write(fix(path, b"two", None))

    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("before", [None, b"one", b""])
def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path, before):
    path = tmp_path / "a.md"
    path.write_bytes(b"mine")

    with pytest.raises(RefusedError, match="changed while its fix was made"):
        write(fix(path, before, b"theirs"))

    assert path.read_bytes() == b"mine"


def test_a_link_that_took_its_place_is_not_followed(tmp_path):
    outside, path = tmp_path / "outside", tmp_path / "a.md"
    outside.write_bytes(b"one")
    path.symlink_to(outside)

    with pytest.raises(RefusedError):
        write(fix(path, b"one", b"two"))

    assert outside.read_bytes() == b"one"


def test_a_read_only_file_stays_as_it_is(tmp_path, monkeypatch):
    """For root, whom these tests may run as, no file is read-only."""
    path = tmp_path / "a.md"
    path.write_bytes(b"one")
    monkeypatch.setattr(os, "access", lambda *_: False)

    with pytest.raises(EnvironmentProblem, match="is read-only"):
        write(fix(path, b"one", b"two"))

    assert path.read_bytes() == b"one"


def test_a_place_that_cannot_be_written_is_the_environments_fault(tmp_path):
    (tmp_path / "originals").write_text("a file")

    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        write(fix(tmp_path / "originals" / "ar" / "head.pt", None, b"one"))
