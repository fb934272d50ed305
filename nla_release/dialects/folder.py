"""A trained adapter's folder as somebody else left it: sidecar, adapter, head."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_release.adapter_config import AdapterConfig
from nla_release.dialects.table import WHOLE_MODELS, Context, Dialect, recognise
from nla_release.dialects.values import plain
from nla_release.errors import InputError, RefusedError, SidecarError, WeightsError
from nla_release.files import MAX_YAML_BYTES, read_json, read_yaml
from nla_release.schema import parse
from nla_release.sidecar import FILE_NAME, HEAD_FILE_NAME
from nla_release.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME, Tensor, read_header

# Where dialects keep their contract, the most telling first.
SIDECAR_NAMES = (FILE_NAME, "nla_meta.json", "nla_config.json", "ar_meta.json")
DATASET_SUFFIX = ".nla_meta.yaml"
INJECT_CONFIG = "inject_config.json"
PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".pkl")
# What PEFT wrote before it wrote safetensors.
PICKLED_ADAPTER = "adapter_model.bin"

_BLOCK = re.compile(r"\.layers\.(\d{1,4})\.")


@dataclass(frozen=True)
class Folder:
    """One adapter's folder, read; `document` is its sidecar, empty when it has none."""

    path: Path
    context: Context
    dialect: Dialect
    document: dict[str, Any]
    config: AdapterConfig

    @property
    def adapter(self) -> Path:
        """Where the adapter's own files lie: here, or in `adapter/`."""
        return _adapter_folder(self.path)

    @property
    def weights(self) -> Path:
        """The adapter's tensors: safetensors, or else a pickle that is still to be converted."""
        pickled = self.adapter / PICKLED_ADAPTER
        plain = self.adapter / ADAPTER_FILE_NAME
        return pickled if pickled.is_file() and not plain.is_file() else plain

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


@dataclass(frozen=True)
class Reconstructor:
    """The AR as its weights tell: its head, and the deepest block that its adapter is in."""

    head: Head
    deepest_block: int | None


def read_folder(path: Path) -> Folder:
    """Read a folder with a trained adapter, in whatever dialect its sidecar is.

    Raises:
        RefusedError: the dialect is known and its pairs cannot be run here, or this one is no pair
            of adapters.
        InputError: no adapter, an unreadable file, or a sidecar in no known dialect.
    """
    context, document = read_contract(path)
    dialect = recognise(document, context)
    if dialect.refusal:
        raise RefusedError(f"{path} is in the dialect {dialect.name!r}: {dialect.refusal}")
    adapter = _adapter_folder(path)
    if not (adapter / CONFIG_FILE_NAME).is_file():
        if dialect in WHOLE_MODELS:
            raise RefusedError(
                f"{path} is in the dialect {dialect.name!r}: a fully fine-tuned model, with no"
                f" {CONFIG_FILE_NAME}, so it is no adapter",
                hint="only pairs of LoRA adapters are released here",
            )
        raise InputError(
            f"{path} ({dialect.name}) holds no {CONFIG_FILE_NAME}, so it is no adapter",
            hint="a fully fine-tuned model has none; only LoRA adapters are released here",
        )
    config = parse(AdapterConfig, read_json(adapter / CONFIG_FILE_NAME), adapter / CONFIG_FILE_NAME)
    folder = Folder(path, context, dialect, document, config)
    if not folder.weights.is_file():
        raise WeightsError(f"{folder.weights} does not exist")
    return folder


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


def read_reconstructor(folder: Path) -> Reconstructor:
    """What the headers of an AR's two safetensors files say.

    Raises:
        WeightsError: one is missing or damaged, or the head is not the AR's.
    """
    blocks = [
        int(match[1])
        for name in read_header(folder / ADAPTER_FILE_NAME)
        if (match := _BLOCK.search(name))
    ]
    return Reconstructor(read_head(folder / HEAD_FILE_NAME), max(blocks, default=None))


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
    document = read_json(path, limit=MAX_YAML_BYTES) if path.suffix == ".json" else read_yaml(path)
    if not isinstance(document, dict):
        raise SidecarError(f"{path} must hold a mapping, found {type(document).__name__}")
    carried: dict[str, Any] = plain(document, str(path))
    return carried
