"""The YAML at the top of a card, mended in place.

Nothing is parsed and dumped again but the values that are wrong: the text of every other key moves
as it is, with its comments, dates and quotes.
"""

from collections.abc import Mapping
from typing import Any

from nla_release.cards.front_matter import KEYS
from nla_release.hub_client.card_metadata import FRONT_MATTER, check_card
from nla_release.io.documents import parse_yaml, yaml_nodes
from nla_release.io.files import dump_yaml


def read_front_matter(card: str) -> dict[str, Any]:
    """The metadata of a card as YAML gives it; empty when it has none that can be read."""
    matter = _matter(card)
    if matter is None or not check_card(card).metadata:
        return {}
    return parse_yaml(card[matter], "the metadata")


def mended_front_matter(card: str, fields: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The card with these fields in its metadata, and its keys in our order; what was done to it.

    Keys that are not ours stand behind ours. The card comes back as it is when its keys cannot be
    told apart by lines, or when the Hub would object to something new.
    """
    matter, before = _matter(card), read_front_matter(card)
    parts = _parts(card[matter]) if matter and before else {}
    if not (matter and parts):
        return card, []
    changed = [key for key in fields if key not in before or before[key] != fields[key]]
    texts = parts | {key: dump_yaml({key: fields[key]}) for key in changed}
    order = sorted(texts, key=lambda key: KEYS.index(key) if key in KEYS else len(KEYS))
    start = matter.stop - sum(map(len, parts.values()))
    mended = card[:start] + "".join(texts[key] for key in order) + card[matter.stop :]
    if not _is_safe(card, mended, {**before, **fields}):
        return card, []
    moved = [key for key in order if key in parts] != list(parts)
    reasons = [_words(key, fields[key]) for key in changed]
    return mended, [*reasons, *(["keys in order"] if moved else [])]


def mended_index(found: Any, computed: list[dict[str, Any]]) -> Any:
    """A model-index with the computed metrics in its result of our measurement.

    Results of other data and metrics of other names are the author's, and stay. An absent index
    is the computed one; one that the Hub does not accept comes back as it is.
    """
    if not found:
        return computed
    if check_card(f"---\n{dump_yaml({'model-index': found})}---\n").errors:
        return found
    (ours,) = computed[0]["results"]
    return [
        {**model, "results": [_mended_result(result, ours) for result in model["results"]]}
        for model in found
    ]


def _mended_result(found: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    if any(found[key] != ours[key] for key in ("task", "dataset")):
        return found
    names = {metric["name"] for metric in ours["metrics"]}
    others = [metric for metric in found["metrics"] if metric.get("name") not in names]
    return {**found, "metrics": ours["metrics"] + others}


def _matter(card: str) -> slice | None:
    """Where the YAML stands in a card, after a byte order mark if there is one."""
    match = FRONT_MATTER.match(card, int(card.startswith("\ufeff")))
    return slice(*match.span(1)) if match else None


def _parts(text: str) -> dict[str, str]:
    """The text of every key of a YAML mapping, up to the next key; empty when lines do not do."""
    keys = [key for key, _ in yaml_nodes(text, "the metadata").value]
    if any(key.start_mark.column for key in keys) or len({key.value for key in keys}) != len(keys):
        return {}
    stops = [*(key.start_mark.index for key in keys[1:]), len(text)]
    return {
        key.value: text[key.start_mark.index : stop] for key, stop in zip(keys, stops, strict=True)
    }


def _is_safe(card: str, mended: str, expected: dict[str, Any]) -> bool:
    """Whether the metadata says what it should, and draws no complaint that it did not draw."""
    old, new = check_card(card), check_card(mended)
    return read_front_matter(mended) == expected and set(new.errors) <= set(old.errors)


def _words(key: str, value: Any) -> str:
    return "metrics of calibration.json" if key == "model-index" else f"{key} is {value}"
