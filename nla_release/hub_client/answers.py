"""What a Hub answers, as typed data: whatever has another type is not the answer of a Hub.

The client takes a document's values over as they are, so that a commit id could be `true` and a
path a number. Everything that this package uses of an answer goes through a type of this module or
of `remote_state`, which raise pydantic's ValidationError; `client_errors.translated` puts it into
words.
"""

from json import JSONDecodeError
from typing import Annotated, Any

from huggingface_hub.hf_api import Collection, GitRefs
from huggingface_hub.utils import hf_raise_for_status, httpx
from pydantic import Field, TypeAdapter

from nla_release.errors import InputError
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote_state import Oid, RemoteRefs
from nla_release.io.documents import parse_json
from nla_release.io.schema import Open

_Text = Annotated[str, Field(strict=True)]
_OID, _TEXTS = TypeAdapter(Oid), TypeAdapter(list[_Text])


class _Organization(Open):
    name: _Text


class Account(Open):
    """Whose token it is: `whoami-v2`."""

    name: _Text
    orgs: list[_Organization] = Field(default_factory=list)

    @property
    def namespaces(self) -> list[str]:
        """Where the account may have repositories."""
        return [self.name, *(each.name for each in self.orgs)]


class _Item(Open):
    item_object_id: _Text
    item_id: _Text
    item_type: _Text
    note: _Text | None


class Listed(Open):
    """A collection, and what it lists."""

    slug: _Text
    items: list[_Item]


class _CardProblem(Open):
    message: _Text


class CardVerdict(Open):
    """What the Hub finds wrong with a card's metadata: `validate-yaml`."""

    errors: list[_CardProblem] = Field(default_factory=list)


def commit_id(value: object) -> str:
    """A commit id: 40 hex digits, or 64 on a Hub that counts by SHA-256.

    Raises:
        ValidationError: it is something else.
    """
    return _OID.validate_python(value)


def repository_ids(values: object) -> list[str]:
    """The ids of listed repositories.

    Raises:
        ValidationError: one of them is something else.
    """
    return _TEXTS.validate_python(values)


def listed(collection: Collection) -> Listed:
    """A collection and its items.

    Raises:
        ValidationError: a value of it is something else.
    """
    return Listed(slug=collection.slug, items=[vars(each) for each in collection.items])


def remote_refs(refs: GitRefs) -> RemoteRefs:
    """Branches and tags of a repository.

    Raises:
        ValidationError: one of them is something else.
    """
    return RemoteRefs(
        branches={branch.name: branch.target_commit for branch in refs.branches},
        tags={tag.name: tag.target_commit for tag in refs.tags},
        others=[convert.name for convert in refs.converts],
    )


def answered(answer: httpx.Response, asked: str) -> Any:
    """The JSON that the server answered with which was asked, and no other.

    What such a request carries is for that server alone: a proof is as good as a token. So it is
    sent with `follow_redirects=False`, and an answer that points elsewhere is none.

    Args:
        answer: to a request that was sent so.
        asked: whom or for what, for messages.

    Raises:
        HfHubHTTPError: the server refused.
        DeniedError: the answer lies elsewhere.
        ValueError: it is not JSON.
    """
    hf_raise_for_status(answer)
    if not answer.is_success:  # which the client's function lets pass
        raise DeniedError(
            f"{asked}: {answer.url.host} answered {answer.status_code}, which points elsewhere",
            hint="set the address that it points to, if that is the right one",
        )
    return json_of(answer)


def json_of(answer: httpx.Response) -> Any:
    """The document in an answer.

    Raises:
        JSONDecodeError: it is not JSON, or beyond the bounds of `documents`.
    """
    try:
        return parse_json(answer.content, "the answer")
    except InputError as error:
        raise JSONDecodeError(error.message, "", 0) from error
