"""Collections and what is in them."""

from typing import Any, Literal

from pydantic import Field, NonNegativeInt
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io.schema import Open
from nla_release.local_hub.access import access, part
from nla_release.local_hub.bodies import read_json
from nla_release.local_hub.collections import Collection, Item
from nla_release.local_hub.commits import with_milliseconds
from nla_release.local_hub.errors import NotFoundError
from nla_release.local_hub.repository import OWNER

# The Hub's own limits, in characters.
_LONGEST_DESCRIPTION, _LONGEST_NOTE = 150, 500


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
    """The collections that this caller may see, of one owner or holding one model if asked."""
    owner, item = request.query_params.get("owner"), request.query_params.get("item")
    shown = [
        collection
        for collection in access(request).store.collections.all()
        if _visible(request, collection)
        and owner in {None, collection.owner}
        and (item is None or any(f"models/{each.repo}" == item for each in collection.items))
    ]
    return JSONResponse([_described(each) for each in shown])


async def create(request: Request) -> Response:
    """Make a collection; 409 with its slug when the owner has one of that title."""
    access(request).require_owner(request)
    wanted = await read_json(request, _New)
    collection, new = await run_in_threadpool(
        access(request).store.collections.create,
        wanted.namespace,
        wanted.title,
        description=wanted.description,
        private=wanted.private,
    )
    if not new:
        error = f"{wanted.namespace} has a collection of this title"
        return JSONResponse({"error": error, "slug": collection.slug}, 409)
    return JSONResponse({**_described(collection), "position": 0})


def show(request: Request) -> Response:
    """One collection."""
    collection = access(request).store.collections.find(_slug(request))
    if not _visible(request, collection):
        raise NotFoundError(f"Collection {collection.slug} not found")
    return JSONResponse({**_described(collection), "position": 0})


async def change(request: Request) -> Response:
    """Another title, description or visibility."""
    access(request).require_owner(request)
    wanted = await read_json(request, _Change)

    def act() -> Collection:
        with access(request).store.collections.changing(_slug(request)) as collection:
            for name in wanted.model_fields_set & _Change.model_fields.keys():
                setattr(collection, name, getattr(wanted, name))
            return collection

    described = _described(await run_in_threadpool(act))
    return JSONResponse({"success": True, "data": {**described, "position": 0}})


def delete(request: Request) -> Response:
    """Remove one."""
    access(request).require_owner(request)
    access(request).store.collections.delete(_slug(request))
    return Response()


async def add_item(request: Request) -> Response:
    """Put a model in; 409 when it is in already."""
    access(request).require_owner(request)
    wanted = await read_json(request, _NewItem)

    def act() -> Collection:
        access(request).store.repo(wanted.item.id)
        with access(request).store.collections.changing(_slug(request)) as collection:
            collection.add(wanted.item.id, wanted.note)
            return collection

    return JSONResponse({**_described(await run_in_threadpool(act)), "position": 0})


async def change_item(request: Request) -> Response:
    """Another note or place in the list."""
    access(request).require_owner(request)
    wanted = await read_json(request, _ItemChange)

    def act() -> None:
        with access(request).store.collections.changing(_slug(request)) as collection:
            item = collection.item(part(request, "item"))
            if wanted.note is not None:
                item.note = wanted.note
            if wanted.position is not None:
                collection.items.remove(item)
                collection.items.insert(wanted.position, item)

    await run_in_threadpool(act)
    return Response()


def delete_item(request: Request) -> Response:
    """Take a model out."""
    access(request).require_owner(request)
    with access(request).store.collections.changing(_slug(request)) as collection:
        collection.items.remove(collection.item(part(request, "item")))
    return Response()


def _visible(request: Request, collection: Collection) -> bool:
    return not collection.private or access(request).caller(request).may_write(collection.slug)


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
