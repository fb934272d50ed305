"""A text encoder that the user names, for the diagnostic text-retrieval. None is a dependency.

`module:function` is a function of N texts that gives `[N, e]` numbers, found on Python's path or
beside release.yaml. Anything else is a model of the sentence-transformers library: its folder, or
its Hub id, of which the commit is found first and then used, so that what is recorded is what ran.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub
import numpy as np
import torch
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from nla_release.errors import ConfigError, DataError, EnvironmentProblem, one_line
from nla_release.hub_client.client import reading_client
from nla_release.io.files import dump_json, sha256_bytes, sha256_file

Encoder = Callable[[Sequence[str]], torch.Tensor]

_LIBRARY = "sentence_transformers"
_FUNCTION = re.compile(r"(?P<module>[A-Za-z_][\w.]*):(?P<function>[A-Za-z_]\w*)")


def why_no_encoder(name: str | None) -> str | None:
    """Why texts are not embedded here, or None when they are."""
    if name is None:
        return "release.yaml names no evaluation.encoder"
    if not _FUNCTION.fullmatch(name) and importlib.util.find_spec(_LIBRARY) is None:
        return f"evaluation.encoder is {name}, and sentence-transformers is not installed"
    return None


def encoder_version(name: str, folder: Path) -> dict[str, str]:
    """Which encoder it is, for the record: its name, and what tells it from others of that name.

    `encoder_revision` is the commit of a Hub id; `encoder_sha256` is that of a function's module,
    or of the list of a folder's files with their sha256.

    Args:
        name: `module:function`, or a model of sentence-transformers.
        folder: where release.yaml is.

    Raises:
        ConfigError: there is no such function.
        EnvironmentProblem: the Hub has no such model, or cannot be reached.
    """
    found = {"encoder": name}
    if named := _FUNCTION.fullmatch(name):
        source = _module(named, folder).__file__
        return found | ({"encoder_sha256": sha256_file(Path(source))} if source else {})
    if (model := folder / name).is_dir():
        files = {
            path.relative_to(model).as_posix(): sha256_file(path)
            for path in sorted(model.rglob("*"))
            if path.is_file()
        }
        return found | {"encoder_sha256": sha256_bytes(dump_json(files).encode())}
    return found | {"encoder_revision": _commit(name)}


def load_encoder(name: str, folder: Path) -> Encoder:
    """The encoder: N texts to `[N, e]` float32, checked to be that.

    Args:
        name: `module:function`, or a model of sentence-transformers.
        folder: where release.yaml is.

    Raises:
        ConfigError: there is no such function, or, when it is called, it fails.
        EnvironmentProblem: the model cannot be loaded here.
    """
    named = _FUNCTION.fullmatch(name)
    encode = _function(named, folder) if named else _model(name, folder)

    def checked(texts: Sequence[str]) -> torch.Tensor:
        try:
            embedded = np.asarray(encode(list(texts)), dtype=np.float32)
        except Exception as error:  # a function of the user's may raise anything
            raise ConfigError(
                f"evaluation.encoder {name} failed: {type(error).__name__}: {error}",
                hint="it is called with a list of texts, and gives as many rows of numbers",
            ) from error
        if embedded.ndim != 2 or len(embedded) != len(texts) or not np.isfinite(embedded).all():
            raise DataError(
                f"evaluation.encoder {name} gave {list(embedded.shape)} for {len(texts)} texts,"
                f" expected finite numbers [{len(texts)}, e]"
            )
        return torch.from_numpy(embedded)

    return checked


def _module(named: re.Match[str], folder: Path) -> ModuleType:
    """The module, which has the function."""
    with _importing_from(folder):
        try:
            module = importlib.import_module(named["module"])
            getattr(module, named["function"])
        except Exception as error:  # a module of the user's may raise anything
            raise ConfigError(
                f"evaluation.encoder {named[0]} cannot be imported: {error}",
                hint="name a function that is beside release.yaml or installed",
            ) from error
    return module


def _function(named: re.Match[str], folder: Path) -> Callable[[list[str]], Any]:
    return getattr(_module(named, folder), named["function"])  # type: ignore[no-any-return]


def _commit(name: str) -> str:
    """The commit that the Hub, or without a network its cache, has for a model."""
    reading_client()
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns="*.json")).name
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise _not_loaded(name, error) from error


def _model(name: str, folder: Path) -> Callable[[list[str]], Any]:
    library = importlib.import_module(_LIBRARY)
    place = folder / name
    try:
        model = (
            library.SentenceTransformer(str(place))
            if place.is_dir()
            else library.SentenceTransformer(name, revision=_commit(name))
        )
    except (OSError, ValueError) as error:
        raise _not_loaded(name, error) from error

    def encode(texts: list[str]) -> Any:
        return model.encode(texts, show_progress_bar=False)

    return encode


def _not_loaded(name: str, error: Exception) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"evaluation.encoder {name} cannot be loaded: {one_line(error)}",
        hint="check the folder or the id, HF_ENDPOINT and HF_HUB_OFFLINE",
    )


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
