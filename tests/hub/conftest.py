"""A rendered release and a Hub of its own, for everything that publishes."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from nla_release.hub.client import quiet_client
from nla_release.hub.loopback.server import LoopbackHub
from nla_release.hub.remote import Hub
from nla_release.release import Release, read_release
from tests.hub.faulty import FaultyHub
from tests.hub.odd import OddServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoopbackHub]:
    """The loopback Hub, running."""
    quiet_client()
    with LoopbackHub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def client(server: LoopbackHub) -> Hub:
    """The product's client, as the owner of the Hub."""
    return Hub(server.endpoint, server.token)


@pytest.fixture
def release(rendered: Release, tmp_path: Path) -> Release:
    """A rendered release of the test's own."""
    return read_release(shutil.copytree(rendered.folder, tmp_path / "release"))


@pytest.fixture
def faulty(tmp_path: Path) -> Iterator[FaultyHub]:
    """The loopback Hub, running, on which things can be made to go wrong."""
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
