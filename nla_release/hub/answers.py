"""Answers to requests that this package sends by itself, beside the client's own methods."""

from typing import Any

from huggingface_hub.utils import hf_raise_for_status, httpx

from nla_release.hub.client_errors import DeniedError


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
    return answer.json()
