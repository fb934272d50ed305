"""A bound on what a hand-written template may take: time and memory, as far as the system has any.

The sandbox stops a note from reaching what it should not. It stops no note from counting to ten
billion, or from writing one word as often.
"""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

if sys.platform == "linux":
    import resource

# A note takes milliseconds and kilobytes.
SECONDS = 1.0
BYTES = 512 * 1024**2


@contextmanager
def bounded() -> Iterator[None]:
    """Run a block within `SECONDS` of processor time and `BYTES` of new memory.

    Time is bounded in the main thread and not on Windows, memory on Linux.

    Raises:
        TimeoutError: it took longer.
        MemoryError: it wanted more.
    """
    with ExitStack() as stack:
        if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
            stack.enter_context(_bounded_time())
        if sys.platform == "linux":
            stack.enter_context(_bounded_memory())
        yield


if sys.platform != "win32":

    def _too_long(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {SECONDS:g} seconds")

    @contextmanager
    def _bounded_time() -> Iterator[None]:
        """By the processor's time and not the clock's, so that a busy machine refuses nothing."""
        before = signal.signal(signal.SIGVTALRM, _too_long)
        try:
            # Again and again: Jinja's optimizer swallows what is raised while it folds constants.
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, SECONDS)
            yield
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, before)


if sys.platform == "linux":

    @contextmanager
    def _bounded_memory() -> Iterator[None]:
        """By address space, of which a process with torch in it may have much already."""
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[0]
        wanted = int(pages) * resource.getpagesize() + BYTES
        known = [each for each in (soft, hard) if each != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_AS, (min([wanted, *known]), hard))
        try:
            yield
        except MemoryError as error:
            raise MemoryError(f"took more than {BYTES // 1024**2} MiB") from error
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
