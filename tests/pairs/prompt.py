"""NLA2xx: the prompt, broken in one way each."""

from pathlib import Path
from typing import Any

from nla_release.io.files import sha256_bytes, write_atomic
from tests.builders_pair import AR_TEMPLATE, AV_TEMPLATE
from tests.chats import CHATML, TURNS, through_chat
from tests.pairs.zoo import (
    SIDECAR,
    defect,
    edited_json,
    edited_yaml,
    in_both_sidecars,
    measured_as,
)
from train.tiny import tokenizer as tiny_tokenizer


def unchanged(parts: Any) -> None:
    """What came out of the pair stays as it was."""


@defect("NLA201", "pair")
def neighbours_swapped(pair: Path) -> None:
    with edited_yaml(pair / "av" / SIDECAR) as sidecar:
        tokens = sidecar["tokens"]
        left, right = "injection_left_neighbor_id", "injection_right_neighbor_id"
        tokens[left], tokens[right] = tokens[right], tokens[left]


@defect("NLA201", "pair")
def marker_twice(pair: Path) -> None:
    with edited_yaml(pair / "av" / SIDECAR) as sidecar:
        ids = sidecar["nla_release"]["injection"]["prompt_token_ids"]
        ids.append(sidecar["tokens"]["injection_token_id"])


@defect("NLA201", "pair")
def marker_at_the_end(pair: Path) -> None:
    with edited_yaml(pair / "av" / SIDECAR) as sidecar:
        injection = sidecar["nla_release"]["injection"]
        del injection["prompt_token_ids"][injection["marker_position"] + 1 :]


@defect("NLA201", "pair")
def double_bos(pair: Path) -> None:
    """The template's BOS, and another that the tokenizer added."""
    with edited_yaml(pair / "av" / SIDECAR) as sidecar:
        injection = sidecar["nla_release"]["injection"]
        injection["prompt_token_ids"].insert(0, injection["prompt_token_ids"][0])
        injection["marker_position"] += 1


@defect("NLA202", "release")
def template_drifted(folder: Path) -> None:
    in_both_sidecars(
        folder / "pair", ["prompt_templates", "av"], AV_TEMPLATE.replace("You study", "Describe")
    )
    measured_as(folder, unchanged)


@defect("NLA202", "release")
def tokenizer_of_another_base(folder: Path) -> None:
    tokenizer = tiny_tokenizer.build(["other words", AV_TEMPLATE, AR_TEMPLATE])
    write_atomic(folder / "base" / "tokenizer.json", tokenizer.to_str())


@defect("NLA202", "release")
def tokenizer_without_the_marker(folder: Path) -> None:
    tokenizer = (folder / "base" / "tokenizer.json").read_text().replace("㊗", "◯")
    write_atomic(folder / "base" / "tokenizer.json", tokenizer)


@defect("NLA202", "release")
def tokenizer_damaged(folder: Path) -> None:
    write_atomic(folder / "base" / "tokenizer.json", '{"version": "1.0"}')


@defect("NLA202", "release")
def ar_template_begins_with_bos(folder: Path) -> None:
    in_both_sidecars(folder / "pair", ["prompt_templates", "ar"], f"<bos>{AR_TEMPLATE}")
    measured_as(folder, unchanged)


@defect("NLA202", "release")
def bos_dropped(folder: Path) -> None:
    with edited_yaml(folder / "pair" / "av" / SIDECAR) as sidecar:
        injection = sidecar["nla_release"]["injection"]
        del injection["prompt_token_ids"][0]
        injection["marker_position"] -= 1
    measured_as(folder, unchanged)


def in_chat(
    folder: Path,
    template: str = CHATML,
    options: dict[str, bool] | None = None,
    recorded: dict[str, Any] | None = None,
) -> None:
    """Make the good release one whose AV was trained in a chat, as sound as before.

    `recorded` is what the sidecar then says of the injection instead.
    """
    av = folder / "pair" / "av"
    through_chat(av, folder / "base", template, options)
    with edited_yaml(av / SIDECAR) as sidecar:
        sidecar["nla_release"]["injection"] |= recorded or {}
    measured_as(folder, unchanged)


@defect("NLA202", "release")
def chat_template_drifted(folder: Path) -> None:
    in_chat(folder)
    write_atomic(folder / "base" / "chat_template.jinja", CHATML.replace("helpful ", ""))


@defect("NLA202", "release")
def chat_template_drifted_in_a_space_that_renders_the_same(folder: Path) -> None:
    in_chat(folder)
    write_atomic(folder / "base" / "chat_template.jinja", CHATML + " ")


@defect("NLA202", "release")
def chat_template_moved_into_the_configuration_and_changed(folder: Path) -> None:
    in_chat(folder)
    (folder / "base" / "chat_template.jinja").unlink()
    with edited_json(folder / "base" / "tokenizer_config.json") as config:
        config["chat_template"] = [{"name": "default", "template": TURNS}]


@defect("NLA202", "release")
def thinking_block_on_and_recorded_as_off(folder: Path) -> None:
    in_chat(folder, recorded={"chat_template": _recorded(CHATML, enable_thinking=False)})


@defect("NLA202", "release")
def thinking_option_lost(folder: Path) -> None:
    off = {"enable_thinking": False}
    in_chat(folder, options=off, recorded={"chat_template": _recorded(CHATML)})


@defect("NLA202", "release")
def chat_called_raw(folder: Path) -> None:
    in_chat(folder, recorded={"prompt_encoding": "raw", "chat_template": None})


@defect("NLA202", "release")
def raw_called_chat(folder: Path) -> None:
    write_atomic(folder / "base" / "chat_template.jinja", CHATML)
    with edited_yaml(folder / "pair" / "av" / SIDECAR) as sidecar:
        sidecar["nla_release"]["injection"] |= {
            "prompt_encoding": "chat",
            "chat_template": _recorded(CHATML),
        }
    measured_as(folder, unchanged)


@defect("NLA202", "release")
def chat_without_the_bos_of_its_configuration(folder: Path) -> None:
    in_chat(folder, TURNS)
    with edited_json(folder / "base" / "tokenizer_config.json") as config:
        del config["bos_token"]


@defect("NLA202", "release")
def chat_template_that_cannot_be_parsed(folder: Path) -> None:
    _unchecked(folder, "{% for %}")


@defect("NLA202", "release")
def chat_template_that_reaches_out_of_the_sandbox(folder: Path) -> None:
    _unchecked(folder, "{{ messages.__class__.__mro__ }}")


@defect("NLA202", "release")
def chat_template_that_fills_the_memory(folder: Path) -> None:
    _unchecked(folder, "{{ 'x' * 10 ** 11 }}")


@defect("NLA202", "release")
def chat_template_that_writes_todays_date(folder: Path) -> None:
    _unchecked(folder, "{{ strftime_now('%d %b %Y') }}" + CHATML)


@defect("NLA202", "release")
def chat_template_that_repeats_the_message(folder: Path) -> None:
    _unchecked(folder, TURNS + "{{ messages[0].content }}")


@defect("NLA202", "release")
def chat_template_of_a_strange_kind(folder: Path) -> None:
    in_chat(folder)
    (folder / "base" / "chat_template.jinja").unlink()
    write_atomic(folder / "base" / "tokenizer_config.json", '{"chat_template": 7}')


def _unchecked(folder: Path, template: str) -> None:
    """A chat whose template has the recorded sha256, and was never seen to work."""
    in_chat(folder, recorded={"chat_template": _recorded(template)})
    write_atomic(folder / "base" / "chat_template.jinja", template)


def _recorded(template: str, **options: bool) -> dict[str, Any]:
    return {"sha256": sha256_bytes(template.encode()), "options": options}
