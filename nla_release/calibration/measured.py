"""A release that was measured: its evidence, and what else lies beside it that tells how."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nla_release.calibration.evidence import RUN_NAME, Evidence, read_evidence
from nla_release.calibration.settings import Settings, run_settings
from nla_release.errors import NothingCheckedError
from nla_release.release import FILE_NAME as RELEASE_FILE_NAME
from nla_release.release import ROLES, read_release
from nla_release.sidecar import FILE_NAME as SIDECAR_FILE_NAME
from nla_release.sidecar import Sidecar, read_sidecar

# What a comparison takes from a repository, as patterns for a download.
PUBLISHED_FILES = ("evidence/*", "calibration.json", "release.json", SIDECAR_FILE_NAME)

# Consequences of the training, and no settings of it.
_OUTCOMES = frozenset({"seconds", "first_loss", "final_loss"})


@dataclass(frozen=True)
class Measured:
    """A release to compare: how the reader knows it, its evidence, and what else is known of it.

    `facts` are settings that evidence does not record: the layer, and how the pair was trained.
    """

    name: str
    evidence: Evidence
    facts: Settings = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """All that can change the numbers, by name."""
        return run_settings(self.evidence.run) | self.facts


def read_measured(folder: Path, name: str) -> Measured:
    """The release in a folder: of release.yaml, a rendered dist/, one repository, or evidence/.

    Raises:
        NothingCheckedError: there is no evidence.
        InputError: the evidence or a sidecar is damaged.
        ConfigError: release.yaml is wrong.
    """
    evidence, adapters = _parts(folder)
    if not evidence.is_dir():
        raise NothingCheckedError(
            f"{folder} holds no evidence",
            hint="give the folder of release.yaml, a rendered repository, or evidence/; it is made"
            " by `nla-release roundtrip`",
        )
    facts: Settings = {}
    for adapter in adapters:
        if (adapter / SIDECAR_FILE_NAME).exists():
            facts |= sidecar_facts(read_sidecar(adapter))
    return Measured(name, read_evidence(evidence), facts)


def _parts(folder: Path) -> tuple[Path, list[Path]]:
    """Where the evidence is, or would be, and the adapters' folders beside it."""
    if (folder / RELEASE_FILE_NAME).exists():
        release = read_release(folder)
        return release.evidence, [release.adapter(role) for role in ROLES]
    if (folder / RUN_NAME).exists():
        return folder, []
    if not (folder / "evidence").exists() and (folder / ROLES[0] / "evidence").exists():
        return folder / ROLES[0] / "evidence", [folder / role for role in ROLES]
    return folder / "evidence", [folder]


def sidecar_facts(sidecar: Sidecar) -> Settings:
    """The layer, and how the adapter was trained."""
    training = dict(_trained(sidecar))
    return {"layer": str(sidecar.extraction_layer_index)} | training


def _trained(sidecar: Sidecar) -> Iterator[tuple[str, str]]:
    for key, value in sorted(sidecar.nla_release.training.items()):
        if isinstance(value, str | int | float) and key not in _OUTCOMES:
            yield f"{sidecar.role.upper()} training: {key.replace('_', ' ')}", str(value)
