"""The `release.yaml` of a trained pair, and the number of pairs tried that it states.

Everything that the recipe and the folder know is filled in. What only a person knows is a
placeholder or a comment, marked EDIT. `evaluation.attempts` counts the pairs that were measured in
the folder: the run logs in `trajectory/` include adapters that were trained over since, and
`trajectory.jsonl` includes what was measured before there were logs.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from nla_release.base_model.measure import measure_base
from nla_release.contract.sidecar import BaseRecord, Role, read_sidecar
from nla_release.errors import NlaReleaseError
from nla_release.evidence.runs import read_runs
from nla_release.io.files import write_atomic
from nla_release.io.layout import ADAPTER_FILE, LICENCE_FILE, RELEASE_FILE
from nla_release.io.log import log
from nla_release.release.folder import ROLES, read_release
from nla_release.release.licences import OTHER, licence_problem
from nla_release.training.dataset import data_path, reference_path, training_files
from nla_release.training.recipe import Recipe
from nla_release.training.trajectory import FOLDER_NAME, read_points

ATTEMPTS = "attempts"
_OURS = "# measured by `nla-release train eval`; write a larger number if more were tried"

# A line that this module wrote, or the placeholder that it left, in the block of evaluation.
_LINE = re.compile(
    rf"^(?P<indent> +)(?:# {ATTEMPTS}: 1  # EDIT.*|{ATTEMPTS}: \d+  {re.escape(_OURS)})$",
    re.MULTILINE,
)
_BLOCK = re.compile(r"^evaluation:[ \t]*(?:#.*)?\n(?P<indent> +)", re.MULTILINE)
NAMESPACE = "your-name"

# A placeholder for the licence: `roundtrip` accepts it, and `render` asks for the file.
NO_LICENCE = {
    "license": OTHER,
    "license_name": "not chosen yet",
    "license_link": LICENCE_FILE,
}


def release_document(
    recipe: Recipe, folder: Path, place: Path, adapters: dict[Role, Path]
) -> dict[str, Any]:
    """The keys of `release.yaml` that follow from a recipe and what the chain wrote.

    Args:
        recipe: that the chain followed.
        folder: where all steps read and write.
        place: the folder that release.yaml goes to; paths are relative to it.
        adapters: the folders of AV and AR.

    Raises:
        InputError: the AV's sidecar is missing or damaged.
    """

    def seen(path: Path) -> str:
        return os.path.relpath(path.resolve(), place.resolve())

    base = read_sidecar(adapters["av"], "av").nla_release.base
    document: dict[str, Any] = {
        "base_model": base.id,
        "base_revision": base.revision,
        **{role: seen(adapters[role]) for role in ROLES},
        "evaluation": {
            "data": seen(data_path(folder, "eval")),
            "reference": seen(reference_path(folder)),
            "training": [seen(path) for path in training_files(folder)],
            "max_new_tokens": recipe.eval.max_new_tokens,
            "batch_size": recipe.eval.batch_size,
            "quantization": base.quantization,
            "dtype": base.dtype,
        },
    }
    if recipe.base.path:
        document["base_path"] = seen(Path(recipe.base.path))
    return document


def write_skeleton(recipe: Recipe, folder: Path) -> Path | None:
    """Write `release.yaml` for the finished pair of a folder; gives its path.

    None when there is nothing to do: an adapter is missing, or a release.yaml is there already.

    Raises:
        InputError: the AV's sidecar is damaged.
    """
    target = folder / RELEASE_FILE
    adapters = {role: folder / "pair" / role for role in ROLES}
    whole = all((place / ADAPTER_FILE).exists() for place in adapters.values())
    if target.exists() or not whole:
        return None
    document = release_document(recipe, folder, folder, adapters)
    base = read_sidecar(adapters["av"], "av").nla_release.base
    text = _text(document, recipe, _license_of(base, recipe))
    write_atomic(target, filled_in(text, len(measured_pairs(folder))))
    read_release(folder)
    return target


def _license_of(base: BaseRecord, recipe: Recipe) -> str | None:
    """What the base's own card names as its licence, if it can be read."""
    path = Path(recipe.base.path) if recipe.base.path else None
    try:
        return measure_base(base.id, base.revision or "", path).license
    except NlaReleaseError:
        return None


def _text(document: dict[str, Any], recipe: Recipe, license_: str | None) -> str:
    short = document["base_model"].rpartition("/")[2]
    layer = recipe.extract.layer
    evaluation = document.pop("evaluation")
    base_path = document.pop("base_path", None)
    lines = [
        f"# The release of the pair that was trained by recipe {recipe.name}.",
        "# Paths are relative to this file. Lines with EDIT need a person.",
        _line("name", f"{short}-nla-L{layer}") + "  # EDIT if the repositories go by another name",
        _line("namespace", NAMESPACE) + "  # EDIT: your user or organization on the Hub",
        _line("title", f"{short} NLA, layer {layer}") + "  # EDIT: the heading of both cards",
        '# author: "..."  # EDIT: who made the pair',
        *(_line(key, document[key]) for key in ("base_model", "base_revision")),
        *([_line("base_path", base_path) + "  # used instead of the Hub"] if base_path else []),
        *_licence_lines(license_),
        *(_line(role, document[role]) for role in ROLES),
        "evaluation:",
        *(f"  {_line(key, value)}" for key, value in evaluation.items()),
        "  # attempts: 1  # EDIT: how many checkpoints or settings were tried, this one included",
        "citations: [frasertaliente2026nla]",
        "# notes: notes  # EDIT: a folder with hand-written Markdown for the cards, see README.md",
    ]
    return "\n".join(lines) + "\n"


def _licence_lines(found: str | None) -> list[str]:
    """The licence that the base's card names, with whatever a release under it has to add."""
    whose = "the base's own; some demand a name that begins in a certain way"
    if found and licence_problem(found, None, None) is None:
        return [_line("license", found) + f"  # EDIT: {whose}"]
    lines = dict(NO_LICENCE)
    if found and licence_problem(found, None, LICENCE_FILE) is None:  # has a name of its own
        del lines["license_name"]
        lines["license"] = found
    else:
        named = f"names {json.dumps(found)}" if found else "names none"
        whose = f"the base's card {named}; give an id of the Hub, such as apache-2.0"
    edits = {
        "license": whose,
        "license_name": "what it is called; leave it out unless license is other",
        "license_link": "its https address, or the file here that holds its text",
    }
    return [f"{_line(key, value)}  # EDIT: {edits[key]}" for key, value in lines.items()]


def _line(key: str, value: Any) -> str:
    """One line of YAML; JSON's values are YAML's."""
    return f"{key}: {json.dumps(value, ensure_ascii=False)}"


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

    A number that a person wrote there is kept; when it is too small, a message says so.
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
            log.info(f"eval: {path} now states that {tried} pairs were tried")
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
