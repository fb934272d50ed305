"""Whether a label can be learned from, and if not, why."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nla_release.contract.explanation import CLOSE_TAG, OPEN_TAG, wrap
from nla_release.contract.prompt import ar_prompt
from nla_release.diagnostics.injection import CJK
from nla_release.gate.leaks import PLACES, SECRETS, leaks
from nla_release.training.prompts import PLACEHOLDER
from nla_release.training.recipe import Recipe

# Of each reason, in the report; the counts are whole.
_NAMED = 10

# Tokens that a label takes in a training's sequence, and how many it may.
Length = Callable[[str], int]


@dataclass
class Report:
    """What became of a side's rows; every row is either kept or dropped for one reason."""

    limit: int | None = None
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    longest_dropped: int = 0
    said: Counter[str] = field(default_factory=Counter)
    with_cjk: int = 0
    with_places: int = 0

    @property
    def rows(self) -> int:
        """How many there were."""
        return self.kept + self.dropped.total()

    def drop(self, name: str, reason: str, length: int | None) -> None:
        """Count a row that is not learned from."""
        self.dropped[reason] += 1
        self.longest_dropped = max(self.longest_dropped, length or 0)
        self.examples.setdefault(reason, []).append(name)
        del self.examples[reason][_NAMED:]

    def keep(self, label: str | None, length: int | None) -> None:
        """Count a row that is, and what its label is like."""
        self.kept += 1
        if length is not None:
            self.lengths.append(length)
        if label is not None:
            self.said[label] += 1
            self.with_cjk += bool(CJK.search(label))
            self.with_places += any(leaks(label.encode(), PLACES))

    def reasons(self) -> str:
        """The drops in words."""
        return ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())

    def document(self) -> dict[str, Any]:
        """For `data/build.json`."""
        levels = (("shortest", 0.0), ("median", 0.5), ("p95", 0.95), ("longest", 1.0))
        lengths = {
            name: int(np.quantile(self.lengths, level, method="higher"))
            for name, level in (levels if self.lengths else ())
        }
        most = self.said.most_common(1)
        return {
            "rows": self.rows,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "dropped_first": self.examples,
            "tokens": {
                "limit": self.limit,
                "cut": 0,
                **lengths,
                "longest_dropped": self.longest_dropped,
            },
            "labels": {
                "rows": self.said.total(),
                "distinct": len(self.said),
                "most_frequent": {"explanation": most[0][0], "rows": most[0][1]} if most else None,
                "with_cjk": self.with_cjk,
                "with_paths": self.with_places,
            },
        }


def fault(label: str, recipe: Recipe) -> str | None:
    """What is wrong with a label's words; None when nothing is.

    A path is a word like any other in what is said of a text, and only counted; a secret is not.
    """
    if not label.strip():
        return "empty"
    letters = sum(character.isalpha() for character in label)
    if len(CJK.findall(label)) > recipe.build.max_cjk_share * letters:
        return "in Chinese, Japanese or Korean"
    if recipe.marker in label or PLACEHOLDER in label:
        return "holding the marker"
    if OPEN_TAG in label or CLOSE_TAG in label:
        return "holding the tags around an explanation"
    return next((f"holding {kind}" for _, kind in leaks(label.encode(), SECRETS)), None)


def av_length(encode: Callable[[str, bool], list[int]], prompt: int) -> Length:
    """Tokens of the AV's sequence: a prompt of `prompt` tokens, the answer, the end."""
    return lambda label: prompt + len(encode(wrap(label), False)) + 1


def ar_length(encode: Callable[[str, bool], list[int]], template: str) -> Length:
    """Tokens of the AR's prompt."""
    return lambda label: len(encode(ar_prompt(template, label), True))
