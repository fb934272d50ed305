"""What the sidecar tells of the data that an adapter was trained on, as far as it tells anything.

`nla_release.training` may hold `corpus`, `labeler` and `data_license`, each a text, and `datasets`:
a list of names, or of `{name, license, rows, labeler}`. Nothing is asked of it, nothing made up.
"""

from collections.abc import Mapping
from typing import Any

from nla_release.cards.markdown import inline

_FACTS = {
    "corpus": "Corpus",
    "labeler": "Explanations written by",
    "data_license": "Licence of the training data",
}


def dataset_facts(training: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows of a table: what it is, and what the sidecar says of it, in Markdown."""
    facts = [
        (words, inline(training[key]))
        for key, words in _FACTS.items()
        if isinstance(training.get(key), str | int | float)
    ]
    datasets = training.get("datasets")
    if isinstance(datasets, list) and (told := [_dataset(each) for each in datasets]):
        facts.append(("Datasets", "; ".join(told)))
    return facts


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
