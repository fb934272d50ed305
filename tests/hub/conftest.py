"""A rendered release and a Hub of its own, for everything that publishes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.remote import Hub
from nla_release.local_hub.server import LocalHub
from nla_release.release.folder import Release, read_release
from tests.hub.faulty import FaultyHub
from tests.hub.odd import OddServer
from tests.hub.publishing import publish, repos


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalHub]:
    """The local Hub, running."""
    quiet_client()
    with LocalHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def client(server: LocalHub) -> Hub:
    """The product's client, as the owner of the Hub."""
    return Hub(server.endpoint, server.token)


@pytest.fixture
def release(rendered: Release, tmp_path: Path) -> Release:
    """A rendered release of the test's own."""
    return read_release(shutil.copytree(rendered.folder, tmp_path / "release"))


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyHub]:
    """The local Hub, running, on which things can be made to go wrong."""
    quiet_client()
    with FaultyHub(tmp_path / "faulty") as running:
        running.faults.inject()
        yield running


@pytest.fixture
def odd() -> Iterator[OddServer]:
    """Something that answers, and is no Hub."""
    quiet_client()
    with OddServer() as running:
        yield running


@pytest.fixture(scope="session")
def published(rendered, tmp_path_factory):
    """A Hub with the release on it: never change it, copy its folder."""
    quiet_client()
    folder = tmp_path_factory.mktemp("published")
    release = read_release(shutil.copytree(rendered.folder, folder / "release"))
    with LocalHub(folder / "hub") as server:
        publish(release, Hub(server.endpoint, server.token))
    return folder


@pytest.fixture
def hub(published, tmp_path):
    """The same, of the test's own."""
    with LocalHub(shutil.copytree(published / "hub", tmp_path / "hub")) as server:
        yield server


@pytest.fixture
def av(rendered):
    return repos(rendered)[0]


@pytest.fixture
def ar(rendered):
    return repos(rendered)[1]
