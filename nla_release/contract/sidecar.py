"""The sidecar `nla_meta.yaml`: the contract between an adapter's trainer and its readers.

Top-level keys are those of the reference contract (kitft/natural_language_autoencoders,
schema_version 2), so its readers accept these files. They render every prompt with the base's chat
template, and cannot run a pair whose prompt is raw. Everything that the reference contract does not
record is under one key, `nla_release`. Unknown keys are kept.

Four facts that are easily confused are kept apart: the mean activation norm and the mean embedding
norm (`nla_release.norms`), the scale trained with (`extraction.injection_scale`) and the scale
evaluated with (`nla_release.norms.scale_evaluated`). An absent scale is an error, never a default.
"""

import keyword
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from nla_release.errors import InputError, SidecarError
from nla_release.io.files import dump_json, dump_yaml, read_yaml, sha256_bytes, sha256_file
from nla_release.io.layout import ADAPTER_CONFIG_FILE, ADAPTER_FILE, HEAD_FILE, SIDECAR_FILE
from nla_release.io.schema import Count, Flag, Open, Positive, Size, Strict, parse

Role = Literal["av", "ar"]
Quantization = Literal["nf4"]
Dtype = Literal["float32", "bfloat16", "float16"]
PromptEncoding = Literal["raw", "chat"]


# What every chat template is given, so that no option can be called so.
_GIVEN_ANYWAY = frozenset({"messages", "tools", "documents", "add_generation_prompt"})


def _option_name(name: str) -> str:
    if name in _GIVEN_ANYWAY or keyword.iskeyword(name) or not name.isidentifier():
        raise ValueError(f"{name!r} cannot be the name of a chat template's option")
    return name


ChatOptions = dict[
    Annotated[str, AfterValidator(_option_name)],
    bool | Annotated[int, Field(ge=-(2**53), le=2**53)] | str,
]


class Extraction(Open):
    """Norms of the reference contract. `injection_scale` is the L2 norm injected (AR: null)."""

    injection_scale: Positive | None = Field(
        description="L2 norm at which activations are injected; null for an AR"
    )
    mse_scale: Positive | None = Field(
        description="L2 norm at which the reference contract compares vectors: sqrt(d_model)"
    )


class Tokens(Open):
    """The marker, its neighbours in the rendered prompt, and the ids each AR prompt ends with."""

    injection_char: str = Field(min_length=1, description="the marker")
    injection_token_id: Count = Field(description="its token id")
    injection_left_neighbor_id: Count = Field(
        description="token before the marker in the rendered prompt"
    )
    injection_right_neighbor_id: Count = Field(
        description="token after the marker in the rendered prompt"
    )
    critic_suffix_ids: list[Count] | None = Field(
        description="ids that every AR prompt ends with; null for an AV"
    )


class PromptTemplates(Open):
    """Both roles' templates: `{injection_char}` once in `av`, `{explanation}` once in `ar`."""

    av: str = Field(description="the AV's prompt, with `{injection_char}` once")
    ar: str = Field(description="the AR's prompt, with `{explanation}` once")

    @model_validator(mode="after")
    def _placeholders_stand_once(self) -> "PromptTemplates":
        for name, template, placeholder in (
            ("av", self.av, "{injection_char}"),
            ("ar", self.ar, "{explanation}"),
        ):
            if (count := template.count(placeholder)) != 1:
                raise ValueError(f"template {name} holds {placeholder} {count} times, expected 1")
        return self


class Critic(Open):
    """The reference contract's AR depth: the AR keeps blocks 0 to this one, its read block."""

    extraction_layer_index: Count = Field(description="the block whose output the AR reads")


class BaseRecord(Strict):
    """The base model an adapter was trained on, and the precision it was trained under."""

    id: str = Field(min_length=1, description="Hub id")
    revision: str | None = Field(description="commit")
    quantization: Quantization | None = Field(description="`nf4`, or null for full precision")
    dtype: Dtype = Field(description="of weights and computation in training")


class ChatTemplate(Strict):
    """The base's chat template as trained: its sha256 (of UTF-8 Jinja text), and what it was given.

    `options` are variables of the template, such as `enable_thinking: false`; they change the
    prompt, so they are part of the contract.
    """

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the template's Jinja text")
    options: ChatOptions = Field(
        default_factory=dict,
        description="variables that the template was given, such as `enable_thinking: false`",
    )


class Injection(Strict):
    """How the activation enters the AV: it replaces the marker's embedding, rescaled to `scale`.

    The AV's template, filled in, is encoded `raw` with special tokens (BOS), or is the one user
    message of a `chat`, whose template writes the special tokens itself. `prompt_token_ids` are
    the rendered prompt's ids as trained; replaying them on a tokenizer is the sharpest check for
    drift of template, tokenizer or special tokens.
    """

    site: Literal["embedding"] = Field(description="where the activation enters")
    op: Literal["replace"] = Field(description="what it does there")
    scale: Positive = Field(description="L2 norm at which activations are injected")
    prompt_encoding: PromptEncoding = Field(
        description="`raw` text with special tokens, or the user message of a `chat`"
    )
    chat_template: ChatTemplate | None = Field(
        default=None, description="the base's chat template; null for `raw`"
    )
    prompt_token_ids: list[Count] = Field(description="ids of the rendered prompt as trained")
    marker_position: Size = Field(description="index of the marker in them")

    @model_validator(mode="after")
    def _chat_names_its_template(self) -> "Injection":
        if (self.prompt_encoding == "chat") != (self.chat_template is not None):
            raise ValueError(
                f"prompt_encoding is {self.prompt_encoding} and chat_template is"
                f" {'given' if self.chat_template else 'missing'}; chat needs it, raw has none"
            )
        return self


class AdapterRecord(Strict):
    """One LoRA adapter, in the order of application; `path` is relative to the sidecar.

    The rest are PEFT's options of the same meaning: `rslora` is use_rslora (the product of the
    factors is scaled by alpha / sqrt(rank) and not alpha / rank), `dora` is use_dora. `sha256` is
    of the weights, and is left out of the file where it is not given.
    """

    path: str = Field(description="its folder, relative to the sidecar")
    sha256: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        description="of its weights; absent for the adapter next to the sidecar",
    )
    rank: Size = Field(description="LoRA rank")
    alpha: Positive = Field(description="LoRA alpha")
    rslora: Flag = Field(
        default=False, description="PEFT's use_rslora: scaled by alpha / sqrt(rank)"
    )
    dora: Flag = Field(default=False, description="PEFT's use_dora")
    modules_to_save: list[str] = Field(default_factory=list, description="PEFT's modules_to_save")

    @model_serializer(mode="wrap")
    def _without_an_unknown_hash(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = dump(self)
        if self.sha256 is None:
            del document["sha256"]
        return document


class ArHead(Strict):
    """The linear map from the read block's output to the activation, `[d_model, d_model]`."""

    file: Literal["value_head.safetensors"] = Field(description="file of the head")
    key: Literal["weight"] = Field(description="its tensor")
    shape: tuple[Size, Size] = Field(description="[d_model, d_model]")
    bias: Flag = Field(description="whether there is a bias")
    dtype: Dtype = Field(description="of the tensor")
    blocks: Size = Field(description="decoder blocks that the AR keeps")
    final_norm: Literal["identity"] = Field(description="what replaces the base's final norm")


class Partner(Strict):
    """The other adapter of the pair as it was released: repository, version, adapter sha256."""

    repo: str = Field(description="the other repository")
    version: str = Field(description="its version")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of its adapter weights")


class Norms(Strict):
    """L2 norms as measured, and the scale the released evidence was measured with.

    `activation_median` is not moved by single tokens of a hundred times the usual norm, which some
    bases have; None in a sidecar that does not record it.
    """

    activation_mean: Positive = Field(description="mean L2 norm of the training activations")
    activation_median: Positive | None = Field(
        default=None, description="their median, where it was recorded"
    )
    embedding_mean: Positive = Field(description="mean L2 norm of the base's input embeddings")
    scale_evaluated: Positive | None = Field(
        default=None, description="injection scale of the released evidence"
    )


class NlaReleaseBlock(Strict):
    """What the reference contract does not record."""

    schema_: Literal[1] = Field(alias="schema", description="format of this block")
    base: BaseRecord = Field(description="the base model")
    layer_convention: Literal["block_output"] = Field(
        description="activations are outputs of a block"
    )
    injection: Injection | None = Field(
        description="how the AV gets its activation; null for an AR"
    )
    adapters: list[AdapterRecord] = Field(
        min_length=1, description="LoRA adapters in the order of application"
    )
    ar_head: ArHead | None = Field(description="the AR's head; null for an AV")
    norms: Norms = Field(description="measured norms")
    partner: Partner | None = Field(
        default=None, description="the other adapter of the pair, once released"
    )
    training: dict[str, Any] = Field(default_factory=dict, description="what the trainer recorded")


class Sidecar(Open):
    """A canonical sidecar. `extraction_layer_index` is K: activations are block K's OUTPUT."""

    kind: Literal["nla_model"] = Field(description="what the file describes")
    schema_version: Literal[2] = Field(description="of the reference contract")
    role: Role = Field(description="`av` or `ar`")
    stage: str = Field(description="the trainer's name of the stage")
    d_model: Size = Field(description="width of an activation")
    extraction_layer_index: Count = Field(description="K: activations are the output of block K")
    extraction: Extraction = Field(description="how activations were taken")
    tokens: Tokens = Field(description="marker and neighbours")
    prompt_templates: PromptTemplates = Field(description="prompts of both roles")
    critic: Critic | None = Field(
        default=None, description="depth of the AR in the reference contract; absent for an AV"
    )
    created_at: str = Field(description="time of writing")
    created_by: str = Field(description="program that wrote it")
    nla_release: NlaReleaseBlock = Field(description="what the reference contract does not record")

    @model_validator(mode="after")
    def _role_has_its_parts(self) -> "Sidecar":
        return self._check_av() if self.role == "av" else self._check_ar()

    def _check_av(self) -> "Sidecar":
        scale, injection = self.extraction.injection_scale, self.nla_release.injection
        if scale is None:
            raise ValueError(
                "extraction.injection_scale is null; an AV needs the scale it trained with"
            )
        if injection is None:
            raise ValueError("nla_release.injection is missing; an AV needs it")
        if injection.scale != scale:
            raise ValueError(
                f"extraction.injection_scale is {scale} but nla_release.injection.scale is"
                f" {injection.scale}; one of them is wrong"
            )
        return self

    def _check_ar(self) -> "Sidecar":
        head = self.nla_release.ar_head
        if head is None or self.critic is None or not self.tokens.critic_suffix_ids:
            raise ValueError("an AR needs critic, tokens.critic_suffix_ids and nla_release.ar_head")
        if head.shape != (self.d_model, self.d_model):
            raise ValueError(f"ar_head.shape is {head.shape} but d_model is {self.d_model}")
        if head.blocks != self.critic.extraction_layer_index + 1:
            raise ValueError(
                f"ar_head.blocks is {head.blocks} but the AR reads block"
                f" {self.critic.extraction_layer_index}, which needs"
                f" {self.critic.extraction_layer_index + 1} blocks"
            )
        return self

    @property
    def injection(self) -> Injection:
        """The AV's injection block."""
        assert self.nla_release.injection is not None, "an AV always has one"
        return self.nla_release.injection

    @property
    def head(self) -> ArHead:
        """The AR's head block."""
        assert self.nla_release.ar_head is not None, "an AR always has one"
        return self.nla_release.ar_head


def read_sidecar(folder: Path, role: Role | None = None) -> Sidecar:
    """The sidecar `nla_meta.yaml` in `folder`; with `role`, of that role.

    Raises:
        SidecarError: missing, invalid YAML, incomplete, self-contradicting, or of the other role.
    """
    path = folder / SIDECAR_FILE
    try:
        document = read_yaml(path)
    except InputError as error:
        raise SidecarError(error.message, hint=error.hint) from error
    sidecar = parse(Sidecar, document, path, error=SidecarError, hint=_hint(document))
    if role is not None and sidecar.role != role:
        raise SidecarError(
            f"{path}: role is {sidecar.role}, expected {role}; are AV and AR swapped?"
        )
    return sidecar


def dump_sidecar(sidecar: Sidecar) -> str:
    """The sidecar as YAML text, keys in the order of the contract."""
    return dump_yaml(_document(sidecar))


def contract_digest(sidecar: Sidecar) -> str:
    """Hex sha256 of a sidecar's facts, independent of its formatting.

    It leaves out what only a release adds (the partner and the evaluated scale), so that evidence
    measured on a trained pair still belongs to the pair after rendering.
    """
    promised = _document(sidecar)
    del promised["nla_release"]["partner"]
    del promised["nla_release"]["norms"]["scale_evaluated"]
    return sha256_bytes(dump_json(promised).encode())


def adapter_digests(folder: Path, sidecar: Sidecar) -> dict[str, str]:
    """What evidence records of an adapter: hashes of its files, and its `contract_digest`.

    Raises:
        InputError: a file is missing.
    """
    names = [ADAPTER_FILE, ADAPTER_CONFIG_FILE, *([HEAD_FILE] if sidecar.role == "ar" else [])]
    return {f"{sidecar.role}/{name}": sha256_file(folder / name) for name in names} | {
        f"{sidecar.role}/{SIDECAR_FILE}": contract_digest(sidecar)
    }


def _document(sidecar: Sidecar) -> dict[str, Any]:
    document = sidecar.model_dump(mode="json", by_alias=True)
    # Sidecars from before the median was recorded keep their bytes and their digest.
    if sidecar.nla_release.norms.activation_median is None:
        del document["nla_release"]["norms"]["activation_median"]
    return document


def _hint(document: dict[str, Any]) -> str | None:
    extraction = document.get("extraction")
    if isinstance(extraction, dict) and "injection_scale" not in extraction:
        return (
            "write the L2 norm the vectors had when the AV was trained under"
            " extraction.injection_scale (null in an AR's sidecar); there is no safe default"
        )
    return None


# The facts that both sidecars of a pair must state alike.
_SHARED = (
    "nla_release.base.id",
    "nla_release.base.revision",
    "d_model",
    "extraction_layer_index",
    "nla_release.layer_convention",
    "prompt_templates.av",
    "prompt_templates.ar",
    "tokens.injection_char",
    "tokens.injection_token_id",
)


def disagreements(av: Sidecar, ar: Sidecar) -> list[str]:
    """Every fact that the two sidecars of one pair must share and do not, as sentences."""
    return [
        f"{name}: AV says {left!r}, AR says {right!r}"
        for name in _SHARED
        if (left := attrgetter(name)(av)) != (right := attrgetter(name)(ar))
    ]
