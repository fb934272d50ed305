"""A request to an endpoint, its cached answer, and the explanation read from the answer.

Every answer is stored atomically in a file named by the hash of its request, so an interrupted
labelling continues and a repeated one sends nothing. An answer that could be read in two ways is
rejected and never repaired. A text without an explanation keeps its row, with the status that says
why.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import ChatCompletionOutput
from pydantic import NonNegativeInt

from nla_release.contract.explanation import CLOSE_TAG, OPEN_TAG
from nla_release.errors import DataError, InputError
from nla_release.io.files import dump_json, read_json, sha256_bytes, write_atomic
from nla_release.io.masking import known_secrets, masked
from nla_release.io.schema import Strict, parse
from nla_release.training.recipe import Endpoint

# ok: it has an explanation. rejected: the auditor found that the draft does not fit the text.
# refused: the model or its filter declined. unparsed: an answer that is not in the form asked for.
# failed: no answer came, whatever was tried.
LabelStatus = Literal["ok", "rejected", "refused", "unparsed", "failed"]
STATUSES: tuple[LabelStatus, ...] = ("ok", "rejected", "refused", "unparsed", "failed")
_REJECTION = re.compile(r"<reject>(.*?)</reject>", re.DOTALL)
Message = dict[str, str]
_PLACEHOLDER = re.compile(r"\{(text|explanation)\}")

# Limit of a cached answer; real ones are far smaller.
_MAX_BYTES = 4 * 1024 * 1024


class Answer(Strict):
    """One answer as it is kept; tokens are null when the endpoint did not report them."""

    content: str
    refusal: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    input_tokens: NonNegativeInt | None = None
    output_tokens: NonNegativeInt | None = None
    requests: NonNegativeInt = 1


@dataclass(frozen=True)
class Reading:
    """The result of reading an answer; `text` is empty unless the status is ok."""

    status: LabelStatus
    text: str = ""
    reason: str | None = None


class MalformedError(Exception):
    """A 200 that holds no chat completion: a fault of the endpoint, to be asked again."""


def labeller_messages(settings: Endpoint, text: str) -> list[Message]:
    """What the labeller is asked about a text."""
    return _messages(settings, fill(settings.labeller, {"text": text}))


def auditor_messages(settings: Endpoint, text: str, draft: str) -> list[Message]:
    """What the auditor is asked about a text and the labeller's explanation of it."""
    assert settings.auditor is not None
    return _messages(settings, fill(settings.auditor, {"text": text, "explanation": draft}))


def _messages(settings: Endpoint, content: str) -> list[Message]:
    system = [] if settings.system is None else [{"role": "system", "content": settings.system}]
    return [*system, {"role": "user", "content": content}]


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced in one pass.

    What a value holds is never looked at again, so that a text may say `{explanation}`.
    """
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


def request_key(settings: Endpoint, messages: Sequence[Message]) -> str:
    """Hex sha256 of all that an answer depends on: endpoint, model, parameters and messages.

    How it is asked (pace, retries, timeouts, the token) is not part of it.
    """
    request = {
        "endpoint": settings.base_url or f"provider:{settings.provider}",
        "model": settings.model,
        "max_tokens": settings.max_tokens,
        "temperature": settings.temperature,
        "seed": settings.seed,
        "extra_body": settings.extra_body,
        "messages": list(messages),
    }
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256_bytes(canonical.encode())


class Cache:
    """Answers by request key, in `folder/ab/abcd....json`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, key: str) -> Answer | None:
        """The answer to a request, or None when there is none yet.

        Raises:
            DataError: the file is not an answer.
        """
        path = self._path(key)
        if not path.exists():
            return None
        hint = f"remove {path}; its request is then repeated"
        try:
            document = read_json(path, limit=_MAX_BYTES)
        except InputError as error:
            raise DataError(error.message, hint=hint) from error
        return parse(Answer, document, path, error=DataError, hint=hint)

    def keep(self, key: str, answer: Answer) -> None:
        """Store an answer for `find`, in this run and in later ones.

        Raises:
            EnvironmentProblem: the disk is full or the folder cannot be written.
        """
        write_atomic(self._path(key), dump_json(answer.model_dump()))

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


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
        return Reading("unparsed", reason=f"{CLOSE_TAG} comes before {OPEN_TAG}")
    if not inner.strip():
        return Reading("unparsed", reason="nothing between the tags")
    return Reading("ok", inner.strip())


def read_audit(answer: Answer) -> Reading:
    """The auditor's result: the explanation to keep (the draft or a better one), or a rejection.

    A rejection is `<reject>why</reject>` without an explanation.
    """
    reading = read_label(answer)
    rejections = _REJECTION.findall(answer.content)
    if not rejections or reading.status == "refused" or answer.finish_reason == "length":
        return reading
    if reading.status == "ok" or len(rejections) > 1 or OPEN_TAG in answer.content:
        return Reading("unparsed", reason="the auditor both rejects and explains")
    return Reading("rejected", reason=rejections[0].strip())


def _unsecret(text: str) -> str:
    return masked(text, known_secrets())


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and value >= 0 else None
