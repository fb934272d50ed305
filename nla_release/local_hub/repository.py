"""One repository: immutable commits, and one file with everything that changes.

<folder>/repository.json      visibility, branches, tags: replaced in one rename
<folder>/commits/<id>.json    each with its whole tree
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from filelock import BaseFileLock

from nla_release.io.files import dump_json, read_json
from nla_release.local_hub import git
from nla_release.local_hub.disk import Blobs, write_durably
from nla_release.local_hub.git import COMMIT_ID, SHORT_COMMIT_ID, check_ref_name
from nla_release.local_hub.records import (
    MAIN,
    Change,
    Commit,
    Put,
    RepositoryState,
    Tree,
    TreeEntry,
    apply,
    now,
    unknown,
)
from nla_release.local_hub.refusals import (
    AlreadyExistsError,
    BadRequestError,
    RepoNotFoundError,
    StaleParentError,
)

OWNER = "loopback"
_IMPORTER = "import"


class Repository:
    """A model repository. Reads take no lock; every change of a ref holds the store's lock."""

    def __init__(self, repo_id: str, folder: Path, blobs: Blobs, lock: BaseFileLock) -> None:
        self.id = repo_id
        self._blobs = blobs
        self._lock = lock
        self._file = folder / "repository.json"
        self._commits = folder / "commits"

    def exists(self) -> bool:
        """Whether the repository exists."""
        return self._file.is_file()

    def initialise(self, *, private: bool, date: str) -> None:
        """Create the repository with the Hub's initial commit.

        Raises:
            AlreadyExistsError: it exists.
        """
        with self._lock:
            if self.exists():
                raise AlreadyExistsError(f"You already created this model repo: {self.id}")
            first = self.record(
                {".gitattributes": self._attributes(git.ATTRIBUTES)},
                [],
                title="initial commit",
                author="system",
                date=date,
            )
            self._save(RepositoryState(private, date, branches={MAIN: first.id}, tags={}))

    def state(self) -> RepositoryState:
        """Visibility, branches, tags and discussions."""
        if not self.exists():
            raise RepoNotFoundError(f"Repository {self.id} not found")
        return RepositoryState(**read_json(self._file))

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, a tag, a full ref, or a full or short commit id.

        Raises:
            RevisionNotFoundError: it is none of these.
        """
        if commit := self.state().find(revision):
            return self._commit(commit)
        if COMMIT_ID.fullmatch(revision) or SHORT_COMMIT_ID.fullmatch(revision):
            found = list(self._commits.glob(f"{revision}*.json"))
            if len(found) == 1:
                return self._commit(found[0].stem)
        raise unknown(revision)

    def history(self, revision: str) -> Iterator[Commit]:
        """The commit and its ancestors, newest first."""
        commit = self.resolve(revision)
        yield commit
        while commit.parents:
            commit = self._commit(commit.parents[0])
            yield commit

    def commit(
        self,
        branch: str,
        changes: Sequence[Change],
        *,
        title: str,
        description: str = "",
        parent: str | None = None,
        author: str = OWNER,
    ) -> Commit:
        """Commit all changes to a branch or a pull request's ref.

        `parent` is the tip (or a prefix of its id) that the caller expects.

        Raises:
            RevisionNotFoundError: no such branch.
            StaleParentError: the branch's tip is no longer `parent`.
            EntryNotFoundError: a change deletes something that does not exist.
            BadRequestError: a path is invalid, or is both a file and a folder.
        """
        with self.changing() as state:
            tip = self._commit(state.tip(branch))
            if parent is not None and not tip.id.startswith(parent.lower()):
                raise StaleParentError("The branch was updated since you opened this page")
            made = self.record(
                apply(changes, tip), [tip], title=title, description=description, author=author
            )
            state.move(branch, made.id)
            return made

    def squash(self, branch: str, *, title: str) -> None:
        """Replace the history of a branch by one commit. Older commits stay readable by their id.

        Raises:
            RevisionNotFoundError: no such branch.
        """
        with self.changing() as state:
            tip = self._commit(state.tip(branch))
            state.move(branch, self.record(tip.tree, [], title=title).id)

    def record(
        self,
        tree: Tree,
        parents: Sequence[Commit],
        *,
        title: str,
        description: str = "",
        author: str = OWNER,
        date: str | None = None,
    ) -> Commit:
        """Store a commit that no ref points at yet."""
        commit = Commit(
            tree=self._tracked(tree),
            parents=tuple(parent.id for parent in parents),
            title=title,
            description=description,
            author=author,
            date=date or now(),
        )
        write_durably(self._commits / f"{commit.id}.json", dump_json(asdict(commit)))
        return commit

    def import_tree(self, tree: Tree, *, title: str, date: str) -> Commit:
        """Replace `main` by the initial commit and one commit with this tree.

        Raises:
            AlreadyExistsError: `main` contains pushed commits, which an import must not hide.
        """
        with self.changing() as state:
            *later, first = self.history(MAIN)
            if any(commit.author != _IMPORTER for commit in later):
                raise AlreadyExistsError(
                    f"{self.id} contains pushed commits, and an import would hide them",
                    hint="import under another name, or into another folder",
                )
            made = self.record(
                apply([Put(*each) for each in tree.items()], first),
                [first],
                title=title,
                author=_IMPORTER,
                date=date,
            )
            state.branches[MAIN] = made.id
            return made

    def create_ref(self, kind: Literal["branches", "tags"], name: str, revision: str) -> None:
        """Create a branch or a tag.

        Raises:
            BadRequestError: the name is invalid.
            AlreadyExistsError: a ref of this kind and name exists.
            RevisionNotFoundError: the revision does not exist.
        """
        check_ref_name(name)
        with self.changing() as state:
            refs = getattr(state, kind)
            if name in refs:
                raise AlreadyExistsError(f"Reference {name} already exists")
            refs[name] = self.resolve(revision).id

    def delete_ref(self, kind: Literal["branches", "tags"], name: str) -> None:
        """Delete a tag, or a branch other than `main`.

        Raises:
            RevisionNotFoundError: no such ref.
            BadRequestError: it is `main`.
        """
        if (kind, name) == ("branches", MAIN):
            raise BadRequestError(f"Cannot delete refs/heads/{MAIN}")
        with self.changing() as state:
            if getattr(state, kind).pop(name, None) is None:
                raise unknown(name)

    @contextmanager
    def changing(self) -> Iterator[RepositoryState]:
        """The state to change, locked; saved if the block does not raise."""
        with self._lock:
            state = self.state()
            yield state
            self._save(state)

    def _save(self, state: RepositoryState) -> None:
        write_durably(self._file, dump_json(asdict(state)))

    def _commit(self, commit_id: str) -> Commit:
        return Commit(**read_json(self._commits / f"{commit_id}.json"))

    def _tracked(self, tree: Tree) -> Tree:
        """The tree with every LFS file listed in `.gitattributes`, which the Hub ensures."""
        attributes = tree.get(".gitattributes")
        try:
            text = "" if attributes is None else self._blobs.read(attributes.sha256).decode()
        except UnicodeDecodeError as error:
            raise BadRequestError(".gitattributes is not UTF-8 text") from error
        tracked = git.track(text, (path for path, entry in tree.items() if entry.lfs))
        return tree if tracked == text else {**tree, ".gitattributes": self._attributes(tracked)}

    def _attributes(self, text: str) -> TreeEntry:
        content = text.encode()
        return TreeEntry(self._blobs.add(content), len(content), git.blob_id(content), lfs=False)
