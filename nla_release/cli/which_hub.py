"""The options by which a verb works on a local Hub instead of the real one."""

from pathlib import Path

import click

from nla_release.api import Rehearsal
from nla_release.errors import ConfigError
from nla_release.hub_client.client import quiet_client

rehearse_option = click.option(
    "--rehearse", is_flag=True, help="Publish to an embedded Hub on 127.0.0.1 instead."
)
hub_root_option = click.option(
    "--hub-root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the rehearsal's Hub keeps its files; a temporary folder by default.",
)


def which_hub(rehearse: bool, hub_root: Path | None) -> Rehearsal | None:
    """The rehearsal that was asked for, or None for the Hub of HF_ENDPOINT.

    Raises:
        ConfigError: a folder is given for a rehearsal that was not asked for.
    """
    if hub_root is not None and not rehearse:
        raise ConfigError("--hub-root belongs to --rehearse", hint="add --rehearse")
    quiet_client()
    return Rehearsal(hub_root) if rehearse else None
