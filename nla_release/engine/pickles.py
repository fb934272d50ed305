"""Pickled weights as safetensors. torch reads them, and executes nothing of them."""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from nla_release.errors import InputError, WeightsError, one_line
from nla_release.io.files import check_regular, write_atomic

# What a pickle may describe per byte of the file.
_MAX_PER_BYTE = 4

_ASK = "ask its author for the same tensors as safetensors"

# In torch's refusal, what the pickle would have called.
_CALLED = re.compile(r"\bGLOBAL ([\w.]+)")


def convert_head(source: Path, target: Path) -> None:
    """Write the linear head pickled in `source` as safetensors, values and dtype unchanged.

    The pickle is a state dict with one `weight` `[d, d]` and at most one `bias` `[d]`, under these
    names or with a prefix such as `linear.`, or the bare weight.

    Raises:
        WeightsError: the pickle holds code, is damaged, or is not such a head.
    """
    tensors = _tensors(source)
    names = [name.rpartition(".")[2] for name in tensors]
    if sorted(names) not in (["weight"], ["bias", "weight"]):
        raise WeightsError(
            f"{source} holds {', '.join(sorted(tensors)) or 'no tensors'}, expected one weight and"
            " at most one bias",
            hint="other things are called heads too; is this the AR's?",
        )
    _write(source, target, dict(zip(names, tensors.values(), strict=True)))


def convert_adapter(source: Path, target: Path) -> None:
    """Write the adapter pickled in `source`, PEFT's `adapter_model.bin`, as safetensors.

    Names, values and dtypes are unchanged.

    Raises:
        WeightsError: the pickle holds code, is damaged, or holds anything but tensors by name.
    """
    _write(source, target, _tensors(source))


def _write(source: Path, target: Path, tensors: dict[str, torch.Tensor]) -> None:
    # A view such as expand() describes gigabytes in a file of one kilobyte. Two names for the same
    # values, as tied weights have, are within the bound.
    size = source.stat().st_size
    described = sum(value.numel() * value.element_size() for value in tensors.values())
    if described > _MAX_PER_BYTE * size:
        raise WeightsError(
            f"{source} describes {described:,} bytes of values, and is {size:,} bytes long: its"
            " tensors are views that repeat the values they hold",
            hint=_ASK,
        )
    try:
        copies = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
        content = save(copies)
    except (RuntimeError, LookupError, ValueError) as error:  # of a dtype that it has no name for
        raise WeightsError(
            f"{source} holds tensors that safetensors cannot hold: {one_line(error)}", hint=_ASK
        ) from error
    write_atomic(target, content)


def _check_stored(source: Path) -> None:
    """Refuse a file that unpacks to more than itself: torch.save compresses nothing.

    Raises:
        WeightsError: missing, not a regular file, or a compressed archive.
    """
    try:
        check_regular(source)
    except InputError as error:
        raise WeightsError(error.message) from error
    try:
        with zipfile.ZipFile(source) as archive:
            packed = any(each.compress_type != zipfile.ZIP_STORED for each in archive.infolist())
            unpacked = sum(each.file_size for each in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # an older pickle, or damaged
    if packed or unpacked > source.stat().st_size:
        raise WeightsError(
            f"{source} is a compressed archive, which torch.save does not write; it was not read",
            hint=_ASK,
        )


def _tensors(source: Path) -> dict[str, torch.Tensor]:
    _check_stored(source)
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's advice on pickles, not ours
            loaded: Any = torch.load(source, map_location="cpu", weights_only=True)
    # The unpickler stops at the first thing that is not a tensor, with whatever error that makes.
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError) as error:
        raise WeightsError(
            f"{source} {_reason(source, error)}",
            hint=_ASK,
        ) from error
    if isinstance(loaded, torch.Tensor):
        loaded = {"weight": loaded}
    loaded = _state_dict(loaded)
    if not isinstance(loaded, Mapping) or not all(_is_tensor(*item) for item in loaded.items()):
        raise WeightsError(
            f"{source} holds a {type(loaded).__name__}, expected tensors by name", hint=_ASK
        )
    return dict(loaded)


def _state_dict(loaded: Any) -> Any:
    """The one mapping of tensors in a checkpoint such as `{"state_dict": ..., "step": 400}`."""
    if not isinstance(loaded, Mapping) or any(
        isinstance(value, torch.Tensor) for value in loaded.values()
    ):
        return loaded
    inner = [
        value
        for value in loaded.values()
        if isinstance(value, Mapping)
        and value
        and all(isinstance(each, torch.Tensor) for each in value.values())
    ]
    return inner[0] if len(inner) == 1 else loaded


def _reason(source: Path, error: Exception) -> str:
    """Why nothing was read; torch's own words advise to execute it."""
    if source.stat().st_size == 0:
        return "is empty"
    if called := _CALLED.search(str(error)):
        return f"holds code, {called[1]}, which was not executed"
    return "is damaged, or is no pickle of tensors as torch.save writes it; nothing was executed"


def _is_tensor(name: Any, value: Any) -> bool:
    """Whether an entry is a dense tensor under a name; safetensors knows no other."""
    return (
        isinstance(name, str)
        and isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
    )
