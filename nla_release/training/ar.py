"""`nla-release train ar RECIPE`: train the activation reconstructor.

The AR reads its last token at the output of its read block, without the final norm, through a
linear head that starts near the identity. What it loses is in `variants`; in all of them the norm
of what it reads does not matter.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from nla_release.contract.prompt import ar_prompt
from nla_release.contract.sidecar import Sidecar
from nla_release.engine.activations import Activations, read_activations
from nla_release.engine.architecture import block_count, block_output, embedding_norm
from nla_release.engine.base import LoadedBase
from nla_release.engine.batches import pad_right
from nla_release.errors import ConfigError
from nla_release.io.layout import HEAD_FILE
from nla_release.io.schema import parse
from nla_release.training.adapter_training import Training, sidecar_common
from nla_release.training.checkpoints import Fit
from nla_release.training.dataset import TrainingRows, data_path, read_training_rows
from nla_release.training.gates import check_prompts
from nla_release.training.learner import Learner, add_lora, load, without_dropout
from nla_release.training.loop import Draw, Watch
from nla_release.training.recipe import Recipe
from nla_release.training.settings import (
    CrossRowContrastive,
    NoiseHinge,
    ParaphraseInvariant,
    ReconstructorSettings,
)
from nla_release.training.tripwire import held_out_rows, watch_ar
from nla_release.training.variants import (
    SecondTexts,
    contrastive_loss,
    direction_loss,
    hinge_loss,
    invariance_loss,
)


def train_ar(
    recipe: Recipe, folder: Path, *, device: str | None = None, again: bool = False
) -> Fit:
    """Train on `data/ar_sft.parquet` and write `pair/ar`; gives its steps.

    Raises:
        ConfigError: the recipe does not fit the base, or an explanation is too long.
        DataError: the rows are of another recipe, or have no explanations.
        NlaReleaseError: the training went wrong, or its tripwire stopped it.
    """
    base = load(recipe, device)
    rows = read_training_rows(folder, recipe, base, "ar")
    if recipe.read_block >= (blocks := block_count(base.model)):
        raise ConfigError(f"ar.read_block is {recipe.read_block}, the base has {blocks} blocks")
    sidecar = _sidecar(recipe, base, rows, embedding_norm(base.model))
    check_prompts(sidecar, base)
    model = add_lora(base, recipe.ar)
    head = new_head(sidecar.d_model, recipe.ar).to(base.device)
    task = ReconstructorTask(base, model, head, rows.activations, recipe)
    watch = _watch(task, folder, recipe, sidecar.d_model) if recipe.ar.tripwire else None
    training = Training("ar", recipe, folder, base, rows, Learner(model, head), sidecar, task.facts)
    return training.run(task, watch, again=again)


def new_head(d_model: int, settings: ReconstructorSettings) -> torch.nn.Linear:
    """A linear head `[d, d]` at `head_init` times the identity, its bias zero."""
    head = torch.nn.Linear(d_model, d_model, bias=settings.head_bias)
    torch.nn.init.eye_(head.weight)
    with torch.no_grad():
        head.weight.mul_(settings.head_init)
        if head.bias is not None:
            head.bias.zero_()
    return head


class ReconstructorTask:
    """Reading rows' vectors out of their labels: the AR's task, in the recipe's variant."""

    def __init__(
        self, base: LoadedBase, model: Any, head: torch.nn.Linear, data: Activations, recipe: Recipe
    ) -> None:
        """Encode the labels, and find the second texts of the variant.

        Raises:
            ConfigError: a prompt is longer than `ar.max_tokens`.
            DataError: the variant needs paraphrases, and there are none.
        """
        self.rows = len(data)
        self._base, self._model, self._head, self._recipe = base, model, head, recipe
        self._ids = data.ids
        self._gold = torch.from_numpy(data.vectors)
        self._labels = [text for text in data.explanations if text is not None]
        self._variant = recipe.ar.variant
        self._seconds = SecondTexts(self._variant, self._labels, data.paraphrases, recipe.ar.seed)
        texts = {*self._labels, *self._seconds.paraphrases}
        self._prompts = {text: self._encoded(text) for text in texts}
        self._check_lengths()

    @property
    def facts(self) -> dict[str, Any]:
        """What the sidecar records of the variant."""
        found: dict[str, Any] = {"variant": self._variant.model_dump()}
        if isinstance(self._variant, ParaphraseInvariant):
            found["paraphrased_rows"] = len(self._seconds.paraphrases)
        return found

    def loss(self, rows: list[int], draw: Draw) -> torch.Tensor:
        """Sum over the rows of what the variant loses."""
        gold = self._gold[rows].to(self._base.device)
        read = self.read([self._labels[row] for row in rows])
        loss = direction_loss(read, gold).sum()
        match self._variant:
            case CrossRowContrastive(weight=weight, temperature=temperature):
                excluded = torch.tensor(
                    [
                        [self._labels[row] == self._labels[other] for other in draw.rows]
                        for row in rows
                    ],
                    device=read.device,
                )
                own = [draw.rows.index(row) for row in rows]
                excluded[range(len(rows)), own] = False
                candidates = self._gold[draw.rows].to(read.device)
                extra = contrastive_loss(read, candidates, own, excluded, temperature)
                return loss + weight * extra.sum()
            case ParaphraseInvariant(weight=weight) | NoiseHinge(weight=weight):
                texts = {at: self._seconds.of(row, draw.number) for at, row in enumerate(rows)}
                have = [at for at, text in texts.items() if text is not None]
                if not have:
                    return loss
                second = self.read([text for text in texts.values() if text is not None])
                if isinstance(self._variant, NoiseHinge):
                    extra = hinge_loss(read[have], second, gold[have], self._variant.margin)
                else:
                    extra = invariance_loss(read[have], second)
                return loss + weight * extra.sum()
        return loss

    def weight(self, rows: list[int]) -> float:
        """Number of the rows."""
        return float(len(rows))

    def longest(self, rows: list[int]) -> int:
        """Tokens of the longest of these rows' prompts."""
        return max(self.length(self._labels[row]) for row in rows)

    def about(self, rows: list[int]) -> str:
        """Ids and norms of rows."""
        norms = ", ".join(f"{norm:.4g}" for norm in self._gold[rows].norm(dim=-1).tolist())
        return f"{', '.join(self._ids[row] for row in rows)} with activation norms {norms}"

    def read(self, texts: Sequence[str]) -> torch.Tensor:
        """What the AR reads out of texts, `[B, d]` float32."""
        ids, mask, last = pad_right(
            [self._prompt(text) for text in texts],
            self._base.pad_id,
            self._base.device,
        )
        hidden = block_output(self._model, self._recipe.read_block, ids, mask)
        read = hidden[torch.arange(len(texts), device=hidden.device), last]
        found: torch.Tensor = self._head(read.float())
        return found

    @torch.no_grad()
    def read_all(self, texts: Sequence[str]) -> torch.Tensor:
        """What the AR as it is now reads out of texts, `[N, d]` on the CPU."""
        batch = self._recipe.ar.micro_batch
        with without_dropout(self._model):
            found = [self.read(texts[at : at + batch]).cpu() for at in range(0, len(texts), batch)]
        return torch.cat(found)

    def length(self, text: str) -> int:
        """Tokens of a prompt."""
        return len(self._prompt(text))

    def _prompt(self, text: str) -> list[int]:
        known = self._prompts.get(text)
        return self._encoded(text) if known is None else known

    def _encoded(self, text: str) -> list[int]:
        return self._base.encode(ar_prompt(self._recipe.templates.ar, text), True)

    def _check_lengths(self) -> None:
        room = self._recipe.ar.max_tokens
        if (longest := max(map(len, self._prompts.values()))) > room:
            raise ConfigError(
                f"the longest AR prompt is {longest} tokens, ar.max_tokens is {room}",
                hint="raise ar.max_tokens, or shorten the explanations; they are never cut"
                " silently",
            )


def _watch(task: ReconstructorTask, folder: Path, recipe: Recipe, d_model: int) -> Watch:
    settings = recipe.ar.tripwire
    assert settings is not None, "there is one to watch for"
    path = data_path(folder, "eval")
    data = held_out_rows(
        read_activations(path, d_model),
        settings.rows,
        recipe.ar.seed,
        path,
        fits=lambda text: task.length(text) <= recipe.ar.max_tokens,
    )
    return watch_ar(data, task.read_all, settings, recipe.ar.seed, path)


def _sidecar(recipe: Recipe, base: LoadedBase, rows: TrainingRows, norm: float) -> Sidecar:
    document = sidecar_common("ar", recipe, base, rows, norm)
    document["critic"] = {"extraction_layer_index": recipe.read_block}
    d_model = document["d_model"]
    document["nla_release"]["ar_head"] = {
        "file": HEAD_FILE,
        "key": "weight",
        "shape": [d_model, d_model],
        "bias": recipe.ar.head_bias,
        "dtype": "float32",
        "blocks": recipe.read_block + 1,
        "final_norm": "identity",
    }
    return parse(Sidecar, document, "the new AR's sidecar")
