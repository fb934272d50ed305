"""Hand-written parts of a card survive; edits elsewhere are counted, never guessed at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.hub.hand_written import hand_written, hand_written_sections, merged


def part(name, text):
    return f"<!-- nla-release:keep {name} -->\n{text}\n<!-- nla-release:end-keep {name} -->"


CARD = "---\nlicense: mit\n---\n# Pair\n\nWhat it is.\n\nNumbers.\n"


def test_a_part_is_put_where_the_new_card_has_it_and_else_at_the_end():
    old = f"# Pair\n{part('thanks', 'Ada')}\n{part('see-also', 'my blog')}\n"
    new = f"# Pair 2\n{part('thanks', 'nobody yet')}\nNumbers.\n"
    card = merged(new, hand_written_sections(old))

    assert card == f"# Pair 2\n{part('thanks', 'Ada')}\nNumbers.\n\n{part('see-also', 'my blog')}\n"
    assert merged(card, hand_written_sections(old)) == card


@pytest.mark.parametrize(
    "text",
    [
        "<!-- nla-release:keep a -->\nnever closed\n",
        "<!-- nla-release:keep a -->\n<!-- nla-release:end-keep b -->\n",
        "<!-- nla-release:keep A B -->\nx\n<!-- nla-release:end-keep A B -->\n",
        "text <!-- nla-release:keep a -->\nx\n<!-- nla-release:end-keep a -->\n",
    ],
)
def test_what_is_no_part_is_an_edit_like_any_other(text):
    written = hand_written(CARD, CARD + text, released=CARD + "\n")
    assert written.sections == {}
    assert written.edits == 1


def test_a_part_in_another_is_text_of_it():
    inner = part("inner", "x")
    card = part("outer", f"{inner}\n<!-- nla-release:keep outer -->") + f"\n{inner}\n"
    assert list(hand_written_sections(card)) == ["outer", "inner"]
    assert inner in hand_written_sections(card)["outer"]


def test_comments_that_nothing_ends_are_looked_at_once_each():
    """By whoever may write to the repository; a push reads cards of up to 4 MB."""
    begins = "<!-- nla-release:keep a -->\n" * 100_000
    written = hand_written(CARD, begins + part("b", "x"), released=None)
    assert written.sections == {"b": part("b", "x")}
    assert written.edits == 1


def test_a_part_alone_is_no_edit():
    written = hand_written("# New\n", f"{CARD}\n{part('thanks', 'Ada')}\n", released=CARD)
    assert written.sections == {"thanks": part("thanks", "Ada")}
    assert written.edits == 0


def test_every_place_that_was_edited_counts():
    remote = CARD.replace("# Pair", "# My pair").replace("Numbers.", "Better numbers.")
    assert hand_written("# New\n", remote, released=CARD).edits == 2


def test_line_ends_and_empty_lines_are_no_edit():
    remote = CARD.replace("\n", "\r\n") + "\r\n\r\n"
    assert hand_written("# New\n", remote, released=CARD).edits == 0


def test_a_card_that_no_push_made_is_all_edit():
    assert hand_written("# New\n", "# Mine\n", released=None).edits == 1


@given(st.text(alphabet="ab<!->\n\\g{1}", max_size=60), st.text(alphabet="ab\n", max_size=40))
def test_merging_twice_is_merging_once_and_loses_no_line(text, card):
    parts = {"mine": part("mine", text)}
    once = merged(card, parts)

    assert merged(once, parts) == once
    assert parts["mine"] in once
    assert card.rstrip("\n") in once
