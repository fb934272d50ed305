"""`release.json`: the sha256 of every file of a repository, and its partner; the id of a release.

The id is recorded in the commit that publishes a repository, so that a push recognises its own.
"""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, field_validator

import nla_release
from nla_release.contract.sidecar import Role
from nla_release.errors import InputError
from nla_release.io.files import dump_json, read_json, sha256_file
from nla_release.io.layout import MANIFEST_FILE, SIGNATURE_FILE
from nla_release.io.schema import Strict, parse

# The files of a repository that release.json cannot list.
UNLISTED = frozenset({MANIFEST_FILE, SIGNATURE_FILE})

# The record of an addendum, see cards.addenda.
_ADDENDUM = re.compile(r"addenda/cal\.([1-9]\d?)\.json", re.ASCII)

# Trailers in the description of the commit that publishes a release.
_ID = re.compile(r"^NLA-Release-Id: ([0-9a-f]{64})\s*$", re.MULTILINE)
_PARENT = re.compile(r"^NLA-Release-Parent: ([0-9a-f]{40}|[0-9a-f]{64})\s*$", re.MULTILINE)


class FileRecord(Strict):
    """One file's content."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the content")
    size: NonNegativeInt = Field(description="bytes")


class ManifestBase(Strict):
    """The base model of the pair."""

    id: str = Field(description="Hub id")
    revision: str = Field(description="commit")


class PartnerRecord(Strict):
    """The other repository of the pair, by tag and by the sha256 of its adapter weights."""

    repo: str = Field(description="the other repository")
    tag: str = Field(description="its tag")
    adapter_sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of its adapter weights")


class Stated(Strict):
    """What the documents of a repository show and none of its files decides.

    `release` are the keys of release.yaml but for paths, `licence` what it names, `notes` the
    hand-written ones as rendered, and `sources` those that quote numbers, as written (None where
    an earlier version rendered them). `released` is this version and the one before, `drawn_with`
    what drew the figures. `pair` are facts of both adapters, for a repository without its
    partner, and `files` the sha256 of those that the evidence does not name as they are published.
    """

    release: dict[str, Any] = Field(description="the keys of release.yaml, without paths")
    licence: dict[str, Any] = Field(description="what the licence names")
    notes: dict[str, str] = Field(description="hand-written notes as rendered")
    sources: dict[str, str] | None = Field(
        default=None, description="the notes that quote numbers with `{{ }}`, as written"
    )
    released: dict[str, Any] | None = Field(description="this version and the one before")
    drawn_with: str = Field(description="libraries that drew the figures")
    pair: dict[str, Any] = Field(description="facts of both adapters")
    files: dict[str, str] = Field(
        description="sha256 of files that the evidence does not name as they are published"
    )


class Manifest(Strict):
    """The keys of release.json; `files` names every file but release.json and its signature.

    `tag` and the partner's are of the version, which they stay after any addendum. NLA514
    refuses a release.json without `stated`.
    """

    schema_: Literal[1] = Field(1, alias="schema", description="format of this file")
    tool_version: str = Field(
        default=nla_release.__version__,
        description="version of nla_release that rendered the files",
    )
    role: Role = Field(description="`av` or `ar`")
    repo: str = Field(description="this repository")
    version: str = Field(description="of the release")
    tag: str = Field(description="of the version")
    base: ManifestBase = Field(description="the base model")
    files: dict[str, FileRecord] = Field(
        description="every file except release.json and its signature"
    )
    partner: PartnerRecord = Field(description="the other repository of the pair")
    stated: Stated | None = Field(default=None, description="what no file decides")

    @field_validator("files")
    @classmethod
    def _stay_inside(cls, files: dict[str, FileRecord]) -> dict[str, FileRecord]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
                raise ValueError(f"{name!r} is not a plain path inside the repository")
        return files

    @property
    def addendum(self) -> str | None:
        """The last addendum that is among the files, such as `cal.1`."""
        numbers = [int(found[1]) for name in self.files if (found := _ADDENDUM.fullmatch(name))]
        return f"cal.{max(numbers)}" if numbers else None

    @property
    def published_tag(self) -> str:
        """The tag that these very files are published under: `v0.0.1`, `v0.0.1+cal.1`."""
        return self._with_addendum(self.tag)

    @property
    def partner_tag(self) -> str:
        """The tag of the partner's files that are published with these."""
        return self._with_addendum(self.partner.tag)

    def _with_addendum(self, tag: str) -> str:
        return f"{tag}+{self.addendum}" if self.addendum else tag


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a rendered or downloaded repository.

    Raises:
        InputError: missing or invalid.
    """
    path = folder / MANIFEST_FILE
    hint = "run `nla-release render --version X` first"
    try:
        document = read_json(path)
    except InputError as error:
        raise InputError(error.message, hint=hint) from error
    return parse(Manifest, document, path)


def dump_manifest(manifest: Manifest) -> str:
    """The manifest as JSON text."""
    absent = {"stated"} if manifest.stated is None else set()
    return dump_json(manifest.model_dump(mode="json", by_alias=True, exclude=absent))


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Every file of a repository's folder that release.json lists, by path relative to it.

    Raises:
        InputError: something in it is neither a folder nor a plain file.
    """
    records = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise InputError(f"{path} is a link or a special file; a release holds plain files")
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in UNLISTED:
            records[name] = FileRecord(sha256=sha256_file(path), size=path.stat().st_size)
    return records


def differences(recorded: dict[str, FileRecord], found: dict[str, FileRecord]) -> list[str]:
    """Each file that is missing, foreign or changed, as a sentence."""
    missing = [f"{name} is missing" for name in sorted(recorded.keys() - found.keys())]
    foreign = [f"{name} is not listed" for name in sorted(found.keys() - recorded.keys())]
    changed = [
        f"{name} was changed after `render`: sha256 {found[name].sha256[:12]},"
        f" {MANIFEST_FILE} records {recorded[name].sha256[:12]}"
        for name in sorted(recorded.keys() & found.keys())
        if recorded[name] != found[name]
    ]
    return missing + foreign + changed


def release_id(manifests: Iterable[Manifest]) -> str:
    """The sha256 over both release.json files, AV first, in hex."""
    ordered = sorted(manifests, key=lambda manifest: manifest.role, reverse=True)
    return hashlib.sha256("".join(map(dump_manifest, ordered)).encode()).hexdigest()


def title(tag: str) -> str:
    """The title of the commit that a push puts a tag on."""
    return f"Release {tag}"


def trailers(identity: str, parent: str) -> str:
    """The description of a release's commit."""
    return f"NLA-Release-Id: {identity}\nNLA-Release-Parent: {parent}"


def read_id(description: str) -> str | None:
    """The release that a commit says it is of."""
    found = _ID.search(description)
    return found[1] if found else None


def read_parent(description: str) -> str | None:
    """The commit that a release's commit was meant to be put on."""
    found = _PARENT.search(description)
    return found[1] if found else None
