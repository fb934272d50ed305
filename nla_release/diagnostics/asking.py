"""What a diagnostic knows when it asks the pair for more, and what it can ask for.

It asks with a plan: which vectors the AV explains at other scales, and which texts the AR reads for
which tensor of the evidence. What the answers mean is computed later, from the evidence alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

from nla_release.contract.explanation import Explanation
from nla_release.evidence.records import Setting, TextCondition, VectorCondition

# One text per row of a tensor; None is no text, and the row holds zeros.
Texts = list[str | None]


class Data(Protocol):
    """The held-out activations as a diagnostic needs them: N of each."""

    @property
    def ids(self) -> list[str]:
        """Of the rows."""

    @property
    def documents(self) -> list[str]:
        """That the rows are from."""

    @property
    def texts(self) -> list[str | None]:
        """The sources up to the position, where the data has them."""

    @property
    def paraphrases(self) -> list[str | None]:
        """Of the explanations, where the data has them."""

    @property
    def claims(self) -> list[list[str] | None]:
        """The explanations in parts, where the data has them."""


@dataclass(frozen=True)
class Seen:
    """What the base run knows: the data, what the AV said of it, and each row's other row.

    `encoder` says who embeds texts and in which version, for the record; `no_encoder` why nobody
    does.
    """

    data: Data
    said: list[Explanation]
    other_rows: Sequence[int]
    seed: int
    encoder: Mapping[str, str] = field(default_factory=dict)
    no_encoder: str | None = None

    def rows(self) -> Iterator[tuple[str, str | None]]:
        """Every row's id and explanation, None where it failed."""
        yield from zip(self.data.ids, text_or_none(self.said), strict=True)


@dataclass(frozen=True)
class Plan:
    """What a diagnostic asks for, and its settings for the record.

    Attributes:
        settings: what another person needs to ask for the same.
        scales: conditions under which the AV explains the activations again, with scale factors.
        texts: what the AR reads, by tensor.
        encoded: what the encoder embeds, by tensor.
        claims: each row's explanation in parts.
        skipped: why nothing is asked.
    """

    settings: dict[str, Setting] = field(default_factory=dict)
    scales: Mapping[VectorCondition, float] = field(default_factory=dict)
    texts: Mapping[str, Texts] = field(default_factory=dict)
    encoded: Mapping[str, Texts] = field(default_factory=dict)
    claims: list[list[str]] | None = None
    skipped: str | None = None

    @property
    def read(self) -> Texts:
        """All texts for the AR."""
        return [text for column in self.texts.values() for text in column]

    @property
    def row_texts(self) -> dict[TextCondition, list[str]]:
        """The texts that rows of the evidence keep, empty where there is none."""
        return {
            name: [text or "" for text in self.texts[name]]
            for name in get_args(TextCondition)
            if name in self.texts
        }


def text_or_none(explanations: Iterable[Explanation]) -> Texts:
    """What the AR can read of explanations."""
    return [said.text if said.status == "ok" else None for said in explanations]
