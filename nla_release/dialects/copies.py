"""The files of a foreign adapter, copied into a release; each function says what it changed."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from nla_release.adapter.config import portable
from nla_release.adapter.training_log import FILE_NAME as LOG_FILE_NAME
from nla_release.adapter.training_log import read_log
from nla_release.adapter.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME, read_header
from nla_release.contract.sidecar import HEAD_FILE_NAME
from nla_release.dialects.folder import Folder, head_names, head_source
from nla_release.errors import InputError, WeightsError
from nla_release.io.files import (
    LFS_HINT,
    LFS_POINTER,
    dump_json,
    is_lfs_pointer,
    read_json,
    replacing_file,
    write_atomic,
)


def copy_adapter(folder: Folder, target: Path) -> list[str]:
    """The adapter's tensors, as safetensors.

    Raises:
        WeightsError: a pickle holds code, or is no adapter.
    """
    target.mkdir(parents=True)
    _refuse_pointer(folder.weights)
    if folder.weights.name == ADAPTER_FILE_NAME:
        read_header(folder.weights)
        shutil.copyfile(folder.weights, target / ADAPTER_FILE_NAME)
        return []
    from nla_release.engine.pickles import convert_adapter

    convert_adapter(folder.weights, target / ADAPTER_FILE_NAME)
    return [_converted(folder.weights, ADAPTER_FILE_NAME)]


def copy_head(folder: Folder, target: Path) -> list[str]:
    """The AR's head, as safetensors.

    Raises:
        WeightsError: none is there, several are, or a pickle holds code or is no head.
    """
    found = head_source(folder.path)
    _refuse_pointer(found)
    if found.suffix == ".safetensors":
        names = head_names(found, found)
        if found.name == HEAD_FILE_NAME and all(old == new for old, new in names.items()):
            shutil.copyfile(found, target / HEAD_FILE_NAME)
            return []
        _rename_tensors(found, target / HEAD_FILE_NAME, names)
        return [f"{HEAD_FILE_NAME} is {found.name}, its tensors named as in every release"]
    from nla_release.engine.pickles import convert_head

    convert_head(found, target / HEAD_FILE_NAME)
    return [_converted(found, HEAD_FILE_NAME)]


def copy_config(folder: Folder, base: str, target: Path) -> list[str]:
    """PEFT's configuration as any PEFT loads it, naming the base; its bytes when they are that."""
    source = folder.adapter / CONFIG_FILE_NAME
    found = read_json(source)
    ready = portable(found | {"base_model_name_or_path": base})
    if ready == found:
        shutil.copyfile(source, target / CONFIG_FILE_NAME)
        return []
    write_atomic(target / CONFIG_FILE_NAME, dump_json(ready))
    notes = []
    if found.get("base_model_name_or_path") != base:
        notes.append(
            f"{CONFIG_FILE_NAME} named another base, or a path of its trainer's machine; now {base}"
        )
    if left_out := len(found.keys() - ready.keys()):
        notes.append(f"{CONFIG_FILE_NAME} is without {left_out} options that were not used")
    return notes


def copy_log(folder: Folder, target: Path) -> list[str]:
    """The training log, when there is one that can be read."""
    if not (folder.path / LOG_FILE_NAME).is_file():
        return [f"no {LOG_FILE_NAME}: the card will say that none was given"]
    try:
        read_log(folder.path)
    except InputError as error:
        reason = error.message.removeprefix(str(folder.path)).lstrip("/")
        return [f"{LOG_FILE_NAME} is left out, it is in no known form: {reason}"]
    shutil.copyfile(folder.path / LOG_FILE_NAME, target / LOG_FILE_NAME)
    return []


def _refuse_pointer(path: Path) -> None:
    """Refuse what git leaves in place of a large file that was not fetched.

    Raises:
        WeightsError: `path` is a Git LFS pointer.
    """
    if is_lfs_pointer(path):
        raise WeightsError(f"{path} {LFS_POINTER}", hint=LFS_HINT)


def _rename_tensors(source: Path, target: Path, names: Mapping[str, str]) -> None:
    """Write the tensors of a safetensors file under other names, their bytes unchanged."""
    tensors, header, at = read_header(source), {}, 0
    for old, new in names.items():
        size = tensors[old].stop - tensors[old].start
        offsets = [at, at + size]
        header[new] = {
            "dtype": tensors[old].dtype, "shape": tensors[old].shape, "data_offsets": offsets,
        }  # fmt: skip
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replacing_file(target) as out, source.open("rb") as file:
        out.write(len(text).to_bytes(8, "little") + text)
        for old in names:
            file.seek(tensors[old].start)
            out.write(file.read(tensors[old].stop - tensors[old].start))


def _converted(source: Path, name: str) -> str:
    return f"{name} is converted from the pickle {source.name}, of which nothing was executed"
