"""`python -m train.real.ceiling FOLDER`: what the AR of FOLDER reads out of the held-out labels.

No AV takes part, so it needs `train extract`, `split`, `label`, `build` and `ar` alone. It is the
cheap experiment before an AV is trained: an AV whose every explanation was the label would give
these numbers. They show whether a layer and a form of label can tell the rows of a document apart.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np

from nla_release.cli.edge import CONTEXT_SETTINGS, output
from nla_release.cli.edge import run as run_at_the_edge
from nla_release.engine.activations import read_activations
from nla_release.engine.reconstructor import Reconstructor
from nla_release.errors import InputError
from nla_release.evidence.reference import read_reference
from nla_release.release.folder import read_release
from nla_release.statistics.contrasts import Contrast, centred, contrasts

_WORDS = {
    "own label, less those of the same document": "within",
    "labels of the same document, less those of others": "between",
    "own label, less those of other documents": "above_others",
}


def ceiling(folder: Path) -> Iterator[str]:
    """A Markdown table of centred cosines of the held-out rows.

    Raises:
        InputError: the pair or its data cannot be read, or a row has no label.
    """
    release = read_release(folder)
    ar = Reconstructor.from_pretrained(release.adapter("ar"), base=release.base_path)
    data = read_activations(release.evaluation_data, ar.d_model)
    labels = [label for label in data.explanations if label]
    if len(labels) < len(data):
        raise InputError(f"{release.evaluation_data}: {len(data) - len(labels)} rows have no label")
    mean = read_reference(release.reference, ar.d_model).mean
    gold = centred(data.vectors, mean)
    read = centred(ar.reconstruct(labels).numpy(), mean)
    found = contrasts(gold, read, data.documents, labels, np.zeros(len(data), np.bool_))
    documents = len(set(data.documents))
    yield f"{len(data)} rows of {documents} documents, layer {ar.layer}; centred cosines\n"
    yield "| comparison | first | second | difference (95%) | n |"
    yield "|---|---|---|---|---|"
    for words, name in _WORDS.items():
        it: Contrast = getattr(found, name)
        low, high = it.interval or (np.nan, np.nan)
        yield (
            f"| {words} | {it.first:.3f} | {it.second:.3f}"
            f" | {it.difference:+.3f} ({low:+.3f} to {high:+.3f}) | {it.n} |"
        )


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False, exists=True))
def command(folder: Path) -> None:
    """Show how well the AR of FOLDER reads the labels of the held-out rows."""
    output("\n".join(ceiling(folder)))


if __name__ == "__main__":
    run_at_the_edge(command, "python -m train.real.ceiling")
