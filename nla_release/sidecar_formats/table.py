"""Every format of `nla_meta.yaml` known to be in use, recognised by what only it has.

A format that the engine cannot run is named and refused: its pair would load and be wrong.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nla_release.errors import SidecarError
from nla_release.sidecar_formats.values import MISSING, dig, has


@dataclass(frozen=True)
class Context:
    """Where a sidecar was found: its file name, its neighbours' names, and `inject_config.json`."""

    file: str | None = None
    names: frozenset[str] = frozenset()
    inject_config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SidecarFormat:
    """A format by name; `refusal` says why its pairs cannot be run here, when they cannot."""

    name: str
    refusal: str | None = None


_DATASET = "describes activations, not an adapter; give the folder of the adapter"
_ADDED = "the activation is added to a block's output, matched to its norm, not put in a prompt"
_UNIVERSAL = "one adapter reads many layers and is given the layer; a pair here has one layer"
_SLOTS = "the prompt holds several concept slots; exactly one marker is replaced here"

CANONICAL = SidecarFormat("nla_release")
KITFT_PUBLISHED = SidecarFormat("kitft, published")
KITFT_TRAINED = SidecarFormat("kitft, as trained")
KITFT_V1 = SidecarFormat("kitft, version 1")
KITFT_DATASET = SidecarFormat("kitft dataset", _DATASET)
SOLSHINE = SidecarFormat("Solshine")
SOLSHINE_JSON = SidecarFormat("Solshine, inject_config.json")
SOLSHINE_CENTERED = SidecarFormat(
    "Solshine, centered", "a mean activation is subtracted before the vector is injected"
)
SOLSHINE_BLOCK = SidecarFormat(
    "Solshine, injected at a block", "the activation enters at a block, not at the embedding"
)
EASYNLA = SidecarFormat("EasyNLA", _ADDED)
EASYNLA_WHITENED = SidecarFormat(
    "EasyNLA, whitened", "the activations are whitened with statistics of their own"
)
GEREON = SidecarFormat("gereon", _ADDED)
NLA_AT_HOME = SidecarFormat("nla-at-home")
NLA_AT_HOME_UNIVERSAL = SidecarFormat("nla-at-home, universal", _UNIVERSAL)
REASONING_ATTENTION = SidecarFormat("reasoning_attention")
NANO = SidecarFormat("Nano-NLA")
ALEXWORTEGA = SidecarFormat("AlexWortega")
ALEXWORTEGA_UNIVERSAL = SidecarFormat("AlexWortega, universal", _UNIVERSAL)
MULTI_CHECKPOINT = SidecarFormat("multi-checkpoint", _SLOTS)
HRM = SidecarFormat("lgalke HRM", "two streams are read through two different markers")
FLAT = SidecarFormat("flat NLAMeta")
NVIDIA_DATASET = SidecarFormat("NVIDIA nano30b dataset", _DATASET)
MODAL_DATASET = SidecarFormat("Modal Qwen3.6 dataset", _DATASET)
NEURONPEDIA = SidecarFormat("Neuronpedia")
UNDECLARED = SidecarFormat("no sidecar")

# The reference contract's own. Their pairs were fine-tuned whole; one with an adapter is read too.
REFERENCE_FORMATS = (KITFT_PUBLISHED, KITFT_TRAINED, KITFT_V1)

_Sign = Callable[[Mapping[str, Any], Context], bool]


def _is(place: str, *values: Any) -> _Sign:
    return lambda document, _: dig(document, place) in values


def _has(*places: str) -> _Sign:
    return lambda document, _: has(document, *places)


def _lacks(*places: str) -> _Sign:
    return lambda document, _: not has(document, *places)


def _named(*names: str | None) -> _Sign:
    return lambda _, context: context.file in names


def _beside(*names: str) -> _Sign:
    return lambda _, context: not context.names.isdisjoint(names)


def _injects(key: str, wanted: Callable[[Any], bool]) -> _Sign:
    return lambda _, context: (
        key in context.inject_config and wanted(context.inject_config.get(key))
    )


def _all(*signs: _Sign) -> _Sign:
    return lambda document, context: all(sign(document, context) for sign in signs)


def _any(*signs: _Sign) -> _Sign:
    return lambda document, context: any(sign(document, context) for sign in signs)


def _whitened(document: Mapping[str, Any], _: Context) -> bool:
    return str(dig(document, "extraction.norm")).startswith("whitened")


def _slots(document: Mapping[str, Any], _: Context) -> bool:
    template = _av_template(document)
    return isinstance(template, str) and template.count("{injection_char}") > 1


def _streams(document: Mapping[str, Any], _: Context) -> bool:
    template = _av_template(document)
    return isinstance(template, str) and "<INJECT_L>" in template and "<INJECT_H>" in template


def _both_spellings(document: Mapping[str, Any], _: Context) -> bool:
    """Templates under the trainer's names and the release's at once."""
    return has(document, "prompt_templates.actor") and has(document, "prompt_templates.av")


def _av_template(document: Mapping[str, Any]) -> Any:
    for key in ("av", "actor"):
        if (found := dig(document, f"prompt_templates.{key}")) is not MISSING:
            return found
    return MISSING


_MODEL = _is("kind", "nla_model")
_DATA = _is("kind", "nla_dataset")
_NO_SIDECAR = _named(None)
_HEAD_PICKLE = _beside("linear_head.pt")

# The first row that fits. A format that cannot be run comes before its readable relatives.
_TABLE: tuple[tuple[SidecarFormat, _Sign], ...] = (
    (CANONICAL, _has("nla_release")),
    (HRM, _any(_streams, _has("tokens.hrm", "hrm"))),
    (MULTI_CHECKPOINT, _any(_has("extraction.checkpoints"), _slots)),
    (EASYNLA_WHITENED, _any(_has("extraction.whitening"), _whitened)),
    (ALEXWORTEGA_UNIVERSAL, _has("anchor_tag", "d_shared", "ar_base")),
    (
        NLA_AT_HOME_UNIVERSAL,
        _any(
            _has("n_layers", "depth_percentages", "training.depth_percentages"),
            _beside("pca_transforms.pt", "layer_means.pt"),
        ),
    ),
    (GEREON, _any(_named("nla_config.json"), _has("actor_prompt_ids", "actor_prompt_rendered"))),
    (
        EASYNLA,
        _all(
            _DATA,
            _any(
                _named("nla_meta.yaml"), _beside("av_warmstart_lora", "av_rl_adapters", "ar_critic")
            ),
        ),
    ),
    (NVIDIA_DATASET, _all(_DATA, _has("extraction.source_mode"))),
    (MODAL_DATASET, _all(_DATA, _has("alpha", "extraction.alpha", "injection.alpha"))),
    (KITFT_DATASET, _DATA),
    (SOLSHINE_CENTERED, _injects("inject_mode", lambda mode: mode == "center")),
    (SOLSHINE_BLOCK, _injects("inject_layer", lambda layer: layer != "embed")),
    (SOLSHINE_JSON, _any(_named("nla_meta.json"), _injects("inject_layer", bool))),
    (NEURONPEDIA, _has("prompt_templates.verbalizer")),
    (NANO, _all(_MODEL, _any(_both_spellings, _has("ar.num_hidden_layers")))),
    (ALEXWORTEGA, _all(_MODEL, _has("extraction.d_model"), _has("critic.num_hidden_layers"))),
    (SOLSHINE, _all(_MODEL, _has("extraction.d_model"))),
    (KITFT_V1, _all(_MODEL, _any(_is("schema_version", 1), _has("critic.num_hidden_layers")))),
    (
        REASONING_ATTENTION,
        _all(_MODEL, _has("extraction.layer_index"), _lacks("role", "extraction_layer_index")),
    ),
    (
        NLA_AT_HOME,
        _all(_MODEL, _is("role", "av", "ar"), _lacks("tokens.injection_left_neighbor_id")),
    ),
    (KITFT_TRAINED, _all(_MODEL, _is("role", "actor", "critic"))),
    (KITFT_PUBLISHED, _all(_MODEL, _is("role", "av", "ar"))),
    (FLAT, _all(_lacks("kind"), _has("model_name", "layer_idx"), _has("d_model"))),
    # Its AR has no sidecar at all; the head next to the adapter identifies it.
    (SOLSHINE, _all(_NO_SIDECAR, _HEAD_PICKLE)),
    # Every fact is then inferred from the weights or asked for.
    (UNDECLARED, _NO_SIDECAR),
)


def recognise(document: Mapping[str, Any], context: Context) -> SidecarFormat:
    """The format of a parsed sidecar; of an empty document when the folder has none.

    Raises:
        SidecarError: it is in no known format.
    """
    for known, sign in _TABLE:
        if sign(document, context):
            return known
    keys = ", ".join(sorted(map(str, document))[:12]) or "none"
    raise SidecarError(
        f"{context.file or 'the folder without a sidecar'} is in no known format; keys: {keys}",
        hint="write nla_meta.yaml by hand: see sidecars/ for one commented example per role",
    )
