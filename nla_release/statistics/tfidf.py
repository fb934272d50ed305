"""How alike two texts are by the words they share, rare words counting more.

A word's weight in a text is its count times `ln((1 + n) / (1 + df)) + 1`, where df of the n
documents hold it; texts are compared by cosine.

Source: Manning, Raghavan and Schuetze, Introduction to Information Retrieval (2008), section 6.2;
the smoothed idf is that of scikit-learn's TfidfVectorizer, whose numbers these are.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from nla_release.statistics.formulas import Floats, row_blocks

_WORD = re.compile(r"\w\w+")


def tfidf_blocks(queries: Sequence[str], documents: Sequence[str]) -> Iterator[Floats]:
    """Cosines [some, D] of some queries after others; 0 where they share no word."""
    counts = [_words(document) for document in documents]
    holding = Counter(word for words in counts for word in words)
    weight = {
        word: math.log((1 + len(documents)) / (1 + found)) + 1 for word, found in holding.items()
    }
    listed: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for position, words in enumerate(counts):
        for word, value in _unit(words, weight).items():
            listed[word].append((position, value))
    postings = {
        word: (np.array([at for at, _ in found]), np.array([value for _, value in found]))
        for word, found in listed.items()
    }
    for rows in row_blocks(len(queries), len(documents)):
        cosines = np.zeros((rows.stop - rows.start, len(documents)))
        for row, query in zip(cosines, queries[rows], strict=True):
            for word, value in _unit(_words(query), weight).items():
                positions, values = postings[word]
                row[positions] += value * values
        yield cosines


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


def _unit(words: Counter[str], weight: dict[str, float]) -> dict[str, float]:
    """The weights of the words that any document holds, at length 1."""
    known = {word: count * weight[word] for word, count in words.items() if word in weight}
    norm = math.sqrt(math.fsum(value**2 for value in known.values()))
    return {word: value / norm for word, value in sorted(known.items())}
