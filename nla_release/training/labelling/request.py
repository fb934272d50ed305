"""A request to an endpoint: its messages from the recipe's prompts, its key, and its cached answer.

Every answer is in a file named by the hash of its request, written whole or not at all. A labelling
that was killed continues where it was, and one that is run again asks nothing. A request without an
answer leaves no file.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nla_release.errors import DataError, InputError
from nla_release.io.files import dump_json, read_json, sha256_bytes, write_atomic
from nla_release.io.schema import parse
from nla_release.training.labelling.answers import Answer
from nla_release.training.recipe import Endpoint

Message = dict[str, str]

_PLACEHOLDER = re.compile(r"\{(text|explanation)\}")


def fill(template: str, values: Mapping[str, str]) -> str:
    """The template with its placeholders replaced in one pass.

    What a value holds is never looked at again, so that a text may say `{explanation}`.
    """
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template)


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


# Of one answer: no sane one comes near.
_MAX_BYTES = 4 * 1024 * 1024


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
            DataError: the file is there and is no answer.
        """
        path = self._path(key)
        if not path.exists():
            return None
        hint = f"remove {path}: its request is then made again"
        try:
            document = read_json(path, limit=_MAX_BYTES)
        except InputError as error:
            raise DataError(error.message, hint=hint) from error
        return parse(Answer, document, path, error=DataError, hint=hint)

    def keep(self, key: str, answer: Answer) -> None:
        """Put an answer where `find` finds it, in this run and in later ones.

        Raises:
            EnvironmentProblem: the disk is full or the folder cannot be written.
        """
        write_atomic(self._path(key), dump_json(answer.model_dump()))

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"
