"""Collections: named lists of repositories, each stored in one file under `<root>/collections/`."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, NonNegativeInt
from pydantic.dataclasses import dataclass
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io import files
from nla_release.io.schema import Open
from nla_release.local_hub.disk import sync_folder, write_durably
from nla_release.local_hub.records import now, with_milliseconds
from nla_release.local_hub.refusals import AlreadyExistsError, HubError
from nla_release.local_hub.repository import OWNER
from nla_release.local_hub.requests import caller, hub, owned, part, with_body
from nla_release.local_hub.store import Store

_ID = re.compile(r"[0-9a-f]{24}")
_NOT_IN_SLUGS = re.compile(r"[^a-z0-9]+")
# The Hub's own limits, in characters.
_LONGEST_DESCRIPTION, _LONGEST_NOTE = 150, 500


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
        """The name in the collection's address."""
        title = _NOT_IN_SLUGS.sub("-", self.title.lower()).strip("-")
        return f"{self.owner}/{title}-{self.id}"

    def add(self, repo: str, note: str | None) -> None:
        """Append a repository.

        Raises:
            AlreadyExistsError: the collection lists it already.
        """
        if any(item.repo == repo for item in self.items):
            raise AlreadyExistsError(f"{repo} is in this collection already")
        self.items.append(Item(_new_id(), repo, note))

    def item(self, item_id: str) -> Item:
        """The item with this id.

        Raises:
            HubError: 404, there is none.
        """
        for item in self.items:
            if item.id == item_id:
                return item
        raise HubError("Collection item not found", status=404)


class Collections:
    """All collections in a store."""

    def __init__(self, store: Store) -> None:
        self._folder = store.root / "collections"
        self._lock = store.lock

    def all(self) -> list[Collection]:
        """Every collection, by owner and title."""
        found = [_read(path) for path in self._folder.glob("*.json")]
        return sorted(found, key=lambda each: (each.owner, each.title))

    def find(self, slug: str) -> Collection:
        """The collection with this slug. Only the id at its end counts, because titles change.

        Raises:
            HubError: 404, there is none.
        """
        path = self._path(slug.rpartition("-")[2])
        if path is None or not path.is_file():
            raise HubError(f"Collection {slug} not found", status=404)
        return _read(path)

    def create(
        self, owner: str, title: str, *, description: str | None, private: bool
    ) -> tuple[Collection, bool]:
        """The owner's collection with this title, and whether it is new."""
        with self._lock:
            for each in self.all():
                if (each.owner, each.title) == (owner, title):
                    return each, False
            made = Collection(_new_id(), owner, title, description, private, now())
            self._save(made)
            return made, True

    def delete(self, slug: str) -> None:
        """Delete a collection. The repositories that it lists stay.

        Raises:
            HubError: 404, there is none.
        """
        with self._lock:
            path = self._path(self.find(slug).id)
            assert path is not None
            path.unlink()
            sync_folder(self._folder)

    @contextmanager
    def changing(self, slug: str) -> Iterator[Collection]:
        """The collection to change; saved if the block does not raise.

        Raises:
            HubError: 404, there is none.
        """
        with self._lock:
            collection = self.find(slug)
            yield collection
            collection.updated = now()
            self._save(collection)

    def _save(self, collection: Collection) -> None:
        path = self._folder / f"{collection.id}.json"
        write_durably(path, files.dump_json(asdict(collection)))

    def _path(self, collection_id: str) -> Path | None:
        return self._folder / f"{collection_id}.json" if _ID.fullmatch(collection_id) else None


def _read(path: Path) -> Collection:
    return Collection(**files.read_json(path))


def _new_id() -> str:
    return uuid.uuid4().hex[:24]


class _New(Open):
    title: str = Field(min_length=1)
    namespace: str = OWNER
    description: str | None = Field(None, max_length=_LONGEST_DESCRIPTION)
    private: bool = False


class _Change(Open):
    title: str | None = Field(None, min_length=1)
    description: str | None = Field(None, max_length=_LONGEST_DESCRIPTION)
    private: bool | None = None


class _Target(Open):
    id: str
    type: Literal["model"]


class _NewItem(Open):
    item: _Target
    note: str | None = Field(None, max_length=_LONGEST_NOTE)


class _ItemChange(Open):
    note: str | None = Field(None, max_length=_LONGEST_NOTE)
    position: NonNegativeInt | None = None


def list_all(request: Request) -> Response:
    """The collections that the caller may see; `owner` and `item` (a model) select."""
    owner, item = request.query_params.get("owner"), request.query_params.get("item")
    shown = [
        collection
        for collection in Collections(hub(request).store).all()
        if _visible(request, collection)
        and owner in {None, collection.owner}
        and (item is None or any(f"models/{each.repo}" == item for each in collection.items))
    ]
    return JSONResponse([_described(each) for each in shown])


@with_body(_New, owned)
def create(_request: Request, store: Store, wanted: _New) -> Response:
    """Create a collection; 409 with the slug if the owner has one with this title."""
    collection, new = Collections(store).create(
        wanted.namespace, wanted.title, description=wanted.description, private=wanted.private
    )
    if not new:
        error = f"{wanted.namespace} has a collection of this title"
        return JSONResponse({"error": error, "slug": collection.slug}, 409)
    return JSONResponse({**_described(collection), "position": 0})


def show(request: Request) -> Response:
    """One collection."""
    collection = Collections(hub(request).store).find(_slug(request))
    if not _visible(request, collection):
        raise HubError(f"Collection {collection.slug} not found", status=404)
    return JSONResponse({**_described(collection), "position": 0})


@with_body(_Change, owned)
def change(request: Request, store: Store, wanted: _Change) -> Response:
    """Change title, description or visibility."""
    with Collections(store).changing(_slug(request)) as collection:
        for name in wanted.model_fields_set & _Change.model_fields.keys():
            setattr(collection, name, getattr(wanted, name))
    return JSONResponse({"success": True, "data": {**_described(collection), "position": 0}})


def delete(request: Request) -> Response:
    """Delete a collection."""
    Collections(owned(request)).delete(_slug(request))
    return Response()


@with_body(_NewItem, owned)
def add_item(request: Request, store: Store, wanted: _NewItem) -> Response:
    """Add a model; 409 if the collection lists it already."""
    store.repo(wanted.item.id)
    with Collections(store).changing(_slug(request)) as collection:
        collection.add(wanted.item.id, wanted.note)
    return JSONResponse({**_described(collection), "position": 0})


@with_body(_ItemChange, owned)
def change_item(request: Request, store: Store, wanted: _ItemChange) -> Response:
    """Change an item's note or its position in the list."""
    with Collections(store).changing(_slug(request)) as collection:
        item = collection.item(part(request, "item"))
        if wanted.note is not None:
            item.note = wanted.note
        if wanted.position is not None:
            collection.items.remove(item)
            collection.items.insert(wanted.position, item)
    return Response()


def delete_item(request: Request) -> Response:
    """Remove a model from a collection."""
    with Collections(owned(request)).changing(_slug(request)) as collection:
        collection.items.remove(collection.item(part(request, "item")))
    return Response()


def _visible(request: Request, collection: Collection) -> bool:
    return not collection.private or caller(request).may_write(collection.slug)


def _slug(request: Request) -> str:
    return f"{part(request, 'namespace')}/{part(request, 'slug')}"


def _described(collection: Collection) -> dict[str, Any]:
    return {
        "slug": collection.slug,
        "title": collection.title,
        "description": collection.description,
        "owner": {"name": collection.owner},
        "private": collection.private,
        "lastUpdated": with_milliseconds(collection.updated),
        "theme": "orange",
        "upvotes": 0,
        "items": [_item(item, at) for at, item in enumerate(collection.items)],
    }


def _item(item: Item, position: int) -> dict[str, Any]:
    described = {"_id": item.id, "id": item.repo, "type": "model", "position": position}
    return described if item.note is None else {**described, "note": {"text": item.note}}


_ALL = "/api/collections"
_ONE = f"{_ALL}/{{namespace}}/{{slug}}"
ROUTES = [
    Route(_ALL, list_all),
    Route(_ALL, create, methods=["POST"]),
    Route(_ONE, show),
    Route(_ONE, change, methods=["PATCH"]),
    Route(_ONE, delete, methods=["DELETE"]),
    Route(f"{_ONE}/items", add_item, methods=["POST"]),
    Route(f"{_ONE}/items/{{item}}", change_item, methods=["PATCH"]),
    Route(f"{_ONE}/items/{{item}}", delete_item, methods=["DELETE"]),
]
