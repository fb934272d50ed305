"""Numbers as somebody wrote them into a sentence, with the precision that they claim."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["value", "percent", "factor", "integer", "fraction"]

# Of more digits than this nothing is measured, and converting a million of them costs time.
_MAX_DIGITS = 40

# calibration.json itself is rounded, to six decimals, and a ratio of such numbers to little less.
_SLACK = 2e-6

# Numbers are not looked for in dates, times and versions; in names (E2B, top-1, Gemma-3-27B,
# 1536-dimensional) they touch a letter, or a hyphen that does.
_LITERAL = re.compile(
    r"""
    (?<![\w.])(?:
        \d{4}-\d\d-\d\d[\w:.+-]*+
      | \d++(?:\.\d++){2,}[\w.+-]*+
      | \d{1,2}:\d\d\b
    )
  | (?<![\w.])(?<![A-Za-z]-)(?<!\w/)(?P<part>\d++)
    (?:\s?/\s?|\sof\s(?:the\s)?|\sout\sof\s(?:the\s)?)(?P<whole>\d++)(?![\w/]|\.\d|-[A-Za-z])
  | (?P<spread>±\s?|\+/-\s?)?
    (?P<sign>(?<![\w.)\]])[+\-−–])?
    (?<![\w.])(?<![A-Za-z]-)
    (?P<number>
        (?<![\[(,])0,\d{2,}+(?!,\d)  # a decimal comma
      | (?:\d{1,3}(?:,\d{3})++(?!\d)|\d++)(?:\.\d++)? | \.\d++
    )
    (?P<exponent>[eE][+-]?\d{1,3})?
    (?:(?P<percent>\s?%|\s?per\s?cent\b)|(?P<factor>\s?[x×]|-fold\b|\stimes\b))?
    (?!\w|\.\d|-[A-Za-z])
    """,
    re.VERBOSE,
)

# What may stand between the ends of a range, by what must stand before it: 0.12 to 0.16,
# [0.12, 0.16], between 0.12 and 0.16.
_RANGES = {
    "": re.compile(r"\s?(?:to|\.\.|-|–|—)\s?"),
    "[": re.compile(r"\s?[,;]\s?"),
    "(": re.compile(r"\s?[,;]\s?"),
    "between ": re.compile(r"\sand\s"),
}


@dataclass(frozen=True)
class LiteralNumber:
    """One number of a text.

    `value` is what it says, to `decimals` places: 0.438 for 43.8%, the quotient for a fraction.
    `spread` is set for what follows a ±, `ranged` for an end of a range.
    """

    start: int
    end: int
    shown: str
    kind: Kind
    value: float
    decimals: int
    spread: bool = False
    ranged: bool = False
    fraction: tuple[int, int] | None = None

    def means(self, number: float) -> bool:
        """Whether `number`, rounded to the digits that are written, is what is written."""
        return abs(number - self.value) <= 10.0**-self.decimals / 2 + _SLACK * max(1, abs(number))

    def written(self, number: float) -> str:
        """Another number in the way of this one, with at least three digits to tell them apart."""
        if self.kind == "integer":
            return f"{number:g}"
        if self.kind == "percent":
            return f"{100 * number:.{max(self.decimals - 2, 1)}f}%"
        if self.kind == "factor":
            return f"{number:.{max(self.decimals, 1)}f}x"
        return f"{number:.{max(self.decimals, 3)}f}"


def literals(text: str) -> list[LiteralNumber]:
    """The numbers of a text in order, but not those that are part of a name, date or version."""
    found = list(_found(text))
    ends = {
        end
        for end, (one, other) in enumerate(itertools.pairwise(found))
        if any(
            text.startswith(before, one.start() - len(before))
            and between.fullmatch(text, one.end(), other.start())
            for before, between in _RANGES.items()
        )
    }
    return [
        _literal(match, ranged=position in ends or position - 1 in ends)
        for position, match in enumerate(found)
    ]


def _found(text: str) -> Iterator[re.Match[str]]:
    return (match for match in _LITERAL.finditer(text) if match["number"] or match["part"])


def _literal(match: re.Match[str], *, ranged: bool) -> LiteralNumber:
    shown = match[0].strip()[:_MAX_DIGITS]
    if match["part"]:
        part, whole = (int(match[name][:_MAX_DIGITS]) for name in ("part", "whole"))
        return LiteralNumber(
            *match.span(), shown, "fraction", part / max(whole, 1), 0, fraction=(part, whole)
        )
    number = re.sub("^0,", "0.", match["number"])
    digits = number.replace(",", "")[:_MAX_DIGITS]
    exponent = int((match["exponent"] or "e0")[1:])
    decimals = len(digits.partition(".")[2]) - exponent + (2 if match["percent"] else 0)
    value = float(f"{digits}e{exponent - (2 if match['percent'] else 0)}")
    kind: Kind = "value" if "." in digits or exponent else "integer"
    if match["percent"] or match["factor"]:
        kind = "percent" if match["percent"] else "factor"
    return LiteralNumber(
        *match.span(),
        shown,
        kind,
        -value if match["sign"] and match["sign"] != "+" else value,
        min(decimals, _MAX_DIGITS),
        spread=match["spread"] is not None,
        ranged=ranged,
    )
