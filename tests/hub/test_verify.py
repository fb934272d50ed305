"""A published release is judged as a stranger finds it, and what is not true of it is found."""

import json

import pytest

from nla_release.errors import ConfigError, EnvironmentProblem, NothingCheckedError
from nla_release.release.config import Gates
from nla_release.release.folder import ROLES
from nla_release.release.manifest import read_manifest, release_id
from tests.hub.publishing import api_of, commits, repos, tags
from tests.hub.verifying import TAG, codes, flipped, hostile, judged, rewrite_both, told


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("role", [0, 1])
def test_a_release_as_it_was_pushed_passes(hub, rendered, tmp_path, role, pair):
    verdict = judged(hub, f"{repos(rendered)[role]}@{TAG}", tmp_path, pair=pair)

    assert verdict.verdict == "pass", told(verdict)
    states = {outcome.rule.code: outcome.state for outcome in verdict.outcomes}
    for code in ("NLA501", "NLA502", "NLA601", "NLA602", "NLA701", "NLA704", "NLA705"):
        assert states[code] == "passed"
    assert (states["NLA401"] == "passed") == pair


def test_the_commit_of_a_tag_can_be_verified_by_its_id(hub, av, tmp_path):
    released = tags(hub, av)[TAG]
    hostile(hub, av, {"README.md": b"# Better\n"}, tag=False)

    assert judged(hub, f"{av}@{released}", tmp_path).verdict == "pass"
    assert "NLA704" in codes(judged(hub, f"{av}@{commits(hub, av)[0].commit_id}", tmp_path))


def test_prose_rewritten_in_both_is_a_warning_and_contradicts_a_known_release_id(
    hub, rendered, av, tmp_path
):
    before = release_id([read_manifest(rendered.dist / role) for role in ROLES])

    def change(folder):
        card = folder / "README.md"
        card.write_text(card.read_text() + "\nIt is the best pair there is.\n")

    after = rewrite_both(hub, rendered, tmp_path, change)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert verdict.verdict == "pass"
    assert "is another release of v0.0.1; the tag may have been moved" in told(verdict)
    assert judged(hub, f"{av}@{TAG}", tmp_path, expected=after).verdict == "pass"
    pinned = judged(hub, f"{av}@{TAG}", tmp_path, expected=before)
    assert codes(pinned) == {"NLA705"}
    assert f"not {before[:12]} as expected" in told(pinned)


def test_numbers_rewritten_in_both_contradict_their_evidence(hub, rendered, av, tmp_path):
    def change(folder):
        path = folder / "calibration.json"
        document = json.loads(path.read_text())
        document["cosine"]["mean"] += 0.01
        path.write_text(json.dumps(document))

    rewrite_both(hub, rendered, tmp_path, change)

    assert "NLA602" in codes(judged(hub, f"{av}@{TAG}", tmp_path))


def test_a_number_rewritten_on_both_cards_contradicts_the_evidence(hub, rendered, av, tmp_path):
    mean = json.loads((rendered.dist / "av" / "calibration.json").read_text())["cosine"]["mean"]

    def change(folder):
        card = folder / "README.md"
        edited = card.read_text().replace(f"{mean:.3f}", f"{mean + 0.01:.3f}")
        assert edited != card.read_text()
        card.write_text(edited)

    rewrite_both(hub, rendered, tmp_path, change)

    assert {"NLA501", "NLA502"} & codes(judged(hub, f"{av}@{TAG}", tmp_path))


def test_evidence_rewritten_in_both_is_not_of_one_run(hub, rendered, av, tmp_path):
    def change(folder):
        rows = folder / "evidence" / "rows.jsonl"
        rows.write_bytes(flipped(rows.read_bytes()))

    rewrite_both(hub, rendered, tmp_path, change)

    assert "NLA601" in codes(judged(hub, f"{av}@{TAG}", tmp_path))


def test_weights_rewritten_in_both_are_not_those_that_were_measured(hub, rendered, av, tmp_path):
    def change(folder):
        weights = folder / "adapter_model.safetensors"
        weights.write_bytes(flipped(weights.read_bytes()))

    rewrite_both(hub, rendered, tmp_path, change)

    assert {"NLA601", "NLA705"} <= codes(judged(hub, f"{av}@{TAG}", tmp_path))


def test_a_copy_under_another_name_is_not_the_release(hub, rendered, tmp_path):
    hub.store.import_folder("stranger/mine", rendered.dist / "av")
    api_of(hub).create_tag("stranger/mine", tag=TAG)
    verdict = judged(hub, f"stranger/mine@{TAG}", tmp_path)

    assert {"NLA704", "NLA705"} <= codes(verdict)
    assert "and is in stranger/mine" in told(verdict)


def test_gates_and_waivers_of_the_author_are_for_the_author_alone(hub, av, tmp_path):
    strict = judged(hub, f"{av}@{TAG}", tmp_path, gates=Gates(min_rows=1000))

    assert (strict.verdict, strict.exit_code) == ("inconclusive", 3)
    assert judged(hub, f"{av}@{TAG}", tmp_path).verdict == "pass"


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("{av}", ConfigError, "does not name a release: give a repository"),
        ("{av}@main", ConfigError, "has no tag main"),
        ("{av}@v9", ConfigError, "has no tag v9"),
        ("{av}@v0.0.1:evidence", ConfigError, "does not name a release"),
        ("nobody/nothing@v1", EnvironmentProblem, "does not exist"),
        ("team/empty@v1", NothingCheckedError, "holds no release"),
    ],
)
def test_what_is_no_release_is_said_to_be_none(hub, av, tmp_path, place, error, words):
    api = api_of(hub)
    api.create_repo("team/empty")
    api.create_tag("team/empty", tag="v1")
    with pytest.raises(error, match=words):
        judged(hub, place.format(av=av), tmp_path)
