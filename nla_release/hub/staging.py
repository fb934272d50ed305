"""Staging: a private copy of the release files, compared with release.json and free of secrets.

The copy is checked with the same rules as in `check`, because it is what is uploaded.
"""

import errno
import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import fsencode
from pathlib import Path

from nla_release.contract.sidecar import Role
from nla_release.errors import EnvironmentProblem, InputError, RefusedError
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.hygiene import no_secrets_or_paths
from nla_release.gate.leaks import Leak, leaks, words
from nla_release.gate.publishing import files_allowed
from nla_release.gate.subject import Subject
from nla_release.gate.waivers import apply_waivers
from nla_release.gate.weights import safetensors_only
from nla_release.hub_client.remote_state import all_records
from nla_release.io.files import sha256_file
from nla_release.io.masking import SHORTEST, known_secrets
from nla_release.release.config import Waiver
from nla_release.release.manifest import UNLISTED, FileRecord, Manifest, differences

# Larger files are not edited by hand; they are hashed once, when they are copied.
_LARGE_BYTES = 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_MARGIN_BYTES = 16 * 1024 * 1024
_MAKE_ROOM = "make room there, or name another folder in TMPDIR"


def check_small_files(folder: Path, manifest: Manifest) -> None:
    """Compare every file with release.json; large files by size only.

    Raises:
        InputError: one differs, or the folder contains a link or a special file.
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
    _refuse(folder, manifest, found)


def check_bytes(folder: Path, manifest: Manifest) -> None:
    """Compare the hash of every file with release.json.

    Raises:
        InputError: one differs.
    """
    found = {
        name: FileRecord(sha256=sha256_file(folder / name), size=record.size)
        for name, record in manifest.files.items()
    }
    _refuse(folder, manifest, found)


def check_room(folders: list[tuple[Path, Manifest]], target: Path) -> None:
    """Check that there is disk space for copies of folders.

    Raises:
        EnvironmentProblem: there is not.
    """
    records = (all_records(folder, manifest) for folder, manifest in folders)
    needed = sum(record.size for each in records for record in each.values())
    check_space(target, needed, "a copy of both repositories")


def check_space(folder: Path, needed: int, what: str) -> None:
    """Check that there is disk space for `needed` bytes, which `what` takes.

    Raises:
        EnvironmentProblem: there is not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + _MARGIN_BYTES:
        raise EnvironmentProblem(
            f"{folder} has {free:,} bytes left, and {what} takes {needed:,}", hint=_MAKE_ROOM
        )


def stage(folder: Path, manifest: Manifest, target: Path) -> None:
    """Copy a repository's files, hashing what is copied.

    Raises:
        InputError: a file differs from release.json.
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
                f"{target} is full: {folder} could not be copied there", hint=_MAKE_ROOM
            ) from error
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from error
    listed = {name: record for name, record in found.items() if name not in UNLISTED}
    _refuse(folder, manifest, listed)


def _refuse(folder: Path, manifest: Manifest, found: dict[str, FileRecord]) -> None:
    if wrong := differences(manifest.files, found):
        raise InputError(
            f"{folder} differs from release.json: {'; '.join(wrong[:4])}",
            hint=f"run `nla-release render --version {manifest.version}` again",
        )


def _copied(source: Path, target: Path) -> FileRecord:
    """Copy a file; every piece is hashed in a second thread while it is written."""
    digest, size = hashlib.sha256(), 0
    with (
        source.open("rb") as reading,
        target.open("xb") as writing,
        ThreadPoolExecutor(1) as hashing,
    ):
        hashed = None
        while piece := reading.read(_PIECE_BYTES):
            if hashed:
                hashed.result()  # so that no more than two pieces are in memory
            hashed = hashing.submit(digest.update, piece)
            writing.write(piece)
            size += len(piece)
    return FileRecord(sha256=digest.hexdigest(), size=size)


_RULES = (safetensors_only, files_allowed, no_secrets_or_paths)
_SHOWN = 6


def checked_payload(folder: Path, role: Role, waived: Sequence[Waiver] = ()) -> None:
    """Check that every file in a folder may be published.

    Args:
        folder: the files to upload.
        role: the role of their repository.
        waived: the waivers in release.yaml.

    Raises:
        RefusedError: a file may not; the message names each with the reason.
    """
    adapter = AdapterFolder(role, folder, rendered=True)
    refused = [*_hidden(adapter), *_known(adapter), *_found(adapter, waived)]
    if refused:
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise RefusedError(
            f"nothing was uploaded, {folder.name} contains files that may not be published: "
            + "; ".join(refused[:_SHOWN])
            + more,
            hint="first revoke any token that was found; `nla-release check` says how to fix this",
        )


def _hidden(adapter: AdapterFolder) -> Iterator[str]:
    """Hidden files, which the Hub or its client treat specially and `check` accepts."""
    for path in adapter.files:
        name = path.relative_to(adapter.folder)
        if any(part.startswith(".") for part in name.parts):
            yield f"{name.as_posix()} is hidden"


def _known(adapter: AdapterFolder) -> Iterator[str]:
    """Tokens of this process, in any form; they cannot be waived."""
    secrets = [secret.encode() for secret in known_secrets() if len(secret) >= SHORTEST]
    kinds = [
        Leak("a token of this machine", (each.lower(),), re.compile(re.escape(each)))
        for each in secrets
    ]
    for path in adapter.files:
        name = path.relative_to(adapter.folder)
        if any(leaks(fsencode(name), kinds)):
            yield "the name of a file in it holds a token of this machine"
        elif path.is_file() and not path.is_symlink():
            text = words(path)  # None if the file is too long for the other searches
            if any(leaks(path.read_bytes() if text is None else text, kinds)):
                yield f"{name.as_posix()} holds a token of this machine"


def _found(adapter: AdapterFolder, waived: Sequence[Waiver]) -> Iterator[str]:
    """Errors of the rules that are not waived."""
    subject = Subject(adapter.folder, None, (), (adapter,), None)
    for rule in _RULES:
        outcome = apply_waivers(rule.apply(subject, strict=False), waived)
        if outcome.state == "failed":
            for finding in outcome.findings:
                if finding.severity == "error":
                    place = finding.path.removeprefix(f"{adapter.folder}").lstrip("/\\")
                    yield f"{place or 'a name'} {finding.message} ({finding.code})"
