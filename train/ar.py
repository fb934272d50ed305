"""`python -m train.ar RECIPE`: train the activation reconstructor.

The AR reads its last token at the output of its read block, without the final norm, through a
linear head that starts near the identity. The loss compares directions only:
`mse = 2 (1 - cos)`, which is the squared distance of unit vectors.
"""

from pathlib import Path
from typing import Any

import click
import torch

from nla_release.engine.base import Base, block_output, decoder_of, embedding_norm
from nla_release.engine.batches import pad_right
from nla_release.errors import ConfigError
from nla_release.prompt import ar_prompt
from nla_release.schema import parse
from nla_release.sidecar import HEAD_FILE_NAME, Sidecar
from train.adapter import add_lora, load, save, sidecar_common, summary, trainable, training_facts
from train.command import run, step
from train.dataset import TrainingRows, read_training_rows
from train.loop import Fit, fit
from train.recipe import Recipe, Reconstructor, read_recipe


def train_ar(recipe: Recipe, folder: Path, *, device: str | None = None) -> Fit:
    """Train on `data/train.parquet` and write `pair/ar`; gives its steps.

    Raises:
        ConfigError: the recipe does not fit the base, or an explanation is too long.
        DataError: the rows are of another recipe, or have no explanations.
    """
    base = load(recipe, device)
    rows = read_training_rows(folder, recipe, base)
    if recipe.ar.read_block >= (blocks := len(decoder_of(base.model).layers)):
        raise ConfigError(f"ar.read_block is {recipe.ar.read_block}, the base has {blocks} blocks")
    norm = embedding_norm(base.model)
    model = add_lora(base, recipe.ar)
    head = new_head(rows.activations.vectors.shape[1], recipe.ar).to(base.device)
    parameters = [*trainable(model), *head.parameters()]
    loss = _loss(base, model, head, rows, recipe)
    done = fit("train AR", parameters, loss, len(rows.activations), recipe.ar)
    sidecar = _sidecar(recipe, base, rows, norm, done, folder)
    save(folder / "pair" / "ar", model, sidecar, done, head)
    return done


def new_head(d_model: int, settings: Reconstructor) -> torch.nn.Linear:
    """A linear head `[d, d]` at `head_init` times the identity, its bias zero."""
    head = torch.nn.Linear(d_model, d_model, bias=settings.head_bias)
    torch.nn.init.eye_(head.weight)
    with torch.no_grad():
        head.weight.mul_(settings.head_init)
        if head.bias is not None:
            head.bias.zero_()
    return head


def _loss(base: Base, model: Any, head: torch.nn.Linear, rows: TrainingRows, recipe: Recipe) -> Any:
    gold = torch.from_numpy(rows.activations.vectors)
    prompts = _prompts(base, rows, recipe)

    def loss(batch: list[int]) -> torch.Tensor:
        ids, mask, last = pad_right(
            [prompts[row] for row in batch], base.tokenizer.pad_token_id, base.device
        )
        hidden = block_output(model, recipe.ar.read_block, ids, mask)
        read = hidden[torch.arange(len(batch), device=hidden.device), last]
        cosine = torch.nn.functional.cosine_similarity(
            head(read.float()), gold[batch].to(read.device), dim=-1
        )
        return (2 * (1 - cosine)).mean()

    return loss


def _prompts(base: Base, rows: TrainingRows, recipe: Recipe) -> list[list[int]]:
    prompts = [
        base.encode(ar_prompt(recipe.templates.ar, text), True)
        for text in rows.activations.explanations
        if text is not None
    ]
    if (longest := max(map(len, prompts))) > recipe.ar.max_tokens:
        raise ConfigError(
            f"the longest AR prompt is {longest} tokens, ar.max_tokens is {recipe.ar.max_tokens}",
            hint="raise ar.max_tokens, or shorten the explanations; they are never cut silently",
        )
    return prompts


def _sidecar(
    recipe: Recipe, base: Base, rows: TrainingRows, norm: float, done: Fit, folder: Path
) -> Sidecar:
    document = sidecar_common("ar", recipe, base, rows, norm)
    document["critic"] = {"extraction_layer_index": recipe.ar.read_block}
    ours = document["nla_release"]
    d_model = document["d_model"]
    ours["adapters"] = [{"path": ".", "rank": recipe.ar.rank, "alpha": recipe.ar.alpha}]
    ours["ar_head"] = {
        "file": HEAD_FILE_NAME,
        "key": "weight",
        "shape": [d_model, d_model],
        "bias": recipe.ar.head_bias,
        "dtype": "float32",
        "blocks": recipe.ar.read_block + 1,
        "final_norm": "identity",
    }
    ours["training"] = training_facts(recipe, recipe.ar, rows, done, folder, base)
    return parse(Sidecar, document, "the new AR's sidecar")


@step
def command(recipe: Path, folder: Path, device: str | None) -> None:
    """Train the activation reconstructor of RECIPE; writes pair/ar in the folder."""
    done = train_ar(read_recipe(recipe), folder, device=device)
    click.echo(summary(folder / "pair" / "ar", done), err=True)


if __name__ == "__main__":
    run(command, "ar")
