"""`nla-release roundtrip`."""

from pathlib import Path
from typing import get_args

import click

from nla_release.base_model.measure import base_facts
from nla_release.cli.edge import ExampleCommand
from nla_release.cli.options import device_option, path_argument
from nla_release.errors import EnvironmentProblem
from nla_release.evidence.records import ProbeName
from nla_release.io.log import log
from nla_release.release.config import ProbeChoice
from nla_release.release.folder import Release, read_release


@click.command(
    "roundtrip", cls=ExampleCommand, example="nla-release roundtrip my-release --probe quick"
)
@path_argument
@device_option
@click.option("--fresh", is_flag=True, help="Measure everything again; ignore evidence/.")
@click.option(
    "--probe",
    "probes",
    multiple=True,
    metavar="NAME",
    type=click.Choice(["all", "quick", *get_args(ProbeName)]),
    help="Run more diagnostics than release.yaml names under evaluation.probes; may be given"
    " several times. quick is text-controls and injection.",
)
def command(path: Path, device: str | None, fresh: bool, probes: tuple[ProbeChoice, ...]) -> None:
    """Run held-out activations through AV and AR, with controls; write evidence/.

    PATH is the folder of release.yaml. An interrupted run continues. Nothing is measured twice as
    long as the pair, the data and the settings are the same: a diagnostic that is asked for later
    is added to the evidence.

    \b
    Diagnostics, and what each asks of the pair:
      text-controls   gibberish, shuffled words and the source text, through the AR
      injection       the activations at half and at double scale, through the AV
      text-retrieval  texts embedded by evaluation.encoder, when one is named
      claims          the explanation without each of its claims, and with an unrelated one
      paraphrase      the explanation in other words, and with its sentences shuffled
      discrimination  source texts and gibberish of the same length, through the AR
      all             these six
      quick           text-controls and injection
    retrieval, templates, ceiling, structural and contamination need no answers of the pair; every
    run records them.

    Several processes share the rows: torchrun --nproc-per-node 2 -m nla_release roundtrip PATH.
    """  # noqa: D301 - click keeps the lines of a paragraph that begins with a backspace
    release = read_release(path)
    from nla_release.engine.processes import is_main, only_the_first_talks
    from nla_release.engine.roundtrip import roundtrip
    from nla_release.history.add_evidence import replaced_version
    from nla_release.history.log import RESTORE
    from nla_release.statistics.formulas import norm_summary

    only_the_first_talks()
    if is_main():
        _keep_base_facts(release)
    evidence = roundtrip(release, device=device, fresh=fresh, probes=probes)
    for record in evidence.run.probes:
        if record.skipped:
            log.info(f"diagnostic {record.name} is skipped: {record.skipped}")
    if apart := norm_summary(evidence.vectors["gold"]).sentence:
        log.note(f"{apart}; such tokens are usual in some bases, and rules compare the others")
    if published := replaced_version(release):
        log.note(
            f"{published} is published with other evidence, which is in"
            f" {release.dist / 'av' / 'evidence'}: {RESTORE} puts it back,"
            " `nla-release calibrate --addendum` adds this evidence to it"
        )
    log.info(
        f"{release.evidence} holds {len(evidence.rows)} rows, measured {evidence.run.finished_at}",
    )


def _keep_base_facts(release: Release) -> None:
    """Write base.json for `render`; a machine without a network can measure without it."""
    try:
        base_facts(release)
    except EnvironmentProblem as problem:
        log.note(f"base.json is not written: {problem.message}")
