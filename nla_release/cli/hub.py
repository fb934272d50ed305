"""`nla-release hub`: a Hub on this machine, to rehearse a release on."""

import shlex
from pathlib import Path

import click

from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import pairs
from nla_release.io.log import log
from nla_release.local_hub.server import LocalHub, owner_token, token_file
from nla_release.local_hub.store import Store


@click.command("hub", cls=ExampleCommand, example="nla-release hub --port 8765")
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
    callback=pairs("REPO_ID=FOLDER"),
    help="Put a folder in as a repository first; the same bytes give the same commit. Repeatable.",
)
def command(root: Path, port: int, imports: list[tuple[str, str]]) -> None:
    """Run a Hub on 127.0.0.1 until Ctrl-C.

    It prints the environment variables for Hub clients. Every program on this machine can read its
    public repositories; web pages cannot. Writing needs the token in ROOT/token, which is never
    printed; only you can read ROOT.

    It serves models to huggingface_hub (0.23 and later), `hf` and what builds on them. It does not
    serve git clone, Xet, datasets, Spaces or web pages.
    """
    store = Store(root)
    for repo_id, folder in imports:
        commit = store.import_folder(repo_id, Path(folder))
        log.info(f"Imported {folder} as {repo_id} at {commit}")

    try:
        with LocalHub(root, port=port, token=owner_token(root)) as hub:
            output(f"Serving on {hub.endpoint}")
            output(f"export HF_ENDPOINT={hub.endpoint}")
            output(f'export HF_TOKEN="$(cat {shlex.quote(str(token_file(root)))})"')
            output("export HF_HUB_DISABLE_XET=1")
            log.info(
                "This Hub accepts large files through LFS only. HF_HUB_DISABLE_XET=1 makes other"
                " programs than nla-release upload that way. Stop with Ctrl-C."
            )
            hub.wait()
    except KeyboardInterrupt:
        log.info("Stopped")
