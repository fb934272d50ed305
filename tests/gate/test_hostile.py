"""Whatever a stranger puts into a file, a check answers with a verdict, never with a traceback."""

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nla_release.output.verdict import verdict_json, verdict_text
from tests.pairs.zoo import CONFIG, MANIFEST_FILE, SIDECAR, WEIGHTS, judged

FILES = (
    f"pair/av/{SIDECAR}",
    f"pair/av/{CONFIG}",
    f"pair/av/{WEIGHTS}",
    "pair/ar/value_head.safetensors",
    "base.json",
    "evidence/rows.jsonl",
    "evidence/run.json",
    "evidence/vectors.safetensors",
    "calibration.json",
    "HISTORY.md",
    f"dist/av/{SIDECAR}",
    f"dist/av/{MANIFEST_FILE}",
    "dist/av/base.json",
    "dist/av/HISTORY.md",
    "dist/ar/README.md",
    "dist/ar/calibration.json",
    "dist/ar/evidence/run.json",
)

# What readers of YAML, JSON and numbers stumble over.
MORSELS = st.sampled_from(
    [
        b"!!bool x", b"!!timestamp x", b"!!int x", b"2026-13-45", b"&a [*a]", b"[" * 3000,
        b".nan", b".inf", b"1e999", b"-1", b"9" * 5000, b"null", b'"\\ud800"', b"\x00", b"\xff",
        b"---\n", b"\x1b[31m", b"<!-- nla-release:begin label -->",
        b"\n<!-- nla-release:entry {} -->\n## x\n",
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def victim(good, tmp_path_factory) -> Path:
    """A copy that every example breaks and mends again."""
    return Path(shutil.copytree(good, tmp_path_factory.mktemp("hostile") / "release"))


def damaged(data: st.DataObject, content: bytes) -> bytes:
    """The content with some bytes cut off, flipped, or put in."""
    at = data.draw(st.integers(0, len(content)), label="at")
    match data.draw(st.sampled_from(["truncate", "flip", "insert", "replace"]), label="how"):
        case "truncate":
            return content[:at]
        case "flip":
            return content[:at] + data.draw(st.binary(min_size=1, max_size=8)) + content[at + 8 :]
        case "insert":
            return content[:at] + data.draw(MORSELS) + content[at:]
        case _:
            return data.draw(MORSELS)


@given(st.data())
@settings(max_examples=40)
def test_a_damaged_file_gets_a_verdict(victim, data):
    path = victim / data.draw(st.sampled_from(FILES), label="file")
    content = path.read_bytes()
    path.write_bytes(damaged(data, content))
    try:
        verdict = judged(victim)
    finally:
        path.write_bytes(content)

    assert len(verdict.outcomes) == sum(verdict.totals.values())
    assert "\x1b" not in verdict_text(verdict)
    assert json.loads(verdict_json(verdict).encode())["verdict"] == verdict.verdict


@given(
    st.dictionaries(
        st.text(max_size=20),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "BF16", "F64", "I64", "BOOL", "F8_E4M3", "Z9"]),
                "shape": st.lists(st.integers(0, 4), max_size=3),
                "data_offsets": st.lists(st.integers(0, 64), min_size=2, max_size=2),
            }
        ),
        max_size=3,
    ),
    st.binary(max_size=64),
)
@settings(max_examples=40)
def test_a_made_up_safetensors_header_gets_a_verdict(victim, header, values):
    text = json.dumps(header).encode()
    path = victim / "pair" / "av" / WEIGHTS
    content = path.read_bytes()
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)
    try:
        verdict = judged(victim, "pair")
    finally:
        path.write_bytes(content)

    assert verdict.verdict == "fail"


def test_names_and_values_cannot_move_the_terminal(release):
    """A file's name and a base's id with escape sequences are shown escaped, on one line."""
    (release / "pair" / "av" / "red\x1b[31m\n.pt").write_bytes(b"")
    (release / "pair" / "av" / "byte\udcff.pt").write_bytes(b"")

    text = verdict_text(judged(release, "pair"))

    assert r"red\x1b[31m\n.pt  is or may be a pickle" in text
    assert r"byte\udcff.pt  is or may be a pickle" in text
    text.encode()


def test_a_device_is_not_opened(release):
    """Reading /dev/zero, which pretends to be empty, would never end."""
    (release / "pair" / "av" / SIDECAR).unlink()
    (release / "pair" / "av" / SIDECAR).symlink_to("/dev/zero")

    findings = judged(release, "pair").findings

    assert ("NLA101", "is not a regular file, and is not opened") in {
        (finding.code, finding.message) for finding in findings
    }
