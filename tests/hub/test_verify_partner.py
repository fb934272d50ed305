"""A repository is verified together with its partner, though of that hardly anything is read."""

import shutil

import pytest

from nla_release.io.layout import MANIFEST_FILE
from nla_release.release.folder import ROLES
from nla_release.release.manifest import dump_manifest, read_manifest, record_files, release_id
from tests.hub.publishing import api_of
from tests.hub.verifying import TAG, codes, content_of, flipped, hostile, judged, told


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
            {**restored, name: content, MANIFEST_FILE: dump_manifest(rewritten).encode()},
            identity=identity,
        )
        verdict = judged(hub, f"{repo}@{TAG}", tmp_path)
        assert "NLA705" in codes(verdict)
        assert "NLA701" not in codes(verdict)
        restored = {name: (folder / name).read_bytes()}
        shutil.rmtree(mutated)


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
        {weights.name: weights.read_bytes(), MANIFEST_FILE: dump_manifest(rewritten).encode()},
        identity=identity,
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
    hostile(hub, av, {MANIFEST_FILE: dump_manifest(swapped).encode()})
    verdict = judged(hub, f"{av}@{TAG}", tmp_path, pair=True)

    assert "the partner someone/else at v0.0.1 cannot be read" in told(verdict)
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
        {MANIFEST_FILE: dump_manifest(lonely).encode()},
        identity=identity,
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
    assert f"the partner {ar} at {TAG} cannot be read" in told(verdict)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"adapter_model.safetensors": None}, "adapter_model.safetensors is missing"),
        ({"nla_meta.yaml": b"x: 1\n"}, "nla_meta.yaml has 5 bytes, recorded"),
        ({"adapter_config.json": b"{}"}, "adapter_config.json has 2 bytes, recorded"),
        ({"value_head.safetensors": flipped}, "value_head.safetensors has sha256"),
        ({"adapter_model.safetensors": flipped}, "adapter_model.safetensors has sha256"),
        ({"modeling.py": b"import os"}, "modeling.py is not listed"),
    ],
)
def test_a_damaged_partner_is_found_from_this_side(hub, av, ar, tmp_path, change, words):
    """Where its release.json and its commit are as they were, and lie where they lay."""
    ((name, content),) = change.items()
    if callable(content):
        content = content(content_of(hub, ar, name))
    files = {} if content is None else {name: content}
    hostile(hub, ar, files, remove=[name] if content is None else (), beside=True)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA705"}
    assert f"{ar}: {words}" in told(verdict)


def test_weights_whose_hash_the_hub_does_not_tell_are_no_partner(hub, av, ar, tmp_path):
    weights = hub.store.regular(content_of(hub, ar, "adapter_model.safetensors"))
    hostile(hub, ar, {"adapter_model.safetensors": weights}, beside=True)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA705"}
    assert "adapter_model.safetensors is not an LFS file" in told(verdict)


def test_a_partner_whose_tag_was_moved_is_found_from_this_side(hub, av, ar, tmp_path):
    hostile(hub, ar, {"LICENSE": b"none"}, tag=False)
    hostile(hub, ar, {"LICENSE": hub.store.repo(ar).resolve(TAG).tree["LICENSE"]})
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA705"}
    assert f"{ar}: {TAG} points at" in told(verdict)


@pytest.mark.parametrize(
    "name", ["evil/a--b", "evil/a..b", "evil/x.git", "../../etc", "a/" + "b" * 96, "e/x\x1b[2J"]
)
def test_a_partner_that_no_repository_can_be_called_is_a_finding(hub, rendered, av, tmp_path, name):
    names_another(hub, rendered, av, name)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path, pair=True)

    assert "NLA705" in codes(verdict)
    assert "cannot be read" in told(verdict)


def test_a_partner_that_shows_itself_to_nobody_is_a_finding(hub, rendered, av, tmp_path):
    hub.store.import_folder("other/gated", rendered.dist / "ar")
    api_of(hub).create_tag("other/gated", tag=TAG)
    api_of(hub).update_repo_settings("other/gated", gated="auto")
    names_another(hub, rendered, av, "other/gated")
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert "NLA705" in codes(verdict)
    assert "the partner other/gated at v0.0.1 cannot be read" in told(verdict)


def names_another(hub, rendered, repo, partner):
    """The repository's owner lets it name a partner of somebody else, and signs it as a push."""
    manifests = [read_manifest(rendered.dist / role) for role in ROLES]
    named = manifests[0].partner.model_copy(update={"repo": partner})
    other = manifests[0].model_copy(update={"partner": named})
    identity = release_id([other, manifests[1]])
    hostile(hub, repo, {MANIFEST_FILE: dump_manifest(other).encode()}, identity=identity)
