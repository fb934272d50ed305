"""The memory that a training takes: measured by a step without values, and summed against a card.

The step runs the forward and backward pass of a training on tensors that have shapes and no values
(the meta device), and counts every storage while it is alive. So it assumes nothing about an
architecture, what PEFT saves for the backward pass, or what gradient checkpointing recomputes.
"""

import re
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nla_release.engine.architecture import block_output, vocabulary_of
from nla_release.errors import ConfigError
from nla_release.training.learner import Learner
from nla_release.training.optimizer import SMALLEST_IN_8_BITS
from nla_release.training.token_loss import answer_losses
from nla_release.training.variants import direction_loss

# bitsandbytes keeps the two moments of AdamW in one byte each, with a float32 constant for every
# 256 of them (Dettmers et al. 2022, 8-bit Optimizers via Block-wise Quantization, section 2), but
# for small tensors; of those, and in torch's AdamW of all, they are float32.
_8BIT_BLOCK, _8BIT_CONSTANT = 256, 4
_MOMENTS, _FLOAT32 = 2, 4
_CARD = re.compile(r"(\d+(?:\.\d+)?) ?(GB|GiB|MiB)", re.IGNORECASE)
_UNITS = {"gb": 2**30, "gib": 2**30, "mib": 2**20}

# Assumed, not measured: the part of a card's nominal memory that a program can use.
_OF_A_SOLD_GB = 0.96
_VALUE_OF = torch.ops.aten._local_scalar_dense.default  # noqa: SLF001 - what item() comes down to


@dataclass(frozen=True)
class Part:
    """One part of the memory of a training, in bytes; `parameters` where it consists of some."""

    name: str
    bytes: int
    parameters: int | None = None


@dataclass(frozen=True)
class MemoryPlan:
    """The peak memory of training one adapter, on the card and on the host."""

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
        """Whether the card is large enough; True when no card is named."""
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


@dataclass(frozen=True)
class WorkingMemory:
    """Peak bytes of a step, without weights, gradients and optimizer.

    `logits` are tensors as wide as the vocabulary, `activations` all others.
    """

    activations: int
    logits: int


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of every storage that is made inside, for as long as it lives.

    Questions about values, which tensors of the meta device cannot answer, are answered with yes:
    libraries ask whether a mask leaves everything in, and here it does.
    """

    def __init__(self, vocabulary: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._vocabulary = vocabulary
        self._known: set[int] = set()
        self._alive: dict[int, tuple[int, bool]] = {}
        self._now = self._logits = 0
        self.peak = WorkingMemory(0, 0)

    def begin(self, known: Iterable[torch.Tensor]) -> None:
        """Count from here, and what is made from here on; `known` is not counted."""
        self._known = {_key(tensor) for tensor in known}
        self._alive.clear()
        self._now = self._logits = 0
        self.peak = WorkingMemory(0, 0)

    def __torch_dispatch__(
        self, operation: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if operation is _VALUE_OF and args[0].is_meta:
            return True
        output = operation(*args, **(kwargs or {}))
        for value in tree_leaves(output):
            if isinstance(value, torch.Tensor):
                self._count(value)
        return output

    def _count(self, tensor: torch.Tensor) -> None:
        key = _key(tensor)
        if key in self._known or key in self._alive:
            return
        storage = tensor.untyped_storage()
        wide = tensor.ndim > 0 and tensor.shape[-1] == self._vocabulary
        self._alive[key] = (storage.nbytes(), wide)
        weakref.finalize(storage, self._forget, key)
        self._now += storage.nbytes()
        self._logits += storage.nbytes() * wide
        if self._now > self.peak.activations + self.peak.logits:
            self.peak = WorkingMemory(self._now - self._logits, self._logits)

    def _forget(self, key: int) -> None:
        size, wide = self._alive.pop(key, (0, False))
        self._now -= size
        self._logits -= size * wide


def optimizer_bytes(parameters: Iterable[torch.nn.Parameter], optimizer: str) -> int:
    """Bytes of AdamW's two moments of every parameter, in 8 bits or in float32."""
    return sum(_MOMENTS * _moment(value.numel(), optimizer) for value in parameters)


def card_bytes(text: str) -> int:
    """Bytes of a card: 96 % of a size as sold (`4GB`), all of one from its driver (`3900MiB`).

    Raises:
        ConfigError: it is not a size.
    """
    match = _CARD.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"{text!r} is not a size of memory", hint="such as 4GB, 24GB or 3900MiB")
    unit = match[2].lower()
    return int(float(match[1]) * _UNITS[unit] * (_OF_A_SOLD_GB if unit == "gb" else 1))


def _moment(values: int, optimizer: str) -> int:
    if optimizer == "adamw_8bit" and values >= SMALLEST_IN_8_BITS:
        return values + -(-values // _8BIT_BLOCK) * _8BIT_CONSTANT
    return values * _FLOAT32


def _line(part: Part) -> str:
    count = f"{part.parameters:,}" if part.parameters else ""
    return f"  {part.name:<38} {count:>15} {part.bytes / 2**20:>10,.1f} MiB"


def working_memory(learner: Learner, loss: Callable[[], Any]) -> WorkingMemory:
    """The memory of a micro-batch while the gradients of an earlier one are kept.

    Args:
        learner: what is trained, on the meta device; it is given gradients.
        loss: computes the loss of a step, see `av_loss` and `ar_loss`.
    """
    model, learned = learner.model, list(learner.parameters.values())
    with PeakMemory(vocabulary_of(model)) as watch:
        for value in learned:
            value.grad = torch.zeros_like(value)
        gradients = [value.grad for value in learned if value.grad is not None]
        watch.begin([*model.parameters(), *model.buffers(), *learned, *gradients])
        loss().backward()
    peak: WorkingMemory = watch.peak
    return peak


def av_loss(learner: Learner, rows: int, length: int, prompt: int) -> torch.Tensor:
    """The AV's loss on `rows` rows of `length` tokens, all but `prompt` of which are learned.

    As `av` computes it, but for the injection: it puts one `[B, S, d]` in place of another.
    """
    ids = _ones(learner, rows, length)
    prompt = max(prompt, 1)  # no token comes before the first
    lengths = [length - prompt] * rows
    return answer_losses(learner.model, ids, torch.ones_like(ids), prompt, lengths).sum()


def ar_loss(learner: Learner, block: int, rows: int, length: int) -> torch.Tensor:
    """The AR's loss on `rows` rows of `length` tokens, as `ar` computes it."""
    assert learner.head is not None, "an AR has one"
    ids = _ones(learner, rows, length)
    hidden = block_output(learner.model, block, ids, torch.ones_like(ids))
    read = learner.head(hidden[:, -1].float())
    return direction_loss(read, torch.ones_like(read)).mean()


def _ones(learner: Learner, rows: int, length: int) -> torch.Tensor:
    device = next(learner.model.parameters()).device
    return torch.ones((rows, length), dtype=torch.long, device=device)


def _key(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - one for all views of a storage
