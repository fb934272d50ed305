"""NLA514: whatever is a function of a repository's files is rendered again and compared."""

import shutil
from pathlib import Path

import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.cards.blocks import generated_blocks
from nla_release.cards.render import render
from nla_release.contract.sidecar import Role
from nla_release.errors import InputError
from nla_release.gate import apply_rules
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.card import metadata_valid
from nla_release.gate.findings import Problem
from nla_release.gate.rendered_documents import _metadata, _not_as_rendered, rendered_again
from nla_release.gate.subject import find_subject
from nla_release.history.log import changed_above, entries
from nla_release.io.files import dump_json, write_atomic
from nla_release.release.folder import ROLES, Release
from tests.builders_pair import make_release
from tests.pairs.zoo import edited_json, list_anew

NOTES = {
    "summary": "Words of a person.\n\nMore of them.",
    "limitations": "Made of numbers in order, not of training.",
    "positioning": "Where it belongs.",
}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release with notes, rendered; copied by whoever changes it."""
    made = make_release(
        tmp_path_factory.mktemp("made") / "release", notes=NOTES, rows=60, documents=12
    )
    render(made, "0.0.1")
    return made


def messages(dist: Path) -> list[str]:
    """What NLA514 finds, without the folder."""
    found = rendered_again.apply(find_subject(dist), strict=False)
    return [f"{each.path.removeprefix(f'{dist}/')} {each.message}" for each in found.findings]


def unverified(dist: Path) -> list[str]:
    """What the verdict says that nothing was compared with."""
    return [each.replace(f"{dist}/", "") for each in apply_rules(find_subject(dist)).unverified]


@pytest.fixture
def dist(release: Release, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release.dist, tmp_path / "dist"))


def test_nothing_is_found_in_what_was_rendered(dist: Path) -> None:
    assert messages(dist) == []
    assert messages(dist / "av") == []
    assert messages(dist / "ar") == []


@pytest.mark.parametrize(("named", "severity"), [(True, "error"), (False, "warning")])
def test_numbers_of_an_older_format_hide_no_card_from_being_rendered_again(
    dist: Path, named: bool, severity: str
) -> None:
    """A new measurement in format 2 is forged; one that names no run may be an old release."""
    for role in ROLES:
        if not named:
            with edited_json(dist / role / "evidence" / "run.json") as run:
                del run["run_id"]
            (dist / role / "evidence" / "runs.jsonl").unlink()
        old = calibrate(read_evidence(dist / role / "evidence"), 2)
        document = old.model_dump(mode="json", by_alias=True, exclude_unset=True)
        write_atomic(dist / role / "calibration.json", dump_json(document))
    found = rendered_again.apply(find_subject(dist), strict=False)

    assert [each.severity for each in found.findings] == [severity] * 2
    assert all("format 2" in each.message for each in found.findings)


EDITS = {
    "system call": ("print(tokenizer", "import os; os.system('id')\nprint(tokenizer"),
    "scale": ("INJECTION_SCALE = 39.25", "INJECTION_SCALE = 80000.0"),
    "token id": ("INJECTION_TOKEN_ID = 160", "INJECTION_TOKEN_ID = 161"),
    "repository": ('AV_REPO = "someone/', 'AV_REPO = "somebody/'),
    "partner": ("[someone/tiny-nla-L3-ar-v0_0_1](", "[somebody/other]("),
    "revision": ('REVISION = "v0.0.1"', 'REVISION = "main"'),
    "loss": ("| Raw loss | ", "| Raw loss | 0"),
    "alt text": ("![Raw AV training loss over 120", "![Raw AV training loss over 999"),
    "tag": ("- lora\n", "- lora\n- safe-for-everything\n"),
    "name of the results": ("- name: tiny-nla-L3-av", "- name: other"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("folder", [".", "av"], ids=["pair", "alone"])
def test_an_edit_of_a_computed_part_is_found(
    dist: Path, edit: tuple[str, str], folder: str
) -> None:
    card = dist / "av" / "README.md"
    text = card.read_text()
    assert edit[0] in text
    card.write_text(text.replace(*edit, 1))
    list_anew(dist / "av")

    assert any("README.md" in each for each in messages(dist / folder))


@pytest.mark.parametrize(
    "name",
    [
        "figures/three_questions.png",
        "figures/three_questions.svg",
        "figures/retrieval_vs_chance.csv",
        "training_log.jsonl",
        "base.json",
        "nla_meta.yaml",
        "adapter_config.json",
        "HISTORY.md",
        "README.md",
        "RELEASE_CALIBRATION.md",
        "LICENSE",
        "calibration.json",
        "evidence/rows.jsonl",
        "evidence/run.json",
        "evidence/vectors.safetensors",
        "adapter_model.safetensors",
    ],
)
@pytest.mark.parametrize("folder", [".", "av"], ids=["pair", "alone"])
def test_a_changed_byte_of_any_file_is_found(dist: Path, name: str, folder: str) -> None:
    path = dist / "av" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    list_anew(dist / "av")

    assert apply_rules(find_subject(dist / folder)).verdict == "fail"


def test_a_swapped_figure_is_found(dist: Path) -> None:
    figures = dist / "av" / "figures"
    shutil.copy(figures / "three_questions.png", figures / "cosine_real_vs_controls.png")
    list_anew(dist / "av")

    (found,) = messages(dist)
    assert found.startswith(
        "av/figures/cosine_real_vs_controls.png differs from the figure drawn again"
    )


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        # A width and a height of a hundred thousand pixels each.
        ("cosine_real_vs_controls.png", b"IHDR", b"IHDR" + 2 * b"\x00\x01\x86\xa0"),
        ("cosine_real_vs_controls.png", b"", b""),
        ("cosine_real_vs_controls.svg", b"</svg>", b"<script>alert(1)</script></svg>"),
        ("cosine_real_vs_controls.svg", b"</svg>", b'<use xlink:href="https://a.b/c"/></svg>'),
        ("cosine_real_vs_controls.svg", b"<svg ", b'<svg onload="alert(1)" '),
    ],
)
def test_a_figure_said_to_be_of_other_libraries_is_looked_at(
    dist: Path, name: str, old: bytes, new: bytes
) -> None:
    with edited_json(dist / "av" / "release.json") as manifest:
        manifest["stated"]["drawn_with"] = "another matplotlib"
    assert messages(dist / "av") == []

    path = dist / "av" / "figures" / name
    content = path.read_bytes()
    if old == b"IHDR":
        path.write_bytes(content[:12] + new + content[24:])
    else:
        path.write_bytes(content.replace(old, new) if old else b"")

    assert f"figures/{name} does not look like the figure drawn again" in messages(dist / "av")


def test_the_finding_names_line_and_both_texts(dist: Path) -> None:
    card = dist / "av" / "README.md"
    text = card.read_text().replace("INJECTION_SCALE = 39.25", "INJECTION_SCALE = 80000.0")
    card.write_text(text)
    line = text.split("\n").index(next(each for each in text.split("\n") if "= 80000.0" in each))

    (found,) = messages(dist)

    assert found.startswith(f"av/README.md:{line + 1} is 'INJECTION_SCALE = 80000.0")
    assert "expected 'INJECTION_SCALE = 39.25" in found


def test_peoples_words_are_marked_as_such(dist: Path) -> None:
    said = unverified(dist / "av")
    assert any("the notes limitations, positioning, summary" in each for each in said)
    assert any("release.json: author, citations, license, name" in each for each in said)

    card = dist / "av" / "README.md"
    card.write_text(f"{card.read_text()}\nThanks to everybody.\n")
    last = len(card.read_text().splitlines())

    assert messages(dist / "av") == []
    assert f"README.md:{last} to {last}: added by hand" in " ".join(unverified(dist / "av"))


def test_another_version_of_the_tool_is_named_where_its_words_differ(dist: Path) -> None:
    with edited_json(dist / "av" / "release.json") as manifest:
        manifest["tool_version"] = "9.9.9"
    assert messages(dist / "av") == []

    card = dist / "av" / "README.md"
    card.write_text(card.read_text().replace("## How to use", "## Usage"))
    found = rendered_again.apply(find_subject(dist / "av"), strict=False).findings

    assert "rendered by nla-release 9.9.9" in found[0].message


def test_a_release_json_that_states_nothing_turns_no_comparison_off(dist: Path) -> None:
    with edited_json(dist / "av" / "release.json") as manifest:
        del manifest["stated"]

    outcome = rendered_again.apply(find_subject(dist / "av"), strict=False)
    assert outcome.state == "failed"
    assert "has no `stated`" in outcome.findings[0].message
    assert "render again" in outcome.findings[0].message


def test_what_stands_above_a_log_is_compared(dist: Path) -> None:
    path = dist / "av" / "HISTORY.md"
    for old, new, line in (
        ("Append-only", "**The best pair of all.** Append-only", 3),
        ("# History of", "# Triumphs of", 1),
        ("\n## v0.0.1", "\nIt won every prize.\n\n## v0.0.1", 4),
    ):
        text = path.read_text()
        path.write_text(text.replace(old, new, 1))
        assert f"HISTORY.md:{line} differs from the generated lines above" in " ".join(
            messages(dist / "av")
        )
        path.write_text(text)


def test_words_added_to_a_log_are_marked_as_such(dist: Path) -> None:
    path = dist / "av" / "HISTORY.md"
    path.write_text(f"{path.read_text()}\nEverybody was pleased.\n")

    assert messages(dist / "av") == []
    assert "HISTORY.md: text after the results in the entry of v0.0.1" in " ".join(
        unverified(dist / "av")
    )


@pytest.mark.parametrize("name", ["README.md", "RELEASE_CALIBRATION.md", "HISTORY.md"])
@pytest.mark.parametrize("role", ROLES)
def test_every_line_that_is_changed_is_found_or_is_peoples_prose(
    release: Release, dist: Path, role: Role, name: str
) -> None:
    """Each line of each document in turn, with the comparisons of NLA501, NLA502 and NLA514."""
    adapter = AdapterFolder(role, dist / role, rendered=True)
    path, rendered = dist / role / name, (dist / role / name).read_text()
    lines, prose = (
        rendered.split("\n"),
        {line for each in NOTES.values() for line in each.split("\n")},
    )
    end_of_metadata = lines.index("---", 1) if lines[0] == "---" else -1
    missed = []
    for at, line in enumerate(lines):
        if not line.strip() or line in prose:
            continue
        other = f"{line[:-1]}{'x' if line[-1] != 'x' else 'y'}"
        changed = "\n".join([*lines[:at], other, *lines[at + 1 :]])
        path.write_text(changed)
        if name == "HISTORY.md":
            found = bool(
                changed_above(changed, release.config.title)
                or entries(changed).get("v0.0.1") != entries(rendered)["v0.0.1"]
            )
        elif at <= end_of_metadata:
            found = bool([*metadata_valid.function(find_subject(dist / role))]) or bool(
                [*_metadata(adapter, rendered)]
            )
        else:
            found = _is_noticed(path, rendered, changed)
        if not found:
            missed.append(f"{at + 1}: {line}")
    path.write_text(rendered)
    assert missed == []


def _is_noticed(path: Path, rendered: str, changed: str) -> bool:
    try:
        if generated_blocks(changed) != generated_blocks(rendered):
            return True  # NLA502
    except InputError:
        return True  # NLA502 as well
    return any(isinstance(each, Problem) for each in _not_as_rendered(path, rendered, changed))
