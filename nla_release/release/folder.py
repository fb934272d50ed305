"""`release.yaml`: one pair, where its parts are, how it is measured, and under which name it goes.

Paths in it are relative to its folder. Results are next to it: `base.json`, `evidence/`,
`calibration.json`, `dist/av`, `dist/ar`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from nla_release.contract.sidecar import BaseRecord, Role, read_sidecar
from nla_release.errors import ConfigError, InputError
from nla_release.io.files import read_yaml
from nla_release.io.layout import CALIBRATION_FILE, HISTORY_FILE, RELEASE_FILE
from nla_release.io.schema import parse
from nla_release.release.config import ReleaseConfig
from nla_release.release.licences import Licence, stated_licence

ROLES: tuple[Role, Role] = ("av", "ar")


@dataclass(frozen=True)
class Release:
    """A `ReleaseConfig` in its folder."""

    folder: Path
    config: ReleaseConfig

    def adapter(self, role: Role) -> Path:
        """The trained adapter's folder."""
        return self.folder / (self.config.av if role == "av" else self.config.ar)

    def check_base(self, role: Role, base: BaseRecord) -> None:
        """Compare the base that an adapter was trained on with the one named here.

        Raises:
            ConfigError: they are not the same model at the same revision.
        """
        config = self.config
        if (base.id, base.revision) != (config.base_model, config.base_revision):
            raise ConfigError(
                f"release.yaml names base {config.base_model} at {config.base_revision}, the"
                f" {role.upper()} was trained on {base.id} at {base.revision}",
                hint=f"write base_model: {base.id} and base_revision: {base.revision}, or name the"
                " adapter that was trained on the other",
            )

    def repo_id(self, role: Role, version: str) -> str:
        """The Hub repository of one role at one version, such as `ns/name-av-v0_0_1`."""
        return self.config.repo.format(
            namespace=self.config.namespace,
            name=self.config.name,
            role=role,
            version=in_names(version),
        )

    @property
    def licence(self) -> Licence:
        """The licence of both repositories.

        Raises:
            InputError: `license_link` names a file that cannot be read.
        """
        config = self.config
        return stated_licence(config.license, config.license_name, config.license_link, self.folder)

    @property
    def base_path(self) -> Path | None:
        """The local copy of the base, when there is one."""
        return self.folder / self.config.base_path if self.config.base_path else None

    @property
    def evaluation_data(self) -> Path:
        """The held-out activations."""
        return self.folder / self.config.evaluation.data

    @property
    def reference(self) -> Path:
        """The training activations' mean direction."""
        return self.folder / self.config.evaluation.reference

    @property
    def training_documents(self) -> list[Path]:
        """The lists of documents that the pair was trained on."""
        others = (".safetensors", ".parquet")
        return [path for path in self._training if path.suffix not in others]

    @property
    def training_shingles(self) -> list[Path]:
        """The samples of word sequences that the pair was trained on."""
        return [path for path in self._training if path.suffix == ".safetensors"]

    @property
    def training_rows(self) -> list[Path]:
        """The labelled activations that the pair was trained on."""
        return [path for path in self._training if path.suffix == ".parquet"]

    @property
    def _training(self) -> list[Path]:
        return [self.folder / path for path in self.config.evaluation.training]

    @property
    def previous(self) -> Path | None:
        """Where the evidence of the release before is, when one is named."""
        return self.folder / self.config.previous if self.config.previous else None

    @property
    def compared_with(self) -> list[Path]:
        """Where other releases are, to set beside this one."""
        return [self.folder / path for path in self.config.compared_with]

    @property
    def notes(self) -> Path | None:
        """The folder of hand-written notes for the cards."""
        return self.folder / self.config.notes if self.config.notes else None

    @property
    def evidence(self) -> Path:
        """Where `roundtrip` leaves its evidence."""
        return self.folder / "evidence"

    @property
    def calibration(self) -> Path:
        """Where `calibrate` leaves its numbers."""
        return self.folder / CALIBRATION_FILE

    @property
    def history(self) -> Path:
        """The append-only log as last published."""
        return self.folder / HISTORY_FILE

    @property
    def fragments(self) -> Path:
        """The folder of what is to be appended to the log."""
        return self.folder / "history"

    def addenda(self, version: str) -> Path:
        """The folder of what was added to a version after it was published."""
        return self.folder / "addenda" / tag(version)

    @property
    def dist(self) -> Path:
        """Where `render` leaves both repositories, one folder per role."""
        return self.folder / "dist"


def read_release(folder: Path) -> Release:
    """The release described in `folder`.

    Raises:
        ConfigError: there is no release.yaml, or it is wrong; every wrong key is named.
    """
    path = folder / RELEASE_FILE
    try:
        document = read_yaml(path)
    except InputError as error:
        hint = "correct it as in docs/reference/release-yaml.md; `nla-release init` writes one"
        if not path.exists():
            hint = f"run the command where {RELEASE_FILE} is"
        raise ConfigError(error.message, hint=hint) from error
    try:
        return Release(folder, parse(ReleaseConfig, document, path, error=ConfigError))
    except ConfigError as error:
        raise ConfigError(error.message, hint=_recorded(folder, document)) from error


def _recorded(folder: Path, document: dict[str, Any]) -> str | None:
    """What the AV's sidecar says of the base, where release.yaml says something else."""
    for place in (document.get("av"), "pair/av"):
        if not isinstance(place, str):
            continue
        try:
            base = read_sidecar(folder / place).nla_release.base
        except InputError:
            continue
        known = {"base_model": base.id, "base_revision": base.revision}
        differing = [
            f"{key}: {value}" for key, value in known.items() if document.get(key) != value
        ]
        return f"by the AV's sidecar: {', '.join(differing)}" if differing else None
    return None


def check_version(version: str) -> str:
    """The version as written, when it is its own normal form.

    Raises:
        ConfigError: not a PEP 440 version, or not in normal form (`1.0` and not `v1.0` or `1.00`).
    """
    try:
        normal = str(Version(version))
    except InvalidVersion as error:
        raise ConfigError(
            f"version {version!r} is not a version", hint="write it like 0.0.1"
        ) from error
    if normal != version:
        raise ConfigError(
            f"version {version!r} must be written {normal!r}",
            hint=f"give it as {normal}; tags and repository names get their prefixes from the tool",
        )
    return version


def in_names(version: str) -> str:
    """A version as the names of repositories hold it."""
    return version.replace(".", "_").replace("+", "_")


def tag(version: str) -> str:
    """The git tag of a version."""
    return f"v{version}"
