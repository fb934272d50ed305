"""An AR's pickled head as safetensors, and its original out of the folder that gets released."""

import tempfile
from pathlib import Path

from nla_release.contract.sidecar import FILE_NAME as SIDECAR_FILE_NAME
from nla_release.contract.sidecar import HEAD_FILE_NAME, Sidecar, dump_sidecar
from nla_release.dialects.folder import PICKLE_SUFFIXES
from nla_release.errors import NlaReleaseError, WeightsError
from nla_release.fixes.model import Fix, LeftAlone, lies_in
from nla_release.gate.adapter import Adapter, reading, regular_file
from nla_release.gate.findings import UnreadableError
from nla_release.gate.subject import Subject
from nla_release.gate.weights import head_declared
from nla_release.io.files import write_atomic


def head_fixes(adapter: Adapter, home: Path) -> list[Fix | LeftAlone]:
    """The one pickle named `*head*` of a trained AR without value_head.safetensors, converted.

    torch reads it, and executes nothing in it.

    Args:
        adapter: a trained AR. When a file that is needed cannot be read, which a rule reports,
            nothing is converted.
        home: the folder in whose `originals/` the pickle is kept.
    """
    try:
        pickles = [path for path in adapter.files if _is_a_pickled_head(adapter.folder, path)]
        has_head = adapter.folder / HEAD_FILE_NAME in adapter.files
        if not pickles:
            return []
        names = ", ".join(path.name for path in pickles)
        if len(pickles) > 1 and not has_head:
            return [LeftAlone(adapter.folder, f"{names}: keep the one that is the head")]
        kept = home / "originals" / adapter.folder.resolve().name / pickles[0].name
        if has_head and (len(pickles) > 1 or not kept.is_file()):
            # Not what an interrupted conversion leaves: nobody knows which was measured.
            reason = f"{names} beside {HEAD_FILE_NAME}: take out what is not the head"
            return [LeftAlone(adapter.folder, reason)]
        return _conversion(adapter, pickles[0], kept, home)
    except UnreadableError:
        return []


def _is_a_pickled_head(folder: Path, path: Path) -> bool:
    return path.parent == folder and "head" in path.name and path.suffix in PICKLE_SUFFIXES


def _conversion(adapter: Adapter, pickle: Path, kept: Path, home: Path) -> list[Fix | LeftAlone]:
    """What is still to be done: the copy first, and the pickle goes last, so nothing is lost."""
    sidecar = adapter.sidecar
    with reading(regular_file(pickle, "NLA301"), "NLA301"):
        content = pickle.read_bytes()
    if not lies_in(kept, home) or kept.resolve().is_relative_to(adapter.folder.resolve()):
        return [LeftAlone(pickle, f"it cannot be kept as {kept}, which is not a place of its own")]
    if kept.exists() and (not kept.is_file() or kept.read_bytes() != content):
        return [LeftAlone(pickle, f"it cannot be kept as {kept}, which is another file")]
    head = pickle.with_name(HEAD_FILE_NAME)
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
        trial = Adapter("ar", Path(name), rendered=False)
        convert_head(pickle, trial.folder / HEAD_FILE_NAME)
        write_atomic(trial.folder / SIDECAR_FILE_NAME, dump_sidecar(sidecar))
        subject = Subject(trial.folder, None, trained=(trial,), rendered=(), tokenizer=None)
        if findings := head_declared.apply(subject, strict=False).findings:
            raise WeightsError(f"is not the head that its sidecar declares: {findings[0].message}")
        return (trial.folder / HEAD_FILE_NAME).read_bytes()
