"""Publishing a pair: both repositories complete before either is tagged.

A reader loads a pair by its tag, so what lies on main before the tags are set is not yet released.
The steps below stand in the order in which they are done. Each is told to the journal when it is
finished, and each looks at what the Hub has and does what is missing: the same command continues a
push that was cut off anywhere, and a push of published bytes does nothing.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd

from nla_release.contract.sidecar import Role
from nla_release.errors import RefusedError
from nla_release.hub.act import Act, refuse_obstacles
from nla_release.hub.adoption import described, intruder
from nla_release.hub.journal import Journal
from nla_release.hub.obstacles import long_ids
from nla_release.hub.once import (
    adopted,
    changed_files,
    commit_once,
    create_once,
    overtaken,
    tag_once,
)
from nla_release.hub.payload import checked_payload
from nla_release.hub.plan import Plan, RepoPlan
from nla_release.hub.preflight import check_access, check_card
from nla_release.hub.staging import check_bytes, check_room, stage
from nla_release.hub_client.client import Say
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteState, compare
from nla_release.release.manifest import SIGNATURE_FILE_NAME
from nla_release.release.release_id import read_id, title
from nla_release.release.signature import (
    Signer,
    mismatch,
    read_released,
    read_signature,
    write_signature,
)


def push(
    plan: Plan,
    hub: Hub,
    journal: Journal,
    say: Say,
    *,
    check: Callable[[], None],
    signer: Signer | None = None,
) -> None:
    """Carry a plan out.

    Args:
        plan: of both repositories as they are.
        hub: where they are.
        journal: is told of every step that was finished.
        say: tells it to a person.
        check: refuses a release that does not pass `nla-release check`.
        signer: signs both release.json, or has signed them in an earlier run.

    Raises:
        RefusedError: the release does not pass, there are obstacles, the remote moved, or the Hub
            refuses the files.
        InputError: a file is not as it was rendered.
        EnvironmentProblem: the token may not write, the disk is full, or the Hub cannot be reached.
        PartlyPublishedError: one of these, after something became public.
        KeyboardInterrupt: after saying what is public.
    """
    act = Act(plan, hub, journal, say)
    if not act.untagged:  # nothing of it is left half done
        refuse_obstacles(plan.repos)
        if signer is not None:
            _take_over_signature(act, signer)
        _nothing_to_do(plan, say)
        return
    try:
        refuse_obstacles(plan.repos)
        act.say_what_is_left()
        if signer is not None:
            _drop_stale_signature(act)
        check()
        preflight(act)
        if signer is not None:
            sign(act, signer)
        act.begun = True
        create(act)
        with staged(act), ExitStack() as files:
            commit(act, upload(act, files))
            verify(act)
            tag(act)
            final_verify(act)
    except KeyboardInterrupt:
        say(f"interrupted. Public so far: {act.known}")
        if act.begun and act.untagged:
            names = " and ".join(repo.repo for repo in act.untagged)
            say(
                "note: this is what this push saw. It did not look again after the interruption;"
                f" a request that it had sent may still change {names}"
            )
        raise
    except Exception as error:  # of whatever kind: it hides nothing that is public
        act.look_again()
        if act.public:
            raise act.broken_off(error) from error
        if act.empty or act.unseen:
            say(f"Public so far: {act.known}")
        raise


def preflight(act: Act) -> None:
    """Whatever else can be known before anything is written."""
    notes = [note for repo in act.untagged for note in check_access(act.hub, repo)]
    for repo in act.uncommitted:
        check_card(act.hub, repo)
    copies = [(repo.folder, repo.manifest) for repo in act.uncommitted]
    check_room(copies, Path(tempfile.gettempdir()))
    for note in [*(note for repo in act.untagged for note in repo.notes), *notes]:
        act.say(f"note: {note}")
    for repo in act.untagged:
        if repo.left_alone:
            act.say(f"{repo.repo}: {repo.left_alone}")
    act.journal.finished("preflight")
    act.say("preflight passed: access, names, cards and disk")


def sign(act: Act, signer: Signer) -> None:
    """Both release.json are signed, once: what is on the Hub already keeps the signature it has."""
    if len(act.uncommitted) < len(act.plan.repos):
        _take_over_signature(act, signer)
    else:
        folders = _folders(act)
        released = read_released(folders)
        found = {read_signature(folder) for folder in folders.values()}
        kept = found.pop() if len(found) == 1 else None
        if kept is None or not signer.made(kept, released):
            write_signature(folders, signer.sign(released))
            act.say(f"signed both release.json with {signer.named}")
    for repo in act.uncommitted:
        act.now(act.planned_again(repo))
    act.journal.finished("sign")


def _take_over_signature(act: Act, signer: Signer) -> None:
    """Give `dist/` the signature that the release has on the Hub.

    Raises:
        RefusedError: it has none there, or somebody else's.
    """
    folders = _folders(act)
    released = read_released(folders)
    for repo in act.plan.repos:
        commit = repo.tagged or repo.committed
        if commit is None:
            continue
        state = act.seen(repo.repo, commit)
        if SIGNATURE_FILE_NAME not in state.files:
            raise RefusedError(
                f"{repo.repo}: this release is on the Hub without a signature ({commit[:12]}), and"
                " a release gets none afterwards",
                hint="run the same command without --sign; or publish the next version with it",
            )
        signature = act.hub.read(repo.repo, SIGNATURE_FILE_NAME, state).encode()
        if not signer.made(signature, released):
            raise RefusedError(
                f"{repo.repo}: {SIGNATURE_FILE_NAME} on the Hub ({commit[:12]}) is not by"
                f" {signer.named}",
                hint="look at who pushed it; publish the next version with your own signature",
            )
        write_signature(folders, signature)


def _drop_stale_signature(act: Act) -> None:
    """A signature of files that were changed since is made again, and is no finding until then."""
    folders = _folders(act)
    released = read_released(folders)
    found = [read_signature(folder) for folder in folders.values()]
    if any(each is not None and mismatch(each, released) for each in found):
        for folder in folders.values():
            (folder / SIGNATURE_FILE_NAME).unlink(missing_ok=True)


def _folders(act: Act) -> dict[Role, Path]:
    return {repo.role: repo.folder for repo in act.plan.repos}


def create(act: Act) -> None:
    """The repositories exist, empty or as planned; a new one is seen by whom it was meant for."""
    for repo in act.untagged:
        if repo.head is not None:
            continue
        state = create_once(act, repo)
        act.now(replace(repo, head=state.head))
        if state.private != repo.private:
            raise RefusedError(
                f"{repo.repo} was to be {repo.visibility}, and the Hub made it otherwise",
                hint="nothing was uploaded; change it on its settings page, and run it again",
            )
        for obstacle in long_ids(repo.repo, state):
            raise RefusedError(obstacle.message, hint=obstacle.hint)
        if note := act.hub.check_write(repo.repo):
            act.say(f"note: {note}")
        if state.files:
            act.now(act.planned_again(repo))
        act.journal.finished("create", repo=repo.repo, commit=state.head)
        act.say(f"created {repo.repo} ({repo.visibility})")


@contextmanager
def staged(act: Act) -> Iterator[None]:
    """A private copy, hashed: nobody edits a file between its hash and its upload."""
    before = act.plan
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        for repo in act.uncommitted:
            stage(repo.folder, repo.manifest, Path(name) / repo.role)
            checked_payload(Path(name) / repo.role, repo.role, before.wishes.waived)
            act.now(replace(repo, folder=Path(name) / repo.role))
            act.journal.finished("stage", repo=repo.repo)
        if act.plan != before:
            act.say("staged a private copy: hashes as in release.json, nothing that may not leave")
        yield


def upload(act: Act, files: ExitStack) -> dict[str, list[CommitOperationAdd]]:
    """The bytes of both lie on the Hub before either is committed; gives what commits them."""
    uploaded = {}
    for repo in act.uncommitted:
        additions = files.enter_context(act.hub.additions(repo.folder, changed_files(repo)))
        act.hub.upload(repo.repo, additions)
        uploaded[repo.repo] = additions
        act.journal.finished("upload", repo=repo.repo)
        size = sum(record.size for record in changed_files(repo).values())
        act.say(f"uploaded {len(additions)} files ({size:,} bytes) for {repo.repo}")
    return uploaded


def commit(act: Act, uploaded: dict[str, list[CommitOperationAdd]]) -> None:
    """One commit per repository, on top of the commit that the plan was made against."""
    for repo in act.uncommitted:  # neither is begun when one of them cannot be had
        moved = act.hub.head(repo.repo) != repo.head
        if moved and not adopted(act, repo) and not act.plan.wishes.rebase:
            raise overtaken(act, repo)
    for repo in act.uncommitted:
        done = commit_once(act, repo, uploaded[repo.repo])
        assert done.committed is not None, "committed"
        act.now(done)
        act.journal.finished("commit", repo=repo.repo, commit=done.committed)
        act.say(f"committed {repo.repo} ({done.committed[:12]})")


def verify(act: Act) -> None:
    """Both commits hold exactly the release, have its id, and overwrote nobody's commit."""
    for repo in act.untagged:
        assert repo.committed is not None, "committed"
        state = act.seen(repo.repo, repo.committed)
        _refuse_other_files(repo, state)
        _refuse_misplaced(act, repo, repo.committed)
        act.journal.finished("verify", repo=repo.repo, commit=repo.committed)
        act.say(f"verified {repo.repo} at {repo.committed[:12]}: {len(state.files)} files")


def tag(act: Act) -> None:
    """Both tags, now that both repositories are whole."""
    for repo in act.untagged:
        assert repo.committed is not None, "committed"
        name, found = act.plan.tag, tag_once(act, repo, repo.committed)
        if found != repo.committed:
            raise RefusedError(
                f"{repo.repo}: tag {name} points at {found or 'nothing'}, not at {repo.committed}",
                hint="tags are never moved; look at who set it",
            )
        act.now(replace(repo, tagged=found))
        act.journal.finished("tag", repo=repo.repo, commit=found)
        act.say(f"tagged {repo.repo} {name}")


def final_verify(act: Act) -> None:
    """What a reader gets who asks for the tag, of both."""
    for repo in act.plan.repos:
        state, own = act.seen(repo.repo, act.plan.tag), repo.manifest.tag
        if state.head != repo.tagged:
            raise RefusedError(f"{repo.repo}: {act.plan.tag} is {state.head}, not {repo.tagged}")
        if repo.original not in (None, state.tags.get(own)):
            raise RefusedError(
                f"{repo.repo}: {own} does not point at {repo.original} any more",
                hint="this push sets no tag but its own; look at who moved it",
            )
        _refuse_other_files(repo, state)
    act.journal.finished("final-verify")
    act.say(f"published {act.plan.tag}, both verified by tag:")
    for repo in act.plan.repos:
        act.say(f"  {repo.role}  {act.hub.url(repo.repo, act.plan.tag)}")


def _refuse_misplaced(act: Act, repo: RepoPlan, commit: str) -> None:
    """Refuse a commit that overwrote another, or that the Hub does not list as it was sent."""
    listed = act.listed(repo.repo, commit)
    below = intruder(listed, commit, repo.parent)
    if below is not None and read_id(below.description) == act.plan.release_id:
        raise RefusedError(
            f"{repo.repo}: another push of this release committed it at the same time, as"
            f" {below.id[:12]} and {commit[:12]}",
            hint="run the same command again: it goes on with the first of both commits",
        )
    if below is not None:
        raise RefusedError(
            f"{repo.repo}: the Hub put the release on top of a commit that it should have"
            f" refused it for: {described(below)}",
            hint="look at what that commit changed, then publish the next version: readers"
            " could not tell this commit from one that was put there later",
        )
    made = next((each for each in listed if each.id == commit), None)
    sent = (title(act.plan.tag), act.plan.release_id)
    if made is None or (made.title, read_id(made.description)) != sent:
        raise RefusedError(
            f"{repo.repo}: the Hub does not give back title and description of {commit[:12]} as"
            " they were sent, and `nla-release verify` knows a release by them; no tag was set",
            hint="publish to a Hub that keeps the descriptions of commits",
        )


def _nothing_to_do(plan: Plan, say: Say) -> None:
    refuse_obstacles(plan.repos)
    for repo in plan.repos:
        check_bytes(repo.folder, repo.manifest)
    names = " and ".join(repo.repo for repo in plan.repos)
    say(f"already published, nothing to do: {names} at {plan.tag}")


def _refuse_other_files(repo: RepoPlan, state: RemoteState) -> None:
    files = compare(repo.folder, repo.manifest, state)
    if wrong := [file.name for file in files if file.change != "keep"]:
        raise RefusedError(
            f"{repo.repo}: what arrived is not what was sent: {', '.join(wrong[:6])}",
            hint="no reader should use this commit; look for who changed it",
        )
