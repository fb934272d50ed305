"""`python -m benchmarks.real FOLDER`: speed at a real size, on the pair that `make real` left.

It is compared with what people write with transformers and PEFT at the same batch size: a batched
`generate` with the same hook, a batched forward pass that keeps all hidden states, and a loop that
trains with full logits in the order in which rows are drawn. Both sides run in one process and in
turn, so that whatever else the machine does falls on both, and the ratios are of wall time.
"""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import peft
import torch
import transformers
from safetensors.torch import load_file

from nla_release import Pair
from nla_release.contract.explanation import read_explanation
from nla_release.contract.injection import inject, rescale
from nla_release.contract.prompt import ar_prompt
from nla_release.contract.sidecar import read_sidecar
from nla_release.engine.activations import read_activations
from nla_release.engine.base import LoadedBase, load_base, quiet_libraries
from nla_release.engine.batches import pad_right
from nla_release.engine.extraction import activations_at, encode_text
from nla_release.engine.hooks import injecting
from nla_release.release.folder import Release, read_release
from nla_release.training.av import VerbalizerTask
from nla_release.training.learner import add_lora
from nla_release.training.loop import Draw
from nla_release.training.recipe import Recipe, read_recipe
from nla_release.training.token_loss import whole_answer_losses


@dataclass(frozen=True)
class Work:
    """Something that both sides do: the aim is how many times as fast ours should be."""

    title: str
    aim: float
    units: str
    count: int
    ours: Callable[[], Any]
    plain: Callable[[], Any]
    agree: Callable[[Any, Any], str]


class PlainPair:
    """The pair as PEFT loads it, batched, without the engine."""

    def __init__(self, release: Release, batch_size: int) -> None:
        self._batch, self._tokens = batch_size, release.config.evaluation.max_new_tokens
        self._av, self._ar = (read_sidecar(release.adapter(role), role) for role in ("av", "ar"))
        base = str(release.base_path)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        self._models = {}
        for role in ("av", "ar"):
            model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
            self._models[role] = peft.PeftModel.from_pretrained(model, release.adapter(role)).eval()
        self._head = load_file(release.adapter("ar") / self._ar.head.file)[self._ar.head.key]

    @torch.no_grad()
    def explain(self, vectors: torch.Tensor) -> list[str]:
        """Texts of activations `[N, d]`."""
        injection, model, texts = self._av.injection, self._models["av"], []
        for part in torch.split(vectors, self._batch):
            ids = torch.tensor([injection.prompt_token_ids] * len(part))
            with injecting(model, part, self._av.tokens, injection.scale):
                output = model.generate(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    max_new_tokens=self._tokens,
                    do_sample=False,
                    pad_token_id=self._tokenizer.pad_token_id,
                )
            for row in output[:, ids.shape[1] :]:
                raw = self._tokenizer.decode(row, skip_special_tokens=True)
                ended = self._tokenizer.eos_token_id in row.tolist()
                texts.append(read_explanation(raw, ended=ended).text)
        return texts

    @torch.no_grad()
    def reconstruct(self, texts: Sequence[str]) -> torch.Tensor:
        """Activations `[N, d]` of texts."""
        prompts = [
            self._tokenizer(ar_prompt(self._ar.prompt_templates.ar, text)).input_ids
            for text in texts
        ]
        found = []
        for at in range(0, len(prompts), self._batch):
            ids, mask, last = pad_right(prompts[at : at + self._batch], 0, "cpu")
            hidden = self._models["ar"](
                input_ids=ids, attention_mask=mask, output_hidden_states=True
            ).hidden_states[self._ar.head.blocks]
            found.append(hidden[torch.arange(len(ids)), last].float() @ self._head.float().T)
        return torch.cat(found)


def explaining(release: Release, rows: int, batch: int) -> list[Work]:
    """Explaining and reading back the first held-out rows."""
    pair = Pair.from_pretrained(
        release.adapter("av"), release.adapter("ar"), base=release.base_path, device="cpu"
    )
    plain, tokens = PlainPair(release, batch), release.config.evaluation.max_new_tokens
    vectors = torch.from_numpy(read_activations(release.evaluation_data, pair.d_model).vectors)
    vectors = vectors[:rows]
    texts = plain.explain(vectors)
    return [
        Work(
            "explaining, compared with a batched generate with the same hook",
            1.5,
            "rows",
            rows,
            lambda: [
                each.text for each in pair.explain(vectors, max_new_tokens=tokens, batch_size=batch)
            ],
            lambda: plain.explain(vectors),
            lambda ours, theirs: (
                f"{sum(a == b for a, b in zip(ours, theirs, strict=True))} of {rows} texts equal"
            ),
        ),
        Work(
            "reading back, compared with a batched forward pass with all hidden states",
            1.2,
            "rows",
            rows,
            lambda: pair.reconstruct(texts, batch_size=batch),
            lambda: plain.reconstruct(texts),
            _apart,
        ),
    ]


def extracting(base: LoadedBase, recipe: Recipe, folder: Path, documents: int) -> Work:
    """Taking the activations of documents, at the recipe's batch size."""
    layer, size = recipe.extract.layer, recipe.extract.batch_size
    data = read_activations(folder / "data" / "base.parquet", 576)
    texts = list(dict.fromkeys(text for text in data.texts if text))[:documents]
    ids = [encode_text(base, text)["input_ids"] for text in texts]
    last = [[len(row) - 1] for row in ids]

    def ours() -> torch.Tensor:
        found = []
        for at in range(0, len(ids), size):
            found += activations_at(base, layer, ids[at : at + size], last[at : at + size])
        return torch.from_numpy(np.concatenate(found))

    @torch.no_grad()
    def plain() -> torch.Tensor:
        found = []
        for at in range(0, len(ids), size):
            padded, mask, ends = pad_right(ids[at : at + size], base.pad_id, "cpu")
            states = base.model(
                input_ids=padded, attention_mask=mask, output_hidden_states=True
            ).hidden_states
            found.append(states[layer + 1][torch.arange(len(padded)), ends].float())
        return torch.cat(found)

    title = "taking activations, compared with a batched forward pass with all hidden states"
    return Work(title, 1.2, "documents", len(ids), ours, plain, _apart)


def training(base: LoadedBase, recipe: Recipe, folder: Path, steps: int) -> Work:
    """Forward and backward passes of an AV, four micro-batches a step."""
    sidecar = read_sidecar(folder / "pair" / "av", "av")
    data = read_activations(folder / "data" / "av_sft.parquet", sidecar.d_model)
    model = add_lora(base, recipe.av)
    task = VerbalizerTask(base, model, data, sidecar, recipe.av.max_tokens)
    size = recipe.av.micro_batch
    drawn = np.random.default_rng(0).permutation(task.rows)[: 4 * size * steps].tolist()
    groups = [drawn[at : at + 4 * size] for at in range(0, len(drawn), 4 * size)]

    def run(loss: Any, *, by_length: bool) -> torch.Tensor:
        own, task._answer_losses = task._answer_losses, loss or task._answer_losses  # noqa: SLF001
        total = torch.zeros(())
        for group in groups:
            rows = sorted(group, key=lambda row: task.longest([row])) if by_length else group
            for at in range(0, len(rows), size):
                lost = task.loss(rows[at : at + size], Draw(1, group)) / task.weight(group)
                lost.backward()  # type: ignore[no-untyped-call]
                total += lost.detach()
            model.zero_grad()
        task._answer_losses = own  # noqa: SLF001
        return total

    tokens = int(sum(task.weight([row]) for row in drawn))
    title = "training steps of an AV, compared with full logits and rows as they are drawn"
    return Work(
        title,
        1.3,
        "tokens",
        tokens,
        lambda: run(None, by_length=True),
        lambda: run(whole_answer_losses, by_length=False),
        _apart,
    )


def injecting_alone() -> Work:
    """An injection, compared with a copy of the embeddings [16, 160, 1536]."""
    ids = torch.zeros((16, 160), dtype=torch.long)
    ids[:, 49:52] = torch.tensor([1, 2, 3])
    embeddings, vectors = torch.randn(16, 160, 1536), rescale(torch.randn(16, 1536), 1.0)

    def ours() -> None:
        for _ in range(100):
            inject(ids, embeddings, vectors, marker_id=2, left_id=1, right_id=3)

    def plain() -> None:
        for _ in range(100):
            embeddings.clone()

    title = "injecting into [16, 160, 1536], compared with a copy of it"
    return Work(title, 1 / 1.3, "calls", 100, ours, plain, lambda *_: "")


def _apart(ours: torch.Tensor, theirs: torch.Tensor) -> str:
    return f"largest difference {float((ours - theirs).abs().max()):.1e}"


def compare(work: Work, runs: int) -> None:
    """Run both sides in turn, and show each pair of runs and the median ratio."""
    click.echo(f"\n{work.title}")
    ratios = []
    for number in range(1, runs + 1):
        started = time.perf_counter()
        ours = work.ours()
        between = time.perf_counter()
        theirs = work.plain()
        ended = time.perf_counter()
        ratios.append((ended - between) / (between - started))
        click.echo(
            f"{number:3}  {work.count / (between - started):10.2f} {work.units}/s"
            f"  {work.count / (ended - between):10.2f} {work.units}/s  {ratios[-1]:.2f}"
            f"  {work.agree(ours, theirs)}"
        )
    click.echo(f"median: {statistics.median(ratios):.2f} times as fast (aim: {work.aim:.2f})")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--runs", default=3, show_default=True, help="How often each side runs.")
@click.option("--rows", default=64, show_default=True, help="Held-out activations to explain.")
@click.option("--batch-size", default=32, show_default=True, help="Rows at once, of both sides.")
@click.option("--documents", default=64, show_default=True, help="Documents to extract from.")
@click.option("--steps", default=2, show_default=True, help="Training steps of 4 micro-batches.")
def command(
    folder: Path, runs: int, rows: int, batch_size: int, documents: int, steps: int
) -> None:
    """Measure the pair of FOLDER, which `make real` made, and plain transformers and PEFT."""
    quiet_libraries()
    release, recipe = read_release(folder), read_recipe(folder / "recipe.yaml")
    click.echo(
        f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, load average"
        f" {os.getloadavg()[0]:.1f}; ours, then the plain side"
    )
    compare(injecting_alone(), runs)
    for work in explaining(release, rows, batch_size):
        compare(work, runs)
    base = load_base(str(folder / "base"), None, quantization=None, dtype="float32", device="cpu")
    compare(extracting(base, recipe, folder, documents), runs)
    compare(training(base, recipe, folder, steps), runs)


if __name__ == "__main__":
    command()
