"""A good release, and the many small ways in which one is broken, each named after its defect.

A defect is a function that breaks one thing in a folder. It is registered with the code of the
rule that must find it and with what is checked: the trained pair, the release, or its `dist/`.
"""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import safetensors.numpy
import yaml

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import write_evidence
from nla_release.cards.render import render
from nla_release.contract.prompt import encoder, mark, suffix_ids
from nla_release.evidence.training_documents import TrainingShingles
from nla_release.gate import apply_rules
from nla_release.gate.model import Verdict
from nla_release.gate.subject import find_subject
from nla_release.io.files import dump_json, dump_yaml, read_json, read_yaml, write_atomic
from nla_release.io.layout import MANIFEST_FILE
from nla_release.release.folder import ROLES, Release, read_release
from nla_release.release.manifest import record_files
from tests.builders import evidence_parts, recorded, training_shingles
from tests.builders_pair import (
    AR_TEMPLATE,
    AV_TEMPLATE,
    HELD_OUT,
    RUN_ID,
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
FACTS = "base.json"

ROWS = {"rows": 60, "documents": 12}
PREVIOUS = "previous/evidence"

# A last day of waivers, whenever the tests are run.
UNTIL = (datetime.now(UTC) + timedelta(days=200)).date()

# What training leaves of texts that no row has.
UNRELATED = training_shingles()

What = Literal["pair", "release", "dist"]


@dataclass(frozen=True)
class Defect:
    """One way to break a release, and the rule that must say so, and others that `also` may."""

    code: str
    what: What
    break_it: Callable[[Path], None]
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.break_it.__name__


DEFECTS: list[Defect] = []


def defect(
    code: str, what: What, also: tuple[str, ...] = ()
) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register a function that breaks the folder of what is checked."""

    def register(break_it: Callable[[Path], None]) -> Callable[[Path], None]:
        DEFECTS.append(Defect(code, what, break_it, also))
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
        document |= {"base_path": "base", "previous": PREVIOUS}
    # The pair before it read the same rows far less exactly, so that no defect but one is a loss.
    write_evidence(folder / PREVIOUS, *evidence_parts(**ROWS, width=WIDTH, noise=3))
    release = read_release(folder)
    measure(release, **ROWS)
    render(release, "0.0.1")
    write_atomic(release.history, (release.dist / "av" / "HISTORY.md").read_bytes())
    return release


def judged(folder: Path, what: What = "release", **options: Any) -> Verdict:
    """The verdict on a release's folder, or on the pair or dist/ in it."""
    return apply_rules(find_subject(part(folder, what)), **options)


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
    with edited_json(repository / MANIFEST_FILE) as manifest:
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


def measured_as(
    folder: Path,
    change: Callable[[Any], Any],
    shingles: TrainingShingles | None = UNRELATED,
    **options: Any,
) -> None:
    """Measure the pair again, with a change to what came out; nothing is rendered of it.

    The change is made in place, or gives other parts back.
    """
    release = read_release(folder)
    parts = evidence_parts(**ROWS | {"width": WIDTH} | options)
    parts = change(parts) or parts
    training = parts.run.training or HELD_OUT
    facts = {"files": pair_digests(release), "training": training, "run_id": RUN_ID}
    run = parts.run.model_copy(update=facts)
    evidence = write_evidence(
        release.evidence, parts.rows, parts.vectors, run,
        shingles=shingles, **recorded(run),
    )  # fmt: skip
    write_atomic(release.calibration, calibrate(evidence).dump())
    shutil.rmtree(release.dist)


def damaged_weights(path: Path, tensor: str, value: float) -> None:
    """Put one value into a tensor."""
    with edited_tensors(path) as tensors:
        tensors[tensor][0, 0] = value


def waived(folder: Path, code: str, until: str = str(UNTIL)) -> None:
    """Waive a rule in release.yaml."""
    with edited_yaml(folder / "release.yaml") as document:
        waiver = {"code": code, "reason": "known since the last run", "until": until}
        document["waivers"] = [*document.get("waivers", []), waiver]
