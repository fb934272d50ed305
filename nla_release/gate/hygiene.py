"""NLA503 and NLA504: placeholders, secrets and local paths in published files."""

import re
from collections.abc import Iterator
from os import fsencode
from pathlib import Path

from nla_release.gate.adapter_folder import AdapterFolder, reading
from nla_release.gate.findings import Problem, Severity
from nla_release.gate.leaks import ACCOUNTS, MAX_BYTES, MOUNTS, PLACES, SECRETS, Leak, leaks, words
from nla_release.gate.model import ADAPTERS, REPOSITORIES, rule

# Words of stubs, names left open, and templates that were not rendered.
_PLACEHOLDERS = re.compile(
    r"\[more information needed\]|\bresults\W{1,6}(?:(?:are|still)\s){0,2}pending\b|\bcoming soon\b"
    r"|ablation_pending|model card for model id"
    r"|provide a quick summary of what the model is|lorem ipsum|\bto be (?:announced|determined)\b"
    r"|[<\[](?:your|insert|enter)[-_ ](?:hf[-_ ])?(?:user|name|org|repo|model|link|url|number)"
    r"[^<>\[\]]{0,40}[>\]]|\byour[-_](?:hf[-_])?(?:user[-_]?name|org|name)/"
    r"|\{\{\s{0,9}(?:calibration|release|version)\b|\{%-?\s{0,9}(?:if|for|set|include|end\w{2,7})\b",
    re.IGNORECASE,
)
# Notes of authors to themselves; in code they do not count.
_NOTES = re.compile(
    r"\b(?:TODO|TBD|TBA|FIXME)\b|(?<![\w.])(?:x{1,2}\.x{1,3}|X{1,2}\.X{1,3})(?![\w.])"
    r"|(?<![\w.])(?:x{2,3}|X{2,3})\s?%"
)

# Rows quote a corpus, in which a path is a word like any other. A secret never is.
_QUOTES = ("rows.jsonl",)
_DATA = {".json", ".jsonl", ".yaml", ".yml", ".safetensors"}
_WITHOUT_LINES = {".safetensors", ".png", ".jpg", ".jpeg"}


@rule("NLA503", "error", "no placeholder is left in a published text", each=REPOSITORIES)
def no_placeholders(adapter: AdapterFolder) -> Iterator[Problem]:
    """Prose and sidecar, line by line; quotes are what a model or a corpus said.

    Checks: No Markdown or YAML file holds a placeholder: PEFT's stub card, `[More Information
        Needed]`, `results pending`, `coming soon`, an open name or number, a TODO outside of code,
        or a template expression that was not rendered. Quoted lines (`>`) do not count.
    Why: SolshineCode/nla-gemma-4-e2b published PEFT's stub as the card of a checkpoint, and
        sidecars with `ablation_status: running (results pending)` that nothing will ever update.
    Fix: Fill in what is known, or remove the sentence, in the notes or in release.yaml. Then run
        `nla-release render`.
    Example: holds the placeholder '[More Information Needed]'
    Waive: If the words are no placeholder but part of what the release is about.
    """
    for path in adapter.files:
        if path.suffix in {".md", ".yaml"} and (text := _words(path)):
            code = False
            for number, line in enumerate(text.decode(errors="replace").split("\n"), start=1):
                code ^= line.startswith("```")
                found = _placeholder(line, code=code)
                if found and not line.startswith(">"):
                    yield Problem(f"{path}:{number}", f"holds {found}")


@rule("NLA504", "error", "no secrets or local paths in files", each=ADAPTERS)
def no_secrets_or_paths(adapter: AdapterFolder) -> Iterator[Problem]:
    """Every name and every text; one finding per file and kind.

    Checks: No text, safetensors header, picture metadata or file name holds a secret (access
        tokens, API and private keys, URLs with a password or a signature) or reveals where the
        release was made: local paths, storage buckets, runs and checkpoints of a private tracker,
        accounts and host names. rows.jsonl quotes a corpus, so only secrets count there. /data,
        /opt and /var in Markdown may be instructions and are a warning. The finding does not repeat
        the secret.
    Why: `figures/_release_stats.json` of SolshineCode/nla-gemma-4-e2b shows a user's Windows path.
        kitft's published sidecars still hold the rollout_id that its own script forbids. The Hub
        refuses a commit with a valid token in it (huggingface/autotrain-advanced#762), or notifies
        you afterwards.
    Fix: Revoke the token first. Then remove the text from the file, and from the program that wrote
        it.
    Example: holds a path of one machine
    Waive: If the text only looks like a secret or a path; say in the reason what it is.
    """
    for path in adapter.files:
        name = fsencode(path.relative_to(adapter.folder))
        for _, kind in leaks(name, (*SECRETS, *PLACES)):
            if kind == "a checkpoint of the trainer" and not adapter.rendered:
                continue  # NLA301 reports it, and render leaves it out
            yield Problem(adapter.folder, f"has a file whose name contains {kind}")
        if (text := _words(path)) is None:
            yield Problem(path, f"has more than {MAX_BYTES} bytes of text, and was not searched")
            continue
        for line, kind in leaks(text, _kinds(path)):
            place = path if path.suffix in _WITHOUT_LINES else f"{path}:{line}"
            yield Problem(place, f"holds {kind}", _severity(path, kind))


def unpublishable(text: str) -> str | None:
    """What NLA503 or NLA504 would find in a text of an author after publication."""
    private = leaks(text.encode(errors="replace"), _kinds(Path("record.json")))
    return _placeholder(text) or next((kind for _, kind in private), None)


def _placeholder(line: str, *, code: bool = False) -> str | None:
    match = _PLACEHOLDERS.search(line) or (not code and _NOTES.search(line))
    return f"the placeholder {match[0]!r}" if match else None


def _severity(path: Path, kind: str) -> Severity | None:
    """A path in Markdown may be an instruction to readers; a program writes where it ran."""
    may_be = any(leak.kind == kind for leak in MOUNTS)
    return "warning" if may_be and path.suffix == ".md" else None


def _kinds(path: Path) -> tuple[Leak, ...]:
    if path.name in _QUOTES:
        return SECRETS
    return (*SECRETS, *PLACES, *MOUNTS, *(ACCOUNTS if path.suffix in _DATA else ()))


def _words(path: Path) -> bytes | None:
    """The text of a file, or None when it is too large; links are not followed."""
    if path.is_symlink() or not path.is_file():
        return b""
    with reading(path, "NLA301"):
        return words(path)
