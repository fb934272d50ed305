"""From two folders of other projects to what is known of the pair, and what must be asked."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nla_release.base_model.measure import measure_base
from nla_release.base_model.source import is_commit
from nla_release.contract.prompt import literal_escapes
from nla_release.contract.sidecar import Role
from nla_release.errors import ConfigError, NlaReleaseError, PairError, RefusedError, SidecarError
from nla_release.evidence.reference import read_reference
from nla_release.io.layout import REFERENCE_FILE
from nla_release.sidecar_formats.facts import FACTS, PAIR_FACTS, ROLE_FACTS
from nla_release.sidecar_formats.folder import ArWeights, Folder
from nla_release.sidecar_formats.prompts import (
    FROM_THE_TOKENIZER,
    BaseTokenizer,
    commit_on_hub,
    fetch_base_tokenizer,
    infer_ar,
    infer_av,
    infer_encoding,
)
from nla_release.sidecar_formats.report import ESCAPES, Ledger, Report
from nla_release.sidecar_formats.table import KITFT_PUBLISHED, KITFT_TRAINED, NANO
from nla_release.sidecar_formats.values import MISSING, count, dig, shown

_LAYER_IN_NAME = re.compile(r"(?:^|[-_])L(\d{1,3})(?=[-_.]|$)")
_DEPTHS = ("critic.num_hidden_layers", "ar.num_hidden_layers")


def read_pair(
    av: Folder,
    ar: Folder,
    weights: ArWeights,
    answers: Mapping[str, Any],
    tokenizer: BaseTokenizer | None,
    base: Path | None = None,
    data: Path | None = None,
) -> Report:
    """Everything known of a pair, and the questions left.

    Args:
        av: the verbalizer's folder.
        ar: the reconstructor's folder.
        weights: what the AR's files say of its head and depth.
        answers: by fact name.
        tokenizer: the base's; when None, that of the pinned commit if it can be reached.
        base: a copy of the base; when None, the pinned commit is read if it can be reached.
        data: the folder that `nla-release data` wrote, whose reference records activation_mean.

    Raises:
        SidecarError: a value has the wrong type or range for its key.
        PairError: two files of the pair disagree, or a file disagrees with the tokenizer.
        RefusedError: the pair needs something that the engine cannot do.
        ConfigError: an answer is invalid, or a file has this fact already.
    """
    ledger = Ledger(weights.shape[0])
    _record(ledger, "av", av)
    _record(ledger, "ar", ar)
    literal = ledger.answer(answers)
    _refuse_escapes(ledger, literal=literal)
    if data is not None:
        _infer_norm(ledger, data)
    _infer_base(ledger, av, ar)
    _infer_shape(ledger, av, ar, weights)
    _infer_embedding(ledger, base)
    _ask_commit(ledger, base)
    infer_encoding(ledger, av.format)
    if tokenizer is None and "base_model" in ledger and "base_revision" in ledger:
        tokenizer = fetch_base_tokenizer(ledger["base_model"], ledger["base_revision"])
    rendered = infer_av(ledger, tokenizer)
    infer_ar(ledger, ar.format, tokenizer)
    for fact in PAIR_FACTS:
        if not (rendered and fact.name in FROM_THE_TOKENIZER):
            ledger.ask(fact.name)
    _refuse(ledger)
    missing = [
        f"{role}.{key}"
        for role, folder in (("av", av), ("ar", ar))
        for key in ("created_at", "created_by")
        if folder.text(key) is None
    ]
    formats = (av.format.name, ar.format.name)
    return Report(formats, ledger.known, tuple(missing), ledger.questions)


# These often hold a local path or a branch, which identify nothing: the fact is then asked for.
_NAMES_OF_THE_BASE = ("base_model", "base_revision")


def _record(ledger: Ledger, role: Role, folder: Folder) -> None:
    """Take over what a sidecar says, under every key that a format has for it."""
    for fact in (*PAIR_FACTS, *ROLE_FACTS[role]):
        # Nano-NLA records the last eight ids of one prompt, BOS and all, not the common ending.
        if folder.format is NANO and fact.name == "ar.suffix_ids":
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
                raise SidecarError(
                    f"{folder.where}: {place}: {error}",
                    hint=f"it is {fact.asks}; correct it in a copy of the folder",
                ) from error
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
                parsed = FACTS[name].parse(value)
            except ValueError:  # a path on the trainer's machine, a branch, or nothing
                continue
            ledger.infer(name, parsed, f"adapter_config.json of the {role}")
            known = ledger.known[name]
            if known.value != parsed and known.how != "answered":
                raise PairError(
                    f"{name} is {shown(known.value)} by {known.source} but {shown(parsed)} by"
                    f" adapter_config.json of the {role}",
                    hint=f"give the right one with --answer {name}=..., or correct a copy"
                    if known.how == "inferred"
                    else "correct the wrong one in a copy; a pair has one base",
                )


def _infer_shape(ledger: Ledger, av: Folder, ar: Folder, weights: ArWeights) -> None:
    """Width, layer and read block: from the head, from each other, or as a question."""
    ledger.infer("d_model", ledger.width, "the shape of the AR's head")
    if ledger["d_model"] != ledger.width:
        raise PairError(
            f"d_model is {ledger['d_model']} by {ledger.known['d_model'].source}, but the AR's head"
            f" has shape {list(weights.shape)}",
            hint="the head or the sidecar belongs to another pair",
        )
    depth = _ambiguous_depth(ar, av)
    if "ar.read_block" in ledger and ar.format in (KITFT_PUBLISHED, KITFT_TRAINED):
        ledger.infer("layer", ledger["ar.read_block"], "the AR's read block, in this format")
    ledger.ask("layer", depth if depth is not None else _layer_in_name(av, ar))
    ledger.ask("ar.read_block", depth if depth is not None else weights.deepest_block)
    ledger.infer("mse_scale", "sqrt_d_model", "the reference contract: absent is sqrt(d_model)")


def _ask_commit(ledger: Ledger, base: Path | None) -> None:
    """Ask for the base's commit; name the commit of the copy, or the one that main has today."""
    if "base_revision" in ledger:
        return
    if base is not None and base.parent.name == "snapshots" and is_commit(base.name):
        ledger.ask("base_revision", base.name, remedy="which is that of the copy")
    elif "base_model" in ledger and (commit := commit_on_hub(ledger["base_model"])):
        ledger.ask("base_revision", remedy=f"because main moves; today it is {commit}")


def _infer_norm(ledger: Ledger, data: Path) -> None:
    """The mean norm of the training activations, as the reference next to the data records it."""
    reference = read_reference(data / REFERENCE_FILE, ledger.width)
    if reference.activation_mean is not None:
        source = f"the {reference.rows} training activations of {data.name}/{REFERENCE_FILE}"
        ledger.infer("activation_mean", round(reference.activation_mean, 4), source)


def _refuse_escapes(ledger: Ledger, *, literal: bool) -> None:
    """Refuse a prompt with a literal escape sequence, unless the pair was trained with it.

    Raises:
        ConfigError: an answer has one.
        SidecarError: a file has one.
    """
    for name in ("template_av", "template_ar", "injection_char"):
        if literal or name not in ledger or not (found := literal_escapes(ledger[name])):
            continue
        known = ledger.known[name]
        what = f"{name} by {known.source} contains {found[0]} as {len(found[0])} characters"
        trained = f"if the pair was trained with these characters: --answer {ESCAPES}=literal"
        if known.how == "answered":
            raise ConfigError(
                f"{what}; a shell and YAML without double quotes do not read it as one",
                hint=f"put the text into a file: --answer {name}=@FILE; {trained}",
            )
        raise SidecarError(
            what,
            hint=f"where it should be one character, correct it in a copy of the folder; {trained}",
        )


def _infer_embedding(ledger: Ledger, copy: Path | None) -> None:
    """The mean norm of the base's embeddings, from a copy of the base or at its pinned commit."""
    if "embedding_mean" in ledger:
        return
    base, commit = (ledger.get(name) for name in _NAMES_OF_THE_BASE)
    if copy is None and (base is None or commit is None):
        return
    try:
        facts = measure_base(base or "the base", commit or "unpinned", copy)
    except NlaReleaseError:
        if copy is not None:
            raise
        return  # the base cannot be reached: the norm is asked for
    where = "the given copy of the base" if copy else f"{base} at {commit}"
    sampled = f"{facts.embedding.rows} sampled rows of {facts.embedding.vocabulary}"
    source = f"the embedding of {where}, {sampled}"
    if facts.hidden_size != ledger.width:
        raise PairError(
            f"{source} has width {facts.hidden_size}, but the activations have {ledger.width}",
            hint="give the base that the pair was trained on",
        )
    ledger.infer("embedding_mean", facts.embedding.norm_mean, source)


def _ambiguous_depth(*folders: Folder) -> int | None:
    """The likely K behind `num_hidden_layers`, which is K in one format and K + 1 in another."""
    for folder in folders:
        for place in _DEPTHS:
            value = dig(folder.document, place)
            try:
                depth = count(value)
            except ValueError:
                continue
            return max(depth - 1, 0) if folder.format is NANO else depth
    return None


def _layer_in_name(*folders: Folder) -> int | None:
    """The layer in a folder's name, such as `gemma-4-E4B-nla-L24-av`."""
    for folder in folders:
        for part in reversed(folder.path.parts):
            if match := _LAYER_IN_NAME.search(part):
                return int(match[1])
    return None


def _refuse(ledger: Ledger) -> None:
    """Refuse pairs that the engine cannot run."""
    for name, unwanted, why in (
        ("av.injection_scale", None, "vectors are injected at their own norm, not at one scale"),
        ("ar.final_norm", "kept", "the engine reads a block's output without the final norm"),
    ):
        if name in ledger and ledger[name] == unwanted:
            raise RefusedError(
                f"{ledger.known[name].source}: {name} is {shown(unwanted)}: {why}",
                hint="the engine would load such a pair and give wrong results; release it with the"
                " tool that trained it",
            )
