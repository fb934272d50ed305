"""What sidecar and release.yaml say of the data and the hardware that an adapter was trained with.

`nla_release.training` may hold `corpus`, `labeler` and `data_license`, each a text, and `datasets`:
a list of names, or of `{name, license, rows, labeler}`. Nothing is asked of it, nothing made up.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from nla_release.text.markdown import inline

_FACTS = {
    "corpus": "Corpus",
    "labeler": "Explanations written by",
    "data_license": "Licence of the training data",
    "hardware": "Hardware",
}


def dataset_facts(
    training: Mapping[str, Any],
    stated: Mapping[str, str | None] = MappingProxyType({}),
    languages: Sequence[str] = (),
) -> list[tuple[str, str]]:
    """Rows of a table: what it is, and what is known of it, in Markdown.

    Args:
        training: what the sidecar records.
        stated: what release.yaml says, by the same keys; where the two differ, both are shown.
        languages: of the texts, as release.yaml says.
    """
    facts = [
        (words, said)
        for key, words in _FACTS.items()
        if (said := _said(training.get(key), stated.get(key)))
    ]
    if languages:
        facts.append(("Languages", inline(", ".join(languages))))
    datasets = training.get("datasets")
    if isinstance(datasets, list) and (told := [_dataset(each) for each in datasets]):
        facts.append(("Datasets", "; ".join(told)))
    return facts


def _said(recorded: Any, stated: str | None) -> str:
    """What release.yaml states, and what the sidecar records where that is another."""
    known = inline(recorded) if isinstance(recorded, str | int | float) else ""
    if stated is None or inline(stated) == known:
        return known
    return f"{inline(stated)} (recorded in training: {known})" if known else inline(stated)


def _dataset(dataset: Any) -> str:
    if not isinstance(dataset, Mapping):
        return inline(dataset)
    rows, labeler = dataset.get("rows"), dataset.get("labeler")
    details = [
        dataset.get("license"),
        f"{rows} rows" if rows is not None else None,
        f"labelled by {labeler}" if labeler else None,
    ]
    known = ", ".join(inline(each) for each in details if each)
    name = inline(dataset.get("name", "unnamed"))
    return f"{name} ({known})" if known else name
