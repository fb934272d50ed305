"""`nla-release hub`: a Hub on this machine, to rehearse a release on."""

import os
from pathlib import Path

import click

from nla_release.hub.loopback.server import serve
from nla_release.hub.loopback.store import Store

TOKEN_VARIABLE = "NLA_RELEASE_HUB_TOKEN"  # noqa: S105 - the name of a variable


def _split(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> list[tuple[str, Path]]:
    imports = []
    for value in values:
        repo_id, equals, folder = value.partition("=")
        if not (repo_id and equals and folder):
            raise click.BadParameter(f"{value!r} is not REPO_ID=FOLDER")
        imports.append((repo_id, Path(folder)))
    return imports


@click.command(short_help="Run a Hub on this machine, to rehearse on.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/hub"),
    show_default=True,
    help="Folder that keeps the repositories.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="Port on 127.0.0.1; 0 picks a free one.",
)
@click.option(
    "--import",
    "imports",
    metavar="REPO_ID=FOLDER",
    multiple=True,
    callback=_split,
    help="Put a folder in as a repository first; the same bytes give the same commit. Repeatable.",
)
def command(root: Path, port: int, imports: list[tuple[str, Path]]) -> None:
    """Run a Hub on 127.0.0.1 until Ctrl-C.

    Everyone on this machine may read its public repositories. Writing takes the token that
    NLA_RELEASE_HUB_TOKEN holds when the Hub starts; without it nobody may write.
    """
    token = os.environ.get(TOKEN_VARIABLE, "").strip() or None
    for repo_id, folder in imports:
        commit = Store(root).import_folder(repo_id, folder)
        click.echo(f"Imported {folder} as {repo_id} at {commit}", err=True)
    if token is None:
        click.echo(f"Read-only: set {TOKEN_VARIABLE} before starting it to allow writes", err=True)
    try:
        serve(root, port=port, token=token, ready=_announce)
    except KeyboardInterrupt:
        # The way to end a server, not the interruption of one.
        click.echo("Stopped", err=True)


def _announce(endpoint: str) -> None:
    click.echo(f"Serving on {endpoint}")
    click.echo(f"export HF_ENDPOINT={endpoint}")
    click.echo("Stop with Ctrl-C", err=True)
