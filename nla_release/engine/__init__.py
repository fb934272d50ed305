"""The engine: a pair run on its base. Needs the `engine` extra (torch, transformers, peft).

* `base` loads the base once and reads one block's output.
* `adapters` puts both adapters on it, refusing any key that does not land.
* `hooks` injects activations into prompts.
* `extraction` reads activations of texts from the base alone.
* `pair`, `verbalizer` and `reconstructor` are the public face: both adapters, or one of them.
* `sweep` lets other ARs read texts that are there.
* `trial` loads what was published, to see that it loads.
* `activations` reads held-out activations; `roundtrip` measures a pair and leaves evidence. It asks
  for `controls` and `diagnostic_run`, through `memory`, which keeps answers in a `checkpoint`.
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
