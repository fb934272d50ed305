"""`nla-release train plan RECIPE --card 4GB`: whether a training fits a card, before it is begun.

Only the base's config.json is loaded, and the headers of adapters that exist in a stack. The
weights are counted on a model of the meta device, the working memory by a step without values
(`memory_plan`), the rest by the formulas of the functions below. The sum is checked against
measured peaks in tests/train/test_plan.py.
"""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

from nla_release.base_model.revision import check_source
from nla_release.contract.sidecar import Role
from nla_release.engine.architecture import width_of
from nla_release.engine.base import DTYPES, LoadedBase, quiet_libraries
from nla_release.engine.footprint import (
    Group,
    Weights,
    in_4_bits,
    left_on_the_host,
    skeleton,
    weights_of,
)
from nla_release.errors import ConfigError, EnvironmentProblem
from nla_release.release.folder import ROLES
from nla_release.training.ar import new_head
from nla_release.training.learner import Learner, add_lora
from nla_release.training.memory_plan import (
    MemoryPlan,
    Part,
    ar_loss,
    av_loss,
    optimizer_bytes,
    working_memory,
)
from nla_release.training.prompts import base_without_weights, marked_prompt
from nla_release.training.recipe import Recipe
from nla_release.training.stacking import outline_below

# Assumed, not measured: the CUDA context, the libraries' workspaces, and memory that the allocator
# reserves and cannot use.
ALLOWANCE = 512 * 2**20

_WORDS: dict[Group, str] = {
    "matrices": "base: matrices of the blocks",
    "embeddings": "base: input embedding and lm_head",
    "tables": "base: tables that are only looked up",
    "towers": "base: towers that no text enters",
    "other": "base: norms, biases, buffers",
}
# Resolution of the search for the longest row that fits, in tokens.
_STEP = 16


class Planner:
    """One adapter of a recipe on the meta device, to be planned for any number of tokens."""

    def __init__(
        self,
        config: Any,
        recipe: Recipe,
        role: Role,
        *,
        card: int | None,
        earlier: Path | None = None,
    ) -> None:
        """Build the base and the adapter, without values.

        Args:
            config: the base's configuration, as AutoConfig gives it.
            recipe: what is trained on it and how.
            role: the AV or the AR.
            card: bytes of the card's memory; None for any.
            earlier: the adapter that this one is trained on top of; None for none.

        Raises:
            ConfigError: the recipe's target_modules match nothing, or the stack is too high.
            PairError: the earlier adapter does not fit the base, or one below it is missing.
            InputError: it is damaged.
        """
        self._recipe, self._role, self._card = recipe, role, card
        self.settings = recipe.av if role == "av" else recipe.ar
        dtype, quantization = DTYPES[recipe.base.dtype], recipe.base.quantization
        bare = skeleton(config, dtype)
        self.base = weights_of(bare, quantization)
        self._dequantized = _largest(bare, in_4_bits(bare)) if quantization else 0
        base = LoadedBase(bare, None, "", None, quantization, recipe.base.dtype, "meta")
        head = None
        if role == "ar":
            with torch.device("meta"):
                head = new_head(width_of(bare), recipe.ar)
        self._learner = Learner(add_lora(base, self.settings), head)
        self._below = outline_below(earlier, self._learner.model, role) if earlier else []

    def plan(self, *, length: int, prompt: int = 0) -> MemoryPlan:
        """The plan for rows of `length` tokens, of which the AV does not learn the first `prompt`.

        The peak is in a backward pass, while the gradients of earlier micro-batches are kept.

        Raises:
            ConfigError: the prompt alone is as long as the rows.
        """
        if length <= prompt:
            raise ConfigError(
                f"rows of {length} tokens, of which the AV's prompt takes {prompt}, leave none to"
                " learn",
                hint="plan with a larger --length, or raise av.max_tokens",
            )
        settings = self.settings
        learned = list(self._learner.parameters.values())
        head = list(self._learner.head.parameters()) if self._learner.head else []
        adapter = learned[: len(learned) - len(head)]
        working = working_memory(self._learner, self._loss(length, prompt))
        host = left_on_the_host(self.base, self._card) if self._card else set()
        parts = [
            *(_part(part) for part in self.base if part.group not in host),
            Part("earlier adapters, frozen", _bytes(self._below), _count(self._below)),
            Part("adapter", _bytes(adapter), _count(adapter)),
            Part("head", _bytes(head), _count(head)),
            Part("gradients", _bytes(learned)),
            Part(f"optimizer ({settings.optimizer})", optimizer_bytes(learned, settings.optimizer)),
            Part("activations at the peak", working.activations),
            Part("logits at the peak", working.logits),
            Part("one matrix out of 4 bits", self._dequantized),
            Part("allowance, not measured", ALLOWANCE if self._card else 0),
        ]
        return MemoryPlan(
            self._title(length),
            tuple(part for part in parts if part.bytes),
            tuple(_part(part) for part in self.base if part.group in host),
            self._card,
        )

    def longest(self, *, length: int, prompt: int = 0) -> int | None:
        """The most tokens up to `length` that a row may have on the card, in steps of 16.

        None when none fit.
        """
        low, high = prompt // _STEP, length // _STEP
        while low < high:
            middle = (low + high + 1) // 2
            if self.plan(length=middle * _STEP, prompt=prompt).fits:
                low = middle
            else:
                high = middle - 1
        return low * _STEP if low * _STEP > prompt else None

    def _loss(self, length: int, prompt: int) -> Callable[[], Any]:
        rows = self.settings.micro_batch
        if self._role == "av":
            return partial(av_loss, self._learner, rows, length, prompt)
        if self._recipe.ar.variant.name in ("paraphrase_invariant", "noise_hinge"):
            rows *= 2  # every text is read with a second one
        return partial(ar_loss, self._learner, self._recipe.read_block, rows, length)

    def _title(self, length: int) -> str:
        settings, base = self.settings, self._recipe.base
        saving = "with" if settings.gradient_checkpointing else "without"
        return (
            f"{self._role.upper()} of {self._recipe.name} on {base.id}"
            f" ({sum(part.parameters for part in self.base):,} parameters,"
            f" {base.quantization or base.dtype}): {settings.micro_batch} x {length} tokens,"
            f" {saving} gradient checkpointing"
        )


def plans(
    recipe: Recipe,
    folder: Path,
    *,
    source: str | None = None,
    card: int | None = None,
    length: int | None = None,
    prompt: int | None = None,
) -> str:
    """The plans of both adapters of a recipe, as text.

    Args:
        recipe: what is trained.
        folder: that `stack_on` is relative to.
        source: a folder or config.json to take the base's configuration from; by default its
            local copy or the Hub.
        card: bytes of the card's memory.
        length: tokens of every row; the recipe's max_tokens by default.
        prompt: how many of an AV's are its prompt; counted by the tokenizer by default, or none.

    Raises:
        EnvironmentProblem: the configuration cannot be loaded.
        ConfigError: the recipe's target_modules match nothing, no row is longer than the prompt, or
            base.path is not a folder.
        PairError, InputError: the adapter of `stack_on` is there and cannot be trained on.
    """
    quiet_libraries()
    place = source or recipe.base.path or recipe.base.id
    if source is None:
        check_source(place)
    config = _config(place, recipe)
    if prompt is None:
        prompt = _prompt_tokens(place, recipe)
    texts = []
    for role in ROLES:
        unlearned = prompt if role == "av" else 0
        below = folder / name if (name := getattr(recipe, role).stack_on) else None
        earlier = below if below and below.exists() else None
        planner = Planner(config, recipe, role, card=card, earlier=earlier)
        tokens = length or planner.settings.max_tokens
        plan = planner.plan(length=tokens, prompt=unlearned)
        texts.append(plan.text())
        if not plan.fits:
            most = planner.longest(length=tokens, prompt=unlearned)
            texts[-1] += f"\n  longest row that fits: {f'{most} tokens' if most else 'none'}"
        if below and not earlier:
            texts[-1] += f"\n  not counted: the adapters of {below}, which are not there yet"
    return "\n\n".join(texts)


def _config(place: str, recipe: Recipe) -> Any:
    try:
        return transformers.AutoConfig.from_pretrained(place, revision=recipe.base.revision)
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(
            f"the configuration of {recipe.base.id} cannot be loaded from {place}:"
            f" {' '.join(str(error).split())[:300]}",
            hint="log in and accept the base's licence, or give its config.json:"
            " `nla-release train plan RECIPE --config FILE_OR_FOLDER`",
        ) from error


def _prompt_tokens(place: str, recipe: Recipe) -> int:
    """Length of the AV's prompt in tokens; 0, which plans for too much, without a tokenizer."""
    try:
        base = base_without_weights(recipe, recipe.base.revision, source=place)
    except EnvironmentProblem:
        return 0
    return len(marked_prompt(base, recipe).ids)


def _largest(model: torch.nn.Module, matrices: set[str]) -> int:
    """Bytes of the largest 4-bit matrix while it is multiplied with, in the computation's dtype."""
    weights = [model.get_parameter(f"{name}.weight") for name in matrices]
    return max(value.numel() * value.element_size() for value in weights)


def _part(weights: Weights) -> Part:
    return Part(_WORDS[weights.group], weights.bytes, weights.parameters)


def _bytes(values: Iterable[torch.Tensor]) -> int:
    return sum(value.numel() * value.element_size() for value in values)


def _count(values: Iterable[torch.Tensor]) -> int:
    return sum(value.numel() for value in values)
