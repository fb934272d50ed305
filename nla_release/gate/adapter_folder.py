"""One adapter's folder, read lazily and once.

A file that cannot be read raises `UnreadableError`, which names the rule that reports it, so that
one defect is one finding.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from nla_release.adapter.config import AdapterConfig
from nla_release.adapter.lora import LoraModule, lora_modules
from nla_release.adapter.weights import (
    Tensor,
    ZeroBands,
    absent_adapter,
    largest_values,
    read_header,
    zero_bands,
)
from nla_release.base_model.facts import BaseFacts, read_base_facts
from nla_release.calibration.comparison import Comparison
from nla_release.calibration.report import Calibration
from nla_release.cards.compared import read_comparison
from nla_release.contract.sidecar import Role, Sidecar, contract_digest, read_sidecar
from nla_release.errors import InputError, NothingCheckedError, one_line
from nla_release.gate.findings import Skip, UnreadableError, read_once
from nla_release.history.log import HistoryEntry, read_log
from nla_release.history.updates import EvidenceUpdate, read_updates
from nla_release.io.files import read_json, read_text, sha256_file
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    ADDENDA_FOLDER,
    BASE_FILE,
    CALIBRATION_FILE,
    CARD_FILE,
    COMPARISON_FILE,
    HEAD_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    RELEASE_FILE,
    SIDECAR_FILE,
)
from nla_release.io.schema import parse
from nla_release.release.manifest import Manifest, read_manifest

# The rule that reports that a file of an adapter is missing or damaged.
REPORTED_BY = {
    SIDECAR_FILE: "NLA101",
    BASE_FILE: "NLA106",
    ADAPTER_FILE: "NLA302",
    ADAPTER_CONFIG_FILE: "NLA302",
    HEAD_FILE: "NLA305",
    CARD_FILE: "NLA501",
    HISTORY_FILE: "NLA505",
    MANIFEST_FILE: "NLA701",
}

Value = TypeVar("Value")


@dataclass(frozen=True)
class AdapterFolder:
    """One adapter's folder: as it was trained, or rendered to be a repository.

    `given_as` is the key of release.yaml that names it, if one does.
    """

    role: Role
    folder: Path
    rendered: bool
    given_as: str | None = None

    def path(self, name: str) -> Path:
        """A file of the folder, which must be a regular one: links and devices are not opened.

        Raises:
            UnreadableError: it is missing, or not a regular file.
        """
        self._exists()
        path = self.folder / name
        if name == ADAPTER_FILE and not os.path.lexists(path):
            why, hint = absent_adapter(self.folder)
            raise UnreadableError(
                "NLA302", path, f"does not exist{why}{f'; {hint}' if hint else ''}"
            )
        return regular_file(path, REPORTED_BY.get(name, "NLA301"))

    def read(self, name: str, reader: Callable[[Path], Value], rule: str | None = None) -> Value:
        """What a reader makes of a file of the folder.

        Args:
            name: the file.
            reader: reads it, and may fail as third parties' files make it fail.
            rule: reports that it does; by default the rule of the file.

        Raises:
            UnreadableError: the file is missing or damaged.
        """
        path = self.path(name)
        with reading(path, rule or REPORTED_BY.get(name, "NLA301")):
            return reader(path)

    def text(self, name: str) -> str:
        """A text file of the folder.

        Raises:
            UnreadableError: missing, too large, or not UTF-8.
        """
        return self.read(name, read_text)

    def digest(self, name: str) -> str:
        """What evidence records of a file: its sha256, or the sidecar's contract digest.

        Raises:
            UnreadableError: the file is missing, or the sidecar is invalid.
        """
        if name == SIDECAR_FILE:
            sidecar = self.sidecar
            with reading(self.folder / name, "NLA101"):
                return contract_digest(sidecar)
        return self.sha256(name)

    def sha256(self, name: str) -> str:
        """Hex sha256 of a file of the folder, which is read for it once.

        Raises:
            UnreadableError: the file is missing.
        """
        if name not in self._sha256:
            self._sha256[name] = self.read(name, sha256_file)
        return self._sha256[name]

    @read_once
    def files(self) -> list[Path]:
        """Everything in the folder but folders, sorted; links are listed and not followed."""
        self._exists()
        with reading(self.folder, "NLA301"):
            return sorted(_walk(self.folder))

    @read_once
    def sidecar(self) -> Sidecar:
        """The sidecar, of this role."""
        return self.read(SIDECAR_FILE, lambda _: read_sidecar(self.folder, self.role))

    @read_once
    def config(self) -> AdapterConfig:
        """PEFT's configuration of the adapter."""
        return self.read(
            ADAPTER_CONFIG_FILE, lambda path: parse(AdapterConfig, read_json(path), path)
        )

    @read_once
    def modules(self) -> list[LoraModule]:
        """The modules that the adapter adapts."""
        self.path(ADAPTER_FILE)  # a missing file is reported before a damaged configuration
        dora, saved = self.config.use_dora, self.config.saved
        return self.read(ADAPTER_FILE, lambda path: lora_modules(path, dora=dora, saved=saved))

    @read_once
    def tensors(self) -> dict[str, Tensor]:
        """The header of the adapter's weights."""
        return self.read(ADAPTER_FILE, read_header)

    @read_once
    def largest(self) -> dict[str, float]:
        """The largest magnitude in each of the adapter's tensors."""
        return self.read(ADAPTER_FILE, largest_values, "NLA303") if self.tensors else {}

    @read_once
    def zero_bands(self) -> dict[str, ZeroBands]:
        """The bands of each matrix of the adapter that are all zero."""
        return self.read(ADAPTER_FILE, zero_bands, "NLA303") if self.tensors else {}

    @read_once
    def head(self) -> dict[str, Tensor]:
        """The header of the AR's head."""
        return self.read(HEAD_FILE, read_header)

    @read_once
    def largest_of_head(self) -> dict[str, float]:
        """The largest magnitude in each of the head's tensors."""
        return self.read(HEAD_FILE, largest_values, "NLA303") if self.head else {}

    @read_once
    def zero_bands_of_head(self) -> dict[str, ZeroBands]:
        """The bands of each matrix of the head that are all zero."""
        return self.read(HEAD_FILE, zero_bands, "NLA303") if self.head else {}

    @read_once
    def base_facts(self) -> BaseFacts:
        """The facts of the base next to the adapter, which rendered repositories have."""
        return self.read(BASE_FILE, lambda path: read_base_facts(path.parent))

    @read_once
    def calibration(self) -> Calibration:
        """The numbers as a rendered repository publishes them."""
        return read_file(self.folder / CALIBRATION_FILE, "NLA602", Calibration.read)

    @read_once
    def log(self) -> list[HistoryEntry]:
        """The entries of the HISTORY.md of a rendered repository."""
        return self.read(HISTORY_FILE, lambda path: read_log(read_text(path)))

    @read_once
    def addenda(self) -> list[EvidenceUpdate]:
        """The addenda of a rendered repository."""
        folder = self.folder / ADDENDA_FOLDER
        for path in self.files:
            if path.is_relative_to(folder):
                regular_file(path, "NLA617")
        with reading(folder, "NLA617"):
            return read_updates(folder, self.folder)

    @read_once
    def comparison(self) -> Comparison | None:
        """What a rendered repository says of other releases."""
        path = self.folder / COMPARISON_FILE
        if path in self.files:
            regular_file(path, "NLA618")
        with reading(path, "NLA618"):
            return read_comparison(self.folder)

    @read_once
    def manifest(self) -> Manifest:
        """The release.json of a rendered repository."""
        return self.read(MANIFEST_FILE, lambda path: read_manifest(path.parent))

    @read_once
    def _sha256(self) -> dict[str, str]:
        return {}

    def _exists(self) -> None:
        if not os.path.isdir(self.folder):  # noqa: PTH112 - Path.is_dir raises when denied
            given = f"given as `{self.given_as}` in {RELEASE_FILE}, " if self.given_as else ""
            raise UnreadableError("NLA101", self.folder, f"{given}does not exist")


@contextmanager
def reading(path: Path, rule: str) -> Iterator[None]:
    """Turn every way in which reading an untrusted file can fail into `UnreadableError`."""
    try:
        yield
    except (InputError, NothingCheckedError) as error:
        message = error.message.removeprefix(str(path)).lstrip("/: ")
        raise UnreadableError(
            rule, path, f"{message}; {error.hint}" if error.hint else message
        ) from error
    # PyYAML's constructors raise the last two for a tag whose value is not of its kind.
    except (OSError, ValueError, LookupError, AttributeError) as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise UnreadableError(rule, path, f"cannot be read: {reason}") from error


def regular_file(path: Path, rule: str) -> Path:
    """The path, when it is a plain file: nothing else is ever opened.

    Raises:
        UnreadableError: missing, a link, a device, or a folder; reported by `rule`.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError as error:
        raise UnreadableError(rule, path, "does not exist") from error
    except (OSError, ValueError) as error:
        raise UnreadableError(rule, path, f"cannot be read: {error}") from error
    if not stat.S_ISREG(mode):
        raise UnreadableError(rule, path, "is not a regular file, and is not opened")
    return path


def older_format(adapter: AdapterFolder) -> Skip:
    """Why documents of an older format are not rendered again; their numbers are recomputed."""
    return Skip(
        f"calibration.json is of format {adapter.calibration.schema_}, which nla-release"
        f" {adapter.manifest.tool_version} rendered: check the documents with that version"
    )


def read_file(path: Path, rule: str, reader: Callable[[Path], Value]) -> Value:
    """What a reader makes of a file.

    Raises:
        UnreadableError: it is missing, not a regular file, or damaged; reported by `rule`.
    """
    regular_file(path, rule)
    with reading(path, rule):
        return reader(path)


def _raise(error: OSError) -> None:
    raise error


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder, onerror=_raise):
        inside = Path(parent)
        links = [name for name in folders if (inside / name).is_symlink()]
        yield from (inside / name for name in names + links)
