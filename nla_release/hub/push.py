"""Publishing a pair: both repositories complete before either is tagged.

A reader loads a pair by its tag, so what lies on main before the tags are set is not yet released.
Every step looks at what is there and does what is missing: the same command continues a push that
was cut off, and a push of published bytes does nothing.
"""

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd

from nla_release.errors import InputError, NlaReleaseError, PartlyPublishedError, RefusedError
from nla_release.hub.plan import Plan, compare
from nla_release.hub.remote import Hub
from nla_release.manifest import differences, record_files

# What adds each repository's files to its commit.
Uploaded = dict[str, list[CommitOperationAdd]]

# Tells a person what was just done; the CLI prints it.
Say = Callable[[str], None]


def push(plan: Plan, hub: Hub, *, private: bool, say: Say) -> None:
    """Carry a plan out.

    Raises:
        RefusedError: the remote moved since the plan was made, or the Hub refuses the files.
        EnvironmentProblem: the token may not write, or the Hub cannot be reached.
        PartlyPublishedError: it broke off after something became public.
    """
    if plan.done:
        say(f"already published, nothing to do: {_names(plan)} at {plan.tag}")
        return
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        plan = _stage(_untagged(plan, say), Path(name))
        say("staged a private copy, hashes as in release.json")
        plan = _prepare(plan, hub, private=private, say=say)
        public: list[str] = []
        try:
            with ExitStack() as files:
                uploaded = _upload(plan, hub, files, say)
                _commit(plan, hub, uploaded, say, public)
            commits = _verify(plan, hub, say)
            _tag(plan, hub, commits, say, public)
        except (NlaReleaseError, KeyboardInterrupt, OSError) as error:
            if not public:
                raise
            reason = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
            raise PartlyPublishedError(
                f"{reason}. Public so far: {'; '.join(public)}",
                hint="run the same command again; it continues where this one stopped",
            ) from error


def _untagged(plan: Plan, say: Say) -> Plan:
    """What is left to do of a push that was cut off between the two tags."""
    for repo in plan.repos:
        if repo.tagged is not None:
            say(f"{repo.repo} is published at {plan.tag} already, with these bytes")
    return replace(plan, repos=[repo for repo in plan.repos if repo.tagged is None])


def _stage(plan: Plan, staging: Path) -> Plan:
    """Copy what will be sent, and hash the copy: nobody edits a file between hash and upload."""
    staged = []
    for repo in plan.repos:
        target = staging / repo.role
        shutil.copytree(repo.folder, target)
        if wrong := differences(repo.manifest.files, record_files(target)):
            raise InputError(f"{repo.folder} changed while it was read: {'; '.join(wrong[:4])}")
        staged.append(replace(repo, folder=target))
    return replace(plan, repos=staged)


def _prepare(plan: Plan, hub: Hub, *, private: bool, say: Say) -> Plan:
    """Repositories exist and may be written to, both, before a byte is sent to either."""
    ready = []
    for repo in plan.repos:
        if repo.head is None:
            hub.create(repo.repo, private=private)
            say(f"created {repo.repo} ({'private' if private else 'public'})")
        hub.check_write(repo.repo)
        state = hub.state(repo.repo)
        assert state is not None, "it was just created or seen"
        if repo.head is not None and state.head != repo.head:
            raise RefusedError(f"{repo.repo}: main moved while the plan was made", hint="run again")
        ready.append(replace(repo, head=state.head))
    return replace(plan, repos=ready)


def _upload(plan: Plan, hub: Hub, files: ExitStack, say: Say) -> Uploaded:
    """The bytes of both lie on the Hub before either is committed."""
    uploaded: Uploaded = {}
    for repo in plan.repos:
        names = repo.named("add", "change")
        uploaded[repo.repo] = files.enter_context(hub.additions(repo.folder, names))
        hub.upload(repo.repo, uploaded[repo.repo])
        size = sum(file.size for file in repo.files if file.name in names)
        say(f"uploaded {len(names)} files ({size:,} bytes) for {repo.repo}")
    return uploaded


def _commit(plan: Plan, hub: Hub, uploaded: Uploaded, say: Say, public: list[str]) -> None:
    for repo in plan.repos:
        additions, deletions = uploaded[repo.repo], repo.named("remove")
        if not additions and not deletions:
            say(f"{repo.repo} has these files already")
            continue
        assert repo.head is not None, "prepared"
        message = f"Release {plan.tag}"
        hub.commit(repo.repo, additions, deletions, message=message, parent=repo.head)
        public.append(f"{repo.repo} is committed and not tagged")
        say(f"committed {repo.repo}")


def _verify(plan: Plan, hub: Hub, say: Say) -> dict[str, str]:
    """Both trees hold exactly the release; gives the commit of each."""
    commits = {}
    for repo in plan.repos:
        state = hub.state(repo.repo)
        assert state is not None, "it was just committed to"
        files = compare(repo.folder, repo.manifest, state)
        if wrong := [file.name for file in files if file.change != "keep"]:
            raise RefusedError(
                f"{repo.repo}: what arrived is not what was sent: {', '.join(wrong[:6])}",
                hint="no tag was set; look for a .gitignore in the repository",
            )
        commits[repo.repo] = state.head
        say(f"verified {repo.repo} at {state.head[:12]}: {len(files)} files")
    return commits


def _tag(plan: Plan, hub: Hub, commits: dict[str, str], say: Say, public: list[str]) -> None:
    for repo in plan.repos:
        hub.tag(repo.repo, plan.tag, commits[repo.repo], message=f"Release {plan.tag}")
        public.append(f"{repo.repo} is tagged {plan.tag}")
        say(f"tagged {repo.repo} {plan.tag}: {hub.url(repo.repo, plan.tag)}")


def _names(plan: Plan) -> str:
    return " and ".join(repo.repo for repo in plan.repos)
