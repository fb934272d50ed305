"""Whether an untrusted regular expression matches whole names, at a bounded cost.

PEFT tries `target_modules` with `re.fullmatch`, and `re` takes years over some short patterns, such
as `(a+)+b`, because it backtracks and retries every way. Here all ways are followed at once: each
part of the parsed pattern maps the places where it may begin to the places where it may end, so
that none is tried twice. The total cost of a pattern is also bounded, by counted steps and
not by a clock, so that a verdict is the same on every machine. `re` has no time limit of its own.
"""

import re
import warnings
from collections.abc import Iterable
from re import _parser  # type: ignore[attr-defined]  # the one parser that reads what `re` reads
from typing import Any

from nla_release.errors import InputError

# Unsloth's pattern for the language part of any model is 300 characters long.
MAX_LENGTH = 2000

# About a second of work; a base of a thousand modules takes a tenth of it for usual patterns.
MAX_STEPS = 2_000_000

Places = frozenset[int]

_NONE: Places = frozenset()

# Before Python 3.14, an empty text has neither a boundary nor a place that is none.
_EMPTY_HAS_NO_BOUNDARY = re.search(r"\B", "") is not None


class UntriedError(InputError):
    """The pattern is valid, but has a construct that is not followed here, or costs too much."""


class Pattern:
    """A regular expression, for matching whole names."""

    def __init__(self, pattern: str) -> None:
        """Parse `pattern`.

        Raises:
            InputError: it is not a regular expression.
            UntriedError: it is too long, too deep, or sets flags.
        """
        if len(pattern) > MAX_LENGTH:
            raise UntriedError(f"a pattern of {len(pattern)} characters is not tried")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sets that a later Python may read otherwise
                re.compile(pattern)  # finds more mistakes than the parser alone
                self._parsed = _parser.parse(pattern)
        except (re.error, OverflowError) as error:
            raise InputError(f"{pattern!r} is not a regular expression: {error}") from error
        except RecursionError as error:
            raise UntriedError("a pattern so deeply nested is not tried") from error
        if self._parsed.state.flags != re.UNICODE:
            raise UntriedError("a pattern with flags is not tried")

    def matching(self, names: Iterable[str]) -> set[str]:
        """The names that `re.fullmatch` would match.

        Raises:
            UntriedError: it would cost too much, or holds a construct that is not followed.
        """
        run = _Run()
        try:
            return {
                name for name in names if len(name) in run.on(name, self._parsed, frozenset({0}))
            }
        except RecursionError as error:
            raise UntriedError("a pattern so deeply nested is not tried") from error


class _Run:
    """One pattern on many names, with the steps that are left."""

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def on(self, text: str, sequence: Any, starts: Places) -> Places:
        """Where a sequence of parts may end in `text` when it may begin at `starts`."""
        self._count(1)  # for a sequence of no parts, which may be repeated too
        for operation, argument in sequence:
            self._count(len(starts) + 1)
            starts = self._part(text, operation.name, argument, starts)
            if not starts:
                break
        return starts

    def _count(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise UntriedError(f"the pattern takes more than {MAX_STEPS} steps")

    def _part(self, text: str, operation: str, argument: Any, starts: Places) -> Places:
        match operation:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                return frozenset(
                    at + 1
                    for at in starts
                    if at < len(text) and _accepts(operation, argument, text[at])
                )
            case "SUBPATTERN":
                _, added_flags, removed_flags, inner = argument
                if added_flags or removed_flags:
                    raise UntriedError("a pattern with flags is not tried")
                return self.on(text, inner, starts)
            case "BRANCH":
                return _NONE.union(*(self.on(text, branch, starts) for branch in argument[1]))
            case "MAX_REPEAT" | "MIN_REPEAT":  # greedy or not: the same names match
                least, most, inner = argument
                return self._repeat(text, least, most, inner, starts)
            case "ASSERT" | "ASSERT_NOT":
                direction, inner = argument
                wanted = operation == "ASSERT"
                return frozenset(
                    at for at in starts if self._sees(text, inner, at, direction) is wanted
                )
            case "AT":
                return frozenset(at for at in starts if _stands(argument.name, text, at))
            case _:
                raise UntriedError(f"a pattern with {operation} is not tried")

    def _repeat(self, text: str, least: int, most: int, inner: Any, starts: Places) -> Places:
        for _ in range(least):
            before = starts
            starts = self.on(text, inner, before)
            if not starts or starts == before:  # once more gives the same
                break
        if not starts:
            return starts
        ends = new = starts
        for _ in range(most - least):
            new = self.on(text, inner, new) - ends
            if not new:
                break
            ends |= new
        return ends

    def _sees(self, text: str, inner: Any, at: int, direction: int) -> bool:
        """Whether `inner` matches ahead of a place, or, of its one width, behind it."""
        if direction > 0:
            return bool(self.on(text, inner, frozenset({at})))
        width, _ = inner.getwidth()
        return at >= width and at in self.on(text, inner, frozenset({at - width}))


def _accepts(operation: str, argument: Any, character: str) -> bool:
    match operation:
        case "LITERAL":
            return character == chr(argument)
        case "NOT_LITERAL":
            return character != chr(argument)
        case "ANY":
            return character != "\n"
        case "RANGE":
            return ord(character) in range(argument[0], argument[1] + 1)
        case "CATEGORY":
            return _is_of(argument.name, character)
        case _:  # IN
            negated = argument[0][0].name == "NEGATE"
            members = argument[1:] if negated else argument
            return any(_accepts(op.name, inner, character) for op, inner in members) is not negated


def _is_of(category: str, character: str) -> bool:
    kind = category.removeprefix("CATEGORY_").removeprefix("NOT_")
    found = {
        "DIGIT": character.isdecimal(),
        "SPACE": character.isspace(),
        "WORD": _is_word(character),
    }[kind]
    return found is not ("_NOT_" in category)


def _stands(place: str, text: str, at: int) -> bool:
    before, after = at > 0 and _is_word(text[at - 1]), at < len(text) and _is_word(text[at])
    return {
        "AT_BEGINNING": at == 0,
        "AT_BEGINNING_STRING": at == 0,
        "AT_END": at == len(text) or text[at:] == "\n",
        "AT_END_STRING": at == len(text),
        "AT_BOUNDARY": before is not after,
        "AT_NON_BOUNDARY": before is after and (bool(text) or _EMPTY_HAS_NO_BOUNDARY),
    }[place]


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
