"""Reading an AV's output as an explanation, or as one of the ways to fail.

The AV writes `<explanation>...</explanation>` and then stops. Failures are never dropped: they stay
in every denominator.
"""

from dataclasses import dataclass
from typing import Literal

OPEN_TAG = "<explanation>"
CLOSE_TAG = "</explanation>"

Status = Literal["ok", "empty", "truncated", "unparsed"]


@dataclass(frozen=True)
class Explanation:
    """One AV output: the text between the tags (empty unless the status is ok), and all of it."""

    text: str
    status: Status
    raw: str

    def __str__(self) -> str:
        return self.text


def wrap(text: str) -> str:
    """The answer the AV is trained to give."""
    return f"{OPEN_TAG}{text}{CLOSE_TAG}"


def read_explanation(raw: str, *, ended: bool) -> Explanation:
    """Read an AV output.

    Args:
        raw: the generated text, special tokens removed.
        ended: whether generation stopped by itself, rather than at the token limit.

    Returns:
        The explanation with its status. ok: text between both tags. empty: no text, or none between
        the tags. truncated: the limit came before the closing tag. unparsed: it ended without tags.
    """
    _, opened, rest = raw.partition(OPEN_TAG)
    inner, closed, _ = rest.partition(CLOSE_TAG)
    if opened and closed:
        text = inner.strip()
        return Explanation(text, "ok" if text else "empty", raw)
    if not ended:
        return Explanation("", "truncated", raw)
    if not raw.strip():
        return Explanation("", "empty", raw)
    return Explanation("", "unparsed", raw)
