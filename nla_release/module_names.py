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
from functools import cached_property, lru_cache

from nla_release.pattern import Pattern

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

_BLOCK = re.compile(r"(?P<decoder>(?:\w+\.)*?)layers\.(?P<block>\d+)\.(?P<place>.+)", re.ASCII)
_TOWER = re.compile(
    r"vision|visual|audio|video|multi_modal|multimodal|mm_projector|speech|image", re.IGNORECASE
)
_ALL_LINEAR = "all-linear"


@dataclass(frozen=True)
class Block:
    """What a module's name says: whose block, which one, and the place in it."""

    decoder: str
    number: int
    place: str


@dataclass(frozen=True)
class ModuleTree:
    """A base's linear modules by the names they have once loaded, `[out, in]` each.

    `decoder` is what the names of the language model begin with. A shape is None when the
    checkpoint is quantised and does not tell.
    """

    decoder: str
    linear: Mapping[str, Shape]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The linear modules and what each lies in, sorted: PEFT tries these names too.

        Gemma-4's towers have linear modules inside of others, which bear the names that people
        target and which PEFT cannot adapt.
        """
        holders = {name.rpartition(".")[0] for name in self.linear} - {""}
        return tuple(sorted(holders | self.linear.keys()))

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

    def among(self, tree: ModuleTree) -> set[str]:
        """The names of a tree that PEFT would adapt.

        Raises:
            InputError: a regular expression is not valid.
            UntriedError: a regular expression is not tried here.
        """
        if isinstance(self.modules, str) and self.modules.lower() == _ALL_LINEAR:
            found = set(tree.linear) - {HEAD}
        else:
            found = _matching(self.modules, tree.names)
        if not isinstance(self.modules, str) and self.layers not in (None, []):
            chosen = {self.layers} if isinstance(self.layers, int) else set(self.layers or ())
            whole = set(self.modules)  # the blocks do not matter to a module named in full
            found = {name for name in found if name in whole or _first_number(name) in chosen}
        if self.exclude:
            found -= _matching(self.exclude, tree.names)
        return {
            name for name in found if not any(f".{part}." in f".{name}." for part in self.saved)
        }


def loaded(modules: Mapping[str, Shape], model_type: str) -> ModuleTree | None:
    """The modules of a checkpoint as AutoModelForCausalLM names them; None for unknown layouts.

    Args:
        modules: names in the checkpoint, without `.weight`, and shapes.
        model_type: of the base's config.json.
    """
    modules = {name: shape for name, shape in modules.items() if name.count(".") <= MAX_DEPTH}
    if _has_blocks(modules, OLD_WRAPPER):
        modules = {_renamed(name): shape for name, shape in modules.items()}
    # Tied to the embedding, it is in no checkpoint, and in every loaded model.
    modules = {HEAD: None, **modules}
    if _has_blocks(modules, WRAPPER):
        if model_type not in TEXT_PART_LOADED:
            return ModuleTree(WRAPPER, modules)
        text = {
            TEXT + name.removeprefix(WRAPPER): shape
            for name, shape in modules.items()
            if name.startswith(WRAPPER)
        }
        return ModuleTree(TEXT, {HEAD: modules[HEAD], **text})
    if _has_blocks(modules, TEXT) and not any(map(is_of_a_tower, modules)):
        return ModuleTree(TEXT, modules)
    return None


def block_of(name: str) -> Block | None:
    """The decoder block that a module lies in, when its name tells of one."""
    match = _BLOCK.fullmatch(name)
    # A number of more digits is no block, and may be longer than int() reads.
    if match is None or len(match["block"]) > 6:
        return None
    return Block(match["decoder"], int(match["block"]), match["place"])


def is_of_a_tower(name: str) -> bool:
    """Whether a name is one of a vision, audio or other tower."""
    return _TOWER.search(name) is not None


def decoders(names: Iterable[str]) -> set[str]:
    """What the names of language model blocks begin with; one for a sound adapter."""
    blocks = (block_of(name) for name in names if not is_of_a_tower(name))
    return {block.decoder for block in blocks if block}


def missing(targeted: Iterable[str], adapted: Iterable[str]) -> list[str]:
    """Targeted modules that an adapter lacks, sorted.

    The last blocks of some bases (Gemma-3n, Gemma-4) reuse keys and values of earlier ones. Their
    checkpoints may hold projections that the loaded model does not have, and no adapter can hold:
    such a k_proj or v_proj is not missed when no later block has it either.
    """
    adapted = set(adapted)
    held = [block for block in map(block_of, adapted) if block]
    numbers = {block.number for block in held}
    last = {block.place: block.number for block in sorted(held, key=lambda block: block.number)}

    def reuses(name: str) -> bool:
        block = block_of(name)
        return (
            block is not None
            and block.place.endswith(("k_proj", "v_proj"))
            and block.number in numbers
            and block.number > last.get(block.place, block.number)
        )

    return sorted(name for name in set(targeted) - adapted if not reuses(name))


def _has_blocks(modules: Iterable[str], decoder: str) -> bool:
    return any(name.startswith(f"{decoder}layers.") for name in modules)


def _renamed(name: str) -> str:
    """A name from before transformers 4.52, as it is since."""
    if name.startswith(OLD_WRAPPER):
        return WRAPPER + name.removeprefix(OLD_WRAPPER)
    if name == f"language_model.{HEAD}":
        return HEAD
    return name if name == HEAD or name.startswith(TEXT) else TEXT + name


def _matching(targets: str | Sequence[str], names: tuple[str, ...]) -> set[str]:
    if isinstance(targets, str):
        return set(_fully_matching(targets, names))
    wanted = set(targets)
    # A name ends with ".target" for a target of any depth: try each of its endings.
    return {name for name in names if not wanted.isdisjoint(_endings(name))}


@lru_cache(maxsize=8)  # a release has each adapter twice, as trained and as rendered
def _fully_matching(pattern: str, names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(Pattern(pattern).matching(names))


def _endings(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[at:]) for at in range(len(parts))]


def _first_number(name: str) -> int | None:
    """The block that PEFT takes a name for, when `layers_to_transform` limits them."""
    parts = name.split(".")
    number = next((part for part in parts[2:-1] if part.isdecimal()), "")
    return int(number) if 0 < len(number) < 7 else None
