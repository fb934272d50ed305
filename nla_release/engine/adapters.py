"""LoRA adapters on a base: every key lands, or the adapter is refused.

PEFT only warns when keys of an adapter find no module, and then runs the base with random or no
factors (huggingface/peft#2699); here that is an error before anything runs.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file

from nla_release.adapter.config import AdapterConfig
from nla_release.adapter.lora import adapted_names, lora_modules, unlike_configuration
from nla_release.adapter.pattern import UntriedError
from nla_release.adapter.weights import non_finite_tensors, read_header
from nla_release.contract.sidecar import Role, Sidecar
from nla_release.engine.architecture import module_tree
from nla_release.engine.base import LoadedBase
from nla_release.errors import InputError, PairError, WeightsError, one_line
from nla_release.io.files import read_json
from nla_release.io.layout import ADAPTER_CONFIG_FILE, ADAPTER_FILE, HEAD_FILE
from nla_release.io.schema import parse


@contextmanager
def calm() -> Iterator[None]:
    """Without warnings of names to be retired, of keys that we refuse, and of merging tied layers.

    Nothing is merged here: an adapter that saves a tied layer keeps its own copy of it.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing", FutureWarning)
        warnings.filterwarnings("ignore", "Found missing adapter keys", UserWarning)
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`", UserWarning)
        yield


def attach(base: LoadedBase, stacks: Mapping[Role, Sequence[Path]]) -> Any:
    """Both adapters on one base: a PEFT model with the adapters "av" and "ar", see `use`.

    Args:
        base: what to put them on.
        stacks: of each role its folders in the order of application; usually one.

    Raises:
        WeightsError: an adapter is damaged or holds values that are not finite.
        PairError: a key finds no module of the base, or a module of another shape.
    """
    folders = {
        name: folder
        for role, stack in stacks.items()
        for name, folder in zip(_names(role, len(stack)), stack, strict=True)
    }
    for name, folder in folders.items():
        check_lands(base.model, folder)
        if name not in stacks or f"{name}_1" in folders:
            check_stackable(folder)
    model = base.model
    for name, folder in folders.items():
        model = put_on(model, folder, name)
    return model.eval().requires_grad_(False)


def put_on(model: Any, folder: Path, name: str) -> Any:
    """Put an adapter on a base, or beside those of a PEFT model; gives the PEFT model.

    Raises:
        PairError: PEFT cannot load it, or not all of it.
    """
    with loading(folder):
        if isinstance(model, peft.PeftModel):
            model.load_adapter(folder, adapter_name=name)
        else:
            model = peft.PeftModel.from_pretrained(model, folder, adapter_name=name)
    check_complete(model, name, folder / ADAPTER_FILE)
    return model


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """PEFT, calm, and with an adapter that it can do nothing with told as that.

    Raises:
        PairError: it is one.
    """
    try:
        with calm():
            yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        re.error,
    ) as error:
        reason = one_line(error)[:400]
        raise PairError(f"{folder}: PEFT cannot load the adapter: {reason}") from error


def use(model: Any, role: Role) -> None:
    """Make a role's adapters the active ones: all of its stack, in order."""
    below = [name for name in model.peft_config if name.startswith(f"{role}_")]
    model.set_adapter(role)
    if below:
        model.base_model.set_adapter([*below, role])


def _names(role: Role, height: int) -> list[str]:
    """What the adapters of a stack are called; the last one bears the role's name."""
    return [*(f"{role}_{number}" for number in range(1, height)), role]


def load_head(folder: Path, sidecar: Sidecar) -> torch.nn.Linear:
    """The AR's linear head, `[d, d]` in float32, as its sidecar declares it.

    Raises:
        WeightsError: missing, damaged, not finite, or not of the declared shape and parts.
    """
    path = folder / HEAD_FILE
    head, found = sidecar.head, read_header(path)
    expected = {head.key: head.shape} | ({"bias": (sidecar.d_model,)} if head.bias else {})
    if (shapes := {name: tensor.shape for name, tensor in found.items()}) != expected:
        raise WeightsError(f"{path} holds {shapes}, the sidecar declares {expected}")
    _check_finite(path)
    values = load_file(path)
    linear = torch.nn.Linear(sidecar.d_model, sidecar.d_model, bias=head.bias)
    linear.load_state_dict({name: value.float() for name, value in values.items()})
    return linear.eval().requires_grad_(False)


def check_lands(model: Any, folder: Path) -> None:
    """Refuse an adapter that does not fit a base or its configuration, before PEFT loads it.

    Raises:
        WeightsError: it is damaged or holds values that are not finite.
        PairError: a key finds no module of the base, or a module of another shape; or the file
            lacks what adapter_config.json asks for, or holds what PEFT would drop.
    """
    path = folder / ADAPTER_FILE
    config = _config(folder)
    modules = dict(model.named_modules())
    lost = []
    adapted = lora_modules(path, dora=config.use_dora, saved=config.saved)
    for lora in adapted:
        module = modules.get(lora.name)
        if module is None:
            lost.append(f"{lora.name} (no such module)")
        elif (features := _features(module)) != (lora.in_features, lora.out_features):
            lost.append(f"{lora.name} (the base has in, out {features})")
    if lost:
        raise PairError(
            f"{path}: {len(lost)} adapted modules do not fit {type(model).__name__}:"
            f" {', '.join(lost[:4])}{', ...' if len(lost) > 4 else ''}",
            hint="the adapter was trained on another base or wrapper class; load that one",
        )
    try:
        unlike = list(unlike_configuration(adapted, read_header(path), config, module_tree(model)))
    except UntriedError:
        unlike = []  # `check_complete` compares the file with what PEFT made of it
    except InputError as error:
        raise PairError(
            f"{folder / ADAPTER_CONFIG_FILE}: {error.message}",
            hint="PEFT cannot load the adapter with it: save it again with a valid pattern",
        ) from error
    if unlike:
        raise PairError(
            f"{path}: {unlike[0]}",
            hint="save the adapter again, whole, together with its adapter_config.json",
        )
    _check_finite(path)


def check_stackable(folder: Path) -> None:
    """Refuse a part of a stack that is more than a LoRA.

    Raises:
        PairError: it saves whole modules, of which several cannot be active.
    """
    if saved := _config(folder).saved:
        raise PairError(
            f"{folder}: an adapter of a stack saves whole modules, {', '.join(saved)}; none can",
            hint="train the part that is stacked without modules_to_save",
        )


def _config(folder: Path) -> AdapterConfig:
    path = folder / ADAPTER_CONFIG_FILE
    config = parse(AdapterConfig, read_json(path), path)
    if variants := config.undeclarable(adapted_names(read_header(folder / ADAPTER_FILE))):
        raise PairError(
            f"{path}: {', '.join(variants)}: such a variant of LoRA is not run here",
            hint="train a plain LoRA, rank-stabilised (use_rslora) or decomposed (use_dora)",
        )
    return config


def check_complete(model: Any, name: str, path: Path) -> None:
    """Refuse an adapter whose file lacks tensors, or holds others than the model has of that name.

    Raises:
        PairError: it does.
    """
    wanted = {
        key: tuple(value.shape)
        for key, value in peft.get_peft_model_state_dict(
            model, adapter_name=name, save_embedding_layers=False
        ).items()
    }
    present = {key: tensor.shape for key, tensor in read_header(path).items()}
    if missing := sorted(wanted.keys() - present):
        raise PairError(
            f"{path} lacks {len(missing)} tensors that adapter_config.json asks for, such as"
            f" {missing[0]}; PEFT would run them untrained"
        )
    if foreign := sorted(present.keys() - wanted):
        raise PairError(
            f"{path} holds {len(foreign)} tensors that PEFT would drop, as {foreign[0]}"
        )
    for key, shape in wanted.items():
        if present[key] != shape:
            raise PairError(
                f"{path} holds {key} as {list(present[key])}, adapter_config.json asks for"
                f" {list(shape)}"
            )


def _check_finite(path: Path) -> None:
    if broken := non_finite_tensors(path):
        raise WeightsError(
            f"{path}: {len(broken)} tensors hold NaN or infinity, such as {broken[0]}",
            hint="this adapter is damaged; release an earlier checkpoint",
        )


def _features(module: Any) -> tuple[int | None, int | None]:
    return getattr(module, "in_features", None), getattr(module, "out_features", None)
