"""Accidents in the middle of a push: `Scene.play` stages one, and pushes once more without it.

After that both repositories must be complete and tagged, with one release commit each. And at no
moment may a tag have been there before both repositories were complete: the Hub is looked at before
each answer.
"""

import errno
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, Self

import pytest

from nla_release.errors import NlaReleaseError
from nla_release.hub import journal, staging
from nla_release.hub.journal import Journal
from nla_release.hub.plan import make_plan
from nla_release.hub.push import push
from nla_release.hub_client.client import RateLimitWaits, quiet_client
from nla_release.hub_client.reader import SERVER_FILES
from nla_release.hub_client.remote import Hub
from nla_release.io.files import sha256_file, write_atomic
from nla_release.io.layout import MANIFEST_FILE
from nla_release.local_hub.refusals import RepoNotFoundError
from nla_release.local_hub.store import Store
from nla_release.release.folder import ROLES
from nla_release.release.manifest import dump_manifest, read_id, read_manifest
from tests.hub.accidents import FILES, Case, Moment
from tests.hub.faults import Fault
from tests.hub.faulty import FORKS, FaultyHub, HubProcess, never_answered
from tests.hub.publishing import VERSION, unchecked

# What the fault layer calls those that it does.
_FAULTS = {
    "connection refused": "refuse",
    "reset, nothing done": "reset_before",
    "reset, done": "reset_after",
    "500, nothing done": "500_before",
    "500, done": "500_after",
    "429": "429",
    "403": "403",
}


def smallest(dist: Path, target: Path) -> Path:
    """A rendered release without all that a push can do without; gives the target back."""
    for role in ROLES:
        (target / role).mkdir(parents=True)
        for name in FILES[role]:
            shutil.copy(dist / role / name, target / role / name)
        manifest = read_manifest(dist / role)
        files = {name: manifest.files[name] for name in FILES[role]}
        left = manifest.model_copy(update={"files": files})
        write_atomic(target / role / MANIFEST_FILE, dump_manifest(left))
    return target


class Scene:
    """A release, a Hub in this process, and room for others; everything is made anew per case."""

    def __init__(self, dist: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.dist = dist
        self._folder = folder
        self._patch = patch
        self.hub = FaultyHub(folder / "hub")
        self._manifests = [read_manifest(dist / role) for role in ROLES]
        self._wanted = {
            manifest.repo: {name: record.sha256 for name, record in manifest.files.items()}
            | {MANIFEST_FILE: sha256_file(dist / manifest.role / MANIFEST_FILE)}
            for manifest in self._manifests
        }
        self._seen: list[str] = []

    def __enter__(self) -> Self:
        self.hub.__enter__()
        self.hub.faults.watch = lambda: self._watch(self.hub.store)
        self.hub.faults.inject()
        return self

    def __exit__(self, *error: object) -> None:
        self.hub.__exit__(None, None, None)

    def play(self, case: Case) -> str:
        """Stage an accident, push again, and see that all is as it should be.

        Returns:
            How the push ended that it happened to.
        """
        self._seen = []
        for left in (self.dist / journal.PATH.parent, *self.hub.root.glob("*/")):
            shutil.rmtree(left, ignore_errors=True)
        quiet_client()
        if case.kind == "kill -9 of the Hub":
            return self._hub_killed(case)
        ended = self._accident(case)
        self.hub.clear()
        quiet_client()
        self._true(ended, self.hub.store)
        again = self.pushed(self.hub.endpoint, self.hub.token)
        assert again == "published", f"pushed again: {again}"
        self._settled(self.hub.store)
        return ended

    def pushed(self, endpoint: str, token: str) -> str:
        """Push, in words: how it ended."""
        try:
            _push(self.dist, endpoint, token)
        except KeyboardInterrupt:
            return "130"
        except NlaReleaseError as error:
            return f"{error.exit_code}"
        return "published"

    def steps(self) -> tuple[str, ...]:
        """What the journal says was finished."""
        lines = map(json.loads, (self.dist / journal.PATH).read_text().splitlines())
        roles = {manifest.repo: manifest.role for manifest in self._manifests}
        return tuple(
            " ".join(filter(None, (line["step"], roles.get(line["repo"])))) for line in lines
        )

    def _accident(self, case: Case) -> str:
        hub = self.hub
        with self._patch.context() as patch:
            match case.kind:
                case "kill -9 of the client":
                    return self._client_killed(case.at)
                case "Ctrl-C at the client":
                    interrupt = lambda: signal.raise_signal(signal.SIGINT)  # noqa: E731
                    patch.setattr(*_answered(case.at, interrupt))
                case "disk full at the client" if case.at.what == "boundary":
                    patch.setattr(journal, "os", SimpleNamespace(fsync=_full(case.at.number)))
                case "disk full at the client":
                    patch.setattr(staging, "_copied", _full(case.at.number, staging._copied))
                case "no answer in time, done":
                    never_answered(patch, lambda _, number: number == case.at.number)
                case kind:
                    hub.faults.inject(Fault(_FAULTS[kind], case.at.number))  # type: ignore[arg-type]
            quiet_client()
            return self.pushed(hub.endpoint, hub.token)

    def _client_killed(self, at: Moment) -> str:
        given = (self.dist, self.hub.endpoint, self.hub.token, at, self._folder / "tmp")
        process = FORKS.Process(target=_push_and_die, args=given)
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        return "killed"

    def _hub_killed(self, case: Case) -> str:
        kind: Literal["kill_before", "kill_after"] = "kill_before" if case.before else "kill_after"
        with HubProcess(self.hub.root, Fault(kind, case.at.number)) as hub:
            store = Store(self.hub.root)
            ended = self.pushed(hub.endpoint, hub.token)
            hub.await_death()
            self._watch(store)
            self._true(ended, store)
            hub.restart()
            again = self.pushed(hub.endpoint, hub.token)
            assert again == "published", f"pushed again: {again}"
        self._settled(store)
        return ended

    def _watch(self, store: Store) -> None:
        """See that there is no tag as long as there is anything missing."""
        for manifest in self._manifests:
            with suppress(RepoNotFoundError):
                tags = store.repo(manifest.repo).state().tags
                if not tags:
                    continue
                if tags.keys() != {manifest.tag} or not self._is_release(
                    store, manifest.repo, tags[manifest.tag]
                ):
                    self._seen.append(f"{manifest.repo}: {tags} is not the release")
                if not all(self._releases(store, repo) for repo in self._wanted):
                    self._seen.append(f"{manifest.repo} is tagged, and the other is not complete")

    def _true(self, ended: str, store: Store) -> None:
        """See that what the exit code says is so: 4 is for a push that published nothing."""
        assert self._seen == []
        public = [repo for repo in self._wanted if self._releases(store, repo)]
        if ended == "published":
            self._settled(store)
        if ended == "4":
            assert public == [], "the push said that nothing is public"

    def _settled(self, store: Store) -> None:
        """Both complete, tagged once, with one release commit each."""
        assert self._seen == []
        for manifest in self._manifests:
            repository = store.repo(manifest.repo)
            history = list(repository.history("main"))
            assert [commit.title for commit in history] == [
                f"Release {manifest.tag}",
                "initial commit",
            ]
            assert len(self._releases(store, manifest.repo)) == 1
            assert repository.state().tags == {manifest.tag: history[0].id}
            assert self._is_release(store, manifest.repo, history[0].id)

    def _releases(self, store: Store, repo: str) -> list[str]:
        """The commits of main that say they are the release, and are."""
        try:
            history = list(store.repo(repo).history("main"))
        except RepoNotFoundError:
            return []
        return [
            commit.id
            for commit in history
            if read_id(commit.description) and self._is_release(store, repo, commit.id)
        ]

    def _is_release(self, store: Store, repo: str, commit: str) -> bool:
        tree = store.repo(repo).resolve(commit).tree
        found = {name: entry for name, entry in tree.items() if name not in SERVER_FILES}
        return {name: entry.sha256 for name, entry in found.items()} == self._wanted[repo] and all(
            store.blobs.size(entry.sha256) == entry.size for entry in found.values()
        )


@contextmanager
def scene(dist: Path) -> Iterator[Scene]:
    """A scene whose files lie in memory where the system has a folder there."""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        folder = Path(name)
        (folder / "tmp").mkdir()
        with Scene(smallest(dist, folder / "dist"), folder, patch) as ready:
            yield ready


def _push(dist: Path, endpoint: str, token: str) -> None:
    hub = Hub(endpoint, token)
    plan = make_plan(dist, VERSION, hub)
    push(plan, hub, Journal(dist, plan.release_id, endpoint), check=unchecked)


def _push_and_die(dist: Path, endpoint: str, token: str, at: Moment, temporary: Path) -> None:
    tempfile.tempdir = str(temporary)
    setattr(*_answered(at, lambda: os.kill(os.getpid(), signal.SIGKILL)))
    quiet_client()
    _push(dist, endpoint, token)


def _answered(at: Moment, act: Callable[[], None]) -> tuple[object, str, object]:
    """What to patch so that something happens as an answer arrives, or a step was finished."""
    owner, name = (RateLimitWaits, "after") if at.what == "request" else (Journal, "finished")
    original, count = getattr(owner, name), iter(range(10_000))

    def then(*arguments: object, **options: object) -> None:
        original(*arguments, **options)
        if next(count) == at.number:
            act()

    return owner, name, then


def _full(number: int, write: Callable[..., object] = os.fsync) -> Callable[..., object]:
    """What writes, until the disk is full for once."""
    count = iter(range(10_000))

    def writes(*arguments: object) -> object:
        done = write(*arguments)
        if next(count) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return done

    return writes
