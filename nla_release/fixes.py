"""What `nla-release check --fix` corrects: only what the files already determine.

* A card: its metadata, its generated blocks, and its record in release.json.
* An AR's pickled head: converted to safetensors; the original is kept outside of the folder.

No fix changes a source of facts: sidecar, weights, evidence, calibration.json or HISTORY.md. A
number on a card changes only if calibration.json follows from its own evidence.
"""

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_release.calibration.report import CurrentCalibration
from nla_release.cards.blocks import expected_blocks, generated_blocks, regenerated
from nla_release.cards.front_matter import (
    corrected_front_matter,
    corrected_index,
    determined,
    model_index,
    read_front_matter,
)
from nla_release.contract.sidecar import Sidecar, dump_sidecar
from nla_release.errors import EnvironmentProblem, NlaReleaseError, RefusedError, WeightsError
from nla_release.gate.adapter_folder import AdapterFolder, reading, regular_file
from nla_release.gate.evidence import calibration_recomputed, evidence_of_these_files
from nla_release.gate.findings import UnreadableError
from nla_release.gate.subject import Subject
from nla_release.gate.weights import head_declared
from nla_release.io.files import dump_json, read_json, sha256_bytes, write_atomic
from nla_release.io.layout import CARD_FILE, HEAD_FILE, MANIFEST_FILE, SIDECAR_FILE
from nla_release.release.manifest import Manifest
from nla_release.sidecar_formats.folder import PICKLE_SUFFIXES


@dataclass(frozen=True)
class Fix:
    """One file as it was found and as it should be; None where there is no file.

    `codes` are the rules that it serves, and `reason` says in one line what it does.
    """

    path: Path
    before: bytes | None
    after: bytes | None
    codes: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class LeftAlone:
    """What could have been mended and was not, and why."""

    path: Path
    reason: str


def find_fixes(subject: Subject) -> list[Fix | LeftAlone]:
    """What can be mended, in the order in which to write it, and what cannot and why.

    Looks, and writes nothing. A subject without anything to mend gives an empty list.
    """
    return list(_found(subject))


def mended_on_cards(subject: Subject) -> set[str]:
    """The rules whose findings on cards a fix would mend. No pickle is looked into for it."""
    measured = bool(subject.rendered) and _is_measured(subject)
    return {
        code
        for adapter in subject.rendered
        if lies_in(adapter.folder, subject.folder)
        for fix in card_fixes(adapter, measured=measured)
        for code in fix.codes
    }


def _found(subject: Subject) -> Iterator[Fix | LeftAlone]:
    measured = bool(subject.rendered) and _is_measured(subject)
    for adapter in subject.adapters:
        if not lies_in(adapter.folder, subject.folder):
            reason = f"lies outside of {subject.folder}, or behind a link; nothing is written there"
            yield LeftAlone(adapter.folder, reason)
        elif adapter.rendered:
            yield from card_fixes(adapter, measured=measured)
        elif adapter.role == "ar":
            alone = adapter.folder == subject.folder
            home = subject.folder.resolve().parent if alone else subject.folder
            yield from head_fixes(adapter, home)


def _is_measured(subject: Subject) -> bool:
    """Whether evidence, numbers and files belong together, so that a card may be made of them."""
    sources = (evidence_of_these_files, calibration_recomputed)
    return all(rule.apply(subject, strict=False).state == "passed" for rule in sources)


def write(fix: Fix) -> None:
    """Put the file into the state that the fix gives it, whole or not at all.

    Raises:
        RefusedError: the file is no longer the one that the fix was made for, or is a link.
        EnvironmentProblem: it is read-only, the disk is full, or its folder cannot be written.
    """
    try:
        if fix.path.is_symlink() or _content(fix.path) != fix.before:
            raise RefusedError(
                f"{fix.path} changed while its fix was made", hint="run the same command again"
            )
        if fix.before is not None and not os.access(fix.path, os.W_OK):
            raise EnvironmentProblem(
                f"{fix.path} is read-only", hint="make it writable, and run the same command again"
            )
        if fix.after is None:
            fix.path.unlink()
        else:
            write_atomic(fix.path, fix.after)
    except OSError as error:
        raise EnvironmentProblem(
            f"{fix.path} cannot be written: {error.strerror or error}"
        ) from error


def lies_in(path: Path, parent: Path) -> bool:
    """Whether a path is where it says, with no link and no `..` on the way from the parent."""
    if not path.is_relative_to(parent):
        return False
    return path.resolve() == parent.resolve() / path.relative_to(parent)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def head_fixes(adapter: AdapterFolder, home: Path) -> list[Fix | LeftAlone]:
    """The one pickle named `*head*` of a trained AR without value_head.safetensors, converted.

    torch reads it, and executes nothing in it.

    Args:
        adapter: a trained AR. When a file that is needed cannot be read, which a rule reports,
            nothing is converted.
        home: the folder in whose `originals/` the pickle is kept.
    """
    try:
        pickles = [path for path in adapter.files if _is_a_pickled_head(adapter.folder, path)]
        has_head = adapter.folder / HEAD_FILE in adapter.files
        if not pickles:
            return []
        names = ", ".join(path.name for path in pickles)
        if len(pickles) > 1 and not has_head:
            return [LeftAlone(adapter.folder, f"{names}: keep the one that is the head")]
        kept = home / "originals" / adapter.folder.resolve().name / pickles[0].name
        if has_head and (len(pickles) > 1 or not kept.is_file()):
            # Not what an interrupted conversion leaves: nobody knows which was measured.
            reason = f"{names} beside {HEAD_FILE}: take out what is not the head"
            return [LeftAlone(adapter.folder, reason)]
        return _conversion(adapter, pickles[0], kept, home)
    except UnreadableError:
        return []


def _is_a_pickled_head(folder: Path, path: Path) -> bool:
    return path.parent == folder and "head" in path.name and path.suffix in PICKLE_SUFFIXES


def _conversion(
    adapter: AdapterFolder, pickle: Path, kept: Path, home: Path
) -> list[Fix | LeftAlone]:
    """What is still to be done: the copy first, and the pickle goes last, so nothing is lost."""
    sidecar = adapter.sidecar
    with reading(regular_file(pickle, "NLA301"), "NLA301"):
        content = pickle.read_bytes()
    if not lies_in(kept, home) or kept.resolve().is_relative_to(adapter.folder.resolve()):
        return [LeftAlone(pickle, f"it cannot be kept as {kept}, which is not a place of its own")]
    if kept.exists() and (not kept.is_file() or kept.read_bytes() != content):
        return [LeftAlone(pickle, f"it cannot be kept as {kept}, which is another file")]
    head = pickle.with_name(HEAD_FILE)
    fixes: list[Fix | LeftAlone] = []
    if not kept.exists():
        fixes.append(Fix(kept, None, content, ("NLA301",), f"{pickle.name} as it was"))
    if not head.exists():
        try:
            converted = _converted(pickle, sidecar)
        except NlaReleaseError as error:
            reason = error.message.removeprefix(f"{pickle} ")
            return [LeftAlone(pickle, f"{reason}; {error.hint}" if error.hint else reason)]
        fixes.append(Fix(head, None, converted, ("NLA305",), f"converted from {pickle.name}"))
    return [*fixes, Fix(pickle, content, None, ("NLA301",), f"moved to {kept}")]


def _converted(pickle: Path, sidecar: Sidecar) -> bytes:
    """The head as safetensors, when it is the one that the sidecar declares.

    Raises:
        WeightsError: it holds code, or other tensors.
        EnvironmentProblem: the engine is not installed.
    """
    from nla_release.engine.pickles import convert_head

    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        trial = AdapterFolder("ar", Path(name), rendered=False)
        convert_head(pickle, trial.folder / HEAD_FILE)
        write_atomic(trial.folder / SIDECAR_FILE, dump_sidecar(sidecar))
        subject = Subject(trial.folder, None, trained=(trial,), rendered=(), tokenizer=None)
        if findings := head_declared.apply(subject, strict=False).findings:
            raise WeightsError(f"is not the head that its sidecar declares: {findings[0].message}")
        return (trial.folder / HEAD_FILE).read_bytes()


def card_fixes(adapter: AdapterFolder, *, measured: bool) -> list[Fix]:
    """README.md with metadata and blocks in order, and its record in release.json.

    Args:
        adapter: a rendered repository. When a file that is needed cannot be read, which a rule
            reports, nothing is mended.
        measured: whether evidence, calibration and files belong together. Only then does a number,
            or the base that it was measured on, come onto the card.
    """
    try:
        path = adapter.path(CARD_FILE)
        with reading(path, "NLA501"):
            before = path.read_bytes()
            card = adapter.text(CARD_FILE)
            found = read_front_matter(card)
            mended, said = corrected_front_matter(card, _fields(adapter, found, measured=measured))
        told = _stale_blocks(adapter, mended) if measured else []
        if told:
            mended = regenerated(mended, _blocks(adapter))
        if not (said or told):
            return []
        after = mended.encode()
        codes = (*(["NLA501"] if said else []), *(["NLA502"] if told else []))
        # release.json first: interrupted in between, the card is mended by the next run.
        fix = Fix(path, before, after, codes, ", ".join([*said, *told]))
        return [*_record(adapter, before, after), fix]
    except UnreadableError:
        return []


def _fields(adapter: AdapterFolder, found: dict[str, Any], *, measured: bool) -> dict[str, Any]:
    """The metadata that the files decide."""
    fields: dict[str, Any] = determined(adapter.sidecar)
    if not measured:
        del fields["base_model"]
        return fields
    computed = model_index(_name(adapter.manifest), adapter.sidecar, adapter.calibration)
    return fields | {"model-index": corrected_index(found.get("model-index"), computed)}


def _name(manifest: Manifest) -> str:
    """The model's name: its repository's, without namespace and version."""
    version = manifest.version.replace(".", "_").replace("+", "_")
    return manifest.repo.rpartition("/")[2].removesuffix(f"-v{version}")


def _stale_blocks(adapter: AdapterFolder, card: str) -> list[str]:
    """What is to be said of the blocks that calibration.json gives otherwise."""
    with reading(adapter.folder / CARD_FILE, "NLA502"):
        found = generated_blocks(card)
    expected = _blocks(adapter)
    return [
        f"block {name} of calibration.json"
        for name in sorted(found.keys() & expected)
        if found[name] != expected[name]
    ]


def _blocks(adapter: AdapterFolder) -> dict[str, str]:
    version, calibration = adapter.manifest.version, adapter.calibration
    if not isinstance(calibration, CurrentCalibration):
        return {}
    return expected_blocks(calibration, adapter.log, adapter.addenda, version, adapter.comparison)


def _record(adapter: AdapterFolder, before: bytes, after: bytes) -> list[Fix]:
    """release.json with the mended card, when it records the card as it was found.

    A card that was edited after rendering keeps its record: NLA701 goes on saying so, unless the
    mended card is the rendered one.
    """
    recorded = adapter.manifest.files.get(CARD_FILE)
    if recorded is None or recorded.sha256 != sha256_bytes(before):
        return []
    path = adapter.path(MANIFEST_FILE)
    with reading(path, "NLA701"):
        old, document = path.read_bytes(), read_json(path)
    document["files"][CARD_FILE] = {"sha256": sha256_bytes(after), "size": len(after)}
    new = dump_json(document).encode()
    return [Fix(path, old, new, ("NLA701",), f"the record of {CARD_FILE}")]
