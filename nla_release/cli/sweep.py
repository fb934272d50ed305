"""`nla-release sweep`."""

from collections.abc import Iterable
from pathlib import Path

import click

from nla_release.calibration.compare import compare
from nla_release.calibration.measured import (
    Measured,
    evidence_of,
    read_measured,
    sidecar_facts,
)
from nla_release.cli.compare import FORMATS, show
from nla_release.cli.edge import ExampleCommand
from nla_release.cli.options import FOLDER, device_option, format_option
from nla_release.contract.sidecar import read_sidecar
from nla_release.errors import ConfigError
from nla_release.io.layout import RELEASE_FILE
from nla_release.release.folder import read_release


@click.command(
    "sweep", cls=ExampleCommand, example="nla-release sweep my-release --ar other/ar --out sweep"
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--ar",
    "folders",
    type=FOLDER,
    multiple=True,
    required=True,
    help="Folder of an AR to read with. Repeatable.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for the evidence of every AR.",
)
@click.option(
    "--base",
    type=FOLDER,
    help="A local copy of the base; that of release.yaml, or the Hub's, by default.",
)
@device_option
@format_option("Format of the comparison on stdout.", FORMATS)
def command(
    path: Path,
    folders: tuple[Path, ...],
    out: Path,
    base: Path | None,
    device: str | None,
    form: str,
) -> None:
    """Let other ARs read the texts of the evidence in PATH, and compare them.

    PATH is the folder of release.yaml, a rendered repository, or evidence/. The AV does not run:
    its texts and those of the controls come from the evidence. Every AR gets an evidence folder in
    --out, which `compare` takes too; only evidence of an earlier sweep is replaced there.

    The texts of diagnostics are read again too: claims left out, source texts, paraphrases. With
    `roundtrip --probe claims` in the evidence, a table shows what each AR loses per claim and how
    many rows it retrieves. The paired differences follow. To show the results on the cards, name
    the folders in --out under compared_with in release.yaml.
    """
    source = read_measured(path, str(path))
    readers = dict(zip(names(folders), folders, strict=True))
    check_apart([out / name for name in readers], [evidence_of(path), *folders])
    if base is None and (path / RELEASE_FILE).exists():
        base = read_release(path).base_path
    from nla_release.engine.sweep import sweep

    found = sweep(source.evidence, readers, out, base=base, device=device)
    swept = [
        Measured(str(out / name), evidence, sidecar_facts(read_sidecar(readers[name], "ar")))
        for name, evidence in found.items()
    ]
    show(compare([source, *swept]), form)


def check_apart(targets: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse targets that are an input, or contain one, or are inside one."""
    sources = [(folder, folder.resolve()) for folder in inputs]
    for target in targets:
        place = target.resolve()
        for folder, source in sources:
            if place.is_relative_to(source) or source.is_relative_to(place):
                raise ConfigError(
                    f"evidence cannot be written to {target}: it overlaps with the input {folder}",
                    hint="give a folder of its own as --out, such as sweep/",
                )


def names(folders: tuple[Path, ...]) -> list[str]:
    """A name per folder: its last parts, as many as make the names unique.

    Raises:
        ConfigError: a folder is given twice.
    """
    parts = [folder.resolve().parts[1:] for folder in folders]
    for count in range(1, max(map(len, parts)) + 1):
        found = ["-".join(each[-count:]) for each in parts]
        if len(set(found)) == len(found):
            return found
    raise ConfigError("--ar names one folder twice")
