r"""What a published file must not reveal: secrets, and where and by whom it was made.

Each kind of leak is a pattern over bytes, and words that it needs: a file without the words is not
searched for the pattern. Every repetition is bounded, so that search time is linear in the length
of an untrusted file. Patterns end as soon as they are certain, not at the end of a secret.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nla_release.adapter.weights import read_header
from nla_release.errors import WeightsError

# Evidence of ten thousand rows is half of it.
MAX_BYTES = 32 * 1024 * 1024

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Leak:
    """A kind of private text: its name, the words that it needs, and its pattern."""

    kind: str
    words: tuple[bytes, ...]
    pattern: re.Pattern[bytes]


def _leak(kind: str, words: str, pattern: bytes) -> Leak:
    return Leak(kind, tuple(words.encode().split()), re.compile(pattern, re.MULTILINE))


# Where a word begins: also behind the newline or tab that JSON writes as two characters.
_BEGINS = rb"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
_ASSIGNED = rb"[\w.-]{0,20}[\"']?\s{0,3}[:=\s]\s{0,3}[\"']?"
# What documentation writes in place of a password.
_NOT_A_PASSWORD = rb"(?!(?i:pass(?:word|wd)?|pwd|secret|token|x+|\*+|changeme)@)"

SECRETS = (
    _leak(
        "a Hugging Face token",
        "hf_ api_org_",
        _BEGINS + rb"(?:hf_(?:jwt_|oauth_)?|api_org_)[A-Za-z0-9]{20}",
    ),
    _leak(
        "a GitHub token",
        "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_",
        _BEGINS + rb"(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22})",
    ),
    _leak("a GitLab token", "glpat-", _BEGINS + rb"glpat-[\w-]{20}"),
    _leak(
        "a package registry's token",
        "npm_ pypi-",
        _BEGINS + rb"(?:npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{30})",
    ),
    _leak(
        "an API key",
        "sk- aiza gsk_",
        _BEGINS
        + rb"(?:gsk_[A-Za-z0-9]{40}|sk-(?:(?:proj|svcacct|admin|or-v1|ant-[a-z0-9]{1,10})-[\w-]{20}"
        rb"|[A-Za-z0-9]{20})|AIza[\w-]{35})",
    ),
    _leak(
        "an AWS key",
        "akia asia secret_access_key secretaccesskey",
        _BEGINS + rb"(?:AKIA|ASIA)(?![0-9A-Z]{9}EXAMPLE)[0-9A-Z]{16}\b"
        rb"|(?i:secret_?access_?key)" + _ASSIGNED + rb"(?![\w/+]{30}EXAMPLEKEY)[\w/+]{40}",
    ),
    _leak(
        "a Slack token",
        "xox hooks.slack.com",
        _BEGINS + rb"xox[abeoprs]-[\w-]{10}|hooks\.slack\.com/services/\w",
    ),
    _leak(
        "a Weights & Biases key",
        "wandb",
        rb"(?i:wandb)(?:_v1_\w{20}|(?: login)?" + _ASSIGNED + rb"[0-9a-f]{40}(?![0-9a-f]))",
    ),
    _leak(
        "a bearer token",
        "bearer authorization eyj",
        rb"(?i:\bbearer|\bauthorization[\"']?:)\s{1,3}(?:(?:[Bb]asic|[Tt]oken)\s)?"
        rb"(?=[\w.~+/-]{0,60}\d)[\w.~+/-]{16}|" + _BEGINS + rb"eyJ[\w-]{10,100}+\.eyJ[\w-]{10}",
    ),
    _leak(
        "a URL with a password",
        "://",
        rb"://[^\s/:@\"'<>{}$]{1,64}+:" + _NOT_A_PASSWORD + rb"[^\s/@\"'<>{}$]{3,64}+@\w",
    ),
    _leak(
        "a signed URL",
        "signature= sig=",
        rb"(?i:\bX-(?:Amz|Goog)-Signature|[?&](?:Signature|sig))=[\w%+/~-]{16}",
    ),
    _leak(
        "a private key",
        "-----begin putty-user-key",
        rb"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY|PuTTY-User-Key-File",
    ),
)

# A slash at the beginning of an absolute path.
_ROOT = rb"/(?:(?<![\w./@-]/)|(?<=\\[nrt]/))"
_IN_IT = rb"[0-9]{0,3}(?:-\w{1,20})?/\w"
# The beginning of a Windows network share, as it is or as JSON writes it.
_SHARE = rb"(?:^|(?<=[\s\"'`(=]))"

PLACES = (
    _leak(
        "a path of one machine",
        "/",
        _ROOT + rb"(?:afs|beegfs|cephfs|checkpoint|cluster|content|dbfs|dev/shm|export|fsx|gpfs"
        rb"|gscratch|home|kaggle|lustre|media|mnt|netscratch|nfs|nvme|private/var|projects?|raid"
        rb"|root|run/user|runpod|scratch|srv|ssd|storage|teamspace|tmp|Users|vol|Volumes|weka|work"
        rb"|workspace)" + _IN_IT,
    ),
    _leak("a path of one machine", "~/", rb"(?<![\w~/.])~/[\w-][\w.-]{0,63}+/\w"),
    _leak(
        "a path of one machine",
        "\\\\",
        _SHARE + rb"(?:\\\\[A-Za-z][\w.-]{1,62}+\\[A-Za-z]\w"
        rb"|\\\\\\\\[A-Za-z][\w.-]{1,62}+\\\\[A-Za-z]\w)",
    ),
    _leak("a path of one machine", "file:", rb"\bfile:///?\w"),
    _leak(
        "a path of one machine",
        r":\ :/users",
        _BEGINS + rb"[A-Za-z]:(?:(?:\\{1,4}|/)(?i:users|documents and settings|program)\b"
        rb"|\\{1,4}(?![nrt]|u[0-9a-f]{4})[A-Za-z][\w .-]{0,60}\\)",
    ),
    _leak(
        "a path of the trainer's folder",
        "\\",
        _BEGINS + rb"(?:experiments?|results|checkpoints?|weights|data|runs|outputs?|logs|scripts"
        rb"|models|artifacts|notebooks)(?:\\\\(?!n\\)|\\(?![nrtu\\]))[A-Za-z]\w",
    ),
    _leak(
        "a storage bucket",
        "://",
        rb"\b(?:gs|s3[an]?|r2|b2|az|wasbs?|abfss?|adl|hdfs|viewfs|oci|oss|cos|swift|dbfs)://\w"
        rb"|\bs3(?:[.-][a-z0-9-]{2,25}){0,2}\.amazonaws\.com|\w\.storage\.googleapis\.com/"
        rb"|://storage\.googleapis\.com/\w",
    ),
    _leak(
        "a run of a private tracker",
        "rollout_id wandb run- mlflow mlruns neptune comet slurm",
        rb"\brollout_id\b|\bwandb\.ai/[\w.-]{1,64}/[\w.-]{1,128}/(?:runs|sweeps)/\w"
        rb"|\brun-\d{8}_\d{6}-\w{8}|\bmlruns/\w|\b(?:app\.)?neptune\.ai/(?:o/)?[\w-]{1,64}/"
        rb"|\bcomet\.com/[\w-]{1,64}/[\w-]{1,64}/[0-9a-f]{8}|\bslurm-\d{3}"
        rb"|(?i:\b(?:wandb|mlflow|neptune|comet)_(?:run|experiment|sweep)(?:_(?:id|key|url|name))?"
        rb"|\bslurm_job_?id)[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?!null|None|false)[\w/:]",
    ),
    _leak(
        "a checkpoint of the trainer",
        "iter_ global_step checkpoint-",
        rb"\biter_\d{7}\b|\bglobal_step\d|[\w.-][/\\]checkpoint-\d",
    ),
    _leak(
        "an account on a machine",
        "@",
        rb"(?<![\w.@/-])(?!git@)[a-z_][\w-]{0,31}+@[A-Za-z0-9][\w.-]{0,63}+:"
        rb"(?:[/~]|[\w.-]{1,64}+/)|\bssh (?!git@)[\w.-]{1,32}+@\w",
    ),
)

# Paths of one machine, or of instructions to readers.
MOUNTS = (_leak("what may be a path of one machine", "/", _ROOT + rb"(?:data|opt|var)" + _IN_IT),)

# Only data names a person by a key; a chat template or a dialogue says `user:` too.
ACCOUNTS = (
    _leak(
        "an account on a machine",
        "user login host",
        rb"(?:^\s{0,40}+|[{,\s])[\"']?(?:user|user_?name|login|host|host_?name)[\"']?\s?:\s?[\"']?"
        rb"(?!null|true|false|[Nn]one|~)[\w.@-]{2,64}+[\"']?\s{0,2}(?:$|[,}\r])",
    ),
)

# A printable character, as JSON and YAML escape it, and as SVG and Markdown do.
_ESCAPED = re.compile(
    rb"\\(?:u00|x|U000000)([2-7][0-9A-Fa-f])"
    rb"|&#(?:[xX]0{0,6}([2-7][0-9A-Fa-f])|0{0,6}(3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6]));"
)
# How YAML continues a quoted string in the next line.
_FOLD = re.compile(rb"\\\r?\n[ \t]*")


def leaks(data: bytes, kinds: Sequence[Leak]) -> Iterator[tuple[int, str]]:
    """The first place of each kind of leak in a text, as its line, from 1, and the kind.

    Args:
        data: the text in UTF-8, UTF-16, UTF-32, or any encoding that has ASCII in it.
        kinds: what to search for.
    """
    found: dict[str, int] = {}
    text = _plain(data)
    for reading in dict.fromkeys((text, _spelled_out(text))):
        lowered = reading.lower()
        for leak in kinds:
            if (
                leak.kind not in found
                and any(word in lowered for word in leak.words)
                and (match := leak.pattern.search(reading))
            ):
                found[leak.kind] = reading.count(b"\n", 0, match.start()) + 1
    yield from ((line, kind) for kind, line in found.items())


def _plain(data: bytes) -> bytes:
    """The text in an encoding with ASCII in it, and slashes as JSON need not write them."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", errors="replace").encode(errors="replace")
    return data.replace(rb"\/", b"/")


def _spelled_out(text: bytes) -> bytes:
    """The text after parsing: no escapes, no folded lines, no NUL bytes."""
    text = _FOLD.sub(b"", text.replace(b"\0", b""))
    return _ESCAPED.sub(_character, text)


def _character(escaped: re.Match[bytes]) -> bytes:
    digits, decimal = escaped[1] or escaped[2], escaped[3]
    return bytes([int(digits, 16) if digits else int(decimal)])


def words(path: Path) -> bytes | None:
    """The bytes of a file that can hold text, or None when they are more than `MAX_BYTES`.

    Raises:
        OSError: it cannot be read.
    """
    limit = MAX_BYTES + 1
    with path.open("rb") as handle:
        if path.suffix == ".safetensors" and _is_whole(path):
            limit = int.from_bytes(handle.read(8), "little")  # the header is far below MAX_BYTES
        data = handle.read(limit)
    if len(data) > MAX_BYTES:
        return None
    return _around_the_pixels(data) if data.startswith(_PNG_SIGNATURE) else data


def _is_whole(weights: Path) -> bool:
    """Whether every byte belongs to the header or a tensor, so that none can hide text."""
    try:
        read_header(weights)
    except WeightsError:
        return False
    return True


def _around_the_pixels(picture: bytes) -> bytes | None:
    """All chunks of a PNG except pixels, texts decompressed, and all bytes after its end."""
    parts, left = [], MAX_BYTES
    for kind, data in _chunks(picture):
        text = data + _inflated(_stream(kind, data), left)
        left -= len(text)
        if left <= 0:
            return None
        parts.append(text)
    return b"\n".join(parts)


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each chunk; incomplete chunks as they are."""
    at = len(_PNG_SIGNATURE)
    while at < len(picture):
        end = at + 12 + int.from_bytes(picture[at : at + 4], "big")
        kind = picture[at + 4 : at + 8]
        if end > len(picture) or not kind.isalpha():
            yield b"", picture[at:]
            return
        if kind != b"IDAT":
            yield kind, picture[at + 8 : end - 4]
        at = end


def _stream(kind: bytes, data: bytes) -> bytes:
    """The compressed part of a text chunk. Source: the PNG specification, 11.3.3 Textual data."""
    _, _, rest = data.partition(b"\0")
    if kind == b"zTXt":
        return rest[1:]
    if kind == b"iTXt" and rest.startswith(b"\1"):
        return rest[2:].split(b"\0", 2)[-1]
    return b""


def _inflated(stream: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream, limit)
    except zlib.error:
        return b""
