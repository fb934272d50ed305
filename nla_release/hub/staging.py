"""The files of a release on their way out: as they were rendered, and copied where nobody edits."""

import errno
import hashlib
import shutil
from pathlib import Path

from nla_release.errors import EnvironmentProblem, InputError
from nla_release.hub_client.remote_state import all_records
from nla_release.io.files import sha256_file
from nla_release.release.manifest import UNLISTED, FileRecord, Manifest, differences

# What a person edits is smaller. What is larger is hashed once, when it is copied.
_LARGE_BYTES = 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_MARGIN_BYTES = 16 * 1024 * 1024


def small_differences(folder: Path, manifest: Manifest) -> list[str]:
    """What is not as release.json lists it, as sentences; large files are judged by their size.

    Raises:
        InputError: something in the folder is neither a folder nor a plain file.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InputError(f"{path} is a link or a special file; a release holds plain files")
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in UNLISTED:
            record, size = manifest.files.get(name), path.stat().st_size
            if record is not None and size == record.size > _LARGE_BYTES:
                found[name] = record
            else:
                found[name] = FileRecord(sha256=sha256_file(path), size=size)
    return differences(manifest.files, found)


def check_bytes(folder: Path, manifest: Manifest) -> None:
    """Read every file, and compare its hash with release.json's.

    Raises:
        InputError: one has other bytes.
    """
    found = {
        name: FileRecord(sha256=sha256_file(folder / name), size=record.size)
        for name, record in manifest.files.items()
    }
    _refuse(folder, manifest, found)


def check_room(folders: list[tuple[Path, Manifest]], target: Path) -> None:
    """Make sure that copies of folders fit where they are to lie.

    Raises:
        EnvironmentProblem: they do not.
    """
    needed = sum(
        record.size
        for folder, manifest in folders
        for record in all_records(folder, manifest).values()
    )
    free = shutil.disk_usage(target).free
    if free < needed + _MARGIN_BYTES:
        raise EnvironmentProblem(
            f"{target} has {free:,} bytes left, and a private copy of both repositories takes"
            f" {needed:,}",
            hint="make room there, or name another folder in TMPDIR",
        )


def stage(folder: Path, manifest: Manifest, target: Path) -> None:
    """Copy a repository's files, and hash the copy on its way.

    Raises:
        InputError: a file is not as release.json lists it.
        EnvironmentProblem: the disk is full.
    """
    found = {}
    try:
        for name in all_records(folder, manifest):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            found[name] = _copied(folder / name, target / name)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentProblem(
                f"{target} is full: no private copy of {folder} could be made",
                hint="make room there, or name another folder in TMPDIR",
            ) from error
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from error
    listed = {name: record for name, record in found.items() if name not in UNLISTED}
    _refuse(folder, manifest, listed)


def _refuse(folder: Path, manifest: Manifest, found: dict[str, FileRecord]) -> None:
    if wrong := differences(manifest.files, found):
        raise InputError(
            f"{folder} is not as it was rendered: {'; '.join(wrong[:4])}",
            hint=f"run `nla-release render --version {manifest.version}` again",
        )


def _copied(source: Path, target: Path) -> FileRecord:
    digest, size = hashlib.sha256(), 0
    with source.open("rb") as reading, target.open("xb") as writing:
        while piece := reading.read(_PIECE_BYTES):
            digest.update(piece)
            writing.write(piece)
            size += len(piece)
    return FileRecord(sha256=digest.hexdigest(), size=size)
