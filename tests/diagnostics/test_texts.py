"""What the AR is given instead of an explanation."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.diagnostics.texts import (
    gibberish,
    join_claims,
    paraphrase,
    sentence_shuffled,
    split_claims,
    with_unrelated,
    without_claim,
    word_shuffled,
)

MUTATIONS = (gibberish, word_shuffled, sentence_shuffled, paraphrase)

any_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=120)
words = st.lists(st.sampled_from(["set", "in", "Oslo", "about", "text", "moon", "a"]), min_size=1)
prose = st.lists(
    st.tuples(words, st.sampled_from([",", ".", ";", "", "!"])), min_size=1, max_size=6
).map(lambda pieces: " ".join(" ".join(piece).capitalize() + end for piece, end in pieces))

EXPLANATION = "the word lens in a text about astronomy, set in Oslo"


@pytest.mark.parametrize("mutate", MUTATIONS)
@given(text=any_text, key=any_text, seed=st.integers(0, 2**32))
def test_the_same_row_gets_the_same_text_every_time(mutate, text, key, seed):
    assert mutate(text, key, seed) == mutate(text, key, seed)


@pytest.mark.parametrize("mutate", MUTATIONS)
def test_the_texts_of_a_row_are_pinned(mutate):
    """A change here changes what released evidence can be made again from."""
    pinned = {
        gibberish: "ahl eike kzhx ss z lznt nktzi guqylespyt xqw af wdxu",
        word_shuffled: "text the in astronomy, a set Oslo word about in lens",
        sentence_shuffled: EXPLANATION,
        paraphrase: "taking place in Oslo, the term lens in a passage on the subject of astronomy",
    }
    assert mutate(EXPLANATION, "k", 0) == pinned[mutate]


@given(text=any_text, key=any_text)
def test_gibberish_is_as_long_word_by_word_and_holds_nothing_else(text, key):
    made = gibberish(text, key, 0)

    assert [character.isspace() for character in made] == [c.isspace() for c in text]
    assert all(c.isspace() or "a" <= c <= "z" for c in made)


def test_gibberish_of_another_row_or_seed_is_other_gibberish():
    assert len({gibberish(EXPLANATION, key, seed) for key in "ab" for seed in (0, 1)}) == 4


@given(text=prose, key=any_text)
def test_shuffling_words_keeps_each_and_changes_their_order(text, key):
    made = word_shuffled(text, key, 0)

    assert Counter(made.split()) == Counter(text.split())
    if len(set(text.split())) > 1:
        assert made.split() != text.split()


@given(text=prose, key=any_text)
def test_shuffling_sentences_keeps_the_words(text, key):
    assert Counter(sentence_shuffled(text, key, 0).split()) == Counter(text.split())


def test_sentences_change_places_and_stay_whole():
    made = sentence_shuffled("It is old. Dr. No (e.g. a villain) left. The end!", "k", 0)

    assert made != "It is old. Dr. No (e.g. a villain) left. The end!"
    for sentence in ("It is old.", "Dr. No (e.g. a villain) left.", "The end!"):
        assert sentence in made


def test_a_single_sentence_has_no_other_order():
    assert sentence_shuffled(EXPLANATION, "k", 0) == EXPLANATION


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Text about moons.", {"Passage concerning moons.", "Passage on the subject of moons."}),
        ("a tale, set in Oslo.", {"taking place in Oslo, a tale."}),
        ("The tale, set in Oslo.", {"Taking place in Oslo, the tale."}),
        ("Oslo is old, from then on.", {"From then on, Oslo is old."}),
        ("He likes: figs or plums.", {"He likes: plums or figs."}),
    ],
)
def test_a_paraphrase_says_the_same_otherwise(text, said):
    assert {paraphrase(text, str(key), 0) for key in range(40)} == said


@pytest.mark.parametrize(
    "text",
    [
        'He said "text about moons" (about figs and plums).',
        "red figs and plums",
        "likes sour figs, plums and nuts",
        "moon 7",
        "",
    ],
)
def test_a_paraphrase_leaves_quotations_and_what_no_rule_fits(text):
    assert paraphrase(text, "k", 0) == text


@given(text=any_text)
def test_a_paraphrase_of_anything_is_text(text):
    assert isinstance(paraphrase(text, "k", 0), str)


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        (EXPLANATION, ["the word lens in a text about astronomy,", "set in Oslo"]),
        ("It is old. It is red; it burns.", ["It is old.", "It is red;", "it burns."]),
        ("It is old, Roman, and red.", ["It is old, Roman,", "and red."]),
        ('A "yes, my lord" (in 1,000 BC, or so).', ['A "yes, my lord" (in 1,000 BC, or so).']),
        ("- a moon\n- a red sun, setting fast", ["- a moon", "- a red sun,", "setting fast"]),
        ("1. an old moon\n2. a red sun", ["1. an old moon", "2. a red sun"]),
        ("moon", ["moon"]),
        ("  \n ", []),
    ],
)
def test_a_text_is_split_into_claims(text, claims):
    assert split_claims(text) == claims


@given(text=prose)
def test_the_claims_of_a_line_are_the_line(text):
    assert join_claims(split_claims(text)) == " ".join(text.split())


@given(text=any_text)
def test_anything_can_be_split_and_no_claim_is_empty(text):
    assert all(claim.strip() for claim in split_claims(text))


@given(text=prose, k=st.integers(0, 5))
def test_leaving_a_claim_out_takes_its_words_and_no_others(text, k):
    claims = split_claims(text)
    k %= len(claims)
    expected = Counter(_words(text)) - Counter(_words(claims[k]))

    assert Counter(_words(without_claim(claims, k))) == expected


@given(text=prose, k=st.integers(0, 5))
def test_an_unrelated_claim_adds_its_words_and_takes_none(text, k):
    claims = split_claims(text)
    k %= len(claims)

    assert Counter(_words(with_unrelated(claims, k, "near the red sea."))) == Counter(
        [*_words(text), "near", "the", "red", "sea"]
    )


def test_a_text_ends_as_it_did():
    claims = split_claims("An old moon, seen in Oslo.")

    assert without_claim(claims, 1) == "An old moon."
    assert with_unrelated(claims, 1, "near the sea;") == "An old moon, seen in Oslo, near the sea."
    assert with_unrelated(claims, 0, "near the sea;") == "An old moon, near the sea, seen in Oslo."


def test_an_unrelated_claim_in_a_list_is_an_item():
    claims = split_claims("- an old moon\n- a red sun")

    assert with_unrelated(claims, 1, "near the sea") == "- an old moon\n- a red sun\n- near the sea"


def _words(text):
    return [word.strip(".,;!?") for word in text.split() if word.strip(".,;!?")]


@pytest.mark.parametrize(
    "text", ["Zebras run.\n\nNobody sleeps here.", "One.  Two.", "Only this\nand that."]
)
def test_a_paraphrase_that_finds_nothing_to_say_otherwise_leaves_the_text_as_it_is(text):
    assert paraphrase(text, "r0", 0) == text


def test_a_paraphrase_keeps_what_stands_between_sentences():
    found = paraphrase("It describes Oslo.\n\nIt mentions a river.  It ends.", "r0", 0)

    assert found == "It depicts Oslo.\n\nIt names a river.  It ends."
