"""A trained adapter's folder as somebody else left it: sidecar, adapter, head."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import PositiveFloat, PositiveInt

from nla_release.dialects.table import Context, Dialect, recognise
from nla_release.dialects.values import plain
from nla_release.errors import InputError, RefusedError, SidecarError, WeightsError
from nla_release.files import read_json, read_yaml
from nla_release.schema import Open, parse
from nla_release.sidecar import FILE_NAME, HEAD_FILE_NAME
from nla_release.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME, Tensor, read_header

# Where dialects keep their contract, the most telling first.
SIDECAR_NAMES = (FILE_NAME, "nla_meta.json", "nla_config.json", "ar_meta.json")
DATASET_SUFFIX = ".nla_meta.yaml"
INJECT_CONFIG = "inject_config.json"
PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".pkl")

_BLOCK = re.compile(r"\.layers\.(\d{1,4})\.")


class AdapterConfig(Open):
    """What a sidecar takes from PEFT's `adapter_config.json`, which is what PEFT loads by."""

    r: PositiveInt
    lora_alpha: PositiveFloat
    base_model_name_or_path: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Folder:
    """One adapter's folder, read; `document` is its sidecar, empty when it has none."""

    path: Path
    context: Context
    dialect: Dialect
    document: dict[str, Any]
    config: AdapterConfig
    deepest_block: int | None

    @property
    def adapter(self) -> Path:
        """Where the adapter's own files lie: here, or in `adapter/`."""
        return _adapter_folder(self.path)

    @property
    def where(self) -> str:
        """The sidecar's path for messages, or the folder's when it has none."""
        return str(self.path / self.context.file if self.context.file else self.path)


@dataclass(frozen=True)
class Head:
    """The AR's linear head as found in its safetensors header."""

    shape: tuple[int, int]
    bias: bool
    dtype: str


def read_folder(path: Path) -> Folder:
    """Read a folder with a trained adapter, in whatever dialect its sidecar is.

    Raises:
        RefusedError: the dialect is known and its pairs cannot be run here.
        InputError: no adapter, an unreadable file, or a sidecar in no known dialect.
    """
    context, document = read_contract(path)
    dialect = recognise(document, context)
    if dialect.refusal:
        raise RefusedError(f"{path} is in the dialect {dialect.name!r}: {dialect.refusal}")
    adapter = _adapter_folder(path)
    if not (adapter / CONFIG_FILE_NAME).is_file():
        raise InputError(
            f"{path} ({dialect.name}) holds no {CONFIG_FILE_NAME}, so it is no adapter",
            hint="a fully fine-tuned model has none; only LoRA adapters are released here",
        )
    config = parse(AdapterConfig, read_json(adapter / CONFIG_FILE_NAME), adapter / CONFIG_FILE_NAME)
    blocks = [
        int(match[1])
        for name in read_header(adapter / ADAPTER_FILE_NAME)
        if (match := _BLOCK.search(name))
    ]
    return Folder(path, context, dialect, document, config, max(blocks, default=None))


def read_contract(path: Path) -> tuple[Context, dict[str, Any]]:
    """The sidecar of a folder, and what lies around it; an empty document when it has none.

    Raises:
        InputError: no such folder, or a sidecar that cannot be read.
    """
    if not path.is_dir():
        raise InputError(f"{path} is not a folder")
    names = frozenset(entry.name for entry in path.iterdir())
    datasets = sorted(name for name in names if name.endswith(DATASET_SUFFIX))
    file = next((name for name in (*SIDECAR_NAMES, *datasets) if name in names), None)
    inject = _mapping(path / INJECT_CONFIG) if INJECT_CONFIG in names else {}
    return Context(file, names, inject), _mapping(path / file) if file else {}


def head_source(path: Path) -> Path:
    """The AR's head file: `value_head.safetensors`, or the one pickle named `*head*`.

    Raises:
        WeightsError: there is none, or several pickles and no saying which.
    """
    if (path / HEAD_FILE_NAME).is_file():
        return path / HEAD_FILE_NAME
    pickles = sorted(
        entry for entry in path.iterdir() if "head" in entry.name and _is_pickle(entry)
    )
    if len(pickles) != 1:
        found = ", ".join(entry.name for entry in pickles) or "none"
        raise WeightsError(
            f"{path}: expected {HEAD_FILE_NAME} or one pickled head, found {found}",
            hint="the AR ends in a linear head; keep the one file that belongs to this adapter",
        )
    return pickles[0]


def read_head(path: Path) -> Head:
    """What the header of a `value_head.safetensors` says.

    Raises:
        WeightsError: not the key `weight` (and `bias`), not square, or of a foreign dtype.
    """
    tensors = read_header(path)
    if not {"weight"} <= set(tensors) <= {"weight", "bias"}:
        raise WeightsError(
            f"{path} holds {', '.join(sorted(tensors)) or 'nothing'}, expected weight (and bias)",
            hint="other tools write heads under this file name too; is this the AR's?",
        )
    weight = tensors["weight"]
    if len(weight.shape) != 2 or weight.shape[0] != weight.shape[1]:
        raise WeightsError(f"{path}: weight has shape {list(weight.shape)}, expected [d, d]")
    return Head((weight.shape[0], weight.shape[1]), "bias" in tensors, _dtype(path, weight))


def _dtype(path: Path, tensor: Tensor) -> str:
    names = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
    if tensor.dtype not in names:
        raise WeightsError(f"{path}: {tensor.name} is {tensor.dtype}, expected a float")
    return names[tensor.dtype]


def _is_pickle(path: Path) -> bool:
    return path.is_file() and path.suffix in PICKLE_SUFFIXES


def _adapter_folder(path: Path) -> Path:
    inner = path / "adapter"
    return inner if (inner / CONFIG_FILE_NAME).is_file() else path


def _mapping(path: Path) -> dict[str, Any]:
    document = read_json(path) if path.suffix == ".json" else read_yaml(path)
    if not isinstance(document, dict):
        raise SidecarError(f"{path} must hold a mapping, found {type(document).__name__}")
    carried: dict[str, Any] = plain(document, str(path))
    return carried
