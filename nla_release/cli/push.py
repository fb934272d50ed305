"""`nla-release push`."""

import shlex
from pathlib import Path

import click

from nla_release.cli.edge import ExampleCommand
from nla_release.cli.kept_history import keep_history
from nla_release.cli.plan import show
from nla_release.cli.version import VERSION
from nla_release.cli.which_hub import hub_root_option, rehearse_option, which_hub
from nla_release.errors import ConfigError, RefusedError
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.hub.collection import collect
from nla_release.hub.journal import Journal
from nla_release.hub.plan import PushOptions, PushPlan, foreseen, make_plan, take_over
from nla_release.hub.push import push
from nla_release.hub.verify import VerifyOptions, verify_published
from nla_release.hub_client.remote import Hub
from nla_release.io.files import read_text
from nla_release.io.log import log
from nla_release.release.folder import Release, read_release
from nla_release.release.signature import Signer


@click.command(
    "push", cls=ExampleCommand, example="nla-release push my-release --version 0.0.1 --rehearse"
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option(
    "--version", type=VERSION, required=True, help="The version that was rendered, such as 0.0.1."
)
@click.option(
    "--addendum",
    is_flag=True,
    help="Add the new measurements of `calibrate --addendum` to the published version.",
)
@click.option("--dry-run", is_flag=True, help="Show what would happen; write nothing.")
@rehearse_option
@hub_root_option
@click.option(
    "--private/--public",
    default=None,
    help="Visibility of repositories that have to be created; public by default.",
)
@click.option("--overwrite-card", is_flag=True, help="Discard user edits of the cards on the Hub.")
@click.option("--allow-lower", is_flag=True, help="Publish a version below the last one.")
@click.option(
    "--rebase", is_flag=True, help="When others commit meanwhile, commit on top of their commits."
)
@click.option(
    "--replace-unfinished",
    is_flag=True,
    help="Replace another release that was committed and never tagged.",
)
@click.option(
    "--sign", is_flag=True, help="Sign both release.json: with --key, or as the CI job this is."
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Private key (PEM) for --sign; NLA_RELEASE_KEY_PASSWORD holds its password.",
)
@click.option(
    "--trust-config",
    "trust",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Trust configuration of an own Sigstore, for --sign without --key.",
)
@click.option(
    "--collection",
    metavar="SLUG_OR_TITLE",
    help="Add both repositories to a Hub collection, creating it if needed.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Output format of --dry-run.",
)
def command(
    path: Path,
    version: str,
    addendum: bool,
    dry_run: bool,
    rehearse: bool,
    hub_root: Path | None,
    private: bool | None,
    overwrite_card: bool,
    allow_lower: bool,
    rebase: bool,
    replace_unfinished: bool,
    sign: bool,
    key: Path | None,
    trust: Path | None,
    collection: str | None,
    form: str,
) -> int:
    """Publish both rendered repositories of PATH as one unit.

    Both are uploaded, committed once each and verified before either is tagged. The same command
    continues a push that was cut off, and changes nothing that is published already. The token is
    taken from HF_TOKEN or the login cache, the Hub from HF_ENDPOINT.

    With --addendum the version is published already: cards, numbers, HISTORY and evidence are
    brought up to date by one commit each, tagged vX+cal.N. Weights, configuration and sidecar have
    to be those that the tag vX has on the Hub, and vX stays where it is.

    With --sign the commit carries release.sigstore.json, a signature over both release.json that
    `verify --key` or `verify --identity` checks. Without --key a CI job signs by its own identity
    with Sigstore, which puts the identity into a public log.
    """
    signer = _signer(sign, key, trust, rehearse)
    if form != "text" and not dry_run:
        raise ConfigError("--format is of the plan that --dry-run shows", hint="add --dry-run")
    release = read_release(path)
    waived = tuple(release.config.waivers)
    options = PushOptions(
        private, overwrite_card, allow_lower, rebase, replace_unfinished, waived, addendum
    )
    with which_hub(rehearse, hub_root, writing=not dry_run) as hub:
        plan = make_plan(release.dist, version, hub, options)
        if dry_run:
            code = show(foreseen(plan, hub), form)
            if signer is not None:
                log.note(f"a push would sign both release.json with {signer.named}")
            log.hint("nothing was written; run it again without --dry-run")
            return code
        if not plan.blockers and (taken := take_over(plan)):
            for line in taken:
                log.info(line)
            plan = make_plan(release.dist, version, hub, options)
        journal = Journal(release.dist, plan.release_id, hub.endpoint)
        push(
            plan,
            hub,
            journal,
            check=lambda: _refuse_what_does_not_pass(release),
            signer=signer,
        )
        if not rehearse:
            published = read_text(release.dist / "av" / release.history.name, newline="")
            keep_history(release, published, plan.repos[0].repo)
        if collection:
            collect(plan, hub, collection)
        if rehearse:
            _verify(release, plan, hub)
    return 0


def _signer(sign: bool, key: Path | None, trust: Path | None, rehearse: bool) -> Signer | None:
    if not sign:
        if key or trust:
            raise ConfigError(
                f"--{'key' if key else 'trust-config'} is for --sign", hint="add --sign"
            )
        return None
    if rehearse and key is None:
        raise ConfigError(
            "--sign without --key writes to Sigstore's public log; a rehearsal publishes nothing",
            hint="add --key FILE, or leave --sign out of the rehearsal",
        )
    if key and trust:
        raise ConfigError("--trust-config is for signing without --key", hint="leave one out")
    signer = Signer(key, trust)
    signer.check()
    return signer


def _refuse_what_does_not_pass(release: Release) -> None:
    verdict = apply_rules(find_subject(release.folder))
    if verdict.verdict != "pass":
        worst = verdict.findings[0]
        raise RefusedError(
            f"the release does not pass `nla-release check`: {worst.code} {worst.message}",
            hint=f"run `nla-release check {shlex.quote(str(release.folder))}` to see all findings",
        )


def _verify(release: Release, plan: PushPlan, hub: Hub) -> None:
    verdict = verify_published(plan, hub, VerifyOptions.of(release))
    passed, skipped = verdict.totals["passed"], verdict.totals["skipped"]
    log.info(
        f"re-downloaded both repositories: files identical; {passed} rules passed,"
        f" {skipped} not applicable"
    )
