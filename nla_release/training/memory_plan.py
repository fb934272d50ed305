"""A memory plan: its parts, their sum against a card, and the formula of the optimizer's part."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from nla_release.errors import ConfigError
from nla_release.training.optimizer import SMALLEST_IN_8_BITS

# bitsandbytes keeps the two moments of AdamW in one byte each, with a float32 constant for every
# 256 of them (Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization, section 2), but
# for small tensors; of those, and in torch's AdamW of all, they are float32.
_8BIT_BLOCK, _8BIT_CONSTANT = 256, 4
_MOMENTS, _FLOAT32 = 2, 4

_CARD = re.compile(r"(\d+(?:\.\d+)?) ?(GB|GiB|MiB)", re.IGNORECASE)
_UNITS = {"gb": 2**30, "gib": 2**30, "mib": 2**20}
# Declared by us and not measured: what a program finds of the memory that a card is sold with.
_OF_A_SOLD_GB = 0.96


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
    """Bytes of a card: 96 % of `4GB`, as it is sold, and all of `3900MiB`, as its driver tells.

    Raises:
        ConfigError: it is no size.
    """
    match = _CARD.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is no size of memory", hint="such as 4GB, 24GB or 3900MiB")
    unit = match[2].lower()
    return int(float(match[1]) * _UNITS[unit] * (_OF_A_SOLD_GB if unit == "gb" else 1))


def _moment(values: int, optimizer: str) -> int:
    if optimizer == "adamw_8bit" and values >= SMALLEST_IN_8_BITS:
        return values + -(-values // _8BIT_BLOCK) * _8BIT_CONSTANT
    return values * _FLOAT32


def _line(part: Part) -> str:
    count = f"{part.parameters:,}" if part.parameters else ""
    return f"  {part.name:<38} {count:>15} {part.bytes / 2**20:>10,.1f} MiB"
