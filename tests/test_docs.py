"""The documentation names what exists; `make docs` builds it and checks its links."""

import re
import shlex
import tomllib
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
import yaml

import nla_release
from docs import generated
from nla_release.cards.notes import NAMES
from nla_release.cli import VERBS, cli
from nla_release.contract.sidecar import Sidecar
from nla_release.gate import ALL_RULES
from nla_release.io.files import read_yaml
from nla_release.release.config import ReleaseConfig
from nla_release.release.manifest import Manifest
from nla_release.training.recipe import Recipe

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]


def code(page):
    """The lines of a page's code blocks, with continued lines as one."""
    blocks = re.findall(r"```\w*\n(.*?)```", page.read_text(), re.DOTALL)
    return "\n".join(blocks).replace("\\\n", " ").splitlines()


def test_the_readme_has_at_most_600_words():
    assert len(README.read_text().split()) <= 600


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_that_a_page_shows_exists_with_its_options(page):
    for line in code(page):
        if not (found := re.search(r"(?:^|(?<!-C)[\s/])nla-release ([a-z].*)", line)):
            continue
        words = shlex.split(found[1], comments=True)
        verb, *arguments = words
        assert verb in VERBS, line
        command = cli.get_command(None, verb)
        if isinstance(command, click.Group):
            command = command.commands[arguments[0]]
        known = {option for each in command.params for option in each.opts + each.secondary_opts}
        for argument in arguments:
            if argument.startswith("--"):
                assert argument.partition("=")[0] in known, line


@pytest.mark.parametrize("page", [README, ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"])
def test_every_link_into_the_repository_leads_somewhere(page):
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", text) + re.findall(r'src="([^"]+)"', text):
        assert (ROOT / link).exists(), link


def test_every_page_of_the_documentation_that_code_names_exists():
    sources = [each for top in ("nla_release", "train") for each in (ROOT / top).rglob("*.py")]
    for source in [*sources, ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]:
        for page in re.findall(r"(?<!/)\bdocs/(?!inference|hub/)[\w/-]+\.md", source.read_text()):
            assert (ROOT / page).exists(), f"{source}: {page}"


# --- what is computed when the site is built ---


@pytest.mark.parametrize("model", [ReleaseConfig, Recipe, Sidecar, Manifest])
def test_every_key_of_a_file_is_described(model):
    table = generated.keys(f"{model.__module__}:{model.__name__}")
    rows = [row.split(" | ") for row in table.splitlines() if row.startswith("| `")]
    names = {field.alias or name for name, field in model.model_fields.items()}

    assert {f"| `{name}`" for name in names} <= {row[0] for row in rows}
    assert [row for row in rows if not row[-1].strip(" |")] == []


def test_every_rule_is_in_the_table_of_rules():
    table = generated.rules(None)

    for rule in ALL_RULES:
        assert f"| [{rule.code}](rules/{rule.code}.md) |" in table


def test_every_command_has_its_help_on_the_page_of_commands():
    page = generated.commands(None)

    for verb in VERBS:
        assert f"## nla-release {verb}\n\n```text\nUsage: nla-release {verb} " in page
    assert "## nla-release history retract\n" in page
    assert "## nla-release train av\n" in page


@pytest.mark.parametrize(
    ("html", "warnings"),
    [
        ('<script src="https://unpkg.com/x"></script>', 1),
        ('<link rel="stylesheet" href="https://fonts.example/css">', 1),
        ('<img src="//tracker.example/x.png">', 1),
        ('<a href="https://huggingface.co">Hub</a><script src="../assets/x.js"></script>', 0),
    ],
)
def test_a_page_that_loads_from_the_network_ends_the_build(html, warnings, caplog):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="index.md"))
    generated.on_post_page(html, page)

    assert len(caplog.records) == warnings


# --- pages that list what the code has ---


def test_the_page_of_variables_has_each_of_ours():
    page = (DOCS / "reference" / "environment.md").read_text()
    for source in (ROOT / "nla_release").rglob("*.py"):
        for name in re.findall(r'"(NLA_RELEASE_[A-Z_]+)"', source.read_text()):
            assert f"| `{name}` |" in page, source


def test_the_page_of_notes_has_each_of_them():
    page = (DOCS / "how-to" / "notes.md").read_text()

    assert set(re.findall(r"`(\w+)\.md`", page)) == set(NAMES)


def test_the_example_of_release_yaml_is_accepted():
    (example,) = re.findall(
        r"```yaml\n(.*?)```", (DOCS / "reference" / "release-yaml.md").read_text(), re.DOTALL
    )

    ReleaseConfig.model_validate(yaml.safe_load(example) | {"base_revision": "f974c5e"})


def test_the_citation_and_the_addresses_are_of_this_version():
    citation = read_yaml(ROOT / "CITATION.cff")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert citation["version"] == nla_release.__version__
    assert citation["license"] == project["license"]
    assert citation["repository-code"] == project["urls"]["Repository"]
