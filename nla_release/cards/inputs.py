"""Read and check what a release is rendered from: the pair, its evidence and its calibration."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import NonNegativeFloat

from nla_release.adapter.config import AdapterConfig
from nla_release.adapter.training_log import Step, read_log
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.calibration.measured_settings import check_measured_settings
from nla_release.calibration.report import Calibration, CurrentCalibration
from nla_release.contract.sidecar import Role, Sidecar, adapter_digests, disagreements, read_sidecar
from nla_release.errors import EvidenceError, InputError, PairError
from nla_release.evidence.parts import Evidence
from nla_release.io.files import read_json, refuse_links, sha256_file
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    BASE_FILE,
    HEAD_FILE,
    SIDECAR_FILE,
    STACK_FOLDER,
    TRAINING_LOG_FILE,
)
from nla_release.io.schema import parse
from nla_release.release.folder import ROLES, Release

# What render reads of an adapter's folder, besides the adapters that it is stacked on.
_READ = (SIDECAR_FILE, ADAPTER_FILE, ADAPTER_CONFIG_FILE, HEAD_FILE, TRAINING_LOG_FILE)


class PeftConfig(AdapterConfig):
    """What a card says of `adapter_config.json`."""

    lora_dropout: NonNegativeFloat | None = None
    target_modules: str | list[str]


@dataclass(frozen=True, eq=False)
class TrainedAdapter:
    """One trained adapter: its folder, sidecar, PEFT configuration and loss log.

    `config` is `adapter_config.json` as it lies there, `peft` the part that a card speaks of. `log`
    is None for an adapter that came without one, as somebody else's does.
    """

    folder: Path
    sidecar: Sidecar
    config: dict[str, Any]
    peft: PeftConfig
    log: list[Step] | None
    sha256: str


@dataclass(frozen=True, eq=False)
class Inputs:
    """A whole release as it lies on disk before rendering."""

    release: Release
    adapters: dict[Role, TrainedAdapter]
    evidence: Evidence
    calibration: CurrentCalibration


def read_inputs(release: Release) -> Inputs:
    """Everything a release is rendered from.

    Raises:
        InputError: a file is missing or damaged.
        PairError: AV and AR are not one pair.
        ConfigError: release.yaml names another base than the pair was trained on, or another
            evaluation than the evidence is of.
        EvidenceError: the evidence was measured on other weights or another base, or the
            calibration is not what the evidence gives.
    """
    _refuse_links(release)
    adapters = {role: read_adapter(release.adapter(role), role) for role in ROLES}
    _check_pair(release, adapters)
    evidence = read_evidence(release.evidence)
    _check_measured(release, adapters, evidence)
    check_measured_settings(release, evidence)
    calibration = _computed(release, evidence)
    return Inputs(release, adapters, evidence, calibration)


def _refuse_links(release: Release) -> None:
    """Refuse every link among what a release is rendered from: its target would be published."""
    refuse_links(
        *(release.adapter(role) / name for role in ROLES for name in _READ),
        *(release.adapter(role) / STACK_FOLDER for role in ROLES),
        *(release.folder / name for name in (BASE_FILE, "addenda")),
        *filter(None, (release.notes,)),
        release.evidence,
        release.calibration,
        release.history,
        release.fragments,
    )


def read_adapter(folder: Path, role: Role) -> TrainedAdapter:
    """One adapter, as it was trained or as it is in a rendered repository.

    Raises:
        InputError: a file is missing or damaged.
    """
    config = read_json(folder / ADAPTER_CONFIG_FILE)
    peft = parse(PeftConfig, config, folder / ADAPTER_CONFIG_FILE)
    return TrainedAdapter(
        folder,
        read_sidecar(folder, role),
        config,
        peft,
        _read_log(folder),
        sha256_file(folder / ADAPTER_FILE),
    )


def _read_log(folder: Path) -> list[Step] | None:
    if not (folder / TRAINING_LOG_FILE).exists():
        return None
    if not (log := read_log(folder)):
        raise InputError(
            f"{folder / TRAINING_LOG_FILE} has no steps",
            hint=f"train again, or remove {TRAINING_LOG_FILE}; the card then says there is none",
        )
    return log


def _check_pair(release: Release, adapters: dict[Role, TrainedAdapter]) -> None:
    av, ar = (adapters[role].sidecar for role in ROLES)
    if differences := disagreements(av, ar):
        raise PairError(f"AV and AR are not one pair: {'; '.join(differences)}")
    release.check_base("av", av.nla_release.base)


def _check_measured(
    release: Release, adapters: dict[Role, TrainedAdapter], evidence: Evidence
) -> None:
    run, again = evidence.run, "measure this pair with `nla-release roundtrip`"
    found: dict[str, str] = {}
    for adapter in adapters.values():
        found |= adapter_digests(adapter.folder, adapter.sidecar)
    names = sorted(found.keys() | run.files.keys())
    if changed := [name for name in names if found.get(name) != run.files.get(name)]:
        raise EvidenceError(
            f"{release.evidence}: the evidence belongs to other weights: {', '.join(changed)}"
            " changed since the measurement",
            hint=again,
        )
    config = release.config
    if (run.base.id, run.base.revision) != (config.base_model, config.base_revision):
        raise EvidenceError(
            f"{release.evidence}: measured on base {run.base.id} at {run.base.revision},"
            f" release.yaml names {config.base_model} at {config.base_revision}",
            hint=again,
        )


def _computed(release: Release, evidence: Evidence) -> CurrentCalibration:
    calibration = Calibration.read(release.calibration)
    if isinstance(calibration, CurrentCalibration) and calibration == calibrate(evidence):
        return calibration
    raise EvidenceError(
        f"{release.calibration} does not match {release.evidence}: it was edited, or computed"
        " from other evidence or by another version",
        hint="compute it again with `nla-release calibrate`",
    )
