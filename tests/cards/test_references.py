"""Licences and citations: facts we know, or a refusal that names what we know."""

from pathlib import Path

import pytest

from nla_release.cards.environment import TEMPLATES
from nla_release.cards.references import (
    check_licence,
    citations,
    known_citations,
    licence,
    licence_files,
    misfits,
)
from nla_release.errors import ConfigError
from nla_release.hub.licenses import LICENSES

KNOWN = sorted(path.stem for path in (TEMPLATES / "licences").glob("*.yaml"))


@pytest.mark.parametrize("identifier", KNOWN)
def test_every_stanza_is_whole_and_its_id_is_one_of_the_hub(identifier: str) -> None:
    known = licence(identifier)

    assert identifier in LICENSES
    assert known.name.split()[0] in licence_files(identifier)["LICENSE"]


def test_the_apache_licence_travels_in_full() -> None:
    project = Path(__file__).parents[2] / "LICENSE"

    assert licence_files("apache-2.0") == {"LICENSE": project.read_text()}


def test_other_licences_are_named_with_their_address_and_notice() -> None:
    text = licence_files("llama3.3")["LICENSE"]

    assert text.startswith("Llama 3.3 Community License Agreement\n\nhttps://")
    assert "Built with Llama" in text


@pytest.mark.parametrize("identifier", ["mine", "../../../etc/passwd", ""])
def test_an_unknown_licence_is_refused_with_the_known_ones(identifier: str) -> None:
    with pytest.raises(ConfigError, match=r"known: apache-2\.0, "):
        licence(identifier)


@pytest.mark.parametrize(
    "identifier", ["gemma", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4"]
)
def test_a_licence_that_goes_with_adapters_names_its_clause_and_has_its_notice_in_a_file(
    identifier: str,
) -> None:
    known = licence(identifier)

    assert known.passes_on
    assert known.passes_on.startswith("section ")
    assert known.notice_file.strip() in licence_files(identifier)["NOTICE"]


@pytest.mark.parametrize(
    ("stated", "base", "repo"),
    [
        ("cc-by-4.0", "apache-2.0", "someone/gemma-4-nla-av"),
        ("gemma", "gemma", "someone/nla-av"),
        ("llama3.3", "llama3.3", "someone/llama-nla-av"),
        ("cc-by-nc-4.0", "cc-by-nc-4.0", "someone/nla-av"),
        ("other", "cc-by-nc-4.0", "someone/nla-av"),
        ("other", "mit", "someone/nla-av"),
        ("other", "gemma", "someone/nla-av"),
        ("gpl-3.0", "apache-2.0", "someone/nla-av"),
        ("llama2", "llama2", "someone/nla-av"),
        ("llama3", "llama3", "someone/llama-3-nla-av"),
        ("llama4", "llama4", "someone/Llama-nla-av"),
    ],
)
def test_what_the_base_allows_fits(stated: str, base: str, repo: str) -> None:
    assert misfits(stated, licence(base), repo) == []
    check_licence(stated, base, repo)


@pytest.mark.parametrize(
    ("stated", "base", "repo", "message"),
    [
        ("cc-by-4.0", "gemma", "someone/nla-av", "expected gemma"),
        ("gpl-3.0", "gemma", "someone/nla-av", "expected gemma"),
        ("mit", "llama2", "someone/nla-av", "expected llama2"),
        ("llama3", "llama3", "someone/Llama-nla-av", "does not begin with 'Llama-3'"),
        ("llama4", "llama4", "someone/nla-av", "does not begin with 'Llama'"),
        ("llama3.1", "llama3.3", "someone/Llama-nla-av", "expected llama3.3"),
        ("llama3.3", "llama3.3", "Llama/nla-av", "does not begin with 'Llama'"),
        ("apache-2.0", "cc-by-nc-4.0", "someone/nla-av", "allows no commercial use"),
        ("cc-by-4.0", "cc-by-sa-4.0", "someone/nla-av", "expected cc-by-sa-4.0"),
    ],
)
def test_what_the_base_does_not_allow_is_refused_with_its_clause(
    stated: str, base: str, repo: str, message: str
) -> None:
    (problem,) = misfits(stated, licence(base), repo)

    assert message in problem
    with pytest.raises(ConfigError, match=message):
        check_licence(stated, base, repo)


@pytest.mark.parametrize("base", [None, "other", "agpl-3.0"])
def test_a_base_whose_terms_are_not_known_here_refuses_nothing(base: str | None) -> None:
    check_licence("mit", base, "someone/nla-av")


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
