"""What people run and edit of a training: scripts over `nla_release.training`, recipes, the demo.

* `python -m train.STEP RECIPE` is `nla-release train STEP RECIPE`, from a checkout.
* `recipes` are those that `nla-release train recipe` knows.
* `tiny` makes the small base of the tests and the demo; `demo` is `make demo`.
"""

import sys
from types import TracebackType

from nla_release.errors import EnvironmentProblem

_EXTRA = "pip install -e '.[train]'"


def _say_what_is_missing(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """Explain a library that is not installed; everything else is Python's to report."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    engine = isinstance(error, EnvironmentProblem)
    if not engine and (name is None or name.partition(".")[0] in ("nla_release", "train")):
        sys.__excepthook__(kind, error, traceback)
        return
    reason = error.message if isinstance(error, EnvironmentProblem) else f"{name} is not installed"
    sys.stderr.write(f"error: training cannot run: {reason}\nhint: {_EXTRA}\n")
    sys.exit(EnvironmentProblem.exit_code)


def script(step: str) -> None:
    """Run `nla-release train STEP` with this process's arguments."""
    from nla_release.cli import main

    sys.argv[1:1] = ["train", step]
    main()


# `python -m train.STEP` may fail at its imports, before the command line's own handler is there.
# While it looks for the module to run, sys.argv[0] is "-m"; an importing program is left alone.
if sys.argv[:1] == ["-m"]:
    sys.excepthook = _say_what_is_missing
