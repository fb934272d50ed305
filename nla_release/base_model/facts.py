"""What a release records of its base model: shapes, module names, embedding norm, licence.

`base.json` is made once, from headers and a sample of embedding rows (`base_model.measure`), and
is published with the release, so that the gate can check a pair against its base without the base.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from nla_release.errors import InputError
from nla_release.io.files import dump_json, read_json
from nla_release.io.layout import BASE_FILE
from nla_release.io.schema import Strict, parse

# The largest known base has some 100 000 linear modules (experts); its document is 12 MB.
_MAX_BYTES = 16 * 1024 * 1024


class EmbeddingFacts(Strict):
    """Norms of sampled rows of the input embedding, times the architecture's factor.

    `tensor` is the checkpoint's key, `vocabulary` its rows, `rows` how many were sampled, `seed`
    the sample's. `scale` is sqrt(hidden_size) in the Gemma family and 1 elsewhere. `norm_mean` is
    the mean L2 norm over the sampled rows, scale included, and `norm_error` its standard error.
    """

    tensor: str
    vocabulary: PositiveInt
    rows: PositiveInt
    seed: NonNegativeInt
    scale: PositiveFloat
    norm_mean: PositiveFloat
    norm_error: NonNegativeFloat


class BaseFacts(Strict):
    """A base model at one commit, as far as a release depends on it.

    `modules` maps every linear module, named as in the checkpoint without `.weight`, to its shape
    `[out, in]`, or to None where the checkpoint stores it quantised and hides the shape. `license`
    is from the front matter of its card, None when there is none.

    `tensors` maps every other tensor of the checkpoint to its shape. `kv_shared_layers` is how many
    of the last blocks reuse keys and values of earlier ones, by the base's config.json. Both are
    None in a document from before they were recorded.
    """

    schema_: Literal[1] = Field(alias="schema")
    id: str = Field(min_length=1)
    revision: str = Field(min_length=1)
    model_type: str
    architectures: list[str]
    hidden_size: PositiveInt
    num_hidden_layers: PositiveInt
    vocab_size: PositiveInt
    license: str | None
    embedding: EmbeddingFacts
    modules: dict[str, tuple[PositiveInt, PositiveInt] | None]
    tensors: dict[str, tuple[NonNegativeInt, ...]] | None = None
    kv_shared_layers: NonNegativeInt | None = None

    @property
    def first_reusing(self) -> int | None:
        """The first block that reuses keys and values of an earlier one; None when none does."""
        shared = self.kv_shared_layers
        return self.num_hidden_layers - shared if shared else None

    def differing(self, other: "BaseFacts") -> list[str]:
        """The keys in which two documents disagree, without those that one of them lacks."""
        optional = {"tensors", "kv_shared_layers"}
        pairs = {
            name: (getattr(self, name), getattr(other, name)) for name in type(self).model_fields
        }
        return [
            name
            for name, (own, theirs) in pairs.items()
            if own != theirs and not (name in optional and None in (own, theirs))
        ]


def read_base_facts(folder: Path) -> BaseFacts:
    """The facts in a release's folder or a repository's.

    Raises:
        InputError: missing or invalid.
    """
    path = folder / BASE_FILE
    hint = "make it with `nla-release base`"
    try:
        document = read_json(path, limit=_MAX_BYTES)
    except InputError as error:
        raise InputError(error.message, hint=hint) from error
    return parse(BaseFacts, document, path, hint=hint)


def dump_base_facts(facts: BaseFacts) -> str:
    """The facts as JSON text."""
    return dump_json(facts.model_dump(mode="json", by_alias=True, exclude_unset=True))
