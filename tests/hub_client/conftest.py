"""The Hubs of tests/hub, for the client alone."""

from tests.hub.conftest import client, faulty, odd, release, server

__all__ = ["client", "faulty", "odd", "release", "server"]
