"""The ASGI application: routes, middleware, and errors as HTTP answers."""

import uuid

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nla_release.errors import EnvironmentProblem, NlaReleaseError
from nla_release.local_hub import collections, discussions, lfs, management, reading, uploads
from nla_release.local_hub.log import LoggedRequest, RequestLog
from nla_release.local_hub.publishers import TrustedPublishers
from nla_release.local_hub.refusals import EntryNotFoundError, HubError
from nla_release.local_hub.requests import ServedHub
from nla_release.local_hub.store import Store

# The maximum size of one upload request, as on the Hub.
PART_SIZE = 5 * 1000**3
_TOPICS = (management, uploads, lfs, discussions, reading, collections)


def create_app(
    store: Store,
    *,
    token: str,
    publishers: TrustedPublishers,
    log: RequestLog,
    part_size: int = PART_SIZE,
) -> ASGIApp:
    """The Hub as an ASGI application.

    It accepts only loopback host names, against DNS rebinding, and no requests from web pages of
    other origins.

    Args:
        store: the repositories.
        token: what the owner presents.
        publishers: the CI jobs that may write to single repositories.
        log: records every request.
        part_size: larger objects are uploaded in parts of this many bytes.
    """
    app = Starlette(
        routes=[route for topic in _TOPICS for route in topic.ROUTES],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
            Middleware(_refuse_other_pages),
            Middleware(_route_on_raw_path),
        ],
        exception_handlers={
            NlaReleaseError: _refused,
            HTTPException: _no_such_route,
            ClientDisconnect: lambda *_: Response(status_code=400),
            Exception: lambda *_: JSONResponse({"error": "Internal error of the local Hub"}, 500),
        },
    )
    app.router.redirect_slashes = False
    app.state.hub = ServedHub(store, token, publishers, part_size)
    return _recorded(app, log)


def _recorded(app: ASGIApp, log: RequestLog) -> ASGIApp:
    """Give every answer an id, and record it in the log."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                log.add(_logged(scope, message))
                request_id = (b"x-request-id", uuid.uuid4().hex.encode())
                message["headers"] = [*message["headers"], request_id]
            await send(message)

        await app(scope, receive, send_recorded)

    return serve


def _logged(scope: Scope, start: Message) -> LoggedRequest:
    method, path = scope["method"], scope["raw_path"].decode("ascii", "replace")
    length = 0 if method == "HEAD" else int(dict(start["headers"]).get(b"content-length", 0))
    return LoggedRequest(method, path, start["status"], length)


def _refuse_other_pages(app: ASGIApp) -> ASGIApp:
    """Refuse requests from web pages of other origins, which browsers send without consent.

    Clients send neither header. Sources: RFC 6454 (Origin), W3C Fetch Metadata (Sec-Fetch-Site).
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        own = f"{scope['scheme']}://{headers.get('host', '')}"
        page = headers.get("origin", own)
        by_page = headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}
        if page != own or (by_page and scope["method"] not in {"GET", "HEAD"}):
            refusal = {"error": "This Hub does not answer web pages of other origins"}
            await JSONResponse(refusal, 403)(scope, receive, send)
            return
        await app(scope, receive, send)

    return serve


def _route_on_raw_path(app: ASGIApp) -> ASGIApp:
    """Match routes before decoding: `refs%2Fpr%2F1` is one part of an address."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "path": scope["raw_path"].decode("ascii")}, receive, send)

    return serve


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, NlaReleaseError)
    # A header cannot carry other characters than ASCII.
    headers = {"X-Error-Message": error.message.encode("unicode_escape").decode("ascii")}
    status = 507 if isinstance(error, EnvironmentProblem) else 500
    if isinstance(error, HubError):
        status = error.status
        if error.code is not None:
            headers["X-Error-Code"] = error.code
    if isinstance(error, EntryNotFoundError):
        headers["X-Repo-Commit"] = error.commit
    return JSONResponse({"error": error.message}, status, headers)


def _no_such_route(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
