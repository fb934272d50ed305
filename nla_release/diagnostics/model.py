"""What a diagnostic is: what it asks of the pair, what it records, what it reports and shows.

A diagnostic asks with a `Plan`: which vectors the AV explains at other scales, and which texts the
AR reads. The results are recorded in the evidence, and its report is computed from that alone.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar, get_args

from nla_release.contract.explanation import Explanation
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import EvidenceRow, Setting, TextCondition, VectorCondition
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import AgainstChance, Control, Inconclusive, Ranking, TopOne
from nla_release.statistics.measures import Measures
from nla_release.statistics.row import Row, difference_row
from nla_release.text.numbers import count, number

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
class DiagnosticInputs:
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


Report = TypeVar("Report", bound=Strict)


def control_row(name: str, value: float, control: Control, words: str) -> Row:
    """The cosine next to the same with the meaning taken out."""
    failed = f" ({count(control.failed, 'row')} failed)" if control.failed else ""
    return difference_row(name, value, f"{words}{failed}", control.mean, control)


def mean_row(name: str, found: AgainstChance) -> Row:
    """A mean against what knowing the document gives where that is known, else against chance."""
    alone = found.document_alone
    if alone is None:
        control, baseline, bounds = "chance", found.chance, found.interval
    else:
        control = f"knowing the document (chance {number(found.chance)})"
        baseline, bounds = alone, found.above_document_interval
    return Row(
        name,
        found.mean,
        found.n,
        control=control,
        baseline=baseline,
        difference=found.mean - baseline,
        interval=bounds,
    )


def first_row(name: str, found: TopOne) -> Row:
    """How often the own candidate is first, against knowing the document or against chance."""
    chance = f"chance {number(found.chance)}, 1 in {found.candidates}"
    alone, (low, high) = found.document_alone, found.interval
    if alone is None or alone == 1:  # each document has one candidate
        control, baseline = f"chance, 1 in {found.candidates}", found.chance
    else:
        control, baseline = f"knowing the document ({chance})", alone
    return Row(
        name,
        found.top1,
        found.n,
        found.hits,
        control,
        baseline,
        found.top1 - baseline,
        (low - baseline, high - baseline),
    )


def ranking_rows(name: str, found: Ranking) -> Iterator[Row]:
    """First places, reciprocal ranks and percentiles."""
    yield first_row(name, found)
    yield mean_row(f"{name}: mean of 1 / rank", found.mrr)
    yield mean_row(f"{name}: share of the others that are farther", found.percentile)


def permutation_sentence(name: str, found: Ranking) -> str:
    """How often a chance assignment hits as often, and the least that could be shown."""
    told = found.permutation
    if isinstance(told, Inconclusive):
        return f"{name}: no p, inconclusive, {told.inconclusive}."
    # Four decimals: the floor of 2000 permutations would be rounded up to twice itself.
    return (
        f"{name}: p = {told.p:.4f} by {told.draws} permutations, which cannot show less than"
        f" {told.floor:.4f}."
    )


@dataclass(frozen=True)
class DiagnosticEvidence:
    """The evidence that a diagnostic leaves when it ran, and only then.

    Attributes:
        tensors: those that it always leaves, each with how many rows it has.
        sometimes: those that it leaves where the data allows.
        spoken: what the AV said of each row under another condition.
        free_width: whether its tensors are as wide as they like, all alike, instead of as wide as
            the activations.
        misfit: what is wrong with rows and tensors taken together, or None; for messages.
    """

    tensors: Mapping[str, Callable[[Sequence[EvidenceRow]], int]] = field(default_factory=dict)
    sometimes: Mapping[str, Callable[[Sequence[EvidenceRow]], int]] = field(default_factory=dict)
    spoken: tuple[str, ...] = ()
    free_width: bool = False
    misfit: Callable[[Sequence[EvidenceRow], Collection[str]], str | None] = lambda *_: None

    @property
    def always(self) -> set[str]:
        """Names of what is there whenever it ran."""
        return {*self.tensors, *self.spoken}

    @property
    def names(self) -> set[str]:
        """Names of all that it may leave."""
        return {*self.always, *self.sometimes}


@dataclass(frozen=True)
class Diagnostic(Generic[Report]):
    """All that is known of one diagnostic.

    Attributes:
        name: in release.yaml and run.json.
        title: in words.
        meaning: what it measures, in a line.
        records: its report in calibration.json.
        report: from evidence to its report; None when it did not run.
        rows: what it measured, each number next to its control.
        sentences: what follows, as plain text.
        ask: what it asks of the pair; None when all evidence allows it.
        leaves: the evidence that it recorded.
        rankings: the rankings in its report, by what is retrieved.
    """

    name: str
    title: str
    meaning: str
    records: type[Report]
    report: Callable[[Evidence, Measures], Report | Inconclusive | None]
    rows: Callable[[Report], Iterable[Row]]
    sentences: Callable[[Report], Iterable[str]] = lambda _: ()
    ask: Callable[[DiagnosticInputs], Plan] | None = None
    recorded: DiagnosticEvidence = DiagnosticEvidence()
    rankings: Callable[[Report], Mapping[str, Ranking]] = lambda _: {}

    @property
    def key(self) -> str:
        """Its name in calibration.json."""
        return self.name.replace("-", "_")
