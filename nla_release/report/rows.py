"""Every row of the evidence with the text and score of each arm, bounded in size.

An arm is what the AR read in place of the row's explanation; the first is the explanation itself.
The page shows the worst rows as they are, and its script shows all of them from one JSON document.
Texts are made safe to show: hidden characters become visible, local folders are removed.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from nla_release.calibration.neighbours import neighbours
from nla_release.calibration.report import ControlName
from nla_release.evidence.controls import CONTROLS, Answer, centred_cosines, cosines, has
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import EvidenceRow, TextCondition
from nla_release.statistics.formulas import Floats
from nla_release.text.numbers import number

# An explanation is a few sentences; a source text may be a book.
MAX_TEXT = 2000

_SHOWN_AS_THEY_ARE = "\n\t"

# What could end a script element inside of JSON's strings.
_IN_SCRIPTS = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}

MAX_ROWS = 10_000

MAX_BYTES = 20_000_000

# Rows that the page shows without its script.
STATIC_ROWS = 50

OWN, BEST, OTHERS = "own explanation", "best other row of the document", "texts of other documents"

# How long a text may be, and how many rows there may be: the first that fits is taken. The last
# fits whatever texts hold, of which a character takes 12 bytes at most.
_SIZES = [
    *((limit, MAX_ROWS) for limit in (MAX_TEXT, 1000, 500, 250, 120, 60, 30)),
    *((30, rows) for rows in (5000, 2500, 1000)),
]


@dataclass(frozen=True)
class _Arm:
    """What was read for each row, and what it scored. A text may be the own one of another row."""

    name: str
    texts: Sequence[str | int | None]
    centred: Floats | None
    plain: Floats | None


def browsed(evidence: Evidence) -> dict[str, Any]:
    """The rows as plain data, worst first, with what was left out in words."""
    arms = list(_arms(evidence))
    own = arms[0].centred
    assert own is not None
    # Rounded, so that the last bits of a machine do not decide the order.
    order = [int(at) for at in np.argsort(np.round(own, 3), kind="stable")]
    limit, rows, data = _fitting(evidence, arms, order)
    return {
        "json": data,
        "total": len(evidence.rows),
        "left_out": _left_out(len(evidence.rows), len(rows), limit),
        "static": [_static(arms, rows, row) for row in rows[:STATIC_ROWS]],
        "labelled": any(row.gold is not None for row in evidence.rows),
    }


def _arms(evidence: Evidence) -> Iterator[_Arm]:
    rows = evidence.rows
    place = {row.id: at for at, row in enumerate(rows)}
    near = neighbours(evidence)
    mean = f"the mean of {OTHERS}"
    yield _recorded(evidence, "real", OWN, list(map(_said, rows)))
    best = [int(at) if at >= 0 else None for at in near.best]
    yield _Arm(BEST, best, near.centred, near.plain)
    yield _Arm(mean, [None] * len(rows), near.others, None)
    texts: dict[str, list[str | int | None]] = {
        "shuffled": [place.get(row.shuffled_from) for row in rows],
        "empty": [""] * len(rows),
        "gold_text": [row.gold for row in rows],
        "random_vector": [row.random_vector.explanation for row in rows],
        "zero_vector": [evidence.run.zero_vector.explanation] * len(rows),
        "predict_mean": [None] * len(rows),
        "source_text": [row.text for row in rows],
    }
    for name in get_args(ControlName) + get_args(TextCondition):
        if has(evidence, name):
            given = texts.get(name) or [row.texts.get(name) for row in rows]
            yield _recorded(evidence, name, CONTROLS[name].words, given)
    if not has(evidence, "source_text") and any(texts["source_text"]):
        yield _Arm("the source text (not read by the AR)", texts["source_text"], None, None)


def _recorded(
    evidence: Evidence, name: Answer, words: str, texts: Sequence[str | int | None]
) -> _Arm:
    # Always predicting the mean leaves nothing once the mean is taken out.
    centred = None if name == "predict_mean" else centred_cosines(evidence, name)
    return _Arm(words, texts, centred, cosines(evidence, name))


def _said(row: EvidenceRow) -> str:
    """A row that failed shows what the AV put out."""
    return row.explanation if row.status == "ok" else row.raw


def _rows(evidence: Evidence, arms: Sequence[_Arm], kept: Sequence[int], limit: int) -> list[Any]:
    """[id, document, status, own less the best other row, [text, centred, plain] of each arm]."""
    place = {int(at): new for new, at in enumerate(kept)}

    def short(text: str | int | None) -> str | int | None:
        if isinstance(text, int):
            if text in place:
                return place[text]
            text = _said(evidence.rows[text])
        return None if text is None else visible(shortened(text, limit))

    own, best = arms[0].centred, arms[1].centred
    assert own is not None
    assert best is not None
    columns = [
        zip(
            [short(arm.texts[at]) for at in kept],
            _numbers(arm.centred, kept),
            _numbers(arm.plain, kept),
            strict=True,
        )
        for arm in arms
    ]
    found = [evidence.rows[at] for at in kept]
    return [
        [short(row.id), short(row.document), row.status, difference, list(read)]
        for row, difference, *read in zip(found, _numbers(own - best, kept), *columns, strict=True)
    ]


def _numbers(values: Floats | None, kept: Sequence[int]) -> list[str]:
    """As text, of the rows that are kept."""
    if values is None:
        return [number(None)] * len(kept)
    few = np.round(values[list(kept)], 6).tolist()
    return [number(None if math.isnan(each) else each) for each in few]


def _static(arms: Sequence[_Arm], rows: list[Any], row: list[Any]) -> dict[str, Any]:
    """A row as the page shows it without a script, texts of other rows put in."""
    return {
        "id": row[0],
        "document": row[1],
        "status": row[2],
        "less_best": row[3],
        "arms": [
            {
                "name": arm.name,
                "text": rows[text][4][0][0] if isinstance(text, int) else text,
                "centred": centred,
                "plain": plain,
            }
            for arm, (text, centred, plain) in zip(arms, row[4], strict=True)
        ],
    }


def _fitting(
    evidence: Evidence, arms: Sequence[_Arm], order: Sequence[int]
) -> tuple[int, list[Any], str]:
    """The first of `_SIZES` that the page has room for: its limit, its rows, and both as JSON."""
    *tried, (least, fewest) = _SIZES
    for limit, most in tried:
        kept = order[:most]
        # What is far too large is not made.
        if _characters(evidence, arms, kept, limit) <= MAX_BYTES:
            rows = _rows(evidence, arms, kept, limit)
            if len(data := _data(arms, rows)) <= MAX_BYTES:
                return limit, rows, data
    rows = _rows(evidence, arms, order[:fewest], least)
    return least, rows, _data(arms, rows)


def _characters(evidence: Evidence, arms: Sequence[_Arm], kept: Sequence[int], limit: int) -> int:
    """How many characters texts, ids and documents have, of which each takes a byte or more."""
    texts = (text for arm in arms for text in (arm.texts[at] for at in kept))
    names = (name for at in kept for name in (evidence.rows[at].id, evidence.rows[at].document))
    return sum(min(len(each), limit) for each in [*texts, *names] if isinstance(each, str))


def _data(arms: Sequence[_Arm], rows: list[Any]) -> str:
    """What the page's script is given."""
    return json_in_html({"arms": [arm.name for arm in arms], "rows": rows})


def _left_out(total: int, shown: int, limit: int) -> str:
    said = []
    if shown < total:
        said.append(f"The {shown} worst of {total} rows are here.")
    if limit < MAX_TEXT:
        said.append(f"Texts are cut after {limit} characters to keep this file small.")
    return " ".join([*said, "All of it is in evidence/rows.jsonl."]) if said else ""


def visible(text: str) -> str:
    """The text with controls, direction overrides and other unseen characters spelled out."""
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in _SHOWN_AS_THEY_ARE else ascii(char)[1:-1]
        for char in text
    )


def json_in_html(document: Any) -> str:
    """JSON in ASCII that ends no script element, whatever its strings hold."""
    text = json.dumps(document, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return text.translate(_IN_SCRIPTS)


def shortened(text: str, most: int = MAX_TEXT) -> str:
    """The beginning of a long text, and how much is left out."""
    left_out = len(text) - most
    return text if left_out <= 0 else f"{text[:most]} [... {left_out} more characters]"


def map_strings(change: Callable[[str], str], document: Any) -> Any:
    """Plain data with every string in it changed, keys too."""
    match document:
        case str():
            return change(document)
        case dict():
            return {change(key): map_strings(change, value) for key, value in document.items()}
        case list() | tuple():
            return [map_strings(change, each) for each in document]
        case _:
            return document


def without_local_paths(folder: Path) -> Callable[[str], str]:
    """Takes the way to a folder out of messages: paths become relative to it.

    Args:
        folder: absolute.
    """
    ways = {str(Path.home()): "~"} | {
        str(parent): "/".join([".."] * steps)
        for steps, parent in enumerate(folder.parents, start=1)
        if parent != parent.parent
    }
    # The longest first, so that no folder is taken for one above it.
    names = "|".join(re.escape(way) for way in sorted({str(folder), *ways}, key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w./-])({names})(?![\w-])(/?)")

    def relative(match: re.Match[str]) -> str:
        way, slash = match.groups()
        if way == str(folder):
            return "" if slash else folder.name
        return ways[way] + slash

    return lambda text: pattern.sub(relative, text)
