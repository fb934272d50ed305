"""What people wrote into a card on the Hub, and how it outlives the next push.

Between two comments that no reader sees, a card on the Hub belongs to whoever edits it there:

    <!-- nla-release:keep thanks -->
    We thank everybody who lent us a GPU.
    <!-- nla-release:end-keep thanks -->

Such a part is merged into the rendered card, under its name, before anything else is done with it.
So release.json lists the card as it is published, and the rules judge it. An edit anywhere else
makes the push refuse the card: nobody can know whether it may be lost.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

_COMMENT = re.compile(
    r"^<!-- nla-release:(?P<ends>end-)?keep (?P<name>[a-z][a-z0-9-]{0,39}) -->\r?$", re.MULTILINE
)


@dataclass(frozen=True)
class HandWritten:
    """What a card on the Hub holds that the rendered one does not.

    `parts` are to be merged, by name, with their comments; `edits` is how many places outside of
    such parts somebody edited since the card was published. `unreadable` says why nobody can tell.
    """

    parts: dict[str, str]
    edits: int = 0
    unreadable: str | None = None


NOTHING = HandWritten({})


def kept_parts(card: str) -> dict[str, str]:
    """The parts of a card that are to be kept, by name; of two with one name, the last."""
    return {name: card[place] for name, place in _places(card)}


def merged(card: str, parts: dict[str, str]) -> str:
    """The card with these parts: in place of those of the same name, or else at its end."""
    present = kept_parts(card)
    card = _rewritten(card, parts.get)
    missing = [text for name, text in parts.items() if name not in present]
    return "\n\n".join([card.rstrip("\n"), *missing]) + "\n" if missing else card


def hand_written(rendered: str, remote: str, released: str | None) -> HandWritten:
    """Compare the card on the Hub with the one rendered here and the one last published.

    Args:
        rendered: the card of this release.
        remote: the card on the Hub's branch.
        released: what our last push made the card; None when no push of ours did.
    """
    mine = kept_parts(rendered)
    parts = {name: text for name, text in kept_parts(remote).items() if mine.get(name) != text}
    if remote in (rendered, released):
        return HandWritten(parts)
    return HandWritten(parts, _edits(_generated(released or ""), _generated(remote)))


def _places(card: str) -> Iterator[tuple[str, slice]]:
    """The name of each part and where it stands: from its comment to the next that ends it.

    One look at each comment, because what stands on a Hub may be millions that nothing ends.
    """
    ends: dict[str, re.Match[str]] = {}
    ended = []
    for comment in reversed(list(_COMMENT.finditer(card))):
        if comment["ends"]:
            ends[comment["name"]] = comment
        elif comment["name"] in ends:
            ended.append((comment, ends[comment["name"]]))
    last = -1
    for begin, end in reversed(ended):
        if begin.start() > last:  # a part inside of another is text of it
            last = end.end()
            yield begin["name"], slice(begin.start(), last)


def _rewritten(card: str, give: Callable[[str, str], str]) -> str:
    """The card with another text for each part, given its name and its text."""
    pieces, last = [], 0
    for name, place in _places(card):
        pieces += [card[last : place.start], give(name, card[place])]
        last = place.stop
    return "".join([*pieces, card[last:]])


def _generated(card: str) -> list[str]:
    """The lines of a card that are not between such comments; empty ones do not count."""
    rest = _rewritten(card, lambda _name, _text: "")
    return [line.rstrip() for line in rest.splitlines() if line.strip()]


def _edits(old: list[str], new: list[str]) -> int:
    opcodes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return sum(kind != "equal" for kind, *_ in opcodes)
