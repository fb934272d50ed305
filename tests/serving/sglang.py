"""SGLang's own checks of a LoRA adapter, out of its wheel, without the CUDA libraries it needs.

Its modules under `sglang.srt.lora` are the real ones. What they import from elsewhere in SGLang is
a mock: the checks read adapter_config.json and call none of it.
"""

import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

_REAL = ("lora_config", "lora_manager", "utils")
_PACKAGES = ("sglang", "sglang.srt", "sglang.srt.lora")


class _Mocks(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a mock for every module of SGLang that is not one of those read here."""

    def find_spec(self, name, path=None, target=None):
        if not name.startswith("sglang.") or name in {f"sglang.srt.lora.{it}" for it in _REAL}:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__ = []
        return module

    def exec_module(self, module):
        pass


@functools.cache
def _lora_modules():
    root = Path(importlib.util.find_spec("sglang").submodule_search_locations[0])
    for name in _PACKAGES:
        package = types.ModuleType(name)
        package.__path__ = [str(root.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    sys.meta_path.insert(0, _Mocks())
    return [importlib.import_module(f"sglang.srt.lora.{name}") for name in _REAL]


def load(folder):
    """What SGLang takes as the adapted modules of an adapter, and as its rank, or ValueError."""
    config_module, manager_module, _ = _lora_modules()
    manager = object.__new__(manager_module.LoRAManager)
    manager.configs = {"adapter": config_module.LoRAConfig(str(folder))}
    manager.base_model = MagicMock(named_modules=list)
    manager.lora_added_tokens_size = None
    manager.init_lora_shapes()
    return manager.target_modules, manager.max_lora_rank


def normalized(leaves):
    """The names that SGLang gives to modules by the last part of their names."""
    return _lora_modules()[-1].get_normalized_target_modules(leaves)
