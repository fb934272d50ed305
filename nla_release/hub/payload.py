"""What may leave: only the files of a release, and none that tells a secret.

The same rules as in `check`, asked once more of the private copy that is uploaded.
"""

import re
from collections.abc import Iterator, Sequence
from os import fsencode
from pathlib import Path

from nla_release.contract.sidecar import Role
from nla_release.errors import RefusedError
from nla_release.gate.adapter import Adapter
from nla_release.gate.contents import words
from nla_release.gate.hygiene import nothing_private
from nla_release.gate.leaks import Leak, leaks
from nla_release.gate.publishing import files_allowed
from nla_release.gate.subject import Subject
from nla_release.gate.waivers import let_stand
from nla_release.gate.weights import safetensors_only
from nla_release.io.masking import SHORTEST, known_secrets
from nla_release.release.config import Waiver

_RULES = (safetensors_only, files_allowed, nothing_private)
_SHOWN = 6


def checked_payload(folder: Path, role: Role, waived: Sequence[Waiver] = ()) -> None:
    """Make sure that everything in a folder may be published.

    Args:
        folder: a repository's files, all of which are to be uploaded.
        role: whose.
        waived: the findings that release.yaml lets stand.

    Raises:
        RefusedError: something may not; each file is named with the reason.
    """
    adapter = Adapter(role, folder, rendered=True)
    refused = [*_hidden(adapter), *_known(adapter), *_found(adapter, waived)]
    if refused:
        more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise RefusedError(
            f"nothing was uploaded, {folder.name} holds what may not be: "
            + "; ".join(refused[:_SHOWN])
            + more,
            hint="`nla-release check` says how to mend it; revoke a token that was found, first",
        )


def _hidden(adapter: Adapter) -> Iterator[str]:
    """What the Hub or its client would take for their own, which `check` has to let pass."""
    for path in adapter.files:
        name = path.relative_to(adapter.folder)
        if any(part.startswith(".") for part in name.parts):
            yield f"{name.as_posix()} is hidden"


def _known(adapter: Adapter) -> Iterator[str]:
    """A token that this process was given, which no reason lets stand, whatever it looks like."""
    secrets = [secret.encode() for secret in known_secrets() if len(secret) >= SHORTEST]
    kinds = [
        Leak("a token of this machine", (each.lower(),), re.compile(re.escape(each)))
        for each in secrets
    ]
    for path in adapter.files:
        name = path.relative_to(adapter.folder)
        if any(leaks(fsencode(name), kinds)):
            yield "the name of a file in it holds a token of this machine"
        elif path.is_file() and not path.is_symlink():
            text = words(path)  # None of what is too long to be searched for all that is private
            if any(leaks(path.read_bytes() if text is None else text, kinds)):
                yield f"{name.as_posix()} holds a token of this machine"


def _found(adapter: Adapter, waived: Sequence[Waiver]) -> Iterator[str]:
    """What the rules find wrong, and let no waiver stand for."""
    subject = Subject(adapter.folder, None, (), (adapter,), None)
    for rule in _RULES:
        outcome = let_stand(rule.apply(subject, strict=False), waived)
        if outcome.state == "failed":
            for finding in outcome.findings:
                if finding.severity == "error":
                    place = finding.path.removeprefix(f"{adapter.folder}").lstrip("/\\")
                    yield f"{place or 'a name'} {finding.message} ({finding.code})"
