"""Training on top of an earlier adapter, which stays frozen: a stack, see `adapter.stack`."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peft
import torch

from nla_release.adapter.config import AdapterConfig, declared
from nla_release.adapter.stack import FILE_NAMES, MAX_HEIGHT, place, stack
from nla_release.contract.sidecar import AdapterRecord, Role, Sidecar, read_sidecar
from nla_release.contract.training_chain import STACKED_ON
from nla_release.engine.adapters import (
    check_complete,
    check_lands,
    check_stackable,
    loading,
    put_on,
)
from nla_release.errors import ConfigError
from nla_release.io.files import read_json, sha256_file
from nla_release.io.layout import ADAPTER_CONFIG_FILE, ADAPTER_FILE
from nla_release.io.schema import parse
from nla_release.training.learner import Learner, broken_promises, take_over


@dataclass(frozen=True)
class LowerAdapters:
    """The adapters that a new one is trained on top of, in the order of application.

    `facts` is what the sidecar records of the training that made the topmost of them.
    """

    folders: tuple[Path, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def recorded(self, sidecar: Sidecar) -> Sidecar:
        """The new adapter's sidecar, with those below it listed before its own."""
        (own,) = sidecar.nla_release.adapters
        lower = [_entry(number, folder) for number, folder in enumerate(self.folders, 1)]
        ours = sidecar.nla_release.model_copy(update={"adapters": [*lower, own]})
        return sidecar.model_copy(update={"nla_release": ours})

    def copy_to(self, folder: Path) -> None:
        """Copy them to the paths that the sidecar of the new adapter gives."""
        for number, source in enumerate(self.folders, 1):
            target = folder / place(number)
            target.mkdir(parents=True)
            for name in FILE_NAMES:
                shutil.copyfile(source / name, target / name)


def put_below(earlier: Path, learner: Learner, sidecar: Sidecar) -> LowerAdapters:
    """Put an earlier adapter, with all that it is stacked on, below a fresh one.

    All are active. Only the new adapter is trained, and an AR's head, which starts from the earlier
    one.

    Raises:
        ConfigError: the earlier one has another base, layer, prompt or scale, or the stack would
            be too high.
        PairError: one of its own stack is missing, or does not fit the base.
        InputError: it is missing or damaged, or holds values that are not finite.
    """
    before = read_sidecar(earlier, sidecar.role)
    if differing := broken_promises(before, sidecar):
        raise ConfigError(
            f"stack_on {earlier}: it has other {', '.join(differing)} than this training",
            hint="stack on an adapter of the same base, layer, prompt and scale",
        )
    folders = _stack(earlier, before)
    _lay(learner.model, folders, lambda name, folder: put_on(learner.model, folder, name))
    return LowerAdapters(tuple(folders), {STACKED_ON: take_over(earlier, learner, before)})


def outline_below(earlier: Path, model: Any, role: Role) -> list[torch.nn.Parameter]:
    """Put the same below a fresh adapter on the meta device, without values; gives what they hold.

    Raises:
        ConfigError: the stack would be too high.
        PairError: one is missing, or does not fit the base, or PEFT cannot load it.
        InputError: one is damaged.
    """

    def outline(name: str, folder: Path) -> None:
        with loading(folder):
            config = peft.LoraConfig.from_pretrained(folder)
            model.add_adapter(name, config, low_cpu_mem_usage=True)  # all of it on the meta device
        check_complete(model, name, folder / ADAPTER_FILE)

    return _lay(model, _stack(earlier, read_sidecar(earlier, role)), outline)


def _stack(earlier: Path, sidecar: Sidecar) -> list[Path]:
    folders = stack(earlier, sidecar)
    if len(folders) >= MAX_HEIGHT:
        raise ConfigError(
            f"stack_on {earlier}: its stack has {len(folders)} adapters already, the maximum"
        )
    return folders


def _lay(
    model: Any, folders: Sequence[Path], put: Callable[[str, Path], object]
) -> list[torch.nn.Parameter]:
    """Make adapters active below the fresh one, which alone learns; gives their parameters."""
    names = [f"below_{number}" for number in range(1, len(folders) + 1)]
    for name, folder in zip(names, folders, strict=True):
        check_stackable(folder)
        check_lands(model.get_base_model(), folder)
        put(name, folder)
    model.base_model.set_adapter([*names, "default"])
    found = [
        parameter
        for name, parameter in model.named_parameters()
        if not set(names).isdisjoint(name.split("."))
    ]
    for parameter in found:
        parameter.requires_grad_(False)
    model.train()  # PEFT switches the model to eval mode when it loads an adapter
    return found


def _entry(number: int, folder: Path) -> AdapterRecord:
    path = folder / ADAPTER_CONFIG_FILE
    config = parse(AdapterConfig, read_json(path), path)
    facts = {"path": place(number), "sha256": sha256_file(folder / ADAPTER_FILE)}
    return AdapterRecord.model_validate(declared(config) | facts)
