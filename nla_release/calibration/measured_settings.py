"""Whether the evidence was measured with the settings in `release.yaml`.

Otherwise a setting that was changed after `roundtrip` would be published as if it had been measured
with. Evidence may hold more than release.yaml names, such as a diagnostic added with `--probe`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nla_release.contract.sidecar import read_sidecar
from nla_release.errors import ConfigError
from nla_release.evidence.parts import Evidence
from nla_release.evidence.reference import read_reference
from nla_release.evidence.training_documents import lists_digest, merged_shingles
from nla_release.io.files import files_digest, sha256_file
from nla_release.release.config import chosen_probes
from nla_release.release.folder import Release

ROUNDTRIP, CALIBRATE = "nla-release roundtrip", "nla-release calibrate"


@dataclass(frozen=True)
class SettingMismatch:
    """One difference as a sentence, and the command that resolves it."""

    message: str
    command: str


def setting_mismatches(release: Release, evidence: Evidence) -> list[SettingMismatch]:
    """The settings that differ between release.yaml and the evidence.

    Raises:
        InputError: a file that release.yaml names cannot be read, or the AV's sidecar.
    """
    # Another check reports evidence that was measured on another base.
    base = read_sidecar(release.adapter("av"), "av").nla_release.base
    of_the_pair = (evidence.run.base.id, evidence.run.base.revision) == (base.id, base.revision)
    measured = [*(_base(release, evidence) if of_the_pair else ()), *_measured(release, evidence)]
    found = [SettingMismatch(message, ROUNDTRIP) for message in measured]
    # The attempts are declared by the author and need no measurement.
    asked, run = release.config.evaluation.attempts, evidence.run
    if asked is not None and asked != run.attempts:
        message = (
            f"evaluation.attempts is {asked} in release.yaml, the evidence records"
            f" {_shown(run.attempts)}"
        )
        found.append(SettingMismatch(message, CALIBRATE if run.schema_ > 1 else ROUNDTRIP))
    return found


def check_measured_settings(release: Release, evidence: Evidence) -> None:
    """Refuse evidence that was measured with other settings than those in release.yaml.

    Raises:
        ConfigError: names the first difference, and the command to run.
        InputError: a file that release.yaml names cannot be read.
    """
    if not (found := setting_mismatches(release, evidence)):
        return
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    again = "measure again with" if found[0].command == ROUNDTRIP else "record it with"
    raise ConfigError(
        f"{release.evidence}: {found[0].message}{more}",
        hint=f"{again} `{found[0].command}`, or put release.yaml back as it was",
    )


_RECORDED = "in release.yaml, the evidence was measured with"


def _base(release: Release, evidence: Evidence) -> Iterator[str]:
    config, base = release.config, evidence.run.base
    for name, wanted, found in (
        ("base_model", config.base_model, base.id),
        ("base_revision", config.base_revision, base.revision),
    ):
        if wanted != found:
            yield f"{name} is {wanted} {_RECORDED} {found}"


def _measured(release: Release, evidence: Evidence) -> Iterator[str]:
    """Differences that only a new measurement resolves."""
    asked, run = release.config.evaluation, evidence.run
    for name, wanted, found in (
        ("evaluation.max_new_tokens", asked.max_new_tokens, run.decoding.max_new_tokens),
        ("evaluation.batch_size", asked.batch_size, run.decoding.batch_size),
        ("evaluation.quantization", asked.quantization, run.precision.quantization),
        ("evaluation.dtype", asked.dtype, run.precision.dtype),
        ("evaluation.seed", asked.seed, run.seed),
    ):
        if wanted != found:
            yield f"{name} is {_shown(wanted)} {_RECORDED} {_shown(found)}"
    yield from _data(release, evidence)
    probes = {record.name: record for record in run.probes}
    if lacking := [name for name in chosen_probes(asked.probes) if name not in probes]:
        yield f"evaluation.probes names {', '.join(lacking)}, which the evidence does not have"
    if asked.encoder and (record := probes.get("text-retrieval")):
        used = record.settings.get("encoder")
        if record.skipped or used != asked.encoder:
            yield f"evaluation.encoder is {asked.encoder} {_RECORDED} {_shown(used)}"
    for paths, digest, recorded, problem in (
        (
            release.training_documents,
            lists_digest,
            run.training and run.training.sha256,
            "lists that the evidence was not compared with",
        ),
        (
            release.training_shingles,
            _sample_digest,
            run.shingles_sha256,
            "word sequences that the evidence was not compared with",
        ),
        (
            release.training_rows,
            files_digest,
            run.lookup and run.lookup.sha256,
            "labelled rows that no lookup table was made of",
        ),
    ):
        known = recorded and not all(path.is_file() for path in paths)
        if paths and not known and (recorded is None or digest(paths) != recorded):
            yield f"evaluation.training names {problem}"
    yield from _reference(release, evidence)


def _sample_digest(paths: list[Path]) -> str | None:
    merged = merged_shingles(paths)
    return merged.sha256 if merged else None


def _data(release: Release, evidence: Evidence) -> Iterator[str]:
    """The held-out activations: the hash of their file, where it exists, and the number of rows."""
    asked, run = release.config.evaluation, evidence.run
    path = release.evaluation_data
    if path.is_file() and sha256_file(path) != run.evaluation.sha256:
        yield f"evaluation.data, {asked.data}, is not the file that was measured"
    elif (rows := asked.rows) is not None or run.evaluation.available is not None:
        limits = [count for count in (rows, run.evaluation.available) if count is not None]
        expected = min(limits)
        known = run.evaluation.available is not None
        if expected < len(evidence.rows) or (known and expected != len(evidence.rows)):
            yield (
                f"evaluation.rows is {'not given' if rows is None else rows} in release.yaml, which"
                f" asks for {expected} rows; the evidence has {len(evidence.rows)}"
            )


def _reference(release: Release, evidence: Evidence) -> Iterator[str]:
    """The reference mean, where its file exists."""
    if not release.reference.is_file():
        return
    mean = evidence.vectors["reference_mean"]
    found, measured = read_reference(release.reference, len(mean)), evidence.run.reference
    if (found.rows, found.sha256) != (measured.rows, measured.sha256) or not np.array_equal(
        found.mean, mean
    ):
        named = release.config.evaluation.reference
        yield f"evaluation.reference, {named}, is not the file that was measured with"


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
