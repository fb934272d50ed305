"""Several ARs on the texts of one AV: whether a low score is the texts', or their reader's.

What the AV said is taken from evidence that is there; only the reading is done again. The outcome
is evidence like any other, bound by hash to the AV of the texts and the AR that read them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import nla_release
from nla_release.adapter.stack import stack
from nla_release.calibration.evidence_folder import check_replaceable, read_evidence, write_evidence
from nla_release.contract.explanation import Explanation
from nla_release.contract.prompt import check_suffix
from nla_release.contract.sidecar import Sidecar, adapter_digests, read_sidecar
from nla_release.diagnostics import registered
from nla_release.diagnostics.model import DiagnosticInputs, Texts
from nla_release.engine.adapters import attach, load_head
from nla_release.engine.architecture import block_count
from nla_release.engine.base import LoadedBase, load_base
from nla_release.engine.provenance import (
    base_files,
    device_name,
    library_versions,
    now,
)
from nla_release.engine.reconstructor import Reconstructor
from nla_release.errors import ConfigError, NlaReleaseError, PairError
from nla_release.evidence.controls import row_texts
from nla_release.evidence.parts import Evidence, Vectors
from nla_release.evidence.records import RunFacts
from nla_release.io.files import make_folder
from nla_release.io.log import log

_NOT_COMPARED = {
    "name": "contamination",
    "skipped": "this AR's training documents were not compared",
}
# What was found and tried for the pair that the texts are from, and says nothing of another.
_OF_THE_PAIR = ("training", "attempts", "run_id", "shingles_sha256")
_FROM_THE_AV = frozenset({"gold", "reference_mean", "encoder_explanation", "encoder_source"})


def sweep(
    source: Evidence,
    readers: Mapping[str, Path],
    out: Path,
    *,
    base: Path | None = None,
    device: str | None = None,
) -> dict[str, Evidence]:
    """Read the texts of some evidence with other ARs, and write evidence for each.

    Evidence that is there already, of the same texts and the same AR, is given back as it is.

    Args:
        source: whose texts are read.
        readers: folders of ARs, by the name of what is written for each.
        out: the folder to write in: an evidence folder `out/NAME` per AR.
        base: a local copy of the base; from the Hub at the evidence's revision otherwise.
        device: torch device; CUDA when there is one, by default.

    Raises:
        PairError: an AR is of another base, layer or width.
        ConfigError: the local base is another copy than the evidence was measured on, or a place
            to write in holds other things than evidence.
        InputError: a file of an AR is missing or damaged.
        EnvironmentProblem: the base cannot be loaded here, or `out` cannot be written in.
    """
    for name in readers:
        check_replaceable(out / name)
    make_folder(out)
    sidecars = {name: _fitting(source, folder) for name, folder in readers.items()}
    copies = base_files(base)
    if (measured_on := source.run.base.local_files) and copies and copies != measured_on:
        raise ConfigError(f"{base} is another copy of the base than the texts were made with")
    loaded = load_base(
        str(base or source.run.base.id),
        None if base else source.run.base.revision,
        quantization=source.run.precision.quantization,
        dtype=source.run.precision.dtype,
        device=device,
    )
    return {
        name: _evidence(source, loaded, readers[name], sidecars[name], out / name, copies)
        for name in readers
    }


def _fitting(source: Evidence, folder: Path) -> Sidecar:
    sidecar = read_sidecar(folder, "ar")
    declared, measured = sidecar.nla_release.base, source.run.base
    if (declared.id, declared.revision) != (measured.id, measured.revision):
        raise PairError(
            f"{folder} was trained on {declared.id} at {declared.revision}, the texts are of"
            f" {measured.id} at {measured.revision}"
        )
    layer = sidecar.extraction_layer_index
    if source.run.layer not in (None, layer):
        raise PairError(
            f"{folder} reconstructs activations of layer {layer}, the texts are of layer"
            f" {source.run.layer}"
        )
    if sidecar.d_model != (width := source.vectors["gold"].shape[1]):
        raise PairError(
            f"{folder} gives vectors of {sidecar.d_model}, the activations have {width}"
        )
    return sidecar


def _evidence(
    source: Evidence,
    base: LoadedBase,
    folder: Path,
    sidecar: Sidecar,
    out: Path,
    copies: dict[str, str],
) -> Evidence:
    inputs = _inputs(source, base, folder, sidecar, copies)
    if (done := _done(out, inputs)) is not None:
        return done
    started_at = now()
    vectors = _vectors(source, base, folder, sidecar)
    times = {"started_at": started_at, "finished_at": now()}
    return write_evidence(out, source.rows, vectors, RunFacts.model_validate(inputs | times))


def _inputs(
    source: Evidence, base: LoadedBase, folder: Path, sidecar: Sidecar, copies: dict[str, str]
) -> dict[str, Any]:
    """What the evidence was made with, and what is another now."""
    kept = source.run.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for name in ("rows_sha256", "vectors_sha256", "started_at", "finished_at", *_OF_THE_PAIR):
        kept.pop(name, None)
    files = {name: digest for name, digest in kept["files"].items() if name.startswith("av/")}
    if "probes" in kept:
        kept["probes"] = [
            _NOT_COMPARED if each["name"] == "contamination" and not each.get("skipped") else each
            for each in kept["probes"]
        ]
    return kept | {
        "tool_version": nla_release.__version__,
        "base": kept["base"] | {"local_files": copies},
        "tokenizer_sha256": base.tokenizer_sha256,
        "files": files | adapter_digests(folder, sidecar),
        "device": device_name(base.device),
        "libraries": library_versions(),
    }


def _done(folder: Path, inputs: dict[str, Any]) -> Evidence | None:
    """The evidence that is there, when it is whole and of these inputs."""
    try:
        evidence = read_evidence(folder)
    except NlaReleaseError:
        return None
    run = evidence.run.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return evidence if all(run.get(name) == value for name, value in inputs.items()) else None


def _vectors(source: Evidence, base: LoadedBase, folder: Path, sidecar: Sidecar) -> Vectors:
    columns = all_texts(source)
    texts = sorted({text for column in columns.values() for text in column if text is not None})
    read = dict(zip(texts, _read(base, folder, sidecar, texts, source), strict=True))
    nothing = np.zeros(sidecar.d_model, dtype=np.float32)
    kept = {name: source.vectors[name] for name in _FROM_THE_AV & set(source.vectors)}
    return kept | {
        name: np.stack([nothing if text is None else read[text] for text in column])
        for name, column in columns.items()
    }


def all_texts(evidence: Evidence) -> dict[str, Texts]:
    """The texts of every tensor that holds reconstructions, those of diagnostics as they ask.

    What a row keeps is taken from it; the rest follows from the rows' claims and source texts.
    """
    rows = evidence.rows
    position = {row.id: at for at, row in enumerate(rows)}
    inputs = DiagnosticInputs(
        data=_Recorded(
            ids=[row.id for row in rows],
            documents=list(evidence.documents),
            texts=[row.text for row in rows],
            paraphrases=[row.texts.get("paraphrase") for row in rows],
            claims=[row.claims or None for row in rows],
        ),
        said=[Explanation(row.explanation, row.status, row.raw) for row in rows],
        other_rows=[position[row.shuffled_from] for row in rows],
        seed=evidence.run.seed,
    )
    asked = {
        tensor: texts
        for diagnostic in registered()
        if diagnostic.name in evidence.run.probed and diagnostic.ask
        for tensor, texts in diagnostic.ask(inputs).texts.items()
        if tensor in evidence.vectors
    }
    return asked | row_texts(evidence)


@dataclass(frozen=True)
class _Recorded:
    """The data of a run, as far as its rows keep it."""

    ids: list[str]
    documents: list[str]
    texts: list[str | None]
    paraphrases: list[str | None]
    claims: list[list[str] | None]


# The training documents are another AR's, and nobody compared its own.
def _read(
    base: LoadedBase, folder: Path, sidecar: Sidecar, texts: Sequence[str], source: Evidence
) -> npt.NDArray[np.float32]:
    if sidecar.head.blocks > (blocks := block_count(base.model)):
        raise PairError(f"{folder} reads after {sidecar.head.blocks} blocks, the base has {blocks}")
    check_suffix(sidecar, base.encode)
    head = load_head(folder, sidecar)
    model = attach(base, {"ar": stack(folder, sidecar)})
    try:
        with log.progress(f"{folder} reads", len(texts), "texts") as advance:
            reader = Reconstructor(base, model, head, sidecar)
            vectors = reader.reconstruct(texts, batch_size=source.run.decoding.batch_size)
            advance(len(texts))
    finally:
        model.unload()  # the next AR goes on the same base
    read: npt.NDArray[np.float32] = vectors.numpy()
    return read
