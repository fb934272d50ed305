"""Whoever changes one repository of a release, its tag or its log, does not go unseen."""

import pytest

from nla_release.errors import NothingCheckedError, RefusedError
from nla_release.io.layout import MANIFEST_FILE
from nla_release.release.folder import ROLES
from nla_release.release.manifest import read_manifest, release_id
from tests.hub.publishing import api_of, commits, tags
from tests.hub.verifying import (
    TAG,
    codes,
    content_of,
    flipped,
    hostile,
    judged,
    move_tag,
    told,
)

RETRACTION = (
    '\n<!-- nla-release:entry {"id":"a","date":"2026-01-01","kind":"retraction",'
    '"version":"0.0.1","source":"' + "0" * 64 + '","withdraws":{"reason":"bad"}} -->\n'
    "## x, 2026-01-01\n"
).encode()


@pytest.mark.parametrize("role", ROLES)
def test_a_flipped_bit_in_any_file_is_found_and_the_file_named(hub, rendered, tmp_path, role):
    folder, repo = rendered.dist / role, rendered.repo_id(role, "0.0.1")
    names = read_manifest(folder).files
    assert len(names) > 12
    for tampered in (names, [MANIFEST_FILE]):
        contents = {name: (folder / name).read_bytes() for name in tampered}
        hostile(hub, repo, {name: flipped(content) for name, content in contents.items()})
        findings = judged(hub, f"{repo}@{TAG}", tmp_path).findings
        # release.json holds the hashes, and none of itself: the release id is over both of them.
        named_by = {"NLA701", "NLA705"} if tampered == [MANIFEST_FILE] else {"NLA701"}
        said = [f"{each.path} {each.message}" for each in findings if each.code in named_by]
        for name in tampered:
            assert any(name in each for each in said), name
        hostile(hub, repo, contents)


@pytest.mark.parametrize(
    "name", ["HISTORY.md", "adapter_model.safetensors", "evidence/rows.jsonl", MANIFEST_FILE]
)
def test_files_that_went_are_found(hub, av, tmp_path, name):
    hostile(hub, av, {}, remove=[name])
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert "NLA701" in codes(verdict)
    assert name in told(verdict)


@pytest.mark.parametrize(
    "name",
    [
        "notes.md",
        "adapter_model.bin",
        ".gitattributes.evil.py",
        ".gitattributes.d/modeling.py",
        ".gitattributes\u200b",
        "evidence/.gitattributes",
    ],
)
def test_files_that_nobody_lists_are_not_even_downloaded(hub, av, tmp_path, name):
    hostile(hub, av, {name: b"\x80\x04N." * 100_000})
    before = len(hub.log.requests)
    with pytest.raises(RefusedError, match="does not list that") as caught:
        judged(hub, f"{av}@{TAG}", tmp_path)

    assert repr(name) in caught.value.message
    got = [each.size for each in hub.log.requests[before:] if each.method == "GET"]
    assert max(got) < 100_000


@pytest.mark.parametrize(
    "line",
    [
        "*.md text eol=crlf",
        "*.safetensors -filter",
        "*.safetensors !filter",
        "*.safetensors filter",
        "*.safetensors filter=evil",
        "[attr]evil text eol=crlf",
        "*.md evil",
        '"*.md" text',
        "README.m\\d text",
        "**/README.md eol=crlf",
        "[[:alpha:]]* working-tree-encoding=UTF-16",
        "  *.json\tident",
    ],
)
def test_a_line_by_which_git_gives_other_bytes_is_found(hub, av, tmp_path, line):
    attributes = content_of(hub, av, ".gitattributes") + f"{line}\n".encode()
    hostile(hub, av, {".gitattributes": attributes}, beside=True)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA704"}
    assert f"the line {line.strip()!r} of .gitattributes" in told(verdict)


def test_what_the_hub_itself_writes_into_gitattributes_is_no_finding(hub, av, tmp_path):
    attributes = content_of(hub, av, ".gitattributes") + (
        b"# ours\n\nsaved_model/**/* filter=lfs diff=lfs merge=lfs -text\r\n"
        b"my[[:space:]]file.bin filter=lfs diff=lfs merge=lfs -text\n"
        b"*.jsonl -diff linguist-generated=true\n"
    )
    hostile(hub, av, {".gitattributes": attributes}, beside=True)

    assert judged(hub, f"{av}@{TAG}", tmp_path).verdict == "pass"


def test_a_file_where_the_client_keeps_its_books_is_refused(hub, av, tmp_path):
    hostile(hub, av, {".cache/huggingface/download/x.metadata": b"1"})
    with pytest.raises(RefusedError, match=r"contains the unsafe file name '.cache/huggingface"):
        judged(hub, f"{av}@{TAG}", tmp_path)


def moved_to_the_same_files(hub, repo, **how):
    licence = content_of(hub, repo, "LICENSE")
    hostile(hub, repo, {"LICENSE": b"none"}, tag=False)
    return hostile(hub, repo, {"LICENSE": licence}, **how)


def test_a_tag_that_was_moved_to_the_same_files_is_found(hub, av, tmp_path):
    """Though the commit there says, word for word, what the release's does."""
    made = moved_to_the_same_files(hub, av)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA704"}
    assert f"{TAG} points at {made[:12]}, whose parent is" in told(verdict)


def test_a_release_that_was_committed_once_more_is_found(hub, rendered, av, tmp_path):
    released = tags(hub, av)[TAG]
    identity = release_id(read_manifest(rendered.dist / role) for role in ROLES)
    moved_to_the_same_files(hub, av, identity=identity)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA704"}
    assert f"although the release was committed before as {released[:12]}" in told(verdict)


def test_a_commit_that_no_push_has_titled_so_is_found(hub, av, tmp_path):
    """By its title an earlier release of the same tag is known for what it is."""
    hostile(hub, av, {}, beside=True, named="Release  v0.0.1")
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA704"}
    assert "whose title is 'Release  v0.0.1', not 'Release v0.0.1'" in told(verdict)


def test_a_commit_that_says_nothing_of_itself_is_found(hub, av, tmp_path):
    api_of(hub).upload_file(path_or_fileobj=b"none", path_in_repo="LICENSE", repo_id=av)
    move_tag(hub, av, commits(hub, av)[0].commit_id)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert {"NLA701", "NLA704", "NLA705"} <= codes(verdict)
    assert "whose description has no NLA-Release-Id" in told(verdict)


def test_a_copy_of_the_commit_in_the_same_place_gives_the_same_bytes(hub, av, tmp_path):
    """Nothing tells it from the release's own, and nobody gets anything else by it."""
    released = tags(hub, av)[TAG]
    assert hostile(hub, av, {}, beside=True) != released
    assert judged(hub, f"{av}@{TAG}", tmp_path).verdict == "pass"


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("role", [0, 1])
def test_a_branch_that_readers_may_get_for_the_tag_is_found(hub, av, ar, tmp_path, role, pair):
    made = hostile(hub, (av, ar)[role], {"README.md": b"# Better\n"}, tag=False)
    api_of(hub).create_branch((av, ar)[role], branch=TAG, revision=made)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path, pair=pair)

    assert {"NLA704", "NLA705"} & codes(verdict)
    assert f"there is also a branch {TAG}" in told(verdict)


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
    assert f"v0.0.1 points at {made[:12]}; the downloaded commit is" in told(verdict)


@pytest.mark.parametrize(
    ("role", "name", "words"),
    [
        (0, "HISTORY.md", "NLA706"),
        (0, ".gitattributes", ".gitattributes is larger than"),
        (1, "HISTORY.md", "NLA706"),
        (1, ".gitattributes", ".gitattributes is larger than"),
        (1, MANIFEST_FILE, "has no valid release.json"),
    ],
)
def test_a_text_that_is_too_large_is_not_downloaded_to_find_out(
    hub, av, ar, tmp_path, role, name, words
):
    huge = hub.store.large(hub.store.blobs.add(b" " * (5 * 2**20)))
    hostile(hub, (av, ar)[role], {name: huge}, tag=name != "HISTORY.md")
    before = len(hub.log.requests)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert words in told(verdict)
    got = [each.size for each in hub.log.requests[before:] if each.method == "GET"]
    assert max(got) < 2**20


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is not on main of"),
        (b"\xff\xfe", "cannot be read on main of"),
        (b"# History\n", "does not continue the published one"),
    ],
)
def test_a_log_that_lost_something_is_a_warning(hub, av, ar, tmp_path, content, words):
    """It may have told of a retraction."""
    for repo in (av, ar):
        if content is None:
            hostile(hub, repo, {}, remove=["HISTORY.md"], tag=False)
        else:
            hostile(hub, repo, {"HISTORY.md": content}, tag=False)
        verdict = judged(hub, f"{av}@{TAG}", tmp_path)
        assert verdict.verdict == "pass"
        assert [each.code for each in verdict.findings].count("NLA706") == (1 if repo == av else 2)
        assert words in told(verdict)


def test_a_retraction_that_one_repository_hides_is_told_by_the_other(hub, av, ar, tmp_path):
    history = content_of(hub, av, "HISTORY.md")
    for repo in (av, ar):
        hostile(hub, repo, {"HISTORY.md": history + RETRACTION}, tag=False)
    hostile(hub, av, {"HISTORY.md": history}, tag=False)
    verdict = judged(hub, f"{av}@{TAG}", tmp_path)

    assert codes(verdict) == {"NLA706"}
    assert "v0.0.1 was retracted on 2026-01-01: bad" in told(verdict)
