"""Labels texts at an endpoint for chat completions, through the Hub's inference client.

Each text goes to the labeller and, when the recipe has one, to the auditor. A failed request is
retried after the time that `Retry-After` asks for, or after a delay that doubles. An answer is
cached before it is used.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from json import JSONDecodeError
from types import TracebackType
from typing import Any, NoReturn, Self

from huggingface_hub import AsyncInferenceClient
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import httpx  # the client's own, whichever major version it is on

from nla_release.errors import ConfigError, EnvironmentProblem, InputError
from nla_release.io.documents import parse_json
from nla_release.io.masking import known_secrets, masked, remember
from nla_release.training.labelling.answers import (
    Answer,
    Cache,
    LabelStatus,
    MalformedError,
    Message,
    answer_of,
    auditor_messages,
    labeller_messages,
    read_audit,
    read_label,
    request_key,
)
from nla_release.training.labelling.costs import Tally
from nla_release.training.recipe import Endpoint

# Without a token the client would send this machine's Hub token to a third party's server.
_NO_TOKEN = "none"  # noqa: S105 - that is what it is
_AGAIN = {408, 409, 425, 429}

# Some endpoints report in this way that a filter stopped a text: OpenAI and Azure in the error's
# code or type, such as content_filter, content_policy_violation and moderation_blocked.
_REFUSING = {400, 403, 422}
_FILTERED = ("content_filter", "content_policy", "moderation")

# OpenRouter shows the passage instead (openrouter.ai/docs/api/reference/errors-and-debugging).
_FLAGGED = "flagged_input"
_LONGEST_ASKED_WAIT = 600.0
_LONGEST_BACKOFF = 60.0

# After this many texts in a row without an answer, the endpoint is at fault, not the texts.
_IN_A_ROW = 10
_MOST_WORDS = 300


@dataclass(frozen=True)
class LabelOutcome:
    """The result of labelling one text.

    `explanation` is None unless the status is ok; `draft` is what an auditor was shown; `answers`
    are the models' own, in order; `reason` says why there is no explanation.
    """

    status: LabelStatus
    explanation: str | None
    reason: str | None
    draft: str | None
    answers: tuple[Answer, ...]
    requests: int


class Pace:
    """Lets requests start one after the other, in the order in which they ask."""

    def __init__(self, requests_per_minute: float | None) -> None:
        self._between = 60 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until one more request may start."""
        async with self._lock:
            while (wait := self._next - time.monotonic()) > 0:
                await asyncio.sleep(wait)  # a pause may come meanwhile
            self._next = time.monotonic() + self._between

    def pause(self, seconds: float) -> None:
        """Let no request start for a while."""
        self._next = max(self._next, time.monotonic() + seconds)


class UnansweredError(Exception):
    """A request that got no answer after `requests` tries."""

    def __init__(self, reason: str, requests: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.requests = requests


class _AgainError(Exception):
    """A fault that may pass; `after` is the wait that the endpoint asks for."""

    def __init__(self, kind: str, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.after = after


class EndpointClient:
    """Sends requests to an endpoint: `async with EndpointClient(settings, cache, tally, pace)`.

    Args:
        settings: of the recipe.
        cache: where answers are looked for and kept.
        tally: counts what happens.
        pace: when requests may start.
    """

    def __init__(self, settings: Endpoint, cache: Cache, tally: Tally, pace: Pace) -> None:
        self._settings = settings
        self._cache = cache
        self._tally = tally
        self._pace = pace
        self._unanswered = 0
        self._connected: AsyncInferenceClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._connected is not None:
            await self._connected.close()  # type: ignore[no-untyped-call]

    async def answer(self, messages: Sequence[Message]) -> Answer:
        """The answer to these messages, from the cache or from the endpoint.

        Raises:
            UnansweredError: there is none for these messages.
            EnvironmentProblem: there will be none for others either.
            ConfigError: the endpoint does not know the model, or the client the provider.
        """
        key = request_key(self._settings, messages)
        if (known := self._cache.find(key)) is not None:
            self._unanswered = 0
            self._tally.cached += 1
            return known
        answer = await self._insist(messages)
        self._unanswered = 0
        self._cache.keep(key, answer)
        self._tally.spent.add(answer)
        return answer

    async def _insist(self, messages: Sequence[Message]) -> Answer:
        for retry in range(self._settings.retries + 1):
            await self._pace.turn()
            self._tally.requests += 1
            self._tally.retries += retry > 0
            try:
                return await self._ask(messages, retry + 1)
            except _AgainError as fault:
                self._tally.faults[fault.kind] += 1
                if retry == self._settings.retries:
                    self._count_unanswered(fault, retry + 1)
                    raise UnansweredError(fault.reason, retry + 1) from fault
                await self._wait(fault, retry)
        raise AssertionError("unreachable: the last round returns or raises")

    def _count_unanswered(self, fault: _AgainError, tries: int) -> None:
        """Stop when it is the endpoint; a request that it turns down as such is not counted."""
        self._unanswered += 1
        if self._unanswered >= _IN_A_ROW:
            raise EnvironmentProblem(
                f"{self._place} left {self._unanswered} requests in a row unanswered, the last"
                f" one after {tries} tries: {fault.reason}",
                hint="what was answered is kept; the same command asks for the rest",
            ) from fault

    async def _wait(self, fault: _AgainError, retry: int) -> None:
        if fault.after is None:
            await asyncio.sleep(backoff(self._settings.backoff_seconds, retry))
            return
        if fault.after > _LONGEST_ASKED_WAIT:
            raise EnvironmentProblem(
                f"{self._place} asks to come back in {fault.after:.0f} s: {fault.reason}",
                hint="run the same command again then; what was answered is kept",
            )
        self._pace.pause(fault.after)  # a wait that it asks of one request holds for all

    async def _ask(self, messages: Sequence[Message], requests: int) -> Answer:
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout_seconds):
                completion = await self._client.chat_completion(
                    list(messages),
                    model=settings.model,
                    max_tokens=settings.max_tokens,
                    temperature=settings.temperature,
                    seed=settings.seed,
                    extra_body=settings.extra_body,
                )
        except HfHubHTTPError as error:
            return self._after_status(error.response, requests)
        except TimeoutError as error:
            reason = f"no answer within {settings.timeout_seconds:g} s"
            raise _AgainError("timeout", reason) from error
        except httpx.HTTPError as error:
            reason = _words(error) or type(error).__name__
            raise _AgainError("connection", reason) from error
        except OfflineModeIsEnabled as error:
            raise EnvironmentProblem(
                "HF_HUB_OFFLINE is set, and labelling needs the endpoint", hint="unset it"
            ) from error
        except (JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise _AgainError("malformed", _words(error)) from error
        except AttributeError as error:  # the client's word for an error whose body is no object
            raise _AgainError(
                "malformed", f"an error in no known form ({_words(error)})"
            ) from error
        except ValueError as error:
            if settings.provider is not None:  # the client's word for one that it cannot use
                raise ConfigError(f"label.provider {settings.provider}: {_words(error)}") from error
            raise _AgainError("malformed", _words(error)) from error
        try:
            return answer_of(completion, requests)
        except MalformedError as error:
            raise _AgainError("malformed", _words(error)) from error

    def _after_status(self, response: Any, requests: int) -> Answer:
        """What follows from an answer that is no success.

        Raises:
            _AgainError: it may pass.
            UnansweredError: it is about this request.
            EnvironmentProblem, ConfigError: it is about all requests.
        """
        status = response.status_code
        said = _words(response.text)
        if status in _AGAIN or status >= 500:
            raise _AgainError(str(status), f"{status} {said}", asked_wait(response.headers))
        if status in _REFUSING and _is_refusal(response):
            return Answer(
                content="", refusal=said, finish_reason="content_filter", requests=requests
            )
        self._tally.faults[str(status)] += 1
        if status in (401, 402, 403, 404):
            self._stop(status, said)
        raise UnansweredError(f"{status} {said}", requests)

    def _stop(self, status: int, said: str) -> NoReturn:
        message = f"{self._place} answers {status} for model {self._settings.model!r}: {said}"
        if status == 404:
            raise ConfigError(message, hint="check label.model and label.base_url of the recipe")
        variable = _variable(self._settings)
        raise EnvironmentProblem(
            message,
            hint=f"check the token in {variable} and its account; what was answered is kept"
            if variable
            else "label.token_variable of the recipe names the variable that holds its token",
        )

    @property
    def _client(self) -> AsyncInferenceClient:
        """Created for the first request, so that cached answers need no token."""
        if self._connected is None:
            self._connected = AsyncInferenceClient(
                base_url=self._settings.base_url,
                provider=self._settings.provider,  # type: ignore[arg-type]  # it knows its names
                api_key=token(self._settings) or _NO_TOKEN,
            )
        return self._connected

    @property
    def _place(self) -> str:
        return self._settings.base_url or f"provider {self._settings.provider}"


async def label_texts(
    texts: Sequence[str],
    settings: Endpoint,
    cache: Cache,
    *,
    processes: int,
    advance: Callable[[int, str], None],
) -> tuple[list[LabelOutcome], Tally]:
    """Label many, several at a time.

    Args:
        texts: each once.
        settings: of the recipe; concurrency and rate are those of all processes together.
        cache: of answers.
        processes: how many do this at the same time.
        advance: called with the number of texts done, and the faults so far.

    Returns:
        The outcomes in the order of the texts, and what they took.

    Raises:
        EnvironmentProblem: the endpoint no longer answers.
        ConfigError: it does not know the model.
    """
    rate = settings.requests_per_minute
    pace = Pace(rate / processes if rate else None)
    tally = Tally()
    outcomes: dict[int, LabelOutcome] = {}
    waiting = iter(enumerate(texts))

    async def work(asking: EndpointClient) -> None:
        for at, text in waiting:
            outcomes[at] = await label_text(asking, settings, text)
            advance(len(outcomes), _note(tally))

    async with EndpointClient(settings, cache, tally, pace) as asking:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(max(1, settings.concurrency // processes)):
                    group.create_task(work(asking))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
    return [outcomes[at] for at in range(len(texts))], tally


async def label_text(asking: EndpointClient, settings: Endpoint, text: str) -> LabelOutcome:
    """Label one text, in one pass or two.

    Raises:
        EnvironmentProblem: the endpoint no longer answers.
        ConfigError: it does not know the model.
    """
    answers: list[Answer] = []
    draft = None
    try:
        answers.append(await asking.answer(labeller_messages(settings, text)))
        reading = read_label(answers[-1])
        if reading.status == "ok" and settings.auditor is not None:
            draft = reading.text
            answers.append(await asking.answer(auditor_messages(settings, text, draft)))
            reading = read_audit(answers[-1])
    except UnansweredError as error:
        spent = sum(answer.requests for answer in answers) + error.requests
        return LabelOutcome("failed", None, error.reason, draft, tuple(answers), spent)
    return LabelOutcome(
        reading.status,
        reading.text or None,
        reading.reason,
        draft,
        tuple(answers),
        sum(answer.requests for answer in answers),
    )


def _note(tally: Tally) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(tally.faults.items()))


def backoff(first: float, retry: int) -> float:
    """Seconds before a retry, counted from 0: doubled each time, up to a minute, and spread.

    Half of it is left to chance, so that requests that failed together do not return together.
    """
    return min(first * 2.0**retry, _LONGEST_BACKOFF) * random.uniform(0.5, 1)  # noqa: S311


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """The seconds that `Retry-After` asks for, as a number or as a date; None without it."""
    asked = headers.get("retry-after", "").strip()
    if asked.replace(".", "", 1).isdecimal():
        return float(asked)
    try:
        until = parsedate_to_datetime(asked)
    except ValueError:
        return None
    return max(0.0, (until.replace(tzinfo=until.tzinfo or UTC) - datetime.now(UTC)).total_seconds())


def _is_refusal(response: Any) -> bool:
    """Whether an error says of itself that a filter stopped the text.

    Only the fields for that purpose count: a message may mention filters for any reason, and a
    refusal is cached permanently.
    """
    try:
        document = parse_json(response.content, "the answer")
    except InputError:
        return False
    error = document.get("error") if isinstance(document, dict) else None
    if not isinstance(error, dict):
        return False
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and _FLAGGED in metadata:
        return True
    kinds = f"{error.get('code')} {error.get('type')}"
    return any(word in kinds for word in _FILTERED)


def token(settings: Endpoint) -> str | None:
    """The endpoint's token, from the environment variable that the recipe names, and masked.

    Raises:
        EnvironmentProblem: the variable is not set.
    """
    variable = _variable(settings)
    if variable is None:
        return None
    found = os.environ.get(variable, "").strip()
    if not found:
        raise EnvironmentProblem(
            f"{variable} is not set, which would hold the endpoint's token",
            hint="set it; label.token_variable of the recipe names another variable",
        )
    remember(found)
    return found


def _variable(settings: Endpoint) -> str | None:
    """Where the token is: the Hub's for a provider, and none for an address unless it is named."""
    return settings.token_variable or ("HF_TOKEN" if settings.provider is not None else None)


def _words(what: object) -> str:
    """One line, without secrets, of at most so many characters."""
    text = masked(" ".join(str(what).split()), known_secrets())
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]}..."
