"""From the facts of a pair to its canonical sidecars, with the original document kept inside."""

from dataclasses import replace
from typing import Any

from nla_release.adapter.config import declared
from nla_release.contract.sidecar import Role, Sidecar, dump_sidecar
from nla_release.dialects.folder import ArWeights, Folder
from nla_release.dialects.report import Report
from nla_release.dialects.table import CANONICAL
from nla_release.dialects.values import resolved
from nla_release.errors import SidecarError, one_line
from nla_release.gate.leaks import ACCOUNTS, MOUNTS, PLACES, SECRETS, leaks
from nla_release.io.files import dump_yaml
from nla_release.io.layout import HEAD_FILE, SIDECAR_FILE
from nla_release.io.schema import parse

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
    facts = {name: known.value for name, known in report.known.items()}
    document = _preserved(folder) | _contract(role, folder, facts)
    document["nla_release"] = _ours(role, folder, facts, weights)
    return parse(Sidecar, document, f"{folder.where} made canonical", error=SidecarError)


def original(sidecar: Sidecar) -> dict[str, Any]:
    """The document that a canonical sidecar was made from; empty when there was none."""
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


def without_leaks(folder: Folder) -> tuple[Folder, list[str]]:
    """The folder without what no release may publish: secrets, paths and run ids of the trainer.

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
    """Blocks that the contract does not know stay where they are; the others move aside whole."""
    document = folder.document
    kept = {key: value for key, value in document.items() if key not in _OWNED}
    replaced = {key: value for key, value in document.items() if key in _OWNED}
    source = {"dialect": folder.format.name, "file": folder.context.file, "document": replaced}
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
        **{key: folder.text(key) or "unknown" for key in ("created_at", "created_by")},
    }


def _ours(role: Role, folder: Folder, facts: dict[str, Any], weights: ArWeights) -> dict[str, Any]:
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
        "ar_head": None if is_av else _head(facts, weights),
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


def _head(facts: dict[str, Any], weights: ArWeights) -> dict[str, Any]:
    return {
        "file": HEAD_FILE,
        "key": "weight",
        "shape": list(weights.shape),
        "bias": weights.bias,
        "dtype": weights.dtype,
        "blocks": facts["ar.read_block"] + 1,
        "final_norm": "identity",
    }
