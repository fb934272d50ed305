"""A recipe's prompts filled in: `{text}` and `{explanation}`, and no other brace means anything."""

import re
from collections.abc import Mapping

from train.recipe import Endpoint

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
