"""The round trip: held-out activations through AV and AR, with controls, kept as evidence.

Controls take the meaning out of one side and leave the rest as it is. For the AR: another row's
explanation, the empty explanation, and the labelled explanation where the data has one. For the
AV: a random direction and the zero vector, whose texts then go through the same AR.

The AR is a function of its text, so each distinct text is read once, whatever it is used for.
"""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

import nla_release
from nla_release.calibration.evidence import Evidence, read_evidence, write_evidence
from nla_release.calibration.records import Row, RunFacts, Verbalization
from nla_release.engine.activations import (
    Activations,
    Reference,
    read_activations,
    read_reference,
)
from nla_release.engine.checkpoint import Checkpoint
from nla_release.engine.pair import Pair
from nla_release.errors import ConfigError, NlaReleaseError
from nla_release.explanation import Explanation
from nla_release.files import sha256_file
from nla_release.progress import progress
from nla_release.release import ROLES, Release
from nla_release.sidecar import HEAD_FILE_NAME, contract_digest, read_sidecar
from nla_release.weights import ADAPTER_FILE_NAME, CONFIG_FILE_NAME

PARTIAL_FOLDER_NAME = "evidence.partial"


@dataclass(frozen=True)
class Said:
    """What the AV said: for each activation `[N]`, for N random directions, for the zero vector."""

    real: list[Explanation]
    random: list[Explanation]
    zero: Explanation


def roundtrip(release: Release, *, device: str | None = None, fresh: bool = False) -> Evidence:
    """Measure the pair of a release and write its `evidence/`.

    An interrupted run continues. Evidence that is there already, of the same inputs, is given back
    as it is.

    Args:
        release: what to measure and how.
        device: torch device; CUDA when there is one, by default.
        fresh: measure from the beginning, whatever is there.

    Raises:
        InputError: the pair or the data cannot be used.
        PairError: the pair's parts do not belong together.
        ConfigError: release.yaml names another base than the pair was trained on.
        NothingCheckedError: there are no held-out activations.
    """
    settings = release.config.evaluation
    sidecar = read_sidecar(release.adapter("av"), "av")
    for role in ROLES:
        release.check_base(role, read_sidecar(release.adapter(role), role).nla_release.base)
    data = read_activations(release.evaluation_data, sidecar.d_model, limit=settings.rows)
    reference = read_reference(release.reference, sidecar.d_model)
    pair = Pair.from_pretrained(
        release.adapter("av"),
        release.adapter("ar"),
        base=release.base_path,
        quantization=settings.quantization,
        device=device,
        dtype=settings.dtype,
    )
    _check_revision(release, pair)
    guard = _guard(release, pair, data, reference)
    partial = release.folder / PARTIAL_FOLDER_NAME
    if not fresh and not partial.exists() and (done := _measured(release, guard)) is not None:
        return done
    work = Checkpoint(partial, guard, fresh=fresh)
    started_at = work.document("started", _now)
    said = _verbalize(work, pair, data, settings.max_new_tokens, settings.batch_size, settings.seed)
    source = other_rows(data.documents, settings.seed)
    read = _read_texts(work, pair, _texts(said, data), settings.batch_size)
    evidence = write_evidence(
        release.evidence,
        _rows(data, said, source),
        _vectors(data, reference, said, source, read),
        RunFacts.model_validate(
            guard
            | {
                "schema": 1,
                "started_at": started_at,
                "finished_at": _now(),
                "zero_vector": _spoken(said.zero).model_dump(),
            }
        ),
    )
    work.drop()
    return evidence


def other_rows(documents: Sequence[str], seed: int) -> list[int]:
    """For each row, the row whose explanation stands in for its own: one of another document.

    Rows are laid out document by document, in a random order, and shifted by the largest
    document's size. Where one document holds more than half of all rows, some would still meet
    their own; those get any row of another. A single document can only offer its other rows.
    """
    generator = np.random.default_rng(seed)
    names, labels, counts = np.unique(documents, return_inverse=True, return_counts=True)
    rank = generator.permutation(len(names))[labels]
    order = np.lexsort((generator.random(len(documents)), rank))
    shift = int(counts.max()) if len(names) > 1 else 1
    source = np.empty(len(documents), dtype=int)
    source[order] = np.roll(order, -shift)
    if len(names) > 1:
        for row in np.flatnonzero(labels[source] == labels):
            source[row] = generator.choice(np.flatnonzero(labels != labels[row]))
    return [int(row) for row in source]


def _guard(release: Release, pair: Pair, data: Activations, reference: Reference) -> dict[str, Any]:
    settings = release.config.evaluation
    av, ar = release.adapter("av"), release.adapter("ar")
    return {
        "tool_version": nla_release.__version__,
        "base": {
            "id": release.config.base_model,
            "revision": release.config.base_revision,
            "local_files": _base_files(release.base_path),
        },
        "tokenizer_sha256": pair.base.tokenizer_sha256,
        "files": {
            f"{role}/{name}": sha256_file(folder / name)
            for role, folder, names in (
                ("av", av, (ADAPTER_FILE_NAME, CONFIG_FILE_NAME)),
                ("ar", ar, (ADAPTER_FILE_NAME, CONFIG_FILE_NAME, HEAD_FILE_NAME)),
            )
            for name in names
        }
        | {
            "av/nla_meta.yaml": contract_digest(pair.av),
            "ar/nla_meta.yaml": contract_digest(pair.ar),
        },
        "evaluation": {
            "sha256": data.sha256,
            "rows": len(data),
            "documents": len(set(data.documents)),
        },
        "reference": {
            "sha256": reference.sha256,
            "rows": reference.rows,
            "variance": reference.variance,
        },
        "precision": {"quantization": settings.quantization, "dtype": settings.dtype},
        "injection": {"site": "embedding", "op": "replace", "scale": pair.av.injection.scale},
        "decoding": {
            "greedy": True,
            "max_new_tokens": settings.max_new_tokens,
            "batch_size": settings.batch_size,
        },
        "seed": settings.seed,
        "device": _device_name(pair.base.device),
        "libraries": {
            name: version(name) for name in ("torch", "transformers", "peft", "bitsandbytes")
        },
    }


def _base_files(folder: Path | None) -> dict[str, str]:
    """Hashes of a local base's configuration and weights."""
    if folder is None:
        return {}
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    return {path.name: sha256_file(path) for path in files}


def _measured(release: Release, guard: dict[str, Any]) -> Evidence | None:
    """The evidence that is there, when it is whole and of these inputs."""
    try:
        evidence = read_evidence(release.evidence)
    except NlaReleaseError:
        return None
    run = evidence.run.model_dump(mode="json", by_alias=True)
    return evidence if all(run[name] == value for name, value in guard.items()) else None


def _check_revision(release: Release, pair: Pair) -> None:
    loaded, named = pair.base.revision, release.config.base_revision
    if release.base_path is None and loaded != named:
        raise ConfigError(
            f"release.yaml names base_revision {named}, the Hub gives commit {loaded} for it",
            hint="write the commit into release.yaml, and into both sidecars",
        )


def _verbalize(
    work: Checkpoint, pair: Pair, data: Activations, max_new_tokens: int, batch: int, seed: int
) -> Said:
    vectors = torch.from_numpy(data.vectors)
    noise = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed))

    def say(piece: torch.Tensor) -> list[dict[str, str]]:
        said = pair.verbalize(piece, max_new_tokens=max_new_tokens, batch_size=batch)
        return [asdict(item) for item in said]

    def speak(name: str, values: torch.Tensor, done: int) -> list[Explanation]:
        said = []
        for at in range(0, len(values), batch):
            said += work.document(f"av-{name}-{at:06d}", partial(say, values[at : at + batch]))
            advance(done + len(said))
        return [Explanation(**item) for item in said]

    with progress("AV explains", 2 * len(data) + 1, "vectors") as advance:
        real = speak("real", vectors, 0)
        random = speak("random", noise, len(real))
        (zero,) = speak("zero", torch.zeros(1, vectors.shape[1]), len(real) + len(random))
    return Said(real, random, zero)


def _read_texts(
    work: Checkpoint, pair: Pair, texts: Sequence[str], batch: int
) -> dict[str, npt.NDArray[np.float32]]:
    read = []
    with progress("AR reconstructs", len(texts), "texts") as advance:
        for at in range(0, len(texts), batch):
            piece = texts[at : at + batch]
            compute = partial(pair.reconstruct, piece, batch_size=batch)
            read.append(work.tensor(f"ar-{at:06d}", compute))
            advance(at + len(piece))
    return dict(zip(texts, torch.cat(read).numpy(), strict=True))


def _texts(said: Said, data: Activations) -> list[str]:
    spoken = [item.text for item in (*said.real, *said.random, said.zero)]
    gold = [text for text in data.explanations if text is not None]
    return sorted({"", *spoken, *gold})


def _rows(data: Activations, said: Said, source: Sequence[int]) -> list[Row]:
    return [
        Row(
            id=data.ids[index],
            document=data.documents[index],
            text=data.texts[index],
            explanation=real.text,
            status=real.status,
            raw=real.raw,
            gold=data.explanations[index],
            shuffled_from=data.ids[source[index]],
            shuffled_status=said.real[source[index]].status,
            random_vector=_spoken(said.random[index]),
        )
        for index, real in enumerate(said.real)
    ]


def _vectors(
    data: Activations,
    reference: Reference,
    said: Said,
    source: Sequence[int],
    read: dict[str, npt.NDArray[np.float32]],
) -> dict[str, npt.NDArray[np.float32]]:
    def of(explanations: Iterable[Explanation]) -> npt.NDArray[np.float32]:
        nothing = np.zeros_like(reference.mean)
        return np.stack([read[it.text] if it.status == "ok" else nothing for it in explanations])

    vectors = {
        "gold": data.vectors,
        "reference_mean": reference.mean,
        "real": of(said.real),
        "shuffled": of(said.real[row] for row in source),
        "random_vector": of(said.random),
        "zero_vector": of(said.zero for _ in said.real),
        "empty": np.stack([read[""] for _ in said.real]),
    }
    labels = [text for text in data.explanations if text is not None]
    if len(labels) == len(data):
        vectors["gold_text"] = np.stack([read[text] for text in labels])
    return vectors


def _spoken(explanation: Explanation) -> Verbalization:
    return Verbalization(
        explanation=explanation.text, status=explanation.status, raw=explanation.raw
    )


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device} ({platform.machine()})"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
