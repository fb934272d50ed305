"""The journal is a hint that outlives a killed process, and holds no secret."""

import json

import pytest

from nla_release.errors import EnvironmentProblem
from nla_release.hub.journal import Journal

HUB = "https://hub.example"


def test_a_line_per_finished_step(tmp_path):
    journal = Journal(tmp_path, "1" * 64, HUB)
    journal.finished("preflight")
    journal.finished("commit", repo="ns/av", commit="2" * 40)

    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert journal.path == tmp_path / ".nla-release" / "journal.jsonl"
    assert [line["step"] for line in lines] == ["preflight", "commit"]
    assert lines[1].keys() == {"at", "release_id", "step", "repo", "commit", "endpoint"}
    assert lines[1]["at"].endswith("Z")
    assert [line.step for line in journal.lines()] == ["preflight", "commit"]


def test_another_release_and_another_hub_are_not_this_one(tmp_path):
    Journal(tmp_path, "1" * 64, HUB).finished("preflight")
    assert Journal(tmp_path, "2" * 64, HUB).lines() == []
    assert Journal(tmp_path, "1" * 64, "http://127.0.0.1:1").lines() == []


def test_half_a_line_of_a_killed_process_is_passed_over(tmp_path):
    journal = Journal(tmp_path, "1" * 64, HUB)
    journal.finished("preflight")
    with journal.path.open("ab") as file:
        file.write(b'{"at": "2026-11-22T1')
    assert [line.step for line in journal.lines()] == ["preflight"]
    journal.finished("tag")
    assert [line.step for line in journal.lines()] == ["preflight", "tag"]


@pytest.mark.parametrize("text", [b"\xff\xfe", b"[1]\n", b'{"at": 1}\n', b"null\n"])
def test_anything_else_in_it_is_passed_over(tmp_path, text):
    journal = Journal(tmp_path, "1" * 64, HUB)
    journal.path.parent.mkdir()
    journal.path.write_bytes(text)
    assert journal.lines() == []


def test_a_journal_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / ".nla-release").write_text("a file")
    with pytest.raises(EnvironmentProblem, match="journal.jsonl cannot be written"):
        Journal(tmp_path, "1" * 64, HUB).finished("preflight")
