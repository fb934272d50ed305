"""A fix as a diff: what a person reviews before it is written."""

from pathlib import Path

from nla_release.cli.check import fix_line, fixes_diff, left_alone_line
from nla_release.fixes import Fix, LeftAlone

CARD = Path("dist/av/README.md")


def changed(before: str, after: str, path: Path = CARD) -> Fix:
    return Fix(path, before.encode(), after.encode(), ("NLA501", "NLA502"), "why")


def test_a_text_is_shown_as_a_unified_diff():
    assert fixes_diff([changed("a\nb\n", "a\nc\n")]) == (
        "--- dist/av/README.md\n+++ dist/av/README.md\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n"
    )


def test_what_is_no_text_gets_a_line():
    head, pickle = Path("ar/value_head.safetensors"), Path("ar/linear_head.pt")

    assert fixes_diff(
        [
            Fix(head, None, bytes(9437184), ("NLA305",), "converted from linear_head.pt"),
            Fix(pickle, b"pickle", None, ("NLA301",), "moved to originals/ar/linear_head.pt"),
        ]
    ) == (
        "ar/value_head.safetensors: 9,437,184 bytes, converted from linear_head.pt\n"
        "ar/linear_head.pt: moved to originals/ar/linear_head.pt\n"
    )


def test_nothing_to_fix_is_no_text():
    assert fixes_diff([]) == ""


def test_a_fix_and_what_is_left_alone_are_a_line_each():
    assert fix_line(changed("a", "b")) == "fixed  dist/av/README.md  why (NLA501, NLA502)"
    assert left_alone_line(LeftAlone(CARD, "why")) == "left alone  dist/av/README.md  why"


def test_a_strangers_text_moves_neither_a_terminal_nor_githubs_runner():
    card = "::stop-commands::x\n##[error]x\n\x1b[31m\u202ered\r\ttab\n"

    diff = fixes_diff([changed(card + "a\n", card + "b\n")])

    assert " \\x3a:stop-commands::x\n" in diff
    assert " ## [error]x\n" in diff
    assert " \\x1b[31m\\u202ered\\r\ttab\n" in diff
    assert "\x1b" not in fix_line(changed("a", "b", Path("a\x1b[31m.md")))
