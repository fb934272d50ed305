"""The command line: one verb per file, imported only when it runs.

A verb parses its options, calls the library and prints the result on stdout. Messages go to stderr,
and exceptions become exit codes, in `edge`.
"""

import atexit
import difflib
import gc
import importlib
import os
from typing import NoReturn

import click

from nla_release import __version__
from nla_release.cli.edge import ExampleGroup, debug_option
from nla_release.cli.edge import run as _run
from nla_release.hub_client.place import CANONICAL_ENDPOINT, checked_endpoint

# In the order of a release. The texts are what --help shows, so that help imports no verb.
VERBS = {
    "train": "Train a pair from a recipe, from text to both adapters.",
    "init": "Begin a release with a trained pair, in any known sidecar format.",
    "data": "Make eval.parquet and reference.safetensors from your own activations.",
    "base": "Record facts about the base in base.json, without loading it.",
    "roundtrip": "Run held-out activations through the pair and its controls; write evidence/.",
    "calibrate": "Compute calibration.json from the evidence alone.",
    "compare": "Compare releases on the rows they have in common, paired by row.",
    "sweep": "Let other ARs read the texts of measured evidence, and compare them.",
    "history": "Write entries of HISTORY.md, retract a published number, or show the log.",
    "render": "Write cards, figures, HISTORY and both repositories to dist/.",
    "check": "Check a release, a dist/ or one repository against every rule.",
    "report": "Write verdict, numbers and rows into one HTML file.",
    "explain": "Show what a rule checks, why, and how to fix what it finds.",
    "plan": "Show what a push would do to each file of both repositories.",
    "push": "Publish both repositories as one unit, or to a local Hub first.",
    "retract": "Mark a published version as retracted on both model cards.",
    "verify": "Re-download a published release and verify it independently.",
    "hub": "Run the embedded Hub on 127.0.0.1.",
}

EXIT_CODES = """\b
Exit codes:
  0    done; no error found (warnings allowed)
  1    findings, or the act was refused
  2    wrong usage, configuration or input file
  3    nothing was checked, or the result is inconclusive
  4    environment: token, network, missing extra, port, disk
  5    partly published: run the same command again
  10   only with `plan --detailed-exitcode`: there is work to do
  130  interrupted (Ctrl-C); 143 when by SIGTERM"""


class _Verbs(ExampleGroup):
    """A group whose verbs are imported when they run, not when help is shown."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in VERBS:
            return None
        # The Hub's client would stumble over it as soon as a verb imports it.
        checked_endpoint(os.environ.get("HF_ENDPOINT") or CANONICAL_ENDPOINT)
        module = importlib.import_module(f"nla_release.cli.{cmd_name}")
        command: click.Command = module.command
        for each in (command, *getattr(command, "commands", {}).values()):
            if not any(option.name == "debug" for option in each.params):
                each.params.append(debug_option())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if near := difflib.get_close_matches(args[0], VERBS):
                raise click.UsageError(f"{error.message} Did you mean {near[0]}?", ctx) from error
            raise

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(
    cls=_Verbs,
    example="nla-release check my-release",
    epilog=EXIT_CODES,
    params=[debug_option()],
)
@click.version_option(__version__, prog_name="nla-release")
def cli() -> None:
    """Release Natural Language Autoencoder pairs on the Hugging Face Hub.

    A release is the folder of a release.yaml. Usual order: init, roundtrip, calibrate, render,
    check, push.
    """


def main() -> NoReturn:
    """Entry point of `nla-release`."""
    # A verb is short, and mostly made of modules that stay: looking for garbage among them as they
    # come, and once more at the end, is a quarter of its time.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    _run(cli, "nla-release")
