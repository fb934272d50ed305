"""NLA2xx: the prompt, broken in one way each."""

from pathlib import Path

from nla_release.files import write_atomic
from tests.builders_pair import AR_TEMPLATE, AV_TEMPLATE
from tests.pairs.zoo import SIDECAR, defect, edited_yaml, in_both_sidecars, measured_as
from train.tiny import tokenizer as tiny_tokenizer


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


@defect("NLA202", "release")
def template_drifted(folder: Path) -> None:
    in_both_sidecars(
        folder / "pair", ["prompt_templates", "av"], AV_TEMPLATE.replace("You study", "Describe")
    )
    measured_as(folder, lambda parts: None)


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
