"""NLA201 and NLA202: the recorded prompt, and what the base's tokenizer makes of it."""

from collections.abc import Iterator

from nla_release.contract.prompt import begins_twice, check_replay, check_suffix, encoder
from nla_release.errors import PairError
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import AVS, SUBJECT, rule
from nla_release.gate.subject import Subject
from nla_release.gate.tokenizer import find_chat, find_tokenizer, unknown_id
from nla_release.io.layout import SIDECAR_FILE


@rule(
    "NLA201",
    "error",
    "the recorded prompt has the marker once, between its neighbours, and BOS once",
    each=AVS,
)
def marker_recorded(adapter: AdapterFolder) -> Iterator[Problem]:
    """The sidecar's ids against each other.

    Checks: The marker's id occurs exactly once in prompt_token_ids, at the recorded position, with
        the recorded ids to its left and right. The ids do not begin with the same id twice, which
        happens if both the chat template and the tokenizer add BOS. Needs no tokenizer.
    Why: Readers inject only where marker and neighbours match, so a wrong neighbour means no
        injection and text about nothing. The cards of SolshineCode/nla-gemma-4-e2b call the
        neighbours `<` and `>`; the ids are those of `>` and `</`. A second BOS shifts every
        position by one. Under transformers 5 `apply_chat_template(tokenize=True)` returns a
        BatchEncoding instead of a list, and a search for the marker in it finds nothing (forks by
        lgalke and of Nano-NLA).
    Fix: Render the prompt with the base's tokenizer and write the ids into the sidecar;
        `nla-release train av` records them. Encode a chat prompt without special tokens, and a raw
        template without a BOS of its own.
    Example: marker id 249568 is at positions [] of prompt_token_ids, the sidecar records position
        90
    Waive: Never: nothing is injected into such a prompt.
    """
    path, tokens, injection = (
        adapter.folder / SIDECAR_FILE,
        adapter.sidecar.tokens,
        adapter.sidecar.injection,
    )
    ids, at = injection.prompt_token_ids, injection.marker_position
    if begins_twice(ids):
        yield Problem(
            path,
            f"prompt_token_ids begin with id {ids[0]} twice: a BOS from the template, and another"
            " from the tokenizer",
        )
    positions = [index for index, token in enumerate(ids) if token == tokens.injection_token_id]
    if positions != [at]:
        yield Problem(
            path,
            f"marker id {tokens.injection_token_id} is at positions {positions[:4]} of"
            f" prompt_token_ids, the sidecar records position {at}",
        )
        return
    if at + 1 == len(ids):
        yield Problem(path, "the marker is the last of prompt_token_ids and has no right neighbour")
        return
    recorded = (tokens.injection_left_neighbor_id, tokens.injection_right_neighbor_id)
    if (found := (ids[at - 1], ids[at + 1])) != recorded:
        yield Problem(
            path,
            f"the marker's neighbours are {found} in prompt_token_ids, the sidecar records"
            f" {recorded}",
        )


@rule("NLA202", "error", "the base's tokenizer reproduces the recorded prompts", each=SUBJECT)
def prompts_replay(subject: Subject) -> Iterator[Problem | Skip]:
    """Both roles' prompts on the tokenizer, when one can be had.

    Checks: With the base's tokenizer, the marker is one token and not the unknown token, the AV's
        prompt gives exactly the recorded ids, every AR prompt ends with the recorded suffix, and no
        raw prompt begins with a BOS that the tokenizer adds again. With prompt_encoding chat, the
        AV's prompt goes through the base's chat template with the recorded options, and the
        template has the recorded sha256. The tokenizer is the one of --tokenizer, of base_path, or
        of the pinned commit on the Hub. The chat template is next to it (chat_template.jinja, else
        tokenizer_config.json or chat_template.json). Without them the rule is skipped. A template
        is a program: it runs in a sandboxed process with limited time and memory.
    Why: A template or tokenizer that drifted changes what the adapters see without an error: the
        reference's Gemma AR falls from 0.77 to 0.31 variance explained when BOS is dropped
        (kitft/natural_language_autoencoders, docs/inference.md). EasyNLA trained with the
        template's default thinking block while its card recommends enable_thinking=False: the
        prompt is only known with the options it was rendered with. Under transformers 5 the marker
        ㎡ of the reference's Llama pair is spelled in bytes when it is rendered and encoded in one
        step, and Neuronpedia's reader does it in two.
    Fix: Pin the base commit that the adapter was trained with, and restore the template it was
        trained with, to the last character, and the chat template's options.
    Example: the AV prompt renders differently than in training: at position 0 the sidecar records
        id 2, the tokenizer gives 105
    Waive: Never: train again, or release with the tokenizer that the adapter knows.
    """
    tokenizer = find_tokenizer(subject)
    if isinstance(tokenizer, Skip):
        yield tokenizer
        return
    encode, unknown = encoder(tokenizer), unknown_id(tokenizer)
    for adapter in subject.adapters:
        sidecar = adapter.sidecar
        try:
            if adapter.role == "ar":
                check_suffix(sidecar, encode)
                continue
            chat = find_chat(subject) if sidecar.injection.chat_template else None
            if isinstance(chat, Skip):
                yield chat
            else:
                check_replay(sidecar, encode, unknown, chat)
        except PairError as error:
            yield Problem(adapter.folder / SIDECAR_FILE, error.message)
