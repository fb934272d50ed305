"""What a pair was trained on, without the texts: a list of documents, and a sample of shingles.

`training_documents.jsonl` has one document per line: its `id`, and the `sha256` of its text as
`text_digest` computes it. `nla-release train build` writes it next to the training data.

`training_shingles.safetensors` is a sample of hashed shingles. A shingle is 8 consecutive words of
a text in NFKC, case folded and without punctuation. Its hash is the 8-byte blake2b digest of the
words joined by single spaces, read as little-endian. The sample keeps the hashes divisible by
`one_in`, a power of two that grows with the corpus. So the file stays below 2 MB, and any two
samples can be compared. Labels are hashed whole.

docs/calibration.md reports how much overlap a sample misses, and how much it finds by chance.
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
from nla_release.evidence.records import Name, Sha256, TrainingOverlap
from nla_release.io.documents import parse_json
from nla_release.io.files import check_regular, read_text, sha256_bytes, write_atomic
from nla_release.io.schema import Open, Strict, parse

_MAX_LIST_BYTES = 2 * 1024**3

WORDS = 8
MAX_SHINGLES = 180_000
MAX_LABELS = 60_000
_MAX_SHINGLES_BYTES = 2 * 1024**2


_TENSORS = ("shingles", "labels")

Hashes = npt.NDArray[np.uint64]

# Chinese and Japanese put no spaces between words: each character counts as one.
_UNSPACED = "\u2e80-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


class TrainingDocument(Open):
    """One line of a list."""

    id: Name
    sha256: Sha256


def text_digest(text: str) -> str:
    """Hex sha256 of a normalised text: NFKC, case folded, white space collapsed and stripped."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return sha256_bytes(" ".join(folded.split()).encode())


def write_training_documents(path: Path, documents: Iterable[tuple[str, str]]) -> None:
    """Write the list of these documents, each `(id, text)`."""
    lines = (
        json.dumps({"id": name, "sha256": text_digest(text)}, ensure_ascii=False) + "\n"
        for name, text in documents
    )
    write_atomic(path, "".join(lines))


def training_overlap(
    lists: Sequence[Path],
    *,
    ids: Sequence[str],
    documents: Sequence[str],
    digests: Sequence[str | None],
) -> TrainingOverlap:
    """Which rows and documents of the evaluation are in the training documents, by id and text.

    There is at least one list. `ids` and `documents` are those of the rows, `digests` the
    `text_digest` of each row's whole document, None where it is not known.

    Raises:
        DataError: a list cannot be read, or they hold no document.
    """
    texts = [read_text(path, limit=_MAX_LIST_BYTES) for path in lists]
    trained = [
        _document(line, f"{path} line {number}")
        for path, text in zip(lists, texts, strict=True)
        for number, line in enumerate(text.removesuffix("\n").split("\n") if text else [], start=1)
    ]
    if not trained:
        raise DataError(f"{', '.join(map(str, lists))}: no training documents are listed")
    trained_ids = {document.id for document in trained}
    trained_texts = {document.sha256 for document in trained}
    return TrainingOverlap(
        sha256=_digest(texts),
        documents=len(trained),
        ids_overlapping=sorted(trained_ids & set(documents)),
        texts_overlapping=[
            name for name, digest in zip(ids, digests, strict=True) if digest in trained_texts
        ],
        texts_compared=sum(digest is not None for digest in digests),
    )


def lists_digest(lists: Sequence[Path]) -> str:
    """The sha256 that `training_overlap` records for these lists.

    Raises:
        InputError: a list cannot be read.
    """
    return _digest([read_text(path, limit=_MAX_LIST_BYTES) for path in lists])


def _digest(texts: Sequence[str]) -> str:
    return sha256_bytes("".join(texts).encode())


def _document(line: str, where: str) -> TrainingDocument:
    return parse(TrainingDocument, parse_json(line, where, error=DataError), where, error=DataError)


class _Header(Strict):
    """The metadata of a sample file."""

    schema_: int = Field(alias="schema", ge=1, le=1)
    words: int = Field(ge=WORDS, le=WORDS)
    documents: PositiveInt
    shingles_one_in: PositiveInt = Field(le=2**40)
    labels_one_in: PositiveInt = Field(le=2**40)


@dataclass(frozen=True, eq=False)
class Sample:
    """The sorted hashes that are divisible by `one_in`."""

    hashes: Hashes
    one_in: int

    def holds(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Whether each hash is in the sample."""
        return np.isin(hashes, self.hashes)

    def comparable(self, hashes: Iterable[int]) -> Hashes:
        """The hashes that the sample would contain if the training texts contained them."""
        one_in = self.one_in
        return np.array([it for it in hashes if it % one_in == 0], dtype=np.uint64)


@dataclass(frozen=True, eq=False)
class TrainingShingles:
    """Samples of the shingles and the labels of so many training documents."""

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
    """Builds `TrainingShingles` in bounded memory."""

    def __init__(self) -> None:
        self._shingles = _Growing(MAX_SHINGLES)
        self._labels = _Growing(MAX_LABELS)
        self._documents = 0

    def add_document(self, text: str) -> None:
        """Add the shingles of one training document."""
        self._documents += 1
        self._shingles.add(shingle_hashes(text))

    def add_label(self, text: str) -> None:
        """Add one explanation that the pair was trained on."""
        self._labels.add([label_hash(text)])

    def add(self, other: TrainingShingles) -> None:
        """Add the samples of another file."""
        self._documents += other.documents
        self._shingles.add_sample(other.shingles)
        self._labels.add_sample(other.labels)

    def build(self) -> TrainingShingles | None:
        """The sample; None when there was no document."""
        if not self._documents:
            return None
        return TrainingShingles(self._shingles.sample(), self._labels.sample(), self._documents)


class _Growing:
    """A sample that halves its sampling rate whenever it holds too many hashes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._one_in = 1
        self._kept: set[int] = set()

    def add(self, hashes: Iterable[int]) -> None:
        one_in = self._one_in
        self._kept.update(it for it in hashes if it % one_in == 0)
        while len(self._kept) > self._most:
            self._one_in *= 2
            self._kept = {it for it in self._kept if it % self._one_in == 0}

    def add_sample(self, sample: Sample) -> None:
        self._one_in = max(self._one_in, sample.one_in)
        self._kept = {it for it in self._kept if it % self._one_in == 0}
        self.add(sample.hashes.tolist())

    def sample(self) -> Sample:
        return Sample(np.array(sorted(self._kept), dtype=np.uint64), self._one_in)


def words_of(text: str) -> list[str]:
    """The words of a text: NFKC, case folded, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def shingle_hashes(text: str) -> set[int]:
    """The hashes of a text's shingles; none for a text of fewer than 8 words."""
    return set(map(_hash, word_sequences(text)))


def hashes_of_rows(texts: Sequence[str | None]) -> Iterator[set[int]]:
    """`shingle_hashes` of each text; None has none. Fast where consecutive texts overlap."""
    known: dict[str, int] = {}
    for text in texts:
        found = set(word_sequences(text or ""))
        if known and not known.keys() & found:
            known.clear()  # another document
        known.update((it, _hash(it)) for it in found - known.keys())
        yield {known[it] for it in found}


def label_hash(text: str) -> int:
    """The hash of all words of an explanation."""
    return _hash(" ".join(words_of(text)))


def read_shingles(path: Path) -> TrainingShingles:
    """Read a sample.

    Raises:
        DataError: missing, damaged, larger than 2 MB, or not a sample.
    """
    try:
        check_regular(path)
        if path.stat().st_size > _MAX_SHINGLES_BYTES:
            raise DataError(f"{path} is larger than {_MAX_SHINGLES_BYTES} bytes and is not read")
        tensors = read_header(path)
        header = _read_header(path)
        if sorted(tensors) != sorted(_TENSORS):
            raise DataError(f"{path} holds other tensors than {' and '.join(_TENSORS)}")
        for name, tensor in tensors.items():
            if tensor.dtype != "U64" or len(tensor.shape) != 1:
                raise DataError(f"{path} tensor {name} is not a list of 64-bit hashes")
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
    """The combined sample of several files; None without files.

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
    """Write a sample, for `read_shingles`."""
    write_atomic(path, shingles.dump())


def word_sequences(text: str) -> Iterator[str]:
    """Every 8 consecutive words of a text."""
    words = words_of(text)
    return (" ".join(words[at : at + WORDS]) for at in range(len(words) - WORDS + 1))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _read_header(path: Path) -> _Header:
    with safe_open(path, framework="np") as handle:
        record = handle.metadata() or {}
    if record.keys() != {"nla_release"}:
        raise DataError(f"{path} has no metadata on how the hashes were sampled")
    text = record["nla_release"]
    return parse(_Header, parse_json(text, path, error=DataError), path, error=DataError)


def _sample(path: Path, name: str, hashes: Hashes, one_in: int) -> Sample:
    most = MAX_SHINGLES if name == "shingles" else MAX_LABELS
    if one_in & (one_in - 1):
        raise DataError(f"{path}: {name}_one_in is {one_in}, which is not a power of two")
    if len(hashes) > most:
        raise DataError(f"{path} tensor {name} holds {len(hashes)} hashes, more than {most}")
    if (hashes[1:] <= hashes[:-1]).any() or (hashes % np.uint64(one_in)).any():
        raise DataError(f"{path} tensor {name} is not a sorted sample of one hash in {one_in}")
    return Sample(hashes, one_in)
