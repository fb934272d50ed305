"""`nla-release roundtrip`."""

from pathlib import Path

import click

from nla_release.base.cache import base_facts
from nla_release.errors import EnvironmentProblem
from nla_release.release import Release, read_release


@click.command("roundtrip")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--device", help="Torch device; CUDA when there is one, by default.")
@click.option("--fresh", is_flag=True, help="Measure from the beginning, whatever is there.")
def command(path: Path, device: str | None, fresh: bool) -> None:
    """Run held-out activations through AV and AR, with controls, and leave evidence/.

    PATH is the folder of release.yaml. An interrupted run continues where it was, and a finished
    one is not repeated, as long as the pair, the data and the settings are the same.
    """
    release = read_release(path)
    from nla_release.engine.roundtrip import roundtrip

    _keep_base_facts(release)
    evidence = roundtrip(release, device=device, fresh=fresh)
    click.echo(
        f"{release.evidence} holds {len(evidence.rows)} rows, measured {evidence.run.finished_at}",
        err=True,
    )


def _keep_base_facts(release: Release) -> None:
    """Leave base.json for `render`. A machine without a network can measure all the same."""
    try:
        base_facts(release)
    except EnvironmentProblem as problem:
        click.echo(f"note: base.json is not written: {problem.message}", err=True)
