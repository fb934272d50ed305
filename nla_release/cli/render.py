"""`nla-release render`."""

from pathlib import Path

import click

from nla_release import api
from nla_release.cli.edge import ExampleCommand
from nla_release.cli.options import path_argument, version_option
from nla_release.io.log import log


@click.command(
    "render", cls=ExampleCommand, example="nla-release render my-release --version 0.0.1"
)
@version_option("Version of the release, such as 0.0.1.")
@path_argument
def command(version: str, path: Path) -> None:
    """Write both repositories to dist/: cards, figures, HISTORY, calibration, manifest.

    PATH is the folder of release.yaml, evidence/ and calibration.json. Rendering
    again gives the same bytes; when anything is wrong, dist/ stays as it was.
    """
    rendered = api.render(path, version=version)
    for role, folder in rendered.folders.items():
        log.info(f"wrote {folder}: {rendered.repos[role]} at {rendered.tag}")
