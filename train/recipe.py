"""The recipe: one YAML file that drives extraction and both trainings. Unknown keys are refused."""

from pathlib import Path
from typing import Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from nla_release.errors import ConfigError, InputError
from nla_release.files import read_yaml
from nla_release.schema import Strict, parse
from nla_release.sidecar import ChatOptions, Dtype, PromptEncoding, PromptTemplates, Quantization


class BaseModel(Strict):
    """The base: Hub id and revision as recorded; `path` is a local copy used instead of the Hub."""

    id: str
    revision: str
    path: str | None = None
    quantization: Quantization | None
    dtype: Dtype


class Extraction(Strict):
    """Which activations are taken.

    Of documents with labels, one activation per label, at the label's last token. Of others,
    `positions_per_document` positions from `min_position` on, chosen by the document's hash.
    `eval_fraction` of the documents, by hash of their text, are held out, unless the corpus says
    which ones are.
    """

    corpus: str
    layer: NonNegativeInt
    max_tokens: PositiveInt
    batch_size: PositiveInt
    min_position: NonNegativeInt = 50
    positions_per_document: PositiveInt = 8
    eval_fraction: float = Field(default=0.1, gt=0, lt=1)


class Adapter(Strict):
    """One LoRA adapter and how it is optimised. `target_modules` is a regex over module names."""

    rank: PositiveInt
    alpha: PositiveFloat
    dropout: NonNegativeFloat
    target_modules: str
    optimizer: Literal["adamw", "adamw_8bit"]
    learning_rate: PositiveFloat
    schedule: Literal["constant", "linear"]
    steps: PositiveInt
    micro_batch: PositiveInt
    gradient_accumulation: PositiveInt
    max_tokens: PositiveInt
    gradient_checkpointing: bool = False
    seed: int = 0


class Verbalizer(Adapter):
    """The AV: its activations are injected at L2 norm `injection_scale`."""

    injection_scale: PositiveFloat


class Reconstructor(Adapter):
    """The AR: reads its last token after `read_block` through `head_init` times the identity."""

    read_block: NonNegativeInt
    head_init: PositiveFloat
    head_bias: bool


class Recipe(Strict):
    """All of it.

    With `prompt_encoding: chat` the AV's template is the user's message in the base's chat
    template, which is given `chat_options`, such as `enable_thinking: false`.
    """

    name: str
    base: BaseModel
    marker: str = Field(min_length=1, max_length=1)
    templates: PromptTemplates
    prompt_encoding: PromptEncoding = "raw"
    chat_options: ChatOptions = Field(default_factory=dict)
    extract: Extraction
    av: Verbalizer
    ar: Reconstructor

    @model_validator(mode="after")
    def _options_are_of_a_chat(self) -> "Recipe":
        if self.chat_options and self.prompt_encoding == "raw":
            raise ValueError("chat_options are given, and prompt_encoding is raw")
        return self


def read_recipe(path: Path) -> Recipe:
    """A recipe from its file; a relative `base.path` is taken from the recipe's folder.

    Raises:
        ConfigError: missing, invalid, or with unknown keys; every wrong key is named.
    """
    try:
        document = read_yaml(path)
    except InputError as error:
        raise ConfigError(error.message, hint="name one of the files in train/recipes") from error
    recipe = parse(Recipe, document, path, error=ConfigError)
    if recipe.base.path is None:
        return recipe
    local = str((path.parent / recipe.base.path).resolve())
    return recipe.model_copy(update={"base": recipe.base.model_copy(update={"path": local})})
