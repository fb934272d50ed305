"""NLA310: the adapters that an adapter was trained on top of."""

import math
from collections.abc import Iterator

from nla_release.adapter.config import declared
from nla_release.adapter.lora import adapted_names
from nla_release.adapter.stack import FOLDER_NAME, below, disorder
from nla_release.adapter.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME
from nla_release.contract.sidecar import FILE_NAME
from nla_release.contract.sidecar import Adapter as Recorded
from nla_release.gate.adapter import Adapter
from nla_release.gate.findings import Page, Problem, UnreadableError
from nla_release.gate.model import ADAPTERS, rule
from nla_release.gate.weights import leaves


@rule(
    "NLA310",
    "error",
    "every adapter of a stack is there, in order",
    each=ADAPTERS,
    page=Page(
        checks="The sidecar lists adapters in the order of application: those that the adapter was"
        " trained on top of as adapters/1, adapters/2 and so on, each with the sha256 of its"
        " weights, and the folder's own, `.`, last. Each of them is there, whole and finite, is the"
        " recorded one, and is configured as recorded. No other lies beside them.",
        why="ceselder's EasyNLA release is two LoRAs, a warm start and one that reinforcement"
        " learning put on top of it: both must be active, and its card speaks of the second as if"
        " it were in place of the first. PEFT activates one adapter at a time unless it is told,"
        " and loads the second without a word when the first is missing.",
        fix="Put back the adapters below, as they were when this one was trained, and list them in"
        " that order; `nla-release train av` with stack_on does. An adapter that does not need"
        " others is listed alone.",
        example="adapters/1/adapter_model.safetensors does not exist",
        waive="Never: a part of a stack says something else than the whole that was measured.",
    ),
)
def stack_whole(adapter: Adapter) -> Iterator[Problem]:
    """The recorded order, each adapter below, and what is there besides."""
    recorded = adapter.sidecar.nla_release.adapters
    if any(leaves(entry.path) for entry in recorded):
        return  # NLA301 says so
    if wrong := disorder(adapter.sidecar):
        yield Problem(adapter.folder / FILE_NAME, wrong)
        return
    for entry in below(adapter.sidecar):
        try:
            yield from _not_as_recorded(adapter, entry)
        except UnreadableError as error:
            yield Problem(error.path, error.message)
    known = {entry.path for entry in below(adapter.sidecar)}
    for path in adapter.files:
        parts = path.relative_to(adapter.folder).parts
        if parts[0] == FOLDER_NAME and "/".join(parts[:-1]) not in known:
            yield Problem(path, "lies among the stacked adapters, and the sidecar lists none here")


def _not_as_recorded(adapter: Adapter, entry: Recorded) -> Iterator[Problem]:
    one = Adapter(adapter.role, adapter.folder / entry.path, rendered=False)
    if (found := one.sha256(ADAPTER_FILE_NAME)) != entry.sha256:
        yield Problem(
            one.folder / ADAPTER_FILE_NAME,
            f"has sha256 {found[:12]}, the sidecar records {str(entry.sha256)[:12]}",
        )
        return
    if options := one.config.undeclarable(adapted_names(one.tensors)):
        yield Problem(
            one.folder / CONFIG_FILE_NAME, f"{', '.join(sorted(options))}: it is not run here"
        )
    expected = entry.model_dump()
    for name, value in declared(one.config).items():
        if name != "path" and value != expected[name]:
            yield Problem(
                one.folder / CONFIG_FILE_NAME,
                f"{name} is {value}, the sidecar records {expected[name]}",
            )
    if strays := {module.rank for module in one.modules} - {entry.rank}:
        yield Problem(one.folder / ADAPTER_FILE_NAME, f"has modules of rank {min(strays)}")
    if not all(map(math.isfinite, one.largest.values())):
        yield Problem(one.folder / ADAPTER_FILE_NAME, "holds NaN or infinity")
