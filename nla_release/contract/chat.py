"""A base's chat template: finding it next to the tokenizer, and rendering a prompt with it.

It renders as `transformers` does, but without it, so that a laptop can replay a chat prompt.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from nla_release.errors import InputError, PairError
from nla_release.io.documents import parse_json
from nla_release.io.files import read_json, read_text, sha256_bytes

TEMPLATE_FILE_NAME = "chat_template.jinja"
CONFIG_FILE_NAME = "tokenizer_config.json"
# Where models with a processor kept it before transformers wrote chat_template.jinja.
LEGACY_FILE_NAME = "chat_template.json"

# The longest template known, with tools in it, is some 20 kB.
_MAX_TEMPLATE_BYTES = 1024 * 1024
_MAX_CONFIG_BYTES = 64 * 1024 * 1024

_SPECIAL_TOKENS = (
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
)

# Run as a separate program and never imported, because it imports Jinja.
_RENDERING = Path(__file__).with_name("chat_rendering.py")

# A real template takes milliseconds, and the process a tenth of a second.
_SECONDS = 10
# For systems that cannot limit processor time, and for a process that never gets any.
_WAIT = 300


@dataclass(frozen=True)
class Chat:
    """A chat template (Jinja), the special tokens it may write, and the options it is given."""

    template: str
    special_tokens: Mapping[str, str]
    options: Mapping[str, bool | int | str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Hex sha256 of the template, which a sidecar records."""
        return sha256_bytes(self.template.encode())

    def with_options(self, options: Mapping[str, bool | int | str]) -> "Chat":
        """The same template with these options."""
        return replace(self, options=options)

    def variables(self, content: str) -> dict[str, Any]:
        """The template's variables: one user message, followed by the assistant's turn."""
        return {
            **self.special_tokens,
            **self.options,
            "messages": [{"role": "user", "content": content}],
            "tools": None,
            "documents": None,
            "add_generation_prompt": True,
        }

    def render(self, content: str) -> str:
        """The prompt in which a user says `content`, special tokens included.

        The template runs in Jinja's sandbox, in a process of its own with 1 GB of memory and 10
        seconds. The process has the user's rights: code that escaped the sandbox would have them.

        Raises:
            PairError: the template refuses, fails, takes too long, or writes too much.
        """
        request = {"template": self.template, "variables": self.variables(content)}
        answer = _answer(json.dumps(request))
        if "error" in answer:
            raise PairError(f"the chat template {answer['error']}")
        return answer["text"]


def read_chat(folder: Path) -> Chat | None:
    """The chat template in a base's folder, or None when there is none.

    It is in `chat_template.jinja`, or in `tokenizer_config.json` (the one called default), which
    also names the special tokens, or in `chat_template.json`.

    Raises:
        InputError: a file cannot be read, or has the wrong format.
    """
    template_path, config_path = folder / TEMPLATE_FILE_NAME, folder / CONFIG_FILE_NAME
    config: Any = {}
    if config_path.exists():
        config = read_json(config_path, limit=_MAX_CONFIG_BYTES, any_integer=True)
    if not isinstance(config, dict):
        raise InputError(f"{config_path} must hold a JSON object")
    if template_path.exists():
        text = read_text(template_path, limit=_MAX_TEMPLATE_BYTES)
        return Chat(text, _special_tokens(config))
    where, template = config_path, _default(config.get("chat_template"))
    if template is None and (legacy := folder / LEGACY_FILE_NAME).exists():
        where, template = legacy, read_legacy_template(legacy)
    if template is None:
        return None
    if not isinstance(template, str) or len(template.encode()) > _MAX_TEMPLATE_BYTES:
        raise InputError(
            f"{where}: chat_template is not a text of at most {_MAX_TEMPLATE_BYTES} bytes"
        )
    return Chat(template, _special_tokens(config))


def read_legacy_template(path: Path) -> Any:
    """What a `chat_template.json` holds under `chat_template`, or None.

    Raises:
        InputError: it cannot be read, or is not a JSON object.
    """
    document = read_json(path, limit=2 * _MAX_TEMPLATE_BYTES)
    if not isinstance(document, dict):
        raise InputError(f"{path} must hold a JSON object")
    return _default(document.get("chat_template"))


def _default(templates: Any) -> Any:
    """One template, or the one called default of a list."""
    if not isinstance(templates, list):
        return templates
    return next(
        (
            each.get("template")
            for each in templates
            if isinstance(each, dict) and each.get("name") == "default"
        ),
        None,
    )


def _special_tokens(config: Mapping[str, Any]) -> dict[str, str]:
    """Special tokens by name; a configuration holds their text, or an object with it."""
    found = {}
    for name in _SPECIAL_TOKENS:
        token = config.get(name)
        text = token.get("content") if isinstance(token, dict) else token
        if isinstance(text, str):
            found[name] = text
    return found


@lru_cache(maxsize=8)
def _answer(request: str) -> dict[str, str]:
    """The `text` of one request, or its `error`, from a child process."""
    command = [sys.executable, "-P", str(_RENDERING), str(_SECONDS)]
    endless = {"error": f"does not end within {_SECONDS} seconds"}
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, text=True, timeout=_WAIT, check=False
        )
    except subprocess.TimeoutExpired:
        return endless
    if done.returncode == -getattr(signal, "SIGXCPU", 0) != 0:
        return endless
    try:
        answer: dict[str, str] = parse_json(done.stdout, "what the template's process wrote")
    except InputError:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"error": f"crashes its process: {last}"}
    return answer
