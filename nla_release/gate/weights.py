"""NLA301 to NLA305 and NLA312: weight files, read without executing them."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath, PureWindowsPath

from nla_release.adapter.lora import never_saved
from nla_release.adapter.weights import ZeroBands
from nla_release.gate.adapter_folder import REPORTED_BY, AdapterFolder, Value, reading
from nla_release.gate.base_facts import AdapterOnBase
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import ADAPTERS, ARS, ON_BASE, rule
from nla_release.io.files import LFS_HINT, LFS_POINTER, is_lfs_pointer
from nla_release.io.layout import ADAPTER_CONFIG_FILE, ADAPTER_FILE, HEAD_FILE, SIDECAR_FILE
from nla_release.text.numbers import listed

# No trained weight is near it; a damaged head had 3e38 (syvb's fork of the reference).
MAX_MAGNITUDE = 1e6
# Smaller values change nothing in float32.
MIN_MAGNITUDE = 1e-12

_PICKLE_SUFFIXES = {".bin", ".ckpt", ".dill", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
# A pickle of protocol 2 or later, and the zip archive that torch.save wraps one in.
_PICKLE_STARTS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")

# Other files that transformers, accelerate and DeepSpeed write.
_LEFT_OVER = re.compile(
    r"(?:optim(?:izer)?\w*|(?:lr_)?scheduler\w*|scaler|training_args|recipe_state|rng_state\w*"
    r"|random_states_\d+|\w+_(?:optim|model)_states)\.(?:bin|pkl|pt|pth)"
)
_CHECKPOINT = re.compile(r"checkpoint-\d+|global_step\d+")

_LINK = "is a link; a repository must hold the file itself"

_DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


@rule(
    "NLA301",
    "error",
    "weights are safetensors, and no link or path leaves the folder",
    each=ADAPTERS,
)
def safetensors_only(adapter: AdapterFolder) -> Iterator[Problem]:
    """Names, first bytes and links of all files, and the sidecar's paths.

    Checks: No file in the adapter's folder is a pickle, judged by its name and its first bytes. No
        entry is a link or a Git LFS pointer. No path in the sidecar leaves the folder. Files that a
        trainer leaves behind, such as optimizer.pt, are a warning in the training folder and an
        error in dist/.
    Why: Unpickling runs whatever code the file holds. The AR head of SolshineCode/nla-gemma-4-e2b
        went up as linear_head.pt, and the Hub flags repositories with such files as unsafe
        (huggingface/transformers#28580).
    Fix: Save tensors with safetensors and delete the rest. To check a snapshot of the Hub's cache,
        which is made of links, download it with `hf download --local-dir`.
    Example: linear_head.pt is or may be a pickle, which runs code when it is loaded
    Waive: Never: everyone who loads the release takes the risk.
    """
    if adapter.folder.is_symlink():
        yield Problem(adapter.folder, _LINK)
    for path in adapter.files:
        if path.is_symlink():
            yield Problem(path, _LINK)
        elif not path.is_file():
            yield Problem(path, "is not a regular file")
        elif path.name not in REPORTED_BY and _is_lfs_pointer(path):
            yield Problem(path, f"{LFS_POINTER}: {LFS_HINT}")
        elif path.suffix.lower() in _PICKLE_SUFFIXES or _starts_like_a_pickle(path):
            if not adapter.rendered and _is_left_over(path.relative_to(adapter.folder)):
                words = "was left by the trainer and is not released; it may be deleted"
                yield Problem(path, words, severity="warning")
            else:
                yield Problem(path, "is or may be a pickle, which runs code when it is loaded")
    for entry in adapter.sidecar.nla_release.adapters:
        if leaves(entry.path):
            yield Problem(
                adapter.folder / SIDECAR_FILE, f"adapter path {entry.path!r} leaves the folder"
            )


@rule("NLA302", "error", "the adapter is complete and matches its configuration", each=ON_BASE)
def adapter_whole(on_base: AdapterOnBase) -> Iterator[Problem]:
    """Keys and shapes of the file, then rank and alpha in file, configuration and sidecar.

    Checks: adapter_model.safetensors is undamaged and holds pairs of lora_A and lora_B with
        matching shapes, under the names that PEFT uses. It holds nothing else except what
        adapter_config.json declares: DoRA's magnitudes and the modules of modules_to_save. Every
        rank is the r of adapter_config.json, and r and lora_alpha are what the sidecar records for
        this adapter (the last of its list).
    Why: PEFT only warns about keys that match no module and runs the base without them
        (huggingface/peft#2699). It does the same if a key contains the adapter's name
        (huggingface/peft#2118), and it saves files without tensors (huggingface/peft#2892). If it
        believes that the vocabulary was resized, it saves the whole embedding: 79 MB became a
        gigabyte (huggingface/trl#1287, huggingface/peft#1300). A card of
        SolshineCode/nla-gemma-4-e2b says alpha 128 where the sidecars say 160.
    Fix: Save the adapter again with PEFT's save_pretrained, with save_embedding_layers=False unless
        the embedding was trained. Copy rank and alpha from adapter_config.json into the sidecar.
    Example: lora_alpha is 160, the sidecar records 128
    Waive: Never: such an adapter does not load, or is not the one that was measured.
    """
    adapter = on_base.adapter
    config, path = adapter.config, adapter.folder / ADAPTER_CONFIG_FILE
    if others := [module for module in adapter.modules if module.rank != config.r]:
        yield Problem(
            adapter.folder / ADAPTER_FILE,
            f"{len(others)} of {len(adapter.modules)} modules do not have rank r = {config.r}, such"
            f" as {others[0].name} with rank {others[0].rank}",
        )
    recorded = adapter.sidecar.nla_release.adapters[-1]
    if config.r != recorded.rank:
        yield Problem(path, f"r is {config.r}, the sidecar records {recorded.rank}")
    if config.lora_alpha != recorded.alpha:
        yield Problem(
            path, f"lora_alpha is {config.lora_alpha:g}, the sidecar records {recorded.alpha:g}"
        )
    # With the base's facts, NLA307 compares with what the base has of that name.
    if (lacking := never_saved(adapter.tensors, config.saved)) and isinstance(on_base.tree, Skip):
        yield Problem(
            adapter.folder / ADAPTER_FILE,
            f"has no tensor of {listed(lacking)}, which modules_to_save names",
        )


@rule("NLA303", "error", "every weight is finite and of plausible size", each=ADAPTERS)
def weights_finite(adapter: AdapterFolder) -> Iterator[Problem]:
    """All values of all tensors.

    Checks: No value of the adapter or the head is NaN, infinite, or larger than 1e6.
    Why: The safetensors format does not check values. In syvb's fork of the reference, every AR
        head after reinforcement learning held NaN or 3e38 in 12% of its values, and was found only
        by accident.
    Fix: The checkpoint is damaged. Release an earlier one, and find the step where the loss became
        NaN.
    Example: tensor weight has NaN or infinity
    Waive: Never: one such value corrupts every reconstruction.
    """
    yield from _damaged(adapter.folder / ADAPTER_FILE, adapter.largest)
    if adapter.role == "ar":
        yield from _damaged(adapter.folder / HEAD_FILE, adapter.largest_of_head)


@rule("NLA304", "error", "the adapter was trained", each=ADAPTERS)
def adapter_trained(adapter: AdapterFolder) -> Iterator[Problem]:
    """Factors of nothing but zeros, either of which makes the product zero.

    Checks: In every module, both factors (lora_A and lora_B) have a value of magnitude 1e-12 or
        more. A factor that is zero in all modules is an error, in some modules a warning.
    Why: LoRA initialises lora_B to zero. An adapter that was never trained behaves exactly like the
        base, and nothing reports it. So does one that was saved before FSDP or DeepSpeed gathered
        its weights on one process (huggingface/peft#2892).
    Fix: Save the adapter after training and from the main process. If only some modules are zero,
        remove them from target_modules: they received no gradient and have no effect.
    Example: a factor is zero in all 32 modules, so the adapter does nothing
    Waive: The warning may stand if untrained modules are expected, as in an AR whose blocks above
        the read block never run.
    """
    modules, path = adapter.modules, adapter.folder / ADAPTER_FILE
    idle = [
        module.name
        for module in modules
        if min(_factors(adapter.largest, module.name).values()) < MIN_MAGNITUDE
    ]
    if len(idle) == len(modules):
        yield Problem(
            path, f"a factor is zero in all {len(idle)} modules, so the adapter does nothing"
        )
    elif idle:
        yield Problem(
            path,
            f"a factor is zero in {len(idle)} of {len(modules)} modules: {listed(idle)}",
            severity="warning",
        )


@rule("NLA312", "error", "no part of the weights is missing from the file", each=ADAPTERS)
def no_zero_bands(adapter: AdapterFolder) -> Iterator[Problem]:
    """The same band of a factor in all modules, then the head.

    Checks: Each factor is divided into 32 bands of rows and of columns. A band of lora_A or lora_B
        that is zero in the same place in every module is an error; modules that are zero as a whole
        do not count (NLA304). In half of the modules, or in the only module of an adapter, it is a
        warning. A zero band of the AR's head is an error.
    Why: A process that saves only its own shard, or gathers too early, writes the rest as zeros.
        Every tensor then has its full shape, but a half or a quarter of it is missing
        (huggingface/peft#2892, huggingface/trl#4416). The largest value of each factor looks
        normal.
    Fix: Gather the weights before saving: `accelerator.get_state_dict(model)`, or the checkpoint's
        own script, such as zero_to_fp32.py of DeepSpeed. Then measure again.
    Example: the rows from 50% to 100% of lora_B are zero in all 32 modules
    Waive: Never: the released weights are not the trained weights. The warning may stand if these
        parts were pruned on purpose.
    """
    path = adapter.folder / ADAPTER_FILE
    modules = [_factors(adapter.zero_bands, module.name) for module in adapter.modules]
    trained = [
        factors for factors in modules if not any(all(each.rows) for each in factors.values())
    ]
    for factor in "AB":
        for axis in ("rows", "columns"):
            yield from _cut(path, f"lora_{factor}", axis, [each[factor] for each in trained])
    if adapter.role == "ar":
        for name, bands in adapter.zero_bands_of_head.items():
            for axis in ("rows", "columns"):
                flags = getattr(bands, axis)
                if any(flags) and not all(flags):
                    yield Problem(
                        adapter.folder / HEAD_FILE,
                        f"the {axis} {_where(flags)} of {name} are zero",
                    )


def _factors(values: Mapping[str, Value], module: str) -> dict[str, Value]:
    """The values of a module's lora_A and lora_B, by "A" and "B"."""
    return {factor: values[f"base_model.model.{module}.lora_{factor}.weight"] for factor in "AB"}


def _cut(path: Path, name: str, axis: str, factors: list[ZeroBands]) -> Iterator[Problem]:
    """The bands that are zero in the same place, among factors with equally many bands."""
    by_count: dict[int, list[tuple[bool, ...]]] = {}
    for bands in factors:
        flags = getattr(bands, axis)
        by_count.setdefault(len(flags), []).append(flags)
    for flags_of in by_count.values():
        if len(flags_of) < 2:  # one module of many, too small for as many bands as the others
            if len(factors) == 1 and any(flags_of[0]):
                words = f"{_where(flags_of[0])} of {name} are zero in its only module"
                yield Problem(path, f"the {axis} {words}", severity="warning")
            continue
        share = [sum(column) / len(flags_of) for column in zip(*flags_of, strict=True)]
        everywhere = tuple(each == 1 for each in share)
        often = tuple(each >= 0.5 for each in share)
        if any(everywhere):
            words = f"in all {len(flags_of)} modules: a part of a sharded save is missing"
            yield Problem(path, f"the {axis} {_where(everywhere)} of {name} are zero {words}")
        elif any(often):
            words = f"in at least half of {len(flags_of)} modules"
            yield Problem(
                path, f"the {axis} {_where(often)} of {name} are zero {words}", severity="warning"
            )


def _where(flags: Sequence[bool]) -> str:
    """The first run of bands, in percent."""
    start = flags.index(True)
    stop = next((at for at in range(start, len(flags)) if not flags[at]), len(flags))
    return f"from {100 * start / len(flags):.0f}% to {100 * stop / len(flags):.0f}%"


@rule("NLA305", "error", "the AR's head matches its sidecar", each=ARS)
def head_declared(adapter: AdapterFolder) -> Iterator[Problem]:
    """The head file's header, and whether its weight says anything.

    Checks: value_head.safetensors holds `weight` of shape d x d, and `bias` of shape d only if the
        sidecar declares one. Both have the declared dtype and are not all zeros.
    Why: PEFT does not save the head, so it is lost unless the training code saves it. A reader that
        finds no head starts from a random one (a preflight check of
        kitft/natural_language_autoencoders). LLaMA-Factory also uses the name
        value_head.safetensors, with other keys.
    Fix: Save the trained head with the keys and the dtype that nla_release.ar_head declares.
    Example: has tensors {'weight': (1536, 1536) F32}, the sidecar declares {'weight': (1536, 1536)
        F32, 'bias': (1536,) F32}
    Waive: Never: without its head an AR gives no activation.
    """
    path, declared = adapter.folder / HEAD_FILE, adapter.sidecar.head
    dtype = _DTYPES[declared.dtype]
    expected: dict[str, tuple[tuple[int, ...], str]] = {declared.key: (declared.shape, dtype)}
    if declared.bias:
        expected["bias"] = ((adapter.sidecar.d_model,), dtype)
    found = {name: (tensor.shape, tensor.dtype) for name, tensor in adapter.head.items()}
    if found != expected:
        yield Problem(path, f"has tensors {_shown(found)}, the sidecar declares {_shown(expected)}")
    elif adapter.largest_of_head[declared.key] < MIN_MAGNITUDE:
        yield Problem(path, "weight is all zero, so every reconstruction is the same vector")


def leaves(path: str) -> bool:
    """Whether a path leads out of its folder, on any operating system."""
    given = PureWindowsPath(path)  # knows both separators
    return bool(given.anchor) or ".." in given.parts


def _is_left_over(path: PurePath) -> bool:
    """Whether a trainer left a pickle, by its place in the adapter's folder."""
    return bool(_LEFT_OVER.fullmatch(path.name)) or any(
        _CHECKPOINT.fullmatch(part) for part in path.parts[:-1]
    )


def _is_lfs_pointer(path: Path) -> bool:
    with reading(path, "NLA301"):
        return is_lfs_pointer(path)


def _starts_like_a_pickle(path: Path) -> bool:
    with reading(path, "NLA301"), path.open("rb") as handle:
        return handle.read(4).startswith(_PICKLE_STARTS)


def _damaged(path: Path, largest: Mapping[str, float]) -> Iterator[Problem]:
    for tensor, value in largest.items():
        if not math.isfinite(value):
            yield Problem(path, f"tensor {tensor} has NaN or infinity")
        elif value > MAX_MAGNITUDE:
            yield Problem(path, f"tensor {tensor} has a value of magnitude {value:.1e}")


def _shown(tensors: dict[str, tuple[tuple[int, ...], str]]) -> str:
    parts = (f"{name!r}: {shape} {dtype}" for name, (shape, dtype) in tensors.items())
    return f"{{{', '.join(parts)}}}"
