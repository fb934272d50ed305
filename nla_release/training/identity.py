"""Which base lies in a local folder.

A base from the Hub is known by its commit. In a folder anything may lie, whatever id and revision
the recipe writes beside it, and other weights of the same shapes differ in nothing but what the
files hold. So all that is loaded is hashed, once in a process.
"""

import functools
from pathlib import Path

from nla_release.io.files import sha256_bytes, sha256_file
from nla_release.training.recipe import BaseModel

# Of what transformers loads; the tokenizer has a hash of its own.
_LOADED = ("config.json", "*.index.json", "*.safetensors", "*.bin")

Stamped = tuple[Path, int, int]


def base_sha256(base: BaseModel) -> str | None:
    """Hex sha256 of the names and sha256 of what is loaded from `base.path`.

    None for a base from the Hub, and where the folder is not on this machine.
    """
    if base.path is None or not (folder := Path(base.path)).is_dir():
        return None
    found = sorted({path for pattern in _LOADED for path in folder.glob(pattern)})
    return _digest(tuple((path, (it := path.stat()).st_size, it.st_mtime_ns) for path in found))


@functools.cache
def _digest(files: tuple[Stamped, ...]) -> str:
    lines = [f"{sha256_file(path)}  {path.name}" for path, *_ in files]
    return sha256_bytes("\n".join(lines).encode())
