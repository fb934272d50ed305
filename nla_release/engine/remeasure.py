"""Rows of published evidence, measured again with the published pair."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nla_release.calibration.remeasured import (
    Conditions,
    NewOutputs,
    Remeasured,
    choose_rows,
    compare_answers,
)
from nla_release.contract.sidecar import Dtype, Role
from nla_release.diagnostics.model import text_or_none
from nla_release.engine.checkpoint import Checkpoint
from nla_release.engine.extraction import activations_at_the_end
from nla_release.engine.memory import Memory
from nla_release.engine.pair import Pair
from nla_release.engine.provenance import base_files, device_name
from nla_release.errors import ConfigError
from nla_release.evidence.controls import row_texts
from nla_release.evidence.parts import Evidence
from nla_release.io.log import log


def remeasure(
    evidence: Evidence,
    folders: Mapping[Role, Path],
    *,
    count: int,
    seed: int,
    base: Path | None = None,
    device: str | None = None,
    dtype: Dtype | None = None,
) -> Remeasured:
    """Extract and explain some rows' activations again, read the texts again, and compare.

    Args:
        evidence: what was published.
        folders: the published adapters.
        count: how many rows; all where there are fewer.
        seed: what chooses them.
        base: a local copy of the base; from the Hub at the evidence's revision otherwise.
        device: torch device; CUDA when there is one, by default.
        dtype: to load the base in, without quantization; as the evidence records by default.

    Raises:
        ConfigError: the local base is another copy than the evidence was measured on.
        InputError: a file of the pair is damaged.
        PairError: the adapters do not fit each other or the base.
        EnvironmentProblem: the base cannot be downloaded or loaded here.
    """
    run = evidence.run
    if base and run.base.local_files and base_files(base) != run.base.local_files:
        raise ConfigError(f"{base} is another copy of the base than the evidence was measured on")
    pair = Pair.from_pretrained(
        folders["av"],
        folders["ar"],
        base=base,
        quantization=None if dtype else run.precision.quantization,
        device=device,
        dtype=dtype or run.precision.dtype,
    )
    rows = choose_rows(evidence, count, seed)
    texts = {name: [column[at] for at in rows] for name, column in row_texts(evidence).items()}
    with tempfile.TemporaryDirectory(prefix="nla-release-") as work:
        stored = evidence.vectors["gold"][rows]
        with pair.base_alone() as alone, log.progress("base reads", len(rows), "texts") as advance:
            extracted = activations_at_the_end(
                alone,
                pair.layer,
                [evidence.rows[at].text for at in rows],
                stored.astype(np.float64),
                batch_size=run.decoding.batch_size,
            )
            advance(len(rows))
        memory = Memory(
            pair,
            Checkpoint(Path(work) / "pieces", {}, fresh=True),
            max_new_tokens=run.decoding.max_new_tokens,
            batch=run.decoding.batch_size,
        )
        said = memory.say(stored, "AV explains the activations again")
        heard = text_or_none(said)
        memory.read([*heard, *(text for column in texts.values() for text in column)], "AR reads")
        answers = NewOutputs(
            extracted,
            said,
            memory.vectors(heard).astype(np.float64),
            {
                name: memory.vectors(column).astype(np.float64)
                for name, column in texts.items()
                if name in evidence.vectors
            },
        )
    base_of = pair.base
    used = Conditions(base_of.quantization, base_of.dtype, device_name(base_of.device))
    declared = pair.av.nla_release.base
    trained = Conditions(declared.quantization, declared.dtype, run.device)
    return compare_answers(evidence, rows, seed, used, answers, trained=trained)
