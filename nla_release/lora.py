"""What PEFT saves of a LoRA: pairs of factors, and beside them only what its configuration says."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nla_release.errors import WeightsError
from nla_release.weights import Tensor, read_header

_PART = re.compile(
    r"^base_model\.model\.(?P<module>.+)\.lora_(?P<part>[AB]\.weight|magnitude_vector)$"
)
_NAMED_ADAPTER = re.compile(r"\.lora_\w+\.(?P<adapter>(?!weight$|bias$)[^.]+)(?:\.weight)?$")
_EMBEDDING = re.compile(
    r"\.(?:(?:embed_tokens|lm_head|wte|embed_in|embed_out)\.weight|lora_embedding_[AB])$"
)


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
            configuration does not speak of.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    others = []
    for tensor in read_header(path).values():
        if match := _PART.match(tensor.name):
            modules.setdefault(match["module"], {})[match["part"]] = tensor
        else:
            others.append(tensor)
    _check_others(path, others, saved)
    if not modules:
        raise WeightsError(
            f"{path} holds no tensors of a LoRA", hint="save the adapter again before releasing"
        )
    return [_module(path, name, parts, dora=dora) for name, parts in modules.items()]


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


def _check_others(path: Path, tensors: Iterable[Tensor], saved: Sequence[str]) -> None:
    """Beside the factors lie the modules to save, all of them, and nothing else."""
    names = {name: f".{name}." for name in saved}
    foreign = [
        tensor for tensor in tensors if not any(part in tensor.name for part in names.values())
    ]
    if foreign:
        raise _foreign(path, foreign)
    for name, part in names.items():
        if not any(part in tensor.name for tensor in tensors):
            raise WeightsError(f"{path} holds no tensor of {name}, which modules_to_save names")


def _foreign(path: Path, tensors: list[Tensor]) -> WeightsError:
    if embeddings := [tensor for tensor in tensors if _EMBEDDING.search(tensor.name)]:
        size = sum(tensor.stop - tensor.start for tensor in embeddings) / 1e6
        return WeightsError(
            f"{path}: the embedding layer was saved unasked, {size:.1f} MB in"
            f" {', '.join(tensor.name for tensor in embeddings[:2])}",
            hint="save with save_embedding_layers=False, or name it in modules_to_save when it was"
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
