"""NLA5xx, second half: what must not stand in any published text."""

import re
from collections.abc import Iterator
from pathlib import Path

from nla_release.rules.adapter import Adapter, reading
from nla_release.rules.model import Page, Problem, rule
from nla_release.rules.scopes import ADAPTERS, REPOSITORIES

_PLACEHOLDERS = re.compile(
    r"\[more information needed\]|results pending|ablation_pending|model card for model id"
    r"|provide a quick summary of what the model is|\{\{\s*(?:calibration|release|version)\b",
    re.IGNORECASE,
)

_SECRETS = {
    "a Hugging Face token": re.compile(r"\bhf_(?:jwt_)?[A-Za-z0-9]{20,}"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}"),
    "an API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}|\bAKIA[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}
_PLACES = {
    "a path of one machine": re.compile(
        r"(?<![\w./:-])/(?:home|Users|root|mnt|tmp|workspace)/\w|\b[A-Za-z]:(?:\\{1,2}|/)Users\b"
        r"|\bfile://"
    ),
    "a storage bucket": re.compile(r"\b(?:gs|s3)://"),
}
# Rows quote a corpus, in which a path is a word like any other. A secret is one anywhere.
_QUOTES = ("rows.jsonl",)

_PICTURES = {".png", ".jpg", ".svg"}
_MAX_HEADER_BYTES = 100 * 1024 * 1024  # the limit of the safetensors format


@rule(
    "NLA503",
    "error",
    "nothing is left to be filled in",
    each=REPOSITORIES,
    page=Page(
        checks="No Markdown or YAML file holds a placeholder: PEFT's stub card, `[More Information"
        " Needed]`, `results pending`, or a template expression that was not rendered.",
        why="SolshineCode/nla-gemma-4-e2b published PEFT's stub as the card of a checkpoint, and"
        " sidecars with `ablation_status: running (results pending)` that nothing will ever"
        " update.",
        fix="Say what is known, or leave the sentence out.",
        example="holds the placeholder '[More Information Needed]'",
        waive="Never: what is published stays as it is.",
    ),
)
def nothing_pending(adapter: Adapter) -> Iterator[Problem]:
    """Prose and sidecar, line by line."""
    for path in adapter.files:
        if path.suffix in {".md", ".yaml"}:
            for number, line in _lines(path):
                if match := _PLACEHOLDERS.search(line):
                    yield Problem(f"{path}:{number}", f"holds the placeholder {match[0]!r}")


@rule(
    "NLA504",
    "error",
    "no file tells secrets, or paths of the machine it was made on",
    each=ADAPTERS,
    page=Page(
        checks="No text of the folder, and no safetensors header, holds an access token, a private"
        " key, an absolute path of one machine or a storage bucket. In rows.jsonl, which quotes a"
        " corpus, only secrets count. What was found is not repeated.",
        why="`figures/_release_stats.json` of SolshineCode/nla-gemma-4-e2b shows a user's Windows"
        " path, and kitft's published sidecars still carry the rollout_id that its own script"
        " forbids. The Hub refuses a commit with a valid token in it"
        " (huggingface/autotrain-advanced#762), or mails you afterwards.",
        fix="Revoke the token first. Then remove the text from what was released, and from what"
        " wrote it.",
        example="holds a path of one machine",
        waive="Never: what was public once cannot be taken back.",
    ),
)
def nothing_private(adapter: Adapter) -> Iterator[Problem]:
    """Every text and header, line by line; one finding per file and kind."""
    for path in adapter.files:
        patterns = dict(_SECRETS) if path.name in _QUOTES else _SECRETS | _PLACES
        for number, line in _lines(path):
            for kind in [kind for kind, pattern in patterns.items() if pattern.search(line)]:
                del patterns[kind]
                yield Problem(f"{path}:{number}", f"holds {kind}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines of a text, or a safetensors header as one; links are not followed."""
    if path.is_symlink() or not path.is_file() or path.suffix in _PICTURES:
        return
    with reading(path, "NLA301"):
        if path.suffix == ".safetensors":
            with path.open("rb") as handle:
                length = min(int.from_bytes(handle.read(8), "little"), _MAX_HEADER_BYTES)
                yield 1, handle.read(length).decode(errors="replace")
            return
        with path.open(encoding="utf-8", errors="replace") as text:
            yield from enumerate(text, start=1)
