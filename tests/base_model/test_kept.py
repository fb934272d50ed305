"""base.json next to release.yaml: measured if it is missing, and used if it exists."""

from pathlib import Path

import pytest

from nla_release.base_model.facts import BaseFacts, read_base_facts
from nla_release.base_model.measure import base_facts
from nla_release.cards.render import render
from nla_release.errors import EnvironmentProblem, InputError
from nla_release.io.files import write_atomic
from nla_release.release.folder import ROLES, Release, read_release
from tests.builders_pair import BASE, REVISION, make_release
from tests.pairs.zoo import edited_json, edited_yaml


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def release(tmp_path) -> Release:
    return make_release(tmp_path / "release")


def with_local_base(release: Release, **changes: str) -> Release:
    with edited_yaml(release.folder / "release.yaml") as document:
        document |= {"base_path": "base"} | changes
    return read_release(release.folder)


def kept(release: Release) -> Path:
    return release.folder / "base.json"


def test_facts_that_are_there_are_believed(release):
    with edited_json(kept(release)) as facts:
        facts["license"] = "mit"

    assert base_facts(with_local_base(release)).license == "mit"


def test_facts_that_are_not_there_are_measured_and_kept(release):
    before = kept(release).read_bytes()
    kept(release).unlink()
    facts = base_facts(with_local_base(release))

    assert (facts.id, facts.revision) == (BASE, REVISION)
    assert kept(release).read_bytes() == before


@pytest.mark.parametrize(("key", "value"), [("id", "someone/else"), ("revision", "1" * 40)])
def test_facts_of_another_base_are_replaced(release, key, value):
    with edited_json(kept(release)) as facts:
        facts[key] = value
    base_facts(with_local_base(release))

    assert (read_base_facts(release.folder).id, base_facts(release).revision) == (BASE, REVISION)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema": 2}'])
def test_damaged_facts_are_not_guessed_at(release, content):
    write_atomic(kept(release), content)

    with pytest.raises(InputError, match=r"base\.json") as problem:
        base_facts(release)
    assert problem.value.hint == "make it with `nla-release base`"


@pytest.mark.parametrize("role", ROLES)
def test_both_repositories_get_the_facts(release, role):
    render(release, "0.0.1")

    assert (release.dist / role / "base.json").read_bytes() == kept(release).read_bytes()


def test_render_measures_a_base_that_is_at_hand(release):
    kept(release).unlink()
    render(with_local_base(release), "0.0.1")

    assert isinstance(read_base_facts(release.dist / "av"), BaseFacts)


def test_render_without_facts_and_without_a_network_leaves_dist_as_it_was(release):
    render(release, "0.0.1")
    before = (release.dist / "av" / "release.json").read_bytes()
    kept(release).unlink()

    with pytest.raises(EnvironmentProblem, match="the cache does not hold") as problem:
        render(release, "0.0.2")
    assert "run `nla-release base` where there is a network" in (problem.value.hint or "")
    assert (release.dist / "av" / "release.json").read_bytes() == before
