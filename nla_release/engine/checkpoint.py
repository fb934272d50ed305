"""Work kept in pieces, so that a killed run loses at most the piece it was at.

The folder is guarded by what the work depends on: pieces made of other inputs are never mixed in.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from nla_release.errors import EvidenceError, InputError
from nla_release.io.files import dump_json, read_json, write_atomic

GUARD_NAME = "guard.json"
_START_AGAIN = "run `nla-release roundtrip --fresh` to delete it and start again"


class Checkpoint:
    """A folder of finished pieces, each computed once.

    `seconds` is what the pieces asked for so far took to compute, in whichever run that was.
    """

    def __init__(self, folder: Path, guard: dict[str, Any], *, fresh: bool) -> None:
        """Open or begin the folder.

        Args:
            folder: where pieces lie; made when needed.
            guard: everything the pieces depend on.
            fresh: start again, and delete the pieces that are there.

        Raises:
            EvidenceError: the folder holds pieces of other inputs.
        """
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self.seconds = 0.0
        if not (folder / GUARD_NAME).exists():
            write_atomic(folder / GUARD_NAME, dump_json(guard))
            return
        try:
            before = read_json(folder / GUARD_NAME)
        except InputError as error:
            raise EvidenceError(error.message, hint=_START_AGAIN) from error
        if not isinstance(before, dict):
            raise EvidenceError(f"{folder / GUARD_NAME} is damaged", hint=_START_AGAIN)
        if changed := sorted(key for key in guard | before if guard.get(key) != before.get(key)):
            raise EvidenceError(
                f"{folder} holds an unfinished run of other inputs: {', '.join(changed)} changed",
                hint=_START_AGAIN,
            )

    def document(self, name: str, compute: Callable[[], Any]) -> Any:
        """The JSON document `name`, computed unless a finished one is there."""
        path = self._folder / f"{name}.json"
        if path.exists():
            piece = read_json(path)
            if not isinstance(piece, dict) or not {"value", "seconds"} <= piece.keys():
                raise InputError(f"{path} is damaged", hint=_START_AGAIN)
        else:
            started = time.monotonic()
            piece = {"value": compute(), "seconds": time.monotonic() - started}
            write_atomic(path, dump_json(piece))
        self.seconds += piece["seconds"]
        return piece["value"]

    def tensor(self, name: str, compute: Callable[[], torch.Tensor]) -> torch.Tensor:
        """The tensor `name`, computed unless a finished one is there."""
        path = self._folder / f"{name}.safetensors"
        if not path.exists():
            started = time.monotonic()
            piece = {"values": compute().contiguous()}
            seconds = torch.tensor(time.monotonic() - started, dtype=torch.float64)
            write_atomic(path, save(piece | {"seconds": seconds}))
        try:
            found = load_file(path)
            values: torch.Tensor = found["values"]
            self.seconds += float(found["seconds"])
        except (SafetensorError, KeyError) as error:
            raise InputError(f"{path} is damaged: {error}", hint=_START_AGAIN) from error
        return values

    def drop(self) -> None:
        """Remove the folder: the work is finished and kept elsewhere."""
        shutil.rmtree(self._folder, ignore_errors=True)
