"""`nla-release data`."""

import shlex
from pathlib import Path

import click

from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import FILE, pairs
from nla_release.io.layout import RELEASE_FILE
from nla_release.io.log import log


@click.command(
    "data",
    cls=ExampleCommand,
    example="nla-release data held_out.parquet --training trained_on.parquet --out data",
)
@click.argument("held_out", metavar="HELD_OUT", type=FILE)
@click.option(
    "--training",
    required=True,
    type=FILE,
    help="Activations that the pair was trained on, or others of the same base and layer: their"
    " mean direction is the baseline, their mean norm is activation_mean.",
)
@click.option(
    "--texts",
    type=FILE,
    help="The rows' id, document, text and explanation: parquet, jsonl or csv, one row per"
    " activation, in the same order. A parquet file of activations may hold them itself.",
)
@click.option("--training-texts", type=FILE, help="The same for the training activations.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="OURS=THEIRS",
    callback=pairs("OURS=THEIRS"),
    help="The files' own name of a column, or of the array: --column activation=resid_23.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="The folder to write.",
)
def command(
    held_out: Path,
    training: Path,
    texts: Path | None,
    training_texts: Path | None,
    columns: list[tuple[str, str]],
    out: Path,
) -> None:
    """Make eval.parquet and reference.safetensors from your own activations.

    HELD_OUT are activations that the pair was not trained on: floats [N, d_model] of raw norm, in
    .parquet (a column of lists), .npy, .npz or .safetensors. Each row needs the name of its
    document; text and explanation may be missing. docs/how-to/own-data.md describes every file.
    """
    from nla_release.engine.own_data import make_data

    made = make_data(
        held_out, training, out, texts=texts, training_texts=training_texts, columns=dict(columns)
    )
    output(
        f"{made.files[0]}: {made.rows} activations of {made.documents} documents, width"
        f" {made.width}\n"
        f"{made.files[1]}: mean direction of {made.training_rows} activations\n"
        f"activation_mean: {made.activation_mean:.6g}"
    )
    for note in made.notes:
        log.note(note)
    if (out.absolute().parent / RELEASE_FILE).is_file():
        log.info("next: nla-release roundtrip")
    else:
        log.info(f"next: nla-release init AV AR --data {shlex.quote(str(out))}")
