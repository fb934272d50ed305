"""The losses of an AR: the baseline, and three variants that add a term to it.

SolshineCode/nla-gemma-4-e2b names these variants and gives no formulas: the names are from that
project, the definitions are our own (docs/reference/training.md). `u` is a unit vector, so that
`|u(a) - u(b)|^2 = 2 (1 - cos(a, b))`; all losses are one figure a row, `[B]`.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch.nn.functional import cosine_similarity, cross_entropy, normalize, relu

from nla_release.errors import DataError
from nla_release.training.settings import NoiseHinge, ParaphraseInvariant, Variant

_WORD = re.compile(r"\w+")


def direction_loss(read: torch.Tensor, gold: torch.Tensor) -> torch.Tensor:
    """Baseline: `2 (1 - cos(r, v))`, the squared distance of unit vectors."""
    return 2 * (1 - cosine_similarity(read, gold, dim=-1))


def invariance_loss(read: torch.Tensor, paraphrased: torch.Tensor) -> torch.Tensor:
    """`2 (1 - cos(r, r'))`: how far the AR moves between paraphrases."""
    return 2 * (1 - cosine_similarity(read, paraphrased, dim=-1))


def hinge_loss(
    read: torch.Tensor, noised: torch.Tensor, gold: torch.Tensor, margin: float
) -> torch.Tensor:
    """`max(0, margin - (cos(r, v) - cos(n, v)))`: a noised text must do worse, by a margin."""
    ahead = cosine_similarity(read, gold, dim=-1) - cosine_similarity(noised, gold, dim=-1)
    return relu(margin - ahead)


def contrastive_loss(
    read: torch.Tensor,
    candidates: torch.Tensor,
    own: Sequence[int],
    excluded: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """`-log softmax_j(cos(r, v_j) / T)` at the row's own vector, against those of the other rows.

    Args:
        read: what the AR made of B texts, `[B, d]`.
        candidates: the vectors of all rows of the step, `[N, d]`.
        own: for each text, which candidate is its own.
        excluded: candidates to leave out, `[B, N]`; never the own ones.
        temperature: T.
    """
    logits = normalize(read, dim=-1) @ normalize(candidates, dim=-1).T / temperature
    targets = torch.tensor(own, device=read.device)
    return cross_entropy(logits.masked_fill(excluded, -torch.inf), targets, reduction="none")


class SecondTexts:
    """The second text that a variant reads with each explanation; None where there is none."""

    def __init__(
        self,
        variant: Variant,
        explanations: Sequence[str],
        paraphrases: Sequence[str | None],
        seed: int,
    ) -> None:
        """Find the paraphrases, or the words that noise is made of.

        Raises:
            DataError: not one row has a paraphrase.
        """
        self._noise = variant if isinstance(variant, NoiseHinge) else None
        self._explanations, self._seed = explanations, seed
        self._words = [word for text in explanations for word in _WORD.findall(text)]
        self._paraphrases: list[str | None] = [None] * len(explanations)
        if isinstance(variant, ParaphraseInvariant):
            self._paraphrases = _paraphrases(variant, explanations, paraphrases)

    @property
    def paraphrases(self) -> list[str]:
        """The paraphrases that there are, one for each explanation that has one."""
        return [text for text in self._paraphrases if text is not None]

    def of(self, row: int, step: int) -> str | None:
        """The text of a row at a step: noise is another at every step, the same on a resumed run.

        Noise replaces a share of the words, at least one, by words of all explanations, as often
        as they occur there: the vocabulary and punctuation of explanations, without meaning.
        """
        if self._noise is None:
            return self._paraphrases[row]
        generator = np.random.default_rng([self._seed, step, row])
        return noised(self._explanations[row], self._words, self._noise.share, generator)


def _paraphrases(
    variant: ParaphraseInvariant, explanations: Sequence[str], column: Sequence[str | None]
) -> list[str | None]:
    if variant.paraphrases == "column":
        found, reason = list(column), "the labels have no column paraphrase, or nothing in it"
    else:
        phrases = variant.paraphrases
        found = [rephrased(text, phrases) for text in explanations]
        reason = "none of the recipe's phrases occurs in an explanation"
    found = [
        other if other and other.strip() and other != text else None
        for text, other in zip(explanations, found, strict=True)
    ]
    if not any(found):
        raise DataError(
            f"ar.variant is paraphrase_invariant, and no row has a paraphrase: {reason}",
            hint="see docs/reference/training.md, Paraphrases",
        )
    return found


def rephrased(text: str, phrases: Mapping[str, str]) -> str | None:
    """A text with phrases replaced by others, whole words only; None when none occurs in it."""
    said = text
    for phrase, other in phrases.items():
        said = _replaced(said, phrase, other)
    return said if said != text else None


def noised(text: str, words: Sequence[str], share: float, generator: np.random.Generator) -> str:
    """A text with a share of its words, at least one, replaced by words drawn from `words`."""
    spans = [match.span() for match in _WORD.finditer(text)]
    count = min(len(spans), max(1, round(share * len(spans))))
    for at in sorted(generator.choice(len(spans), count, replace=False), reverse=True):
        start, end = spans[at]
        text = text[:start] + words[int(generator.integers(len(words)))] + text[end:]
    return text


def _replaced(text: str, phrase: str, other: str) -> str:
    return re.sub(rf"(?<!\w){re.escape(phrase)}(?!\w)", lambda _: other, text)
