"""The engine: a pair run on its base. Needs the `engine` extra (torch, transformers, peft).

* `base` loads the base once; `architecture` knows where a model keeps its parts.
* `adapters` puts both adapters on it, and refuses an adapter with a key that finds no module.
* `hooks` injects activations into prompts.
* `extraction` reads activations of texts from the base alone.
* `pair`, `verbalizer` and `reconstructor` have the public classes: both adapters, or one of them.
* `sweep` lets other ARs read the explanations of a release.
* `activations` reads held-out activations; `roundtrip` measures a pair and writes evidence. It runs
  `controls` and `diagnostic_run` through `memory`, which keeps answers in a `checkpoint`.
"""

import logging

from nla_release.errors import EnvironmentProblem, install_hint

# Set before bitsandbytes is imported: it advises about optional kernels while it loads.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

try:
    import nla_release.engine.pair  # noqa: F401 - is everything there?
except ModuleNotFoundError as error:
    raise EnvironmentProblem(
        f"the engine is not installed ({error.name} is missing)",
        hint=install_hint("engine"),
    ) from error
