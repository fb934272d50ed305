"""`nla-release sweep` writes beside what it reads, and never over it."""

import shutil

import pytest

from tests.builders_pair import make_release
from tests.cli.test_bad_input import complains, snapshot


@pytest.fixture
def folder(tmp_path):
    return make_release(tmp_path / "k").folder


@pytest.mark.parametrize(
    ("reader", "out", "words"),
    [
        ("pair/ar", "pair", "pair/ar: it overlaps with"),
        ("pair/ar", "pair/ar", "pair/ar/ar: it overlaps with"),
        ("evidence.ar/evidence", ".", "overlaps with the input"),
        ("pair/ar", "evidence", "evidence/ar: it overlaps with"),
        ("elsewhere/pair", ".", "pair holds ar, which writing evidence there would delete"),
        ("elsewhere/corpus.jsonl", ".", "corpus.jsonl is a file, where a folder of evidence"),
        ("pair/ar", "release.yaml", "'--out'"),
    ],
)
def test_nothing_that_is_there_is_replaced(tool, folder, reader, out, words):
    (folder / "corpus.jsonl").write_text("{}\n")
    if not (folder / reader).exists():
        shutil.copytree(folder / "pair" / "ar", folder / reader)
    before = snapshot(folder)
    done = tool("sweep", folder, "--ar", folder / reader, "--out", folder / out)

    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert snapshot(folder) == before


def test_a_link_to_what_is_read_is_known(tool, folder, tmp_path):
    (tmp_path / "out").symlink_to(folder / "pair")
    before = snapshot(folder)
    done = tool("sweep", folder, "--ar", folder / "pair" / "ar", "--out", tmp_path / "out")

    complains(done, 2, "overlaps with the input")
    assert snapshot(folder) == before


def test_a_place_that_cannot_be_written_in_is_known_before_the_base_is_loaded(tool, folder):
    """The base here has no weights that could be loaded."""
    done = tool(
        "sweep", folder, "--ar", folder / "pair" / "ar", "--out", folder / "release.yaml" / "x"
    )

    complains(done, 4, "cannot be written: Not a directory")
