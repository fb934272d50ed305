"""Where adapters are: in a folder, or downloaded from the Hub; and which AR belongs to an AV."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open

from nla_release.adapter.weights import read_header
from nla_release.base_model.source import HubOptions
from nla_release.contract.sidecar import Role, read_sidecar
from nla_release.errors import ConfigError, DataError, PairError, one_line
from nla_release.hub_client.client import reading_client
from nla_release.hub_client.client_errors import translated
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    HEAD_FILE,
    SIDECAR_FILE,
    STACK_FOLDER,
    VECTORS_FILE,
)
from nla_release.release.folder import ROLES

_ADAPTER_FILES = [
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    HEAD_FILE,
    SIDECAR_FILE,
    f"{STACK_FOLDER}/*",
]
_VECTORS = f"evidence/{VECTORS_FILE}"
_MEAN = "reference_mean"


def adapter_folder(source: str | Path, revision: str | None, **options: Unpack[HubOptions]) -> Path:
    """The folder of an adapter: `source` itself, or the snapshot of a Hub id.

    Raises:
        PairError: it is neither a folder nor a Hub id.
        EnvironmentProblem: it cannot be downloaded.
    """
    if (path := Path(source)).is_dir():
        return path
    return _downloaded(str(source), revision, _ADAPTER_FILES, options)


def pair_folders(
    source: str | Path,
    ar: str | Path | None,
    revision: str | None,
    **options: Unpack[HubOptions],
) -> dict[Role, Path]:
    """The folders of an AV and its AR.

    Args:
        source: the AV's folder or Hub id, or a folder with `av` and `ar` in it.
        ar: the AR's; by default the one next to the AV, or the partner that the AV's sidecar names.
        revision: tag or commit of what comes from the Hub; a partner comes by its own tag.
        options: of the downloads.

    Raises:
        SidecarError: the AV's sidecar is missing or damaged.
        PairError: the sidecar names no partner.
        EnvironmentProblem: one cannot be downloaded.
    """
    if ar is None and all((Path(source) / role / SIDECAR_FILE).is_file() for role in ROLES):
        return {role: Path(source) / role for role in ROLES}
    av = adapter_folder(source, revision, **options)
    if ar is not None:
        return {"av": av, "ar": adapter_folder(ar, revision, **options)}
    partner = read_sidecar(av, "av").nla_release.partner
    if partner is None:
        raise PairError(
            f"{av / SIDECAR_FILE} names no partner: the AV was never released",
            hint="give the AR's folder or Hub id too: Pair.from_pretrained(AV, AR)",
        )
    # Never a folder: the sidecar is not the user's own.
    return {
        "av": av,
        "ar": _downloaded(partner.repo, f"v{partner.version}", _ADAPTER_FILES, options),
    }


def read_reference_mean(
    av: str | Path, revision: str | None, d_model: int, **options: Unpack[HubOptions]
) -> npt.NDArray[np.float32]:
    """The mean `[d_model]` of the training activations' unit vectors, from the AV's evidence.

    Raises:
        DataError: there is no evidence next to the AV, or no such tensor in it.
        EnvironmentProblem: it cannot be downloaded.
    """
    if (folder := Path(av)).is_dir():
        path = folder / _VECTORS
    else:
        path = _downloaded(str(av), revision, [_VECTORS], options) / _VECTORS
    if not path.is_file():
        raise DataError(
            f"{path} does not exist, so the mean to centre cosines with is not known",
            hint="give mean=..., the mean [d_model] of the training activations' unit vectors",
        )
    tensor = read_header(path).get(_MEAN)
    if tensor is None or tensor.shape != (d_model,) or tensor.dtype != "F32":
        raise DataError(f"{path} has no float32 tensor {_MEAN} of {d_model} numbers")
    try:
        with safe_open(path, framework="np") as handle:
            mean: npt.NDArray[np.float32] = handle.get_tensor(_MEAN)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}") from error
    return mean


def _downloaded(repo: str, revision: str | None, files: Sequence[str], options: HubOptions) -> Path:
    reading_client()
    try:
        with translated(repo):
            return Path(
                snapshot_download(repo, revision=revision, allow_patterns=[*files], **options)
            )
    except ConfigError as error:
        raise PairError(f"{repo} is neither a folder nor a Hub id") from error
