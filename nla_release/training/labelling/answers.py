"""What a model answered, and how it is read: one explanation between its tags, or none.

An answer that could be read in two ways is not read. Nothing is mended, and nothing is dropped: a
text without an explanation keeps its row, with the status that says why.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from huggingface_hub import ChatCompletionOutput
from pydantic import NonNegativeInt

from nla_release.contract.explanation import CLOSE_TAG, OPEN_TAG
from nla_release.io.masking import known_secrets, masked
from nla_release.io.schema import Strict

# ok: it has an explanation. rejected: the auditor found that the draft does not fit the text.
# refused: the model or its filter declined. unparsed: an answer that is not in the form asked for.
# failed: no answer came, whatever was tried.
LabelStatus = Literal["ok", "rejected", "refused", "unparsed", "failed"]
STATUSES: tuple[LabelStatus, ...] = ("ok", "rejected", "refused", "unparsed", "failed")

_REJECTION = re.compile(r"<reject>(.*?)</reject>", re.DOTALL)


class Answer(Strict):
    """One answer as it is kept; tokens are null where the endpoint did not say."""

    content: str
    refusal: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    input_tokens: NonNegativeInt | None = None
    output_tokens: NonNegativeInt | None = None
    requests: NonNegativeInt = 1


@dataclass(frozen=True)
class Reading:
    """An answer as it is understood; `text` is empty unless the status is ok."""

    status: LabelStatus
    text: str = ""
    reason: str | None = None


class MalformedError(Exception):
    """A 200 that holds no chat completion: a fault of the endpoint, to be asked again."""


def answer_of(completion: ChatCompletionOutput, requests: int) -> Answer:
    """The first choice of a completion, which the client parses without checking it.

    Args:
        completion: as the client gives it.
        requests: how many it took.

    Raises:
        MalformedError: there is no choice, or it holds no message.
    """
    choices: Any = completion.choices
    if not isinstance(choices, list) or not choices:
        raise MalformedError("an answer without choices")
    choice = choices[0]
    message = getattr(choice, "message", None)
    if not isinstance(message, dict):
        raise MalformedError("a choice without a message")
    content, refusal = message.get("content"), message.get("refusal")
    if not isinstance(content, str | None) or not isinstance(refusal, str | None):
        raise MalformedError("a message whose content is not text")
    return Answer(
        content=_unsecret(content or ""),
        refusal=_unsecret(refusal) if refusal else None,
        finish_reason=_text(choice.finish_reason),
        model=_text(completion.model),
        input_tokens=_count(completion.usage, "prompt_tokens"),
        output_tokens=_count(completion.usage, "completion_tokens"),
        requests=requests,
    )


def read_label(answer: Answer) -> Reading:
    """The explanation of an answer: exactly one pair of tags, something between, and an end."""
    if answer.refusal is not None:
        return Reading("refused", reason=answer.refusal)
    if answer.finish_reason == "content_filter":
        return Reading("refused", reason="the endpoint's content filter stopped the answer")
    if answer.finish_reason == "length":
        return Reading("unparsed", reason="the answer was cut off at max_tokens")
    content = answer.content
    if content.count(OPEN_TAG) != 1 or content.count(CLOSE_TAG) != 1:
        return Reading("unparsed", reason=f"not exactly one {OPEN_TAG}...{CLOSE_TAG}")
    before, _, rest = content.partition(OPEN_TAG)
    inner, _, _ = rest.partition(CLOSE_TAG)
    if CLOSE_TAG in before:
        return Reading("unparsed", reason=f"{CLOSE_TAG} stands before {OPEN_TAG}")
    if not inner.strip():
        return Reading("unparsed", reason="nothing stands between the tags")
    return Reading("ok", inner.strip())


def read_audit(answer: Answer) -> Reading:
    """The auditor's word: the explanation to keep, the draft's or a better one, or a rejection.

    A rejection is `<reject>why</reject>` and no explanation beside it.
    """
    reading = read_label(answer)
    rejections = _REJECTION.findall(answer.content)
    if not rejections or reading.status == "refused" or answer.finish_reason == "length":
        return reading
    if reading.status == "ok" or len(rejections) > 1 or OPEN_TAG in answer.content:
        return Reading("unparsed", reason="the auditor rejects and explains at once")
    return Reading("rejected", reason=rejections[0].strip())


def _unsecret(text: str) -> str:
    return masked(text, known_secrets())


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and value >= 0 else None
