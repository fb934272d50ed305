"""Documents are read as a person sees them: prose by the sentence, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.text.sentences import sentences as read


def sentences(markdown: str) -> list[str]:
    shown = (" ".join(sentence.text.split()) for sentence in read(markdown))
    return [text for text in shown if text]


def lines(markdown: str) -> list[tuple[int, str]]:
    return [(sentence.line, sentence.text.strip()) for sentence in read(markdown)]


def test_a_paragraph_is_read_sentence_by_sentence():
    read = sentences("It is 0.5. The *other* is\n**0.6**, e.g. here! (Or there?) v0.0.1 follows.")

    assert read == [
        "It is 0.5.",
        "The other is 0.6, e.g. here!",
        "(Or there?) v0.0.1 follows.",
    ]


@pytest.mark.parametrize(
    "unseen",
    [
        "---\ntitle: 0.46\n---\n",
        "```\n0.46\n```",
        "~~~\n0.46",
        "    0.46",
        "`cosine = 0.46`",
        "<!-- 0.46 -->",
        "a <!-- 0.46 --> b",
        "<!--\n0.46\n\n0.46",
        '<img src="0.46.png">',
        "[a](https://example.org/0.46)",
        "https://example.org/0.46",
        "<https://example.org/0.46>",
        "[a]: https://example.org/0.46",
    ],
)
def test_what_is_no_prose_is_not_read(unseen):
    assert "0.46" not in " ".join(sentences(unseen))


@pytest.mark.parametrize(
    "seen",
    [
        "# 0.46",
        "> 0.46",
        "* 0.46",
        "[0.46](https://example.org)",
        "![0.46](a.png)",
        '<p align="center">0.46</p>',
        "<!-- a -->0.46",
        "| a |\n|---|\n| 0.46 |",
        "`0.46`",
        "0.**46**",
        "0.<b>46</b>",
        "0<!-- -->.46",
        "<td>0.46</td>",
        "0&#46;46",
        "0\\.46",
        "$0.46$",
        "$0{.}46$",
        r"$$0.\!46$$",
        "```math\n0.46\n```",
        "~~0.46~~",
        "---\na: 1\n---\n0.46",
    ],
)
def test_what_a_reader_sees_is_read(seen):
    assert "0.46" in " ".join(sentences(seen))


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("the \ufb01rst", "the first"),
        ("co\u00adsine of \uff10.46", "cosine of 0.46"),
        ("round\u2011trip\u00a0cos\u200bine", "round-trip cosine"),
        ("R\u00b2 of 0.4\u00b9", "R\u00b2 of 0.4\u00b9"),
        ("<p>co\u00adsine</p>", "cosine"),
    ],
)
def test_letters_are_read_as_they_look(written, read):
    assert sentences(written) == [read]


def test_a_sentence_knows_its_line_in_the_file():
    document = "---\na: 1\n---\n\nOne\ntwo. Three.\n\n<p>\nfour</p>\n\n| h |\n|---|\n| 5 |\n"

    assert lines(document) == [
        (5, "One\ntwo."),
        (6, "Three."),
        (8, "four"),
        (11, "h"),
        (13, "5"),
    ]


def test_a_cell_knows_its_column_and_row_and_shares_the_links_of_its_row():
    table = "| metric | value | from |\n|---|---|---|\n| cosine | 0.4 | [x](https://x.org) |\n"

    row = read(table)[-3:]

    assert [(cell.text, cell.label) for cell in row] == [
        ("cosine", "metric; "),
        ("0.4", "value; cosine"),
        ("x", "from; cosine"),
    ]
    assert {cell.links for cell in row} == {("https://x.org",)}


def test_a_link_belongs_to_its_sentence():
    paragraph = read("See [a](https://a.org). No link. See https://b.org/c. None.")

    assert [sentence.links for sentence in paragraph] == [
        ("https://a.org",),
        (),
        ("https://b.org/c",),
        (),
    ]


def test_a_fraction_of_math_is_read_as_one():
    assert sentences(r"It finds $\frac{46}{100}$ of them.") == ["It finds 46/100 of them."]


@given(st.text(alphabet=st.sampled_from(list("ab 0.<>![]()|-`*_#>\n\t\\&~:/'\"")), max_size=200))
def test_any_markdown_is_read(markdown):
    for line, text in lines(markdown):
        assert 1 <= line <= markdown.count("\n") + 1
        assert isinstance(text, str)
