"""Documents are read as a person sees them: prose by the sentence, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.prose.reader import read_prose


def sentences(markdown: str, *, skip_generated: bool = True) -> list[str]:
    return [
        " ".join(sentence.text.split())
        for passage in read_prose(markdown, skip_generated=skip_generated)
        for sentence in passage.sentences
        if sentence.text.strip()
    ]


def lines(markdown: str) -> list[tuple[int, str]]:
    return [
        (sentence.line, sentence.text.strip())
        for passage in read_prose(markdown, skip_generated=True)
        for sentence in passage.sentences
    ]


def test_a_paragraph_is_read_sentence_by_sentence():
    read = sentences("It is 0.5. The *other* is\n**0.6**, e.g. here! (Or there?) v0.0.1 follows.")

    assert read == [
        "It is 0.5.",
        "The other is 0.6, e.g. here!",
        "(Or there?) v0.0.1 follows.",
    ]


# The line over a quoted row, as a card has it.
ROW = "**Best**, row 1: cosine 0.5, with another row's explanation 0.1."


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
        "<!-- nla-release:begin label -->\n0.46\n\n<!-- nla-release:end label -->",
        f"## Examples\n\n{ROW}\n\nText:\n\n> 0.46\n\nExplanation:\n\n> 0.46\n>\n> * 0.46",
        f"## Examples\n\n{ROW}\n\nNo explanation (empty); raw output (empty):\n\n> 0.46",
        f"## Examples\n\nOf mine.\n\n## Examples\n\n{ROW}\n\nText:\n\n> 0.46",
        "## Examples\n\n**Best**, row r\\_1: cosine 0.46, with another row's explanation -0.46.",
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
        "## Examples\n\nquoted\n\n## Other\n\n0.46",
        "## Examples\n\n0.46",
        "Examples\n---\n\n0.46",
        "## Examples\n\n> quoted\n\n* 0.46",
        "## Examples\n\n### Best\n\n0.46",
        "## Examples\n\n> 0.46",
        f"## Examples\n\n{ROW}\n\nText:\n\n> quoted\n\nIt is good.\n\n> 0.46",
        f"## Examples\n\n{ROW}\n\nText:\n\n> quoted\n\n## Other\n\nText:\n\n> 0.46",
        "## Examples\n\n**Best**, row 1: cosine 0.5, with another row's explanation 0.1. Or 0.46.",
        "## Other\n\n**Best**, row 1: cosine 0.46, with another row's explanation 0.1.",
        "> <!-- nla-release:begin label -->\n\n0.46",
        "<!-- nla-release:begin label -->\n\n0.46",
        "<!-- nla-release:begin label --> \n\n0.46\n\n<!-- nla-release:end label --> ",
        " <!-- nla-release:begin label -->\n\n0.46\n\n <!-- nla-release:end label -->",
        "<!-- nla-release:begin label -->\n\n0.46\n\n<!-- nla-release:end other -->",
        "<!-- nla-release:begin label -->\n\n<!-- nla-release:end label -->\n\n0.46",
        "---\na: 1\n---\n0.46",
    ],
)
def test_what_a_reader_sees_is_read(seen):
    assert "0.46" in " ".join(sentences(seen))


def test_generated_blocks_are_read_where_nothing_else_compares_them():
    block = "<!-- nla-release:begin label -->\n0.46\n<!-- nla-release:end label -->"

    assert sentences(block, skip_generated=False) == ["0.46"]


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


def test_a_row_of_a_rank_is_quoted_once():
    row = "**{}**, row 1: cosine 0.46, with another row's explanation 0.1."
    rows = [row.format(rank) for rank in ("Best", "Median", "Worst", "Best")]

    assert len(sentences("## Examples\n\n" + "\n\n".join(rows))) == 2


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

    _, row = read_prose(table, skip_generated=True)

    assert [(cell.text, cell.label) for cell in row.sentences] == [
        ("cosine", "metric; "),
        ("0.4", "value; cosine"),
        ("x", "from; cosine"),
    ]
    assert {cell.links for cell in row.sentences} == {("https://x.org",)}


def test_a_link_belongs_to_its_sentence():
    ((paragraph),) = read_prose(
        "See [a](https://a.org). No link. See https://b.org/c. None.", skip_generated=True
    )

    assert [sentence.links for sentence in paragraph.sentences] == [
        ("https://a.org",),
        (),
        ("https://b.org/c",),
        (),
    ]


@given(st.text(alphabet=st.sampled_from(list("ab 0.<>![]()|-`*_#>\n\t\\&~:/'\"")), max_size=200))
def test_any_markdown_is_read(markdown):
    for line, text in lines(markdown):
        assert 1 <= line <= markdown.count("\n") + 1
        assert isinstance(text, str)
