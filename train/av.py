"""`python -m train.av RECIPE`: train the activation verbalizer.

Next-token loss on `<explanation>...</explanation>` and the end of text, with the activation
injected at the marker; the prompt itself is not learned.
"""

from pathlib import Path
from typing import Any

import click
import torch

from nla_release.engine.base import Base, embedding_norm
from nla_release.engine.batches import pad_right
from nla_release.engine.hooks import injecting
from nla_release.errors import ConfigError
from nla_release.explanation import wrap
from nla_release.prompt import MarkedPrompt
from nla_release.schema import parse
from nla_release.sidecar import Sidecar, Tokens
from train.adapter import (
    add_lora,
    chat_of,
    load,
    marked_prompt,
    save,
    sidecar_common,
    summary,
    trainable,
    training_facts,
)
from train.command import run, step
from train.dataset import TrainingRows, read_training_rows
from train.loop import Fit, fit
from train.recipe import Recipe, read_recipe

# Outside this band around the base's own embedding norm an AV trains on inputs the base has never
# seen, while its loss still falls (the F72 retraction of SolshineCode/nla-gemma-4-e2b: scale
# 80000 on an embedding norm of 39.25 cost eight days).
SCALE_BAND = (0.5, 3.0)


def train_av(
    recipe: Recipe, folder: Path, *, device: str | None = None, allow_ood_injection: bool = False
) -> Fit:
    """Train on `data/train.parquet` and write `pair/av`; gives its steps.

    Raises:
        ConfigError: the injection scale is out of proportion, or the recipe does not fit the base.
        DataError: the rows are of another recipe, or have no explanations.
    """
    base = load(recipe, device)
    rows = read_training_rows(folder, recipe, base)
    norm = embedding_norm(base.model)
    check_scale(recipe.av.injection_scale, norm, allowed=allow_ood_injection)
    prompt = marked_prompt(base, recipe)
    model = add_lora(base, recipe.av)
    loss = _loss(base, model, rows, prompt, recipe)
    done = fit("train AV", trainable(model), loss, len(rows.activations), recipe.av)
    sidecar = _sidecar(recipe, base, rows, prompt, norm, done, folder)
    save(folder / "pair" / "av", model, sidecar, done)
    return done


def check_scale(scale: float, norm: float, *, allowed: bool) -> None:
    """Refuse an injection scale out of proportion to the mean embedding norm.

    Raises:
        ConfigError: outside `SCALE_BAND` times the norm, unless allowed.
    """
    low, high = (bound * norm for bound in SCALE_BAND)
    if not (low <= scale <= high or allowed):
        raise ConfigError(
            f"injection_scale {scale:g} is {scale / norm:.3g} times the base's mean embedding norm"
            f" {norm:.4g}; between {low:.4g} and {high:.4g} is in proportion",
            hint="set av.injection_scale near the norm, or pass --allow-ood-injection",
        )


def _loss(base: Base, model: Any, rows: TrainingRows, prompt: MarkedPrompt, recipe: Recipe) -> Any:
    tokens = Tokens(
        injection_char=recipe.marker,
        injection_token_id=prompt.token_id,
        injection_left_neighbor_id=prompt.left_id,
        injection_right_neighbor_id=prompt.right_id,
        critic_suffix_ids=None,
    )
    vectors = torch.from_numpy(rows.activations.vectors)
    answers = _answers(base, rows, recipe.av.max_tokens - len(prompt.ids))
    start = len(prompt.ids)

    def loss(batch: list[int]) -> torch.Tensor:
        ids, mask, _ = pad_right(
            [[*prompt.ids, *answers[row]] for row in batch],
            base.tokenizer.pad_token_id,
            base.device,
        )
        targets = ids[:, start:].masked_fill(mask[:, start:] == 0, -100)
        with injecting(model, vectors[batch], tokens, recipe.av.injection_scale):
            logits = model(
                input_ids=ids,
                attention_mask=mask,
                use_cache=False,
                logits_to_keep=targets.shape[1] + 1,
            ).logits
        return torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1).float(), targets.flatten(), ignore_index=-100
        )

    return loss


def _answers(base: Base, rows: TrainingRows, room: int) -> list[list[int]]:
    answers = [
        [*base.encode(wrap(text), False), base.tokenizer.eos_token_id]
        for text in rows.activations.explanations
        if text is not None
    ]
    if (longest := max(map(len, answers))) > room:
        raise ConfigError(
            f"the longest explanation is {longest} tokens, av.max_tokens leaves {room} for it",
            hint="raise av.max_tokens, or shorten the explanations; they are never cut silently",
        )
    return answers


def _sidecar(
    recipe: Recipe,
    base: Base,
    rows: TrainingRows,
    prompt: MarkedPrompt,
    norm: float,
    done: Fit,
    folder: Path,
) -> Sidecar:
    document = sidecar_common("av", recipe, base, rows, norm)
    document["extraction"]["injection_scale"] = recipe.av.injection_scale
    ours, chat = document["nla_release"], chat_of(base, recipe)
    ours["injection"] = {
        "site": "embedding",
        "op": "replace",
        "scale": recipe.av.injection_scale,
        "prompt_encoding": recipe.prompt_encoding,
        "chat_template": {"sha256": chat.sha256, "options": recipe.chat_options} if chat else None,
        "prompt_token_ids": list(prompt.ids),
        "marker_position": prompt.position,
    }
    ours["adapters"] = [{"path": ".", "rank": recipe.av.rank, "alpha": recipe.av.alpha}]
    ours["training"] = training_facts(recipe, recipe.av, rows, done, folder, base)
    return parse(Sidecar, document, "the new AV's sidecar")


@step
@click.option(
    "--allow-ood-injection",
    is_flag=True,
    help="Train although the injection scale is out of proportion to the embedding norm.",
)
def command(recipe: Path, folder: Path, device: str | None, allow_ood_injection: bool) -> None:
    """Train the activation verbalizer of RECIPE; writes pair/av in the folder."""
    done = train_av(
        read_recipe(recipe), folder, device=device, allow_ood_injection=allow_ood_injection
    )
    click.echo(summary(folder / "pair" / "av", done), err=True)


if __name__ == "__main__":
    run(command, "av")
