"""The card of a rendered repository, brought in line with the files beside it."""

from typing import Any

from nla_release.calibration.report import CurrentCalibration
from nla_release.cards.blocks import expected_blocks, generated_blocks, regenerated
from nla_release.cards.front_matter import (
    determined,
    mended_front_matter,
    mended_index,
    model_index,
    read_front_matter,
)
from nla_release.fixes.model import Fix
from nla_release.gate.adapter import CARD_FILE_NAME, Adapter, reading
from nla_release.gate.findings import UnreadableError
from nla_release.io.files import dump_json, read_json, sha256_bytes
from nla_release.release.manifest import FILE_NAME as MANIFEST_FILE_NAME
from nla_release.release.manifest import Manifest


def card_fixes(adapter: Adapter, *, measured: bool) -> list[Fix]:
    """README.md with metadata and blocks in order, and its record in release.json.

    Args:
        adapter: a rendered repository. When a file that is needed cannot be read, which a rule
            reports, nothing is mended.
        measured: whether evidence, calibration and files belong together. Only then does a number,
            or the base that it was measured on, come onto the card.
    """
    try:
        path = adapter.path(CARD_FILE_NAME)
        with reading(path, "NLA501"):
            before = path.read_bytes()
            card = adapter.text(CARD_FILE_NAME)
            found = read_front_matter(card)
            mended, said = mended_front_matter(card, _fields(adapter, found, measured=measured))
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


def _fields(adapter: Adapter, found: dict[str, Any], *, measured: bool) -> dict[str, Any]:
    """The metadata that the files decide."""
    fields: dict[str, Any] = determined(adapter.sidecar)
    if not measured:
        del fields["base_model"]
        return fields
    computed = model_index(_name(adapter.manifest), adapter.sidecar, adapter.calibration)
    return fields | {"model-index": mended_index(found.get("model-index"), computed)}


def _name(manifest: Manifest) -> str:
    """The model's name: its repository's, without namespace and version."""
    version = manifest.version.replace(".", "_").replace("+", "_")
    return manifest.repo.rpartition("/")[2].removesuffix(f"-v{version}")


def _stale_blocks(adapter: Adapter, card: str) -> list[str]:
    """What is to be said of the blocks that calibration.json gives otherwise."""
    with reading(adapter.folder / CARD_FILE_NAME, "NLA502"):
        found = generated_blocks(card)
    expected = _blocks(adapter)
    return [
        f"block {name} of calibration.json"
        for name in sorted(found.keys() & expected)
        if found[name] != expected[name]
    ]


def _blocks(adapter: Adapter) -> dict[str, str]:
    version, calibration = adapter.manifest.version, adapter.calibration
    if not isinstance(calibration, CurrentCalibration):
        return {}
    return expected_blocks(calibration, adapter.log, adapter.addenda, version, adapter.comparison)


def _record(adapter: Adapter, before: bytes, after: bytes) -> list[Fix]:
    """release.json with the mended card, when it records the card as it was found.

    A card that was edited after rendering keeps its record: NLA701 goes on saying so, unless the
    mended card is the rendered one.
    """
    recorded = adapter.manifest.files.get(CARD_FILE_NAME)
    if recorded is None or recorded.sha256 != sha256_bytes(before):
        return []
    path = adapter.path(MANIFEST_FILE_NAME)
    with reading(path, "NLA701"):
        old, document = path.read_bytes(), read_json(path)
    document["files"][CARD_FILE_NAME] = {"sha256": sha256_bytes(after), "size": len(after)}
    new = dump_json(document).encode()
    return [Fix(path, old, new, ("NLA701",), f"the record of {CARD_FILE_NAME}")]
