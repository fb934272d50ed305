"""The store on disk: repositories by name, and the content that they share. Private to its user.

<root>/blobs/<sha256>                     content
<root>/repos/<namespace>/<name>/          one repository
<root>/collections/<id>.json              one collection
<root>/incoming/                          unfinished uploads, repositories being deleted
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
from nla_release.io.files import unreadable
from nla_release.local_hub import git
from nla_release.local_hub.disk import Blobs, make_private, sync_folder
from nla_release.local_hub.git import check_repo_id
from nla_release.local_hub.records import TreeEntry, now
from nla_release.local_hub.refusals import BrokenUploadError, RepoNotFoundError
from nla_release.local_hub.repository import Repository

# Fixed, so that importing the same bytes gives the same commit everywhere.
IMPORT_DATE = "2026-01-01T00:00:00Z"
IMPORT_TITLE = "Import folder"
# Bookkeeping of git and of Hub downloads.
_NOT_CONTENT = {".git", ".cache"}
_SAMPLE = 512
# Anything in incoming/ that is older was left by a Hub that was killed.
_LEFT_SECONDS = 24 * 60 * 60


class Store:
    """Model repositories in one folder, which is created when needed."""

    def __init__(self, root: Path) -> None:
        """Open the store.

        Raises:
            EnvironmentProblem: the folder cannot be created or written.
        """
        self.root = root
        self.blobs = Blobs(root)
        self.lock = FileLock(root / "lock")
        try:
            make_private(root)
            with self.lock:  # also detects a folder that cannot be written
                _clear(root / "incoming")
        except OSError as error:
            raise EnvironmentProblem(
                f"{root} cannot hold a Hub: {error.strerror or error}",
                hint="choose a folder that you may write to",
            ) from error

    def repo(self, repo_id: str) -> Repository:
        """The repository with this id.

        Raises:
            BadRequestError: the id is invalid.
            RepoNotFoundError: there is none.
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
            BadRequestError: the id is invalid.
            AlreadyExistsError: it exists.
        """
        repository = self._at(repo_id)
        repository.initialise(private=private, date=now())
        return repository

    def delete(self, repo_id: str) -> None:
        """Delete a repository and its commits. Content stays, because others may share it.

        Raises:
            RepoNotFoundError: there is none.
        """
        with self.lock:
            self.repo(repo_id)
            (self.root / "incoming").mkdir(exist_ok=True)
            retired = Path(tempfile.mkdtemp(dir=self.root / "incoming"))
            folder = self._folder(repo_id)
            folder.replace(retired / "repository")
            sync_folder(folder.parent)
        shutil.rmtree(retired)

    def import_folder(self, repo_id: str, folder: Path) -> str:
        """Import a local folder as one commit; returns its id, which depends only on the bytes.

        Importing the same folder again changes nothing; importing a changed one moves `main`.

        Raises:
            InputError: the folder is missing, empty, holds a link, or cannot be read.
            AlreadyExistsError: the repository contains pushed commits.
        """
        repository = self._at(repo_id)
        found = [
            path
            for path in sorted(folder.rglob("*"))
            if _NOT_CONTENT.isdisjoint(path.relative_to(folder).parts)
        ]
        if links := [path for path in found if path.is_symlink()]:
            raise InputError(
                f"{links[0]} is a link; links are not imported",
                hint="copy the folder with `cp -RL`; a snapshot in the Hub's cache consists of"
                " links, and `hf download --local-dir` makes copies",
            )
        files = [path for path in found if path.is_file()]
        if not files:
            raise InputError(f"{folder} is not a folder with files to import")
        tree = {path.relative_to(folder).as_posix(): self._entry(path) for path in files}
        if not repository.exists():
            repository.initialise(private=False, date=IMPORT_DATE)
        return repository.import_tree(tree, title=IMPORT_TITLE, date=IMPORT_DATE).id

    def regular(self, content: bytes) -> TreeEntry:
        """Store a file that git itself holds."""
        return TreeEntry(self.blobs.add(content), len(content), git.blob_id(content), lfs=False)

    def large(self, sha256: str, *, size: int | None = None) -> TreeEntry:
        """The entry of an LFS object that is stored already.

        Raises:
            BrokenUploadError: it is not stored, or has another size than `size`.
        """
        actual = self.blobs.size(sha256)
        if actual is None:
            raise BrokenUploadError(f"LFS object {sha256} was not uploaded")
        if size not in {None, actual}:
            raise BrokenUploadError(f"LFS object {sha256} has {actual} bytes, not {size}")
        return TreeEntry(sha256, actual, git.blob_id(git.pointer(sha256, actual)), lfs=True)

    def _entry(self, path: Path) -> TreeEntry:
        try:
            with path.open("rb") as stream:
                size, sample = os.fstat(stream.fileno()).st_size, stream.read(_SAMPLE)
                if not git.belongs_in_lfs(path.name, size, sample):
                    return self.regular(sample + stream.read())
        except OSError as error:
            raise unreadable(path, error) from error
        return self.large(self.blobs.add_file(path))

    def _at(self, repo_id: str) -> Repository:
        return Repository(repo_id, self._folder(repo_id), self.blobs, self.lock)

    def _folder(self, repo_id: str) -> Path:
        return self.root.joinpath("repos", *check_repo_id(repo_id).split("/"))


def _clear(incoming: Path) -> None:
    """Delete what a killed Hub left behind."""
    for path in incoming.glob("*"):
        with suppress(FileNotFoundError):  # it was just moved away
            if time.time() - path.stat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
