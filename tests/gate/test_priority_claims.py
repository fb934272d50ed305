"""Claims of priority and superiority need a source in their sentence."""

import pytest

from nla_release.cards.render import render
from nla_release.gate.priority_claims import claim, claims_have_sources
from nla_release.gate.subject import find_subject
from tests.builders_pair import make_release
from tests.pairs.zoo import append_text, edited_yaml


def findings(folder) -> list[str]:
    outcome = claims_have_sources.apply(find_subject(folder), strict=False)
    return [f"{each.path.rpartition('/')[2]} {each.message}" for each in outcome.findings]


@pytest.mark.parametrize(
    "text",
    [
        "This is the first non-Anthropic-team open-source NLA Activation Verbalizer.",
        "This pair is the only NLA that reads Gemma-4-E2B L23 activations.",
        "First of its kind.",
        "The first-ever pair.",
        "the only open pair for this base",
        "No other NLA reads this layer.",
        "It was the first to read this layer.",
        "a state of the art verbalizer",
        "SOTA",
        "an unprecedented cosine",
        "It outperforms every published pair.",
        "better than any published pair",
        "a novel training objective",
        "the smallest NLA there is",
        "Never before has a laptop read activations.",
        "The first reproducible natural-language\nautoencoder.",
        "It is the first such model.",
        "A first-of-its-kind release.",
        "Nobody has released a verbalizer for this base.",
        "No one else has published such a pair.",
        "It beats every previous NLA.",
        "Our NLA is the best.",
        "the 1st open NLA",
        "the first public release of an NLA",
        "The first open NLA is not perfect.",
    ],
)
def test_a_claim_is_found(text):
    assert claim(text)


@pytest.mark.parametrize(
    "text",
    [
        "the first token",
        "the first step of the release",
        "the first blocks of the model with a linear head, fine-tuned in full",
        "only the language model",
        "only the first adapter is active",
        "the first entry",
        "only rows with status ok",
        "the best row of the examples",
        "Best, median and worst of 60 rows",
        "Only NLA outputs are shown.",
        "our first NLA release",
        "since the first release of this pair",
        "It is not the first NLA.",
        "It is far from state of the art.",
        "Its own text outperforms the shuffled control.",
        "better than another row's text",
        "better than any other row's text",
        "The AV reads a novel about ships.",
        "The first NLA block reads the marker.",
        "The smallest pair there is, at 0.0.1.",
        "This is the first public release.",
        "This is the first public release of this pair.",
        "A novel method is not claimed.",
        "It beats every control.",
        "This row is the best of the examples.",
        "Our model is the best we could train.",
        "Nobody has looked at the rest.",
        "the first such row",
    ],
)
def test_an_innocent_word_is_no_claim(text):
    assert claim(text) is None


def test_a_claim_with_a_source_may_stand(release):
    card = release / "dist" / "av" / "README.md"
    append_text(card, "\nThe first open NLA ([search](https://example.org/search)).\n")
    assert findings(release) == []

    append_text(card, "\nThe first open NLA. See [search](https://example.org/search).\n")
    assert len(findings(release)) == 1


def test_a_claim_in_a_note_names_the_note_to_edit_once(tmp_path):
    notes = {"positioning": "Words.\n\nThe first open NLA released publicly."}
    render(make_release(tmp_path, notes=notes, rows=60, documents=12), "0.0.1")

    assert findings(tmp_path) == ["positioning.md:3 claims 'first open NLA' and names no source"]


def test_a_claim_in_the_title_is_found(release):
    with edited_yaml(release / "release.yaml") as document:
        document["title"] = "The best NLA"
    from nla_release.release.folder import read_release

    render(read_release(release), "0.0.2")

    assert findings(release) == ["release.yaml: title claims 'best NLA' and names no source"]
