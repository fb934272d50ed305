"""How a pair's prompts are rendered: inferred from its files and the base's tokenizer, or asked."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_release.contract import chat
from nla_release.contract.chat import Chat, read_chat
from nla_release.contract.prompt import encoder, load_tokenizer, mark, suffix_ids
from nla_release.errors import PairError
from nla_release.io.layout import TOKENIZER_FILE
from nla_release.sidecar_formats.report import Ledger
from nla_release.sidecar_formats.table import (
    NANO,
    NLA_AT_HOME,
    REFERENCE_FORMATS,
    SidecarFormat,
)
from nla_release.sidecar_formats.values import written

_FILES = [TOKENIZER_FILE, chat.CONFIG_FILE_NAME, chat.TEMPLATE_FILE_NAME, chat.LEGACY_FILE_NAME]
_SECONDS = 10


@dataclass(frozen=True)
class BaseTokenizer:
    """A base's `tokenizers.Tokenizer`, its chat template if any, and where both are from."""

    tokenizer: Any
    chat: Chat | None
    source: str


def read_base_tokenizer(path: Path, source: str = "the tokenizer given") -> BaseTokenizer:
    """A tokenizer.json that the user names, and the chat template in its folder.

    Raises:
        InputError: a file is missing, or not what its name promises.
    """
    return BaseTokenizer(load_tokenizer(path), read_chat(path.parent), source)


def commit_on_hub(base: str, revision: str | None = None) -> str | None:
    """The commit that a base has on the Hub, by default on main; None if it cannot be asked.

    It is asked once and briefly: a download would try for half a minute without a network.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx

    from nla_release.hub_client.client import reading_client

    reading_client()
    try:
        return HfApi().model_info(base, revision=revision, timeout=_SECONDS).sha
    except (HfHubHTTPError, httpx.HTTPError, OSError, ValueError):
        return None


def fetch_base_tokenizer(base: str, commit: str) -> BaseTokenizer | None:
    """The tokenizer of a base's pinned commit, from the Hub or its cache; None if neither has it.

    Raises:
        InputError: a file is not what its name promises.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import httpx

    cached_only = commit_on_hub(base, commit) is None
    try:
        path = snapshot_download(
            base, revision=commit, allow_patterns=_FILES, local_files_only=cached_only
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError):
        return None
    file = Path(path) / TOKENIZER_FILE
    if not file.is_file():
        return None
    return read_base_tokenizer(file, f"the tokenizer of {base} at {commit}")


# What a tokenizer gives, once the template, the marker and the encoding are known.
FROM_THE_TOKENIZER = ("injection_token_id", "left_neighbor_id", "right_neighbor_id")

# The reference contract's readers look for the marker in the chat-templated prompt.
_CHATTING = (*REFERENCE_FORMATS, NLA_AT_HOME, NANO)

# Variables with which chat templates switch thinking on or off, which changes the prompt.
_THINKING = re.compile(r"\b(?:enable_)?thinking\b|\breasoning_effort\b")


def infer_encoding(ledger: Ledger, layout: SidecarFormat) -> None:
    """Raw or chat: by the format, or as a question."""
    if layout in _CHATTING:
        source = "the reference contract: an AV's prompt goes through the chat template"
        ledger.infer("av.prompt_encoding", "chat", source)
    ledger.ask("av.prompt_encoding")


def infer_av(ledger: Ledger, tokenizer: BaseTokenizer | None) -> bool:
    """Infer or ask what an AV's prompt consists of.

    Returns:
        Whether the marker's id and neighbours will follow from a tokenizer.

    Raises:
        PairError: a recorded value differs from what the tokenizer gives.
    """
    ledger.ask("av.stage")
    ledger.ask("av.injection_scale")
    if "injection_char" not in ledger and "injection_token_id" in ledger and tokenizer:
        marker = tokenizer.tokenizer.decode([ledger["injection_token_id"]])
        ledger.ask("injection_char", marker or None)
    _infer_placeholder(ledger)
    chat = _infer_chat(ledger, tokenizer) if _is_chat(ledger) else None
    if tokenizer is None or (_is_chat(ledger) and tokenizer.chat is None):
        ledger.ask("av.prompt_token_ids", remedy=_lacking(tokenizer))
        return False
    wanted = ["template_av", "injection_char", "av.prompt_encoding"]
    if all(name in ledger for name in wanted) and (chat or not _is_chat(ledger)):
        _replay_prompt(ledger, tokenizer, chat)
    return True  # what is still unknown is asked for, and the ids follow from the answers


def infer_ar(ledger: Ledger, layout: SidecarFormat, tokenizer: BaseTokenizer | None) -> None:
    """Infer or ask what an AR's prompt ends with, and what its head reads.

    Raises:
        PairError: a recorded value differs from what the tokenizer gives.
    """
    ledger.ask("ar.stage")
    if layout in REFERENCE_FORMATS:
        ledger.infer("ar.final_norm", "identity", "the reference contract")
    ledger.ask("ar.final_norm")
    if tokenizer is None:
        ledger.ask("ar.suffix_ids", remedy=_lacking(tokenizer))
    elif "template_ar" in ledger:
        found = suffix_ids(encoder(tokenizer.tokenizer), ledger["template_ar"])
        _replay(ledger, "ar.suffix_ids", found, tokenizer.source)


def _is_chat(ledger: Ledger) -> bool:
    return bool(ledger.get("av.prompt_encoding") == "chat")


def _infer_chat(ledger: Ledger, tokenizer: BaseTokenizer | None) -> Chat | None:
    """The base's chat template with the options of training, once both are known."""
    if tokenizer is None or tokenizer.chat is None:
        ledger.ask("av.chat_template_sha256", remedy=_lacking(tokenizer))
        ledger.ask("av.chat_options")
        return None
    chat = tokenizer.chat
    _replay(ledger, "av.chat_template_sha256", chat.sha256, tokenizer.source)
    if not _THINKING.search(chat.template):
        ledger.infer("av.chat_options", {}, "the chat template, which has no option about thinking")
    ledger.ask("av.chat_options")
    return chat.with_options(ledger["av.chat_options"]) if "av.chat_options" in ledger else None


def _lacking(tokenizer: BaseTokenizer | None) -> str:
    """Why the question is asked, although a tokenizer or chat template could answer it."""
    if tokenizer is None:
        return "unless you give --tokenizer FILE or --base FOLDER"
    return f"because there is no chat template with {tokenizer.source}"


def _replay_prompt(ledger: Ledger, tokenizer: BaseTokenizer, chat: Chat | None) -> None:
    template, marker = ledger["template_av"], ledger["injection_char"]
    marked = mark(encoder(tokenizer.tokenizer), template, marker, chat)
    for name, found in (
        ("injection_token_id", marked.token_id),
        ("left_neighbor_id", marked.left_id),
        ("right_neighbor_id", marked.right_id),
        ("av.prompt_token_ids", list(marked.ids)),
    ):
        _replay(ledger, name, found, tokenizer.source)


def _infer_placeholder(ledger: Ledger) -> None:
    """Replace the marker in a template by the placeholder."""
    if "template_av" not in ledger or "injection_char" not in ledger:
        return
    template, marker = ledger["template_av"], ledger["injection_char"]
    if "{injection_char}" not in template and template.count(marker) == 1:
        source = f"{ledger.known['template_av'].source}, with the placeholder for its marker"
        del ledger.known["template_av"]
        ledger.infer("template_av", template.replace(marker, "{injection_char}"), source)


def _replay(ledger: Ledger, name: str, found: Any, source: str) -> None:
    """Infer a fact from the tokenizer, or compare a recorded one with it.

    A recorded suffix may be shorter than the longest ending that all prompts share.
    """
    ledger.infer(name, found, source)
    known = ledger[name]
    agrees = found[-len(known) :] == known if name == "ar.suffix_ids" else found == known
    if not agrees:
        raise PairError(
            f"{name} is {written(known)} by {ledger.known[name].source}, but {source} gives"
            f" {written(found)}",
            hint="use the tokenizer, the chat template and the prompts that the adapter was"
            " trained with",
        )
