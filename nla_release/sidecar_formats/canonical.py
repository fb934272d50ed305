"""From the facts of a pair to its canonical sidecars, with the original document kept inside."""

from dataclasses import replace
from typing import Any

from nla_release.adapter.config import declared
from nla_release.contract.sidecar import Role, Sidecar, dump_sidecar
from nla_release.errors import SidecarError, one_line
from nla_release.gate.leaks import ACCOUNTS, MOUNTS, PLACES, SECRETS, leaks
from nla_release.io.files import dump_yaml
from nla_release.io.layout import HEAD_FILE, SIDECAR_FILE
from nla_release.io.schema import parse
from nla_release.sidecar_formats.facts import PAIR_FACTS, ROLE_FACTS
from nla_release.sidecar_formats.folder import ArWeights, Folder
from nla_release.sidecar_formats.report import Report
from nla_release.sidecar_formats.table import CANONICAL
from nla_release.sidecar_formats.values import resolved, scale

# The one key for what the original sidecar had under keys that the contract uses itself.
FOREIGN_KEY = "source_sidecar"

_PRIVATE = (*SECRETS, *PLACES, *MOUNTS, *ACCOUNTS)
_OWNED = frozenset(field.alias or name for name, field in Sidecar.model_fields.items()) | {
    FOREIGN_KEY
}


def canonical(role: Role, folder: Folder, report: Report, weights: ArWeights) -> Sidecar:
    """The canonical sidecar of one adapter, from a report without questions.

    Raises:
        SidecarError: the facts contradict each other.
    """
    if folder.format is CANONICAL:
        return parse(Sidecar, folder.document, folder.where, error=SidecarError)
    document = _preserved(folder)
    for fact in (*PAIR_FACTS, *ROLE_FACTS[role]):
        if known := report.known.get(fact.name):
            is_scale = fact.parse is scale
            value = (
                resolved(known.value, report.known["d_model"].value) if is_scale else known.value
            )
            _put(document, fact.spellings[0], value)
    document |= {"kind": "nla_model", "schema_version": 2, "role": role}
    document |= {key: folder.text(key) or "unknown" for key in ("created_at", "created_by")}
    block = document["nla_release"]
    block |= {"schema": 1, "layer_convention": "block_output"}
    block["adapters"] = [declared(folder.config)]
    if role == "av":
        document["tokens"]["critic_suffix_ids"] = None
        block["ar_head"] = None
        block["injection"] |= _injection(folder, document)
    else:
        document["extraction"]["injection_scale"] = None
        block["injection"] = None
        block["ar_head"] |= {
            "file": HEAD_FILE,
            "key": "weight",
            "shape": list(weights.shape),
            "bias": weights.bias,
            "dtype": weights.dtype,
            "blocks": document["critic"]["extraction_layer_index"] + 1,
        }
    return parse(Sidecar, document, f"{folder.where} as a canonical sidecar", error=SidecarError)


def _put(document: dict[str, Any], place: str, value: Any) -> None:
    """Set the value at a dotted place, in mappings that are made as needed."""
    *outer, last = place.split(".")
    for key in outer:
        document = document.setdefault(key, {})
    document[last] = value


def original(sidecar: Sidecar) -> dict[str, Any]:
    """The document that a canonical sidecar was made from; empty when there was none."""
    document = sidecar.model_dump(mode="json", by_alias=True)
    if FOREIGN_KEY not in document:
        return {}
    kept = {key: value for key, value in document.items() if key not in _OWNED}
    replaced: dict[str, Any] = document[FOREIGN_KEY]["document"]
    return kept | replaced


def commented(sidecar: Sidecar, role: Role, report: Report) -> str:
    """The sidecar as YAML, after comments with the notes and with facts that are in no file."""
    other = "ar." if role == "av" else "av."
    # A key's name alone may be private: such notes are for the terminal.
    notes = [f"# {note}" for note in report.notes.get(role, ()) if not _leaks(note)]
    lines = [
        f"# {known.how}: {name}, from {known.source}"
        for name, known in report.known.items()
        if known.how != "recorded" and not name.startswith(other)
    ]
    return "\n".join([*map(one_line, notes + lines), dump_sidecar(sidecar)])


def without_leaks(folder: Folder) -> tuple[Folder, list[str]]:
    """The folder without what no release may contain: secrets, paths and run ids of the trainer.

    NLA504 would find them in the released sidecar. The contract's own keys of a canonical sidecar
    stay as they are.

    Returns:
        The folder with the document that is left, and a note for each key that was left out.
    """
    left_out: list[tuple[str, str]] = []
    owned = _OWNED if folder.format is CANONICAL else frozenset()
    kept = {key: value for key, value in folder.document.items() if key in owned}
    others = {key: value for key, value in folder.document.items() if key not in kept}
    document = kept | _clean(others, "", left_out)
    notes = [f"{place} is left out of {SIDECAR_FILE}: {kind}" for place, kind in left_out]
    return replace(folder, document=document), notes


def _clean(value: Any, place: str, left_out: list[tuple[str, str]]) -> Any:
    """The value without private keys and items."""
    if isinstance(value, dict):
        found = {}
        for key, item in value.items():
            where = f"{place}.{key}" if place else str(key)
            if private := _private_part(key, item):
                left_out.append((where, private))
            else:
                found[key] = _clean(item, where, left_out)
        return found
    if isinstance(value, list):
        return [_clean(item, f"{place}[{at}]", left_out) for at, item in enumerate(value)]
    return value


def _private_part(key: str, item: Any) -> str | None:
    """The kind of private thing in a key and its value; of a mapping, in its own name only."""
    items = item if isinstance(item, list) else [item]
    nested = any(isinstance(each, dict) for each in items)
    return _leaks(dump_yaml({key: None if nested else item}))


def _leaks(text: str) -> str | None:
    """The first kind of private thing in a text."""
    found = next(leaks(text.encode(errors="replace"), _PRIVATE), None)
    return found[1] if found else None


def _preserved(folder: Folder) -> dict[str, Any]:
    """The original document: unknown keys in their place, the contract's own under FOREIGN_KEY."""
    document = folder.document
    kept = {key: value for key, value in document.items() if key not in _OWNED}
    replaced = {key: value for key, value in document.items() if key in _OWNED}
    source = {"dialect": folder.format.name, "file": folder.context.file, "document": replaced}
    return kept | {FOREIGN_KEY: source}


def _injection(folder: Folder, document: dict[str, Any]) -> dict[str, Any]:
    """What follows from an AV's facts: where the marker is, and how the vector replaces it."""
    marker = document["tokens"]["injection_token_id"]
    recorded = document["nla_release"]["injection"]
    ids: list[int] = recorded["prompt_token_ids"]
    if ids.count(marker) != 1:
        raise SidecarError(
            f"{folder.where}: av.prompt_token_ids hold the marker id {marker} {ids.count(marker)}"
            " times, expected 1"
        )
    is_chat = recorded["prompt_encoding"] == "chat"
    return {
        "site": "embedding",
        "op": "replace",
        "scale": document["extraction"]["injection_scale"],
        "chat_template": recorded.get("chat_template") if is_chat else None,
        "marker_position": ids.index(marker),
    }
