"""`nla-release train av RECIPE`: train the activation verbalizer.

Next-token loss on `<explanation>...</explanation>` and the end of text, with the activation
injected at the marker; the prompt itself is not learned.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nla_release.contract.explanation import wrap
from nla_release.contract.prompt import MarkedPrompt
from nla_release.contract.sidecar import Sidecar
from nla_release.engine.activations import Activations, read_activations
from nla_release.engine.architecture import embedding_norm
from nla_release.engine.base import LoadedBase
from nla_release.engine.batches import pad_right
from nla_release.engine.decoding import Decoding
from nla_release.engine.hooks import injecting
from nla_release.errors import ConfigError
from nla_release.io.schema import parse
from nla_release.training.adapter_training import Training, sidecar_common
from nla_release.training.checkpoints import Fit
from nla_release.training.dataset import TrainingRows, data_path, read_training_rows
from nla_release.training.gates import check_prompts, check_scale
from nla_release.training.learner import Learner, add_lora, load, without_dropout
from nla_release.training.loop import Draw, Watch
from nla_release.training.prompts import chat_of, marked_prompt
from nla_release.training.recipe import Recipe
from nla_release.training.token_loss import answer_losses, logits_are_known, whole_answer_losses
from nla_release.training.tripwire import held_out_rows, watch_av


def train_av(
    recipe: Recipe,
    folder: Path,
    *,
    device: str | None = None,
    allow_ood_injection: bool = False,
    again: bool = False,
) -> Fit:
    """Train on `data/av_sft.parquet` and write `pair/av`; gives its steps.

    Raises:
        ConfigError: the injection scale is out of proportion, or the recipe does not fit the base.
        DataError: the rows are of another recipe, or have no explanations.
        NlaReleaseError: the training went wrong, or its tripwire stopped it.
    """
    base = load(recipe, device)
    rows = read_training_rows(folder, recipe, base, "av")
    norm = embedding_norm(base.model)
    check_scale(recipe.av.injection_scale, norm, rows.activation_norm, allowed=allow_ood_injection)
    prompt = marked_prompt(base, recipe)
    sidecar = _sidecar(recipe, base, rows, prompt, norm)
    check_prompts(sidecar, base)
    model = add_lora(base, recipe.av)
    task = VerbalizerTask(base, model, rows.activations, sidecar, recipe.av.max_tokens)
    watch = _watch(task, folder, recipe, sidecar.d_model) if recipe.av.tripwire else None
    training = Training("av", recipe, folder, base, rows, Learner(model), sidecar, {})
    return training.run(task, watch, again=again)


class VerbalizerTask:
    """Saying the labels of rows, given their vectors: the AV's task."""

    def __init__(
        self, base: LoadedBase, model: Any, data: Activations, sidecar: Sidecar, max_tokens: int
    ) -> None:
        """Encode the labels, where there are any.

        Raises:
            ConfigError: prompt and label together are longer than `max_tokens`.
        """
        self.rows = len(data)
        self._base, self._model, self._sidecar = base, model, sidecar
        self._prompt = sidecar.injection.prompt_token_ids
        self._ids = data.ids
        self._vectors = torch.from_numpy(data.vectors)
        self._answers = self._encoded(data.explanations, max_tokens - len(self._prompt))
        prompt = torch.tensor([self._prompt], device=base.device)
        with without_dropout(model):
            known = logits_are_known(model, prompt)
        self._answer_losses = answer_losses if known else whole_answer_losses

    def loss(self, rows: list[int], draw: Draw) -> torch.Tensor:  # noqa: ARG002 - of every task
        """Sum over the tokens of the rows' labels of -log p."""
        return self.losses(rows, self._vectors[rows]).sum()

    def weight(self, rows: list[int]) -> float:
        """Tokens of the rows' labels."""
        return float(sum(len(self._answers[row]) for row in rows))

    def longest(self, rows: list[int]) -> int:
        """Tokens of the longest of these rows, prompt and label."""
        return len(self._prompt) + max(len(self._answers[row]) for row in rows)

    def about(self, rows: list[int]) -> str:
        """Ids and norms of rows, and the scale that they are injected at."""
        norms = ", ".join(f"{norm:.4g}" for norm in self._vectors[rows].norm(dim=-1).tolist())
        return (
            f"{', '.join(self._ids[row] for row in rows)} with activation norms {norms}, injected"
            f" at scale {self._sidecar.injection.scale:g}"
        )

    def losses(self, rows: Sequence[int], vectors: torch.Tensor) -> torch.Tensor:
        """Sum of -log p over the tokens of each row's label `[B]`, given vectors `[B, d]`."""
        answers = [self._answers[row] for row in rows]
        ids, mask, _ = pad_right(
            [[*self._prompt, *answer] for answer in answers],
            self._base.pad_id,
            self._base.device,
        )
        with injecting(self._model, vectors, self._sidecar.tokens, self._sidecar.injection.scale):
            return self._answer_losses(
                self._model, ids, mask, len(self._prompt), [*map(len, answers)]
            )

    @torch.no_grad()
    def likelihood(self, vectors: torch.Tensor, batch: int) -> torch.Tensor:
        """Mean log p per token of every row's label `[N]`, given vectors `[N, d]`."""
        found = []
        with without_dropout(self._model):
            for at in range(0, self.rows, batch):
                rows = range(self.rows)[at : at + batch]
                tokens = torch.tensor([len(self._answers[row]) for row in rows])
                found.append(-self.losses(rows, vectors[at : at + batch]).cpu() / tokens)
        return torch.cat(found)

    def say(self, vectors: torch.Tensor, batch: int, max_new_tokens: int) -> list[str]:
        """What the AV says of vectors `[N, d]`, greedy."""
        tokenizer, injection = self._base.tokenizer, self._sidecar.injection
        decoding = Decoding(
            self._model,
            self._prompt,
            injection.marker_position - 1,  # injection looks at the marker's left neighbour too
            end=tokenizer.eos_token_id,
            pad=self._base.pad_id,
            device=self._base.device,
        )
        said = []
        with without_dropout(self._model):
            for at in range(0, len(vectors), batch):
                part = vectors[at : at + batch]
                marked = injecting(self._model, part, self._sidecar.tokens, injection.scale)
                said += decoding.rows(len(part), max_new_tokens, marked)
        return [tokenizer.decode(ids, skip_special_tokens=True) for ids in said]

    def on(self, data: Activations, max_tokens: int) -> "VerbalizerTask":
        """The same model on other rows."""
        return VerbalizerTask(self._base, self._model, data, self._sidecar, max_tokens)

    def length(self, label: str) -> int:
        """Tokens of prompt and answer."""
        return len(self._prompt) + len(self._answer(label))

    def _answer(self, label: str) -> list[int]:
        return [*self._base.encode(wrap(label), False), self._base.tokenizer.eos_token_id]

    def _encoded(self, labels: Sequence[str | None], room: int) -> list[list[int]]:
        answers = [self._answer(text) for text in labels if text is not None]
        if (longest := max(map(len, answers), default=0)) > room:
            raise ConfigError(
                f"the longest explanation is {longest} tokens, av.max_tokens leaves {room} for it",
                hint="raise av.max_tokens, or shorten the explanations; they are never cut"
                " silently",
            )
        return answers


def _watch(task: VerbalizerTask, folder: Path, recipe: Recipe, d_model: int) -> Watch:
    settings, batch = recipe.av.tripwire, recipe.av.micro_batch
    assert settings is not None, "there is one to watch for"
    path = data_path(folder, "eval")
    data = held_out_rows(
        read_activations(path, d_model),
        settings.rows,
        recipe.av.seed,
        path,
        fits=lambda text: task.length(text) <= recipe.av.max_tokens,
    )
    held_out = task.on(data, recipe.av.max_tokens)
    labelled = None not in data.explanations
    return watch_av(
        data,
        (lambda vectors: held_out.likelihood(vectors, batch)) if labelled else None,
        lambda vectors: held_out.say(vectors, batch, settings.max_new_tokens),
        settings,
        recipe.av.seed,
    )


def _sidecar(
    recipe: Recipe, base: LoadedBase, rows: TrainingRows, prompt: MarkedPrompt, norm: float
) -> Sidecar:
    document = sidecar_common("av", recipe, base, rows, norm)
    document["extraction"]["injection_scale"] = recipe.av.injection_scale
    chat = chat_of(base, recipe)
    document["nla_release"]["injection"] = {
        "site": "embedding",
        "op": "replace",
        "scale": recipe.av.injection_scale,
        "prompt_encoding": recipe.prompt_encoding,
        "chat_template": {"sha256": chat.sha256, "options": recipe.chat_options} if chat else None,
        "prompt_token_ids": list(prompt.ids),
        "marker_position": prompt.position,
    }
    return parse(Sidecar, document, "the new AV's sidecar")
