"""What the evidence folder holds: a `Row` per line of `rows.jsonl`, a `Run` in `run.json`."""

from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    FiniteFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from nla_release.explanation import Status
from nla_release.schema import Strict
from nla_release.sidecar import Dtype, Quantization


def _encodable(text: str) -> str:
    """JSON can spell half a surrogate pair, which no file can then hold as UTF-8."""
    text.encode()
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Name = Annotated[Text, Field(min_length=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
UtcTime = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")]


class Verbalization(Strict):
    """What the AV said for one vector: the explanation is empty unless the status is ok."""

    explanation: Text
    status: Status
    raw: Text

    @model_validator(mode="after")
    def _explained_only_when_ok(self) -> "Verbalization":
        return _explained_only_when_ok(self)


class Row(Strict):
    """One activation: its source text, what the AV said for it, and what its controls were.

    `shuffled_from` is the id of the row whose explanation stood in for this row's own, one of
    another document whenever there is one.
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

    @model_validator(mode="after")
    def _explained_only_when_ok(self) -> "Row":
        return _explained_only_when_ok(self)


class Base(Strict):
    """The base model, as it was loaded.

    `local_files` are the sha256 of configuration and weights when a local copy took the place of
    the Hub's `revision`, so that anyone can tell whether the copy was faithful.
    """

    id: Name
    revision: Text | None
    local_files: dict[Name, Sha256] = Field(default_factory=dict)


class Evaluation(Strict):
    """The held-out activations: hash of their file, how many were asked, of how many documents."""

    sha256: Sha256
    rows: PositiveInt
    documents: PositiveInt


class Reference(Strict):
    """The training activations: hash, rows, and `1 - ||mean of unit vectors||^2`."""

    sha256: Sha256
    rows: PositiveInt
    variance: float = Field(ge=0, le=1)


class Precision(Strict):
    """How the base's weights were held."""

    quantization: Quantization | None
    dtype: Dtype


class Injection(Strict):
    """Where and how the activation entered the AV; `scale` is the L2 norm injected."""

    site: Literal["embedding"]
    op: Literal["replace"]
    scale: Annotated[FiniteFloat, Field(gt=0)]


class Decoding(Strict):
    """How the AV's text was decoded."""

    greedy: bool
    max_new_tokens: PositiveInt
    batch_size: PositiveInt


class RunFacts(Strict):
    """What a run knows of itself before its files are written.

    `files` maps each file of the pair, such as `av/adapter_model.safetensors`, to its sha256.
    """

    schema_: Literal[1] = Field(alias="schema")
    tool_version: Text
    started_at: UtcTime
    finished_at: UtcTime
    base: Base
    tokenizer_sha256: Sha256
    files: dict[Text, Sha256]
    evaluation: Evaluation
    reference: Reference
    precision: Precision
    injection: Injection
    decoding: Decoding
    seed: NonNegativeInt
    zero_vector: Verbalization
    device: Text
    libraries: dict[Text, Text]


class Run(RunFacts):
    """`run.json`: the facts, and the hashes of the two files beside it."""

    rows_sha256: Sha256
    vectors_sha256: Sha256


_Spoken = TypeVar("_Spoken", Row, Verbalization)


def _explained_only_when_ok(spoken: _Spoken) -> _Spoken:
    if (spoken.status == "ok") != bool(spoken.explanation.strip()):
        raise ValueError(
            f"status {spoken.status} with explanation {spoken.explanation[:40]!r};"
            " there is an explanation exactly when the status is ok"
        )
    return spoken
