"""Licences and citations: facts we know, or a refusal that names what we know."""

from pathlib import Path

import pytest

from nla_release.cards.environment import TEMPLATES
from nla_release.cards.references import citations, licence, licence_file
from nla_release.errors import ConfigError
from nla_release.hub.licenses import LICENSES

KNOWN = sorted(path.stem for path in (TEMPLATES / "licences").glob("*.yaml"))


@pytest.mark.parametrize("identifier", KNOWN)
def test_every_stanza_is_whole_and_its_id_is_one_of_the_hub(identifier: str) -> None:
    known = licence(identifier)

    assert identifier in LICENSES
    assert known.name.split()[0] in licence_file(identifier)


def test_the_apache_licence_travels_in_full() -> None:
    project = Path(__file__).parents[2] / "LICENSE"

    assert licence_file("apache-2.0") == project.read_text()


def test_other_licences_are_named_with_their_address_and_notice() -> None:
    text = licence_file("llama3.3")

    assert text.startswith("Llama 3.3 Community License Agreement\n\nhttps://")
    assert "Built with Llama" in text


@pytest.mark.parametrize("identifier", ["mine", "../../../etc/passwd", ""])
def test_an_unknown_licence_is_refused_with_the_known_ones(identifier: str) -> None:
    with pytest.raises(ConfigError, match=r"known: apache-2\.0, "):
        licence(identifier)


def test_the_method_is_cited_with_its_true_title_and_authors() -> None:
    (entry,) = citations(["frasertaliente2026nla"])

    assert "Produce Unsupervised Explanations of {LLM} Activations" in entry
    assert "Fraser-Taliente, Kit and Kantamneni, Subhash and Ong, Euan and others" in entry
    assert "https://transformer-circuits.pub/2026/nla/" in entry


def test_an_unknown_citation_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="cites nobody2020; known: frasertaliente2026nla"):
        citations(["nobody2020"])
