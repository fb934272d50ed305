"""The `release.yaml` of a trained pair, for the commands that come after the chain.

Everything that the recipe and the folder know is filled in. What only a person knows is a
placeholder or a comment, marked EDIT.
"""

import json
import os
from pathlib import Path
from typing import Any

from nla_release.base_model.measure import measure_base
from nla_release.contract.sidecar import Base, Role, read_sidecar
from nla_release.errors import NlaReleaseError
from nla_release.io.files import write_atomic
from nla_release.io.layout import ADAPTER_FILE, LICENCE_FILE, RELEASE_FILE
from nla_release.release.folder import ROLES, read_release
from nla_release.release.licences import OTHER, licence_problem
from nla_release.training.attempts import filled_in, measured_pairs
from nla_release.training.dataset import data_path, reference_path, training_files
from nla_release.training.recipe import Recipe

NAMESPACE = "your-name"
# A licence that nobody has chosen yet: `roundtrip` takes it, and `render` asks for the file.
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


def _license_of(base: Base, recipe: Recipe) -> str | None:
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
