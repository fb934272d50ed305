"""How many pairs were measured in a training folder, for `evaluation.attempts` of its release.

The logs of runs in `trajectory/` remember what was measured of adapters that were trained over
since; `trajectory.jsonl` remembers what was measured before there were logs.
"""

import re
from pathlib import Path

from nla_release.evidence.runs import read_runs
from nla_release.io.files import write_atomic
from nla_release.io.layout import ADAPTER_FILE, RELEASE_FILE
from nla_release.io.log import log
from nla_release.release.folder import ROLES, read_release
from nla_release.training.trajectory import FOLDER_NAME, read_points

ATTEMPTS = "attempts"
_OURS = "# measured by `nla-release train eval`; write a larger number if more were tried"

# A line of ours, or the one that the skeleton leaves for a person, in the block of evaluation.
_LINE = re.compile(
    rf"^(?P<indent> +)(?:# {ATTEMPTS}: 1  # EDIT.*|{ATTEMPTS}: \d+  {re.escape(_OURS)})$",
    re.MULTILINE,
)
_BLOCK = re.compile(r"^evaluation:[ \t]*(?:#.*)?\n(?P<indent> +)", re.MULTILINE)


def measured_pairs(folder: Path) -> set[tuple[str, ...]]:
    """The sha256 of AV and AR of every pair that `nla-release train eval` started on.

    Raises:
        EvidenceError: a log is damaged.
        InputError: a point of the trajectory is damaged.
    """
    pairs = {tuple(it.adapter_sha256[role] for role in ROLES) for it in read_points(folder)}
    for place in sorted((folder / FOLDER_NAME).glob("*/evidence")):
        for run in runs.started if (runs := read_runs(place)) else ():
            names = [f"{role}/{ADAPTER_FILE}" for role in ROLES]
            if all(name in run.inputs for name in names):
                pairs.add(tuple(run.inputs[name] for name in names))
    return pairs


def fill_in(folder: Path) -> None:
    """Write how many pairs were measured into the folder's release.yaml, if there is one.

    What a person wrote there stays; where it is less, that is said.
    """
    path, tried = folder / RELEASE_FILE, len(measured_pairs(folder))
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    stated = read_release(folder).config.evaluation.attempts
    if stated is None or _LINE.search(text):
        filled = filled_in(text, tried)
        if filled == text and stated != tried:
            log.info(f"eval: write {ATTEMPTS}: {tried} under evaluation in {path}")
        elif filled != text:
            write_atomic(path, filled)
            read_release(folder)
            log.info(f"eval: {path} says now that {tried} pairs were tried")
    elif stated < tried:
        log.info(f"eval: {path} says {ATTEMPTS}: {stated}, but {tried} pairs were measured here")


def filled_in(text: str, tried: int) -> str:
    """The text of a release.yaml with the number in it; as it was when there is no place for it."""
    if not tried:
        return text
    line = rf"\g<indent>{ATTEMPTS}: {tried}  {_OURS}"
    if _LINE.search(text):
        return _LINE.sub(line, text, count=1)
    return _BLOCK.sub(rf"\g<0>{ATTEMPTS}: {tried}  {_OURS}\n\g<indent>", text, count=1)
