"""A text encoder that the user names, for the probe text-retrieval. None is a dependency.

`module:function` is a function of N texts that gives `[N, e]` numbers, found on Python's path or
beside release.yaml. Anything else is a model of the sentence-transformers library: its Hub id, or
its folder.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nla_release.errors import ConfigError, DataError, EnvironmentProblem

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


def load_encoder(name: str, folder: Path) -> Encoder:
    """The encoder: N texts to `[N, e]` float32, checked to be that.

    Args:
        name: `module:function`, or a model of sentence-transformers.
        folder: where release.yaml is.

    Raises:
        ConfigError: there is no such function.
        EnvironmentProblem: the model cannot be loaded here.
    """
    named = _FUNCTION.fullmatch(name)
    encode = _function(named, folder) if named else _model(name)

    def checked(texts: Sequence[str]) -> torch.Tensor:
        embedded = np.asarray(encode(list(texts)), dtype=np.float32)
        if embedded.ndim != 2 or len(embedded) != len(texts) or not np.isfinite(embedded).all():
            raise DataError(
                f"evaluation.encoder {name} gave {list(embedded.shape)} for {len(texts)} texts,"
                f" expected finite numbers [{len(texts)}, e]"
            )
        return torch.from_numpy(embedded)

    return checked


def _function(named: re.Match[str], folder: Path) -> Callable[[list[str]], Any]:
    with _importing_from(folder):
        try:
            found = getattr(importlib.import_module(named["module"]), named["function"])
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"evaluation.encoder {named[0]} cannot be imported: {error}",
                hint="name a function that is beside release.yaml or installed",
            ) from error
    return found  # type: ignore[no-any-return]


def _model(name: str) -> Callable[[list[str]], Any]:
    library = importlib.import_module(_LIBRARY)
    try:
        model = library.SentenceTransformer(name)
    except (OSError, ValueError) as error:
        raise EnvironmentProblem(
            f"evaluation.encoder {name} cannot be loaded: {' '.join(str(error).split())}",
            hint="check the id, HF_ENDPOINT and HF_HUB_OFFLINE",
        ) from error

    def encode(texts: list[str]) -> Any:
        return model.encode(texts, show_progress_bar=False)

    return encode


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
