"""The training chain: from text to a measured pair, step by step.

    python -m train.extract RECIPE    text -> data/base.parquet: activations
    python -m train.split RECIPE      -> data/split/: activations of each side, by document
    python -m train.label RECIPE      -> data/labels/: their explanations
    python -m train.build RECIPE      -> data/av_sft.parquet, data/ar_sft.parquet, data/eval.parquet
    python -m train.av RECIPE         rows -> pair/av
    python -m train.ar RECIPE         rows -> pair/ar
    python -m train.eval RECIPE       checkpoints -> trajectory.jsonl, trajectory.md
    python -m train.run RECIPE        all of it; what is done is skipped

* `recipe` is the one YAML file that drives all of them; `settings` its blocks `av`, `ar`, `eval`.
* `record` is how a step knows what is done, and refuses what is not this recipe's; `identity` tells
  which base lies in a folder.
* `sources`, `corpus` and `positions` are text, `chunks` an extraction under way.
* `tables`, `sidecars` and `dataset` are rows on disk, `prompts` and `checks` what they say.
* `labelling` asks a model for explanations.
* `adapter` puts a LoRA on the base; `gates` are what is checked before, `tripwire` what while.
* `loop` is the optimisation both adapters share, `checkpoints` what a killed one goes on from.
* `plan` tells what memory a training takes; `skeleton` writes the release.yaml of a trained pair.
* `tiny` makes the small base of the tests and the demo.

`train` uses `nla_release`; nothing in `nla_release` imports `train`.
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
    sys.stderr.write(f"error: the training chain cannot run: {reason}\nhint: {_EXTRA}\n")
    sys.exit(EnvironmentProblem.exit_code)


# `python -m train.STEP` fails at its imports, before the command line's own handler is there.
# While it looks for the module to run, sys.argv[0] is "-m"; an importing program is left alone.
if sys.argv[:1] == ["-m"]:
    sys.excepthook = _say_what_is_missing
