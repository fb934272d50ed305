"""Everything that a run's numbers depend on, as `run.json` records it."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import nla_release
from nla_release.contract.sidecar import adapter_digests
from nla_release.engine.activations import Activations
from nla_release.engine.pair import Pair
from nla_release.errors import ConfigError
from nla_release.evidence.reference import Reference
from nla_release.io.files import sha256_file
from nla_release.release.folder import Release

_LIBRARIES = ("torch", "transformers", "peft", "bitsandbytes", "tokenizers", "numpy")


def run_inputs(
    release: Release, pair: Pair, data: Activations, reference: Reference
) -> dict[str, Any]:
    """The part of `RunFacts` that is known before anything is measured.

    Two runs with the same inputs may share what they measured, and no others.

    Raises:
        ConfigError: release.yaml names another commit of the base than the one loaded.
    """
    loaded, named = pair.base.revision, release.config.base_revision
    if release.base_path is None and loaded != named:
        raise ConfigError(
            f"release.yaml names base_revision {named}, the Hub gives commit {loaded} for it",
            hint="write the commit into release.yaml, and into both sidecars",
        )
    settings = release.config.evaluation
    return {
        "tool_version": nla_release.__version__,
        "base": {
            "id": release.config.base_model,
            "revision": release.config.base_revision,
            "local_files": base_files(release.base_path),
        },
        "tokenizer_sha256": pair.base.tokenizer_sha256,
        "files": {
            **adapter_digests(release.adapter("av"), pair.av),
            **adapter_digests(release.adapter("ar"), pair.ar),
        },
        "evaluation": {
            "sha256": data.sha256,
            "rows": len(data),
            "documents": len(set(data.documents)),
            "available": data.available,
        },
        "reference": {
            "sha256": reference.sha256,
            "rows": reference.rows,
            "variance": reference.variance,
        },
        "precision": {"quantization": settings.quantization, "dtype": settings.dtype},
        "injection": {"site": "embedding", "op": "replace", "scale": pair.av.injection.scale},
        "decoding": {
            "greedy": True,
            "max_new_tokens": settings.max_new_tokens,
            "batch_size": settings.batch_size,
        },
        "seed": settings.seed,
        "device": device_name(pair.base.device),
        "libraries": library_versions(),
    }


def library_versions() -> dict[str, str]:
    """Of the libraries that decide what a model computes, and on what."""
    return {name: version(name) for name in _LIBRARIES}


def base_files(folder: Path | None) -> dict[str, str]:
    """Hashes of a local base's configuration and weights."""
    if folder is None:
        return {}
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    return {path.name: sha256_file(path) for path in files}


def device_name(device: str) -> str:
    """The name of the device: of a CUDA card its model, otherwise its kind and the machine's."""
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return f"{device} ({platform.machine()})"


def now() -> str:
    """The time of day in UTC, as `run.json` writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
