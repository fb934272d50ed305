"""The format of `calibration.json`.

Format 2 adds diagnostics (`probes`), contamination, multiplicity and the label's rule. Format 3
adds centred cosines, contrasts over all pairs of rows, the energy of single dimensions, the share
of failures, measured baselines of FVE, what knowing the document gives, and grades. Its intervals
use the clustered variance instead of resampling, and its labels have other names. A diagnostic that
did not run is absent; a number that cannot be computed is null or gives the reason.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field, NonNegativeInt, PositiveInt, create_model

from nla_release.calibration.consistency import DocumentsChecked
from nla_release.calibration.contamination import Contamination
from nla_release.calibration.multiplicity import Multiplicity
from nla_release.diagnostics import registered
from nla_release.errors import EvidenceError
from nla_release.evidence.records import Sha256
from nla_release.io.files import dump_json, read_json
from nla_release.io.schema import Strict, holds, parse
from nla_release.statistics.blocks import (
    AgainstChance,
    Bootstrap,
    Control,
    Cosine,
    Difference,
    Inconclusive,
    Interval,
    Number,
    Proportion,
    Ratio,
    Rows,
    TopOne,
)

ControlName = Literal[
    "shuffled",
    "empty",
    "gold_text",
    "lookup_table",
    "random_vector",
    "zero_vector",
    "predict_mean",
]
CONTROL_NAMES: tuple[ControlName, ...] = get_args(ControlName)
# Labels are optional in evidence; the other controls are always there.
_EVERY_CONTROL = holds(
    *(name for name in CONTROL_NAMES if name not in ("gold_text", "lookup_table"))
)
# The centred cosine of the mean itself is 0 by definition.
_EVERY_CENTRED = holds(
    *(name for name in CONTROL_NAMES if name not in ("gold_text", "lookup_table", "predict_mean"))
)

# content-reading and topic-level are the names of formats 1 and 2.
LabelName = Literal[
    "row-level",
    "document-level",
    "token-level",
    "format-only",
    "inconclusive",
    "content-reading",
    "topic-level",
]
_Report = TypeVar("_Report", bound=Strict)

Grade = Literal["yes", "partly", "no", "not measured"]

# The format that is written; 1 and 2 are read, and recomputed for published releases.
CURRENT = 3


class EvidenceHashes(Strict):
    """The evidence that the numbers were computed from, file by file."""

    rows_sha256: Sha256 = Field(description="rows.jsonl")
    vectors_sha256: Sha256 = Field(description="vectors.safetensors")
    run_sha256: Sha256 = Field(description="run.json")


class Denominators(Strict):
    """The number of rows by outcome: ok + empty + truncated + unparsed = rows."""

    rows: PositiveInt = Field(description="activations asked, the denominator of every mean")
    documents: PositiveInt = Field(description="documents that the activations come from")
    ok: NonNegativeInt = Field(description="rows with an explanation")
    empty: NonNegativeInt = Field(description="rows where the AV's output is empty")
    truncated: NonNegativeInt = Field(description="rows cut at the token limit")
    unparsed: NonNegativeInt = Field(description="rows whose output is not an explanation")


class CosineSummary(Strict):
    """Cosine of activation and reconstruction; a failed row counts 0."""

    mean: Cosine = Field(description="over all rows")
    sd: Number | None = Field(description="sample standard deviation; null for a single row")
    median: Cosine = Field(description="over all rows")
    interval: Interval
    n: Rows


class CosineSurvivors(Strict):
    """The same over rows with an explanation only, for reference: it leaves out failures."""

    mean: Cosine | None = Field(description="null when every row failed")
    n: NonNegativeInt = Field(description="rows with an explanation")
    gold_text: Control | None = Field(
        default=None,
        description="the labelled explanation on these rows; absent without labels and in format 1",
    )


class Mse(Strict):
    """Mean squared error of vectors at norm sqrt(d), that is 2 (1 - cos); a failed row counts 2."""

    mean: Number = Field(description="over all rows, 0 to 4", ge=0, le=4)
    interval: Interval
    n: Rows


class ReferenceSet(Strict):
    """The training activations that the baselines are computed from."""

    sha256: Sha256 = Field(description="of their file")
    rows: PositiveInt = Field(description="activations in it")
    variance: Proportion = Field(description="1 - ||mean of unit vectors||^2")
    other_documents: Cosine | None = Field(
        default=None,
        description="cosine of each activation with the mean of the other documents' ones: what"
        " predict_mean scores, or less, with a reference set of the same kind; absent in format 1",
    )


class DimensionShare(Strict):
    """The energy of one coordinate of the activations."""

    dimension: NonNegativeInt = Field(description="index of the coordinate")
    energy: Proportion = Field(description="share of the unit activations' squared length, mean")
    cosine: Number = Field(
        description="its part of the mean cosine, which all dimensions add up to"
    )


class Energy(Strict):
    """Whether few directions hold most of the energy; plain cosines then say little."""

    dimensions: list[DimensionShare] = Field(min_length=1, description="the largest, largest first")
    mean_direction: Proportion = Field(
        description="share of the unit activations' squared length along the reference mean"
    )
    dominated: bool = Field(
        description="whether one dimension, or the direction of the mean, holds most of the energy"
    )


class Centred(Strict):
    """Cosine of unit vectors less the reference mean; a failed row counts 0 in every arm."""

    mean: Cosine = Field(description="over all rows")
    interval: Interval
    n: Rows
    controls: Annotated[dict[ControlName, Control], _EVERY_CENTRED] = Field(
        description="on the same scale, paired by row"
    )


class PairContrast(Difference):
    """Mean scores of two arms over the rows that have both; a failed row is a tie at 0.

    Failed rows must not make the others look better: the lower end of the interval is also computed
    with as many of the best rows as ties, and the lower one is given.
    """

    first: Cosine = Field(description="mean score of the first arm")
    second: Cosine = Field(description="mean score of the second arm")
    interval: Interval = Field(
        description="of the difference, taking out whole documents and whole texts; null where they"
        " are too few"
    )
    n: NonNegativeInt = Field(description="rows that have both arms")


class Contrasts(Strict):
    """A row's own text compared with the texts of other rows, over all pairs of rows."""

    within: PairContrast | None = Field(
        description="own text - texts of the other rows of its document; null when no row has one"
    )
    between: PairContrast | None = Field(
        description="texts of the other rows of its document - texts of other documents"
    )
    above_others: PairContrast = Field(description="own text - texts of other documents")
    above_token: PairContrast | None = Field(
        description="own text - texts of rows of other documents that end in the same token; null"
        " where source texts are withheld or no token occurs twice"
    )


class Fve(Strict):
    """Fraction of variance explained, with its denominator."""

    value: Number | None = Field(description="null when the reference set does not vary")
    interval: Interval
    n: Rows
    denominator: Number = Field(description="frozen on the reference set", ge=0)
    definition: str = Field(description="the formula")
    of_mean: Number | None = Field(
        default=None,
        description="the same of always predicting the reference mean, measured on these rows;"
        " absent before format 3",
    )
    above_mean: Number | None = Field(
        default=None,
        description="how much more than that the pair explains, where a failed row is a tie; absent"
        " before format 3",
    )
    above_mean_interval: Interval = Field(
        default=None,
        description="of above_mean, reaching down to where it lies against the mean of the"
        " evaluation's other documents; absent before format 3",
    )


class Retrieval(TopOne):
    """How often a reconstruction is nearest to its own activation among all of them.

    By centred cosine in format 3, by plain cosine before.
    """

    above_chance_interval: Interval = Field(
        default=None, description="of hit - chance, by documents; absent in format 1"
    )
    above_document_interval: Interval = Field(
        default=None,
        description="of hit - 1 / rows of the row's document, which is what a text retrieves that"
        " tells the document and nothing more; by documents; absent in format 1",
    )
    in_document: AgainstChance | None = Field(
        default=None,
        description="how often a reconstruction finds its own activation among those of its"
        " document, by centred cosines less each activation's mean over the document's texts;"
        " chance is what knowing the document gives, 1 / explained rows of the document, and a"
        " failed row counts as much; absent before format 3, null when no row has another in its"
        " document",
    )
    percentile: AgainstChance | None = Field(
        default=None,
        description="mean share of the other activations that a reconstruction is farther from than"
        " from its own; a failed row counts 0.5, which is chance; absent before format 3",
    )


class Diversity(Strict):
    """How different the explanations are; a collapsed AV repeats itself."""

    distinct_explanations: NonNegativeInt = Field(description="different texts")
    distinct_prefixes_60: NonNegativeInt = Field(description="different first 60 characters")
    n: NonNegativeInt = Field(description="rows with an explanation")


class InjectionCounts(Strict):
    """Whether the injected vector changes the explanation, over rows with an explanation."""

    random_vector_same_text: NonNegativeInt = Field(
        description="rows explained word for word as a random direction is"
    )
    zero_vector_same_text: NonNegativeInt = Field(
        description="rows explained word for word as the zero vector is"
    )
    n: NonNegativeInt = Field(description="rows with an explanation")


class Grades(Strict):
    """How good the pair is, in three grades."""

    reads_text: Grade = Field(
        description="whether the AR reads its text: yes, the own text does better than texts of"
        " other documents and than the mean; partly, only the first; no, format-only"
    )
    tells_rows_apart: Grade = Field(
        description="whether explanations tell rows apart: yes, row-level by a centred cosine of"
        " 0.05 or more; partly, row-level by less, document-level or token-level; no, format-only"
    )
    readable: Grade = Field(
        description="whether the words lead a reader to the source document: by retrieval of the"
        " document from the explanation's words, or by an encoder; not measured without sources, or"
        " where a token-level text does not: words about the token need not know the document"
    )


class Label(Strict):
    """What the evidence supports."""

    name: LabelName = Field(description="the verdict in a word")
    sentence: str = Field(description="the verdict with the numbers that decide it")
    rule: str = Field(default="", description="how the numbers decide; absent in format 1")
    grades: Grades | None = Field(default=None, description="absent before format 3")


class _Probes(Strict):
    """One report per diagnostic that ran. Those that need no run of the pair always do."""

    def of(self, records: type[_Report]) -> _Report | None:
        """The report of this class; None where its diagnostic did not run or is inconclusive."""
        reports = (getattr(self, name) for name in type(self).model_fields)
        return next((each for each in reports if isinstance(each, records)), None)


if TYPE_CHECKING:

    class Probes(_Probes):
        """With a field per diagnostic, by its key."""
else:
    Probes = create_model(
        "Probes",
        __base__=_Probes,
        __doc__=_Probes.__doc__,
        **{
            each.key: (
                each.records | Inconclusive | None,
                Field(default=None, description=each.meaning),
            )
            for each in registered()
        },
    )


class Calibration(Strict):
    """Numbers computed from evidence alone, each with its control, interval and n."""

    schema_: Literal[1, 2, 3] = Field(alias="schema", description="version of this format")
    tool_version: str = Field(description="of nla_release")
    evidence: EvidenceHashes
    bootstrap: Bootstrap
    denominators: Denominators
    cosine: CosineSummary
    cosine_survivors: CosineSurvivors
    mse: Mse
    reference: ReferenceSet
    fve: Fve
    fve_mean_norm: Fve
    controls: Annotated[dict[ControlName, Control], _EVERY_CONTROL]
    retrieval: Retrieval
    diversity: Diversity
    injection: InjectionCounts
    label: Label
    probes: Probes = Field(default=Probes(), description="absent in format 1")
    contamination: Contamination | None = Field(
        default=None, description="null when nothing was compared; absent in format 1"
    )
    multiplicity: Multiplicity | None = Field(default=None, description="absent in format 1")
    failures: Ratio | None = Field(
        default=None, description="rows without an explanation; absent before format 3"
    )
    energy: Energy | None = Field(default=None, description="absent before format 3")
    centred: Centred | None = Field(default=None, description="absent before format 3")
    contrasts: Contrasts | None = Field(
        default=None, description="of centred cosines; absent before format 3"
    )
    plain_contrasts: Contrasts | None = Field(
        default=None, description="of plain cosines; absent before format 3"
    )
    documents: DocumentsChecked | None = Field(
        default=None,
        description="whether the rows' texts show that documents are what they say; absent before"
        " format 3",
    )

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """Read a `calibration.json`; a `CurrentCalibration` where it is of the current format.

        Raises:
            InputError: missing, or not JSON.
            EvidenceError: it is not a calibration; every wrong key is named.
        """
        document = read_json(path)
        current = isinstance(document, dict) and document.get("schema") == CURRENT
        return parse(
            CurrentCalibration if current else Calibration,
            document,
            path,
            error=EvidenceError,
            hint="compute it again with `nla-release calibrate`",
        )

    def dump(self) -> str:
        """Its JSON text, the same for the same numbers."""
        return dump_json(self._document())

    def leaves(self) -> dict[str, Any]:
        """Its values by dotted name, such as `controls.shuffled.mean`."""
        return dict(_leaves(self._document()))

    def _document(self) -> dict[str, Any]:
        """The given fields only, so that an older format stays as it was written."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


class CurrentRetrieval(Retrieval):
    """Retrieval with the fields that format 3 requires."""

    document_alone: Proportion
    percentile: AgainstChance


class CurrentCalibration(Calibration):
    """A calibration of format 3, which has every block. Only these are rendered."""

    schema_: Literal[3] = Field(alias="schema")
    retrieval: CurrentRetrieval
    failures: Ratio
    energy: Energy
    centred: Centred
    contrasts: Contrasts
    plain_contrasts: Contrasts
    documents: DocumentsChecked


def _leaves(document: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(document, list) and any(isinstance(each, dict) for each in document):
        document = dict(enumerate(document))
    if not isinstance(document, dict):
        yield name, document
        return
    for key, inner in document.items():
        yield from _leaves(inner, f"{name}.{key}" if name else key)
