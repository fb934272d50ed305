"""How files get to the Hub: each content once, on the way that the Hub speaks."""

import pytest

from nla_release.hub.plan import make_plan
from nla_release.hub_client.remote import Hub
from nla_release.release.manifest import read_id, read_parent, record_files, release_id, trailers
from tests.hub.publishing import VERSION

pytestmark = pytest.mark.wire

REPO = "team/pair"


@pytest.fixture
def twins(tmp_path):
    """Two equal large files, and a third."""
    folder = tmp_path / "files"
    folder.mkdir()
    for name, content in (("a.safetensors", b"1"), ("b.safetensors", b"1"), ("c.bin", b"2")):
        (folder / name).write_bytes(content * 12_000_000)
    return folder


def test_equal_large_files_arrive_whole(server, client, twins):
    """At once, the client would read both through one open file, and neither would be whole."""
    client.create(REPO, private=False)
    parent = client.head(REPO)
    records = record_files(twins)
    with client.additions(twins, records) as additions:
        client.upload(REPO, additions)
        client.commit(REPO, additions, [], message="Add", description="", parent=parent)
    state = client.state(REPO)
    assert {name: file.sha256 for name, file in state.files.items()} == {
        name: record.sha256 for name, record in records.items()
    }
    puts = [each for each in server.log.requests if each.method == "PUT"]
    assert len(puts) == 2


def test_huggingface_co_gets_paths_for_xet_and_other_hubs_open_files(twins, monkeypatch):
    records = record_files(twins)
    with Hub("https://huggingface.co", "t").additions(twins, records) as additions:
        assert [each.path_or_fileobj for each in additions] == [str(twins / n) for n in records]
    with Hub("http://127.0.0.1:9", "t").additions(twins, records) as additions:
        assert all(hasattr(each.path_or_fileobj, "read") for each in additions)


def test_no_file_is_read_for_its_hash_again(twins, monkeypatch):
    records = record_files(twins)
    monkeypatch.setattr("huggingface_hub.lfs.sha_fileobj", None)
    for endpoint in ("https://huggingface.co", "http://127.0.0.1:9"):
        with Hub(endpoint, "t").additions(twins, records) as additions:
            for each in additions:
                record = records[each.path_in_repo]
                assert each.upload_info.sha256.hex() == record.sha256
                assert each.upload_info.size == record.size
                assert each.upload_info.sample == (twins / each.path_in_repo).read_bytes()[:512]


def test_a_release_has_one_id_whichever_repository_is_looked_at(release, client):
    plan = make_plan(release.dist, VERSION, client)
    av, ar = (repo.manifest for repo in plan.repos)

    assert plan.release_id == release_id([av, ar]) == release_id([ar, av])
    assert plan.release_id != release_id([av, av])


def test_what_a_commit_carries_is_read_back():
    text = trailers("a" * 64, "b" * 40)
    assert (read_id(text), read_parent(text)) == ("a" * 64, "b" * 40)
    for other in ("", "NLA-Release-Id: abc", f"see NLA-Release-Id: {'a' * 64}"):
        assert read_id(other) is None
