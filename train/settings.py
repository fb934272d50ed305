"""How an adapter is trained: the blocks `av` and `ar` of a recipe."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from nla_release.schema import Strict


class Tripwire(Strict):
    """Every `every` steps the half-trained adapter is tried on `rows` held-out rows.

    It trips when what it makes of a row's own input is better than what it makes of another's by
    no more than `min_difference` (docs/training.md: of an AV nats per token, of an AR cosine).
    What happens before `from_step` is written to the log and acted upon by nobody.
    """

    every: PositiveInt
    rows: int = Field(default=10, ge=2)
    on_failure: Literal["warn", "stop"] = "warn"
    from_step: NonNegativeInt = 0
    min_difference: float = Field(default=0.0, ge=0)


class VerbalizerTripwire(Tripwire):
    """Of an AV, which has to say `min_distinct` different things of `max_new_tokens` tokens."""

    min_distinct: PositiveInt = 3
    max_new_tokens: PositiveInt = 48

    @model_validator(mode="after")
    def _can_be_passed(self) -> "VerbalizerTripwire":
        if self.min_distinct > self.rows:
            raise ValueError(
                f"min_distinct is {self.min_distinct}, and {self.rows} rows are too few for it"
            )
        return self


class ReconstructorTripwire(Tripwire):
    """Of an AR, whose cosine has to differ by more than a collapsed one's does.

    An AR trained on other rows' labels differs by 0.002 at most (train/recipes/tiny-collapsed.yaml,
    12 looks), one that learns by 0.16 at its tenth step.
    """

    min_difference: float = Field(default=0.02, ge=0)


class Adapter(Strict):
    """One LoRA adapter and how it is optimised.

    `target_modules` is a regex over module names, or a list of endings of such names; what lies
    outside of the language model is refused. Every `checkpoint_every` steps the adapter is kept,
    and a training that was cut off goes on from there. `continue_from` is the folder of an earlier
    adapter of the same base, rank and targets, whose weights this one starts with; `stack_on` that
    of one, of whatever rank, that stays as it is below this one.
    """

    rank: PositiveInt
    alpha: PositiveFloat
    dropout: float = Field(ge=0, lt=1)
    target_modules: str | Annotated[list[str], Field(min_length=1)]
    optimizer: Literal["adamw", "adamw_8bit"]
    learning_rate: PositiveFloat
    schedule: Literal["constant", "linear"]
    steps: PositiveInt
    micro_batch: PositiveInt
    gradient_accumulation: PositiveInt
    max_tokens: PositiveInt
    gradient_checkpointing: bool = False
    seed: int = Field(default=0, ge=0, lt=2**32)
    checkpoint_every: PositiveInt | None = None
    tripwire: Tripwire | None = None
    continue_from: str | None = None
    stack_on: str | None = None

    @model_validator(mode="after")
    def _goes_on_in_one_way(self) -> "Adapter":
        if self.continue_from is not None and self.stack_on is not None:
            raise ValueError("give continue_from or stack_on, not both")
        return self


class Verbalizer(Adapter):
    """The AV: its activations are injected at L2 norm `injection_scale`."""

    injection_scale: PositiveFloat
    tripwire: VerbalizerTripwire | None = None


class Baseline(Strict):
    """`2 (1 - cos)` alone."""

    name: Literal["baseline"] = "baseline"


class ParaphraseInvariant(Strict):
    """The same vector for an explanation and its paraphrase.

    `paraphrases` says where those come from: `column`, the labels' own column `paraphrase`, or
    phrases and what to put in their place, whole words only, one after the other.
    """

    name: Literal["paraphrase_invariant"]
    paraphrases: Literal["column"] | Annotated[dict[str, str], Field(min_length=1)]
    weight: PositiveFloat = 1.0


class NoiseHinge(Strict):
    """Farther by `margin`, in cosine, for an explanation with `share` of its words at random."""

    name: Literal["noise_hinge"]
    weight: PositiveFloat = 1.0
    margin: PositiveFloat = 0.1
    share: float = Field(default=1.0, gt=0, le=1)


class CrossRowContrastive(Strict):
    """Nearer to its own row's vector than to those of the step's other rows."""

    name: Literal["cross_row_contrastive"]
    weight: PositiveFloat = 1.0
    temperature: PositiveFloat = 0.1


Variant = Annotated[
    Baseline | ParaphraseInvariant | NoiseHinge | CrossRowContrastive, Field(discriminator="name")
]


class Reconstructor(Adapter):
    """The AR: reads its last token after `read_block` through `head_init` times the identity.

    Without `read_block` it reads where the activations come from. The reference's head has no
    bias, the one of SolshineCode/nla-gemma-4-e2b has.
    """

    read_block: NonNegativeInt | None = None
    head_init: PositiveFloat
    head_bias: bool
    variant: Variant = Baseline()
    tripwire: ReconstructorTripwire | None = None


class Evaluation(Strict):
    """Which checkpoints go through the round trip, on how many held-out rows (all: null).

    The finished pair always does, and with `last` it alone; a list names steps of checkpoints.
    """

    checkpoints: Literal["all", "last"] | list[PositiveInt] = "last"
    rows: PositiveInt | None = None
    max_new_tokens: PositiveInt = 200
    batch_size: PositiveInt = 16
