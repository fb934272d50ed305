"""The files of a release on their way out: as they were rendered, and copied where nobody edits."""

import errno
import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from os import fsencode
from pathlib import Path

from nla_release.contract.sidecar import Role
from nla_release.errors import EnvironmentProblem, InputError, RefusedError
from nla_release.gate.adapter import Adapter
from nla_release.gate.contents import words
from nla_release.gate.hygiene import nothing_private
from nla_release.gate.leaks import Leak, leaks
from nla_release.gate.publishing import files_allowed
from nla_release.gate.subject import Subject
from nla_release.gate.waivers import let_stand
from nla_release.gate.weights import safetensors_only
from nla_release.hub_client.remote_state import all_records
from nla_release.io.files import sha256_file
from nla_release.io.masking import SHORTEST, known_secrets
from nla_release.release.config import Waiver
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


_RULES = (safetensors_only, files_allowed, nothing_private)
_SHOWN = 6


def checked_payload(folder: Path, role: Role, waived: Sequence[Waiver] = ()) -> None:
    """Make sure that everything in a folder may be published.

    Args:
        folder: a repository's files, all of which are to be uploaded.
        role: whose.
        waived: the findings that release.yaml lets stand.

    Raises:
        RefusedError: something may not; each file is named with the reason.
    """
    adapter = Adapter(role, folder, rendered=True)
    refused = [*_hidden(adapter), *_known(adapter), *_found(adapter, waived)]
    if refused:
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise RefusedError(
            f"nothing was uploaded, {folder.name} holds what may not be: "
            + "; ".join(refused[:_SHOWN])
            + more,
            hint="`nla-release check` says how to mend it; revoke a token that was found, first",
        )


def _hidden(adapter: Adapter) -> Iterator[str]:
    """What the Hub or its client would take for their own, which `check` has to let pass."""
    for path in adapter.files:
        name = path.relative_to(adapter.folder)
        if any(part.startswith(".") for part in name.parts):
            yield f"{name.as_posix()} is hidden"


def _known(adapter: Adapter) -> Iterator[str]:
    """A token that this process was given, which no reason lets stand, whatever it looks like."""
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
            text = words(path)  # None of what is too long to be searched for all that is private
            if any(leaks(path.read_bytes() if text is None else text, kinds)):
                yield f"{name.as_posix()} holds a token of this machine"


def _found(adapter: Adapter, waived: Sequence[Waiver]) -> Iterator[str]:
    """What the rules find wrong, and let no waiver stand for."""
    subject = Subject(adapter.folder, None, (), (adapter,), None)
    for rule in _RULES:
        outcome = let_stand(rule.apply(subject, strict=False), waived)
        if outcome.state == "failed":
            for finding in outcome.findings:
                if finding.severity == "error":
                    place = finding.path.removeprefix(f"{adapter.folder}").lstrip("/\\")
                    yield f"{place or 'a name'} {finding.message} ({finding.code})"
