"""Names of modules: those a base has once loaded, and those a PEFT configuration adapts.

The same decoder block has three names. `model.layers.N` is its name in a model of text alone. In
a wrapper with vision or audio towers it is `model.language_model.layers.N`, and before
transformers 4.52 it was `language_model.model.layers.N`, which checkpoints of that time still
hold; the library renames them as it loads (huggingface/transformers#38927). PEFT finds an
adapter's modules by these names, and only warns when it finds none (huggingface/peft#2699).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from nla_release.adapter.config import AdapterConfig
from nla_release.adapter.pattern import UntriedError, fully_matching
from nla_release.errors import InputError

Shape = tuple[int, int] | None

TEXT = "model."
WRAPPER = "model.language_model."
OLD_WRAPPER = "language_model.model."

HEAD = "lm_head"

# No base goes half as deep. A deeper name is made up to be costly, and is passed over.
MAX_DEPTH = 20

# Wrappers of which AutoModelForCausalLM loads the text part alone, under the names of TEXT. The
# others it loads whole, as Gemma's, or not at all.
TEXT_PART_LOADED = frozenset(
    {"dots3_note", "emu3", "llama4", "mllama", "qwen3_5", "qwen3_5_moe", "qwen4_exp"}
)

# What the last blocks of some bases (Gemma-3n, Gemma-4) do not have: they reuse what an earlier
# block computed. Their checkpoints may hold it, and transformers passes it over.
_REUSED = frozenset({"k_proj", "v_proj", "k_norm", "v_norm"})

_BLOCK = re.compile(r"(?P<decoder>(?:\w+\.)*?)layers\.(?P<block>\d+)\.(?P<place>.+)", re.ASCII)
_TOWER = re.compile(
    r"vision|visual|audio|video|multi_modal|multimodal|mm_projector|speech|image", re.IGNORECASE
)
_ALL_LINEAR = "all-linear"
_PLAIN = re.compile(r"\w+(?:\.\w+)*", re.ASCII)


@dataclass(frozen=True)
class BlockModule:
    """What a module's name says: whose block, which one, and the place in it."""

    decoder: str
    number: int
    place: str


@dataclass(frozen=True)
class ModuleTree:
    """A base's linear modules by the names they have once loaded, `[out, in]` each.

    `decoder` is what the names of the language model begin with. A shape is None when the
    checkpoint is quantised and does not give it. `tensors` are the shapes of all other parameters,
    such as norms, biases and embeddings, by their names; None when they are not known.
    """

    decoder: str
    linear: Mapping[str, Shape]
    tensors: Mapping[str, tuple[int, ...]] | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every module, whatever holds one included, sorted: PEFT tries these names.

        Gemma-4's towers have linear modules inside of others, which bear the names that people
        target and which PEFT cannot adapt.
        """
        owners = {tensor.rpartition(".")[0] for tensor in self.tensors or ()}
        found: set[str] = set()
        for name in self.linear.keys() | owners:
            while name and name not in found:
                found.add(name)
                name = name.rpartition(".")[0]
        return tuple(sorted(found))

    def saved_whole(self, saved: Iterable[str]) -> dict[str, tuple[int, ...] | None]:
        """The parameters that PEFT saves for `modules_to_save`, by name, and their shapes.

        PEFT saves every module whose name ends with one of the given ones, whatever is before it:
        `v_norm` also saves a module `conv_norm`.
        """
        endings = tuple(saved)
        parameters: dict[str, tuple[int, ...] | None] = {
            f"{name}.weight": shape for name, shape in self.linear.items()
        } | dict(self.tensors or {})
        return {name: shape for name, shape in parameters.items() if is_saved_whole(name, endings)}

    def outside(self, names: Iterable[str]) -> list[str]:
        """Those of the names that lie beside the language model, such as in a tower, sorted."""
        return sorted(
            name
            for name in names
            if not f"{name}.".startswith(self.decoder)
            and not self.decoder.startswith(f"{name}.")
            and name != HEAD
        )


@dataclass(frozen=True)
class Targets:
    """The part of PEFT's `LoraConfig` that says which modules are adapted."""

    modules: str | Sequence[str]
    exclude: str | Sequence[str] | None = None
    layers: int | Sequence[int] | None = None
    saved: Sequence[str] = ()
    patterns: Sequence[str] = ()

    @classmethod
    def of(cls, config: AdapterConfig) -> "Targets":
        """Those of an adapter_config.json.

        Raises:
            UntriedError: PEFT would choose them by the base's architecture, or layers_pattern is
                more than words.
        """
        if config.target_modules is None:
            raise UntriedError("adapter_config.json has no target_modules")
        pattern = config.layers_pattern or []
        patterns = [pattern] if isinstance(pattern, str) else pattern
        if not all(map(_PLAIN.fullmatch, patterns)):
            raise UntriedError("layers_pattern is a regular expression")
        return cls(
            config.target_modules,
            config.exclude_modules,
            config.layers_to_transform,
            config.saved,
            patterns,
        )

    def among(self, tree: ModuleTree) -> set[str]:
        """The names of a tree that PEFT would adapt.

        Raises:
            InputError: a regular expression is not valid; the message names the option.
            UntriedError: a regular expression is not tried here.
        """
        if isinstance(self.modules, str) and self.modules.lower() == _ALL_LINEAR:
            found = set(tree.linear) - {HEAD}
        else:
            found = _matching("target_modules", self.modules, tree.names)
        if not isinstance(self.modules, str) and self.layers not in (None, []):
            chosen = {self.layers} if isinstance(self.layers, int) else set(self.layers or ())
            whole = set(self.modules)  # the blocks do not matter to a module named in full
            found = {
                name
                for name in found
                if name in whole or _layer_number(name, self.patterns) in chosen
            }
        if self.exclude:
            found -= _matching("exclude_modules", self.exclude, tree.names)
        return {
            name for name in found if not any(f".{part}." in f".{name}." for part in self.saved)
        }


def loaded(
    modules: Mapping[str, Shape],
    model_type: str,
    tensors: Mapping[str, tuple[int, ...]] | None = None,
    first_reusing: int | None = None,
) -> ModuleTree | None:
    """The modules of a checkpoint as AutoModelForCausalLM names them; None for unknown layouts.

    Args:
        modules: names in the checkpoint, without `.weight`, and shapes.
        model_type: of the base's config.json.
        tensors: the checkpoint's other tensors, when they are known.
        first_reusing: the first block that reuses keys and values of an earlier one, if any does.
    """
    known = tensors is not None
    modules, tensors = _named_as_loaded(modules), _named_as_loaded(tensors or {})
    # Tied to the embedding, it is in no checkpoint, and in every loaded model.
    modules = {HEAD: None, **modules}
    if _has_blocks(modules, WRAPPER):
        decoder = WRAPPER
        if model_type in TEXT_PART_LOADED:
            decoder = TEXT
            modules = {HEAD: modules[HEAD], **_text_part(modules)}
            tensors = _text_part(tensors)
    elif _has_blocks(modules, TEXT) and not any(map(is_of_a_tower, modules)):
        decoder = TEXT
    else:
        return None

    def is_there(name: str) -> bool:
        block = block_of(name.removesuffix(".weight"))
        return (
            first_reusing is None
            or block is None
            or block.decoder != decoder
            or block.number < first_reusing
            or block.place.rpartition(".")[2] not in _REUSED
        )

    return ModuleTree(
        decoder,
        {name: shape for name, shape in modules.items() if is_there(name)},
        {name: shape for name, shape in tensors.items() if is_there(name)} if known else None,
    )


def is_saved_whole(parameter: str, saved: Iterable[str]) -> bool:
    """Whether PEFT saves a parameter for `modules_to_save`: a module above it ends with one."""
    endings = tuple(saved)
    parts = parameter.split(".")
    return any(".".join(parts[:depth]).endswith(endings) for depth in range(1, len(parts)))


def block_of(name: str) -> BlockModule | None:
    """The decoder block that a module lies in, when its name tells of one."""
    match = _BLOCK.fullmatch(name)
    # A number of more digits is no block, and may be longer than int() reads.
    if match is None or len(match["block"]) > 6:
        return None
    return BlockModule(match["decoder"], int(match["block"]), match["place"])


def is_of_a_tower(name: str) -> bool:
    """Whether a name is one of a vision, audio or other tower."""
    return _TOWER.search(name) is not None


def decoders(names: Iterable[str]) -> set[str]:
    """What the names of language model blocks begin with; one for a sound adapter."""
    blocks = (block_of(name) for name in names if not is_of_a_tower(name))
    return {block.decoder for block in blocks if block}


def _has_blocks(modules: Iterable[str], decoder: str) -> bool:
    return any(name.startswith(f"{decoder}layers.") for name in modules)


_Value = TypeVar("_Value")


def _named_as_loaded(values: Mapping[str, _Value]) -> dict[str, _Value]:
    """What a checkpoint names, under the names since transformers 4.52."""
    values = {name: value for name, value in values.items() if name.count(".") <= MAX_DEPTH}
    if _has_blocks(values, OLD_WRAPPER):
        return {_renamed(name): value for name, value in values.items()}
    return values


def _text_part(values: Mapping[str, _Value]) -> dict[str, _Value]:
    return {
        TEXT + name.removeprefix(WRAPPER): value
        for name, value in values.items()
        if name.startswith(WRAPPER)
    }


def _renamed(name: str) -> str:
    """A name from before transformers 4.52, as it is since."""
    if name.startswith(OLD_WRAPPER):
        return WRAPPER + name.removeprefix(OLD_WRAPPER)
    if name == f"language_model.{HEAD}":
        return HEAD
    return name if name == HEAD or name.startswith(TEXT) else TEXT + name


def _matching(option: str, targets: str | Sequence[str], names: tuple[str, ...]) -> set[str]:
    if isinstance(targets, str):
        try:
            return set(fully_matching(targets, names))
        except UntriedError:
            raise
        except InputError as error:
            raise InputError(f"{option}: {error.message}") from error
    wanted = set(targets)
    # A name ends with ".target" for a target of any depth: try each of its endings.
    return {name for name in names if not wanted.isdisjoint(_endings(name))}


def _endings(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[at:]) for at in range(len(parts))]


def _layer_number(name: str, patterns: Sequence[str]) -> int | None:
    """The block that PEFT takes a name for, when `layers_to_transform` limits them.

    Without `layers_pattern` it is the first number after two names, otherwise the first one right
    after a pattern.
    """
    parts = name.split(".")
    if not patterns:
        return _first_number(parts[2:-1])
    for pattern in patterns:
        above = pattern.split(".")
        for at in range(len(above), len(parts) - 1):
            if parts[at - len(above) : at] == above and parts[at].isdecimal():
                return _first_number(parts[at : at + 1])
    return None


def _first_number(parts: Sequence[str]) -> int | None:
    number = next((part for part in parts if part.isdecimal()), "")
    return int(number) if 0 < len(number) < 7 else None
