"""What a diagnostic is: what it asks of the pair, records, reports and shows.

It asks with a `Plan`: the scales at which the AV explains the activations again, and the texts that
the AR reads. The results are recorded in the evidence, and its report is computed from that alone.
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
    """The held-out data as a diagnostic needs it, [N] each; None where the data has none."""

    @property
    def ids(self) -> list[str]:
        """Of the rows."""

    @property
    def documents(self) -> list[str]:
        """Of the rows."""

    @property
    def texts(self) -> list[str | None]:
        """Source texts up to the position."""

    @property
    def paraphrases(self) -> list[str | None]:
        """Of the labelled explanations."""

    @property
    def claims(self) -> list[list[str] | None]:
        """The explanations in parts."""


@dataclass(frozen=True)
class DiagnosticInputs:
    """The data, its explanations, and the row used for each row's shuffled control.

    `encoder` names the encoder and its version for the record; `no_encoder` is the reason why there
    is none.
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
        settings: those that are needed to repeat it.
        scales: the scale factors at which the AV explains the activations again, by condition.
        texts: the texts for the AR, by tensor.
        encoded: the texts for the encoder, by tensor.
        claims: each row's explanation in parts.
        skipped: the reason when nothing is asked.
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
    """The texts of explanations, None for those that failed."""
    return [said.text if said.status == "ok" else None for said in explanations]


Report = TypeVar("Report", bound=Strict)


def control_row(name: str, value: float, control: Control, words: str) -> Row:
    """A cosine compared with that of a control."""
    failed = f" ({count(control.failed, 'row')} failed)" if control.failed else ""
    return difference_row(name, value, f"{words}{failed}", control.mean, control)


def mean_row(name: str, found: AgainstChance) -> Row:
    """A mean compared with knowing the document where that is known, otherwise with chance."""
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
    """How often the own candidate is first, compared with knowing the document or with chance."""
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
    """The shares of first places, mean reciprocal rank and mean percentile."""
    yield first_row(name, found)
    yield mean_row(f"{name}: mean of 1 / rank", found.mrr)
    yield mean_row(f"{name}: share of the others that are farther", found.percentile)


def permutation_sentence(name: str, found: Ranking) -> str:
    """The p value of the permutation test, and the smallest possible one."""
    tested = found.permutation
    if isinstance(tested, Inconclusive):
        return f"{name}: no p, inconclusive, {tested.inconclusive}."
    # Four decimals: the smallest p of 2000 permutations would be rounded up to twice its value.
    return (
        f"{name}: p = {tested.p:.4f} by {tested.draws} permutations; the smallest possible p is"
        f" {tested.floor:.4f}."
    )


@dataclass(frozen=True)
class DiagnosticEvidence:
    """The evidence that a diagnostic records when it ran, and only then.

    Attributes:
        tensors: those that it always records, each with its number of rows.
        sometimes: those that it records where the data allows it.
        spoken: the conditions under which the AV explained each row again.
        free_width: whether its tensors have a width of their own instead of the activations'.
        misfit: how rows and tensors contradict each other, for a message; None where they do not.
    """

    tensors: Mapping[str, Callable[[Sequence[EvidenceRow]], int]] = field(default_factory=dict)
    sometimes: Mapping[str, Callable[[Sequence[EvidenceRow]], int]] = field(default_factory=dict)
    spoken: tuple[str, ...] = ()
    free_width: bool = False
    misfit: Callable[[Sequence[EvidenceRow], Collection[str]], str | None] = lambda *_: None

    @property
    def always(self) -> set[str]:
        """The names of what exists whenever it ran."""
        return {*self.tensors, *self.spoken}

    @property
    def names(self) -> set[str]:
        """The names of all that it may record."""
        return {*self.always, *self.sometimes}


@dataclass(frozen=True)
class Diagnostic(Generic[Report]):
    """The definition of one diagnostic.

    Attributes:
        name: in release.yaml and run.json.
        title: as shown.
        meaning: what it measures, in a few words.
        records: the type of its report in calibration.json.
        report: computes the report from evidence; None when the diagnostic did not run.
        rows: the numbers of a report, each with its control.
        sentences: the conclusions from a report, as plain text.
        ask: what it asks of the pair; None when it needs no run of the pair.
        recorded: the evidence that it records.
        rankings: the rankings in a report, by what is retrieved.
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
