"""One good release, built once and copied for whoever breaks it."""

import shutil
from pathlib import Path

import pytest

from tests.pairs.zoo import good_release


@pytest.fixture(autouse=True)
def _no_network(monkeypatch, tmp_path):
    """A check finds no tokenizer on the Hub: the client is offline and its cache empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    """A good release's folder, to be read only."""
    return good_release(tmp_path_factory.mktemp("good") / "release").folder


@pytest.fixture
def release(good, tmp_path) -> Path:
    """A copy of it, to be broken."""
    return Path(shutil.copytree(good, tmp_path / "release"))
