"""From two folders in foreign dialects to what is known of the pair, and what must be asked."""

import math
import re
from typing import Any

from nla_release.dialects import values
from nla_release.dialects.facts import FACTS, PAIR_FACTS, ROLE_FACTS
from nla_release.dialects.folder import Folder, Head
from nla_release.dialects.report import Ledger, Report
from nla_release.dialects.table import KITFT_PUBLISHED, KITFT_TRAINED, KITFT_V1, NANO
from nla_release.dialects.values import MISSING, count, dig
from nla_release.errors import PairError, RefusedError, SidecarError
from nla_release.prompt import encoder, mark, suffix_ids
from nla_release.sidecar import Role

ROLE_NAMES = {"av": "av", "actor": "av", "ar": "ar", "critic": "ar"}

_LAYER_IN_NAME = re.compile(r"(?:^|[-_])L(\d{1,3})(?=[-_.]|$)")
_DEPTHS = ("critic.num_hidden_layers", "ar.num_hidden_layers")


def read_pair(
    av: Folder, ar: Folder, head: Head, answers: dict[str, str], tokenizer: Any | None
) -> Report:
    """Everything known of a pair, and the questions left.

    Args:
        av: the verbalizer's folder.
        ar: the reconstructor's folder.
        head: the AR's head as its header says.
        answers: what a person said, by fact name.
        tokenizer: the base's `tokenizers.Tokenizer`, to render the prompts with.

    Raises:
        SidecarError: a value that cannot be what its key says, or AV and AR swapped.
        PairError: two files of the pair disagree, or a file and the tokenizer.
        RefusedError: the pair does something that the engine does not.
        ConfigError: an answer that is impossible or that nobody needs.
    """
    ledger = Ledger()
    _record(ledger, "av", av)
    _record(ledger, "ar", ar)
    ledger.answer(answers)
    _infer_base(ledger, av, ar)
    _infer_shape(ledger, av, ar, head)
    _infer_av(ledger, av, tokenizer)
    _infer_ar(ledger, ar, tokenizer)
    for fact in PAIR_FACTS:
        if tokenizer is None or fact.name not in _RENDERED:
            ledger.ask(fact.name, _LIKELY.get(fact.name))
    _refuse(ledger)
    missing = [
        f"{role}.{key}"
        for role, folder in (("av", av), ("ar", ar))
        for key in ("created_at", "created_by")
        if not isinstance(folder.document.get(key), str)
    ]
    return Report(
        (av.dialect.name, ar.dialect.name),
        ledger.known,
        tuple(missing),
        ledger.questions,
    )


def resolved(scale: float | str | None, d_model: int) -> float | None:
    """A scale as a number: the sentinel `sqrt_d_model` is the square root of the width."""
    return math.sqrt(d_model) if isinstance(scale, str) else scale


# A trainer's local path or a branch is common here, and says nothing: the fact is asked for.
_NAMES_OF_THE_BASE = ("base_model", "base_revision")

# What a tokenizer gives, once the template and the marker are known.
_RENDERED = ("injection_token_id", "left_neighbor_id", "right_neighbor_id")

# Where no file gives a better hint. The precision is what most such pairs were trained under.
_LIKELY = {"base_quantization": "none", "base_dtype": "bfloat16"}


def _record(ledger: Ledger, role: Role, folder: Folder) -> None:
    """Take over what a sidecar says, under every name that a dialect has for it."""
    said = dig(folder.document, "role")
    if isinstance(said, str) and ROLE_NAMES.get(said, role) != role:
        raise SidecarError(f"{folder.where}: role is {said}, expected {role}; AV and AR swapped?")
    for fact in (*PAIR_FACTS, *ROLE_FACTS[role]):
        # Nano-NLA records the last eight ids of one prompt, BOS and all, not the common ending.
        if folder.dialect is NANO and fact.name == "ar.suffix_ids":
            continue
        for place in fact.spellings:
            value = dig(folder.document, place)
            if value is MISSING or (value is None and not fact.null_speaks):
                continue
            try:
                parsed = fact.parse(value)
            except ValueError as error:
                if fact.name in _NAMES_OF_THE_BASE:
                    continue
                raise SidecarError(f"{folder.where}: {place}: {error}") from error
            if fact.parse is values.scale and "d_model" in ledger:
                parsed = resolved(parsed, ledger["d_model"])
            ledger.record(
                fact.name, parsed, f"{place} of the {role.upper()}'s {folder.context.file}"
            )


def _infer_base(ledger: Ledger, av: Folder, ar: Folder) -> None:
    for role, folder in (("AV", av), ("AR", ar)):
        for name, value in (
            ("base_model", folder.config.base_model_name_or_path),
            ("base_revision", folder.config.revision),
        ):
            try:
                ledger.infer(name, FACTS[name].parse(value), f"adapter_config.json of the {role}")
            except ValueError:  # a path on the trainer's machine, a branch, or nothing
                continue


def _infer_shape(ledger: Ledger, av: Folder, ar: Folder, head: Head) -> None:
    """Width, layer and read block: from the head, the other place, or as a question."""
    ledger.infer("d_model", head.shape[0], "the shape of the AR's head")
    if ledger["d_model"] != head.shape[0]:
        raise PairError(
            f"d_model is {ledger['d_model']} by {ledger.known['d_model'].source}, but the AR's head"
            f" has shape {list(head.shape)}"
        )
    depth = _ambiguous_depth(ar, av)
    if "ar.read_block" in ledger and ar.dialect in (KITFT_PUBLISHED, KITFT_TRAINED):
        ledger.infer("layer", ledger["ar.read_block"], "the AR's read block, in this dialect")
    ledger.ask("layer", depth if depth is not None else _layer_in_name(av, ar))
    ledger.ask("ar.read_block", depth if depth is not None else ar.deepest_block)
    ledger.infer("mse_scale", "sqrt_d_model", "the reference contract: absent is sqrt(d_model)")


def _ambiguous_depth(*folders: Folder) -> int | None:
    """The likely K behind `num_hidden_layers`, which is K in one dialect and K + 1 in another."""
    for folder in folders:
        for place in _DEPTHS:
            value = dig(folder.document, place)
            try:
                depth = count(value)
            except ValueError:
                continue
            return max(depth - 1, 0) if folder.dialect is NANO else depth
    return None


def _layer_in_name(*folders: Folder) -> int | None:
    """The layer that a folder is named after, as in `gemma-4-E4B-nla-L24-av`."""
    for folder in folders:
        for part in reversed(folder.path.parts):
            if match := _LAYER_IN_NAME.search(part):
                return int(match[1])
    return None


def _infer_av(ledger: Ledger, av: Folder, tokenizer: Any | None) -> None:
    reference = av.dialect in (KITFT_PUBLISHED, KITFT_TRAINED, KITFT_V1)
    ledger.ask("av.stage", "sl")
    ledger.ask("av.injection_scale", "sqrt_d_model")
    ledger.ask("av.prompt_encoding", "chat" if reference else "raw")
    if "injection_char" not in ledger and "injection_token_id" in ledger and tokenizer is not None:
        ledger.ask("injection_char", tokenizer.decode([ledger["injection_token_id"]]) or None)
    _infer_placeholder(ledger)
    if tokenizer is None:
        ledger.ask("av.prompt_token_ids")
        return
    if "template_av" not in ledger or "injection_char" not in ledger:
        return  # asked for; what is rendered follows from them
    marked = mark(encoder(tokenizer), ledger["template_av"], ledger["injection_char"])
    for name, found in (
        ("injection_token_id", marked.token_id),
        ("left_neighbor_id", marked.left_id),
        ("right_neighbor_id", marked.right_id),
        ("av.prompt_token_ids", list(marked.ids)),
    ):
        _replay(ledger, name, found)


def _infer_placeholder(ledger: Ledger) -> None:
    """A template that holds the marker itself is one with the placeholder in its place."""
    if "template_av" not in ledger or "injection_char" not in ledger:
        return
    template, marker = ledger["template_av"], ledger["injection_char"]
    if "{injection_char}" not in template and template.count(marker) == 1:
        source = f"{ledger.known['template_av'].source}, its marker made the placeholder"
        del ledger.known["template_av"]
        ledger.infer("template_av", template.replace(marker, "{injection_char}"), source)


def _infer_ar(ledger: Ledger, ar: Folder, tokenizer: Any | None) -> None:
    ledger.ask("ar.stage", "sl")
    if ar.dialect in (KITFT_PUBLISHED, KITFT_TRAINED, KITFT_V1):
        ledger.infer("ar.final_norm", "identity", "the reference contract")
    ledger.ask("ar.final_norm", "identity")
    if tokenizer is None:
        ledger.ask("ar.suffix_ids")
    elif "template_ar" in ledger:
        _replay(ledger, "ar.suffix_ids", suffix_ids(encoder(tokenizer), ledger["template_ar"]))


def _replay(ledger: Ledger, name: str, found: Any) -> None:
    """Infer a fact from the tokenizer, or hold what was recorded against it.

    A recorded suffix may be shorter than the longest ending that all prompts share.
    """
    if name not in ledger:
        ledger.infer(name, found, "the prompt rendered on the tokenizer")
        return
    known = ledger[name]
    agrees = found[-len(known) :] == known if name == "ar.suffix_ids" else found == known
    if not agrees:
        raise PairError(
            f"{name} is {known} by {ledger.known[name].source}, the tokenizer gives {found}",
            hint="use the tokenizer and the template that the adapter was trained with",
        )


def _refuse(ledger: Ledger) -> None:
    """Facts that are clear, and that the engine cannot act on."""
    for name, unwanted, why in (
        ("av.injection_scale", None, "vectors are injected at their own norm, not at one scale"),
        ("av.prompt_encoding", "chat", "prompts are rendered raw here, not through a template"),
        ("ar.final_norm", "kept", "the head here reads a block's output without the final norm"),
    ):
        if name in ledger and ledger[name] == unwanted:
            raise RefusedError(f"{ledger.known[name].source}: {name} is {unwanted}: {why}")
