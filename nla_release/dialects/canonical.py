"""From the facts of a pair to its canonical sidecars, with the foreign document kept inside."""

from dataclasses import replace
from typing import Any

from nla_release.adapter.config import declared
from nla_release.contract.sidecar import Role, Sidecar, dump_sidecar
from nla_release.dialects.folder import Folder, Head
from nla_release.dialects.report import Report
from nla_release.dialects.table import CANONICAL
from nla_release.dialects.values import resolved
from nla_release.errors import SidecarError
from nla_release.gate.leaks import ACCOUNTS, MOUNTS, PLACES, SECRETS, leaks
from nla_release.io.files import dump_yaml
from nla_release.io.layout import HEAD_FILE, SIDECAR_FILE
from nla_release.io.schema import parse

# The one key for what stood in a foreign sidecar under a key that the contract uses itself.
FOREIGN_KEY = "source_sidecar"

_UNKNOWN = "unknown"
_PRIVATE = (*SECRETS, *PLACES, *MOUNTS, *ACCOUNTS)
_OWNED = frozenset(field.alias or name for name, field in Sidecar.model_fields.items()) | {
    FOREIGN_KEY
}


def canonical(role: Role, folder: Folder, report: Report, head: Head) -> Sidecar:
    """The canonical sidecar of one adapter, from a report without questions.

    Raises:
        SidecarError: the facts contradict each other.
    """
    if folder.dialect is CANONICAL:
        return parse(Sidecar, folder.document, folder.where, error=SidecarError)
    facts = {name: known.value for name, known in report.known.items()}
    document = _preserved(folder) | _contract(role, folder, facts)
    document["nla_release"] = _ours(role, folder, facts, head)
    return parse(Sidecar, document, f"{folder.where} made canonical", error=SidecarError)


def original(sidecar: Sidecar) -> dict[str, Any]:
    """The foreign document that a canonical sidecar was made of; empty when it was made of none."""
    document = sidecar.model_dump(mode="json", by_alias=True)
    if FOREIGN_KEY not in document:
        return {}
    kept = {key: value for key, value in document.items() if key not in _OWNED}
    replaced: dict[str, Any] = document[FOREIGN_KEY]["document"]
    return kept | replaced


def commented(sidecar: Sidecar, role: Role, report: Report) -> str:
    """The sidecar as YAML, headed by comments: the copy's notes, and facts not in its files."""
    other = "ar." if role == "av" else "av."
    # A key's name alone may be private: such notes are for the terminal.
    notes = [f"# {note}" for note in report.notes.get(role, ()) if not _leaks(note)]
    lines = [
        f"# {known.how}: {name}, from {known.source}"
        for name, known in report.known.items()
        if known.how != "recorded" and not name.startswith(other)
    ]
    return "\n".join([*map(one_line, notes + lines), dump_sidecar(sidecar)])


def one_line(text: str) -> str:
    """Text that stays inside one comment, whatever a stranger's file names hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def without_leaks(folder: Folder) -> tuple[Folder, list[str]]:
    """The folder without what no release may publish: secrets, paths and run ids of the trainer.

    NLA504 would find them in the released sidecar. The contract's own keys of a canonical sidecar
    stay as they are.

    Returns:
        The folder with the document that is left, and a note for each key that was left out.
    """
    left_out: list[tuple[str, str]] = []
    owned = _OWNED if folder.dialect is CANONICAL else frozenset()
    kept = {key: value for key, value in folder.document.items() if key in owned}
    others = {key: value for key, value in folder.document.items() if key not in kept}
    document = kept | _clean(others, "", left_out)
    notes = [f"{place} is left out of {SIDECAR_FILE}: {kind}" for place, kind in left_out]
    return replace(folder, document=document), notes


def _clean(value: Any, place: str, left_out: list[tuple[str, str]]) -> Any:
    """The value without keys and items that tell what is private."""
    if isinstance(value, dict):
        found = {}
        for key, item in value.items():
            where = f"{place}.{key}" if place else str(key)
            told = _told(key, item)
            if told:
                left_out.append((where, told))
            else:
                found[key] = _clean(item, where, left_out)
        return found
    if isinstance(value, list):
        return [_clean(item, f"{place}[{at}]", left_out) for at, item in enumerate(value)]
    return value


def _told(key: str, item: Any) -> str | None:
    """What a key tells that is private; of a mapping, its own name only."""
    nested = isinstance(item, dict) or any(isinstance(each, dict) for each in _items(item))
    text = dump_yaml({key: None if nested else item})
    return _leaks(text)


def _leaks(text: str) -> str | None:
    """The first kind of private thing in a text."""
    found = next(leaks(text.encode(errors="replace"), _PRIVATE), None)
    return found[1] if found else None


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _preserved(folder: Folder) -> dict[str, Any]:
    """Blocks that the contract does not know stay where they are; the others move aside whole."""
    document = folder.document
    kept = {key: value for key, value in document.items() if key not in _OWNED}
    replaced = {key: value for key, value in document.items() if key in _OWNED}
    source = {"dialect": folder.dialect.name, "file": folder.context.file, "document": replaced}
    return kept | {FOREIGN_KEY: source}


def _contract(role: Role, folder: Folder, facts: dict[str, Any]) -> dict[str, Any]:
    d_model = facts["d_model"]
    is_av = role == "av"
    return {
        "kind": "nla_model",
        "schema_version": 2,
        "role": role,
        "stage": facts[f"{role}.stage"],
        "d_model": d_model,
        "extraction_layer_index": facts["layer"],
        "extraction": {
            "injection_scale": resolved(facts["av.injection_scale"], d_model) if is_av else None,
            "mse_scale": resolved(facts["mse_scale"], d_model),
        },
        "tokens": {
            "injection_char": facts["injection_char"],
            "injection_token_id": facts["injection_token_id"],
            "injection_left_neighbor_id": facts["left_neighbor_id"],
            "injection_right_neighbor_id": facts["right_neighbor_id"],
            "critic_suffix_ids": None if is_av else facts["ar.suffix_ids"],
        },
        "prompt_templates": {"av": facts["template_av"], "ar": facts["template_ar"]},
        "critic": None if is_av else {"extraction_layer_index": facts["ar.read_block"]},
        "created_at": _text_or_unknown(folder, "created_at"),
        "created_by": _text_or_unknown(folder, "created_by"),
    }


def _ours(role: Role, folder: Folder, facts: dict[str, Any], head: Head) -> dict[str, Any]:
    is_av = role == "av"
    return {
        "schema": 1,
        "base": {
            "id": facts["base_model"],
            "revision": facts["base_revision"],
            "quantization": facts["base_quantization"],
            "dtype": facts["base_dtype"],
        },
        "layer_convention": "block_output",
        "injection": _injection(folder, facts) if is_av else None,
        "adapters": [declared(folder.config)],
        "ar_head": None if is_av else _head(facts, head),
        "norms": {
            "activation_mean": facts["activation_mean"],
            "embedding_mean": facts["embedding_mean"],
        },
    }


def _injection(folder: Folder, facts: dict[str, Any]) -> dict[str, Any]:
    ids: list[int] = facts["av.prompt_token_ids"]
    marker = facts["injection_token_id"]
    if ids.count(marker) != 1:
        raise SidecarError(
            f"{folder.where}: av.prompt_token_ids hold the marker id {marker} {ids.count(marker)}"
            " times, expected 1"
        )
    return {
        "site": "embedding",
        "op": "replace",
        "scale": resolved(facts["av.injection_scale"], facts["d_model"]),
        "prompt_encoding": facts["av.prompt_encoding"],
        "chat_template": {
            "sha256": facts["av.chat_template_sha256"],
            "options": facts["av.chat_options"],
        }
        if facts["av.prompt_encoding"] == "chat"
        else None,
        "prompt_token_ids": ids,
        "marker_position": ids.index(marker),
    }


def _head(facts: dict[str, Any], head: Head) -> dict[str, Any]:
    return {
        "file": HEAD_FILE,
        "key": "weight",
        "shape": list(head.shape),
        "bias": head.bias,
        "dtype": head.dtype,
        "blocks": facts["ar.read_block"] + 1,
        "final_norm": "identity",
    }


def _text_or_unknown(folder: Folder, key: str) -> str:
    value = folder.document.get(key)
    return value if isinstance(value, str) and value else _UNKNOWN
