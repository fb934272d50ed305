"""A published release is judged as a stranger finds it, and no change to it goes unseen."""

import json
import shutil

import pytest

from nla_release.errors import (
    ConfigError,
    EnvironmentProblem,
    NothingCheckedError,
    RefusedError,
)
from nla_release.hub.client import quiet_client
from nla_release.hub.loopback.commits import Put, Remove
from nla_release.hub.loopback.server import LoopbackHub
from nla_release.hub.place import read_place
from nla_release.hub.release_id import release_id, trailers
from nla_release.hub.remote import Hub
from nla_release.hub.verify import Terms, verify
from nla_release.manifest import FILE_NAME, dump_manifest, read_manifest, record_files
from nla_release.release import ROLES, read_release
from nla_release.release_config import Gates
from tests.hub.publishing import api_of, commits, publish, repos, tags

TAG = "v0.0.1"


@pytest.fixture(scope="module")
def published(rendered, tmp_path_factory):
    """A Hub with the release on it: never change it, copy its folder."""
    quiet_client()
    folder = tmp_path_factory.mktemp("published")
    release = read_release(shutil.copytree(rendered.folder, folder / "release"))
    with LoopbackHub(folder / "hub") as server:
        publish(release, Hub(server.endpoint, server.token))
    return folder


@pytest.fixture
def hub(published, tmp_path):
    """The same, of the test's own."""
    with LoopbackHub(shutil.copytree(published / "hub", tmp_path / "hub")) as server:
        yield server


@pytest.fixture
def av(rendered):
    return repos(rendered)[0]


@pytest.fixture
def ar(rendered):
    return repos(rendered)[1]


def judged(hub, place, tmp_path, *, pair=False, **terms):
    """What anybody without a token is told."""
    target = tmp_path / "downloaded"
    target.mkdir()
    said: list[str] = []
    found = verify(
        Hub(hub.endpoint), read_place(place), target, Terms(**terms), pair=pair, say=said.append
    )
    shutil.rmtree(target)
    return found.verdict


def codes(verdict):
    return {each.code for each in verdict.findings if each.severity == "error"}


def told(verdict):
    return "\n".join(f"{each.code} {each.path} {each.message}" for each in verdict.findings)


def hostile(hub, repo, files, *, remove=(), description="", tag=True):
    """Somebody with the owner's rights commits to a repository, and moves the tag there."""
    changes = [Put(name, entry(hub, name, content)) for name, content in files.items()]
    made = hub.store.repo(repo).commit(
        "main",
        [*changes, *(Remove(name) for name in remove)],
        title="Release v0.0.1",
        description=description,
    )
    if tag:
        move_tag(hub, repo, made.id)
    return made.id


def entry(hub, name, content):
    if name.endswith((".safetensors", ".bin")):
        return hub.store.large(hub.store.blobs.add(content))
    return hub.store.regular(content)


def move_tag(hub, repo, commit, tag=TAG):
    api = api_of(hub)
    if tag in tags(hub, repo):
        api.delete_tag(repo, tag=tag)
    api.create_tag(repo, tag=tag, revision=commit)


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("role", [0, 1])
def test_a_release_as_it_was_pushed_passes(hub, rendered, tmp_path, role, pair):
    verdict = judged(hub, f"{repos(rendered)[role]}@{TAG}", tmp_path, pair=pair)

    assert verdict.verdict == "pass", told(verdict)
    states = {outcome.rule.code: outcome.state for outcome in verdict.outcomes}
    for code in ("NLA501", "NLA502", "NLA601", "NLA602", "NLA701", "NLA704", "NLA705"):
        assert states[code] == "passed"
    assert (states["NLA401"] == "passed") == pair


def flipped(data):
    """The file with one bit of the byte in its middle changed."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("role", ROLES)
def test_a_flipped_bit_in_any_file_is_found_and_the_file_named(hub, rendered, tmp_path, role):
    folder, repo = rendered.dist / role, rendered.repo_id(role, "0.0.1")
    restored: dict[str, bytes] = {}
    names = [*read_manifest(folder).files, FILE_NAME]
    assert len(names) > 12
    for name in names:
        content = (folder / name).read_bytes()
        hostile(hub, repo, {**restored, name: flipped(content)})
        verdict = judged(hub, f"{repo}@{TAG}", tmp_path)
        assert verdict.verdict == "fail"
        assert name in told(verdict)
        restored = {name: content}


@pytest.mark.parametrize("role", ROLES)
def test_a_change_that_one_repository_covers_up_is_found_in_the_other(
    hub, rendered, tmp_path, role
):
    """Its release.json and its commit are rewritten to match; the partner's commit is not."""
    folder, repo = rendered.dist / role, rendered.repo_id(role, "0.0.1")
    manifests = {each: read_manifest(rendered.dist / each) for each in ROLES}
    restored: dict[str, bytes] = {}
    for name in ("README.md", "nla_meta.yaml", "evidence/rows.jsonl", "adapter_model.safetensors"):
        content = flipped((folder / name).read_bytes())
        mutated = shutil.copytree(folder, tmp_path / "mutated")
        (mutated / name).write_bytes(content)
        rewritten = manifests[role].model_copy(update={"files": record_files(mutated)})
        assert rewritten != manifests[role]
        identity = release_id((manifests | {role: rewritten}).values())
        hostile(
            hub,
            repo,
            {**restored, name: content, FILE_NAME: dump_manifest(rewritten).encode()},
            description=trailers(identity, "0" * 40),
        )
        verdict = judged(hub, f"{repo}@{TAG}", tmp_path)
        assert "NLA705" in codes(verdict)
        assert "NLA701" not in codes(verdict)
        restored = {name: (folder / name).read_bytes()}
        shutil.rmtree(mutated)


@pytest.mark.parametrize(
    ("files", "remove", "code", "named"),
    [
        ({"notes.md": b"mine"}, (), "NLA701", "notes.md is not listed"),
        ({"adapter_model.bin": b"\x80\x04N."}, (), "NLA703", "adapter_model.bin"),
        ({}, ["HISTORY.md"], "NLA701", "HISTORY.md is missing"),
        ({}, ["adapter_model.safetensors"], "NLA701", "adapter_model.safetensors is missing"),
        ({}, [FILE_NAME], "NLA701", "release.json"),
        ({".gitattributes": b"*.md text eol=crlf\n"}, (), "NLA704", "'*.md text eol=crlf'"),
    ],
)
def test_files_that_came_or_went_are_found(hub, av, tmp_path, files, remove, code, named):
    hostile(hub, av, files, remove=remove)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert code in codes(verdict)
    assert named in told(verdict)


def test_a_file_where_the_client_keeps_its_books_is_refused(hub, av, tmp_path):
    hostile(hub, av, {".cache/huggingface/download/x.metadata": b"1"})
    with pytest.raises(RefusedError, match=r"holds '.cache/huggingface"):
        judged(hub, f"{av}@{TAG}", tmp_path)


def test_a_tag_that_was_moved_to_the_same_files_is_found(hub, av, tmp_path):
    hostile(hub, av, {"LICENSE": b"none"}, tag=False)
    licence = hub.store.blobs.read(hub.store.repo(av).resolve(TAG).tree["LICENSE"].sha256)
    hostile(hub, av, {"LICENSE": licence})
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA704", "NLA705"}
    assert "whose description has no NLA-Release-Id" in told(verdict)


def test_a_tag_that_was_moved_to_a_commit_before_the_release_holds_none(hub, av, tmp_path):
    move_tag(hub, av, commits(hub, av)[-1].commit_id)
    with pytest.raises(NothingCheckedError, match="holds no release"):
        judged(hub, f"{av}@{TAG}", tmp_path)


def test_a_release_under_another_tag_than_its_own_is_found(hub, av, tmp_path):
    made = hostile(hub, av, {"LICENSE": b"none"}, tag=False)
    move_tag(hub, av, commits(hub, av)[1].commit_id, tag="v9")
    move_tag(hub, av, made)
    verdict = judged(hub, f"{av}@v9", tmp_path)

    assert codes(verdict) == {"NLA704"}
    assert f"v0.0.1 points at {made[:12]}; what was downloaded is" in told(verdict)


def test_the_commit_of_a_tag_can_be_verified_by_its_id(hub, av, tmp_path):
    released = tags(hub, av)[TAG]
    hostile(hub, av, {"README.md": b"# Better\n"}, tag=False)

    assert judged(hub, f"{av}@{released}", tmp_path).verdict == "pass"
    assert "NLA704" in codes(judged(hub, f"{av}@{commits(hub, av)[0].commit_id}", tmp_path))


@pytest.mark.parametrize("pair", [False, True])
def test_other_weights_in_the_partner_are_found_from_this_side(
    hub, rendered, av, ar, tmp_path, pair
):
    """And its release.json says that they belong there."""
    mutated = shutil.copytree(rendered.dist / "ar", tmp_path / "mutated")
    weights = mutated / "adapter_model.safetensors"
    weights.write_bytes(flipped(weights.read_bytes()))
    rewritten = read_manifest(mutated).model_copy(update={"files": record_files(mutated)})
    identity = release_id([read_manifest(rendered.dist / "av"), rewritten])
    hostile(
        hub,
        ar,
        {weights.name: weights.read_bytes(), FILE_NAME: dump_manifest(rewritten).encode()},
        description=trailers(identity, "0" * 40),
    )
    verdict = judged(hub, f"{av}@{TAG}", tmp_path, pair=pair)

    assert "NLA705" in codes(verdict)
    assert f"{av} was released with weights" in told(verdict)
    assert pair == ("NLA403" in codes(verdict))


def test_another_partner_than_the_one_that_it_was_released_with_is_found(
    hub, rendered, av, ar, tmp_path
):
    manifest = read_manifest(rendered.dist / "av")
    swapped = manifest.model_copy(
        update={"partner": manifest.partner.model_copy(update={"repo": "someone/else"})}
    )
    hostile(hub, av, {FILE_NAME: dump_manifest(swapped).encode()})
    verdict = judged(hub, f"{av}@{TAG}", tmp_path, pair=True)

    assert "the partner someone/else at v0.0.1 cannot be seen" in told(verdict)
    assert f"{ar} names {av}" not in told(verdict)
    assert {"NLA403", "NLA704", "NLA705"} <= codes(verdict)


def test_a_repository_that_names_itself_as_its_partner_is_no_pair(hub, rendered, av, tmp_path):
    manifest = read_manifest(rendered.dist / "av")
    weights = manifest.files["adapter_model.safetensors"].sha256
    own = manifest.partner.model_copy(update={"repo": av, "adapter_sha256": weights})
    lonely = manifest.model_copy(update={"partner": own})
    identity = release_id([lonely, lonely])
    hostile(
        hub,
        av,
        {FILE_NAME: dump_manifest(lonely).encode()},
        description=trailers(identity, "0" * 40),
    )
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert f"{av} and its partner are both AV" in told(verdict)


@pytest.mark.parametrize("gone", ["tag", "repository", "private"])
def test_a_partner_that_is_gone_is_found(hub, av, ar, tmp_path, gone):
    api = api_of(hub)
    if gone == "tag":
        api.delete_tag(ar, tag=TAG)
    elif gone == "repository":
        api.delete_repo(ar)
    else:
        api.update_repo_settings(ar, private=True)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA705"}
    assert f"the partner {ar} at {TAG} cannot be seen" in told(verdict)


def rewrite_both(hub, rendered, tmp_path, change):
    """The owner publishes other bytes under the same tags, and covers up every trace in the files.

    `change` edits a role's folder. What lies in the repositories' histories stays.
    """
    folders = {role: tmp_path / "rewritten" / role for role in ROLES}
    manifests = {}
    for role, folder in folders.items():
        shutil.copytree(rendered.dist / role, folder)
        change(folder)
        manifest = read_manifest(folder)
        manifests[role] = manifest.model_copy(update={"files": record_files(folder)})
        (folder / FILE_NAME).write_text(dump_manifest(manifests[role]))
    identity = release_id(manifests.values())
    for role, folder in folders.items():
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        hostile(
            hub,
            rendered.repo_id(role, "0.0.1"),
            files,
            description=trailers(identity, "0" * 40),
        )
    return identity


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
    assert "is another release that was to be v0.0.1; the tag may have been moved" in told(verdict)
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
    assert "and lies in stranger/mine" in told(verdict)


def test_gates_and_waivers_of_the_author_are_for_the_author_alone(hub, av, tmp_path):
    strict = judged(hub, f"{av}@{TAG}", tmp_path, gates=Gates(min_rows=1000))

    assert (strict.verdict, strict.exit_code) == ("inconclusive", 3)
    assert judged(hub, f"{av}@{TAG}", tmp_path).verdict == "pass"


@pytest.mark.parametrize(
    ("place", "error", "words"),
    [
        ("{av}", ConfigError, "is not a release: name a repository and the release's tag"),
        ("{av}@main", ConfigError, "has no tag main"),
        ("{av}@v9", ConfigError, "has no tag v9"),
        ("{av}@v0.0.1:evidence", ConfigError, "is not a release"),
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
