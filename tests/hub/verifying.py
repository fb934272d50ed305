"""What the tests of verifying do: ask for the verdict, and tamper with what is published."""

import shutil

from nla_release.hub.verify import VerifyOptions, verify
from nla_release.hub_client.place import read_place
from nla_release.hub_client.remote import Hub
from nla_release.io.layout import MANIFEST_FILE
from nla_release.local_hub.records import Put, Remove
from nla_release.release.folder import ROLES
from nla_release.release.manifest import (
    dump_manifest,
    read_manifest,
    record_files,
    release_id,
    trailers,
)
from tests.hub.publishing import api_of, tags

TAG = "v0.0.1"


def judged(hub, place, tmp_path, *, pair=False, **terms):
    """What anybody without a token is told."""
    target = tmp_path / "downloaded"
    target.mkdir()
    try:
        return verify(
            Hub(hub.endpoint),
            read_place(place),
            target,
            VerifyOptions(**terms),
            pair=pair,
        ).verdict
    finally:
        shutil.rmtree(target)


def codes(verdict):
    return {each.code for each in verdict.findings if each.severity == "error"}


def told(verdict):
    return "\n".join(f"{each.code} {each.path} {each.message}" for each in verdict.findings)


def hostile(
    hub, repo, files, *, remove=(), identity=None, beside=False, named="Release v0.0.1", tag=True
):
    """Somebody with the owner's rights commits to a repository, and moves the tag there.

    The commit says of itself what the release's does, word for word. With an `identity` it says
    that it is that release, and what it lies on. With `beside` it lies where the release does, and
    nothing leads from it to the release's commit. `files` are contents, or entries of a tree.
    """
    repository = hub.store.repo(repo)
    *_, released, first = repository.history("main")
    branch, on = ("beside", first) if beside else ("main", repository.resolve("main"))
    if beside:
        api_of(hub).create_branch(repo, branch=branch, revision=first.id)
        files = {name: entry for name, entry in released.tree.items() if name not in remove} | files
        remove = ()
    puts = [
        Put(name, entry(hub, name, content) if isinstance(content, bytes) else content)
        for name, content in files.items()
    ]
    made = repository.commit(
        branch,
        [*puts, *(Remove(name) for name in remove)],
        title=named,
        description=trailers(identity, on.id) if identity else released.description,
    )
    if tag:
        move_tag(hub, repo, made.id)
    if beside:
        api_of(hub).delete_branch(repo, branch=branch)
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


def content_of(hub, repo, name):
    """A file of the release."""
    return hub.store.blobs.read(hub.store.repo(repo).resolve(TAG).tree[name].sha256)


def flipped(data):
    """The file with one bit of the byte in its middle changed."""
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


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
        (folder / MANIFEST_FILE).write_text(dump_manifest(manifests[role]))
    identity = release_id(manifests.values())
    for role, folder in folders.items():
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        hostile(hub, rendered.repo_id(role, "0.0.1"), files, identity=identity)
    return identity
