"""`nla-release push`."""

from dataclasses import replace
from pathlib import Path

import click

from nla_release import api
from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import (
    FILE,
    format_option,
    path_argument,
    push_options,
    rehearsal_options,
    version_option,
)
from nla_release.errors import ConfigError
from nla_release.hub.plan import PushOptions
from nla_release.io.log import log
from nla_release.output.plan import FORMATS
from nla_release.release.signature import Signer


@click.command(
    "push", cls=ExampleCommand, example="nla-release push my-release --version 0.0.1 --rehearse"
)
@path_argument
@version_option("The version that was rendered, such as 0.0.1.")
@push_options
@click.option("--dry-run", is_flag=True, help="Show what would happen; write nothing.")
@rehearsal_options
@click.option(
    "--rebase", is_flag=True, help="When others commit meanwhile, commit on top of their commits."
)
@click.option(
    "--sign",
    is_flag=True,
    help="Sign both release.json: with --key, or with the identity of the CI job that runs it.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Private key (PEM) for --sign; NLA_RELEASE_KEY_PASSWORD holds its password.",
)
@click.option(
    "--trust-config",
    "trust",
    type=FILE,
    help="Trust configuration of an own Sigstore, for --sign without --key.",
)
@click.option(
    "--collection",
    metavar="SLUG_OR_TITLE",
    help="Add both repositories to a Hub collection, creating it if needed.",
)
@format_option("Output format of --dry-run.")
def command(
    path: Path,
    version: str,
    options: PushOptions,
    dry_run: bool,
    hub: api.Rehearsal | None,
    rebase: bool,
    sign: bool,
    key: Path | None,
    trust: Path | None,
    collection: str | None,
    form: str,
) -> int:
    """Publish both rendered repositories of PATH as one unit.

    Both are uploaded, committed once each and verified before either is tagged. The same command
    continues a push that was interrupted, and changes nothing that is published already. The token
    comes from HF_TOKEN or the login cache, the Hub from HF_ENDPOINT.

    --addendum adds new measurements to a published version. One commit per repository updates
    cards, numbers, HISTORY and evidence, and is tagged vX+cal.N (such as v0.0.1+cal.1). Weights,
    configuration and sidecar must be those of the tag vX on the Hub, and vX stays where it is.

    With --sign the commit carries release.sigstore.json, a signature over both release.json that
    `verify --key` or `verify --identity` checks. Without --key a CI job signs with its own identity
    through Sigstore, which puts the identity into a public log.
    """
    signer = _signer(sign, key, trust)
    if form != "text" and not dry_run:
        raise ConfigError("--format applies to --dry-run only", hint="add --dry-run")
    options = replace(options, rebase=rebase)
    if not dry_run:
        api.push(
            path, version=version, options=options, signer=signer, collection=collection, hub=hub
        )
        return 0
    plan = api.plan(path, version=version, options=options, signer=signer, hub=hub)
    output(FORMATS[form](plan), nl=form == "text")
    if signer is not None:
        log.note(f"a push would sign both release.json with {signer.named}")
    log.hint("nothing was written; run it again without --dry-run")
    return 1 if plan.blockers else 0


def _signer(sign: bool, key: Path | None, trust: Path | None) -> Signer | None:
    if not sign:
        if key or trust:
            raise ConfigError(
                f"--{'key' if key else 'trust-config'} is for --sign", hint="add --sign"
            )
        return None
    if key and trust:
        raise ConfigError("--trust-config is for signing without --key", hint="leave one out")
    return Signer(key, trust)
