"""A training step without values: what it keeps in memory, on the meta device.

The very forward and backward pass that training runs is run on tensors that have shapes and no
values, and every storage is counted while it lives. So nothing is assumed of an architecture, of
what PEFT saves for the backward pass, or of what gradient checkpointing saves and makes again.
"""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nla_release.engine.architecture import block_output, vocabulary_of
from nla_release.training.learner import Learner
from nla_release.training.variants import direction_loss

_VALUE_OF = torch.ops.aten._local_scalar_dense.default  # noqa: SLF001 - what item() comes down to


@dataclass(frozen=True)
class Working:
    """Bytes at the moment of most memory in a step, besides weights, gradients and optimizer.

    `logits` are tensors as wide as the vocabulary, `activations` all others.
    """

    activations: int
    logits: int


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
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
        self.peak = Working(0, 0)

    def begin(self, known: Iterable[torch.Tensor]) -> None:
        """Count from here, and what is made from here on; `known` is not counted."""
        self._known = {_key(tensor) for tensor in known}
        self._alive.clear()
        self._now = self._logits = 0
        self.peak = Working(0, 0)

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
            self.peak = Working(self._now - self._logits, self._logits)

    def _forget(self, key: int) -> None:
        size, wide = self._alive.pop(key, (0, False))
        self._now -= size
        self._logits -= size * wide


def working_memory(learner: Learner, loss: Callable[[], Any]) -> Working:
    """What a micro-batch needs when all gradients are there from the one before.

    Args:
        learner: what is trained, on the meta device; it is given gradients.
        loss: of the step, see `av_loss` and `ar_loss`.
    """
    model, learned = learner.model, list(learner.parameters.values())
    with Watch(vocabulary_of(model)) as watch:
        for value in learned:
            value.grad = torch.zeros_like(value)
        gradients = [value.grad for value in learned if value.grad is not None]
        watch.begin([*model.parameters(), *model.buffers(), *learned, *gradients])
        loss().backward()
    peak: Working = watch.peak
    return peak


def av_loss(learner: Learner, rows: int, length: int, prompt: int) -> torch.Tensor:
    """The AV's loss on `rows` rows of `length` tokens, all but `prompt` of which are learned.

    As `av` computes it, but for the injection: it puts one `[B, S, d]` in place of another.
    """
    ids = _ones(learner, rows, length)
    targets = ids[:, max(prompt, 1) :]  # no token comes before the first
    logits = learner.model(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        use_cache=False,
        logits_to_keep=targets.shape[1] + 1,
    ).logits
    return cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets.flatten())


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
