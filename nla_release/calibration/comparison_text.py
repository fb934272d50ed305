"""A comparison as text and as Markdown, with the same tables and sentences.

Releases are lettered A, B, C, because their names are longer than a column.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from nla_release.calibration.comparison import (
    Comparison,
    Paired,
    PairedVerdict,
    ReleaseFigures,
)
from nla_release.evidence.settings import Differing, what_differs
from nla_release.statistics.blocks import Difference
from nla_release.text.markdown import inline
from nla_release.text.numbers import interval, number, signed

_HASH = re.compile(r"[0-9a-f]{40,64}")
_SHOWN_OF_A_HASH = 12

_SENTENCES: dict[PairedVerdict, str] = {
    "better": "{letter} reconstructs better than A: the {figure} difference is above 0.",
    "worse": "{letter} reconstructs worse than A: the {figure} difference is below 0.",
    "no difference shown": "No difference of the {figure} is shown: its interval contains 0.",
    "inconclusive": "Inconclusive: there are too few common rows or documents.",
}

_OF_CLAIMS = (
    "The table shows how much the error 2 (1 - cos) rises, and the FVE falls, when one claim is"
    " left out of an explanation. An AR that reacts to any change of its text loses as much with"
    " another document's activation. An AR that needs every claim need not tell rows apart: that is"
    " what top-1 measures."
)

_Line = tuple[str, ...]


@dataclass(frozen=True)
class ComparisonTable:
    """Lines of cells under a header; the first `words` columns are text, the others numbers."""

    header: _Line
    lines: Sequence[_Line]
    words: int = 1


def comparison_text(comparison: Comparison) -> str:
    """Aligned tables and sentences, without a final newline."""
    parts = (
        part if isinstance(part, str) else "\n".join(_aligned(part))
        for part in comparison_parts(comparison)
    )
    return "\n\n".join(parts)


def comparison_markdown(comparison: Comparison) -> str:
    """The same as Markdown, without a final newline."""
    return "\n\n".join(
        inline(part) if isinstance(part, str) else _piped(part)
        for part in comparison_parts(comparison)
    )


def comparison_parts(comparison: Comparison) -> Iterator[str | ComparisonTable]:
    """Sentences and tables, in order, for any rendering."""
    letters = ascii_uppercase[: len(comparison.releases)]
    yield _releases(comparison, letters)
    if comparison.claims:
        yield _claims(comparison, letters)
        yield _OF_CLAIMS
    yield _settings(comparison.differing, letters)
    for letter, each in zip(letters[1:], comparison.against_first, strict=True):
        if isinstance(each, Paired):
            yield _opening(letter, each)
            yield _differences(letter, each)
            yield from (f"Left out: {what}." for what in each.left_out)
            yield _verdict(letter, each, comparison.schema_)
        else:
            yield f"{letter} and A are not compared: {each.reason}."
    yield f"{comparison.multiplicity}."


def _table(lines: Sequence[Sequence[tuple[str, str]]], words: int) -> ComparisonTable:
    """A table of lines whose cells each come with the name of their column."""
    header = tuple(name for name, _ in lines[0])
    return ComparisonTable(header, [tuple(cell for _, cell in line) for line in lines], words)


def _releases(comparison: Comparison, letters: str) -> ComparisonTable:
    """Each release on its own rows, with the settings in which it differs from the first."""
    return _table(
        [
            [
                ("", letter),
                ("release", each.name),
                ("differs from A in", what_differs(comparison.differing, at) if at else "-"),
                ("label", each.label),
                ("rows", str(each.rows)),
                ("documents", str(each.documents)),
                *_cosines(each, comparison.schema_),
                ("FVE", number(each.fve.value)),
                *_top1(each),
            ]
            for at, (letter, each) in enumerate(zip(letters, comparison.releases, strict=True))
        ],
        words=4,
    )


def _cosines(release: ReleaseFigures, format_: int) -> list[tuple[str, str]]:
    """The figures that decide the label, in format 2 of comparison.json and in format 1."""
    others = release.above_others
    if format_ == 1 or others is None:
        return [
            ("cosine", number(release.cosine.mean)),
            ("mean vector", number(release.predict_mean)),
            *_difference("- shuffled", release.shuffled),
        ]
    return [
        ("centred cosine", number(others.first)),
        *_difference("- same document", release.within),
        *_difference("- other documents", others),
    ]


def _difference(name: str, found: Difference | None) -> list[tuple[str, str]]:
    shown = (signed(found.difference), interval(found.interval)) if found else ("-", "-")
    return list(zip((name, "95% CI"), shown, strict=True))


def _top1(release: ReleaseFigures) -> list[tuple[str, str]]:
    found = release.retrieval
    return [("top-1", f"{found.hits}/{found.n}"), ("chance", f"1/{found.candidates}")]


def _claims(comparison: Comparison, letters: str) -> ComparisonTable:
    """Each release's AR on explanations without one of their claims, and its top-1 retrieval."""
    releases = zip(letters, comparison.releases, comparison.claims, strict=True)
    return _table(
        [
            [
                ("a claim left out", letter),
                ("release", each.name),
                ("claims", str(found.n) if found else "-"),
                ("mse", signed(found.mse) if found else "-"),
                ("95% CI", interval(found.mse_interval) if found else "-"),
                ("FVE", signed(found.fve) if found else "-"),
                ("95% CI", interval(found.fve_interval) if found else "-"),
                ("mse - another activation", signed(found.above_other) if found else "-"),
                ("95% CI", interval(found.above_other_interval) if found else "-"),
                *_top1(each),
            ]
            for letter, each, found in releases
        ],
        words=2,
    )


def _settings(settings: Sequence[Differing], letters: str) -> ComparisonTable | str:
    if not settings:
        return "No recorded setting differs."
    lines = [
        (each.setting, *("not recorded" if it is None else _short(it) for it in each.values))
        for each in settings
    ]
    return ComparisonTable(("what differs", *letters), lines, words=1 + len(letters))


def _opening(letter: str, paired: Paired) -> str:
    apart = (
        f"; {paired.only_first} rows only in A, {paired.only_second} only in {letter}"
        if paired.only_first or paired.only_second
        else ""
    )
    return (
        f"{letter} against A: {paired.relation}, on {paired.rows} common rows of"
        f" {paired.documents} documents{apart}. Rows without an explanation:"
        f" {paired.first_failed} in A, {paired.second_failed} in {letter}."
    )


def _differences(letter: str, paired: Paired) -> ComparisonTable:
    return _table(
        [
            [
                ("", "mse (less is better)" if each.name == "mse" else each.name),
                ("A", number(each.first)),
                (letter, number(each.second)),
                *_difference(f"{letter} - A", each),
                ("n", str(each.n)),
            ]
            for each in paired.figures
        ],
        words=1,
    )


def _verdict(letter: str, paired: Paired, format_: int) -> str:
    found = paired.retrieval
    test = "exact McNemar" if format_ == 1 else "sign flips of documents"
    retrieval = (
        f"Of {found.n} rows A retrieves {found.first_hits} and {letter} {found.second_hits}:"
        f" {found.only_first} only A, {found.only_second} only {letter}, {test}"
        f" p = {found.p:.3g}."
    )
    sentence = _SENTENCES[paired.verdict].format(letter=letter, figure=paired.figures[0].name)
    return f"{sentence} {retrieval}"


def _short(value: str) -> str:
    return f"{value[:_SHOWN_OF_A_HASH]}..." if _HASH.fullmatch(value) else value


def _aligned(table: ComparisonTable) -> list[str]:
    lines = [table.header, *table.lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if position < table.words else cell.rjust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def _piped(table: ComparisonTable) -> str:
    rule = ["---" if at < table.words else "--:" for at in range(len(table.header))]
    lines = [table.header, rule, *(tuple(map(inline, line)) for line in table.lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
