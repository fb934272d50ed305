"""Which names an untrusted regular expression matches, decided by `re` in a bounded child process.

PEFT matches `target_modules` with `re.fullmatch`. It takes years for some short patterns, such as
`(a+)+b`, and has no time limit. The child process has limits of processor time and memory.
"""

import json
import re
import subprocess
import sys
import warnings
from functools import lru_cache
from itertools import compress

from nla_release.errors import InputError

# Unsloth's pattern for the language part of any model is 300 characters long.
MAX_LENGTH = 2000

# Of processor time, so that a busy machine decides the same. Patterns in use take milliseconds.
MAX_SECONDS = 2
_MAX_MEGABYTES = 512
# Where the system cannot limit processor time, and for a process that never starts.
_WAIT_SECONDS = 60

_PROGRAM = f"""
import json, re, sys
if sys.platform != "win32":
    import resource
    limits = {{resource.RLIMIT_CPU: {MAX_SECONDS}, resource.RLIMIT_AS: {_MAX_MEGABYTES << 20}}}
    for kind, most in limits.items():
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):
            pass
pattern, names = json.load(sys.stdin)
json.dump([re.fullmatch(pattern, name) is not None for name in names], sys.stdout)
"""


class UntriedError(InputError):
    """The pattern is valid, but too long, too deep, or too expensive to be tried."""


def fully_matching(pattern: str, names: tuple[str, ...]) -> frozenset[str]:
    """The names that `re.fullmatch` matches.

    Raises:
        InputError: the pattern is not a regular expression.
        UntriedError: it is too long or too deep, or its limits of time and memory do not suffice.
    """
    if len(pattern) > MAX_LENGTH:
        raise UntriedError(f"a pattern of {len(pattern)} characters is not tried")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sets that a later Python may read otherwise
            re.compile(pattern)
    except (re.error, OverflowError) as error:
        raise InputError(f"{pattern!r} is not a regular expression: {error}") from error
    except RecursionError as error:
        raise UntriedError("a pattern so deeply nested is not tried") from error
    try:
        found = _matching(pattern, names)
    except OSError as error:
        raise UntriedError(
            f"a pattern needs a process of its own, and none can be started: {error}"
        ) from error
    if found is None:
        raise UntriedError(
            f"the pattern takes more than {MAX_SECONDS} seconds or {_MAX_MEGABYTES} MB to match"
        )
    return found


@lru_cache(maxsize=8)  # a release has each adapter twice, as trained and as rendered
def _matching(pattern: str, names: tuple[str, ...]) -> frozenset[str] | None:
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-W", "ignore", "-c", _PROGRAM],
            input=json.dumps([pattern, names]),
            capture_output=True,
            text=True,
            timeout=_WAIT_SECONDS,
            check=True,
        )
    except subprocess.SubprocessError:
        return None
    return frozenset(compress(names, json.loads(done.stdout)))
