"""The YAML metadata at the top of a card, from which the Hub indexes a model; how it is updated.

`model-index` is built by hand, because huggingface_hub merges results of one dataset and drops what
distinguishes them. An update changes only the values that are wrong: the text of every other key
stays as it is, with its comments, dates and quotes.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from nla_release.calibration.report import CONTROL_NAMES, Calibration, CurrentCalibration
from nla_release.contract.sidecar import Role, Sidecar
from nla_release.evidence.controls import CONTROLS
from nla_release.hub_client.card_metadata import FRONT_MATTER, check_card
from nla_release.io.documents import parse_yaml, yaml_nodes
from nla_release.io.files import dump_yaml
from nla_release.release.folder import Release
from nla_release.release.licences import OTHER

PIPELINE_TAGS: dict[Role, str] = {"av": "text-generation", "ar": "feature-extraction"}

_ROLE_TAGS: dict[Role, str] = {"av": "activation-verbalizer", "ar": "activation-reconstructor"}

# The order that keys are written in; the two that only a licence of its own needs stand behind it.
KEYS = (
    "license",
    "license_name",
    "license_link",
    "language",
    "base_model",
    "base_model_relation",
    "library_name",
    "pipeline_tag",
    "new_version",
    "tags",
    "model-index",
)


def front_matter(
    release: Release, sidecar: Sidecar, calibration: Calibration, successor: str | None = None
) -> str:
    """YAML text without the dashes around it.

    Args:
        release: which names the licence.
        sidecar: of the adapter.
        calibration: of the pair.
        successor: the repository to use instead, when this version was retracted.
    """
    config = release.config
    return dump_yaml(
        {
            "license": config.license,
            **_named(release),
            **({"language": config.languages} if config.languages else {}),
            **determined(sidecar),
            **({"new_version": successor} if successor else {}),
            "tags": [
                "natural-language-autoencoder",
                "nla",
                _ROLE_TAGS[sidecar.role],
                "interpretability",
                "mechanistic-interpretability",
                "lora",
                "peft",
            ],
            "model-index": model_index(f"{config.name}-{sidecar.role}", sidecar, calibration),
        }
    )


def _named(release: Release) -> dict[str, str]:
    """The name and the link of a licence that the Hub has no identifier for.

    The Hub takes a link that is no address for a file of the repository.
    """
    if release.config.license != OTHER:
        return {}
    licence = release.licence
    return {"license_name": licence.name, "license_link": licence.link}


def determined(sidecar: Sidecar) -> dict[str, str]:
    """The keys whose values follow from the adapter's files, and are nobody's choice."""
    return {
        "base_model": sidecar.nla_release.base.id,
        "base_model_relation": "adapter",
        "library_name": "peft",
        "pipeline_tag": PIPELINE_TAGS[sidecar.role],
    }


def model_index(name: str, sidecar: Sidecar, calibration: Calibration) -> list[dict[str, Any]]:
    """The Hub's list of results: one model, one result, of the round trip."""
    layer = sidecar.extraction_layer_index
    result = {
        "task": {"type": "activation-reconstruction", "name": "Round trip through AV and AR"},
        "dataset": {
            "name": f"Held-out activations of {sidecar.nla_release.base.id}, block {layer}",
            "type": "residual-stream-activations",
            "config": f"block-{layer}",
            "split": "held-out",
        },
        "metrics": metrics(calibration),
    }
    return [{"name": name, "results": [result]}]


def metrics(calibration: Calibration) -> list[dict[str, Any]]:
    """Every metric with its control and difference right behind it: no number stands alone."""
    rows = list(_contrasts(calibration))
    rows.append(_metric("cosine", "Round-trip cosine", calibration.cosine.mean))
    for name in CONTROL_NAMES:
        if (control := calibration.controls.get(name)) is not None:
            words = CONTROLS[name].words
            rows += [
                _metric("cosine", f"Round-trip cosine, control: {words}", control.mean),
                _metric("cosine", f"Round-trip cosine, minus: {words}", control.difference),
            ]
    for words, by_definition, fve in (
        ("Variance explained", "the mean vector", calibration.fve),
        ("Variance explained, mean-norm", "the mean direction", calibration.fve_mean_norm),
    ):
        if fve.value is None:
            continue
        if fve.of_mean is None:  # before format 3
            rows.append(_metric("fve", f"{words} (control: {by_definition}, 0)", fve.value))
        else:
            against = f"{words}, control: the mean training activation"
            rows += [_metric("fve", words, fve.value), _metric("fve", against, fve.of_mean)]
    retrieval = calibration.retrieval
    return [
        *rows,
        _metric("accuracy", "Own activation retrieved, top-1", retrieval.top1),
        *_knowing_the_document(calibration),
        _metric("accuracy", "Own activation retrieved, control: chance", retrieval.chance),
        _metric("count", "Rows measured, failures included", calibration.denominators.rows),
    ]


def _knowing_the_document(calibration: Calibration) -> Iterator[dict[str, Any]]:
    """What retrieval gets from a text that says its document alone; none before format 3."""
    if isinstance(calibration, CurrentCalibration):
        name = "Own activation retrieved, control: knowing the document"
        yield _metric("accuracy", name, calibration.retrieval.document_alone)


def _contrasts(calibration: Calibration) -> Iterator[dict[str, Any]]:
    """Centred cosines of the own text and of other rows' texts; none before format 3."""
    pairs = calibration.contrasts
    if pairs is None:
        return
    yield _metric("cosine", "Centred cosine", pairs.above_others.first)
    for words, found in (
        ("texts of other rows of the document", pairs.within),
        ("texts of other documents", pairs.above_others),
    ):
        if found:
            yield _metric("cosine", f"Centred cosine, control: {words}", found.second)
            yield _metric("cosine", f"Centred cosine, minus: {words}", found.difference)


def _metric(kind: str, name: str, value: float) -> dict[str, Any]:
    return {"type": kind, "name": name, "value": value}


def read_front_matter(card: str) -> dict[str, Any]:
    """The metadata of a card as YAML gives it; empty when it has none that can be read."""
    matter = _matter(card)
    if matter is None or not check_card(card).metadata:
        return {}
    return parse_yaml(card[matter], "the metadata")


def corrected_front_matter(card: str, fields: Mapping[str, Any]) -> tuple[str, list[str]]:
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


def corrected_index(found: Any, computed: list[dict[str, Any]]) -> Any:
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
        {**model, "results": [_corrected_result(result, ours) for result in model["results"]]}
        for model in found
    ]


def _corrected_result(found: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
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
