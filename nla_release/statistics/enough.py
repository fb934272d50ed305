"""How much evidence a statement takes."""

from collections.abc import Sequence

from nla_release.errors import NothingCheckedError
from nla_release.statistics.blocks import Inconclusive

# What a label and a diagnostic take. A Wilson interval of 20 rows is up to 0.4 wide. The t of 10
# equal documents makes an interval 1.15 times as wide as that of many, of 5 documents 1.42 times,
# and uneven ones count as fewer.
MIN_ROWS = 20
MIN_DOCUMENTS = 10

# With fewer documents there is no interval: what it would cover was not measured.
MIN_DOCUMENTS_OF_INTERVAL = 5

# Fraction of variance explained divides by a variance, which is 0 when all training activations
# point one way. Six decimals are published.
NO_VARIANCE = 1e-6


def too_few(documents: Sequence[str], what: str = "rows") -> Inconclusive | None:
    """Why observations of these documents decide nothing, or None when they are enough.

    Args:
        documents: [n] the document of every observation.
        what: the observations are.
    """
    found = len(set(documents))
    if len(documents) >= MIN_ROWS and found >= MIN_DOCUMENTS:
        return None
    return Inconclusive(
        inconclusive=f"{len(documents)} {what} of {found} documents are too few to tell;"
        f" it takes {MIN_ROWS} of {MIN_DOCUMENTS}"
    )


def refuse_single(documents: Sequence[str]) -> None:
    """Two rows of two documents are the least that have a spread, and another row's text.

    Args:
        documents: [N] the document of every row.

    Raises:
        NothingCheckedError: there are fewer.
    """
    rows, found = len(documents), len(set(documents))
    if rows < 2 or found < 2:
        raise NothingCheckedError(
            f"{rows} row{'s' * (rows != 1)} of {found} document{'s' * (found != 1)}: nothing can"
            " be said, and no number is given",
            hint="hold out activations of more documents, and run `nla-release roundtrip`",
        )
