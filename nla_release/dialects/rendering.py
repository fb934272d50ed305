"""The base's tokenizer and chat template, to render a pair's prompts with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_release.contract import chat
from nla_release.contract.chat import Chat, read_chat
from nla_release.contract.prompt import load_tokenizer

FILE_NAME = "tokenizer.json"
_FILES = [FILE_NAME, chat.CONFIG_FILE_NAME, chat.TEMPLATE_FILE_NAME, chat.LEGACY_FILE_NAME]
_SECONDS = 10


@dataclass(frozen=True)
class Rendering:
    """A `tokenizers.Tokenizer`, the chat template beside it, if any, and where both are from."""

    tokenizer: Any
    chat: Chat | None
    source: str


def given(path: Path, source: str = "the tokenizer given") -> Rendering:
    """A tokenizer.json that somebody names, and the chat template in its folder.

    Raises:
        InputError: a file is missing, or not what its name promises.
    """
    return Rendering(load_tokenizer(path), read_chat(path.parent), source)


def latest_commit(base: str) -> str | None:
    """The commit that a base's main branch has on the Hub today; None if it cannot be asked."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx

    from nla_release.hub_client.client import reading_client

    reading_client()
    try:
        return HfApi().model_info(base, timeout=_SECONDS).sha
    except (HfHubHTTPError, httpx.HTTPError, OSError, ValueError):
        return None


def of_base(base: str, commit: str) -> Rendering | None:
    """The base's own at the commit it is pinned to, from the Hub or its cache; None if neither.

    Raises:
        InputError: a file is not what its name promises.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import httpx

    from nla_release.hub_client.client import reading_client

    reading_client()
    unreachable = (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError)
    try:
        # Asked once: the download itself tries for half a minute when there is no network.
        HfApi().model_info(base, revision=commit, timeout=_SECONDS)
        cached_only = False
    except unreachable:
        cached_only = True
    try:
        folder = Path(
            snapshot_download(
                base, revision=commit, allow_patterns=_FILES, local_files_only=cached_only
            )
        )
    except unreachable:
        return None
    if not (folder / FILE_NAME).is_file():
        return None
    source = f"the tokenizer of {base} at {commit}"
    return Rendering(load_tokenizer(folder / FILE_NAME), read_chat(folder), source)
