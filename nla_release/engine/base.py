"""The base model: loading it once, finding its text decoder, reading one block's output."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.utils import cached_file

from nla_release.chat import Chat
from nla_release.errors import ConfigError, EnvironmentProblem, PairError, one_line
from nla_release.files import sha256_file
from nla_release.sidecar import Dtype, Quantization

_DTYPES: dict[Dtype, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True)
class Base:
    """A base model in memory, with its tokenizer and where both came from.

    `revision` is the commit that the Hub resolved the asked one to; for a folder, the one asked.
    """

    model: Any
    tokenizer: Any
    tokenizer_sha256: str
    revision: str | None
    quantization: Quantization | None
    dtype: Dtype
    device: str

    def encode(self, text: str, special: bool) -> list[int]:
        """Token ids of a text, with or without special tokens (BOS)."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=special)
        return ids

    @property
    def chat(self) -> Chat | None:
        """The tokenizer's chat template, when it has one."""
        template = self.tokenizer.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        return Chat(template, self.tokenizer.special_tokens_map) if template else None


def load_base(
    source: str,
    revision: str | None,
    *,
    quantization: Quantization | None,
    dtype: Dtype,
    device: str | None,
) -> Base:
    """Load a base model and its tokenizer from a folder or the Hub.

    Args:
        source: a folder, or a Hub id.
        revision: branch, tag or commit on the Hub; of a folder, only recorded.
        quantization: "nf4" for 4-bit weights by bitsandbytes, None for full precision.
        dtype: of the weights, or of the computation when quantized.
        device: torch device; None takes CUDA when there is one.

    Raises:
        ConfigError: there is no such kind of device.
        EnvironmentProblem: it cannot be found, downloaded or loaded here.
    """
    quiet_libraries()
    device = _device(device)
    config = None
    if quantization == "nf4":
        config = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=_DTYPES[dtype]
        )
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, revision=revision)
        tokenizer_file = cached_file(source, "tokenizer.json", revision=revision)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source,
            revision=revision,
            dtype=_DTYPES[dtype],
            quantization_config=config,
            device_map={"": device} if config else None,
        )
    except (OSError, ValueError, RuntimeError) as error:  # the last: weights of other shapes
        raise EnvironmentProblem(
            f"base model {source} (revision {revision or 'default'}) cannot be loaded:"
            f" {one_line(error)}",
            hint="check the id, HF_ENDPOINT and HF_HUB_OFFLINE, and log in if it is gated",
        ) from error
    if not config:
        model = model.to(device)
    model.eval().requires_grad_(False)
    return Base(
        model,
        tokenizer,
        sha256_file(Path(tokenizer_file)),
        getattr(model.config, "_commit_hash", None) or revision,
        quantization,
        dtype,
        device,
    )


def _device(name: str | None) -> str:
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(name).type
    except RuntimeError as error:
        raise ConfigError(
            f"there is no device {name!r}", hint="such as cpu, cuda, cuda:1"
        ) from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise EnvironmentProblem("this machine has no CUDA device", hint="leave out --device")
    return name


def decoder_of(model: Any) -> Any:
    """The text decoder inside a base or PEFT model: the module with `layers` and `norm`.

    Raises:
        PairError: the architecture has no such module.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    decoder = inner.get_decoder()
    if not hasattr(decoder, "layers") or not hasattr(decoder, "norm"):
        raise PairError(
            f"{type(inner).__name__} has no text decoder with `layers` and a final `norm`"
        )
    return decoder


@contextmanager
def stopping_after(model: Any, block: int) -> Iterator[Any]:
    """The text decoder, cut off after `block`, without its final norm.

    Inside, `last_hidden_state` is that block's output, and later blocks cost nothing. This is the
    reference contract's truncated AR. Outside, the model is whole again.
    """
    decoder = decoder_of(model)
    layers, norm = decoder.layers, decoder.norm
    decoder.layers, decoder.norm = layers[: block + 1], torch.nn.Identity()
    try:
        yield decoder
    finally:
        decoder.layers, decoder.norm = layers, norm


def block_output(
    model: Any, block: int, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> torch.Tensor:
    """Output of one decoder block, `[B, S, d]`: `hidden_states[block + 1]`, without final norm."""
    with stopping_after(model, block) as decoder:
        output: torch.Tensor = decoder(
            input_ids=input_ids, attention_mask=attention_mask, use_cache=False
        ).last_hidden_state
    return output


def embedding_norm(model: Any) -> float:
    """Mean L2 norm over the vocabulary of what the input embedding gives, scaling included."""
    embedding = model.get_input_embeddings()
    count: int = embedding.weight.shape[0]
    total = 0.0
    with torch.no_grad():
        for start in range(0, count, 8192):
            ids = torch.arange(start, min(start + 8192, count), device=embedding.weight.device)
            total += float(embedding(ids).float().norm(dim=-1).sum())
    return total / count


def quiet_libraries() -> None:
    """Keep the libraries' progress bars and advice out of a command's output."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
