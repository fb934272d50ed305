"""A memory plan: its parts, their sum against a card, and the formula of the optimizer's part."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from nla_release.errors import ConfigError

# bitsandbytes keeps the two moments of AdamW in one byte each, with a float32 constant for every
# 256 of them (Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization, section 2), of
# tensors of 4096 values and more; of smaller ones, and in torch's AdamW of all, in float32.
_8BIT_BLOCK, _8BIT_CONSTANT, _8BIT_LEAST = 256, 4, 4096
_MOMENTS, _FLOAT32 = 2, 4

_CARD = re.compile(r"(\d+(?:\.\d+)?) ?([GM])i?B?", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One part of the memory of a training, in bytes; `parameters` where it consists of some."""

    name: str
    bytes: int
    parameters: int | None = None


@dataclass(frozen=True)
class MemoryPlan:
    """What training one adapter takes at its fullest moment, on the card and beside it."""

    title: str
    parts: tuple[Part, ...]
    on_host: tuple[Part, ...]
    card: int | None

    @property
    def total(self) -> int:
        """Bytes on the card, the allowance included."""
        return sum(part.bytes for part in self.parts)

    @property
    def fits(self) -> bool:
        """Whether the card is large enough; any is that is not named."""
        return self.card is None or self.total <= self.card

    def text(self) -> str:
        """The plan as a table, a line for each part."""
        rows = [self.title, *map(_line, self.parts), _line(Part("total on the card", self.total))]
        if self.on_host:
            rows += ["left on the host", *map(_line, self.on_host)]
        if self.card is not None:
            free = (self.card - self.total) / 2**20
            verdict = f"fits, {free:,.0f} MiB are free" if self.fits else f"{-free:,.0f} MiB short"
            rows.append(f"  a card of {self.card / 2**20:,.0f} MiB: {verdict}")
        return "\n".join(rows)


def optimizer_bytes(parameters: Iterable[torch.nn.Parameter], optimizer: str) -> int:
    """Bytes of AdamW's two moments of every parameter, in 8 bits or in float32."""
    return sum(_MOMENTS * _moment(value.numel(), optimizer) for value in parameters)


def card_bytes(text: str) -> int:
    """Bytes of `4GB` or `6144MiB`; cards are sold by powers of 1024.

    Raises:
        ConfigError: it is no size.
    """
    match = _CARD.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is no size of memory", hint="such as 4GB, 24GB or 6144MiB")
    return int(float(match[1]) * (2**30 if match[2] in "Gg" else 2**20))


def _moment(values: int, optimizer: str) -> int:
    if optimizer == "adamw_8bit" and values >= _8BIT_LEAST:
        return values + -(-values // _8BIT_BLOCK) * _8BIT_CONSTANT
    return values * _FLOAT32


def _line(part: Part) -> str:
    count = f"{part.parameters:,}" if part.parameters else ""
    return f"  {part.name:<38} {count:>15} {part.bytes / 2**20:>10,.1f} MiB"
