"""Release Natural Language Autoencoder pairs: validate, calibrate, document, publish, verify.

The data goes one way, and each room does one step:

* `contract`, `adapter` and `release` read sidecars, adapters and `release.yaml` without torch.
* `training` makes a pair from text (extra `train`).
* `engine` runs the pair on its base: activation -> words -> activation (extra `engine`).
* `evidence` is what a run leaves; `diagnostics` and `calibration` turn it into numbers.
* `cards`, `history` and `report` write documents from those numbers.
* `gate` checks files, evidence and documents by rules, and gives one verdict.
* `hub` publishes both repositories as one unit; `local_hub` is an embedded Hub for rehearsals.

What `__all__` names is the public Python API. Each name is imported when it is first used, so that
importing this package loads none of torch, transformers, peft or bitsandbytes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nla_release.contract.explanation import Explanation
    from nla_release.engine.extraction import TokenActivations
    from nla_release.engine.pair import Pair, Scores
    from nla_release.engine.reconstructor import Reconstructor
    from nla_release.engine.verbalizer import Verbalizer
    from nla_release.errors import NlaReleaseError

__version__ = "0.1.0"

__all__ = [
    "Explanation",
    "NlaReleaseError",
    "Pair",
    "Reconstructor",
    "Scores",
    "TokenActivations",
    "Verbalizer",
    "__version__",
]

_MODULES = {
    "Explanation": "contract.explanation",
    "NlaReleaseError": "errors",
    "Pair": "engine.pair",
    "Reconstructor": "engine.reconstructor",
    "Scores": "engine.pair",
    "TokenActivations": "engine.extraction",
    "Verbalizer": "engine.verbalizer",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
