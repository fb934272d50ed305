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
    from nla_release.api import (
        CalibrationResult,
        PushResult,
        Rehearsal,
        RemeasureOptions,
        RetractResult,
        calibrate,
        check,
        plan,
        push,
        render,
        retract,
        verify,
    )
    from nla_release.cards.render import RenderedRelease
    from nla_release.contract.explanation import Explanation
    from nla_release.engine.extraction import TokenActivations
    from nla_release.engine.pair import Pair, Scores
    from nla_release.engine.reconstructor import Reconstructor
    from nla_release.engine.verbalizer import Verbalizer
    from nla_release.errors import NlaReleaseError
    from nla_release.gate.model import Verdict
    from nla_release.hub.plan import PushOptions, PushPlan
    from nla_release.hub.verify import VerifyResult
    from nla_release.hub_client.remote import Hub
    from nla_release.release.signature import Publisher, Signer

__version__ = "0.1.0"

__all__ = [
    "CalibrationResult",
    "Explanation",
    "Hub",
    "NlaReleaseError",
    "Pair",
    "Publisher",
    "PushOptions",
    "PushPlan",
    "PushResult",
    "Reconstructor",
    "Rehearsal",
    "RemeasureOptions",
    "RenderedRelease",
    "RetractResult",
    "Scores",
    "Signer",
    "TokenActivations",
    "Verbalizer",
    "Verdict",
    "VerifyResult",
    "__version__",
    "calibrate",
    "check",
    "plan",
    "push",
    "render",
    "retract",
    "verify",
]

_MODULES = {
    "CalibrationResult": "api",
    "Explanation": "contract.explanation",
    "Hub": "hub_client.remote",
    "NlaReleaseError": "errors",
    "Pair": "engine.pair",
    "Publisher": "release.signature",
    "PushOptions": "hub.plan",
    "PushPlan": "hub.plan",
    "PushResult": "api",
    "Reconstructor": "engine.reconstructor",
    "Rehearsal": "api",
    "RemeasureOptions": "api",
    "RenderedRelease": "cards.render",
    "RetractResult": "api",
    "Scores": "engine.pair",
    "Signer": "release.signature",
    "TokenActivations": "engine.extraction",
    "Verbalizer": "engine.verbalizer",
    "Verdict": "gate.model",
    "VerifyResult": "hub.verify",
    "calibrate": "api",
    "check": "api",
    "plan": "api",
    "push": "api",
    "render": "api",
    "retract": "api",
    "verify": "api",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
