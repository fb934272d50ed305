"""`python -m benchmarks.train_sides SIDE FOLDER`: one side of `benchmarks.train`, in this process.

`chain` is the package's own steps. `loop` is what people write with transformers and PEFT: whole
logits, a hook that looks for the marker in Python, and for activations one row at a time with all
hidden states kept. It is written as such code is, and not to be slow.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import peft
import torch
import transformers

from benchmarks.process import peak
from nla_release.contract.explanation import wrap
from nla_release.contract.injection import rescale
from nla_release.contract.prompt import MarkedPrompt, mark
from nla_release.engine.activations import Activations, read_activations
from nla_release.engine.base import quiet_libraries
from nla_release.training.av import train_av
from nla_release.training.extract import extract
from nla_release.training.loop import MAX_GRADIENT_NORM
from nla_release.training.recipe import Recipe, read_recipe

RECIPE = "recipe.yaml"


@dataclass(frozen=True)
class Side:
    """What one side did, and what that cost."""

    figures: list[float]  # losses of all steps, or the first value of each activation
    units: int  # tokens trained on, or activations taken
    seconds: float  # of the steps, or of the whole extraction
    cpu_seconds: float  # of all of it, loading included, on this process's clock
    peak: float  # MB, the most this process held
    libraries: float  # MB of it before anything was loaded


def chain_av(recipe: Recipe, folder: Path) -> tuple[list[float], float]:
    """Losses and seconds of the steps, tripwire included."""
    done = train_av(recipe, folder, device="cpu", again=True)
    return [step.loss for step in done.steps], done.seconds


def loop_av(recipe: Recipe, folder: Path) -> tuple[list[float], float]:
    """The same steps on the same rows in the same order."""
    base = str(recipe.base.path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings = recipe.av
    torch.manual_seed(settings.seed)
    config = peft.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.target_modules,
        task_type="CAUSAL_LM",
    )
    model = peft.get_peft_model(model, config).train()
    data = _rows(folder, "av_sft")
    prompt = _prompt(tokenizer, recipe)
    trio = [prompt.left_id, prompt.token_id, prompt.right_id]
    pending: dict[str, torch.Tensor] = {}

    def hook(_module: Any, _args: Any, output: torch.Tensor) -> torch.Tensor:
        changed, ids = output.clone(), pending["ids"]
        for row in range(ids.shape[0]):
            for at in range(1, ids.shape[1] - 1):
                if (
                    ids[row, at].item() == trio[1]
                    and ids[row, at - 1].item() == trio[0]
                    and ids[row, at + 1].item() == trio[2]
                ):
                    changed[row, at] = pending["vectors"][row].to(changed.dtype)
                    break
        return changed

    model.get_input_embeddings().register_forward_hook(hook)
    optimizer = torch.optim.AdamW(
        [it for it in model.parameters() if it.requires_grad], lr=settings.learning_rate
    )
    texts = _texts(tokenizer, data, list(prompt.ids))
    losses, started = [], time.perf_counter()
    for step, rows in enumerate(_order(recipe, len(texts))):
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * (1 - step / settings.steps)
        batch = [texts[row] for row in rows]
        longest = max(map(len, batch))
        ids = torch.full((len(batch), longest), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        labels = torch.full_like(ids, -100)
        for at, text in enumerate(batch):
            ids[at, : len(text)] = torch.tensor(text)
            mask[at, : len(text)] = 1
            labels[at, len(prompt.ids) : len(text)] = ids[at, len(prompt.ids) : len(text)]
        vectors = torch.from_numpy(data.vectors[rows])
        pending |= {"ids": ids, "vectors": rescale(vectors, settings.injection_scale)}
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses, time.perf_counter() - started


def chain_extract(recipe: Recipe, folder: Path) -> tuple[list[float], float]:
    """Everything that `train extract` does, loading and writing included."""
    started = time.perf_counter()
    extract(recipe, folder, device="cpu", again=True)
    seconds = time.perf_counter() - started
    return _rows(folder, "base").vectors[:, 0].tolist(), seconds


@torch.no_grad()
def loop_extract(recipe: Recipe, folder: Path) -> tuple[list[float], float]:
    """The text up to each position through the whole base, loading included, nothing written."""
    data = _rows(folder, "base")
    started = time.perf_counter()
    base = str(recipe.base.path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    found = []
    for text in data.texts:
        ids = tokenizer(text, return_tensors="pt").input_ids
        hidden = model(input_ids=ids, output_hidden_states=True).hidden_states
        found.append(hidden[recipe.extract.layer + 1][0, -1].float().numpy())
    return np.stack(found)[:, 0].tolist(), time.perf_counter() - started


WORK = {
    ("av", "chain"): chain_av,
    ("av", "loop"): loop_av,
    ("extract", "chain"): chain_extract,
    ("extract", "loop"): loop_extract,
}


def tokens_trained_on(recipe: Recipe, folder: Path) -> int:
    """Tokens of all rows of all steps, padding left out."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(recipe.base.path))
    prompt = _prompt(tokenizer, recipe)
    texts = _texts(tokenizer, _rows(folder, "av_sft"), list(prompt.ids))
    return sum(len(texts[row]) for rows in _order(recipe, len(texts)) for row in rows)


def _rows(folder: Path, name: str) -> Activations:
    return read_activations(folder / "data" / f"{name}.parquet", 64)


def _prompt(tokenizer: Any, recipe: Recipe) -> MarkedPrompt:
    def encode(text: str, special: bool) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=special)
        return ids

    return mark(encode, recipe.templates.av, recipe.marker)


def _texts(tokenizer: Any, data: Activations, prompt: list[int]) -> list[list[int]]:
    return [
        [*prompt, *tokenizer.encode(wrap(str(text)), add_special_tokens=False), end]
        for end in [tokenizer.eos_token_id]
        for text in data.explanations
    ]


def _order(recipe: Recipe, rows: int) -> list[list[int]]:
    """The rows of each step: every row once before any row twice."""
    settings = recipe.av
    size = settings.micro_batch
    generator, queue = np.random.default_rng(settings.seed), list[int]()
    while len(queue) < size * settings.steps:
        queue += generator.permutation(rows).tolist()
    return [queue[at * size : (at + 1) * size] for at in range(settings.steps)]


@click.command()
@click.argument("work", type=click.Choice(["av", "extract"]))
@click.argument("side", type=click.Choice(["chain", "loop"]))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--result", type=click.Path(path_type=Path), required=True)
def command(work: str, side: str, folder: Path, result: Path) -> None:
    """Do WORK as one SIDE in FOLDER, and write what came out and what it cost."""
    torch.set_num_threads(1)
    quiet_libraries()
    recipe = read_recipe(folder / RECIPE)
    libraries = peak()
    busy = time.process_time()
    figures, seconds = WORK[work, side](recipe, folder)
    busy, most = time.process_time() - busy, peak()
    units = tokens_trained_on(recipe, folder) if work == "av" else len(figures)
    result.write_text(json.dumps(asdict(Side(figures, units, seconds, busy, most, libraries))))


if __name__ == "__main__":
    sys.exit(command())
