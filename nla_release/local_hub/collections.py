"""Collections: named lists of repositories, each one file under <root>/collections/."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import BaseFileLock

from nla_release.io.files import dump_json, read_json
from nla_release.local_hub import durable
from nla_release.local_hub.commits import now
from nla_release.local_hub.durable import sync_folder
from nla_release.local_hub.errors import AlreadyExistsError, NotFoundError

_ID = re.compile(r"[0-9a-f]{24}")
_NOT_IN_SLUGS = re.compile(r"[^a-z0-9]+")


@dataclass
class Item:
    """A repository in a collection."""

    id: str
    repo: str
    note: str | None = None


@dataclass
class Collection:
    """A list with a title; `id` is the end of its slug."""

    id: str
    owner: str
    title: str
    description: str | None
    private: bool
    updated: str
    items: list[Item] = field(default_factory=list)

    @property
    def slug(self) -> str:
        """What it is asked for by."""
        title = _NOT_IN_SLUGS.sub("-", self.title.lower()).strip("-")
        return f"{self.owner}/{title}-{self.id}"

    def add(self, repo: str, note: str | None) -> None:
        """Put a repository at the end.

        Raises:
            AlreadyExistsError: it is in the collection.
        """
        if any(item.repo == repo for item in self.items):
            raise AlreadyExistsError(f"{repo} is in this collection already")
        self.items.append(Item(_new_id(), repo, note))

    def item(self, item_id: str) -> Item:
        """One of its items.

        Raises:
            NotFoundError: there is none of that id.
        """
        for item in self.items:
            if item.id == item_id:
                return item
        raise NotFoundError("Collection item not found")


class Collections:
    """All collections of a Hub."""

    def __init__(self, root: Path, lock: BaseFileLock) -> None:
        self._folder = root / "collections"
        self._lock = lock

    def all(self) -> list[Collection]:
        """Every collection, by owner and title."""
        found = [_read(path) for path in self._folder.glob("*.json")]
        return sorted(found, key=lambda each: (each.owner, each.title))

    def find(self, slug: str) -> Collection:
        """The collection of that slug; only the end of it counts, titles change.

        Raises:
            NotFoundError: there is none.
        """
        path = self._path(slug.rpartition("-")[2])
        if path is None or not path.is_file():
            raise NotFoundError(f"Collection {slug} not found")
        return _read(path)

    def create(
        self, owner: str, title: str, *, description: str | None, private: bool
    ) -> tuple[Collection, bool]:
        """The owner's collection of that title, and whether it is new."""
        with self._lock:
            for each in self.all():
                if (each.owner, each.title) == (owner, title):
                    return each, False
            made = Collection(_new_id(), owner, title, description, private, now())
            self._save(made)
            return made, True

    def delete(self, slug: str) -> None:
        """Remove a collection, not what is in it.

        Raises:
            NotFoundError: there is none.
        """
        with self._lock:
            path = self._path(self.find(slug).id)
            assert path is not None
            path.unlink()
            sync_folder(self._folder)

    @contextmanager
    def changing(self, slug: str) -> Iterator[Collection]:
        """The collection to change; saved when the block ends well.

        Raises:
            NotFoundError: there is none.
        """
        with self._lock:
            collection = self.find(slug)
            yield collection
            collection.updated = now()
            self._save(collection)

    def _save(self, collection: Collection) -> None:
        durable.write(self._folder / f"{collection.id}.json", dump_json(asdict(collection)))

    def _path(self, collection_id: str) -> Path | None:
        return self._folder / f"{collection_id}.json" if _ID.fullmatch(collection_id) else None


def _read(path: Path) -> Collection:
    document = read_json(path)
    return Collection(**{**document, "items": [Item(**item) for item in document["items"]]})


def _new_id() -> str:
    return uuid.uuid4().hex[:24]
