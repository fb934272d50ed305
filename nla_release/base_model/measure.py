"""Measuring a base from a few kilobytes of it: its headers, and a sample of its embedding.

`base_facts` measures the base of a release once, and keeps the result as base.json.
"""

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.adapter.weights import Tensor
from nla_release.base_model.facts import (
    BaseFacts,
    EmbeddingFacts,
    dump_base_facts,
    read_base_facts,
)
from nla_release.base_model.source import (
    CARD,
    CONFIG,
    INDEX,
    WEIGHTS,
    BaseFiles,
    Index,
    base_files,
    json_of,
    text_of,
)
from nla_release.errors import EnvironmentProblem, InputError, WeightsError
from nla_release.hub_client.card_metadata import check_card
from nla_release.io.documents import parse_json
from nla_release.io.files import refuse_lfs_pointer, write_atomic
from nla_release.io.layout import BASE_FILE
from nla_release.io.schema import Open, parse
from nla_release.release.folder import Release

# The first request's length: nearly every header is shorter (huggingface_hub#1855).
_FIRST_BYTES = 100_000
# The Hub client's limit for the header of one file; here, for those of all shards together.
_MAX_HEADER_BYTES = 25_000_000
# An index names every tensor: 9 MB for the largest mixtures of experts.
_MAX_INDEX_BYTES = 32 * 1024 * 1024

_SHARD = re.compile(r"[\w-][\w.-]*\.safetensors")


class _Entry(Open):
    dtype: str
    shape: tuple[NonNegativeInt, ...]
    data_offsets: tuple[NonNegativeInt, NonNegativeInt]


@dataclass(frozen=True)
class Stored:
    """A tensor, and the file that it is in."""

    file: str
    tensor: Tensor


def read_checkpoint(files: BaseFiles) -> dict[str, Stored]:
    """Every tensor by name, with its file and byte range.

    Raises:
        InputError: the checkpoint is not in safetensors, its index is damaged, or a shard missing.
        WeightsError: a header is damaged or too large.
        NlaReleaseError: a file cannot be reached.
    """
    left = _MAX_HEADER_BYTES
    tensors = {}
    for file, size in _weight_files(files):
        header = _header(files, file, size, left)
        left -= len(header)
        for tensor in _tensors(header, files.place(file), size):
            tensors[tensor.name] = Stored(file, tensor)
    return tensors


def _weight_files(files: BaseFiles) -> Iterator[tuple[str, int]]:
    """The checkpoint's files and their sizes: one, or the shards that the index names."""
    if (size := files.size(WEIGHTS)) is not None:
        yield WEIGHTS, size
        return
    if files.size(INDEX) is None:
        raise InputError(
            f"{files.place(WEIGHTS)} does not exist, and neither does {INDEX}",
            hint="the base's weights must be safetensors; set base_path to a copy that is",
        )
    index = parse(Index, json_of(files, INDEX, limit=_MAX_INDEX_BYTES), files.place(INDEX))
    for name in sorted(index.shards):
        if not _SHARD.fullmatch(name):
            raise InputError(f"{files.place(INDEX)} names a shard {name[:80]!r}, not a valid name")
        if (size := files.size(name)) is None:
            raise InputError(f"{files.place(name)} does not exist, and the index names it")
        yield name, size


def _header(files: BaseFiles, file: str, size: int, limit: int) -> bytes:
    """A safetensors file's header: 8 bytes of length, little-endian, then JSON of that length."""
    first = files.read(file, 0, min(size, _FIRST_BYTES))
    refuse_lfs_pointer(first, files.place(file))
    length = int.from_bytes(first[:8], "little")
    if len(first) < 8 or length > size - 8:
        raise WeightsError(
            f"{files.place(file)} is not a complete safetensors file: {size} bytes, with a header"
            f" of {length}"
        )
    if length > limit:
        raise WeightsError(
            f"{files.place(file)} has a header of {length} bytes, which is not read: the limit for"
            f" a checkpoint is {_MAX_HEADER_BYTES}"
        )
    if length > len(first) - 8:
        first += files.read(file, len(first), 8 + length - len(first))
    return first[8 : 8 + length]


def _tensors(header: bytes, where: str, size: int) -> Iterator[Tensor]:
    """The tensors of a header, all within the file's `size` bytes."""
    entries = parse_json(header, f"{where}: the header", error=WeightsError)
    if not isinstance(entries, dict):
        raise WeightsError(f"{where}: the header is not a mapping of tensors")
    entries.pop("__metadata__", None)
    data = 8 + len(header)
    for name, value in entries.items():
        entry = parse(_Entry, value, f"{where}: tensor {name[:200]}", error=WeightsError)
        start, stop = (data + offset for offset in entry.data_offsets)
        if not start <= stop <= size:
            raise WeightsError(f"{where}: tensor {name[:200]} is outside of the file")
        yield Tensor(name, entry.dtype, entry.shape, start, stop)


# A run of 64 rows at a random place in each sixteenth of the vocabulary: sixteen short requests.
SEED = 0
_BLOCKS = 16
_BLOCK_ROWS = 64

_MAX_WIDTH = 65_536

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}

# Names of the input embedding in the architectures.
_INPUT_EMBEDDINGS = {"embed_tokens", "embed_in", "word_embeddings", "wte"}
# Any table that is looked up by an index, of tokens or positions: 2-D, but not a linear map.
_LOOKUP = re.compile(
    r"(?:\w*_)?embeddings?|embed_tokens\w*|embed_positions|embed_in|wte|wpe|relative_attention_bias"
)
# How GPTQ, AWQ and compressed-tensors name a packed weight; bitsandbytes keeps the name.
_PACKED = re.compile(r"\.(?:qweight|weight_packed)$")


# The value of num_kv_shared_layers in transformers if config.json does not give it.
KV_SHARED_BY_DEFAULT = {"gemma3n": 15, "gemma3n_text": 15}

_WHOLE = "download the base again: config.json and every file of its weights, as they are"


class _Numbers(Open):
    model_type: str | None = None
    hidden_size: PositiveInt | None = Field(default=None, le=_MAX_WIDTH)
    num_hidden_layers: PositiveInt | None = Field(default=None, le=10_000)
    vocab_size: PositiveInt | None = None
    num_kv_shared_layers: NonNegativeInt | None = None


class _Config(_Numbers):
    """A base's config.json; a multimodal model has the text model's numbers in a block."""

    model_type: str
    architectures: list[str] | None = None
    text_config: _Numbers | None = None


def base_facts(release: Release) -> BaseFacts:
    """The facts of a release's base, from base.json or measured and written there.

    Raises:
        ConfigError: base_revision is not a commit.
        InputError: base.json is damaged, or the base is.
        EnvironmentProblem: neither base_path nor the Hub client's cache has the base, and the Hub
            cannot be reached or refuses; or base.json cannot be written.
    """
    config = release.config
    if (release.folder / BASE_FILE).exists():
        kept = read_base_facts(release.folder)
        if (kept.id, kept.revision) == (config.base_model, config.base_revision):
            return kept
    return _measure_and_write(release)


def measure_again(release: Release) -> tuple[BaseFacts | None, BaseFacts]:
    """Measure the base and write base.json; returns the facts from before, if readable, and now.

    Raises:
        NlaReleaseError: as `base_facts`.
    """
    try:
        before = read_base_facts(release.folder)
    except InputError:  # missing or damaged: it is written again
        before = None
    return before, _measure_and_write(release)


def _measure_and_write(release: Release) -> BaseFacts:
    config = release.config
    facts = measure_base(config.base_model, config.base_revision, release.base_path)
    write_atomic(release.folder / BASE_FILE, dump_base_facts(facts))
    return facts


def measure_base(base: str, revision: str, folder: Path | None = None) -> BaseFacts:
    """The facts of a base, read from a local copy or in ranges from the Hub, with equal results.

    Args:
        base: Hub id.
        revision: the commit.
        folder: a local copy of it; without one, the client's cache and then the Hub are read.

    Raises:
        ConfigError: the revision is not a commit, or the base's repository does not have it.
        InputError: a file is missing, damaged, or has the wrong format.
        EnvironmentProblem: the Hub cannot be reached, or refuses.
    """
    files = base_files(base, revision, folder)
    try:
        return _facts(base, revision, files)
    except InputError as error:
        raise type(error)(error.message, hint=error.hint or _WHOLE) from error
    except EnvironmentProblem as error:
        if folder is None:
            raise
        message = f"base_path {folder} holds no {WEIGHTS}, and {error.message}"
        raise EnvironmentProblem(message, hint=error.hint) from error


def _facts(base: str, revision: str, files: BaseFiles) -> BaseFacts:
    config = parse(_Config, json_of(files, CONFIG), files.place(CONFIG))
    numbers = config.text_config or config
    if numbers.num_hidden_layers is None:
        raise InputError(f"{files.place(CONFIG)} does not contain num_hidden_layers")
    stored = read_checkpoint(files)
    embedding = _input_embedding(files, stored, numbers.hidden_size)
    vocabulary, width = embedding.tensor.shape
    family = numbers.model_type or config.model_type
    return BaseFacts(
        schema_=1,
        id=base,
        revision=revision,
        model_type=config.model_type,
        architectures=config.architectures or [],
        hidden_size=width,
        num_hidden_layers=numbers.num_hidden_layers,
        vocab_size=numbers.vocab_size or vocabulary,
        license=_license(files),
        embedding=_measure(files, embedding, embedding_scale(family, width)),
        modules=(modules := dict(_modules(stored))),
        tensors={
            name: stored[name].tensor.shape
            for name in sorted(stored)
            if _PACKED.sub("", name.removesuffix(".weight")) not in modules
        },
        kv_shared_layers=_kv_shared_layers(numbers, family),
    )


def _kv_shared_layers(numbers: _Numbers, family: str) -> int:
    """How many of the last blocks reuse keys and values of earlier ones; never all of them."""
    default = KV_SHARED_BY_DEFAULT.get(family, 0)
    shared = default if numbers.num_kv_shared_layers is None else numbers.num_kv_shared_layers
    return shared if shared < (numbers.num_hidden_layers or 0) else 0


def embedding_scale(model_type: str, width: int) -> float:
    """The factor of an architecture's embedding layer.

    sqrt(width) in the Gemma family (`Gemma3TextScaledWordEmbedding` and its like in transformers,
    rounded there to the dtype of the weights), 1 elsewhere.
    """
    return math.sqrt(width) if "gemma" in model_type else 1.0


def sampled_blocks(rows: int, seed: int) -> list[tuple[int, int]]:
    """First row and the row after the last, of each run of rows that is read."""
    edges = [rows * block // _BLOCKS for block in range(_BLOCKS + 1)]
    random = np.random.default_rng(seed)
    blocks = []
    for low, high in itertools.pairwise(edges):
        start = low + int(random.integers(max(high - low - _BLOCK_ROWS, 0) + 1))
        blocks.append((start, min(start + _BLOCK_ROWS, high)))
    return [(start, stop) for start, stop in blocks if start < stop]


def _measure(files: BaseFiles, stored: Stored, scale: float) -> EmbeddingFacts:
    """The mean norm of the sampled rows.

    The standard error is that of the runs' means, because neighbours in a vocabulary are similar;
    it is zero when every row was read.
    """
    vocabulary = stored.tensor.shape[0]
    blocks = sampled_blocks(vocabulary, SEED)
    with np.errstate(over="ignore"):  # what overflows is infinite, and refused below
        norms = [scale * np.linalg.norm(_rows(files, stored, *it), axis=1) for it in blocks]
    rows = sum(len(each) for each in norms)
    mean = float(np.concatenate(norms).mean())
    if not 0 < mean < math.inf:
        raise WeightsError(
            f"{files.place(stored.file)}: the mean norm of {stored.tensor.name} is {mean}",
            hint="its rows hold zeros, NaN or infinity; is this the whole, trained checkpoint?",
        )
    spread = float(np.std([each.mean() for each in norms], ddof=1)) if rows < vocabulary else 0.0
    return EmbeddingFacts(
        tensor=stored.tensor.name,
        vocabulary=vocabulary,
        rows=rows,
        seed=SEED,
        scale=scale,
        norm_mean=_six_digits(mean),
        norm_error=_six_digits(spread / math.sqrt(len(norms))),
    )


def _rows(files: BaseFiles, stored: Stored, start: int, stop: int) -> npt.NDArray[np.float64]:
    """Rows of a matrix, `[stop - start, width]`."""
    width, dtype = stored.tensor.shape[1], np.dtype(_DTYPES[stored.tensor.dtype])
    row_bytes = width * dtype.itemsize
    at, length = stored.tensor.start + start * row_bytes, (stop - start) * row_bytes
    raw = np.frombuffer(files.read(stored.file, at, length), dtype)
    if stored.tensor.dtype == "BF16":  # the upper half of a float32
        raw = (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.reshape(-1, width).astype(np.float64)


def _input_embedding(files: BaseFiles, stored: dict[str, Stored], width: int | None) -> Stored:
    """The one matrix `[vocabulary, width]` that is named like an input embedding."""
    found = [
        each
        for name, each in stored.items()
        if _last(name.removesuffix(".weight")) in _INPUT_EMBEDDINGS
        and len(shape := each.tensor.shape) == 2
        and (width is None or shape[1] == width)
    ]
    if len(found) != 1:
        names = ", ".join(each.tensor.name for each in found[:4])
        raise WeightsError(
            f"{files.place(WEIGHTS)}: expected one input embedding of width {width},"
            f" found {names or 'none'}"
        )
    tensor, where = found[0].tensor, files.place(found[0].file)
    rows, width = tensor.shape
    if tensor.dtype not in _DTYPES:
        raise WeightsError(
            f"{where}: {tensor.name} has dtype {tensor.dtype}"
            f"{' (8-bit floating point)' if tensor.dtype.startswith('F8') else ''}, expected a"
            " float of 16 bits or more",
            hint="set base_path to a checkpoint whose embedding is not quantised",
        )
    if not (0 < width <= _MAX_WIDTH and rows > 0):
        raise WeightsError(f"{where}: {tensor.name} has the shape [{rows}, {width}]")
    if (needed := rows * width * np.dtype(_DTYPES[tensor.dtype]).itemsize) != (
        length := tensor.stop - tensor.start
    ):
        raise WeightsError(
            f"{where}: {tensor.name} is [{rows}, {width}] {tensor.dtype} and needs {needed} bytes,"
            f" the header gives it {length}"
        )
    return found[0]


def _modules(stored: dict[str, Stored]) -> Iterator[tuple[str, tuple[int, int] | None]]:
    """Every linear module: its name, and its shape if the checkpoint shows it."""
    for name in sorted(stored):
        tensor = stored[name].tensor
        if _PACKED.search(name):
            yield _PACKED.sub("", name), None
        elif name.endswith(".weight") and len(tensor.shape) == 2 and 0 not in tensor.shape:
            module = name.removesuffix(".weight")
            if not _LOOKUP.fullmatch(_last(module)):
                # bitsandbytes packs two 4-bit numbers into a byte, in one column.
                yield module, None if tensor.dtype == "U8" else (tensor.shape[0], tensor.shape[1])


def _license(files: BaseFiles) -> str | None:
    """The licence in the card's front matter; None when there is no card or no licence."""
    card = text_of(files, CARD)
    named = check_card(card).metadata.get("license") if card is not None else None
    return named if isinstance(named, str) else None


def _last(module: str) -> str:
    return module.rpartition(".")[2]


def _six_digits(value: float) -> float:
    """Rounded so that machines that add in another order give the same document."""
    return float(f"{value:.6g}")
