"""What is told is named by its kind and never repeated; what is quoted is not what is meant."""

from pathlib import Path

import pytest

from nla_release.output.verdict import verdict_text
from tests.pairs.zoo import append_text, judged

TOKEN = "hf_" + "aB3" * 12


def test_a_secret_is_not_repeated_wherever_it_stands(release):
    """The verdict is printed, annotated and uploaded: it must not publish what it found."""
    folder = release / "pair" / "av"
    (folder / "env").write_text(f"HF_TOKEN={TOKEN}\n")
    (folder / f"{TOKEN}.txt").write_text("")

    verdict = judged(release, "pair")

    assert [(finding.path, finding.message) for finding in verdict.findings] == [
        (f"{folder / 'env'}:1", "holds a Hugging Face token"),
        (str(folder), "has a file whose name contains a Hugging Face token"),
    ]
    assert TOKEN not in verdict_text(verdict)


@pytest.mark.parametrize(
    "text",
    [
        "> TODO: said the text that was explained",
        "```python\nx = 1  # TODO: more\n```",
        "The todo list of the method, version 4.x.x",
        "```python\nprompt = '<explanation>{}</explanation>'\n```",
    ],
)
def test_what_is_quoted_or_code_is_not_left_to_be_filled_in(release, text):
    append_text(release / "dist" / "av" / "README.md", f"\n{text}\n")

    assert judged(release, "dist").findings == []


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("notes.md", "Mount your data at /data/nla.", [("warning", "what may be a path")]),
        (
            "notes.md",
            "Needs /opt/cuda.\nMade in /home/me.",
            [("error", "a path"), ("warning", "what")],
        ),
        ("stats.json", '{"from": "/data/nla"}', [("error", "what may be a path of one machine")]),
    ],
)
def test_a_mount_in_prose_may_be_an_instruction(release, name, text, found):
    """In a file that a program wrote it is where that program ran."""
    (release / "pair" / "av" / name).write_text(f"{text}\n")

    findings = judged(release, "pair").findings

    assert [finding.severity for finding in findings] == [severity for severity, _ in found]
    for finding, (_, told) in zip(findings, found, strict=True):
        assert finding.message.startswith(f"holds {told}")


def test_a_backslash_in_a_name_is_found(release):
    """On another system it is a folder."""
    path = Path(release / "dist" / "av" / "figures\\loss.png")
    path.write_bytes(b"")

    found = {finding.code: finding.message for finding in judged(release, "dist").findings}

    assert found["NLA703"] == "is not a file of a release"


def test_a_name_in_another_case_is_told_apart(release):
    append_text(release / "dist" / "av" / "readme.md", "{}\n")

    (finding,) = judged(release, "dist").findings

    assert finding.message == "is not a file of a release; did you mean README.md?"
