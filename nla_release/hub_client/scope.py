"""Calls of this package by another program: what they change of its process is put back."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_calls: list[ExitStack] = []


@contextmanager
def library_call() -> Iterator[None]:
    """A call by another program, which may call others of this package.

    Inside, the Hub's client is set up as for a command as soon as it is needed: with the guard that
    sends tokens to their own Hub only and bounds answers, with timeouts and waits. Afterwards it is
    as the program had it. Calls in several threads at once share that state.
    """
    with ExitStack() as stack:
        _calls.append(stack)
        try:
            yield
        finally:
            _calls.remove(stack)


def current_call() -> ExitStack | None:
    """What the outermost call undoes at its end; None outside of a call."""
    return _calls[0] if _calls else None


@contextmanager
def without_proxy(host: str) -> Iterator[None]:
    """Inside, no proxy is used for a host, such as a server in this process."""
    before = {name: os.environ.get(name) for name in ("NO_PROXY", "no_proxy")}
    for name, value in before.items():
        hosts = (value or "").split(",")
        os.environ[name] = ",".join(filter(None, dict.fromkeys([*hosts, host])))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
