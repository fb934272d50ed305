"""The Hub's disk: repositories by name, and the content they share. Only its user may read it.

<root>/blobs/<sha256>                     content
<root>/repos/<namespace>/<name>/          one repository
<root>/collections/<id>.json              one collection
<root>/incoming/                          content on its way in, repositories on their way out
<root>/lock                               held while a ref changes, across processes
"""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from nla_release.errors import EnvironmentProblem, InputError
from nla_release.local_hub import git
from nla_release.local_hub.blobs import Blobs
from nla_release.local_hub.collections import Collections
from nla_release.local_hub.commits import Entry, now
from nla_release.local_hub.durable import make_private, sync_folder
from nla_release.local_hub.errors import BrokenUploadError, RepoNotFoundError
from nla_release.local_hub.names import check_repo_id
from nla_release.local_hub.repository import Repository

# An imported folder is a fixture: the same bytes are the same commit on every machine, every day.
IMPORT_DATE = "2026-01-01T00:00:00Z"
IMPORT_TITLE = "Import folder"
# Traces of git and of the Hub's own downloads, which are not content.
_NOT_CONTENT = {".git", ".cache"}
_SAMPLE = 512
# What is on its way changes every moment; after a day a Hub that was killed left it there.
_LEFT_SECONDS = 24 * 60 * 60


class Store:
    """Model repositories under one folder, made when first needed."""

    def __init__(self, root: Path) -> None:
        """Open the store.

        Raises:
            EnvironmentProblem: the folder cannot be made or written.
        """
        self.root = root
        self.blobs = Blobs(root)
        self._lock = FileLock(root / "lock")
        self.collections = Collections(root, self._lock)
        try:
            make_private(root)
            with self._lock:  # also finds out whether the folder can be written
                _clear(root / "incoming")
        except OSError as error:
            raise EnvironmentProblem(
                f"{root} cannot hold a Hub: {error.strerror or error}",
                hint="choose a folder that you may write to",
            ) from error

    def repo(self, repo_id: str) -> Repository:
        """The repository of that id.

        Raises:
            BadRequestError: no repository can have this id.
            RepoNotFoundError: none has.
        """
        repository = self._at(repo_id)
        if not repository.exists():
            raise RepoNotFoundError(f"Repository {repo_id} not found")
        return repository

    def repos(self) -> list[Repository]:
        """Every repository, by id."""
        found = self.root.glob("repos/*/*/repository.json")
        ids = sorted("/".join(path.parts[-3:-1]) for path in found)
        return [self._at(repo_id) for repo_id in ids]

    def create(self, repo_id: str, *, private: bool = False) -> Repository:
        """A new repository with the Hub's initial commit.

        Raises:
            BadRequestError: no repository can have this id.
            AlreadyExistsError: one has.
        """
        repository = self._at(repo_id)
        repository.initialise(private=private, date=now())
        return repository

    def delete(self, repo_id: str) -> None:
        """Remove a repository with all its commits; content stays for others that share it.

        Raises:
            RepoNotFoundError: there is none.
        """
        with self._lock:
            self.repo(repo_id)
            (self.root / "incoming").mkdir(exist_ok=True)
            retired = Path(tempfile.mkdtemp(dir=self.root / "incoming"))
            folder = self._folder(repo_id)
            folder.replace(retired / "repository")
            sync_folder(folder.parent)
        shutil.rmtree(retired)

    def import_folder(self, repo_id: str, folder: Path) -> str:
        """A local folder as one commit; its id, which is the same for the same bytes.

        Importing the same folder again changes nothing; importing a changed one moves `main`.

        Raises:
            InputError: the folder is missing, empty, holds a link, or cannot be read.
            AlreadyExistsError: the repository holds commits that were pushed.
        """
        repository = self._at(repo_id)
        found = [
            path
            for path in sorted(folder.rglob("*"))
            if _NOT_CONTENT.isdisjoint(path.relative_to(folder).parts)
        ]
        if links := [path for path in found if path.is_symlink()]:
            raise InputError(
                f"{links[0]} is a link, and what it leads to is not published",
                hint="copy the folder with `cp -RL`; a snapshot of the Hub's cache, which is made"
                " of links, comes without them by `hf download --local-dir`",
            )
        files = [path for path in found if path.is_file()]
        if not files:
            raise InputError(f"{folder} is not a folder with files to import")
        tree = {path.relative_to(folder).as_posix(): self._entry(path) for path in files}
        if not repository.exists():
            repository.initialise(private=False, date=IMPORT_DATE)
        return repository.import_tree(tree, title=IMPORT_TITLE, date=IMPORT_DATE).id

    def regular(self, content: bytes) -> Entry:
        """Keep the content of a file that git itself holds."""
        return Entry(self.blobs.add(content), len(content), git.blob_id(content), lfs=False)

    def large(self, sha256: str, *, size: int | None = None) -> Entry:
        """The entry of an LFS object that was uploaded before, of this size if the caller knows.

        Raises:
            BrokenUploadError: it was not, or has another size.
        """
        actual = self.blobs.size(sha256)
        if actual is None:
            raise BrokenUploadError(f"LFS object {sha256} was not uploaded")
        if size not in {None, actual}:
            raise BrokenUploadError(f"LFS object {sha256} has {actual} bytes, not {size}")
        return Entry(sha256, actual, git.blob_id(git.pointer(sha256, actual)), lfs=True)

    def _entry(self, path: Path) -> Entry:
        try:
            with path.open("rb") as stream:
                size, sample = os.fstat(stream.fileno()).st_size, stream.read(_SAMPLE)
                if not git.belongs_in_lfs(path.name, size, sample):
                    return self.regular(sample + stream.read())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        return self.large(self.blobs.add_file(path))

    def _at(self, repo_id: str) -> Repository:
        return Repository(repo_id, self._folder(repo_id), self.blobs, self._lock)

    def _folder(self, repo_id: str) -> Path:
        return self.root.joinpath("repos", *check_repo_id(repo_id).split("/"))


def _clear(incoming: Path) -> None:
    """Remove what a Hub that was killed left behind."""
    for path in incoming.glob("*"):
        with suppress(FileNotFoundError):  # it has just arrived
            if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
