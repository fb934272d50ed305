"""Both majors of the client: `make test` runs the tests marked `wire` with each."""

import os

import huggingface_hub
import pytest
from huggingface_hub.utils import get_session, httpx

from nla_release.errors import RefusedError
from nla_release.release.manifest import record_files

pytestmark = pytest.mark.wire


def test_the_client_is_of_the_major_that_this_run_is_for():
    major = os.environ.get("NLA_TEST_HUB_MAJOR", "2")
    assert huggingface_hub.__version__.split(".")[0] == major
    assert httpx.__name__ == {"1": "httpx", "2": "httpx2"}[major]


def test_the_client_still_does_its_own_part_of_every_request(server):
    """Request ids and offline mode come from the hooks of the client's own session."""
    sent = get_session().get(f"{server.endpoint}/api/models").request
    assert sent.headers["x-amzn-trace-id"]
    assert sent.headers["accept-encoding"] == "identity"  # what our hook adds


@pytest.mark.parametrize("name", ["figure.png", "notes.md"])
def test_a_file_that_the_hub_would_ignore_is_named_before_the_commit(
    server, client, tmp_path, name
):
    """Of large files and of small ones: the client keeps this part of the answer to itself."""
    store = server.store
    repository = store.create("team/pair")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / name).write_bytes(b"content")
    ignore = tmp_path / ".gitignore"
    ignore.write_text(name)
    client._api.upload_file(
        path_or_fileobj=ignore,
        path_in_repo=".gitignore",
        repo_id=repository.id,
        token=server.token,
    )
    records = record_files(tmp_path / "files")
    with (
        client.additions(tmp_path / "files", records) as additions,
        pytest.raises(RefusedError, match=f"would leave {name} out of the commit"),
    ):
        client.upload(repository.id, additions)
