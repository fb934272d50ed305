"""Where documents come from: JSONL, parquet and plain text, in files, folders or on the Hub.

A folder is all the `.jsonl`, `.parquet` and `.txt` files in it, in the order of their names; it may
hold none that only looks like one, such as `.jsonl.gz`. A text file is one document, named by its
path. A dataset on the Hub is streamed once into `data/`, so that a run that continues later
reads the same text.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from huggingface_hub.utils import httpx  # the client's own, whichever major version it is on

from nla_release.errors import DataError, EnvironmentProblem, InputError
from nla_release.hub_client.client import reading_client
from nla_release.io.documents import parse_json
from nla_release.io.files import check_regular, read_text, sha256_bytes, sha256_file, write_atomic
from nla_release.io.log import log
from nla_release.io.parquet import parquet_batches
from nla_release.training.corpus import Document, read_document
from nla_release.training.recipe import ExtractionSettings, HubDataset

# Ids of documents without one.
_NUMBERED = "{name}:{number:08d}"
# Columns that keep their names whatever the text and id columns are called.
_FIXED_COLUMNS = ("split", "labels")
_MAX_TEXT_BYTES = 256 * 1024 * 1024


def corpus_path(settings: ExtractionSettings, folder: Path) -> Path:
    """The file or folder that documents are read from."""
    if isinstance(settings.corpus, HubDataset):
        digest = sha256_bytes(settings.corpus.model_dump_json().encode())
        return folder / "data" / f"corpus-{digest[:12]}.jsonl"
    return folder / settings.corpus


def documents(path: Path, settings: ExtractionSettings) -> Iterator[Document | None]:
    """Documents in order, None for each in a split other than train and eval.

    Raises:
        InputError: the file or folder is missing or unreadable.
        DataError: a document is not what it should be, or there are fewer than the recipe asks.
    """
    streamed = isinstance(settings.corpus, HubDataset)
    text = "text" if streamed else settings.text_column
    name = "id" if streamed else settings.id_column
    found = (
        document
        for file, reader in _files(path)
        for number, (where, fields) in enumerate(reader(file))
        for document in [_document(fields, where, text, name, _numbered(path, file, number))]
    )
    if settings.documents is None:
        yield from found
        return
    taken = 0
    for document in found:
        if taken == settings.documents:
            return
        taken += document is not None
        yield document
    if taken < settings.documents:
        raise DataError(
            f"{path} has {taken} documents, the recipe asks for {settings.documents}",
            hint="take a larger corpus, or set extract.documents to what there is",
        )


def corpus_digest(path: Path) -> str:
    """Hex sha256 of a corpus: of the file, or of the names and sha256 of a folder's files.

    Raises:
        InputError: missing, unreadable, or a folder without documents.
    """
    if not path.is_dir():
        return sha256_file(path)
    lines = [
        f"{sha256_file(file)}  {file.relative_to(path).as_posix()}" for file, _ in _files(path)
    ]
    return sha256_bytes("\n".join(lines).encode())


def stream_dataset(settings: HubDataset, path: Path) -> None:
    """Read the first documents of a dataset on the Hub into a JSONL file, in order.

    Raises:
        EnvironmentProblem: the `datasets` library is missing, or the Hub cannot be reached.
        DataError: the dataset has no such column, or fewer documents.
    """
    lines = []
    with log.progress(f"read {settings.dataset}", settings.documents, "documents") as advance:
        for number, row in enumerate(islice(_rows(settings), settings.documents)):
            lines.append(_line(settings, row, number))
            advance(number + 1)
    if len(lines) < settings.documents:
        raise DataError(
            f"{settings.dataset} has {len(lines)} documents in split {settings.split}, the recipe"
            f" asks for {settings.documents}",
            hint="set extract.corpus.documents to what there is, or take another split",
        )
    write_atomic(path, "".join(lines))


def _rows(settings: HubDataset) -> Iterator[dict[str, Any]]:
    try:
        import datasets
    except ImportError as error:
        raise EnvironmentProblem(
            f"reading {settings.dataset} needs the library `datasets`, which is not installed",
            hint='pip install "datasets>=5,<6", or put the documents into a JSONL file yourself',
        ) from error
    datasets.disable_progress_bars()
    try:
        reading_client()
        yield from datasets.load_dataset(
            settings.dataset,
            settings.config,
            split=settings.split,
            revision=settings.revision,
            streaming=True,
        )
    except (OSError, ValueError, RuntimeError, httpx.HTTPError) as error:
        reason = " ".join(str(error).split())
        raise EnvironmentProblem(
            f"dataset {settings.dataset} (revision {settings.revision}) cannot be read: {reason}",
            hint="check id, config, split, HF_ENDPOINT and HF_HUB_OFFLINE; log in if it is gated",
        ) from error


def _line(settings: HubDataset, row: dict[str, Any], number: int) -> str:
    columns = [settings.text_column, *([settings.id_column] if settings.id_column else [])]
    if missing := [column for column in columns if column not in row]:
        raise DataError(
            f"{settings.dataset} has no column {missing[0]!r}; it has {', '.join(sorted(row))}"
        )
    name = row[settings.id_column] if settings.id_column else None
    document = {
        "id": _NUMBERED.format(name=settings.dataset, number=number) if name is None else str(name),
        "text": row[settings.text_column],
        **{column: row[column] for column in _FIXED_COLUMNS if column in row},
    }
    return json.dumps(document, ensure_ascii=False, default=str) + "\n"


Reader = Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]


def _files(path: Path) -> list[tuple[Path, Reader]]:
    readers: dict[str, Reader] = {".jsonl": _jsonl, ".parquet": _parquet, ".txt": _text}
    if path.is_dir():
        files = [file for file in path.rglob("*") if file.is_file()]
        unread = [file for file in files if file.suffix not in readers]
        for file in unread:
            if readers.keys() & {suffix.lower() for suffix in file.suffixes}:
                raise InputError(
                    f"{file} is in the corpus, and is not a .jsonl, .parquet or .txt file",
                    hint="unpack it, give it such an ending, or take it out of the folder",
                )
        files.sort(key=lambda file: file.relative_to(path).as_posix())
        found = [(file, readers[file.suffix]) for file in files if file.suffix in readers]
        if not found:
            raise InputError(f"{path} has no .jsonl, .parquet or .txt files in it")
        return found
    if not path.exists():
        raise InputError(f"{path} does not exist", hint="extract.corpus is taken from --folder")
    if path.suffix not in readers:
        raise InputError(f"{path} is not a .jsonl, .parquet or .txt file, nor a folder of them")
    return [(path, readers[path.suffix])]


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    check_regular(path)
    try:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                where = f"{path} line {number}"
                fields = parse_json(line, where, error=DataError)
                if not isinstance(fields, dict):
                    raise DataError(f"{where} is not a JSON object")
                yield where, fields
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = (fields for batch in parquet_batches(path) for fields in batch.to_pylist())
    for number, fields in enumerate(rows):
        yield f"{path} row {number}", fields


def _text(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield str(path), {"text": read_text(path, limit=_MAX_TEXT_BYTES)}


def _numbered(path: Path, file: Path, number: int) -> str:
    name = file.name if file == path else file.relative_to(path).as_posix()
    return name if file.suffix == ".txt" else _NUMBERED.format(name=name, number=number)


def _document(
    fields: dict[str, Any], where: str, text: str, name: str | None, numbered: str
) -> Document | None:
    there = f"it has {', '.join(sorted(fields))}"
    if name is not None and fields.get(name) is None:
        raise DataError(f"{where} has no {name}, which extract.id_column asks for; {there}")
    if text not in fields:
        raise DataError(f"{where} has no {text}, which extract.text_column asks for; {there}")
    found = fields.get(name or "id")
    known: dict[str, Any] = {key: fields[key] for key in _FIXED_COLUMNS if key in fields}
    known["text"] = fields[text]
    return read_document({"id": numbered if found is None else str(found), **known}, where)
