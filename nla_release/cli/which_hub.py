"""The Hub that a verb speaks to: the real one, or one on this machine that it brings along."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import click

from nla_release.errors import ConfigError
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.remote import Hub
from nla_release.io.log import log

rehearse_option = click.option(
    "--rehearse", is_flag=True, help="Publish to an embedded Hub on 127.0.0.1 instead."
)
hub_root_option = click.option(
    "--hub-root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the rehearsal's Hub keeps its files; a temporary folder by default.",
)


def which_hub(
    rehearse: bool, hub_root: Path | None, *, writing: bool
) -> AbstractContextManager[Hub]:
    """The Hub of HF_ENDPOINT, or with `rehearse` one that lives inside the block.

    Raises:
        ConfigError: a folder is given for a rehearsal that was not asked for.
        EnvironmentProblem: there is no token to write with.
    """
    if hub_root is not None and not rehearse:
        raise ConfigError("--hub-root belongs to --rehearse", hint="add --rehearse")
    quiet_client()
    return _rehearsal(hub_root) if rehearse else nullcontext(Hub.from_environment(writing=writing))


@contextmanager
def _rehearsal(root: Path | None) -> Iterator[Hub]:
    from nla_release.local_hub.server import HOST, LocalHub

    # A proxy has no business between this process and itself.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = HOST
    with (
        tempfile.TemporaryDirectory(prefix="nla-release-hub-") as temporary,
        LocalHub(root or Path(temporary)) as server,
    ):
        log.info(f"rehearsing on {server.endpoint}; nothing is published")
        yield Hub(server.endpoint, server.token)
