"""Numbers in sentences, with the precision in which they are written."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["value", "percent", "factor", "fraction", "count", "words", "version", "integer"]

# No measurement has more digits, and converting a million of them costs time.
_MAX_DIGITS = 40

# calibration.json is rounded to six decimals.
_SLACK = 2e-6

_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_WORD = (
    rf"(?:(?:twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)(?:[-\s](?:{_UNITS}))?"
    rf"|{_UNITS}|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
    r"|(?:a|one)\shundred|hundred|half\sa)"
)

# Dates, times and versions of three parts are no numbers, nor is what touches a letter, or a hyphen
# that does: E2B, top-1, v0.3, Gemma-3-27B, 1536-dimensional.
_LITERAL = re.compile(
    rf"""
    (?<![\w.])(?:
        \d{{4}}-\d\d-\d\d[\w:.+-]*+
      | \d++(?:\.\d++){{2,}}[\w.+-]*+
      | \d{{1,2}}:\d\d\b
    )
  | (?<![\w.])(?<![A-Za-z]-)(?<!\w/)(?P<part>\d++)
    (?:\s?/\s?|\sof\s(?:the\s)?|\s(?:out\sof|in\severy)\s(?:the\s)?)(?P<whole>\d++)
    (?![\w/]|\.\d|-[A-Za-z])
  | (?P<sign>(?<![\w.)\]])[+\-−–])?
    (?<![\w.])(?<![A-Za-z]-)
    (?P<number>
        (?<![\[(,])0,\d{{2,}}+(?!,\d)  # a decimal comma
      | (?:\d{{1,3}}(?:,\d{{3}})++(?!\d)|\d++)(?:\.\d++)? | \.\d++
    )
    (?P<exponent>[eE][+-]?\d{{1,3}})?
    (?:(?P<percent>\s?%|\s?per\s?cent\b)|(?P<factor>\s?[x×]|-?fold\b|\stimes\b))?
    (?!\w|\.\d|-[A-Za-z])
  | \b(?P<words>{_WORD}(?:
        \sper\s?cent\b | -?fold\b | \s(?:out\sof|in\severy)\s(?:the\s)?(?:{_WORD}|\d++)\b
    ))
    """,
    re.VERBOSE | re.IGNORECASE,
)

# Contexts in which a whole number counts what was measured.
_IS_N = re.compile(r"\b[nN]\s?(?:=|:|of)\s?$")
_COUNTED = re.compile(
    r"\s(?:[\w-]{1,20}\s)?(?:rows|activations|documents|samples|explanations)\b", re.IGNORECASE
)
_NUMBERED = re.compile(r"\b(?:layer|block|step)s?\s$", re.IGNORECASE)
_NEAR = 10

# Llama 3.1, Python 3.11: at least 1, directly after a word with a capital and small letters.
_PRODUCT = re.compile(r"\b[A-Z]+[a-z][A-Za-z]*\s$")
_LONGEST_NAME = 40


@dataclass(frozen=True)
class LiteralNumber:
    """One number of a text.

    `value` is accurate to `decimals` places: 0.438 for 43.8%, the quotient for a fraction, NaN for
    a number in words.
    """

    start: int
    end: int
    shown: str
    kind: Kind
    value: float
    decimals: int
    fraction: tuple[int, int] | None = None

    @property
    def measured(self) -> bool:
        """Whether it has the form of a measurement, unlike a plain whole number."""
        return self.kind not in ("integer", "version")

    def means(self, number: float) -> bool:
        """Whether `number`, rounded to the written digits, is this number."""
        return abs(number - self.value) <= 10.0**-self.decimals / 2 + _SLACK * max(1, abs(number))


def literals(text: str) -> Iterator[LiteralNumber]:
    """The numbers of a text in order, without those in names, dates and versions."""
    for found in _LITERAL.finditer(text):
        if found["words"]:
            shown = " ".join(found["words"].split())
            yield LiteralNumber(*found.span(), shown, "words", math.nan, 0)
        elif found["part"]:
            yield _fraction(found)
        elif found["number"]:
            yield _literal(found, text)


def _fraction(found: re.Match[str]) -> LiteralNumber:
    part, whole = (int(found[name][:_MAX_DIGITS]) for name in ("part", "whole"))
    quotient = part / max(whole, 1)
    shown = _shown(found)
    return LiteralNumber(*found.span(), shown, "fraction", quotient, 6, fraction=(part, whole))


def _literal(found: re.Match[str], text: str) -> LiteralNumber:
    number = re.sub("^0,", "0.", found["number"])
    digits = number.replace(",", "")[:_MAX_DIGITS]
    percent = 2 if found["percent"] else 0
    exponent = int((found["exponent"] or "e0")[1:])
    decimals = len(digits.partition(".")[2]) - exponent + percent
    value = float(f"{digits}e{exponent - percent}")
    negative = found["sign"] not in (None, "+")
    return LiteralNumber(
        *found.span(),
        _shown(found),
        _kind(found, text),
        -value if negative else value,
        min(decimals, _MAX_DIGITS),
    )


def _kind(found: re.Match[str], text: str) -> Kind:
    if found["percent"] or found["factor"]:
        return "percent" if found["percent"] else "factor"
    if "." in found["number"] or found["number"].startswith("0,") or found["exponent"]:
        name = _PRODUCT.search(text, max(0, found.start() - _LONGEST_NAME), found.start())
        return "version" if name and re.match("[1-9]", found[0]) else "value"
    before = text[max(0, found.start() - _NEAR) : found.start()]
    counts = _IS_N.search(before) or (
        _COUNTED.match(text, found.end()) and not _NUMBERED.search(before)
    )
    return "count" if counts else "integer"


def _shown(found: re.Match[str]) -> str:
    return " ".join(found[0].split())[:_MAX_DIGITS]
