"""How an adapter is trained: the blocks `av` and `ar` of a recipe."""

from typing import Annotated, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from nla_release.io.schema import Strict


class TripwireSettings(Strict):
    """Every `every` steps the adapter is tested on `rows` held-out rows.

    It trips when the result for a row's own input is better than for another row's by no more than
    `min_difference` (nats per token for an AV, cosine for an AR).
    Results before `from_step` are logged and have no effect.
    """

    every: PositiveInt = Field(description="steps between two tests")
    rows: int = Field(default=10, ge=2, description="held-out rows of each test")
    on_failure: Literal["warn", "stop"] = Field(
        default="warn",
        description="`stop` ends the training and keeps the adapter under checkpoints/",
    )
    from_step: NonNegativeInt = Field(
        default=0, description="earlier tests are logged and have no effect"
    )
    min_difference: float = Field(
        default=0.0,
        ge=0,
        description="each difference must be larger: nats per token for an AV, cosine for an AR",
    )


class VerbalizerTripwire(TripwireSettings):
    """Of an AV, which must give `min_distinct` different explanations."""

    min_distinct: PositiveInt = Field(
        default=3, description="minimum number of different explanations"
    )
    max_new_tokens: PositiveInt = Field(default=48, description="token limit of an explanation")

    @model_validator(mode="after")
    def _can_be_passed(self) -> "VerbalizerTripwire":
        if self.min_distinct > self.rows:
            raise ValueError(
                f"min_distinct is {self.min_distinct}, and {self.rows} rows are too few for it"
            )
        return self


class ReconstructorTripwire(TripwireSettings):
    """Of an AR, whose cosine has to differ by more than a collapsed one's does.

    An AR trained on other rows' labels differs by 0.002 at most (train/tiny/tiny-collapsed.yaml,
    12 tests), one that learns by 0.16 at its tenth step.
    """

    min_difference: float = Field(
        default=0.02, ge=0, description="the difference of cosines must be larger"
    )


class AdapterSettings(Strict):
    """One LoRA adapter and how it is optimised.

    `target_modules` is a regex over module names, or a list of endings of such names; modules
    outside of the language model are refused. Every `checkpoint_every` steps the adapter is kept,
    and an interrupted training continues from there. `continue_from` is the folder of an earlier
    adapter of the same base, rank and targets, whose weights this one starts with; `stack_on` that
    of one, of any rank, that stays frozen below this one.
    """

    rank: PositiveInt = Field(description="LoRA rank")
    alpha: PositiveFloat = Field(description="LoRA alpha")
    dropout: float = Field(ge=0, lt=1, description="LoRA dropout")
    target_modules: str | Annotated[list[str], Field(min_length=1)] = Field(
        description=(
            "a regex over whole module names, or a list of endings of such names; only "
            "modules of the language model"
        )
    )
    optimizer: Literal["adamw", "adamw_8bit"] = Field(
        description="`adamw_8bit` falls back to AdamW where bitsandbytes cannot run"
    )
    learning_rate: PositiveFloat = Field(description="of LoRA and head alike")
    schedule: Literal["constant", "linear"] = Field(
        description="`linear` decays to 0 over all steps"
    )
    steps: PositiveInt = Field(description="optimizer steps")
    micro_batch: PositiveInt = Field(description="rows of one forward pass")
    gradient_accumulation: PositiveInt = Field(description="forward passes of one step")
    max_tokens: PositiveInt = Field(
        description="longest row; longer ones are dropped by the build, never cut"
    )
    gradient_checkpointing: bool = Field(default=False, description="less memory, more time")
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="of row order, dropout and initialisation"
    )
    checkpoint_every: PositiveInt | None = Field(
        default=None,
        description="keep the adapter every N steps; an interrupted training continues from there",
    )
    tripwire: TripwireSettings | None = Field(
        default=None, description="test on held-out rows during training"
    )
    continue_from: str | None = Field(
        default=None,
        description=(
            "folder of an earlier adapter of the same base, rank and targets; its weights "
            "are the start"
        ),
    )
    stack_on: str | None = Field(
        default=None, description="folder of an earlier adapter that stays frozen below this one"
    )

    @model_validator(mode="after")
    def _goes_on_in_one_way(self) -> "AdapterSettings":
        if self.continue_from is not None and self.stack_on is not None:
            raise ValueError("give continue_from or stack_on, not both")
        return self


class VerbalizerSettings(AdapterSettings):
    """The AV: its activations are injected at L2 norm `injection_scale`."""

    injection_scale: PositiveFloat = Field(description="L2 norm at which activations are injected")
    tripwire: VerbalizerTripwire | None = Field(
        default=None, description="test on held-out rows during training"
    )


class Baseline(Strict):
    """`2 (1 - cos)` alone."""

    name: Literal["baseline"] = Field(default="baseline", description="the loss")


class ParaphraseInvariant(Strict):
    """The same vector for an explanation and its paraphrase.

    `paraphrases` says where those come from: `column`, the labels' own column `paraphrase`, or
    phrases and what to put in their place, whole words only, one after the other.
    """

    name: Literal["paraphrase_invariant"] = Field(description="the loss")
    paraphrases: Literal["column"] | Annotated[dict[str, str], Field(min_length=1)] = Field(
        description="`column`, or phrases and what replaces each"
    )
    weight: PositiveFloat = Field(default=1.0, description="of the added term")


class NoiseHinge(Strict):
    """Farther by `margin`, in cosine, for an explanation with `share` of its words at random."""

    name: Literal["noise_hinge"] = Field(description="the loss")
    weight: PositiveFloat = Field(default=1.0, description="of the added term")
    margin: PositiveFloat = Field(default=0.1, description="in cosine")
    share: float = Field(default=1.0, gt=0, le=1, description="of the words that are replaced")


class CrossRowContrastive(Strict):
    """Nearer to its own row's vector than to those of the step's other rows."""

    name: Literal["cross_row_contrastive"] = Field(description="the loss")
    weight: PositiveFloat = Field(default=1.0, description="of the added term")
    temperature: PositiveFloat = Field(default=0.1, description="of the softmax over rows")


Variant = Annotated[
    Baseline | ParaphraseInvariant | NoiseHinge | CrossRowContrastive, Field(discriminator="name")
]


class ReconstructorSettings(AdapterSettings):
    """The AR: reads its last token after `read_block` through `head_init` times the identity.

    Without `read_block` it reads where the activations come from. The reference's head has no
    bias, the one of SolshineCode/nla-gemma-4-e2b has.
    """

    read_block: NonNegativeInt | None = Field(
        default=None,
        description="block whose output the AR reads; that of the activations by default",
    )
    head_init: PositiveFloat = Field(description="the head starts at this multiple of the identity")
    head_bias: bool = Field(description="whether the head has a bias")
    variant: Variant = Field(default=Baseline(), description="loss of the AR")
    tripwire: ReconstructorTripwire | None = Field(
        default=None, description="test on held-out rows during training"
    )


class EvaluationSettings(Strict):
    """Which checkpoints go through the round trip, on how many held-out rows (all: null).

    The finished pair always does, and with `last` it alone; a list names steps of checkpoints.
    """

    checkpoints: Literal["all", "last"] | list[PositiveInt] = Field(
        default="last", description="`last`, `all` or a list of steps"
    )
    rows: PositiveInt | None = Field(
        default=None, description="the first N held-out rows; all by default"
    )
    max_new_tokens: PositiveInt = Field(default=200, description="token limit of an explanation")
    batch_size: PositiveInt = Field(default=16, description="activations explained at once")
