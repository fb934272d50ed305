"""Citations: entries we know, or a refusal that names them."""

import pytest

from nla_release.cards.method import citations, known_citations
from nla_release.errors import ConfigError


def test_every_citation_says_who_published_what_when_and_where() -> None:
    for entry in known_citations().values():
        assert {"title", "author", "year", "url"} <= entry.fields.keys()


def test_the_method_is_cited_with_its_true_title_and_authors() -> None:
    (entry,) = citations(["frasertaliente2026nla"])

    assert "Produce Unsupervised Explanations of {LLM} Activations" in entry
    assert "Fraser-Taliente, Kit and Kantamneni, Subhash and Ong, Euan and others" in entry
    assert "https://transformer-circuits.pub/2026/nla/" in entry


def test_an_unknown_citation_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="cites nobody2020; known: frasertaliente2026nla"):
        citations(["nobody2020"])
