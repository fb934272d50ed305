"""The owner's token of a Hub that runs by itself: in a file that only its user may read.

It is never printed, not even here where it is good for nothing else: what a person does with this
Hub they will do with the real one.
"""

import os
import secrets
from pathlib import Path

from nla_release.errors import EnvironmentProblem, InputError
from nla_release.io.files import read_text

_NAME = "token"


def token_file(root: Path) -> Path:
    """Where the token of the Hub in `root` is."""
    return root.absolute() / _NAME


def owner_token(root: Path) -> str:
    """The token of the Hub in `root`, made when there is none yet.

    Raises:
        InputError: the file holds no token.
        EnvironmentProblem: it cannot be written.
    """
    path = token_file(root)
    if not path.exists():
        _write(path, f"hf_{secrets.token_hex(16)}\n")
    elif path.is_file() and path.stat().st_mode & 0o077:
        path.chmod(0o600)
    token = read_text(path).strip()
    if not token:
        raise InputError(f"{path} is empty", hint="delete it; the next start makes a new one")
    return token


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as stream:
            stream.write(text)
    except OSError as error:
        raise EnvironmentProblem(f"{path} cannot be written: {error.strerror}") from error
