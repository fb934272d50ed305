"""`nla-release push`."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from nla_release.errors import ConfigError, EnvironmentProblem, RefusedError
from nla_release.files import read_text, write_atomic
from nla_release.hub.plan import Plan, make_plan
from nla_release.hub.push import push
from nla_release.hub.remote import Hub, quiet_client
from nla_release.hub.verify import verify_published
from nla_release.output.plan_text import plan_text
from nla_release.release import Release, read_release
from nla_release.rules import judge
from nla_release.rules.subject import find_subject


@click.command("push")
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--version", required=True, help="The version that was rendered, such as 0.0.1.")
@click.option("--dry-run", is_flag=True, help="Show what would happen; write nothing.")
@click.option("--rehearse", is_flag=True, help="Publish to an embedded Hub on 127.0.0.1 instead.")
@click.option(
    "--hub-root",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the rehearsal's Hub keeps its files; a temporary folder by default.",
)
@click.option("--private", is_flag=True, help="Create missing repositories as private.")
def command(
    path: Path, version: str, dry_run: bool, rehearse: bool, hub_root: Path | None, private: bool
) -> None:
    """Publish both rendered repositories of PATH as one unit.

    Both are uploaded, committed once each and verified before either is tagged. The same command
    continues a push that was cut off; of what is published already it changes nothing. The token
    is taken from HF_TOKEN or the login cache, the Hub from HF_ENDPOINT.
    """
    if hub_root is not None and not rehearse:
        raise ConfigError("--hub-root belongs to --rehearse", hint="add --rehearse")
    release = read_release(path)
    quiet_client()
    with _rehearsal(hub_root) if rehearse else _real(dry_run) as hub:
        plan = make_plan(release.dist, version, hub)
        if dry_run:
            click.echo(plan_text(plan))
            _say("hint: nothing was written; run it again without --dry-run")
            return
        if not plan.done:
            _refuse_what_does_not_pass(release)
        push(plan, hub, private=private, say=_say)
        if rehearse:
            _verify(release, plan, hub)
            return
    _keep_history(release)


@contextmanager
def _rehearsal(root: Path | None) -> Iterator[Hub]:
    from nla_release.hub.loopback.server import HOST, LoopbackHub

    # A proxy has no business between this process and itself.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = HOST
    with (
        tempfile.TemporaryDirectory(prefix="nla-release-hub-") as temporary,
        LoopbackHub(root or Path(temporary)) as server,
    ):
        _say(f"rehearsing on {server.endpoint}; nothing is published")
        yield Hub(server.endpoint, server.token)


@contextmanager
def _real(dry_run: bool) -> Iterator[Hub]:
    yield Hub.from_environment(writing=not dry_run)


def _refuse_what_does_not_pass(release: Release) -> None:
    verdict = judge(find_subject(release.folder))
    if verdict.verdict != "pass":
        worst = verdict.findings[0]
        raise RefusedError(
            f"the release does not pass `nla-release check`: {worst.code} {worst.message}",
            hint=f"run `nla-release check {release.folder}` to see all findings",
        )


def _verify(release: Release, plan: Plan, hub: Hub) -> None:
    local = release.base_path / "tokenizer.json" if release.base_path else None
    verdict = verify_published(plan, hub, tokenizer=local, waived=release.config.waivers)
    passed, skipped = verdict.totals["passed"], verdict.totals["skipped"]
    _say(
        f"downloaded both again: every byte as pushed; {passed} rules pass, {skipped} do not apply"
    )


def _keep_history(release: Release) -> None:
    """What was published is what the next version appends to."""
    try:
        write_atomic(release.history, read_text(release.dist / "av" / release.history.name))
    except EnvironmentProblem as error:
        raise EnvironmentProblem(
            f"both repositories are published, but {error.message}",
            hint="copy dist/av/HISTORY.md beside release.yaml; the next version appends to it",
        ) from error


def _say(line: str) -> None:
    click.echo(line, err=True)
