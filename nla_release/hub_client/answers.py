"""Validation of what a Hub answers.

The client does not check the types in a document: a commit id could be `true`, and a path a number.
So every value that this package uses goes through a type in this module or in `remote_state`. They
raise pydantic's ValidationError, which `client_errors.translated` turns into an error message.
"""

from json import JSONDecodeError
from typing import Annotated, Any

from huggingface_hub.hf_api import Collection
from huggingface_hub.utils import hf_raise_for_status, httpx
from pydantic import Field, TypeAdapter

from nla_release.errors import InputError
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote_state import Oid
from nla_release.io.documents import parse_json
from nla_release.io.schema import Open

_Text = Annotated[str, Field(strict=True)]
_OID = TypeAdapter(Oid)


class _Organization(Open):
    name: _Text


class Account(Open):
    """The account of a token: `whoami-v2`."""

    name: _Text
    orgs: list[_Organization] = Field(default_factory=list)

    @property
    def namespaces(self) -> list[str]:
        """The namespaces in which the account may have repositories."""
        return [self.name, *(each.name for each in self.orgs)]


class _Item(Open):
    item_object_id: _Text
    item_id: _Text
    item_type: _Text
    note: _Text | None


class Listed(Open):
    """A collection and its items."""

    slug: _Text
    items: list[_Item]


class _CardProblem(Open):
    message: _Text


class CardVerdict(Open):
    """The Hub's errors for a card's metadata: `validate-yaml`."""

    errors: list[_CardProblem] = Field(default_factory=list)


def commit_id(value: object) -> str:
    """A commit id: 40 hex digits, or 64 on a Hub with SHA-256 ids.

    Raises:
        ValidationError: it is not.
    """
    return _OID.validate_python(value)


def listed(collection: Collection) -> Listed:
    """A collection of the client, validated.

    Raises:
        ValidationError: a value has another type.
    """
    return Listed(slug=collection.slug, items=[vars(each) for each in collection.items])


def answered(answer: httpx.Response, asked: str) -> Any:
    """The JSON in the answer to a request that carries a secret.

    Such a request is sent with `follow_redirects=False`, because its ID token or Hub token is for
    the requested server only. So a redirect is an error.

    Args:
        answer: the answer.
        asked: the server or repository, for messages.

    Raises:
        HfHubHTTPError: the server refused.
        DeniedError: the answer is a redirect.
        ValueError: it is not JSON.
    """
    hf_raise_for_status(answer)
    if not answer.is_success:  # a redirect, which hf_raise_for_status accepts
        raise DeniedError(
            f"{asked}: {answer.url.host} answered {answer.status_code}, which points elsewhere",
            hint="if the address that it points to is the right one, use that instead",
        )
    return json_of(answer)


def json_of(answer: httpx.Response) -> Any:
    """The document in an answer.

    Raises:
        JSONDecodeError: it is not JSON, or exceeds the limits of `io.documents`.
    """
    try:
        return parse_json(answer.content, "the answer")
    except InputError as error:
        raise JSONDecodeError(error.message, "", 0) from error
