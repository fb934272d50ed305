"""Every error this package raises on purpose, and the exit code each one ends a command with.

NlaReleaseError
├── ConfigError             2  an option, release.yaml or recipe asks for something impossible
├── InputError              2  a file is missing, unreadable, or not what its name promises
│   ├── SidecarError           nla_meta.yaml breaks the contract
│   ├── WeightsError           a safetensors file is damaged or has the wrong tensors
│   ├── DataError              evaluation or training data cannot be used
│   └── EvidenceError          evidence is damaged or belongs to another run
├── PairError               1  the parts of a pair disagree with each other or with the base
│   └── InjectionError         a prompt does not hold exactly one marker between its neighbours
├── RefusedError            1  the gate failed, or the act would overwrite what is published
├── NothingCheckedError     3  there was nothing to check or to measure
├── EnvironmentProblem      4  no token, no network, a missing extra, a busy port, a full disk
└── PartlyPublishedError    5  part of the release is public: run the same command again

`nla_release.cli` is the one place that turns these into exit codes. The codes of a process as a
whole are 0 (done, passed), those above, 130 (interrupted) and
143 (terminated).
"""

import json
import shlex
from importlib import metadata

_WITH_TORCH = ("engine", "train")
_CPU = (
    "; without a GPU first: pip install torch --index-url https://download.pytorch.org/whl/cpu"
    " (under 1 GB installed, instead of 5.9 GB)"
)


class NlaReleaseError(Exception):
    """Base of the tree. `message` says what is wrong and where, `hint` what to do next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(NlaReleaseError):
    """An option, `release.yaml` or a recipe asks for something that cannot be done."""

    exit_code = 2


class InputError(NlaReleaseError):
    """A file is missing, unreadable, or not what its name promises."""

    exit_code = 2


class SidecarError(InputError):
    """A sidecar breaks the `nla_meta.yaml` contract."""


class WeightsError(InputError):
    """A safetensors file is damaged, or its tensors are not the ones that belong there."""


class DataError(InputError):
    """Evaluation or training data cannot be used as it is."""


class EvidenceError(InputError):
    """Evidence is damaged, incomplete, or belongs to another run."""


class PairError(NlaReleaseError):
    """The parts of a pair disagree with each other, with the base, or with its tokenizer."""


class InjectionError(PairError):
    """A prompt does not hold exactly one marker between its recorded neighbours."""


class RefusedError(NlaReleaseError):
    """The act was refused: the gate failed, or it would overwrite something published."""


class NothingCheckedError(NlaReleaseError):
    """There was nothing to check or to measure, which is never a pass."""

    exit_code = 3


class EnvironmentProblem(NlaReleaseError):  # noqa: N818 - EnvironmentError is Python's own
    """The machine lacks something: a token, a network, an extra, a free port, disk."""

    exit_code = 4


class PartlyPublishedError(NlaReleaseError):
    """Some of the release is public and some is not; the same command continues it."""

    exit_code = 5


def install_hint(extra: str) -> str:
    """The command that installs an extra of this very package, from where it was installed.

    pip records the checkout, file or commit that a package is from (PEP 610); its name alone may
    belong to somebody else on a package index.
    """
    try:
        found = metadata.distribution("nla-release").read_text("direct_url.json")
        record = json.loads(found or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        record = {}
    url, vcs = record.get("url"), record.get("vcs_info")
    if url and vcs:
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    wanted = f"nla-release[{extra}]" + (f" @ {url}" if url else "")
    return f"pip install {shlex.quote(wanted)}" + (_CPU if extra in _WITH_TORCH else "")


def one_line(text: object) -> str:
    """What a library or a server says, such as an exception, as a clause for a message of ours."""
    return printable(" ".join(str(text).split()))


def printable(text: str) -> str:
    """What a stranger wrote, with escapes for the characters by which it would steer a terminal."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
