"""A card is brought in line with the files beside it, and with nothing else."""

import pytest

from nla_release.io.files import sha256_file
from tests.fixes.steps import contents, fixed, fixes, left_alone
from tests.pairs.zoo import (
    MANIFEST_FILE,
    edited_card,
    edited_json,
    edited_yaml,
    judged,
    list_anew,
)

KEYS = [
    "license",
    "base_model",
    "base_model_relation",
    "library_name",
    "pipeline_tag",
    "tags",
    "model-index",
]


def codes(folder, what="dist"):
    return {finding.code for finding in judged(folder, what).findings}


def front_matter(card):
    return card.read_text().split("---\n")[1]


def rewrite(card, old, new, *, listed=True):
    text = card.read_text()
    assert old in text
    card.write_text(text.replace(old, new, 1))
    if listed:
        list_anew(card.parent)


def keys(card):
    with edited_card(card) as metadata:
        return list(metadata)


@pytest.fixture
def card(release):
    return release / "dist" / "ar" / "README.md"


@pytest.mark.parametrize("key", ["base_model_relation", "library_name", "pipeline_tag"])
def test_what_the_role_decides_is_added_where_it_is_missing(release, card, key):
    with edited_card(card) as metadata:
        del metadata[key]

    fixed(release / "dist")

    assert keys(card) == KEYS
    assert codes(release) == set()


def test_keys_of_the_author_stand_behind_ours_word_for_word(release, card):
    own = "thumbnail: a.png  # the corpus\nreleased: 2026-11-22\nquote: 'it''s'\n"
    rewrite(card, "---\nlicense: ", f"---\n{own}license: ")
    rewrite(card, "pipeline_tag: feature-extraction\n", "")

    fixed(release / "dist")

    assert front_matter(card).endswith(f"\n{own}")
    assert keys(card) == [*KEYS, "thumbnail", "released", "quote"]


def test_a_language_that_release_yaml_does_not_name_keeps_its_words(release, card):
    rewrite(card, "---\nlicense: ", "---\nlanguage: en  # the corpus\nlicense: ")
    rewrite(card, "pipeline_tag: feature-extraction\n", "")

    fixed(release / "dist")

    assert "\nlanguage: en  # the corpus\nbase_model: " in front_matter(card)
    assert keys(card) == [KEYS[0], "language", *KEYS[1:]]


def test_the_licence_is_never_guessed(release, card):
    with edited_card(card) as metadata:
        metadata["license"] = "mit"
        metadata["library_name"] = "transformers"

    fixed(release / "dist")

    assert front_matter(card).startswith("license: mit\n")


def test_results_and_metrics_of_the_author_are_not_touched(release, card):
    with edited_card(card) as metadata:
        (ours,) = metadata["model-index"][0]["results"]
        ours["metrics"][0]["value"] = 0.5
        ours["metrics"].append({"type": "bleu", "name": "BLEU", "value": 0.1})
        other = {
            "task": {"type": "activation-reconstruction"},
            "dataset": {"name": "Another layer", "type": "residual-stream-activations"},
            "metrics": [{"type": "cosine", "name": "Round-trip cosine", "value": 0.7}],
        }
        metadata["model-index"][0]["results"].append(other)

    fixed(release / "dist")

    with edited_card(card) as metadata:
        mended, kept = metadata["model-index"][0]["results"]
    assert mended["metrics"][0]["value"] != 0.5
    assert mended["metrics"][-1] == {"type": "bleu", "name": "BLEU", "value": 0.1}
    assert kept == other
    assert codes(release) == {"NLA501", "NLA514"}, "their results are still in no calibration"


def test_a_metric_without_its_control_gets_it_back(release, card):
    whole = card.read_text()
    with edited_card(card) as metadata:
        del metadata["model-index"][0]["results"][0]["metrics"][1:]

    fixed(release / "dist")

    assert card.read_text() == whole


@pytest.mark.parametrize(
    "text",
    [
        "pipeline_tag: x\npipeline_tag: y\n",
        "{pipeline_tag: x}\n",
        "? pipeline_tag\n: x\n",
        "pipeline_tag: x\nmore: &a [1]\nagain: *a\n",
        "pipeline_tag: !!bool x\n",
        "pipeline_tag: [x\n",
        "- pipeline_tag\n",
        "",
    ],
)
def test_metadata_that_cannot_be_told_apart_is_left_as_it_is(release, card, text):
    rewrite(card, f"---\n{front_matter(card)}---\n", f"---\n{text}---\n")
    before = contents(release)

    assert fixed(release / "dist") == []
    assert contents(release) == before


def test_a_base_that_the_hub_would_refuse_is_not_copied_onto_the_card(release, card):
    """The sidecar is what is wrong then."""
    for role in ("av", "ar"):
        with edited_yaml(release / "dist" / role / "nla_meta.yaml") as sidecar:
            sidecar["nla_release"]["base"]["id"] = "./base"
        with edited_json(release / "dist" / role / "evidence" / "run.json") as run:
            run["base"]["id"] = "./base"

    assert fixed(release / "dist") == []


def test_blocks_are_generated_again_and_what_stands_around_them_is_kept(release, card):
    rewrite(card, "## Headline numbers", "## Headline numbers\n\nMine, and half.")
    rewrite(card, "<!-- nla-release:begin label -->\n", "<!-- nla-release:begin label -->\nBest.\n")
    mine = card.read_text().replace("Best.\n", "")

    fixed(release / "dist")

    assert card.read_text() == mine
    assert codes(release) == set()


def test_an_emptied_block_is_filled_again(release, card):
    whole = card.read_text()
    block = whole.split("<!-- nla-release:begin label -->")[1].split("<!-- nla-release:end label")[
        0
    ]
    rewrite(card, block, "\n")

    fixed(release / "dist")

    assert card.read_text() == whole


@pytest.mark.parametrize("where", ["calibration.json", "evidence/rows.jsonl"])
def test_numbers_without_sound_evidence_do_not_come_onto_a_card(release, card, where):
    """Else an edited calibration.json would be laundered into metrics and blocks."""
    path = card.parent / where
    text = path.read_text()
    if where == "calibration.json":
        with edited_json(path) as calibration:
            calibration["cosine"]["mean"] = 0.99
    else:
        path.write_text(text.replace("word 1 in", "word 2 in", 1))
    list_anew(card.parent)
    found = codes(release)
    before = contents(release)

    assert fixed(release / "dist") == []
    assert contents(release) == before
    assert found & {"NLA601", "NLA602"}


def test_what_the_role_decides_needs_no_evidence(release, card):
    rewrite(card, "pipeline_tag: feature-extraction", "pipeline_tag: text-generation")
    (card.parent / "evidence" / "rows.jsonl").write_text("")

    fixed(release / "dist")

    assert "pipeline_tag: feature-extraction\n" in card.read_text()


def test_a_card_edited_after_rendering_keeps_its_record(release, card):
    """NLA701 goes on saying that somebody edited it."""
    rewrite(card, "## Headline numbers", "## Headline numbers\n\nMine.", listed=False)
    rewrite(card, "library_name: peft", "library_name: x", listed=False)

    assert fixed(release / "dist") == ["ar/README.md"]

    assert codes(release) == {"NLA701"}


def test_a_card_that_is_as_rendered_again_keeps_its_record(release, card, good):
    rewrite(card, "library_name: peft", "library_name: x", listed=False)

    assert fixed(release / "dist") == ["ar/README.md"]

    assert contents(release) == contents(good)


def test_the_record_of_a_mended_card_is_its_own_and_no_other_record_changes(release, card):
    rewrite(card, "## Headline numbers", "## Headline numbers\n\nMine.")
    rewrite(card, "library_name: peft", "library_name: x")
    with edited_json(card.parent / MANIFEST_FILE) as manifest:
        manifest["files"]["LICENSE"]["sha256"] = "a" * 64
        before = manifest["files"]

    fixed(release / "dist")

    with edited_json(card.parent / MANIFEST_FILE) as manifest:
        after = manifest["files"]
    assert after["README.md"] == {"sha256": sha256_file(card), "size": card.stat().st_size}
    assert {name for name in after if after[name] != before[name]} == {"README.md"}


def test_an_interrupted_fix_is_finished_by_the_next(release, card, good):
    rewrite(card, "library_name: peft", "library_name: x")
    first, _ = fixes(release / "dist")
    first.path.write_bytes(first.after)

    assert fixed(release / "dist") == ["ar/README.md"]

    assert contents(release) == contents(good)


def test_a_card_with_the_lines_of_windows_gets_ours_only_when_it_is_mended(release, card):
    windows = card.read_bytes().replace(b"\n", b"\r\n")
    card.write_bytes(windows)
    assert fixes(release / "dist") == []
    card.write_bytes(windows.replace(b"library_name: peft", b"library_name: x"))

    fixed(release / "dist")

    assert card.read_bytes() == windows.replace(b"\r\n", b"\n")


def test_a_byte_order_mark_stays(release, card):
    rewrite(card, "---\nlicense", "\ufeff---\nlicense")
    rewrite(card, "library_name: peft", "library_name: x")

    fixed(release / "dist")

    assert card.read_text().startswith("\ufeff---\nlicense: apache-2.0\n")
    assert "library_name: peft\n" in card.read_text()


def test_a_card_that_is_a_link_is_not_written_through(release, card, tmp_path):
    outside = tmp_path / "outside.md"
    rewrite(card, "library_name: peft", "library_name: x")
    card.rename(outside)
    card.symlink_to(outside)
    before = contents(tmp_path)

    assert fixed(release / "dist") == []
    assert contents(tmp_path) == before


@pytest.mark.parametrize("linked", ["dist", "dist/ar"])
def test_a_folder_that_is_a_link_is_not_written_into(release, card, tmp_path, linked):
    rewrite(card, "library_name: peft", "library_name: x")
    outside = tmp_path / "outside"
    (release / linked).rename(outside)
    (release / linked).symlink_to(outside)
    before = contents(tmp_path)

    assert fixed(release) == []
    assert contents(tmp_path) == before
    assert release / "dist" / "ar" in [left.path for left in left_alone(release)]
