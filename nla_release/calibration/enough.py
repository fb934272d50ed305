"""How much evidence a statement takes."""

from collections.abc import Sequence

from nla_release.calibration.blocks import Inconclusive

# Below these an interval over resampled documents says little about documents not drawn: with 5
# documents one of nominally 95% covers 84% (measured, see `clustered_bootstrap`), and a Wilson
# interval of 20 rows is up to 0.4 wide.
MIN_ROWS = 20
MIN_DOCUMENTS = 5

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
