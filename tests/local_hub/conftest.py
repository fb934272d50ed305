import io
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from nla_release.local_hub.server import LocalHub

REPO = "team/pair-av-v0_0_1"


@pytest.fixture(autouse=True)
def _quiet_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """No telemetry, no progress bars, and no token of the machine the tests run on."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    """The real client, as the owner of the Hub."""
    return HfApi(endpoint=hub.endpoint, token=hub.token)


@pytest.fixture
def anyone(hub: LocalHub) -> HfApi:
    """The real client, without a token."""
    return HfApi(endpoint=hub.endpoint, token=False)


@pytest.fixture
def repo(api: HfApi) -> str:
    api.create_repo(REPO, private=False)
    return REPO


@pytest.fixture
def push(api: HfApi, repo: str) -> Callable[..., str]:
    """Commit files given as path -> bytes, large ones through LFS; the commit id."""

    def push(files: dict[str, bytes], **options: object) -> str:
        additions = [CommitOperationAdd(path, io.BytesIO(data)) for path, data in files.items()]
        commit = api.create_commit(repo, additions, commit_message="Release", **options)
        return str(commit.oid)

    return push
