"""Whether the AV's explanations are more than a few templates.

Beginnings at several lengths show a template that only its end varies; the largest cluster shows
how many rows share the most common one. A skeleton shows a template wherever its words vary: it is
what is left of a text when the words that few texts share are masked. An explanation that occurs in
several documents is not about any of them, unless the labels repeat too: where the data has
labels, they are counted as well.

A word stays in its skeleton where it stands next to the same word, or the same end of the text, in
at least a fifth of the texts; every other word, and all numbers, become one gap. Pairs of words
decide, because "of" and "the" are common and fill gaps by themselves. A text of which fewer than
three words stay has no skeleton. The source texts, by the same rule, show how much is due to the
language.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.diagnostics.model import Diagnostic
from nla_release.errors import printable
from nla_release.evidence.parts import Evidence, longest_texts
from nla_release.io.schema import Strict, holds
from nla_release.statistics.blocks import MIN_DOCUMENTS, Inconclusive, Proportion, Ratio, too_few
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.row import Row, share_row
from nla_release.text.numbers import count, number

# The lengths at which SolshineCode/nla-gemma-4-e2b counts beginnings, up to twice its tripwire's.
Length = Literal["40", "60", "80", "120"]


class Beginnings(Strict):
    """Explanations grouped by their first characters."""

    distinct: PositiveInt = Field(description="different beginnings")
    largest: PositiveInt = Field(description="explanations with the most common one")


K = Literal["1", "3", "10"]

_K_WORDS: dict[K, str] = {
    "1": "the most common skeleton",
    "3": "the 3 most common skeletons",
    "10": "the 10 most common skeletons",
}

# Of the texts that have a pair of words, above which its words are not masked.
_SHARED = 0.2
_FEWEST_WORDS = 3
_MOST_CHARACTERS = 160
_TOKEN = re.compile(r"\w+(?:['\u2019-]\w+)*|[^\w\s]")
_START, _END, _GAP = "", "\n", "\u2026"


class Skeleton(Strict):
    """What explanations have in common when the words that few texts share are masked."""

    skeleton: str = Field(description="the words that stay, an ellipsis in place of others")
    rows: PositiveInt = Field(description="explanations with it")
    example: str = Field(description="one of them, cut where it is long")


_EVERY_K = holds("1", "3", "10")


class Skeletons(Strict):
    """The most common skeletons, and how much of the explanations they are."""

    distinct: NonNegativeInt = Field(description="different skeletons")
    shares: Annotated[dict[K, Ratio], _EVERY_K] = Field(
        description="explanations in the k most common ones"
    )
    source_shares: Annotated[dict[K, Proportion], _EVERY_K] | None = Field(
        description="the same of the source texts, the longest of each document; null when too few"
        " rows have one"
    )
    gold_shares: Annotated[dict[K, Proportion], _EVERY_K] | None = Field(
        description="the same of the labels of these rows; null unless all have one"
    )
    most_common: list[Skeleton] = Field(description="up to ten, the most common first")


class Templates(Strict):
    """How often explanations repeat each other."""

    n: PositiveInt = Field(description="rows with an explanation")
    failed: NonNegativeInt = Field(description="rows without one, left out")
    beginnings: dict[Length, Beginnings] = Field(description="by number of characters")
    duplicates: Ratio = Field(
        description="explanations that are said word for word of another document too"
    )
    gold_duplicates: Ratio | None = Field(
        description="the same of the labels of these rows; null unless all have one"
    )
    skeletons: Skeletons | None = Field(default=None, description="absent before format 3")


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> Templates | Inconclusive:
    """Over rows with an explanation."""
    explained = [row for row in evidence.rows if row.status == "ok"]
    documents = [row.document for row in explained]
    if few := too_few(documents, "explanations"):
        return few
    texts = [row.explanation for row in explained]
    labels = [row.gold for row in explained if row.gold is not None]
    lengths: tuple[Length, ...] = get_args(Length)
    found = Templates(
        n=len(texts),
        failed=len(evidence.rows) - len(texts),
        beginnings={length: _beginnings(texts, int(length)) for length in lengths},
        duplicates=_duplicates(texts, documents, measures),
        gold_duplicates=_duplicates(labels, documents, measures)
        if len(labels) == len(texts)
        else None,
    )
    if not measures.clustered:
        return found
    return found.model_copy(update={"skeletons": _skeletons(evidence, texts, documents, measures)})


def _beginnings(texts: Sequence[str], length: int) -> Beginnings:
    counts = Counter(text[:length] for text in texts)
    return Beginnings(distinct=len(counts), largest=max(counts.values()))


def _duplicates(texts: Sequence[str], documents: Sequence[str], measures: Measures) -> Ratio:
    said_of = defaultdict(set)
    for text, document in zip(texts, documents, strict=True):
        said_of[text].add(document)
    return measures.ratio([len(said_of[text]) > 1 for text in texts], documents)


def _skeletons(
    evidence: Evidence, texts: Sequence[str], documents: Sequence[str], measures: Measures
) -> Skeletons:
    skeletons = skeletons_of(texts)
    ranked = _ranked(skeletons)
    examples: dict[str, str] = {}
    for skeleton, text in zip(skeletons, texts, strict=True):
        if skeleton is not None:
            examples[skeleton] = min(text, examples.get(skeleton, text))
    sources = [evidence.rows[at].text or "" for at in longest_texts(evidence.rows).values()]
    labels = [row.gold for row in evidence.rows if row.status == "ok" and row.gold is not None]
    return Skeletons(
        distinct=len(ranked),
        shares={
            k: measures.ratio([each in dict(ranked[: int(k)]) for each in skeletons], documents)
            for k in get_args(K)
        },
        source_shares=_shares(sources) if len(sources) >= MIN_DOCUMENTS else None,
        gold_shares=_shares(labels) if len(labels) == len(texts) else None,
        most_common=[
            Skeleton(skeleton=_short(skeleton), rows=rows, example=_short(examples[skeleton]))
            for skeleton, rows in ranked[:10]
        ],
    )


def skeletons_of(texts: Sequence[str]) -> list[str | None]:
    """[N] what is left of each text without the words that few texts share, or None."""
    words = [
        [_START, *(token.casefold() for token in _TOKEN.findall(text)), _END] for text in texts
    ]
    texts_with = Counter(pair for each in words for pair in set(pairwise(each)))
    shared = {pair for pair, count in texts_with.items() if count >= _SHARED * len(texts)}
    return [_skeleton(each, shared) for each in words]


def _skeleton(words: Sequence[str], shared: Container[tuple[str, str]]) -> str | None:
    left, stay = list[str](), 0
    for before, word, after in zip(words, words[1:], words[2:], strict=False):
        common = (before, word) in shared or (word, after) in shared
        if common and not any(character.isdigit() for character in word):
            left.append(word)
            stay += word[0].isalpha()
        elif left[-1:] != [_GAP]:
            left.append(_GAP)
    return " ".join(left) if stay >= _FEWEST_WORDS else None


def _ranked(skeletons: Sequence[str | None]) -> list[tuple[str, int]]:
    """Skeletons with their numbers, the most common first, in the same order for any order."""
    counts = Counter(each for each in skeletons if each is not None)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _shares(texts: Sequence[str]) -> dict[K, float]:
    ranked = _ranked(skeletons_of(texts))
    return {k: sum(n for _, n in ranked[: int(k)]) / len(texts) for k in get_args(K)}


def _short(text: str) -> str:
    """One short line without control characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 1]}{_GAP}"


def _rows(found: Templates) -> Iterator[Row]:
    labels = found.gold_duplicates
    yield share_row(
        "Explanation said of another document too",
        found.duplicates,
        labels.share if labels else None,
        "of the labels" if labels else "",
    )
    if skeletons := found.skeletons:
        sources = skeletons.source_shares
        for k, words in _K_WORDS.items():
            yield share_row(
                f"Explanation in {words}",
                skeletons.shares[k],
                sources[k] if sources else None,
                "of the source texts" if sources else "",
            )


def _sentences(found: Templates) -> Iterator[str]:
    """How often beginnings and skeletons repeat."""
    ways = ", ".join(
        f"{each.distinct} at {length} characters (the most common {count(each.largest, 'time')})"
        for length in get_args(Length)
        if (each := found.beginnings.get(length))
    )
    failed = f"; {found.failed} failed and are left out" if found.failed else ""
    yield f"Different beginnings of the {count(found.n, 'explanation')}: {ways}{failed}."
    if found.skeletons:
        yield template_sentence(found.skeletons)
        for common in found.skeletons.most_common[:3]:
            yield (
                f"Skeleton of {count(common.rows, 'explanation')}: {common.skeleton} (as in:"
                f" {common.example})"
            )


def template_sentence(found: Skeletons) -> str:
    """How many explanations share the most common skeletons."""
    one, ten = found.shares["1"], found.shares["10"]
    others = {"labels of these rows": found.gold_shares, "source texts": found.source_shares}
    same = " and ".join(
        f"{number(shares['1'])} of the {words}" for words, shares in others.items() if shares
    )
    compared = f" For comparison, the share in one skeleton is {same}." if same else ""
    more = f", {ten.hits} the ten most common of {found.distinct}" if found.distinct > 1 else ""
    return (
        "A skeleton is the words that many explanations share, an ellipsis in place of the others."
        f" {one.hits} of {one.n} explanations share one skeleton{more}.{compared}"
    )


DIAGNOSTIC = Diagnostic(
    name="templates",
    title="templates",
    meaning="how often explanations repeat each other",
    records=Templates,
    report=report,
    rows=_rows,
    sentences=_sentences,
)
