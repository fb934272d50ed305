"""The folder of an adapter that another project trained: sidecar, adapter, head."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_release.adapter.config import AdapterConfig
from nla_release.adapter.weights import Tensor, largest_values, read_header
from nla_release.contract.sidecar import Role
from nla_release.errors import (
    ConfigError,
    InputError,
    RefusedError,
    SidecarError,
    WeightsError,
    printable,
)
from nla_release.hub_client.place import read_place
from nla_release.io.documents import MAX_YAML_BYTES
from nla_release.io.files import MAX_TEXT_BYTES, read_json, read_yaml
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    CARD_FILE,
    HEAD_FILE,
    LICENCE_FILE,
    SIDECAR_FILE,
    TRAINING_LOG_FILE,
)
from nla_release.io.schema import parse
from nla_release.release.folder import ROLES
from nla_release.sidecar_formats.table import REFERENCE_FORMATS, Context, SidecarFormat, recognise
from nla_release.sidecar_formats.values import dig, plain

# Files in which a format keeps its contract, the most specific first.
SIDECAR_NAMES = (SIDECAR_FILE, "nla_meta.json", "nla_config.json", "ar_meta.json")
DATASET_SUFFIX = ".nla_meta.yaml"
INJECT_CONFIG = "inject_config.json"
PICKLE_SUFFIXES = (".pt", ".pth", ".bin", ".pkl")
# What PEFT wrote before it used safetensors.
PICKLED_ADAPTER = "adapter_model.bin"

ROLE_NAMES: dict[str, Role] = {"av": "av", "actor": "av", "ar": "ar", "critic": "ar"}

_RELEASED_HERE = (
    "nla-release supports pairs of LoRA adapters whose AV reads one vector of one layer in place of"
    " one marker's embedding; release this pair with the tool that trained it"
)
_IN_A_COPY = "correct it in a copy of the folder, and give the copy"
_WHOSE = "other tools also write heads under this file name; check that this is the AR's head"
_ORDER = "give the AV's folder first, then the AR's"

_DTYPES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_BLOCK = re.compile(r"\.layers\.(\d{1,4})\.")


# The files of an adapter's folder that are downloaded; pickles are never executed.
_FILES = (
    *SIDECAR_NAMES,
    f"*{DATASET_SUFFIX}",
    INJECT_CONFIG,
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    PICKLED_ADAPTER,
    TRAINING_LOG_FILE,
    HEAD_FILE,
    CARD_FILE,
    f"{LICENCE_FILE}*",
    "*head*.safetensors",
    "*head*.pt",
    "*head*.pth",
    "*head*.bin",
    "*head*.pkl",
)
_FOLDERS = ("", "adapter/", *(f"{role}/{inner}" for role in ROLES for inner in ("", "adapter/")))


@dataclass(frozen=True)
class Source:
    """An adapter's folder; `origin` is its address on the Hub, `namespace/name@COMMIT:FOLDER`."""

    folder: Path
    origin: str | None = None

    def inside(self, name: str) -> "Source":
        """A folder in this one."""
        if self.origin is None:
            return Source(self.folder / name)
        separator = "/" if ":" in self.origin else ":"
        return Source(self.folder / name, f"{self.origin}{separator}{name}")


def find_sources(places: tuple[str, ...], downloads: Path) -> dict[Role, Source]:
    """The folders of AV and AR.

    Args:
        places: two folders or Hub ids, or one that holds `av/` and `ar/`. A Hub id may go on with
            a revision and a folder: `namespace/name@v0.0.1:weights/av`.
        downloads: an empty folder for what comes from the Hub.

    Raises:
        ConfigError: a single place without `av/` and `ar/`, or neither a folder nor a Hub id.
        EnvironmentProblem: the Hub cannot be reached, or has no such repository or revision.
    """
    found = [_source(place, downloads / str(at)) for at, place in enumerate(places)]
    if len(found) == 2:
        return {"av": found[0], "ar": found[1]}
    if not all((found[0].folder / role).is_dir() for role in ROLES):
        raise ConfigError(
            f"{places[0]} does not contain av/ and ar/", hint="give the AV's and the AR's folder"
        )
    return {role: found[0].inside(role) for role in ROLES}


def _source(place: str, target: Path) -> Source:
    if (path := Path(place)).is_dir():
        return Source(path)
    from nla_release.hub_client.reader import fetch

    names = [f"{folder}{name}" for folder in _FOLDERS for name in _FILES]
    found = fetch(read_place(place), names, target)
    source = Source(target / found.inside, str(found))
    if not source.folder.is_dir():
        raise ConfigError(f"{source.origin} has no files of an adapter")
    return source


@dataclass(frozen=True)
class Folder:
    """One adapter's folder, read; `document` is its sidecar, empty when it has none."""

    path: Path
    context: Context
    format: SidecarFormat
    document: dict[str, Any]
    config: AdapterConfig

    @property
    def adapter(self) -> Path:
        """The folder of the adapter's own files: this one, or `adapter/` in it."""
        return _adapter_folder(self.path)

    @property
    def weights(self) -> Path:
        """The file of the adapter's tensors: safetensors, or a pickle to be converted."""
        pickled = self.adapter / PICKLED_ADAPTER
        plain = self.adapter / ADAPTER_FILE
        return pickled if pickled.is_file() and not plain.is_file() else plain

    def text(self, key: str) -> str | None:
        """The text under a top-level key of the sidecar; None when there is none."""
        value = self.document.get(key)
        return value if isinstance(value, str) and value else None

    @property
    def where(self) -> str:
        """The sidecar's path for messages, or the folder's when it has none."""
        return str(self.path / self.context.file if self.context.file else self.path)


@dataclass(frozen=True)
class ArWeights:
    """What the headers of an AR's files say: its linear head, and how deep its adapter reaches.

    `shape`, `bias` (whether there is one) and `dtype` are the head's; `deepest_block` is the last
    block where the adapter is not zero.
    """

    shape: tuple[int, int]
    bias: bool
    dtype: str
    deepest_block: int | None


def read_folder(path: Path) -> Folder:
    """Read a folder with a trained adapter, in whatever format its sidecar is.

    Raises:
        RefusedError: the format is known and its pairs cannot be run here, or this one is no pair
            of adapters.
        InputError: no adapter, an unreadable file, or a sidecar in no known format.
    """
    context, document = read_contract(path)
    try:
        found = recognise(document, context)
    except SidecarError as error:
        raise SidecarError(f"{path}: {error.message}", hint=error.hint) from error
    if found.refusal:
        raise RefusedError(
            f"{path} is in the format {found.name!r}: {found.refusal}", hint=_RELEASED_HERE
        )
    adapter = _adapter_folder(path)
    if not (adapter / ADAPTER_CONFIG_FILE).is_file():
        if found in REFERENCE_FORMATS:
            raise RefusedError(
                f"{path} is in the format {found.name!r}: a fully fine-tuned model, with no"
                f" {ADAPTER_CONFIG_FILE}, so it is not an adapter",
                hint=_RELEASED_HERE,
            )
        raise InputError(
            f"{path} ({found.name}) holds no {ADAPTER_CONFIG_FILE}, so it is not an adapter",
            hint="a fully fine-tuned model has none; nla-release supports only LoRA adapters",
        )
    options = adapter / ADAPTER_CONFIG_FILE
    config = parse(AdapterConfig, _document(options), options, hint=_IN_A_COPY)
    folder = Folder(path, context, found, document, config)
    if not folder.weights.is_file():
        raise WeightsError(
            f"{folder.weights} does not exist",
            hint=f"get the adapter's weights: {ADAPTER_FILE}, or {PICKLED_ADAPTER}",
        )
    return folder


def check_roles(av: Folder, ar: Folder) -> None:
    """Check that AV and AR were given in the right order.

    Raises:
        SidecarError: a sidecar is the other role's.
        WeightsError: the head, which only an AR has, is the AV's.
    """
    expected: tuple[tuple[Role, Folder], ...] = (("av", av), ("ar", ar))
    for role, folder in expected:
        said = dig(folder.document, "role")
        if isinstance(said, str) and ROLE_NAMES.get(said, role) != role:
            raise SidecarError(
                f"{folder.where}: role is {said}, expected {role}; are AV and AR swapped?",
                hint=_ORDER,
            )
    if _heads(av.path) and not _heads(ar.path):
        raise WeightsError(
            f"{ar.path} has no head and {av.path} has one, but only an AR has a head; are AV and"
            " AR swapped?",
            hint=_ORDER,
        )


def read_contract(path: Path) -> tuple[Context, dict[str, Any]]:
    """The sidecar of a folder with its context; an empty document when it has none.

    Raises:
        InputError: no such folder, or a sidecar that cannot be read.
    """
    if not path.is_dir():
        raise InputError(f"{path} is not a folder", hint="give the folder of a trained adapter")
    names = frozenset(entry.name for entry in path.iterdir())
    datasets = sorted(name for name in names if name.endswith(DATASET_SUFFIX))
    file = next((name for name in (*SIDECAR_NAMES, *datasets) if name in names), None)
    inject = _mapping(path / INJECT_CONFIG) if INJECT_CONFIG in names else {}
    return Context(file, names, inject), _mapping(path / file) if file else {}


def head_source(path: Path) -> Path:
    """The AR's head file: `value_head.safetensors`, or the one file of tensors named `*head*`.

    Raises:
        WeightsError: there is none, or several.
    """
    heads = _heads(path)
    if len(heads) != 1:
        found = ", ".join(entry.name for entry in heads) or "none"
        raise WeightsError(
            f"{path}: expected {HEAD_FILE} or one file named *head*, found {found}",
            hint="the AR ends in a linear head: a .safetensors or .pt file whose name has `head` in"
            " it; keep the one that belongs to this adapter",
        )
    return heads[0]


def head_tensors(path: Path, original: Path) -> dict[str, Tensor]:
    """The tensors of a head by the names that a release gives them: `weight`, and maybe `bias`.

    Args:
        path: of the head in safetensors.
        original: its file in the folder that was given, for messages.

    Raises:
        WeightsError: it holds other tensors.
    """
    tensors = read_header(path)
    found = {name.rpartition(".")[2]: tensor for name, tensor in tensors.items()}
    if len(tensors) == 1 and len(next(iter(tensors.values())).shape) == 2:
        found = {"weight": next(iter(tensors.values()))}
    if len(found) < len(tensors) or found.keys() - {"bias"} != {"weight"}:
        raise WeightsError(
            f"{original} holds {printable(', '.join(sorted(tensors))) or 'nothing'}, expected"
            " weight (and bias)",
            hint=_WHOSE,
        )
    return found


def read_ar_weights(folder: Folder, converted: Path) -> ArWeights:
    """What the headers of an AR's adapter and head say.

    Args:
        folder: the AR's; messages name its files.
        converted: where its weights are as safetensors.

    Raises:
        WeightsError: one is missing or damaged, or the head is not square, or not the AR's.
    """
    original = head_source(folder.path)
    tensors = head_tensors(converted / HEAD_FILE, original)
    weight = tensors["weight"]
    if len(weight.shape) != 2 or weight.shape[0] != weight.shape[1]:
        raise WeightsError(
            f"{original}: weight has shape {list(weight.shape)}, expected [d, d]", hint=_WHOSE
        )
    if weight.dtype not in _DTYPES:
        raise WeightsError(
            f"{original}: {weight.name} is {weight.dtype}, expected a float", hint=_WHOSE
        )
    adapter = converted / ADAPTER_FILE if _is_pickle(folder.weights) else folder.weights
    return ArWeights(
        (weight.shape[0], weight.shape[1]),
        "bias" in tensors,
        _DTYPES[weight.dtype],
        _deepest_block(adapter),
    )


def _deepest_block(weights: Path) -> int | None:
    """The deepest block that the adapter changes; a LoRA whose B is zero changes nothing."""
    changing = [
        int(match[1])
        for name, value in largest_values(weights).items()
        if value and ".lora_A." not in name and (match := _BLOCK.search(name))
    ]
    return max(changing, default=None)


def _heads(path: Path) -> list[Path]:
    """The head under its usual name, or every file of tensors with `head` in its name."""
    if (path / HEAD_FILE).is_file():
        return [path / HEAD_FILE]
    named = sorted(entry for entry in path.iterdir() if "head" in entry.name.casefold())
    plain = [entry for entry in named if entry.is_file() and entry.suffix == ".safetensors"]
    stems = {entry.stem for entry in plain}
    return plain + [entry for entry in named if _is_pickle(entry) and entry.stem not in stems]


def _is_pickle(path: Path) -> bool:
    return path.is_file() and path.suffix in PICKLE_SUFFIXES


def _adapter_folder(path: Path) -> Path:
    inner = path / "adapter"
    return inner if (inner / ADAPTER_CONFIG_FILE).is_file() else path


def _mapping(path: Path) -> dict[str, Any]:
    document = _document(path, limit=MAX_YAML_BYTES)
    if not isinstance(document, dict):
        raise SidecarError(f"{path} must hold a mapping of keys to values", hint=_IN_A_COPY)
    try:
        carried: dict[str, Any] = plain(document, str(path))
    except SidecarError as error:
        raise SidecarError(error.message, hint=_IN_A_COPY) from error
    return carried


def _document(path: Path, *, limit: int = 16 * MAX_TEXT_BYTES) -> Any:
    try:
        return read_json(path, limit=limit) if path.suffix == ".json" else read_yaml(path)
    except InputError as error:
        raise InputError(error.message, hint=_IN_A_COPY) from error
