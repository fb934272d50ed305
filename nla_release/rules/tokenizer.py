"""Finding the base's tokenizer.json: given, beside the release, or on the Hub."""

import json
from pathlib import Path
from typing import Any

from nla_release.prompt import load_tokenizer
from nla_release.rules.adapter import reading
from nla_release.rules.model import Skip
from nla_release.rules.subject import Subject
from nla_release.sidecar import Base

FILE_NAME = "tokenizer.json"

_GIVE_ONE = "give one with --tokenizer"


def find_tokenizer(subject: Subject) -> Any | Skip:
    """The tokenizer to replay prompts on, or why there is none.

    Raises:
        InputError: the file that --tokenizer names is not a tokenizer.
        UnreadableError: the one beside the release, or from the Hub, is not a tokenizer.
    """
    if subject.tokenizer is not None:
        return load_tokenizer(subject.tokenizer)
    path = _beside(subject) or _from_hub(subject.adapters[0].sidecar.nla_release.base)
    if isinstance(path, Skip):
        return path
    with reading(path, "NLA202"):
        return load_tokenizer(path)


def unknown_id(tokenizer: Any) -> int | None:
    """The id that stands for text outside of the vocabulary, when the model has one."""
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    token = model.get("unk_token")
    return None if token is None else tokenizer.token_to_id(token)


def _beside(subject: Subject) -> Path | None:
    base = subject.release.base_path if subject.release else None
    return base / FILE_NAME if base and (base / FILE_NAME).is_file() else None


def _from_hub(base: Base) -> Path | Skip:
    """The pinned commit's file, from the client's cache or else the Hub."""
    if base.revision is None:
        return Skip(f"the base's revision is not pinned, and its tokenizer may change; {_GIVE_ONE}")
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HTTPError  # of httpx or httpx2, as the client has it

    name, revision = base.id, base.revision
    try:
        try:
            return Path(hf_hub_download(name, FILE_NAME, revision=revision, local_files_only=True))
        except FileNotFoundError:
            # Asked once: the download itself tries for half a minute when there is no network.
            get_hf_file_metadata(hf_hub_url(name, FILE_NAME, revision=revision))
            return Path(hf_hub_download(name, FILE_NAME, revision=revision))
    except (HTTPError, OSError, ValueError) as error:
        return Skip(
            f"the tokenizer of {base.id} at {base.revision} cannot be had here"
            f" ({type(error).__name__}); {_GIVE_ONE}"
        )
