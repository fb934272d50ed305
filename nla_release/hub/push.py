"""Publish a pair: both repositories are complete before either is tagged.

Users load a pair by its tag, so a commit on main is not released before its tag is set. The steps
below are in the order of execution. Each compares with the Hub, does what is missing, and records
itself in the journal. So the same command continues a push that stopped anywhere, and a push of a
published release does nothing.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd

from nla_release.contract.sidecar import Role
from nla_release.errors import RefusedError
from nla_release.hub.blockers import long_ids
from nla_release.hub.earlier_releases import described, unexpected_parent
from nla_release.hub.journal import Journal
from nla_release.hub.plan import PushPlan, RepoPlan, check_access, check_card
from nla_release.hub.push_run import PushRun, changed_files, refuse_blockers
from nla_release.hub.staging import check_bytes, check_room, checked_payload, stage
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteState, compare
from nla_release.io.layout import SIGNATURE_FILE
from nla_release.io.log import log
from nla_release.release.config import Waiver
from nla_release.release.manifest import read_id, title
from nla_release.release.signature import (
    Signer,
    mismatch,
    read_released,
    read_signature,
    write_signature,
)


def push(
    plan: PushPlan,
    hub: Hub,
    journal: Journal,
    *,
    check: Callable[[], None],
    signer: Signer | None = None,
    waived: Sequence[Waiver] = (),
) -> PushPlan:
    """Execute a plan.

    Args:
        plan: the plan of both repositories.
        hub: where they are.
        journal: records every finished step.
        check: raises an error if the release does not pass `nla-release check`.
        signer: signs both release.json, or did so in an earlier run.
        waived: the waivers in release.yaml.

    Returns:
        The plan with the commits of both tags.

    Raises:
        RefusedError: the release does not pass, there are blockers, main moved, or the Hub refuses
            the files.
        InputError: a file differs from release.json.
        EnvironmentProblem: the token may not write, the disk is full, or the Hub cannot be reached.
        PartlyPublishedError: one of these, after something became public.
        KeyboardInterrupt: after a report of what is public.
    """
    run = PushRun(hub, plan, journal, waived)
    if not run.untagged:
        refuse_blockers(plan.repos)
        if signer is not None:
            _take_over_signature(run, signer)
        _nothing_to_do(plan)
        return plan
    try:
        refuse_blockers(plan.repos)
        run.report_resumption()
        if signer is not None:
            _drop_stale_signature(run)
        check()
        preflight(run)
        if signer is not None:
            sign(run, signer)
        run.begun = True
        create(run)
        with staged(run), ExitStack() as files:
            commit(run, upload(run, files))
            verify(run)
            tag(run)
            final_verify(run)
    except KeyboardInterrupt:
        log.info(f"interrupted. Public so far: {run.public_summary}")
        if run.begun and run.untagged:
            names = " and ".join(repo.repo for repo in run.untagged)
            log.note(
                "the Hub was not read again after the interruption; a request that was sent"
                f" before may still change {names}"
            )
        raise
    except Exception as error:  # of any kind: what is public must be reported
        run.refresh()
        if run.public:
            raise run.partly_published(error) from error
        if run.empty or run.unseen:
            log.info(f"Public so far: {run.public_summary}")
        raise
    return run.plan


def preflight(run: PushRun) -> None:
    """Check everything else that can be checked before the first write."""
    notes = [note for repo in run.untagged for note in check_access(run.hub, repo)]
    for repo in run.uncommitted:
        check_card(run.hub, repo)
    copies = [(repo.folder, repo.manifest) for repo in run.uncommitted]
    check_room(copies, Path(tempfile.gettempdir()))
    for note in [*(note for repo in run.untagged for note in repo.notes), *notes]:
        log.note(note)
    for repo in run.untagged:
        if repo.left_alone:
            log.info(f"{repo.repo}: {repo.left_alone}")
    run.journal.finished("preflight")
    log.info("preflight passed: access, names, cards and disk")


def sign(run: PushRun, signer: Signer) -> None:
    """Sign both release.json, unless they are signed already; a signature on the Hub stays."""
    if len(run.uncommitted) < len(run.plan.repos):
        _take_over_signature(run, signer)
    else:
        folders = _folders(run)
        released = read_released(folders)
        found = {read_signature(folder) for folder in folders.values()}
        kept = found.pop() if len(found) == 1 else None
        if kept is None or not signer.made(kept, released):
            write_signature(folders, signer.sign(released))
            log.info(f"signed both release.json with {signer.named}")
    for repo in run.uncommitted:
        run.update(run.planned_again(repo))
    run.journal.finished("sign")


def _take_over_signature(run: PushRun, signer: Signer) -> None:
    """Copy the signature that the release has on the Hub to `dist/`.

    Raises:
        RefusedError: it has none there, or one by another signer.
    """
    folders = _folders(run)
    released = read_released(folders)
    for repo in run.plan.repos:
        commit = repo.tagged or repo.committed
        if commit is None:
            continue
        state = run.seen(repo.repo, commit)
        if SIGNATURE_FILE not in state.files:
            raise RefusedError(
                f"{repo.repo}: this release is on the Hub without a signature ({commit[:12]}), and"
                " none can be added later",
                hint="run the same command without --sign, or sign the next version",
            )
        signature = run.hub.read(repo.repo, SIGNATURE_FILE, state).encode()
        if not signer.made(signature, released):
            raise RefusedError(
                f"{repo.repo}: {SIGNATURE_FILE} on the Hub ({commit[:12]}) is not by"
                f" {signer.named}",
                hint="find out who pushed it; publish the next version with your own signature",
            )
        write_signature(folders, signature)


def _drop_stale_signature(run: PushRun) -> None:
    """Delete a signature of files that changed since, so that check passes and sign renews it."""
    folders = _folders(run)
    released = read_released(folders)
    found = [read_signature(folder) for folder in folders.values()]
    if any(each is not None and mismatch(each, released) for each in found):
        for folder in folders.values():
            (folder / SIGNATURE_FILE).unlink(missing_ok=True)


def _folders(run: PushRun) -> dict[Role, Path]:
    return {repo.role: repo.folder for repo in run.plan.repos}


def create(run: PushRun) -> None:
    """Create missing repositories, with the planned visibility."""
    for repo in run.untagged:
        if repo.head is not None:
            continue
        state = run.create(repo)
        run.update(replace(repo, head=state.head))
        if state.private != repo.private:
            raise RefusedError(
                f"{repo.repo} was to be {repo.visibility}, and the Hub created it otherwise",
                hint="nothing was uploaded; change it on its settings page, then run the same"
                " command again",
            )
        for blocker in long_ids(repo.repo, state):
            raise RefusedError(blocker.message, hint=blocker.hint)
        if note := run.hub.check_write(repo.repo):
            log.note(note)
        if state.files:
            run.update(run.planned_again(repo))
        run.journal.finished("create", repo=repo.repo, commit=state.head)
        log.info(f"created {repo.repo} ({repo.visibility})")


@contextmanager
def staged(run: PushRun) -> Iterator[None]:
    """Work on a hashed copy, so that no file can change between its hash and its upload."""
    before = run.plan
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        for repo in run.uncommitted:
            stage(repo.folder, repo.manifest, Path(name) / repo.role)
            checked_payload(Path(name) / repo.role, repo.role, run.waived)
            run.update(replace(repo, folder=Path(name) / repo.role))
            run.journal.finished("stage", repo=repo.repo)
        if run.plan != before:
            log.info("staged a copy: hashes match release.json, no secrets, no unlisted files")
        yield


def upload(run: PushRun, files: ExitStack) -> dict[str, list[CommitOperationAdd]]:
    """Upload the large files of both before either is committed; returns the operations."""
    uploaded = {}
    for repo in run.uncommitted:
        additions = files.enter_context(run.hub.additions(repo.folder, changed_files(repo)))
        run.hub.upload(repo.repo, additions)
        uploaded[repo.repo] = additions
        run.journal.finished("upload", repo=repo.repo)
        size = sum(record.size for record in changed_files(repo).values())
        log.info(f"uploaded {len(additions)} files ({size:,} bytes) for {repo.repo}")
    return uploaded


def commit(run: PushRun, uploaded: dict[str, list[CommitOperationAdd]]) -> None:
    """Make one commit per repository, on top of the commit that the plan was made for."""
    for repo in run.uncommitted:  # before the first commit
        moved = run.hub.head(repo.repo) != repo.head
        if moved and not run.adopted(repo) and not run.plan.options.rebase:
            raise run.overtaken(repo)
    for repo in run.uncommitted:
        done = run.commit(repo, uploaded[repo.repo])
        assert done.committed is not None, "committed"
        run.update(done)
        run.journal.finished("commit", repo=repo.repo, commit=done.committed)
        log.info(f"committed {repo.repo} ({done.committed[:12]})")


def verify(run: PushRun) -> None:
    """Check that both commits contain exactly the release, and overwrote no other commit."""
    for repo in run.untagged:
        assert repo.committed is not None, "committed"
        state = run.seen(repo.repo, repo.committed)
        _refuse_other_files(repo, state)
        _refuse_misplaced(run, repo, repo.committed)
        run.journal.finished("verify", repo=repo.repo, commit=repo.committed)
        log.info(f"verified {repo.repo} at {repo.committed[:12]}: {len(state.files)} files")


def tag(run: PushRun) -> None:
    """Set both tags, now that both repositories are complete."""
    for repo in run.untagged:
        assert repo.committed is not None, "committed"
        name, found = run.plan.tag, run.tag(repo, repo.committed)
        if found != repo.committed:
            raise RefusedError(
                f"{repo.repo}: tag {name} points at {found or 'nothing'}, not at {repo.committed}",
                hint="tags are never moved; find out who set it",
            )
        run.update(replace(repo, tagged=found))
        run.journal.finished("tag", repo=repo.repo, commit=found)
        log.info(f"tagged {repo.repo} {name}")


def final_verify(run: PushRun) -> None:
    """Check what a user gets who downloads the tag, of both."""
    for repo in run.plan.repos:
        state, own = run.seen(repo.repo, run.plan.tag), repo.manifest.tag
        if state.head != repo.tagged:
            raise RefusedError(f"{repo.repo}: {run.plan.tag} is {state.head}, not {repo.tagged}")
        if repo.original not in (None, state.tags.get(own)):
            raise RefusedError(
                f"{repo.repo}: {own} no longer points at {repo.original}",
                hint="this push sets only its own tag; find out who moved the other",
            )
        _refuse_other_files(repo, state)
    run.journal.finished("final-verify")
    log.info(f"published {run.plan.tag}, both verified by tag:")
    for repo in run.plan.repos:
        log.info(f"  {repo.role}  {run.hub.url(repo.repo, run.plan.tag)}")


def _refuse_misplaced(run: PushRun, repo: RepoPlan, commit: str) -> None:
    """Refuse a commit that overwrote another, or whose message the Hub changed."""
    listed = run.listed(repo.repo, commit)
    below = unexpected_parent(listed, commit, repo.parent)
    if below is not None and read_id(below.description) == run.plan.release_id:
        raise RefusedError(
            f"{repo.repo}: another push of this release committed it at the same time, as"
            f" {below.id[:12]} and {commit[:12]}",
            hint="run the same command again: it continues with the first of both commits",
        )
    if below is not None:
        raise RefusedError(
            f"{repo.repo}: the Hub put the release on top of a commit that it should have"
            f" refused it for: {described(below)}",
            hint="look at what that commit changed, then publish the next version: users"
            " cannot tell this commit from one that was added later",
        )
    made = next((each for each in listed if each.id == commit), None)
    sent = (title(run.plan.tag), run.plan.release_id)
    if made is None or (made.title, read_id(made.description)) != sent:
        raise RefusedError(
            f"{repo.repo}: the Hub does not return title and description of {commit[:12]} as"
            " they were sent, and `nla-release verify` needs them; no tag was set",
            hint="publish to a Hub that keeps the descriptions of commits",
        )


def _nothing_to_do(plan: PushPlan) -> None:
    for repo in plan.repos:
        check_bytes(repo.folder, repo.manifest)
    names = " and ".join(repo.repo for repo in plan.repos)
    log.info(f"already published, nothing to do: {names} at {plan.tag}")


def _refuse_other_files(repo: RepoPlan, state: RemoteState) -> None:
    files = compare(repo.folder, repo.manifest, state)
    if wrong := [file.name for file in files if file.change != "keep"]:
        raise RefusedError(
            f"{repo.repo}: the commit differs from what was sent: {', '.join(wrong[:6])}",
            hint="do not use this commit; find out who changed it",
        )
