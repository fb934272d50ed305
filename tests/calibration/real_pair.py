"""Evidence of a pair on a real language model, which has what no synthetic evidence has.

A pair on Gemma 3 270M, block 12 of 18, measured on 270 rows of 90 Debian package descriptions; its
training labels were synopsis and last words. One dimension holds most of every activation's energy,
so every plain cosine is near 0.9. Ten explanations were cut off. The texts hold the last words that
were read: after "mandatory access control" the AV says "security and control".

`real/` has what a run leaves without optional diagnostics. Vectors are unit ones in float16, and
what follows from the rest is left out: raw outputs, another row's reconstruction, and repetitions.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from nla_release.contract.explanation import wrap
from nla_release.evidence.records import EvidenceRow, RunFacts, Verbalization
from tests.builders import EvidenceParts

_FOLDER = Path(__file__).parent / "real"


def real_parts() -> EvidenceParts:
    """The arguments of `write_evidence` after the folder."""
    lines = (_FOLDER / "rows.jsonl").read_text("utf-8").splitlines()
    rows = [_row(**json.loads(line)) for line in lines]
    held = {
        name: values.astype(np.float32)
        for name, values in load_file(_FOLDER / "vectors.safetensors").items()
    }
    position = {row.id: at for at, row in enumerate(rows)}
    repeated = {name: np.repeat(held[name], len(rows), axis=0) for name in ("empty", "zero_vector")}
    vectors = {
        **held,
        **repeated,
        "reference_mean": held["reference_mean"][0],
        "shuffled": held["real"][[position[row.shuffled_from] for row in rows]],
    }
    run = RunFacts.model_validate_json((_FOLDER / "run.json").read_text("utf-8"))
    return EvidenceParts(rows, vectors, run)


def _row(**facts: object) -> EvidenceRow:
    random = dict(facts.pop("random_vector"))
    return EvidenceRow(
        gold=None,
        **{"raw": wrap(str(facts["explanation"])), **facts},
        random_vector=Verbalization(**{"raw": wrap(random["explanation"]), **random}),
    )
