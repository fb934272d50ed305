"""Whatever strangers wrote is shown as they wrote it, and does nothing else."""

import ast
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from nla_release.text.markdown import (
    _INVISIBLE,
    bibtex,
    code_cell,
    inline,
    python_block,
    python_literal,
    quoted,
    unseen,
)
from nla_release.text.visible import view

READER = MarkdownIt("commonmark").enable("table")
HOSTILE = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from("|`*_[]()<>&\\#+-=~$!:/.1 \n\t")),
    max_size=60,
)


def visible(text: str) -> str:
    """The text as one line, with unseen controls replaced, as a reader gets to see it."""
    return re.sub(
        _INVISIBLE,
        "\ufffd",
        " ".join(text.split()),
    )


def shown(markdown: str) -> list[str]:
    """The inline texts of a document, tags and code included only if they were plain text."""
    found = []
    for token in READER.parse(markdown):
        assert token.type != "html_block"
        if token.type == "inline":
            kinds = {child.type for child in token.children or []}
            assert kinds <= {"text", "text_special", "code_inline", "hardbreak"}, kinds
            found.append("".join(child.content for child in token.children or []))
    return found


@given(HOSTILE)
@example("a | b")
@example("<script>x</script>")
@example("![x](http://evil.example)")
@example("&lt; &amp;")
@example("http://evil.example www.evil.example")
def test_a_table_cell_shows_the_text_and_stays_one_cell(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| x{inline(text)} | end |\n"

    assert shown(table) == ["a", "b", f"x{visible(text)}", "end"]


@given(HOSTILE)
@example("a|b`c``d")
@example("`")
@example("\\|")
def test_a_code_cell_shows_the_text_and_stays_one_cell(text: str) -> None:
    table = f"| a | b |\n|---|---|\n| x {code_cell('y' + text)} | end |\n"

    assert shown(table) == ["a", "b", f"x {visible('y' + text)}", "end"]


@given(HOSTILE)
@example("# heading\n\n- item\n1. one\n> quote\n```python\nx\n```\n<div>\n---\n===")
def test_a_quotation_shows_every_line_and_opens_nothing(text: str) -> None:
    parsed = READER.parse(quoted("x" + text))
    lines = [line for line in visible_lines("x" + text) if line]

    assert {token.type for token in parsed} <= {
        "blockquote_open",
        "blockquote_close",
        "paragraph_open",
        "paragraph_close",
        "inline",
    }
    assert "".join(shown(quoted("x" + text))) == "".join(lines)


def visible_lines(text: str) -> list[str]:
    return [visible(line) for line in text.strip().split("\n")]


@given(st.text())
@example('say "hi" and it\'s \\ fine\u202e\u2028\x00')
@example("word " * 60 + "\n\n" + "x" * 300)
def test_python_reads_back_exactly_the_text(text: str) -> None:
    assert ast.literal_eval(python_literal(text)) == text
    assert ast.literal_eval(python_block(text)) == text
    assert python_literal(text).isprintable()


def test_a_long_prompt_is_readable_line_by_line() -> None:
    block = python_block("One line.\n\n" + "word " * 40 + "\nlast")

    assert block.startswith('(\n    "One line.\\n"\n    "\\n"\n    "word word')
    assert max(map(len, block.splitlines())) < 100


@given(HOSTILE)
def test_a_bibtex_value_keeps_its_braces_balanced(text: str) -> None:
    escaped = bibtex(text)
    bare = re.sub(r"\\(?:textbackslash|textasciitilde|textasciicircum)\{\}|\\.", "", escaped)

    assert "\n" not in escaped
    assert not set(bare) & set("{}%&$#_~^\\")


@pytest.mark.parametrize(
    "entity", ["&#8203;", "&#x202e;", "&#X202E;", "&ZeroWidthSpace;", "&shy;", "&zwj;", "&#x00ad;"]
)
def test_what_nobody_sees_is_found_as_an_entity_too(entity):
    ((line, name),) = unseen(f"One.\nco{entity}sine")

    assert line == 2
    assert name.startswith(f"{entity}, U+")


@pytest.mark.parametrize("text", ["&amp;#8203;", "\\&shy;", "&nbsp; &eacute; &#233;", "a & b; c"])
def test_ordinary_entities_and_ampersands_are_seen(text):
    assert list(unseen(text)) == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(end):
    seen = view(end.join(["One.", "", "```", "x", "", "## Lost"]))

    assert [hidden.line for hidden in seen.hidden] == [3]


@pytest.mark.parametrize(
    ("text", "line", "command"),
    [
        (r"Fine. $$\color{white}\text{not fine}$$", 1, r"\color"),
        ("Fine,\n$\\textcolor{white}{not\n fine}$", 2, r"\textcolor"),
        (r"It is $\phantom{not}$ good.", 1, r"\phantom"),
        (r"- It is $x\hphantom{not}$ good.", 1, r"\hphantom"),
        ("| a |\n|---|\n| $\\vphantom{b}$ |", 3, r"\vphantom"),
        (r"$a\hspace{-9em}b$", 1, r"\hspace"),
        (r"$`\color{white}a`$", 1, r"\color"),
        ("$$\na \\kern{-9em} b\n$$", 2, r"\kern"),
        ("One.\n\n```math\na\n\\color{white}\n```", 5, r"\color"),
        ("<div>\n$\\color{white}a$\n</div>", 2, r"\color"),
        (r"\\(\color{white}a\\)", 1, r"\color"),
    ],
)
def test_math_that_hides_words_is_found(text, line, command):
    (hidden,) = view(text).hidden

    assert (hidden.line, hidden.what) == (line, f"math with {command}")


@pytest.mark.parametrize(
    "text",
    [
        r"$\cos(a, b) = \frac{a \cdot b}{\lVert a \rVert \lVert b \rVert}$",
        r"$\colon \ruled \letter$",
        r"For $5 there is no \color of it.",
        r"`$\color{white}$` is code.",
        r"\$\color{white}\$ is no math.",
        "```latex\n$\\color{white}$\n```",
    ],
)
def test_other_math_and_code_hide_nothing(text):
    assert view(text).hidden == ()
