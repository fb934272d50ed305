"""`python -m benchmarks.sides SIDE FOLDER`: one side of `benchmarks.roundtrip`, in this process.

`engine` is the package. `loop` is what people run from a model card: a base for each adapter, one
row at a time, a hook that looks for the marker in Python, and an AR that runs every block and keeps
every hidden state. It is written as such code is, and not to be slow.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import peft
import torch
import transformers
from safetensors.torch import load_file
from torch.profiler import ProfilerActivity, profile

from benchmarks.process import peak
from nla_release import Pair
from nla_release.contract.explanation import read_explanation
from nla_release.contract.injection import rescale
from nla_release.contract.prompt import ar_prompt
from nla_release.contract.sidecar import read_sidecar
from nla_release.engine.activations import read_activations
from nla_release.engine.base import quiet_libraries
from nla_release.release.folder import Release, read_release

# What multiplies matrices; the name of anything else that is done to tensors begins with aten.
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::_scaled_dot_product")


@dataclass(frozen=True)
class Side:
    """What one side said and read, and what that cost."""

    texts: list[str]
    vectors: list[list[float]]
    av_seconds: float
    ar_seconds: float
    cpu_seconds: float  # of both, on this process's clock: whatever else runs, it stands still
    load_seconds: float
    peak: float  # MB, the most this process held
    libraries: float  # MB of it before anything was loaded
    weights: float  # MB of parameters in memory
    shares: dict[str, float]  # of the time, when profiled


class EngineSide:
    """The package, as `nla-release roundtrip` runs it."""

    def __init__(self, release: Release, batch_size: int) -> None:
        self._batch = batch_size
        self._tokens = release.config.evaluation.max_new_tokens
        self._pair = Pair.from_pretrained(
            release.adapter("av"), release.adapter("ar"), base=release.base_path, device="cpu"
        )
        self.models: list[torch.nn.Module] = [self._pair.base.model]

    def explain(self, vectors: torch.Tensor) -> list[str]:
        """Texts of activations `[N, d]`."""
        said = self._pair.explain(vectors, max_new_tokens=self._tokens, batch_size=self._batch)
        return [explanation.text for explanation in said]

    def reconstruct(self, texts: list[str]) -> torch.Tensor:
        """Activations `[N, d]` of texts."""
        return self._pair.reconstruct(texts, batch_size=self._batch)


class LoopSide:
    """The loop of a usage snippet, once for every row."""

    def __init__(self, release: Release) -> None:
        self._tokens = release.config.evaluation.max_new_tokens
        self._contract = {
            "av": read_sidecar(release.adapter("av"), "av"),
            "ar": read_sidecar(release.adapter("ar"), "ar"),
        }
        base = str(release.base_path or release.config.base_model)
        quiet_libraries()
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(base)
        self._av = self._load(base, release.adapter("av"))
        self._ar = self._load(base, release.adapter("ar"))
        self.models: list[torch.nn.Module] = [self._av, self._ar]
        head = self._contract["ar"].head
        self._head = load_file(release.adapter("ar") / head.file)[head.key].float()
        self._ids, self._vector = torch.empty(0), torch.empty(0)
        self._av.get_input_embeddings().register_forward_hook(self._replace)

    @torch.no_grad()
    def explain(self, vectors: torch.Tensor) -> list[str]:
        """Texts of activations `[N, d]`."""
        sidecar, texts = self._contract["av"], []
        for vector in vectors:
            ids = torch.tensor([sidecar.injection.prompt_token_ids])
            self._ids = ids
            self._vector = rescale(vector.unsqueeze(0), sidecar.injection.scale)
            output = self._av.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=self._tokens,
                do_sample=False,
                pad_token_id=self._tokenizer.pad_token_id,
            )[0, ids.shape[1] :]
            raw = self._tokenizer.decode(output, skip_special_tokens=True)
            ended = self._tokenizer.eos_token_id in output.tolist()
            texts.append(read_explanation(raw, ended=ended).text)
        return texts

    @torch.no_grad()
    def reconstruct(self, texts: list[str]) -> torch.Tensor:
        """Activations `[N, d]` of texts."""
        sidecar, rows = self._contract["ar"], []
        for text in texts:
            prompt = ar_prompt(sidecar.prompt_templates.ar, text)
            ids = self._tokenizer(prompt, return_tensors="pt").input_ids
            hidden = self._ar(input_ids=ids, output_hidden_states=True).hidden_states
            rows.append(hidden[sidecar.head.blocks][0, -1].float() @ self._head.T)
        return torch.stack(rows)

    def _load(self, base: str, adapter: Path) -> Any:
        model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        return peft.PeftModel.from_pretrained(model, adapter).eval()

    def _replace(self, _module: Any, _args: Any, output: torch.Tensor) -> torch.Tensor:
        if output.shape[1] == 1:
            return output
        tokens, changed = self._contract["av"].tokens, output.clone()
        for row in range(self._ids.shape[0]):
            for at in range(1, self._ids.shape[1] - 1):
                if (
                    self._ids[row, at].item() == tokens.injection_token_id
                    and self._ids[row, at - 1].item() == tokens.injection_left_neighbor_id
                    and self._ids[row, at + 1].item() == tokens.injection_right_neighbor_id
                ):
                    changed[row, at] = self._vector[row].to(changed.dtype)
                    break
        return changed


def measure(side: str, folder: Path, rows: int, batch_size: int, *, profiled: bool) -> Side:
    """Run one side on the first rows of a release's held-out activations."""
    release = read_release(folder)
    width = read_sidecar(release.adapter("av"), "av").d_model
    vectors = torch.from_numpy(read_activations(release.evaluation_data, width).vectors[:rows])
    libraries = peak()
    started = time.perf_counter()
    runs = EngineSide(release, batch_size) if side == "engine" else LoopSide(release)
    loaded = time.perf_counter()
    shares: dict[str, float] = {}
    if profiled:
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            runs.reconstruct(runs.explain(vectors))
        shares = _shares(profiler, time.perf_counter() - loaded)
    explaining, busy = time.perf_counter(), time.process_time()
    texts = runs.explain(vectors)
    explained = time.perf_counter()
    read = runs.reconstruct(texts)
    finished = time.perf_counter()
    return Side(
        texts,
        read.tolist(),
        explained - explaining,
        finished - explained,
        time.process_time() - busy,
        loaded - started,
        peak(),
        libraries,
        sum(_megabytes(model) for model in runs.models),
        shares,
    )


def _megabytes(model: torch.nn.Module) -> float:
    return sum(value.numel() * value.element_size() for value in model.parameters()) / 1e6


def _shares(profiler: profile, seconds: float) -> dict[str, float]:
    """Shares of the time: in products of matrices, in other tensor work, and outside of tensors."""
    products = others = 0.0
    for event in profiler.key_averages():
        spent = event.self_cpu_time_total / 1e6
        if event.key.startswith(PRODUCTS):
            products += spent
        elif event.key.startswith("aten::"):
            others += spent
    return {
        "products of matrices": products / seconds,
        "other tensor work": others / seconds,
        "Python around it": 1 - (products + others) / seconds,
    }


@click.command()
@click.argument("side", type=click.Choice(["engine", "loop"]))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--rows", default=200)
@click.option("--batch-size", default=100)
@click.option("--profile", "profiled", is_flag=True)
@click.option("--result", type=click.Path(path_type=Path), required=True)
def command(
    side: str, folder: Path, rows: int, batch_size: int, profiled: bool, result: Path
) -> None:
    """Run a SIDE on the release in FOLDER, and write what it said and what it cost."""
    torch.set_num_threads(1)
    done = measure(side, folder, rows, batch_size, profiled=profiled)
    result.write_text(json.dumps(asdict(done)))


if __name__ == "__main__":
    sys.exit(command())
