"""The cards as their readers see them."""

import os
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import write_evidence
from nla_release.calibration.report import Calibration
from nla_release.cards.blocks import CARD_NAMES, PROBES, expected_blocks, generated_blocks, marked
from nla_release.cards.render import render
from nla_release.io.files import dump_json, dump_yaml, read_json, sha256_file, write_atomic
from nla_release.release.folder import Release, read_release
from tests.builders import evidence_parts
from tests.builders_pair import WIDTH, make_release, measure, pair_digests, release_document
from tests.cards.conftest import card
from tests.pairs.weights import stacked
from tests.pairs.zoo import edited_yaml

GOLDEN = Path(__file__).parent.parent / "golden"
SECTIONS = [
    "How to use",
    "Headline numbers",
    "Examples",
    "Limitations",
    "Intended use",
    "How it was measured",
    "Training setup",
    "Customizations vs the source methodology",
    "What makes this release distinctive",
    "History and files",
    "Citation",
    "License",
]

PAGE_SECTIONS = [
    "Verdict",
    "Numbers",
    "Gaps",
    "Diagnostics",
    "What each comparison shows",
    "How it was made",
    "Runs",
    "Norms",
    "Training",
    "What is measured, and what is not",
    "What this is, and what it is not",
    "Use this for, use something else for",
    "Comparison with the method",
    "Acknowledgments",
]

ATTACK = """</td>|<script>alert(1)</script> ![x](http://evil.example/p.png) `rm` {{ 7 * 7 }}

# Fake heading
```python
import os
```
<!-- nla-release:begin label -->
Best pair ever
<!-- nla-release:end label -->"""


@pytest.mark.parametrize("role", ["av", "ar"])
def test_a_card_is_word_for_word_the_one_that_was_read_and_approved(
    cards: dict[str, str], role: str
) -> None:
    """Read the difference, then accept it with NLA_RELEASE_UPDATE_GOLDEN=1 pytest tests/cards."""
    golden = GOLDEN / f"{role}.md"
    if os.environ.get("NLA_RELEASE_UPDATE_GOLDEN"):
        golden.write_text(cards[role], encoding="utf-8")

    assert cards[role] == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("role", ["av", "ar"])
def test_a_card_has_every_section_in_order_and_no_ragged_space(
    cards: dict[str, str], role: str
) -> None:
    text = cards[role]

    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert "\n\n\n" not in _without_code(text)
    assert not re.search(r"[ \t]$", text, re.MULTILINE)
    assert "{{" not in text
    assert "None" not in text


def test_the_calibrations_page_is_word_for_word_the_one_that_was_read_and_approved(
    release: Release,
) -> None:
    page = (release.dist / "av" / "RELEASE_CALIBRATION.md").read_text(encoding="utf-8")
    golden = GOLDEN / "RELEASE_CALIBRATION.md"
    if os.environ.get("NLA_RELEASE_UPDATE_GOLDEN"):
        golden.write_text(page, encoding="utf-8")

    assert page == golden.read_text(encoding="utf-8")
    assert page == (release.dist / "ar" / "RELEASE_CALIBRATION.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == PAGE_SECTIONS
    assert "\n\n\n" not in page
    assert not re.search(r"[ \t]$", page, re.MULTILINE)


@pytest.mark.parametrize("role", ["av", "ar"])
def test_a_card_opens_with_the_verdict_in_plain_words_then_usage_then_numbers(
    cards: dict[str, str], role: str
) -> None:
    text = cards[role].split("---\n", 2)[2]
    lines = text.splitlines()
    first = {
        words: next(at for at, line in enumerate(lines) if line.startswith(words))
        for words in (
            "> **Row-level.** Explanations",
            "> Does it tell",
            "```python",
            "| measured |",
        )
    }

    assert list(first.values()) == sorted(first.values())
    assert first["> **Row-level.** Explanations"] < 6
    assert first["```python"] < 25


@pytest.mark.parametrize("role", ["av", "ar"])
def test_no_heading_stands_over_nothing(tmp_path: Path, role: str) -> None:
    release = make_release(tmp_path, rows=2, documents=2, gold_text=False)
    render(release, "0.0.1")
    folder = release.dist / role
    for name in ("README.md", "RELEASE_CALIBRATION.md"):
        text = _without_code((folder / name).read_text(encoding="utf-8"))
        assert not re.search(r"^#+ .*\n+(?:#|\Z)", text, re.MULTILINE)


@pytest.mark.parametrize(("role", "partner"), [("av", "ar"), ("ar", "av")])
def test_a_card_names_its_partner_at_the_same_tag(
    cards: dict[str, str], role: str, partner: str
) -> None:
    link = f"https://huggingface.co/someone/tiny-nla-L3-{partner}-v0_0_1/tree/v0.0.1"

    assert link in cards[role]


@pytest.mark.parametrize("role", ["av", "ar"])
def test_every_link_inside_the_repository_leads_to_a_file_in_it(
    release: Release, cards: dict[str, str], role: str
) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)(?:#[a-z-]+)?\)", cards[role])

    assert "figures/training_loss.png" in links
    assert "figures/three_questions.png" in links
    assert [link for link in links if not (release.dist / role / link).exists()] == []


def test_the_adapters_are_described_from_their_files_and_not_from_prose(tmp_path: Path) -> None:
    """The hand-made AR card of old named the AV's modules."""
    release = make_release(tmp_path)
    config = release.adapter("ar") / "adapter_config.json"
    pattern = r".*layers\.[0-3]\.self_attn\.(k|o)_proj"
    write_atomic(config, dump_json(read_json(config) | {"target_modules": pattern}))
    measure(release)
    render(release, "0.0.1")

    assert "| Target modules | `q_proj, v_proj` |" in card(release, "av")
    shown = pattern.replace("|", r"\|")
    assert f"| Target modules | `{shown}` |" in card(release, "ar")


def test_a_release_without_notes_has_no_empty_sections(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    render(release, "0.0.1")

    assert "distinctive" not in card(release, "av")
    assert "\n\n\n" not in _without_code(card(release, "av"))


def test_a_sidecar_that_records_nothing_of_its_training_still_gets_a_card(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    sidecar = release.adapter("av") / "nla_meta.yaml"
    kept = sidecar.read_text().split("  training:")[0]
    write_atomic(sidecar, kept + "  training: {}\n")
    measure(release)
    render(release, "0.0.1")

    assert "Optimizer" not in card(release, "av")
    assert "| Raw loss | 3.430 in step 1" in card(release, "av")


def test_a_card_without_a_training_log_says_so_and_claims_nothing_of_the_loss(
    tmp_path: Path,
) -> None:
    release = make_release(tmp_path)
    (release.adapter("av") / "training_log.jsonl").unlink()
    render(release, "0.0.1")
    text = card(release, "av")

    assert "| Training log | none was given with this adapter |" in text
    assert not re.search(r"training_loss|Raw loss|descending|falling loss", text)
    assert "| Raw loss |" in card(release, "ar")


CHAIN = {
    "steps": 400,
    "seconds": 40.5,
    "first_loss": 1.25,
    "final_loss": 0.5,
    "adapter_sha256": "b" * 64,
    "continued_from": {
        "steps": 1000,
        "seconds": 90.0,
        "first_loss": 3.75,
        "final_loss": 1.25,
        "adapter_sha256": "a" * 64,
    },
}


def test_an_adapter_that_was_continued_twice_is_shown_with_all_its_runs(tmp_path: Path) -> None:
    """It was shown as trained once: with the steps, the time and the first loss of the last run."""
    release = make_release(tmp_path)
    with edited_yaml(release.adapter("av") / "nla_meta.yaml") as sidecar:
        sidecar["nla_release"]["training"]["continued_from"] = CHAIN
    measure(release)
    render(release, "0.0.1")
    text, page = card(release, "av"), (release.dist / "ar" / "RELEASE_CALIBRATION.md").read_text()

    assert "| Optimizer steps | 1520 in 3 runs: 1000 + 400 + 120 |" in text
    assert "| Training time, seconds | 192 in 3 runs: 90 + 40.5 + 61.5 |" in text
    assert f"| Continued from | adapter with sha256 `{'b' * 12}`" in text
    assert re.search(r"^\| Raw loss \| .* of the last run \|$", text, re.MULTILINE)
    assert "| AV | 1 of 3 | 1000 | 90.0 | 3.750 | 1.250 | - |" in page
    assert f"| AV | 2 of 3 | 400 | 40.5 | 1.250 | 0.500 | `{'a' * 64}` |" in page
    assert f"| AV | 3 of 3 | 120 | 61.5 | - | - | `{'b' * 64}` |" in page
    assert "| AV | total | 1520 | 192.0 | 3.750 | - | |" in page
    assert "![Raw AV training loss of run 3 of 3 over " in text
    assert "![Raw AR training loss over " in card(release, "ar")
    assert "Continued from" not in card(release, "ar")
    assert "| AR | 1 of 1 | 120 | 61.5 |" in page


def test_the_runs_of_an_adapter_that_is_stacked_on_are_shown_too(tmp_path: Path) -> None:
    """Only its rank and its hash were: the training that made most of the pair was nowhere."""
    release = make_release(tmp_path)
    pair = release.adapter("av").parent
    lower = sha256_file(stacked(pair) / "adapter_model.safetensors")
    with edited_yaml(release.adapter("av") / "nla_meta.yaml") as sidecar:
        sidecar["nla_release"]["training"]["stacked_on"] = CHAIN | {"adapter_sha256": lower}
    measure(release)
    render(release, "0.0.1")
    text, page = card(release, "av"), (release.dist / "ar" / "RELEASE_CALIBRATION.md").read_text()

    assert "| Optimizer steps | 120 |" in text
    assert "| Optimizer steps of `adapters/1` | 1400 in 2 runs: 1000 + 400 |" in text
    assert "| AV `adapters/1` | 1 of 2 | 1000 | 90.0 | 3.750 | 1.250 | - |" in page
    assert f"| AV `adapters/1` | 2 of 2 | 400 | 40.5 | 1.250 | 0.500 | `{'a' * 64}` |" in page
    assert "| AV `adapters/1` | total | 1400 | 130.5 | 3.750 | 0.500 | |" in page
    assert "| AV | 1 of 1 | 120 | 61.5 |" in page
    assert "was trained before the one that is stacked on it" in page
    assert "Optimizer steps of" not in card(release, "ar")


@pytest.mark.parametrize(
    "earlier", ["x", ["x"], {"steps": 2**62, "seconds": 2**62, "adapter_sha256": "|x"}]
)
def test_a_chain_that_is_badly_recorded_is_not_made_up(tmp_path: Path, earlier: object) -> None:
    release = make_release(tmp_path)
    with edited_yaml(release.adapter("av") / "nla_meta.yaml") as sidecar:
        sidecar["nla_release"]["training"]["continued_from"] = earlier
    measure(release)
    render(release, "0.0.1")
    text = card(release, "av")

    if isinstance(earlier, dict):
        assert "| Optimizer steps | not recorded in 2 runs: not recorded + 120 |" in text
        assert "| Continued from | an adapter whose sha256 is not recorded;" in text
    else:
        assert "| Optimizer steps | 120 |" in text
    assert "|x" not in text


def test_best_median_and_worst_row_are_shown_verbatim_with_their_control(
    cards: dict[str, str],
) -> None:
    examples = cards["av"].split("## Examples")[1].split("## Limitations")[0]

    assert re.findall(r"^\*\*(\w+)\*\*, row", examples, re.MULTILINE) == [
        "Best",
        "Median",
        "Worst",
    ]
    assert "explanations of other documents score" in examples
    assert "centred cosine 0.000 (no explanation)" in examples  # the worst row
    assert "&lt;explanation&gt;the word that never" in examples


def test_no_row_is_shown_twice(tmp_path: Path) -> None:
    release = make_release(tmp_path, rows=2, documents=2)
    render(release, "0.0.1")

    assert [card(release, "av").count(f", row r{at}: centred cosine") for at in range(2)] == [1, 1]


def test_a_format_only_pair_says_so_in_plain_words(tmp_path: Path) -> None:
    release = make_release(tmp_path, collapsed=True)
    render(release, "0.0.1")
    text = card(release, "av")

    assert (
        "> **Format-only.** The own explanation is not shown to reconstruct its activation better"
        " than explanations of other documents." in text
    )
    assert "**The explanations are not shown to carry content.**" in text
    assert "**The injected activation made no measurable difference.**" in text
    assert "**Use it** only as a negative example:" in text


def test_a_pair_below_the_mean_says_so_in_plain_words(tmp_path: Path) -> None:
    release = make_release(tmp_path, noise=1.5)
    render(release, "0.0.1")

    assert "**Below predicting the mean.**" in card(release, "av")


def test_hostile_explanations_texts_and_titles_cannot_leave_their_place(tmp_path: Path) -> None:
    """As a Markdown reader sees it: no tag, picture, heading or block but our own."""
    release = make_release(tmp_path)
    _measure_saying(release, ATTACK)
    write_atomic(tmp_path / "release.yaml", dump_yaml(release_document() | {"title": ATTACK}))
    render(read_release(tmp_path), "0.0.1")
    text = card(release, "av")
    tokens = _tokens(text.split("---\n", 2)[2])

    assert {token.content.strip() for token in tokens if token.type.startswith("html")} == {
        marker
        for name in (*CARD_NAMES, PROBES)
        for marker in marked(name, "").split("\n")
        if marker
    }
    assert [token.attrs["src"] for token in tokens if token.type == "image"] == [
        "figures/three_questions.png",
        "figures/training_loss.png",
    ]
    assert sum(token.type == "heading_open" for token in tokens) == 1 + len(SECTIONS) - 1
    assert [token.info for token in tokens if token.type == "fence"] == ["python", "bibtex"]
    assert generated_blocks(text) == expected_blocks(Calibration.read(release.calibration))


def _without_code(markdown: str) -> str:
    return re.sub(r"^```.*?^```$", "code", markdown, flags=re.DOTALL | re.MULTILINE)


def _tokens(markdown: str) -> list[Token]:
    parsed = MarkdownIt("commonmark").enable("table").parse(markdown)
    return [each for token in parsed for each in (token, *(token.children or []))]


def _measure_saying(release: Release, text: str) -> None:
    """Measure again, with this as every source text and every explanation."""
    parts = evidence_parts(width=WIDTH)
    rows = [row.model_copy(update={"text": text, "explanation": text}) for row in parts.rows]
    run = parts.run.model_copy(update={"files": pair_digests(release)})
    evidence = write_evidence(release.evidence, rows, parts.vectors, run)
    write_atomic(release.calibration, calibrate(evidence).dump())


@pytest.mark.parametrize(
    ("reads", "label", "use"),
    [
        ("document", "document-level", "telling apart activations of different documents"),
        ("token", "token-level", "hypotheses about the token or position of activations"),
    ],
)
def test_a_use_is_no_more_than_the_label_allows(
    tmp_path: Path, reads: str, label: str, use: str
) -> None:
    release = make_release(tmp_path, rows=60, documents=20, reads=reads)
    render(release, "0.0.1")
    page = (release.dist / "av" / "RELEASE_CALIBRATION.md").read_text()

    assert Calibration.read(release.calibration).label.name == label
    assert f"\n| {use} of " in page or f"\n| {use}, of " in page
    assert ("of different documents" in page.split("use something else for |")[1]) == (
        reads == "document"
    )
