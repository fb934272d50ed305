"""The base model: loading it once, with its tokenizer, and where both came from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import torch
import transformers
from transformers.utils import cached_file

from nla_release.base_model.revision import check_source, resolve_commit
from nla_release.base_model.source import HubOptions
from nla_release.contract.chat import LEGACY_FILE_NAME, Chat, read_legacy_template
from nla_release.contract.sidecar import Dtype, Quantization
from nla_release.engine.architecture import lookup_tables, place, towers
from nla_release.engine.footprint import left_on_the_host, skeleton, weights_of
from nla_release.errors import ConfigError, EnvironmentProblem, InputError, one_line
from nla_release.hub_client.client import reading_client
from nla_release.io.files import check_regular, sha256_file

# As transformers takes it: "auto" and the like, or a device for each part.
DeviceMap = str | Mapping[str, str | int]

DTYPES: dict[Dtype, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass
class LoadedBase:
    """A base model in memory, with its tokenizer and where both came from.

    `revision` is the commit that was loaded from the Hub; for a folder, the one asked for. `device`
    takes the token ids; where the model is `spread`, other parts are on other devices.
    """

    model: Any
    tokenizer: Any
    tokenizer_sha256: str
    revision: str | None
    quantization: Quantization | None
    dtype: Dtype
    device: str
    spread: bool = False

    def to(self, device: str) -> None:
        """Move the model, and the adapters on it, to another device.

        Raises:
            ConfigError: there is no such device, or the model is spread over several.
            EnvironmentProblem: this machine has none.
        """
        if self.spread:
            raise ConfigError(
                "the base is spread over several devices and cannot be moved",
                hint="load the pair again with device=...",
            )
        self.device = _device(device)
        self.model.to(self.device)

    def encode(self, text: str, special: bool) -> list[int]:
        """Token ids of a text, with or without special tokens (BOS)."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=special)
        return ids

    @property
    def pad_id(self) -> int:
        """What fills up the shorter rows of a batch: any token would do, none looks at it."""
        ids = (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id, 0)
        return next(number for number in ids if number is not None)

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
    device_map: DeviceMap | None = None,
    **options: Unpack[HubOptions],
) -> LoadedBase:
    """Load a base model and its tokenizer from a folder or the Hub.

    Where a base would crowd its card, the parts that the card can do without stay on the host: see
    `nla_release.engine.footprint.left_on_the_host`.

    Args:
        source: a folder, or a Hub id.
        revision: branch, tag or commit on the Hub, resolved to its commit before anything is read;
            of a folder, only recorded.
        quantization: "nf4" for 4-bit weights by bitsandbytes, None for full precision.
        dtype: of the weights, or of the computation when quantized.
        device: torch device; None takes CUDA when there is one.
        device_map: in place of `device`, how transformers spreads the model, such as "auto".
        options: of what is downloaded.

    Raises:
        ConfigError: there is no such kind of device, folder or revision.
        EnvironmentProblem: it cannot be found, downloaded or loaded here.
        InputError: its tokenizer is damaged, or a file of its folder is not a regular one.
    """
    quiet_libraries()
    if device is not None and device_map is not None:
        raise ConfigError("device and device_map were both given", hint="give one of them")
    device = _device(device)
    check_source(source)
    if not Path(source).is_dir():
        revision = resolve_commit(source, revision, **options)
    config = None
    if quantization == "nf4":
        config = transformers.BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=DTYPES[dtype]
        )
    try:
        tokenizer, tokenizer_file = load_base_tokenizer(source, revision, **options)
        if not tokenizer.chat_template:
            tokenizer.chat_template = _legacy_template(source, revision, **options)
        host: list[str] = []
        if device_map is None:
            host = _host(source, revision, quantization, dtype, device, **options)
        at_once = {"": "cpu" if host else device} if config else None
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source,
            revision=revision,
            dtype=DTYPES[dtype],
            quantization_config=config,
            device_map=at_once if device_map is None else device_map,
            **options,
        )
    except (OSError, ValueError, RuntimeError) as error:  # the last: weights of other shapes
        raise EnvironmentProblem(
            f"base model {source} (revision {revision or 'default'}) cannot be loaded:"
            f" {one_line(error)}",
            hint="check the id, HF_ENDPOINT and HF_HUB_OFFLINE, and log in if it is gated",
        ) from error
    if device_map is not None:
        device = str(model.get_input_embeddings().weight.device)
        device = "cpu" if device == "meta" else device  # its hook moves the ids
    elif host or not config:
        place(model, device, host)
    model.eval().requires_grad_(False)
    return LoadedBase(
        model,
        tokenizer,
        sha256_file(tokenizer_file),
        revision,
        quantization,
        dtype,
        device,
        spread=bool(host) or device_map is not None,
    )


def load_base_tokenizer(
    source: str, revision: str | None, **options: Unpack[HubOptions]
) -> tuple[Any, Path]:
    """A base's tokenizer as transformers makes it, and its tokenizer.json.

    Raises:
        InputError: the tokenizer is damaged, or a file of its folder is not a regular one.
        OSError, ValueError: it cannot be found or downloaded.
    """
    if Path(source).is_dir():
        for path in Path(source).iterdir():
            if not path.is_dir():
                check_regular(path)
    # First: without the file transformers makes an empty tokenizer.
    file = Path(cached_file(source, "tokenizer.json", revision=revision, **options))
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, revision=revision, **options)
        return tokenizer, file
    except (OSError, ValueError):
        raise
    except Exception as error:  # the libraries raise many kinds, and bare Exception, for bad files
        raise InputError(
            f"{file} is not a tokenizer that can be read: {one_line(error)}",
            hint="download the base again: a truncated file looks like this",
        ) from error


def _legacy_template(
    source: str, revision: str | None, **options: Unpack[HubOptions]
) -> str | None:
    """The template of a chat_template.json, which transformers reads for processors alone."""
    path = cached_file(
        source,
        LEGACY_FILE_NAME,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
        **options,
    )
    return read_legacy_template(Path(path)) if path else None


def _host(
    source: str,
    revision: str | None,
    quantization: Quantization | None,
    dtype: Dtype,
    device: str,
    **options: Unpack[HubOptions],
) -> list[str]:
    """Names of the modules that stay on the host; none unless the device is a crowded card."""
    if torch.device(device).type != "cuda":
        return []
    config = transformers.AutoConfig.from_pretrained(source, revision=revision, **options)
    model = skeleton(config, DTYPES[dtype])
    card = torch.cuda.get_device_properties(device).total_memory
    parts = left_on_the_host(weights_of(model, quantization), card)
    return [*lookup_tables(model), *towers(model)] if parts else []


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


def quiet_libraries() -> None:
    """Keep the libraries' progress bars and advice out of a command's output, and its tokens."""
    reading_client()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
