"""A rendered release and a Hub of its own, for everything that publishes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nla_release.cards.render import render
from nla_release.hub.loopback.server import LoopbackHub
from nla_release.hub.remote import Hub, quiet_client
from nla_release.release import Release
from tests.builders_pair import make_release

VERSION = "0.0.1"


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A small release, rendered: never change it, copy it."""
    release = make_release(tmp_path_factory.mktemp("rendered") / "release", rows=60, documents=12)
    render(release, VERSION)
    return release


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
