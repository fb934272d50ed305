"""The facts a canonical sidecar needs, and the keys that the formats have for each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nla_release.contract.sidecar import Role
from nla_release.sidecar_formats import values


@dataclass(frozen=True)
class Fact:
    """A fact by the name under which it is answered; `spellings` are its keys, canonical first.

    `asks` is the question if no file has it. `null_speaks`: null is a value, not a gap.
    """

    name: str
    parse: Callable[[Any], Any]
    asks: str
    spellings: tuple[str, ...] = ()
    null_speaks: bool = False


def one_of(**choices: Any) -> Callable[[Any], Any]:
    """A parser of the named choices; the canonical value itself is accepted too."""

    def parse(value: Any) -> Any:
        if isinstance(value, str) and value in choices:
            return choices[value]
        if value in choices.values():
            return value
        raise ValueError(f"{str(value)[:60]!r} is not one of {', '.join(choices)}")

    return parse


_DTYPE = one_of(float32="float32", bfloat16="bfloat16", float16="float16")

# Facts that both adapters of a pair share.
PAIR_FACTS = (
    Fact(
        "base_model",
        values.hub_id,
        "the Hub id of the base model",
        (
            "nla_release.base.id",
            "base_model",
            "base_checkpoint",
            "model_name",
            "extraction.base_model",
        ),
    ),
    Fact(
        "base_revision",
        values.commit,
        "the commit of the base that the pair was trained on",
        ("nla_release.base.revision", "base_model_revision", "base_revision"),
    ),
    Fact(
        "base_quantization",
        one_of(none=None, nf4="nf4"),
        "the base's quantization in training, none or nf4",
        ("nla_release.base.quantization",),
        null_speaks=True,
    ),
    Fact(
        "base_dtype",
        _DTYPE,
        "the base's dtype in training, float32, bfloat16 or float16",
        ("nla_release.base.dtype",),
    ),
    Fact("d_model", values.size, "the activation's width", ("d_model", "extraction.d_model")),
    Fact(
        "layer",
        values.count,
        "K: activations are the OUTPUT of decoder block K, hidden_states[K + 1]",
        (
            "extraction_layer_index",
            "extraction.layer_index",
            "extraction.layer",
            "extraction.layer_idx",
            "layer_index",
            "layer_idx",
        ),
    ),
    Fact(
        "mse_scale",
        values.scale,
        "the norm that both vectors have in the AR's loss",
        ("extraction.mse_scale", "mse_scale"),
        null_speaks=True,
    ),
    Fact(
        "injection_char",
        values.text,
        "the marker: the character whose embedding is replaced",
        ("tokens.injection_char", "injection_char"),
    ),
    Fact(
        "injection_token_id",
        values.count,
        "the marker's token id",
        ("tokens.injection_token_id", "injection_token_id"),
    ),
    Fact(
        "left_neighbor_id",
        values.count,
        "the token id before the marker in the rendered prompt",
        ("tokens.injection_left_neighbor_id", "left_neighbor_id"),
    ),
    Fact(
        "right_neighbor_id",
        values.count,
        "the token id after the marker in the rendered prompt",
        ("tokens.injection_right_neighbor_id", "right_neighbor_id"),
    ),
    Fact(
        "template_av",
        values.text,
        "the AV's prompt as trained, with {injection_char} at the marker (or =@FILE)",
        (
            "prompt_templates.av",
            "prompt_templates.actor",
            "prompt_templates.verbalizer",
            "template_prompt",
        ),
    ),
    Fact(
        "template_ar",
        values.text,
        "the AR's prompt as trained, with {explanation} in it (or =@FILE)",
        ("prompt_templates.ar", "prompt_templates.critic", "critic_prompt_template"),
    ),
    Fact(
        "activation_mean",
        values.norm,
        "the mean L2 norm of the training activations (`nla-release data` measures it: then"
        " --data FOLDER)",
        ("nla_release.norms.activation_mean",),
    ),
    Fact(
        "embedding_mean",
        values.norm,
        "the mean L2 norm of the base's input embeddings (measured for you from --base FOLDER, or"
        " from the Hub once base_revision is known)",
        ("nla_release.norms.embedding_mean",),
    ),
)

# Facts of one adapter, answered under av.NAME and ar.NAME.
ROLE_FACTS: dict[Role, tuple[Fact, ...]] = {
    "av": (
        Fact("av.stage", values.text, "how the AV was trained, sl (supervised) or rl", ("stage",)),
        Fact(
            "av.injection_scale",
            values.scale,
            "the L2 norm the vectors had when the AV was trained, a number or sqrt_d_model; there"
            " is no safe default",
            ("extraction.injection_scale", "injection_scale"),
            null_speaks=True,
        ),
        Fact(
            "av.prompt_encoding",
            one_of(raw="raw", chat="chat"),
            "whether the prompt is encoded raw with BOS, or through the chat template",
            ("nla_release.injection.prompt_encoding",),
        ),
        Fact(
            "av.chat_template_sha256",
            values.sha256,
            "the sha256 of the base's chat template",
            ("nla_release.injection.chat_template.sha256",),
        ),
        Fact(
            "av.chat_options",
            values.options,
            "the options that the chat template was given, as JSON such as"
            ' {"enable_thinking": false}; {} for none',
            ("nla_release.injection.chat_template.options",),
        ),
        Fact(
            "av.prompt_token_ids",
            values.ids,
            "the rendered prompt's token ids",
            ("nla_release.injection.prompt_token_ids",),
        ),
    ),
    "ar": (
        Fact("ar.stage", values.text, "how the AR was trained, sl (supervised) or rl", ("stage",)),
        Fact(
            "ar.read_block",
            values.count,
            "the block whose output the AR's head reads",
            ("critic.extraction_layer_index", "ar.extraction_layer_index"),
        ),
        Fact(
            "ar.final_norm",
            one_of(identity="identity", kept="kept"),
            "whether the base's final norm is applied before the head, kept, or not, identity",
            ("nla_release.ar_head.final_norm",),
        ),
        Fact(
            "ar.suffix_ids",
            values.ids,
            "the token ids every AR prompt ends with",
            ("tokens.critic_suffix_ids",),
        ),
    ),
}
FACTS: dict[str, Fact] = {
    fact.name: fact for fact in (*PAIR_FACTS, *ROLE_FACTS["av"], *ROLE_FACTS["ar"])
}
