"""The tensors that PEFT saves of a LoRA: pairs of factors, and what its configuration declares."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nla_release.adapter.config import AdapterConfig
from nla_release.adapter.module_names import ModuleTree, Targets, is_saved_whole
from nla_release.adapter.weights import Tensor, read_header
from nla_release.errors import WeightsError
from nla_release.text.numbers import listed

_PART = re.compile(
    r"^base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB]\.weight|magnitude_vector)$"
)
_NAMED_ADAPTER = re.compile(r"\.lora_\w+\.(?P<adapter>(?!weight$|bias$)[^.]+)(?:\.weight)?$")
_EMBEDDING = re.compile(
    r"\.(?:embed_tokens|lm_head|wte|embed_in|embed_out)\.(?:base_layer\.)?weight$"
)
_ADAPTED_EMBEDDING = re.compile(r"\.lora_embedding_[AB](?:\.\w+)?$")
# What PEFT's save_pretrained puts before the name of a parameter of the base.
_PREFIX = "base_model.model."


@dataclass(frozen=True)
class LoraModule:
    """One adapted module: shapes of its factors, A `[r, in]` and B `[out, r]`."""

    name: str
    rank: int
    in_features: int
    out_features: int


def lora_modules(path: Path, *, dora: bool = False, saved: Sequence[str] = ()) -> list[LoraModule]:
    """The adapted modules of an `adapter_model.safetensors`.

    Args:
        path: the file.
        dora: whether the configuration says use_dora, so that each module has a magnitude `[out]`.
        saved: the modules to save whole (modules_to_save).

    Raises:
        WeightsError: no factors, an unpaired one, shapes that disagree, or tensors that the
            configuration does not declare.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    others = []
    for tensor in read_header(path).values():
        if match := _PART.match(tensor.name):
            modules.setdefault(match["module"], {})[match["part"]] = tensor
        else:
            others.append(tensor)
    if foreign := [tensor for tensor in others if not is_saved_whole(tensor.name, saved)]:
        raise _foreign(path, foreign)
    if not modules:
        raise WeightsError(
            f"{path} has no LoRA tensors", hint="save the adapter again before releasing"
        )
    return [_module(path, name, parts, dora=dora) for name, parts in modules.items()]


def adapted_names(tensors: Iterable[str]) -> set[str]:
    """The names of the modules of which a file has a LoRA factor."""
    return {match["module"] for match in map(_PART.match, tensors) if match}


def never_saved(tensors: Iterable[str], saved: Sequence[str]) -> list[str]:
    """The modules to save of which a file has no tensor; the base may have no such module."""
    names = list(tensors)
    return [each for each in saved if not any(is_saved_whole(name, [each]) for name in names)]


def unlike_configuration(
    modules: Sequence[LoraModule],
    tensors: Mapping[str, Tensor],
    config: AdapterConfig,
    tree: ModuleTree,
) -> Iterator[str]:
    """Tensors that PEFT expects and a file lacks, or that PEFT would drop, as sentences.

    The gate calls this with the base's facts, the engine with the base in memory.

    Args:
        modules: the adapted modules of the file, see `lora_modules`.
        tensors: the file's header.
        config: the adapter_config.json; without target_modules nothing is compared.
        tree: the modules of the base.

    Raises:
        InputError: target_modules or exclude_modules is not a valid regular expression.
        UntriedError: it is too expensive to match.
    """
    targeted = Targets.of(config).among(tree)
    inside = targeted - set(tree.outside(targeted))
    if impossible := sorted(inside - tree.linear.keys()):
        yield (
            f"target_modules matches {len(impossible)} modules that are not linear, and PEFT"
            f" refuses or adapts them as embeddings: {listed(impossible)}"
        )
    held = {module.name for module in modules}
    if left_out := sorted(held - targeted):
        yield (
            f"{len(left_out)} of {len(held)} modules are not among target_modules, and PEFT drops"
            f" them: {listed(left_out)}"
        )
    if absent := sorted((inside & tree.linear.keys()) - held):
        yield (
            f"{len(absent)} modules that target_modules matches in the base are not in the file,"
            f" and PEFT runs them untrained: {listed(absent)}"
        )
    if tree.tensors is not None and config.saved:
        yield from _unlike_saved(tensors, tree.saved_whole(config.saved))


def _unlike_saved(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...] | None]
) -> Iterator[str]:
    """The same for the modules that are saved whole."""
    held = {
        name.removeprefix(_PREFIX): tensor.shape
        for name, tensor in tensors.items()
        if not _PART.match(name)
    }
    if absent := sorted(wanted.keys() - held.keys()):
        yield (
            f"{len(absent)} tensors that modules_to_save matches in the base are not in the file,"
            f" and PEFT runs them untrained: {listed(absent)}"
        )
    if foreign := sorted(held.keys() - wanted.keys()):
        yield (
            f"{len(foreign)} tensors are saved for modules that the base does not have, and PEFT"
            f" drops them: {listed(foreign)}"
        )
    for name in sorted(held.keys() & wanted.keys()):
        shape = wanted[name]
        if shape is not None and held[name] != shape:
            yield f"{name} has shape {list(held[name])}, in the base {list(shape)}"
            return


def _module(path: Path, name: str, parts: dict[str, Tensor], *, dora: bool) -> LoraModule:
    for factor in "AB":
        if f"{factor}.weight" not in parts:
            raise WeightsError(f"{path}: module {name} has no lora_{factor}")
    a, b = parts["A.weight"].shape, parts["B.weight"].shape
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or 0 in a + b:
        raise WeightsError(
            f"{path}: module {name} has lora_A {a} and lora_B {b}, which do not multiply"
        )
    magnitude = parts["magnitude_vector"].shape if "magnitude_vector" in parts else None
    expected = (b[0],) if dora else None
    if magnitude != expected:
        raise WeightsError(
            f"{path}: module {name} has a DoRA magnitude of shape {magnitude or 'none'}, use_dora"
            f" is {str(dora).lower()} and expects {expected or 'none'}"
        )
    return LoraModule(name, rank=a[0], in_features=a[1], out_features=b[0])


def _foreign(path: Path, tensors: list[Tensor]) -> WeightsError:
    if adapted := [tensor for tensor in tensors if _ADAPTED_EMBEDDING.search(tensor.name)]:
        return WeightsError(
            f"{path}: tensor {adapted[0].name} is a LoRA factor of an embedding, which is not"
            " supported",
            hint="take the embedding out of target_modules and train again; to train it whole, name"
            " it in modules_to_save",
        )
    if embeddings := [tensor for tensor in tensors if _EMBEDDING.search(tensor.name)]:
        size = sum(tensor.stop - tensor.start for tensor in embeddings) / 1e6
        return WeightsError(
            f"{path}: the embedding was saved although modules_to_save does not name it,"
            f" {size:.1f} MB in {', '.join(tensor.name for tensor in embeddings[:2])}",
            hint="save with save_embedding_layers=False: PEFT saves the embedding whole when"
            " target_modules names embed_tokens or lm_head; name it in modules_to_save if it was"
            " trained",
        )
    first = tensors[0].name
    if match := _NAMED_ADAPTER.search(first):
        return WeightsError(
            f"{path}: tensor {first} carries the adapter's name {match['adapter']!r}, under which"
            " PEFT does not find it",
            hint="save with PEFT's save_pretrained, which leaves the name out",
        )
    return WeightsError(
        f"{path}: tensor {first} is not a LoRA factor"
        " (base_model.model.<module>.lora_A|lora_B.weight)"
    )
