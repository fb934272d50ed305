"""The optimizer of a recipe, its learning rate, and its state as tensors and plain values."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from nla_release.engine.processes import is_main
from nla_release.io.log import log
from nla_release.training.settings import AdapterSettings

# The defaults of both libraries (docs/reference/training.md, A step), fixed here.
_ADAMW: dict[str, Any] = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}

# bitsandbytes keeps the state of smaller tensors in full precision.
SMALLEST_IN_8_BITS = 4096

Tensors = dict[str, torch.Tensor]


def new_optimizer(
    parameters: Iterable[torch.nn.Parameter], settings: AdapterSettings
) -> tuple[torch.optim.Optimizer, str]:
    """The optimizer, and its name as the sidecar records it.

    8-bit AdamW gives way to AdamW, with a warning, where bitsandbytes cannot run it.
    """
    chosen = list(parameters)
    if settings.optimizer == "adamw_8bit":
        if (reason := _why_not_8_bits(chosen[0].device)) is None:
            from bitsandbytes.optim import AdamW8bit

            return AdamW8bit(chosen, lr=settings.learning_rate, **_ADAMW), "adamw_8bit"
        if is_main():
            log.warning(f"no 8-bit AdamW on {chosen[0].device} ({reason}); using AdamW")
    return torch.optim.AdamW(chosen, lr=settings.learning_rate, **_ADAMW), "adamw"


def set_rate(optimizer: torch.optim.Optimizer, step: int, settings: AdapterSettings) -> float:
    """Give the optimizer the learning rate of a step, which is counted from 1."""
    rate = settings.learning_rate
    if settings.schedule == "linear":
        rate *= 1 - (step - 1) / settings.steps
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def dump(optimizer: torch.optim.Optimizer) -> tuple[Tensors, dict[str, Any]]:
    """The state of each parameter, in the order of the parameters: tensors, and plain values."""
    tensors: Tensors = {}
    values: dict[str, Any] = {}
    for name, value in _leaves(optimizer.state_dict()["state"]):
        if isinstance(value, torch.Tensor):
            tensors[name] = value
        else:
            values[name] = value
    return tensors, values


def restore(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]
) -> None:
    """Put back what `dump` gave."""
    state: dict[int, Any] = {}
    for name, value in {**values, **tensors}.items():
        number, *path, leaf = name.split(".")
        place = state.setdefault(int(number), {})
        for part in path:
            place = place.setdefault(part, {})
        place[leaf] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _leaves(tree: Mapping[Any, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _why_not_8_bits(device: torch.device) -> str | None:
    """Why bitsandbytes cannot take an 8-bit step on a device; None when it can, found by trying."""
    try:
        from bitsandbytes.optim import AdamW8bit

        tried = torch.nn.Parameter(torch.zeros(SMALLEST_IN_8_BITS, device=device))
        tried.grad = torch.ones_like(tried)
        AdamW8bit([tried]).step()
    # What an unsupported device gives differs from version to version.
    except (ImportError, OSError, RuntimeError, NotImplementedError, ValueError) as error:
        return " ".join(str(error).split())[:200]
    return None
