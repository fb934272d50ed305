"""The shape of `calibration.json`.

Format 2 adds probes, contamination, multiplicity and the label's rule; what format 1 has keeps its
key and its value. What was not run is absent, and what cannot be computed is null or says why.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.calibration.blocks import (
    Bootstrap,
    Control,
    Cosine,
    Inconclusive,
    Interval,
    Number,
    Proportion,
    Rows,
)
from nla_release.calibration.contamination import Contamination
from nla_release.calibration.multiplicity import Multiplicity
from nla_release.calibration.probes.ceiling import Ceiling
from nla_release.calibration.probes.claims import Claims
from nla_release.calibration.probes.discrimination import Discrimination
from nla_release.calibration.probes.injection import Injection
from nla_release.calibration.probes.paraphrase import Paraphrase
from nla_release.calibration.probes.retrieval import Retrieval as RetrievalProbe
from nla_release.calibration.probes.structural import Structural
from nla_release.calibration.probes.templates import Templates
from nla_release.calibration.probes.text_controls import TextControls
from nla_release.calibration.probes.text_retrieval import TextRetrieval
from nla_release.calibration.records import Sha256
from nla_release.errors import EvidenceError
from nla_release.files import dump_json, read_json
from nla_release.schema import Strict, holds, parse

ControlName = Literal[
    "shuffled", "empty", "gold_text", "random_vector", "zero_vector", "predict_mean"
]
CONTROL_NAMES: tuple[ControlName, ...] = get_args(ControlName)
# Labels are optional in evidence; what the other controls need is in all of it.
_EVERY_CONTROL = holds(*(name for name in CONTROL_NAMES if name != "gold_text"))

LabelName = Literal["content-reading", "topic-level", "format-only", "inconclusive"]


class EvidenceHashes(Strict):
    """The evidence that the numbers were computed from, file by file."""

    rows_sha256: Sha256 = Field(description="rows.jsonl")
    vectors_sha256: Sha256 = Field(description="vectors.safetensors")
    run_sha256: Sha256 = Field(description="run.json")


class Denominators(Strict):
    """What was asked, and what became of it: ok + empty + truncated + unparsed = rows."""

    rows: PositiveInt = Field(description="activations asked, the denominator of every mean")
    documents: PositiveInt = Field(description="documents that the activations come from")
    ok: NonNegativeInt = Field(description="rows with an explanation")
    empty: NonNegativeInt = Field(description="rows where the AV said nothing")
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
    """The same over rows with an explanation only: never a headline, since it forgets failures."""

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
    """The training activations that the baselines are frozen on."""

    sha256: Sha256 = Field(description="of their file")
    rows: PositiveInt = Field(description="activations in it")
    variance: Proportion = Field(description="1 - ||mean of unit vectors||^2")
    other_documents: Cosine | None = Field(
        default=None,
        description="cosine of each activation with the mean of the other documents' ones: what"
        " predict_mean scores, or less, with a reference set of the same kind; absent in format 1",
    )


class Fve(Strict):
    """Fraction of variance explained; the denominator belongs to its name."""

    value: Number | None = Field(description="null when the reference set does not vary")
    interval: Interval
    n: Rows
    denominator: Number = Field(description="frozen on the reference set", ge=0)
    definition: str = Field(description="the formula")


class Retrieval(Strict):
    """How often a reconstruction is closest to its own activation among all of them."""

    hits: NonNegativeInt = Field(description="failures and ties are misses")
    n: Rows
    candidates: PositiveInt = Field(description="activations to choose from")
    top1: Proportion = Field(description="hits / n")
    interval: tuple[Proportion, Proportion] = Field(description="Wilson, of top1")
    chance: Proportion = Field(description="1 / candidates")
    above_chance_interval: Interval = Field(
        default=None, description="of hit - chance, resampling documents; absent in format 1"
    )
    above_document_interval: Interval = Field(
        default=None,
        description="of hit - 1 / rows of the row's document, which is what a text retrieves that"
        " tells the document and nothing more; resampling documents; absent in format 1",
    )


class Diversity(Strict):
    """Whether the AV says different things; a collapsed one repeats itself."""

    distinct_explanations: NonNegativeInt = Field(description="different texts")
    distinct_prefixes_60: NonNegativeInt = Field(description="different first 60 characters")
    n: NonNegativeInt = Field(description="rows with an explanation")


class InjectionCounts(Strict):
    """Whether what is injected changes what is said, over rows with an explanation."""

    random_vector_same_text: NonNegativeInt = Field(
        description="rows explained word for word as a random direction is"
    )
    zero_vector_same_text: NonNegativeInt = Field(
        description="rows explained word for word as the zero vector is"
    )
    n: NonNegativeInt = Field(description="rows with an explanation")


class Label(Strict):
    """What the evidence supports."""

    name: LabelName = Field(description="the verdict in a word")
    sentence: str = Field(description="the verdict with the numbers that decide it")
    rule: str = Field(default="", description="how the numbers decide; absent in format 1")


class Probes(Strict):
    """One report per probe that ran. Those that need nothing beyond the evidence always do."""

    text_controls: TextControls | Inconclusive | None = Field(
        default=None, description="gibberish, shuffled words and the source text through the AR"
    )
    injection: Injection | Inconclusive | None = Field(
        default=None, description="what the AV says of other vectors"
    )
    retrieval: RetrievalProbe | Inconclusive | None = Field(
        default=None, description="reconstructions to activations"
    )
    text_retrieval: TextRetrieval | Inconclusive | None = Field(
        default=None, description="explanations to source documents"
    )
    claims: Claims | Inconclusive | None = Field(
        default=None, description="what each statement of an explanation carries"
    )
    paraphrase: Paraphrase | Inconclusive | None = Field(
        default=None, description="the same said otherwise"
    )
    structural: Structural | Inconclusive | None = Field(
        default=None, description="how much of the cosine controls already give"
    )
    discrimination: Discrimination | Inconclusive | None = Field(
        default=None, description="ordinary text from gibberish"
    )
    templates: Templates | Inconclusive | None = Field(
        default=None, description="how often explanations repeat each other"
    )
    ceiling: Ceiling | Inconclusive | None = Field(
        default=None, description="what raw activations would allow"
    )


class Calibration(Strict):
    """Numbers computed from evidence alone, each with its control, interval and n."""

    schema_: Literal[1, 2] = Field(alias="schema", description="version of this format")
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

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """A `calibration.json`.

        Raises:
            InputError: missing, or not JSON.
            EvidenceError: it is not a calibration; every wrong key is named.
        """
        return parse(
            cls,
            read_json(path),
            path,
            error=EvidenceError,
            hint="compute it again with `nla-release calibrate`",
        )

    def dump(self) -> str:
        """Its JSON text, the same for the same numbers."""
        return dump_json(self._document())

    def leaves(self) -> dict[str, Any]:
        """Its numbers and words by dotted name, such as `controls.shuffled.mean`."""
        return dict(_leaves(self._document()))

    def _document(self) -> dict[str, Any]:
        """What was given, and no more: an older format stays as it was written."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def _leaves(document: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(document, dict):
        yield name, document
        return
    for key, inner in document.items():
        yield from _leaves(inner, f"{name}.{key}" if name else key)
