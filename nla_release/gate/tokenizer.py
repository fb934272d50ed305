"""Finding the base's tokenizer and chat template: given, beside the release, or on the Hub."""

import json
from pathlib import Path
from typing import Any

from nla_release.contract import chat
from nla_release.contract.chat import Chat, read_chat
from nla_release.contract.prompt import load_tokenizer
from nla_release.contract.sidecar import BaseRecord
from nla_release.errors import EnvironmentProblem
from nla_release.gate.adapter_folder import reading
from nla_release.gate.findings import Skip
from nla_release.gate.subject import Subject
from nla_release.io.layout import TOKENIZER_FILE

_GIVE_ONE = "give one with --tokenizer"
# The largest known has 35 MB.
_LARGEST = 64 * 1024 * 1024


def find_tokenizer(subject: Subject) -> Any | Skip:
    """The tokenizer to replay prompts on, or why there is none.

    Raises:
        InputError: the file that --tokenizer names is not a tokenizer.
        UnreadableError: the one beside the release, or from the Hub, is not a tokenizer.
    """
    if subject.tokenizer is not None:
        return load_tokenizer(subject.tokenizer)
    path = _find(subject, TOKENIZER_FILE)
    if path is None:
        return Skip(
            f"{_base(subject).id} has no {TOKENIZER_FILE} at its pinned commit; {_GIVE_ONE}"
        )
    if isinstance(path, Skip):
        return path
    with reading(path, "NLA202"):
        return load_tokenizer(path)


def find_chat(subject: Subject) -> Chat | Skip:
    """The chat template in the tokenizer's folder or commit, or why there is none.

    Raises:
        UnreadableError: its file is too large, or is not what its name promises.
    """
    # The legacy file is asked for only when the others have no template, as it then does not count.
    for names in ((chat.TEMPLATE_FILE_NAME, chat.CONFIG_FILE_NAME), (chat.LEGACY_FILE_NAME,)):
        paths = [_find(subject, name) for name in names]
        for path in paths:
            if isinstance(path, Skip):
                return path
        for folder in {path.parent for path in paths if isinstance(path, Path)}:
            with reading(folder, "NLA202"):
                if found := read_chat(folder):
                    return found
    return Skip(
        f"the AV's prompt goes through a chat template, and no {chat.TEMPLATE_FILE_NAME} and no"
        f" chat_template in a {chat.CONFIG_FILE_NAME} lies beside the base's {TOKENIZER_FILE}"
    )


def unknown_id(tokenizer: Any) -> int | None:
    """The id that stands for text outside of the vocabulary, when the model has one."""
    # What the library writes of a file that it could read; the largest exceed the bounds of ours.
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    token = model.get("unk_token")
    return None if token is None else tokenizer.token_to_id(token)


def _find(subject: Subject, name: str) -> Path | Skip | None:
    """One file of the place that the tokenizer is taken from; None when that place lacks it."""
    folder = subject.tokenizer.parent if subject.tokenizer else _beside(subject)
    if folder is None:
        found = _from_hub(_base(subject), name)
        return Skip(_passed_over(subject) + found.reason) if isinstance(found, Skip) else found
    return folder / name if (folder / name).is_file() else None


def _base(subject: Subject) -> BaseRecord:
    return subject.adapters[0].sidecar.nla_release.base


def _beside(subject: Subject) -> Path | None:
    base = subject.release.base_path if subject.release else None
    return base if base and (base / TOKENIZER_FILE).is_file() else None


def _passed_over(subject: Subject) -> str:
    """That a base_path is of no use, for the reason why there is no tokenizer."""
    base = subject.release.base_path if subject.release else None
    if base is None:
        return ""
    why = f"holds no {TOKENIZER_FILE}" if base.is_dir() else "is not a folder"
    return f"base_path {base} {why}, and "


def _from_hub(base: BaseRecord, name: str) -> Path | Skip | None:
    """The pinned commit's file, from the client's cache or else the Hub; None when it has none."""
    if base.revision is None:
        return Skip(f"the base's revision is not pinned, and its tokenizer may change; {_GIVE_ONE}")
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub import try_to_load_from_cache as cached
    from huggingface_hub.errors import (
        HTTPError,  # of httpx or httpx2, as the client has it
        RemoteEntryNotFoundError,
    )

    from nla_release.hub_client.client import at_most, reading_client

    reading_client()
    try:
        if found := cached(base.id, name, revision=base.revision):
            return Path(found) if isinstance(found, str) else None
        # Asked once: the download itself tries for half a minute when there is no network.
        metadata = get_hf_file_metadata(hf_hub_url(base.id, name, revision=base.revision))
        if metadata.size is None or metadata.size > _LARGEST:
            return Skip(
                f"the {name} of {base.id} has {metadata.size or 'an unknown number of'} bytes, and"
                f" no more than {_LARGEST} are downloaded; {_GIVE_ONE}"
            )
        with at_most(_LARGEST):
            return Path(hf_hub_download(base.id, name, revision=base.revision))
    except RemoteEntryNotFoundError:
        return None
    except EnvironmentProblem as problem:
        return Skip(f"the {name} of {base.id} cannot be had: {problem.message}; {_GIVE_ONE}")
    except (HTTPError, OSError, ValueError) as error:
        return Skip(
            f"the tokenizer of {base.id} at {base.revision} cannot be had here"
            f" ({type(error).__name__}); {_GIVE_ONE}"
        )
