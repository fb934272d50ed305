"""Prompts: rendering templates, and finding the marker and its neighbours on a tokenizer.

Works with the `tokenizers` library alone, so a laptop without torch can replay a prompt.
Templates are filled by plain replacement: an explanation may itself hold braces.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nla_release.contract.chat import Chat
from nla_release.contract.sidecar import ChatTemplate, Sidecar
from nla_release.errors import InputError, PairError
from nla_release.io.files import read_text

# Text and whether special tokens (BOS) are added -> token ids.
Encode = Callable[[str, bool], list[int]]

# Endings that tokenize differently with what follows; the suffix is what all prompts share.
_PROBES = ("word", "word.", "7", "é", "")


_ESCAPES = re.compile(r"\\(?:[nrt]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})", re.ASCII)


@dataclass(frozen=True)
class MarkedPrompt:
    """A rendered AV prompt: ids `[S]`, and the marker's position and neighbours in it."""

    ids: tuple[int, ...]
    position: int
    token_id: int
    left_id: int
    right_id: int


def literal_escapes(text: str) -> list[str]:
    """The escape sequences that a text contains as characters, such as a backslash and an n.

    A shell and YAML without double quotes do not replace them. Few prompts are trained with them.
    """
    return list(dict.fromkeys(_ESCAPES.findall(text)))


def av_prompt(template: str, injection_char: str) -> str:
    """The AV's prompt with the marker in place."""
    return template.replace("{injection_char}", injection_char)


def ar_prompt(template: str, explanation: str) -> str:
    """The AR's prompt for one explanation."""
    return template.replace("{explanation}", explanation)


def mark(
    encode: Encode, template: str, injection_char: str, chat: Chat | None = None
) -> MarkedPrompt:
    """Encode the AV prompt and find the marker in it.

    Raw, it is encoded with special tokens. In a chat it is the user's message, and the chat
    template writes the special tokens itself.

    Raises:
        PairError: the marker is not one token, or does not occur exactly once inside the prompt;
            the prompt begins with BOS twice; or the chat template cannot be rendered.
    """
    alone = encode(injection_char, False)
    if len(alone) != 1:
        raise PairError(
            f"marker {injection_char!r} is {len(alone)} tokens here, expected 1: {alone}",
            hint="choose a rare character that the base's tokenizer keeps as one token",
        )
    prompt = av_prompt(template, injection_char)
    ids = _encoded(encode, prompt) if chat is None else encode(chat.render(prompt), False)
    positions = [index for index, token in enumerate(ids) if token == alone[0]]
    if len(positions) != 1 or not 0 < positions[0] < len(ids) - 1:
        raise PairError(
            f"marker id {alone[0]} is at positions {positions} of the {len(ids)} prompt tokens,"
            " expected exactly one with a neighbour on each side"
        )
    at = positions[0]
    return MarkedPrompt(tuple(ids), at, alone[0], ids[at - 1], ids[at + 1])


def suffix_ids(encode: Encode, template: str) -> list[int]:
    """The ids that every AR prompt ends with, for any explanation.

    Raises:
        PairError: nothing follows the explanation, so the AR would read at its last word; or the
            prompt begins with BOS twice.
    """
    prompts = [_encoded(encode, ar_prompt(template, probe)) for probe in _PROBES]
    suffix: list[int] = []
    for column in zip(*(reversed(ids) for ids in prompts), strict=False):
        if len(set(column)) > 1:
            break
        suffix.insert(0, column[0])
    if not suffix:
        raise PairError("the AR template ends with the explanation itself; it needs a fixed ending")
    return suffix


def check_replay(
    sidecar: Sidecar, encode: Encode, unk_id: int | None, chat: Chat | None = None
) -> None:
    """Compare what an AV's sidecar recorded with what a tokenizer gives.

    Args:
        sidecar: the AV's.
        encode: the tokenizer.
        unk_id: its unknown token, when it has one.
        chat: the base's chat template, when it has one; a raw prompt does not need it.

    Raises:
        PairError: the first disagreement, with both values.
    """
    tokens, injection = sidecar.tokens, sidecar.injection
    trained = _as_trained(injection.chat_template, chat)
    marked = mark(encode, sidecar.prompt_templates.av, tokens.injection_char, trained)
    if marked.token_id == unk_id:
        raise PairError(f"marker {tokens.injection_char!r} is the unknown token on this tokenizer")
    for name, recorded, found in (
        ("injection_token_id", tokens.injection_token_id, marked.token_id),
        ("injection_left_neighbor_id", tokens.injection_left_neighbor_id, marked.left_id),
        ("injection_right_neighbor_id", tokens.injection_right_neighbor_id, marked.right_id),
        ("marker_position", injection.marker_position, marked.position),
    ):
        if recorded != found:
            raise PairError(f"AV sidecar records {name} {recorded}, the tokenizer gives {found}")
    if (difference := _first_difference(injection.prompt_token_ids, marked.ids)) is not None:
        at, recorded_id, found_id = difference
        raise PairError(
            f"the AV prompt renders differently than in training: at position {at} the sidecar"
            f" records id {recorded_id}, the tokenizer gives {found_id}"
            f" ({len(injection.prompt_token_ids)} and {len(marked.ids)} tokens in all)",
            hint="use the tokenizer revision and the template that the adapter was trained with",
        )


def check_suffix(sidecar: Sidecar, encode: Encode) -> None:
    """Compare an AR's recorded suffix ids with a tokenizer.

    Raises:
        PairError: rendered AR prompts do not end with the recorded ids, or begin with BOS twice.
    """
    recorded = sidecar.tokens.critic_suffix_ids or []
    for probe in _PROBES:
        ids = _encoded(encode, ar_prompt(sidecar.prompt_templates.ar, probe))
        if ids[-len(recorded) :] != recorded:
            raise PairError(
                f"AR sidecar records critic_suffix_ids {recorded}, the tokenizer ends the prompt of"
                f" explanation {probe!r} with {ids[-len(recorded) :]}"
            )


def load_tokenizer(path: Path) -> Any:
    """A `tokenizers.Tokenizer` from a tokenizer.json.

    Raises:
        InputError: missing, or not a tokenizer.
    """
    from tokenizers import Tokenizer

    if path.is_dir():
        raise InputError(f"{path} is a folder", hint=f"give the file: {path / 'tokenizer.json'}")
    text = read_text(path, limit=256 * 1024 * 1024)
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception for every kind of bad file
        raise InputError(f"{path} is not a tokenizer: {error}") from error


def encoder(tokenizer: Any) -> Encode:
    """The `Encode` function of a `tokenizers.Tokenizer`."""
    return lambda text, special: list(tokenizer.encode(text, add_special_tokens=special).ids)


def begins_twice(ids: Sequence[int]) -> bool:
    """Whether ids begin with the same id twice, as when both template and tokenizer write BOS."""
    return len(ids) > 1 and ids[0] == ids[1]


def _encoded(encode: Encode, prompt: str) -> list[int]:
    """A raw prompt's ids, with special tokens.

    Raises:
        PairError: the prompt itself begins with the BOS that encoding adds.
    """
    ids = encode(prompt, True)
    if begins_twice(ids) and not begins_twice(encode(prompt, False)):
        raise PairError(
            f"the prompt {prompt[:24]!r}... begins with special token {ids[0]} twice: the template"
            " writes it, and the tokenizer adds it again",
            hint="remove it from the template: raw prompts are encoded with special tokens",
        )
    return ids


def _as_trained(recorded: ChatTemplate | None, chat: Chat | None) -> Chat | None:
    """The base's chat template with the options of training, when the AV was trained in a chat."""
    if recorded is None:
        return None
    if chat is None:
        raise PairError(
            "the AV's prompt goes through a chat template, and the base's tokenizer has none"
        )
    if chat.sha256 != recorded.sha256:
        raise PairError(
            f"the AV was trained through a chat template with sha256 {recorded.sha256}, the base's"
            f" has {chat.sha256}",
            hint="use the base revision whose template the adapter was trained with",
        )
    return chat.with_options(recorded.options)


def _first_difference(
    recorded: Sequence[int], found: Sequence[int]
) -> tuple[int, int | None, int | None] | None:
    """Position and both ids; None for an id where one list has ended, or if the lists are equal."""
    for at, (left, right) in enumerate(zip_longest(recorded, found)):
        if left != right:
            return at, left, right
    return None
