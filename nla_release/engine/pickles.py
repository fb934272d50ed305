"""Pickled weights as safetensors. torch reads them, and executes nothing of them."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from nla_release.errors import WeightsError
from nla_release.files import write_atomic

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
    _write(target, dict(zip(names, tensors.values(), strict=True)))


def convert_adapter(source: Path, target: Path) -> None:
    """Write the adapter pickled in `source`, PEFT's `adapter_model.bin`, as safetensors.

    Names, values and dtypes are unchanged.

    Raises:
        WeightsError: the pickle holds code, is damaged, or holds anything but tensors by name.
    """
    _write(target, _tensors(source))


def _write(target: Path, tensors: dict[str, torch.Tensor]) -> None:
    copies = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
    write_atomic(target, save(copies))


def _tensors(source: Path) -> dict[str, torch.Tensor]:
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's advice on pickles, not ours
            loaded: Any = torch.load(source, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{source} does not exist") from error
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
