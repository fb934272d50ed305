"""A good release, and the many small ways in which one is broken, each named after its defect.

A defect is a function that breaks one thing in a folder. It is registered with the code of the
rule that must find it and with what is checked: the trained pair, the release, or its `dist/`.
"""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
import yaml

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence import write_evidence
from nla_release.cards.render import render
from nla_release.files import dump_json, dump_yaml, read_json, read_yaml, write_atomic
from nla_release.manifest import FILE_NAME as MANIFEST
from nla_release.manifest import record_files
from nla_release.prompt import encoder, mark, suffix_ids
from nla_release.release import ROLES, Release, read_release
from nla_release.rules import judge
from nla_release.rules.model import Verdict
from nla_release.rules.subject import find_subject
from tests.builders import evidence_parts
from tests.builders_pair import (
    AR_TEMPLATE,
    AV_TEMPLATE,
    WIDTH,
    make_release,
    measure,
    pair_digests,
)
from train.tiny import tokenizer as tiny_tokenizer

SIDECAR = "nla_meta.yaml"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
HEAD = "value_head.safetensors"

ROWS = {"rows": 60, "documents": 12}

What = Literal["pair", "release", "dist"]


@dataclass(frozen=True)
class Defect:
    """One way to break a release, and the rule that must say so."""

    code: str
    what: What
    break_it: Callable[[Path], None]

    @property
    def name(self) -> str:
        return self.break_it.__name__


DEFECTS: list[Defect] = []


def defect(code: str, what: What) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register a function that breaks the folder of what is checked."""

    def register(break_it: Callable[[Path], None]) -> Callable[[Path], None]:
        DEFECTS.append(Defect(code, what, break_it))
        return break_it

    return register


def good_release(folder: Path) -> Release:
    """A rendered release, with a base's tokenizer beside it, in which no rule finds anything."""
    release = make_release(folder, **ROWS)
    tokenizer = tiny_tokenizer.build([AV_TEMPLATE, AR_TEMPLATE, "{", "}"])
    write_atomic(folder / "base" / "tokenizer.json", tokenizer.to_str())
    encode = encoder(tokenizer)
    prompt = mark(encode, AV_TEMPLATE, "㊗")
    for role in ROLES:
        with edited_yaml(release.adapter(role) / SIDECAR) as sidecar:
            sidecar["tokens"] |= {
                "injection_token_id": prompt.token_id,
                "injection_left_neighbor_id": prompt.left_id,
                "injection_right_neighbor_id": prompt.right_id,
                "critic_suffix_ids": suffix_ids(encode, AR_TEMPLATE) if role == "ar" else None,
            }
            if role == "av":
                sidecar["nla_release"]["injection"] |= {
                    "prompt_token_ids": list(prompt.ids),
                    "marker_position": prompt.position,
                }
    with edited_yaml(folder / "release.yaml") as document:
        document["base_path"] = "base"
    release = read_release(folder)
    measure(release, **ROWS)
    render(release, "0.0.1")
    write_atomic(release.history, (release.dist / "av" / "HISTORY.md").read_bytes())
    return release


def judged(folder: Path, what: What = "release", **options: Any) -> Verdict:
    """The verdict on a release's folder, or on the pair or dist/ in it."""
    return judge(find_subject(part(folder, what)), **options)


def part(folder: Path, what: What) -> Path:
    """The folder of what is checked, in a release's folder."""
    return folder if what == "release" else folder / what


class edited_yaml:  # noqa: N801 - reads as a statement
    """The mapping in a YAML file, written back at the end of the block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> dict[str, Any]:
        self.document = read_yaml(self.path)
        return self.document

    def __exit__(self, *_: object) -> None:
        write_atomic(self.path, dump_yaml(self.document))


class edited_json(edited_yaml):  # noqa: N801
    """The same for a JSON file."""

    def __enter__(self) -> dict[str, Any]:
        self.document = read_json(self.path)
        return self.document

    def __exit__(self, *_: object) -> None:
        write_atomic(self.path, dump_json(self.document))


class edited_tensors(edited_yaml):  # noqa: N801
    """The same for a safetensors file."""

    def __enter__(self) -> dict[str, np.ndarray]:
        self.document = dict(safetensors.numpy.load_file(self.path))
        return self.document

    def __exit__(self, *_: object) -> None:
        safetensors.numpy.save_file(self.document, self.path)


class edited_card(edited_yaml):  # noqa: N801
    """The same for the front matter of a README in a dist/, which is then listed anew."""

    def __enter__(self) -> dict[str, Any]:
        _, front, self.prose = self.path.read_text().split("---\n", 2)
        self.document = yaml.safe_load(front)
        return self.document

    def __exit__(self, *_: object) -> None:
        write_atomic(self.path, f"---\n{dump_yaml(self.document)}---\n{self.prose}")
        list_anew(self.path.parent)


def list_anew(repository: Path) -> None:
    """Make release.json list the files as they are now, as if they had been rendered so."""
    with edited_json(repository / MANIFEST) as manifest:
        manifest["files"] = {
            name: record.model_dump() for name, record in record_files(repository).items()
        }


def append_text(path: Path, text: str) -> None:
    """Add text to a file in a repository, and list it anew."""
    write_atomic(path, (path.read_text() if path.exists() else "") + text)
    list_anew(next(parent for parent in path.parents if parent.name in ROLES))


def in_both_sidecars(pair: Path, keys: Sequence[str], value: Any) -> None:
    """Set one value of AV and AR alike."""
    for role in ROLES:
        in_sidecar(pair, role, keys, value)


def in_sidecar(pair: Path, role: str, keys: Sequence[str], value: Any) -> None:
    """Set one value by its path of keys; `...` removes it."""
    with edited_yaml(pair / role / SIDECAR) as document:
        place = document
        for key in keys[:-1]:
            place = place[key]
        if value is ...:
            del place[keys[-1]]
        else:
            place[keys[-1]] = value


def measured_as(folder: Path, change: Callable[[Any], None], **options: Any) -> None:
    """Measure the pair again, with a change to what came out; nothing is rendered of it."""
    release = read_release(folder)
    parts = evidence_parts(**ROWS | {"width": WIDTH} | options)
    change(parts)
    run = parts.run.model_copy(update={"files": pair_digests(release)})
    evidence = write_evidence(release.evidence, parts.rows, parts.vectors, run)
    write_atomic(release.calibration, calibrate(evidence).dump())
    shutil.rmtree(release.dist)


def damaged_weights(path: Path, tensor: str, value: float) -> None:
    """Put one value into a tensor."""
    with edited_tensors(path) as tensors:
        tensors[tensor][0, 0] = value


# --- NLA1xx: the sidecar ---


@defect("NLA101", "pair")
def sidecar_absent(pair: Path) -> None:
    (pair / "av" / SIDECAR).unlink()


@defect("NLA101", "release")
def adapter_never_trained(folder: Path) -> None:
    shutil.rmtree(folder / "pair" / "ar")


@defect("NLA101", "pair")
def scale_missing(pair: Path) -> None:
    in_sidecar(pair, "av", ["extraction", "injection_scale"], ...)


@defect("NLA101", "pair")
def two_scales(pair: Path) -> None:
    in_sidecar(pair, "av", ["nla_release", "injection", "scale"], 20000.0)


@defect("NLA101", "pair")
def head_of_another_depth(pair: Path) -> None:
    in_sidecar(pair, "ar", ["nla_release", "ar_head", "blocks"], 7)


@defect("NLA101", "pair")
def roles_swapped(pair: Path) -> None:
    av, ar = (pair / role / SIDECAR for role in ROLES)
    text = av.read_text()
    av.write_text(ar.read_text())
    ar.write_text(text)


@defect("NLA101", "pair")
def sidecar_not_yaml(pair: Path) -> None:
    (pair / "av" / SIDECAR).write_text("kind: [nla_model\n")


@defect("NLA101", "pair")
def sidecar_of_a_tag_without_its_kind(pair: Path) -> None:
    (pair / "av" / SIDECAR).write_text("a: !!bool x\nb: !!timestamp y\n")


@defect("NLA102", "pair")
def scale_of_another_base(pair: Path) -> None:
    in_sidecar(pair, "av", ["extraction", "injection_scale"], 80000.0)
    in_sidecar(pair, "av", ["nla_release", "injection", "scale"], 80000.0)


@defect("NLA102", "pair")
def evaluated_at_another_scale(pair: Path) -> None:
    in_sidecar(pair, "av", ["nla_release", "norms", "scale_evaluated"], 39.19)


@defect("NLA103", "pair")
def base_is_a_local_path(pair: Path) -> None:
    in_both_sidecars(pair, ["nla_release", "base", "id"], "./base")
    for role in ROLES:
        with edited_json(pair / role / CONFIG) as config:
            config["base_model_name_or_path"] = "./base"


@defect("NLA103", "pair")
def base_of_the_config_differs(pair: Path) -> None:
    with edited_json(pair / "av" / CONFIG) as config:
        config["base_model_name_or_path"] = "/content/base"


@defect("NLA103", "pair")
def base_on_a_branch(pair: Path) -> None:
    in_both_sidecars(pair, ["nla_release", "base", "revision"], "main")


def waived(folder: Path, code: str, until: str = "2999-12-31") -> None:
    """Waive a rule in release.yaml."""
    with edited_yaml(folder / "release.yaml") as document:
        waiver = {"code": code, "reason": "known since the last run", "until": until}
        document["waivers"] = [*document.get("waivers", []), waiver]


@defect("NLA104", "release")
def waiver_expired(folder: Path) -> None:
    waived(folder, "NLA604", until="2001-01-01")


@defect("NLA104", "release")
def waiver_of_no_rule(folder: Path) -> None:
    waived(folder, "NLA999")


@defect("NLA104", "release")
def waiver_of_the_sidecar(folder: Path) -> None:
    waived(folder, "NLA101")


@defect("NLA104", "release")
def waiver_not_on_the_card(folder: Path) -> None:
    waived(folder, "NLA604")


# --- NLA2xx: the prompt ---


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
    shutil.rmtree(folder / "dist")
    shutil.rmtree(folder / "evidence")
    (folder / "calibration.json").unlink()
    in_both_sidecars(
        folder / "pair", ["prompt_templates", "av"], AV_TEMPLATE.replace("You study", "Describe")
    )


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


# --- NLA3xx: the weights ---


@defect("NLA301", "pair")
def pickle_head(pair: Path) -> None:
    (pair / "ar" / "linear_head.pt").write_bytes(b"PK\x03\x04...")


@defect("NLA301", "pair")
def pickle_under_another_name(pair: Path) -> None:
    (pair / "ar" / "head.dat").write_bytes(b"\x80\x04\x95...")


@defect("NLA301", "pair")
def link_out_of_the_folder(pair: Path) -> None:
    (pair / "av" / "LICENSE").symlink_to("/etc/hostname")


@defect("NLA301", "pair")
def linked_folder(pair: Path) -> None:
    (pair / "av" / "checkpoints").symlink_to("/etc")


@defect("NLA301", "pair")
def named_pipe(pair: Path) -> None:
    os.mkfifo(pair / "av" / "notes.md")


@defect("NLA301", "pair")
def adapter_path_leaves(pair: Path) -> None:
    in_sidecar(
        pair, "av", ["nla_release", "adapters"], [{"path": "../ar", "rank": 2, "alpha": 4.0}]
    )


@defect("NLA302", "pair")
def truncated_adapter(pair: Path) -> None:
    path = pair / "av" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])


@defect("NLA302", "pair")
def huge_header(pair: Path) -> None:
    (pair / "av" / WEIGHTS).write_bytes((2**62).to_bytes(8, "little") + b"{}")


@defect("NLA302", "pair")
def factor_without_its_partner(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        del tensors[next(name for name in tensors if name.endswith("lora_A.weight"))]


@defect("NLA302", "pair")
def no_tensors(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        tensors.clear()


@defect("NLA302", "pair")
def embeddings_saved_too(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        tensors["base_model.model.model.embed_tokens.weight"] = np.ones((4, 4), np.float32)


@defect("NLA302", "pair")
def rank_of_the_config_differs(pair: Path) -> None:
    with edited_json(pair / "av" / CONFIG) as config:
        config["r"] = 80


@defect("NLA302", "pair")
def alpha_of_the_card_of_another_run(pair: Path) -> None:
    in_sidecar(pair, "av", ["nla_release", "adapters"], [{"path": ".", "rank": 2, "alpha": 160.0}])


@defect("NLA302", "pair")
def adapters_stacked(pair: Path) -> None:
    stack = [{"path": path, "rank": 2, "alpha": 4.0} for path in ("warm", "rl")]
    in_sidecar(pair, "av", ["nla_release", "adapters"], stack)


@defect("NLA302", "pair")
def rank_pattern(pair: Path) -> None:
    with edited_json(pair / "av" / CONFIG) as config:
        config["rank_pattern"] = {"q_proj": 8}


@defect("NLA302", "pair")
def config_of_another_method(pair: Path) -> None:
    with edited_json(pair / "av" / CONFIG) as config:
        config["peft_type"] = "IA3"


@defect("NLA303", "pair")
def nan_head(pair: Path) -> None:
    damaged_weights(pair / "ar" / HEAD, "weight", float("nan"))


@defect("NLA303", "pair")
def head_of_3e38(pair: Path) -> None:
    damaged_weights(pair / "ar" / HEAD, "weight", 3e38)


@defect("NLA303", "pair")
def infinite_adapter(pair: Path) -> None:
    module = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
    damaged_weights(pair / "av" / WEIGHTS, f"{module}.lora_B.weight", float("inf"))


@defect("NLA303", "pair")
def weights_of_integers(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name, values in tensors.items():
            tensors[name] = (values * 64).astype(np.int32)


@defect("NLA304", "pair")
def untrained_adapter(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for name, values in tensors.items():
            if name.endswith("lora_B.weight"):
                tensors[name] = np.zeros_like(values)


@defect("NLA305", "pair")
def head_absent(pair: Path) -> None:
    (pair / "ar" / HEAD).unlink()


@defect("NLA305", "pair")
def truncated_head(pair: Path) -> None:
    path = pair / "ar" / HEAD
    path.write_bytes(path.read_bytes()[:50])


@defect("NLA305", "pair")
def head_of_llama_factory(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["v_head.summary.weight"] = tensors.pop("weight")


@defect("NLA305", "pair")
def head_not_square(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["weight"] = tensors["weight"][:-1]


@defect("NLA305", "pair")
def head_in_half_precision(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["weight"] = tensors["weight"].astype(np.float16)


@defect("NLA305", "pair")
def head_bias_not_declared(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["bias"] = np.ones(WIDTH, np.float32)


@defect("NLA305", "pair")
def zero_head(pair: Path) -> None:
    with edited_tensors(pair / "ar" / HEAD) as tensors:
        tensors["weight"] = np.zeros_like(tensors["weight"])


@defect("NLA306", "pair")
def audio_tower_adapted(pair: Path) -> None:
    with edited_tensors(pair / "av" / WEIGHTS) as tensors:
        for factor, shape in (("A", (2, WIDTH)), ("B", (WIDTH, 2))):
            key = f"base_model.model.model.audio_tower.layers.0.q_proj.lora_{factor}.weight"
            tensors[key] = np.ones(shape, np.float32)


# --- NLA4xx: the pair ---


@defect("NLA401", "pair")
def ar_of_another_layer(pair: Path) -> None:
    in_sidecar(pair, "ar", ["extraction_layer_index"], 2)
    in_sidecar(pair, "ar", ["critic", "extraction_layer_index"], 2)
    in_sidecar(pair, "ar", ["nla_release", "ar_head", "blocks"], 3)


@defect("NLA401", "pair")
def ar_of_another_base(pair: Path) -> None:
    in_sidecar(pair, "ar", ["nla_release", "base", "id"], "someone/other")
    with edited_json(pair / "ar" / CONFIG) as config:
        config["base_model_name_or_path"] = "someone/other"


@defect("NLA402", "pair")
def ar_reads_a_lower_block(pair: Path) -> None:
    in_sidecar(pair, "ar", ["critic", "extraction_layer_index"], 1)
    in_sidecar(pair, "ar", ["nla_release", "ar_head", "blocks"], 2)


@defect("NLA403", "dist")
def partner_of_another_release(dist: Path) -> None:
    in_sidecar(dist, "av", ["nla_release", "partner", "sha256"], "a" * 64)
    with edited_json(dist / "av" / MANIFEST) as manifest:
        manifest["partner"]["adapter_sha256"] = "a" * 64
    list_anew(dist / "av")


@defect("NLA403", "dist")
def partner_of_two_minds(dist: Path) -> None:
    in_sidecar(dist, "av", ["nla_release", "partner", "version"], "0.0.2")
    list_anew(dist / "av")


@defect("NLA403", "dist")
def partner_not_recorded(dist: Path) -> None:
    in_sidecar(dist, "av", ["nla_release", "partner"], None)
    list_anew(dist / "av")


# --- NLA5xx: the card ---


@defect("NLA501", "dist")
def ar_as_text_generation(dist: Path) -> None:
    with edited_card(dist / "ar" / "README.md") as metadata:
        metadata["pipeline_tag"] = "text-generation"


@defect("NLA501", "dist")
def licence_of_spdx(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata["license"] = "gpl-2.0-or-later"


@defect("NLA501", "dist")
def licence_without_a_link(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata |= {"license": "other", "license_name": "mine"}


@defect("NLA501", "dist")
def licence_absent(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        del metadata["license"]


@defect("NLA501", "dist")
def card_of_a_local_base(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata["base_model"] = "./base"


@defect("NLA501", "dist")
def cosine_of_another_version(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata["model-index"][0]["results"][0]["metrics"][0]["value"] = 0.987654


@defect("NLA501", "dist")
def control_told_as_the_cosine(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metrics = metadata["model-index"][0]["results"][0]["metrics"]
        metrics[0]["value"], metrics[1]["value"] = metrics[1]["value"], metrics[0]["value"]


@defect("NLA501", "dist")
def no_metrics(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        del metadata["model-index"]


@defect("NLA501", "dist")
def metadata_not_yaml(dist: Path) -> None:
    path = dist / "av" / "README.md"
    path.write_text(path.read_text().replace("license: ", "license: [", 1))
    list_anew(dist / "av")


@defect("NLA501", "dist")
def metadata_absent(dist: Path) -> None:
    path = dist / "av" / "README.md"
    path.write_text(path.read_text().split("---\n", 2)[2])
    list_anew(dist / "av")


@defect("NLA502", "dist")
def number_edited_by_hand(dist: Path) -> None:
    path = dist / "av" / "README.md"
    begin = "<!-- nla-release:begin calibration -->\n"
    path.write_text(path.read_text().replace(begin, f"{begin}Cosine 0.999.\n"))
    list_anew(dist / "av")


@defect("NLA502", "dist")
def block_removed(dist: Path) -> None:
    path = dist / "av" / "README.md"
    before, rest = path.read_text().split("<!-- nla-release:begin label -->")
    path.write_text(before + rest.split("<!-- nla-release:end label -->")[1])
    list_anew(dist / "av")


@defect("NLA502", "dist")
def block_never_closed(dist: Path) -> None:
    path = dist / "av" / "README.md"
    path.write_text(path.read_text().replace("<!-- nla-release:end limitations -->", ""))
    list_anew(dist / "av")


@defect("NLA503", "dist")
def stub_of_peft(dist: Path) -> None:
    append_text(dist / "av" / "README.md", "\n- **Developed by:** [More Information Needed]\n")


@defect("NLA503", "dist")
def results_pending(dist: Path) -> None:
    append_text(dist / "ar" / "RELEASE_CALIBRATION.md", "\nablation: running (results pending)\n")


@defect("NLA504", "dist")
def windows_path_told(dist: Path) -> None:
    append_text(dist / "av" / "figures" / "_stats.json", '{"out": "C:\\\\Users\\\\me\\\\nla"}\n')


@defect("NLA504", "pair")
def home_told(pair: Path) -> None:
    (pair / "av" / "notes.md").write_text("trained in /home/me/nla\n")


@defect("NLA504", "pair")
def bucket_told(pair: Path) -> None:
    (pair / "ar" / "notes.md").write_text("data from s3://mine/rows\n")


@defect("NLA504", "pair")
def token_told(pair: Path) -> None:
    (pair / "av" / "env").write_text("HF_TOKEN=hf_" + "aB3" * 12 + "\n")


@defect("NLA504", "pair")
def path_told_in_a_header(pair: Path) -> None:
    path = pair / "av" / WEIGHTS
    tensors = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(tensors, path, metadata={"from": "/home/ann/runs/7"})


@defect("NLA505", "release")
def history_rewritten(folder: Path) -> None:
    path = folder / "HISTORY.md"
    path.write_text(path.read_text().replace("Append-only", "append-only"))


@defect("NLA505", "dist")
def version_without_an_entry(dist: Path) -> None:
    path = dist / "ar" / "HISTORY.md"
    path.write_text(path.read_text().replace("## v0.0.1,", "## v0.0.0,"))
    list_anew(dist / "ar")


# --- NLA6xx: the evidence ---


@defect("NLA601", "release")
def weights_changed_after_measuring(folder: Path) -> None:
    module = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
    damaged_weights(folder / "pair" / "av" / WEIGHTS, f"{module}.lora_A.weight", 0.5)


@defect("NLA601", "release")
def prompt_changed_after_measuring(folder: Path) -> None:
    in_sidecar(folder / "pair", "av", ["created_by"], "somebody else")


@defect("NLA601", "release")
def row_removed(folder: Path) -> None:
    path = folder / "evidence" / "rows.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


@defect("NLA601", "release")
def vectors_truncated(folder: Path) -> None:
    path = folder / "evidence" / "vectors.safetensors"
    path.write_bytes(path.read_bytes()[:-4])


@defect("NLA601", "release")
def rows_emptied(folder: Path) -> None:
    (folder / "evidence" / "rows.jsonl").write_text("")


@defect("NLA601", "release")
def evidence_lost(folder: Path) -> None:
    shutil.rmtree(folder / "evidence")


@defect("NLA601", "release")
def measured_on_another_base(folder: Path) -> None:
    with edited_json(folder / "evidence" / "run.json") as run:
        run["base"]["id"] = "someone/other"
    shutil.rmtree(folder / "dist")
    (folder / "calibration.json").unlink()


@defect("NLA601", "release")
def measured_at_another_scale(folder: Path) -> None:
    with edited_json(folder / "evidence" / "run.json") as run:
        run["injection"]["scale"] = 39.19
    shutil.rmtree(folder / "dist")
    (folder / "calibration.json").unlink()


@defect("NLA602", "release")
def cosine_flattered(folder: Path) -> None:
    with edited_json(folder / "calibration.json") as calibration:
        calibration["cosine"]["mean"] = 0.9


@defect("NLA602", "release")
def control_left_out(folder: Path) -> None:
    with edited_json(folder / "calibration.json") as calibration:
        del calibration["controls"]["empty"]


@defect("NLA602", "release")
def calibration_damaged(folder: Path) -> None:
    (folder / "calibration.json").write_text('{"cosine": NaN}')


@defect("NLA603", "release")
def own_text_no_better(folder: Path) -> None:
    measured_as(folder, lambda parts: None, noise=1000)


@defect("NLA604", "release")
def below_the_mean(folder: Path) -> None:
    measured_as(folder, lambda parts: None, noise=1.5)


@defect("NLA605", "release")
def right_topic_wrong_row(folder: Path) -> None:
    def nearer_to_the_next(parts: Any) -> None:
        gold, rows = parts.vectors["gold"], parts.rows
        units = gold / np.linalg.norm(gold, axis=1, keepdims=True)
        real = 0.6 * units + 0.7 * np.roll(units, -1, axis=0)
        position = {row.id: index for index, row in enumerate(rows)}
        parts.vectors["real"] = real
        parts.vectors["shuffled"] = real[[position[row.shuffled_from] for row in rows]]

    measured_as(folder, nearer_to_the_next)


@defect("NLA606", "release")
def seven_texts(folder: Path) -> None:
    def repeat(parts: Any) -> None:
        for index, row in enumerate(parts.rows):
            parts.rows[index] = row.model_copy(update={"explanation": f"text {index % 7}"})

    measured_as(folder, repeat)


@defect("NLA607", "release")
def random_vector_says_the_same(folder: Path) -> None:
    def repeat(parts: Any) -> None:
        for index, row in enumerate(parts.rows):
            same = row.random_vector.model_copy(update={"explanation": row.explanation})
            if index % 2:
                parts.rows[index] = row.model_copy(update={"random_vector": same})

    measured_as(folder, repeat)


@defect("NLA608", "release")
def ten_rows(folder: Path) -> None:
    measured_as(folder, lambda parts: None, rows=10, documents=10)


@defect("NLA608", "release")
def three_documents(folder: Path) -> None:
    measured_as(folder, lambda parts: None, documents=3)


@defect("NLA609", "release")
def a_third_says_nothing(folder: Path) -> None:
    measured_as(folder, lambda parts: None, failed=dict.fromkeys(range(20), "empty"))


@defect("NLA610", "release")
def dist_of_an_older_run(folder: Path) -> None:
    measure(read_release(folder), **ROWS, seed=1)


# --- NLA7xx: publishing ---


@defect("NLA701", "dist")
def file_not_listed(dist: Path) -> None:
    (dist / "av" / "optimizer.md").write_text("left over\n")


@defect("NLA701", "dist")
def file_edited_after_rendering(dist: Path) -> None:
    path = dist / "ar" / "RELEASE_CALIBRATION.md"
    path.write_text(path.read_text() + "\nIt is very good.\n")


@defect("NLA701", "dist")
def figure_lost(dist: Path) -> None:
    (dist / "av" / "figures" / "training_loss.png").unlink()


@defect("NLA701", "dist")
def licence_file_never_rendered(dist: Path) -> None:
    (dist / "av" / "LICENSE").unlink()
    list_anew(dist / "av")


@defect("NLA701", "dist")
def manifest_lists_what_lies_outside(dist: Path) -> None:
    with edited_json(dist / "av" / MANIFEST) as manifest:
        manifest["files"]["../../release.yaml"] = {"sha256": "a" * 64, "size": 1}


@defect("NLA702", "dist")
def role_of_the_other(dist: Path) -> None:
    with edited_json(dist / "ar" / MANIFEST) as manifest:
        manifest["role"] = "av"


@defect("NLA702", "dist")
def base_of_another_commit(dist: Path) -> None:
    with edited_json(dist / "av" / MANIFEST) as manifest:
        manifest["base"]["revision"] = "1" * 40


@defect("NLA702", "release")
def repository_of_another_name(folder: Path) -> None:
    with edited_yaml(folder / "release.yaml") as document:
        document["name"] = "renamed"
