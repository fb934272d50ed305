"""Citations by key, from `model_cards/citations.bib`."""

from functools import cache

from nla_release.errors import ConfigError
from nla_release.io.files import read_text
from nla_release.text.bibtex import Entry, read_entries
from nla_release.text.sandbox import TEMPLATES


@cache
def known_citations() -> dict[str, Entry]:
    """The entries of `model_cards/citations.bib` by key."""
    return {entry.key: entry for entry in read_entries(read_text(TEMPLATES / "citations.bib"))}


def citations(keys: list[str]) -> list[str]:
    """The BibTeX entries of `model_cards/citations.bib` with these keys.

    Raises:
        ConfigError: there is no such entry; the known keys are named.
    """
    known = known_citations()
    if unknown := [key for key in keys if key not in known]:
        raise ConfigError(
            f"release.yaml cites {', '.join(unknown)}; known: {', '.join(known)}",
            hint="add the entry to model_cards/citations.bib",
        )
    return [known[key].source for key in keys]
