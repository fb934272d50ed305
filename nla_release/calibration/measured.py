"""Reading a measured release to compare: its evidence, and its sidecars where present."""

from dataclasses import dataclass, field
from pathlib import Path

from nla_release.calibration.evidence_folder import read_evidence
from nla_release.contract.sidecar import Sidecar, contract_digest, read_sidecar
from nla_release.contract.training_chain import training_chain
from nla_release.errors import EvidenceError, NothingCheckedError
from nla_release.evidence.parts import Evidence
from nla_release.evidence.settings import Settings, run_settings
from nla_release.io.files import sha256_file
from nla_release.io.layout import (
    CALIBRATION_FILE,
    MANIFEST_FILE,
    RELEASE_FILE,
    RUN_FILE,
    SIDECAR_FILE,
)
from nla_release.release.folder import ROLES, read_release

# The files that a comparison downloads from a repository, as patterns.
PUBLISHED_FILES = ("evidence/*", CALIBRATION_FILE, MANIFEST_FILE, SIDECAR_FILE)

# Results of the training, not settings.
_OUTCOMES = frozenset({"seconds", "first_loss", "final_loss"})


@dataclass(frozen=True)
class Measured:
    """A release to compare: its name, its evidence, and settings from its sidecars.

    `facts` are the layer, which older evidence does not record, and the settings of the training.
    """

    name: str
    evidence: Evidence
    facts: Settings = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings that can change the numbers, by name."""
        return run_settings(self.evidence.run) | self.facts


def read_measured(folder: Path, name: str) -> Measured:
    """Read the release in a folder: that of release.yaml, dist/, one repository, or evidence/.

    Raises:
        NothingCheckedError: there is no evidence.
        InputError: the evidence or a sidecar is damaged, or they do not belong together.
        ConfigError: release.yaml is wrong.
    """
    place, adapters = _parts(folder)
    if not place.is_dir():
        raise NothingCheckedError(
            f"{folder} holds no evidence",
            hint="give the folder of release.yaml, a rendered repository, or evidence/; it is made"
            " by `nla-release roundtrip`",
        )
    evidence = read_evidence(place)
    facts: Settings = {}
    for adapter in adapters:
        if (adapter / SIDECAR_FILE).exists():
            sidecar = read_sidecar(adapter)
            _check_measured_on(evidence, adapter, sidecar)
            facts |= sidecar_facts(sidecar)
    return Measured(name, evidence, facts)


def evidence_of(folder: Path) -> Path:
    """The evidence folder of a release in such a folder, which need not exist.

    Raises:
        ConfigError: release.yaml is wrong.
    """
    return _parts(folder)[0]


def _check_measured_on(evidence: Evidence, adapter: Path, sidecar: Sidecar) -> None:
    """Check that the files next to the evidence are those that were measured."""
    for key, recorded in evidence.run.files.items():
        role, _, name = key.partition("/")
        path = adapter / name
        if role != sidecar.role or not path.exists():
            continue
        found = contract_digest(sidecar) if name == SIDECAR_FILE else sha256_file(path)
        if found != recorded:
            raise EvidenceError(
                f"{path} is {found[:8]}..., the evidence next to it was measured on"
                f" {recorded[:8]}...",
                hint="measure it again with `nla-release roundtrip`, or give evidence/ alone",
            )


def _parts(folder: Path) -> tuple[Path, list[Path]]:
    """The evidence folder, which need not exist, and the folders of the adapters."""
    if (folder / RELEASE_FILE).exists():
        release = read_release(folder)
        return release.evidence, [release.adapter(role) for role in ROLES]
    if (folder / RUN_FILE).exists():
        return folder, []
    if not (folder / "evidence").exists() and (folder / ROLES[0] / "evidence").exists():
        return folder / ROLES[0] / "evidence", [folder / role for role in ROLES]
    return folder / "evidence", [folder]


def sidecar_facts(sidecar: Sidecar) -> Settings:
    """The layer and the training settings of an adapter."""
    training, role = sidecar.nla_release.training, sidecar.role.upper()
    chain = training_chain(training)
    several = len(chain.runs) > 1
    facts = {"layer": str(sidecar.extraction_layer_index)}
    for key, value in sorted(training.items()):
        if isinstance(value, str | int | float) and key not in _OUTCOMES:
            shown = chain.steps_in_words if key == "steps" and several else str(value)
            facts[f"{role} training: {key.replace('_', ' ')}"] = shown
    if training:
        earlier = chain.runs[-1].continued_from or "not recorded"
        facts[f"{role} training: continued from"] = earlier if several else "nothing"
    return facts
