"""A CI job's proof of who it is, exchanged for a token (RFC 8693)."""

from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nla_release.io.schema import Open
from nla_release.local_hub.access import access
from nla_release.local_hub.bodies import read_json
from nla_release.local_hub.errors import InvalidGrantError
from nla_release.local_hub.publishers import LIFETIME


class _Exchange(Open):
    grant_type: Literal["urn:ietf:params:oauth:grant-type:token-exchange"]
    subject_token_type: Literal["urn:ietf:params:oauth:token-type:id_token"]
    subject_token: str
    resource: str


async def exchange(request: Request) -> Response:
    """A token for one repository, to a job that it trusts."""
    wanted = await read_json(request, _Exchange)
    audience = str(request.base_url).rstrip("/")
    try:
        token = access(request).publishers.exchange(
            wanted.subject_token, wanted.resource, audience=audience
        )
    except InvalidGrantError as error:
        answer = {"error": "invalid_grant", "error_description": error.message}
        return JSONResponse(answer, error.status)
    return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": LIFETIME})


ROUTES = [Route("/oauth/token", exchange, methods=["POST"])]
