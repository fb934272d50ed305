"""The records of the evidence folder: the lines of `rows.jsonl`, and `run.json`.

Format 2 adds the records of diagnostics, each only when its diagnostic ran.
"""

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from nla_release.contract.explanation import Status
from nla_release.contract.sidecar import Dtype, Quantization
from nla_release.evidence.diagnostic_names import DIAGNOSTICS
from nla_release.io.schema import Strict


def _encodable(text: str) -> str:
    """Refuse half a surrogate pair, which JSON can spell and UTF-8 cannot encode."""
    text.encode()
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Name = Annotated[Text, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Setting = Text | int | FiniteFloat | bool | None | list[Text]
RunId = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
UtcTime = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]

# Texts given to the AR in place of a row's explanation. All but the last two are made from it.
TextCondition = Literal[
    "gibberish", "word_shuffled", "sentence_shuffled", "paraphrase", "source_text", "lookup_table"
]
NOT_FROM_THE_EXPLANATION: tuple[TextCondition, ...] = ("source_text", "lookup_table")
# The row's own vector, injected at another scale than the sidecar's.
VectorCondition = Literal["half_scale", "double_scale"]

# The comparison with the training documents is recorded like a diagnostic.
if TYPE_CHECKING:
    ProbeName = str
else:
    ProbeName = Literal[(*DIAGNOSTICS, "contamination")]

# Fields of a row and of a run that format 1 does not have.
_ROW_PARTS = frozenset({"texts", "spoken", "claims"})
_RUN_PARTS = frozenset(
    {"probes", "training", "attempts", "layer", "shuffle", "run_id", "shingles_sha256", "lookup"}
)


class Verbalization(Strict):
    """The AV's output for one vector; the explanation is empty unless the status is ok."""

    explanation: Text
    status: Status
    raw: Text

    @model_validator(mode="after")
    def _explained_only_when_ok(self) -> "Verbalization":
        return _explained_only_when_ok(self)


class EvidenceRow(Strict):
    """One activation: its source text, the AV's output for it, and its controls.

    `shuffled_from` is the id of the row whose explanation replaced this row's own in the shuffled
    control, a row of another document whenever there is one.

    `texts` are the texts that the AR read for this row under each condition. A text made from the
    explanation is empty where there is none; `lookup_table` is the label of the nearest training
    activation. `spoken` is the AV's output for the row's vector at another scale; `claims` are the
    parts of the explanation, in order.
    """

    id: Name
    document: Name
    text: Text | None
    explanation: Text
    status: Status
    raw: Text
    gold: Text | None
    shuffled_from: Name
    shuffled_status: Status
    random_vector: Verbalization
    texts: dict[TextCondition, Text] = Field(default_factory=dict)
    spoken: dict[VectorCondition, Verbalization] = Field(default_factory=dict)
    claims: list[Name] = Field(default_factory=list)

    @property
    def probed_claims(self) -> list[str]:
        """The claims that are left out one at a time; none where there are fewer than two."""
        return self.claims if len(self.claims) > 1 else []

    @property
    def parts_of_format_2(self) -> list[str]:
        """The given fields that format 1 does not have."""
        return sorted(self.model_fields_set & _ROW_PARTS)

    @model_validator(mode="after")
    def _explained_only_when_ok(self) -> "EvidenceRow":
        return _explained_only_when_ok(self)

    @model_validator(mode="after")
    def _made_from_what_is_there(self) -> "EvidenceRow":
        for condition, text in self.texts.items():
            if condition == "source_text":
                if text != self.text:
                    raise ValueError("texts.source_text is not the row's text")
            elif condition == "lookup_table":
                if not text.strip():
                    raise ValueError("texts.lookup_table is empty; every row has a nearest label")
            elif bool(text.strip()) != (self.status == "ok"):
                raise ValueError(
                    f"texts.{condition} is {text[:40]!r} with status {self.status};"
                    " there is one exactly when there is an explanation"
                )
        if self.claims and self.status != "ok":
            raise ValueError(f"claims of an explanation with status {self.status}")
        return self


class RunBase(Strict):
    """The base model, as it was loaded.

    `local_files` are the sha256 of configuration and weights when a local copy was used instead of
    the Hub's `revision`, so that anyone can check the copy.
    """

    id: Name
    revision: Text | None
    local_files: dict[Name, Sha256] = Field(default_factory=dict)


class RunEvaluation(Strict):
    """The held-out activations: hash of their file, rows measured, and documents they come from.

    `available` is the number of rows in the file; null in older evidence.
    """

    sha256: Sha256
    rows: PositiveInt
    documents: PositiveInt
    available: PositiveInt | None = None


class RunReference(Strict):
    """The training activations: hash, rows, and `1 - ||mean of unit vectors||^2`."""

    sha256: Sha256
    rows: PositiveInt
    variance: float = Field(ge=0, le=1)


class Precision(Strict):
    """The precision of the base's weights."""

    quantization: Quantization | None
    dtype: Dtype


class RunInjection(Strict):
    """Where and how the activation was injected; `scale` is its L2 norm there."""

    site: Literal["embedding"]
    op: Literal["replace"]
    scale: Annotated[FiniteFloat, Field(gt=0)]


class RunDecoding(Strict):
    """How the AV's text was decoded."""

    greedy: bool
    max_new_tokens: PositiveInt
    batch_size: PositiveInt


class ProbeRecord(Strict):
    """One diagnostic: its settings, and its cost in addition to the rest of the run.

    `av_vectors` and `ar_texts` count the vectors and texts of this diagnostic alone, which took
    `seconds`. A diagnostic that could not run gives the reason in `skipped`, and has no cost.
    """

    name: ProbeName
    settings: dict[Name, Setting] = Field(default_factory=dict)
    av_vectors: NonNegativeInt = 0
    ar_texts: NonNegativeInt = 0
    seconds: Annotated[FiniteFloat, Field(ge=0)] = 0.0
    skipped: Name | None = None

    @model_validator(mode="after")
    def _skipping_is_free(self) -> "ProbeRecord":
        if self.skipped and (self.av_vectors or self.ar_texts or self.seconds):
            raise ValueError(f"diagnostic {self.name} was skipped, but has a cost")
        return self


class TrainingOverlap(Strict):
    """Which evaluation data is also in the list of training documents.

    `sha256` is that of the list, `documents` its length. `ids_overlapping` are the evaluation's
    documents with an id in the list, `texts_overlapping` the ids of rows whose document has a text
    in the list. `texts_compared` counts the rows whose whole document was known and compared; null
    in older evidence.
    """

    sha256: Sha256
    documents: PositiveInt
    ids_overlapping: list[Name]
    texts_overlapping: list[Name]
    texts_compared: NonNegativeInt | None = None


class Lookup(Strict):
    """The labelled training rows of the lookup table: hash of their file, and their number."""

    sha256: Sha256
    rows: PositiveInt


class RunFacts(Strict):
    """The settings and results of a run, without the hashes of the evidence files.

    `files` maps each file of the pair, such as `av/adapter_model.safetensors`, to its sha256.
    `training` is null when nothing was compared; the record "contamination" gives the reason.
    `attempts` is the number of checkpoints or settings that were tried, this one included.
    `layer` is K, the block whose output the activations are. `shuffle` is the rule that
    `shuffled_from` follows, in `nla_release.evidence.controls`. `run_id` is the id of the run in
    `runs.jsonl`. These three are null in older evidence. `shingles_sha256` is the hash of
    training_shingles.safetensors, and `lookup` identifies the labels of `texts.lookup_table`; null
    where there are none.
    """

    schema_: Literal[1, 2] = Field(alias="schema")
    tool_version: Text
    started_at: UtcTime
    finished_at: UtcTime
    base: RunBase
    tokenizer_sha256: Sha256
    files: dict[Text, Sha256]
    evaluation: RunEvaluation
    reference: RunReference
    precision: Precision
    injection: RunInjection
    decoding: RunDecoding
    seed: NonNegativeInt
    zero_vector: Verbalization
    device: Text
    libraries: dict[Text, Text]
    probes: list[ProbeRecord] = Field(default_factory=list)
    training: TrainingOverlap | None = None
    attempts: PositiveInt | None = None
    layer: NonNegativeInt | None = None
    shuffle: Literal["v2"] | None = None
    run_id: RunId | None = None
    shingles_sha256: Sha256 | None = None
    lookup: Lookup | None = None

    @model_validator(mode="after")
    def _holds_what_its_format_knows(self) -> "RunFacts":
        if self.schema_ == 1 and (unknown := sorted(self.model_fields_set & _RUN_PARTS)):
            raise ValueError(f"schema 1 has no {', '.join(unknown)}")
        names = [probe.name for probe in self.probes]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"diagnostic {', '.join(twice)} is recorded twice")
        return self

    @property
    def probed(self) -> set[ProbeName]:
        """The diagnostics that ran."""
        return {probe.name for probe in self.probes if probe.skipped is None}


class Run(RunFacts):
    """`run.json`, with the hashes of the two other files."""

    rows_sha256: Sha256
    vectors_sha256: Sha256


_Spoken = TypeVar("_Spoken", EvidenceRow, Verbalization)


def _explained_only_when_ok(spoken: _Spoken) -> _Spoken:
    if (spoken.status == "ok") != bool(spoken.explanation.strip()):
        raise ValueError(
            f"status {spoken.status} with explanation {spoken.explanation[:40]!r};"
            " there is an explanation exactly when the status is ok"
        )
    return spoken
