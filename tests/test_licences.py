"""Licences: facts we know, a licence of one's own, or a refusal that says what to write."""

from pathlib import Path

import pytest

from nla_release.cards.render import render
from nla_release.errors import ConfigError, InputError
from nla_release.hub_client.card_metadata import check_card
from nla_release.io.files import dump_yaml, write_atomic
from nla_release.release.folder import ROLES, Release, read_release
from nla_release.release.licences import (
    LICENSES,
    licence,
    licence_files,
    licence_problem,
    misfits,
)
from nla_release.text.sandbox import TEMPLATES
from tests.builders_pair import make_release, release_document

KNOWN = sorted(path.stem for path in (TEMPLATES / "licences").glob("*.yaml"))


@pytest.mark.parametrize("identifier", KNOWN)
def test_every_stanza_is_whole_and_its_id_is_one_of_the_hub(identifier: str) -> None:
    known = licence(identifier)

    assert identifier in LICENSES
    assert known.name.split()[0] in licence_files(licence(identifier))["LICENSE"]


def test_the_apache_licence_travels_in_full() -> None:
    project = Path(__file__).parents[1] / "LICENSE"

    assert licence_files(licence("apache-2.0")) == {"LICENSE": project.read_text()}


def test_other_licences_are_named_with_their_address_and_notice() -> None:
    text = licence_files(licence("llama3.3"))["LICENSE"]

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
    assert known.notice_file.strip() in licence_files(licence(identifier))["NOTICE"]


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
    assert misfits(stated, base, repo) == []


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
def test_what_the_base_does_not_allow_is_named_with_its_clause(
    stated: str, base: str, repo: str, message: str
) -> None:
    (problem,) = misfits(stated, base, repo)

    assert message in problem


@pytest.mark.parametrize("base", [None, "other", "agpl-3.0"])
def test_a_base_whose_terms_are_not_known_here_refuses_nothing(base: str | None) -> None:
    assert misfits("mit", base, "someone/nla-av") == []


def licensed(folder: Path, **keys: str) -> Release:
    """A release, ready to be rendered, whose release.yaml states another licence."""
    release = make_release(folder, rows=60, documents=20)
    write_atomic(release.folder / "release.yaml", dump_yaml(release_document() | keys))
    return read_release(release.folder)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("Apache 2.0", "apache-2.0"),
        ("apache2.0", "apache-2.0"),
        ("apache-2", "apache-2.0"),
        ("MIT", "mit"),
        ("CC-BY-4.0", "cc-by-4.0"),
        ("GPL-3.0-only", "gpl-3.0"),
        ("GPL-2.0-or-later", "gpl-2.0"),
        ("Gemma", "gemma"),
        ("llama-3.1", "llama3.1"),
        ("MIT License", "mit"),
        ("The Apache License 2.0", "apache-2.0"),
        ("GPLv3", "gpl-3.0"),
        ("gpl3", "gpl-3.0"),
    ],
)
def test_a_spelling_of_spdx_is_answered_with_the_one_of_the_hub(written: str, meant: str) -> None:
    problem = licence_problem(written, None, None)

    assert problem is not None
    assert f"did you mean {meant}?" in problem


@pytest.mark.parametrize("identifier", KNOWN)
def test_a_licence_whose_terms_come_with_the_package_needs_nothing_else(identifier: str) -> None:
    assert licence_problem(identifier, None, None) is None


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"license": "mine"}, "write other, license_name and license_link"),
        ({"license": "unknown"}, "write other, license_name and license_link"),
        ({"license": "other"}, "other needs license_name and license_link"),
        ({"license": "other", "license_name": "mine-1.0"}, "other needs license_link"),
        ({"license": "other", "license_link": "https://x.org"}, "other needs license_name"),
        (
            {"license": "other", "license_name": "mine", "license_link": "http://x.org/y"},
            "is not an https address",
        ),
        (
            {"license": "other", "license_name": "mine", "license_link": "https://x.org/) [y](z"},
            "is not an https address",
        ),
        ({"license": "agpl-3.0"}, "add license_link"),
        ({"license": "mit", "license_name": "mine"}, "mit has its own name"),
        ({"license": "mit", "license_link": "https://x.org"}, "license_link is not needed"),
    ],
)
def test_release_yaml_with_a_licence_that_render_could_not_use_is_refused_by_every_verb(
    tmp_path: Path, keys: dict[str, str], words: str
) -> None:
    write_atomic(tmp_path / "release.yaml", dump_yaml(release_document() | keys))

    with pytest.raises(ConfigError) as caught:
        read_release(tmp_path)

    assert words in caught.value.message


@pytest.mark.parametrize("link", ["https://example.org/licence", "terms.txt"])
def test_a_licence_of_ones_own_is_on_both_cards_as_the_hub_wants_it(
    tmp_path: Path, link: str
) -> None:
    release = licensed(tmp_path, license="other", license_name="mine_*1*", license_link=link)
    write_atomic(release.folder / "terms.txt", "Use it kindly.\n")

    render(release, "0.0.1")

    local = link == "terms.txt"
    for role in ROLES:
        card = (release.dist / role / "README.md").read_text()
        report = check_card(card)
        assert (report.errors, report.warnings) == ([], [])
        assert report.metadata["license"] == "other"
        assert report.metadata["license_name"] == "mine_*1*"
        assert report.metadata["license_link"] == ("LICENSE" if local else link)
        text = (release.dist / role / "LICENSE").read_text()
        assert text == ("Use it kindly.\n" if local else f"mine_*1*\n\n{link}\n")
        assert f"[mine\\_\\*1\\*]({'LICENSE' if local else link})" in card


def test_a_licence_of_the_hub_without_a_text_here_is_released_with_its_link(tmp_path: Path) -> None:
    link = "https://www.gnu.org/licenses/agpl-3.0.html"
    release = licensed(tmp_path, license="agpl-3.0", license_link=link)

    render(release, "0.0.1")

    metadata = check_card((release.dist / "av" / "README.md").read_text()).metadata
    assert metadata["license"] == "agpl-3.0"
    assert "license_link" not in metadata
    assert link in (release.dist / "av" / "LICENSE").read_text()


@pytest.mark.parametrize(("content", "words"), [(None, "does not exist"), (" \n", "is empty")])
def test_a_licence_file_that_says_nothing_is_named(
    tmp_path: Path, content: str | None, words: str
) -> None:
    release = licensed(tmp_path, license="other", license_name="mine", license_link="terms.txt")
    if content is not None:
        write_atomic(release.folder / "terms.txt", content)

    with pytest.raises(InputError, match=words) as caught:
        render(release, "0.0.1")

    assert "terms.txt" in caught.value.message


def test_a_licence_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    release = licensed(tmp_path, license="other", license_name="mine", license_link="terms.txt")
    write_atomic(tmp_path / "secret", "private")
    (release.folder / "terms.txt").symlink_to(tmp_path / "secret")

    with pytest.raises(InputError, match="is a symbolic link"):
        render(release, "0.0.1")
