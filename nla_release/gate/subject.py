"""What is checked: a release's folder, both rendered repositories, or a single adapter's folder."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from nla_release.base_model.facts import BaseFacts, read_base_facts
from nla_release.base_model.measure import measure_base
from nla_release.base_model.source import INDEX, WEIGHTS
from nla_release.calibration.calibrate import Format, calibrate, format_of
from nla_release.calibration.evidence_folder import has_evidence, read_evidence
from nla_release.calibration.remeasured import Remeasured
from nla_release.calibration.report import CURRENT, Calibration
from nla_release.contract.sidecar import Role, read_sidecar
from nla_release.errors import ConfigError, NothingCheckedError
from nla_release.evidence.parts import NAMES, Evidence
from nla_release.evidence.runs import read_runs
from nla_release.gate.adapter_folder import AdapterFolder, read_file, reading, regular_file
from nla_release.gate.findings import UnreadableError, read_once
from nla_release.history.log import HistoryEntry
from nla_release.hub_client.remote_state import RemoteCommit, RemoteState
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    BASE_FILE,
    CALIBRATION_FILE,
    CARD_FILE,
    HEAD_FILE,
    MANIFEST_FILE,
    RELEASE_FILE,
    RUNS_FILE,
    SIDECAR_FILE,
)
from nla_release.release.config import Gates
from nla_release.release.folder import ROLES, Release, read_release
from nla_release.release.manifest import Manifest, read_id
from nla_release.release.signature import Publisher

if TYPE_CHECKING:
    from nla_release.cards.documents import Sources


@dataclass(frozen=True)
class RemoteHistory:
    """HISTORY.md on main, which may have more entries than that of a tag.

    `problem` says what is wrong with it, as the end of a sentence.
    """

    entries: tuple[HistoryEntry, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Tagged:
    """A repository at a commit.

    `earlier` are the commits before it, newest first. `manifest` is None without a valid
    release.json. `alterations` say how a git checkout would differ from the Hub's bytes.
    `released` are the bytes of release.json, `signature` those of its signature; None where they
    cannot be read.
    """

    repo: str
    commit: RemoteCommit
    earlier: tuple[RemoteCommit, ...]
    state: RemoteState
    manifest: Manifest | None
    alterations: tuple[str, ...]
    log: RemoteHistory
    released: bytes | None = None
    signature: bytes | None = None

    @property
    def release_id(self) -> str | None:
        """The release id in the commit's description."""
        return read_id(self.commit.description)

    @property
    def adapter_sha256(self) -> str | None:
        """The sha256 of the weights, from the Hub."""
        weights = self.state.files.get(ADAPTER_FILE)
        return weights.sha256 if weights else None


@dataclass(frozen=True)
class Published:
    """A downloaded repository, and its partner on the Hub.

    `partner` is None when the partner that release.json names cannot be read. `expected` is the
    release id given with --expect, and `publisher` whose signature is required.
    """

    adapter: AdapterFolder
    here: Tagged
    partner: Tagged | None
    expected: str | None
    publisher: Publisher | None = None


_MARKS_AN_ADAPTER = (SIDECAR_FILE, ADAPTER_FILE, ADAPTER_CONFIG_FILE, MANIFEST_FILE)
_MARKS_A_REPOSITORY = (MANIFEST_FILE, CARD_FILE, CALIBRATION_FILE)


# A folder of evidence, and what measuring some of its rows again found.
Remeasurement = tuple[Path, Remeasured]


@dataclass(frozen=True)
class _ByHashes:
    """Evidence, equal to other evidence when its files are equal."""

    hashes: tuple[str | None, ...]
    evidence: Evidence = field(compare=False)


@lru_cache(maxsize=3)
def _calibrated(same: _ByHashes, format_: Format) -> Calibration:
    """The numbers of evidence, computed once for a release and both of its repositories."""
    return calibrate(same.evidence, format_)


@dataclass(frozen=True)
class MeasurementFolder:
    """Evidence and calibration in one folder, and the adapters that were measured."""

    folder: Path
    adapters: tuple[AdapterFolder, ...]
    gates: Gates
    rendered: bool

    @property
    def evidence_folder(self) -> Path:
        """The folder of the evidence."""
        return self.folder / "evidence"

    @property
    def calibration_path(self) -> Path:
        """The path of calibration.json."""
        return self.folder / CALIBRATION_FILE

    @read_once
    def evidence(self) -> Evidence:
        """The evidence, complete and valid."""
        for name in NAMES:
            regular_file(self.evidence_folder / name, "NLA601")
        with reading(self.evidence_folder / RUNS_FILE, "NLA621"):
            read_runs(self.evidence_folder)
        with reading(self.evidence_folder, "NLA601"):
            return read_evidence(self.evidence_folder)

    @read_once
    def calibration(self) -> Calibration:
        """The numbers of calibration.json."""
        return read_file(self.calibration_path, "NLA602", Calibration.read)

    @read_once
    def recomputed(self) -> Calibration:
        """The numbers computed from the evidence, in the format of calibration.json."""
        evidence, run = self.evidence, self.evidence.run
        log = evidence.runs.sha256 if evidence.runs else None
        hashes = (run.rows_sha256, run.vectors_sha256, evidence.run_sha256, log)
        try:
            return _calibrated(_ByHashes(hashes, evidence), self._format)
        except NothingCheckedError as error:
            raise UnreadableError("NLA608", self.evidence_folder, error.message) from error

    @property
    def _format(self) -> Format:
        """The current format if there is no readable calibration.json."""
        try:
            return format_of(self.calibration.schema_)
        except UnreadableError:
            return format_of(CURRENT)


@dataclass(frozen=True)
class ExpectedDocuments:
    """The documents of a repository, by name, and its HISTORY.md entry, rendered from its files."""

    sources: "Sources"
    documents: dict[str, str]
    own_entry: str


@dataclass(frozen=True)
class Subject:
    """A folder to check, and what was found in it.

    `published` holds what the Hub says of repositories downloaded into it, `remeasured` the result
    of measuring rows again, if that was requested.
    """

    folder: Path
    release: Release | None
    trained: tuple[AdapterFolder, ...]
    rendered: tuple[AdapterFolder, ...]
    tokenizer: Path | None
    gates: Gates = field(default_factory=Gates)
    published: tuple[Published, ...] = ()
    remeasured: Remeasurement | None = None

    @property
    def adapters(self) -> tuple[AdapterFolder, ...]:
        """Every adapter's folder, trained ones first."""
        return self.trained + self.rendered

    @property
    def pairs(self) -> list[tuple[AdapterFolder, AdapterFolder]]:
        """AV and AR in one folder: the trained pair, the rendered pair."""
        return [
            (adapters[0], adapters[1])
            for adapters in (self.trained, self.rendered)
            if len(adapters) == len(ROLES)
        ]

    @property
    def pair_to_measure(self) -> tuple[dict[Role, Path], Path]:
        """The adapters and the evidence of the pair that is, or will be, published.

        Raises:
            ConfigError: there is no pair with evidence.
        """
        for av, ar in reversed(self.pairs):
            evidence = (av.folder if av.rendered else self.folder) / "evidence"
            if evidence.is_dir():
                return {av.role: av.folder, ar.role: ar.folder}, evidence
        raise ConfigError(
            f"{self.folder} has no pair with evidence to measure again",
            hint="give a folder with release.yaml, or a dist/ with av/ and ar/",
        )

    @read_once
    def measurements(self) -> list[MeasurementFolder]:
        """Every evidence there is: the release's own, then each rendered repository's."""
        copies = [
            MeasurementFolder(each.folder, self.rendered, self.gates, rendered=True)
            for each in self.rendered
        ]
        own = MeasurementFolder(self.folder, self.trained, self.gates, rendered=False)
        measured = has_evidence(own.evidence_folder) or own.calibration_path.exists()
        return [own, *copies] if self.release and measured else copies

    @read_once
    def rendered_again(self) -> dict[Role, ExpectedDocuments]:
        """The expected documents of repositories, filled in when they are first needed."""
        return {}

    @read_once
    def base_facts(self) -> tuple[Path, BaseFacts] | None:
        """The facts of the release's base and their source: base.json, or the local base.

        Raises:
            UnreadableError: base.json is damaged, or the local base is.
        """
        path = self.folder / BASE_FILE
        if path.exists():
            return path, read_file(path, "NLA106", lambda _: read_base_facts(self.folder))
        return self.local_base

    @read_once
    def local_base(self) -> tuple[Path, BaseFacts] | None:
        """The facts of the base at release.yaml's base_path, measured now; None without weights.

        Raises:
            UnreadableError: the local base is damaged.
        """
        base = self.release.base_path if self.release else None
        if self.release and base and any((base / name).is_file() for name in (WEIGHTS, INDEX)):
            config = self.release.config
            with reading(base, "NLA106"):
                return base, measure_base(config.base_model, config.base_revision, base)
        return None


def find_subject(folder: Path, tokenizer: Path | None = None) -> Subject:
    """Find what there is to check in a folder.

    Args:
        folder: it holds a release.yaml, both adapters as `av` and `ar`, or one adapter.
        tokenizer: a tokenizer.json to encode prompts with, instead of the base's own.

    Raises:
        ConfigError: the release.yaml is wrong.
        NothingCheckedError: the folder holds nothing that a rule could look at.
    """
    if (folder / RELEASE_FILE).exists():
        release = read_release(folder)
        trained = tuple(
            AdapterFolder(role, release.adapter(role), rendered=False, given_as=role)
            for role in ROLES
        )
        repositories = tuple(
            AdapterFolder(role, release.dist / role, rendered=True) for role in ROLES
        )
        rendered = repositories if release.dist.is_dir() else ()
        return Subject(folder, release, trained, rendered, tokenizer, release.config.gates)
    adapters = tuple(_found(folder))
    if not folder.is_dir():
        raise NothingCheckedError(
            f"{folder} {'is a file' if folder.exists() else 'does not exist'}",
            hint=f"give a folder, such as {folder.parent}",
        )
    if not adapters:
        raise NothingCheckedError(
            f"{folder} holds nothing to check",
            hint=f"give a folder with {RELEASE_FILE}, a rendered dist/ with av/ and ar/, or"
            f" one adapter's folder with {SIDECAR_FILE}",
        )
    if any(adapter.rendered for adapter in adapters):
        return Subject(folder, None, (), adapters, tokenizer)
    return Subject(folder, None, adapters, (), tokenizer)


def _found(folder: Path) -> Iterator[AdapterFolder]:
    """Both adapters of a folder with av/ and ar/, or the folder itself if it is an adapter."""
    if all((folder / role).is_dir() for role in ROLES):
        rendered = any(_looks_rendered(folder / role) for role in ROLES)
        yield from (AdapterFolder(role, folder / role, rendered) for role in ROLES)
    elif any((folder / name).exists() for name in _MARKS_AN_ADAPTER):
        yield AdapterFolder(_role(folder), folder, _looks_rendered(folder))


def _looks_rendered(folder: Path) -> bool:
    return any((folder / name).exists() for name in _MARKS_A_REPOSITORY)


def _role(folder: Path) -> Role:
    """The role a lone adapter's sidecar gives; without one, only an AR has a head."""
    try:
        return read_file(folder / SIDECAR_FILE, "NLA101", lambda _: read_sidecar(folder)).role
    except UnreadableError:
        return "ar" if (folder / HEAD_FILE).exists() else "av"
