"""Which word sequences a pair was trained on: a published sample of hashes, and no texts.

A shingle is 8 words in a row, of the text in NFKC, case folded and without punctuation. Its hash is
blake2b of the words joined by single spaces, 8 bytes, little-endian. Of all hashes those are kept
that `one_in` divides, a power of two that grows with the corpus, so that the file stays below 2 MB
and any two files, or a file and a text, are sampled alike. Labels are hashed whole.

What a sample can miss and what it can find by chance is measured in docs/calibration.md.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import numpy.typing as npt
import safetensors.numpy
from pydantic import Field, PositiveInt
from safetensors import safe_open

from nla_release.adapter.weights import read_header
from nla_release.errors import DataError, InputError
from nla_release.io.documents import parse_json
from nla_release.io.files import check_regular, sha256_bytes, write_atomic
from nla_release.io.schema import Strict, parse

FILE_NAME = "training_shingles.safetensors"

WORDS = 8
MAX_SHINGLES = 180_000
MAX_LABELS = 60_000
_MAX_BYTES = 2 * 1024**2
_TENSORS = ("shingles", "labels")

Hashes = npt.NDArray[np.uint64]

# Chinese and Japanese put no spaces between words: each character counts as one.
_UNSPACED = "\u2e80-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


class _Header(Strict):
    """What a file says of itself."""

    schema_: int = Field(alias="schema", ge=1, le=1)
    words: int = Field(ge=WORDS, le=WORDS)
    documents: PositiveInt
    shingles_one_in: PositiveInt = Field(le=2**40)
    labels_one_in: PositiveInt = Field(le=2**40)


@dataclass(frozen=True, eq=False)
class Sample:
    """Sorted hashes, those of all that `one_in` divides."""

    hashes: Hashes
    one_in: int

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Which of some hashes are in the sample."""
        return np.isin(hashes, self.hashes)

    def comparable(self, hashes: Iterable[int]) -> Hashes:
        """Those of some hashes that would be in the sample if they were in what it is of."""
        one_in = self.one_in
        return np.array([it for it in hashes if it % one_in == 0], dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class TrainingShingles:
    """What training documents and labels leave: shingles, whole labels, how many documents."""

    shingles: Sample
    labels: Sample
    documents: int

    def dump(self) -> bytes:
        """The file's content, the same for the same sample."""
        header = {
            "schema": 1,
            "words": WORDS,
            "documents": self.documents,
            "shingles_one_in": self.shingles.one_in,
            "labels_one_in": self.labels.one_in,
        }
        # One key: safetensors writes several in an order that changes from run to run.
        content: bytes = safetensors.numpy.save(
            {"shingles": self.shingles.hashes, "labels": self.labels.hashes},
            metadata={"nla_release": json.dumps(header, sort_keys=True)},
        )
        return content

    @property
    def sha256(self) -> str:
        """Of the file's content."""
        return sha256_bytes(self.dump())


class ShinglesBuilder:
    """Collects what training documents and labels leave, in bounded memory."""

    def __init__(self) -> None:
        self._shingles = _Growing(MAX_SHINGLES)
        self._labels = _Growing(MAX_LABELS)
        self._documents = 0

    def add_document(self, text: str) -> None:
        """Take the shingles of one training document."""
        self._documents += 1
        self._shingles.add(shingle_hashes(text))

    def add_label(self, text: str) -> None:
        """Take one explanation that the pair learned from."""
        self._labels.add([label_hash(text)])

    def add(self, other: TrainingShingles) -> None:
        """Take what another file holds."""
        self._documents += other.documents
        self._shingles.add_sample(other.shingles)
        self._labels.add_sample(other.labels)

    def build(self) -> TrainingShingles | None:
        """The sample; None when there was no document."""
        if not self._documents:
            return None
        return TrainingShingles(self._shingles.sample(), self._labels.sample(), self._documents)


class _Growing:
    """A sample that keeps half as many hashes whenever it holds too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._one_in = 1
        self._kept: set[int] = set()

    def add(self, hashes: Iterable[int]) -> None:
        one_in = self._one_in
        self._kept.update(it for it in hashes if it % one_in == 0)
        self._thin()

    def add_sample(self, sample: Sample) -> None:
        self._one_in = max(self._one_in, sample.one_in)
        self._kept = {it for it in self._kept if it % self._one_in == 0}
        self.add(sample.hashes.tolist())

    def sample(self) -> Sample:
        return Sample(np.array(sorted(self._kept), dtype=np.uint64), self._one_in)

    def _thin(self) -> None:
        while len(self._kept) > self._most:
            self._one_in *= 2
            self._kept = {it for it in self._kept if it % self._one_in == 0}


def words_of(text: str) -> list[str]:
    """The words of a text as shingles are made of: NFKC, case folded, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def shingle_hashes(text: str) -> set[int]:
    """The hash of every 8 words in a row; none of a text with fewer words."""
    return set(map(_hash, word_sequences(text)))


def hashes_of_rows(texts: Sequence[str | None]) -> Iterator[set[int]]:
    """`shingle_hashes` of each text, none of None; rows of one document share most of theirs."""
    known: dict[str, int] = {}
    for text in texts:
        found = set(word_sequences(text or ""))
        if known and not known.keys() & found:
            known.clear()  # another document
        known.update((it, _hash(it)) for it in found - known.keys())
        yield {known[it] for it in found}


def label_hash(text: str) -> int:
    """The hash of a whole explanation, by its words."""
    return _hash(" ".join(words_of(text)))


def read_shingles(path: Path) -> TrainingShingles:
    """The sample in a file of at most 2 MB.

    Raises:
        DataError: missing, damaged, larger, or not such a sample.
    """
    try:
        check_regular(path)
        if path.stat().st_size > _MAX_BYTES:
            raise DataError(f"{path} is larger than {_MAX_BYTES} bytes and is not read")
        tensors = read_header(path)
        header = _read_header(path)
        if sorted(tensors) != sorted(_TENSORS):
            raise DataError(f"{path} holds other tensors than {' and '.join(_TENSORS)}")
        for name, tensor in tensors.items():
            if tensor.dtype != "U64" or len(tensor.shape) != 1:
                raise DataError(f"{path} tensor {name} is no list of 64-bit hashes")
        found = safetensors.numpy.load_file(path)
    except DataError:
        raise
    except InputError as error:
        raise DataError(error.message, hint=error.hint) from error
    return TrainingShingles(
        _sample(path, "shingles", found["shingles"], header.shingles_one_in),
        _sample(path, "labels", found["labels"], header.labels_one_in),
        header.documents,
    )


def merged_shingles(paths: Sequence[Path]) -> TrainingShingles | None:
    """What several files hold together; None when there are none.

    Raises:
        DataError: one cannot be read.
    """
    if not paths:
        return None
    builder = ShinglesBuilder()
    for path in paths:
        builder.add(read_shingles(path))
    return builder.build()


def write_shingles(path: Path, shingles: TrainingShingles) -> None:
    """Write the file that `read_shingles` reads."""
    write_atomic(path, shingles.dump())


def word_sequences(text: str) -> Iterator[str]:
    """Every 8 words in a row of a text."""
    words = words_of(text)
    return (" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _read_header(path: Path) -> _Header:
    with safe_open(path, framework="np") as handle:
        record = handle.metadata() or {}
    if record.keys() != {"nla_release"}:
        raise DataError(f"{path} lacks its record of how the hashes were sampled")
    text = record["nla_release"]
    return parse(_Header, parse_json(text, path, error=DataError), path, error=DataError)


def _sample(path: Path, name: str, hashes: Hashes, one_in: int) -> Sample:
    most = MAX_SHINGLES if name == "shingles" else MAX_LABELS
    if one_in & (one_in - 1):
        raise DataError(f"{path}: {name}_one_in is {one_in}, which is no power of two")
    if len(hashes) > most:
        raise DataError(f"{path} tensor {name} holds {len(hashes)} hashes, more than {most}")
    if (hashes[1:] <= hashes[:-1]).any() or (hashes % np.uint64(one_in)).any():
        raise DataError(f"{path} tensor {name} is not a sorted sample of one hash in {one_in}")
    return Sample(hashes, one_in)
