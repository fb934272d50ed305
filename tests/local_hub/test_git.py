"""What of git shows: ids as git computes them, and which files go which way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.local_hub import git


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        # git hash-object of the empty file and of "hello\n".
        (b"", "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"),
        (b"hello\n", "ce013625030ba8dba906f756967f9e9ca394464a"),
    ],
)
def test_blob_ids_are_those_of_git(content, expected):
    assert git.blob_id(content) == expected


@pytest.mark.parametrize(
    ("path", "size", "sample", "large"),
    [
        ("README.md", 100, b"# Pair", False),
        ("evidence/rows.jsonl", git.LARGEST_REGULAR_FILE, b"{}", False),
        ("evidence/rows.jsonl", git.LARGEST_REGULAR_FILE + 1, b"{}", True),
        ("adapter_model.safetensors", 1, b"a", True),
        ("figures/a.png", 1, b"a", True),
        ("unknown", 3, b"a\0b", True),
        ("unknown", 3, b"\xff\xfe", True),
        ("cut", 900, "é".encode()[:1], False),
        ("empty.png", 0, b"", False),
    ],
)
def test_large_and_binary_files_go_through_lfs(path, size, sample, large):
    assert git.belongs_in_lfs(path, size, sample) is large


@given(st.lists(st.from_regex("[ab_ ]+(/[ab_ ]+)?", fullmatch=True), max_size=5))
def test_tracking_twice_changes_nothing(paths):
    once = git.track(git.ATTRIBUTES, paths)
    assert once.startswith(git.ATTRIBUTES)
    assert git.track(once, paths) == once


def test_only_paths_that_no_pattern_covers_get_a_line():
    attributes = git.track("*.bin filter=lfs", ["a/b.bin", "odd.xyz", "a/odd.xyz", "a/b"])
    assert attributes.splitlines()[1:] == [
        "odd.xyz filter=lfs diff=lfs merge=lfs -text",
        "a/b filter=lfs diff=lfs merge=lfs -text",
    ]


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("a.log", True),
        ("deep/a.log", True),
        ("keep.log", False),
        ("build/x.txt", True),
        ("deep/build/x.txt", True),
        ("top/only.txt", True),
        ("deep/top/only.txt", False),
        ("README.md", False),
        ("build", False),
    ],
)
def test_everyday_ignore_patterns_are_read(path, ignored):
    text = "# a comment\n\n*.log\n!keep.log\nbuild/\n/top/only.txt\n"
    assert git.is_ignored(path, text) is ignored
