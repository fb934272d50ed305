"""`release.yaml`: one pair, where its parts are, how it is measured, and under which name it goes.

Paths in it are relative to its folder. Results lie beside it: `base.json`, `evidence/`,
`calibration.json`, `dist/av`, `dist/ar`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from string import Formatter
from typing import Annotated, Any, Literal, get_args

from packaging.version import InvalidVersion, Version
from pydantic import Field, PositiveInt, field_validator

from nla_release.calibration.enough import MIN_DOCUMENTS, MIN_ROWS
from nla_release.calibration.records import ProbeName
from nla_release.errors import ConfigError, InputError
from nla_release.files import read_yaml
from nla_release.schema import Number, Strict, parse
from nla_release.sidecar import Base, Dtype, Quantization, Role

FILE_NAME = "release.yaml"
CALIBRATION_FILE_NAME = "calibration.json"
HISTORY_FILE_NAME = "HISTORY.md"
ROLES: tuple[Role, Role] = ("av", "ar")

# Hub repository names as huggingface_hub checks them: at most 96 of letters, digits, '-', '_', '.'.
NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$"

# A comparison letters its releases, this one first.
MAX_COMPARED = 25

Share = Annotated[Number, Field(ge=0, le=1)]
Whole = Annotated[int, Field(strict=True)]

# A probe, every probe, or those that cost least for what they tell.
ProbeChoice = ProbeName | Literal["all", "quick"]
QUICK: tuple[ProbeName, ...] = ("text-controls", "injection")


def chosen_probes(choices: Iterable[ProbeChoice]) -> list[ProbeName]:
    """The probes that choices stand for, each once, in the order in which they run."""
    chosen = set(choices)
    every: tuple[ProbeName, ...] = get_args(ProbeName)
    return [
        name
        for name in every
        if name in chosen or "all" in chosen or ("quick" in chosen and name in QUICK)
    ]


class Evaluation(Strict):
    """The held-out activations, the training reference, and how the pair is run on them.

    `data` is a parquet file of held-out activations; `reference` the training activations' mean
    direction and `training` the lists of training documents, as `train.extract` writes them.
    `probes` always run, and `--probe` adds to them. `encoder` embeds texts for the probe
    text-retrieval: a model of the sentence-transformers library, or `module:function`. `attempts`
    is how many checkpoints or settings were tried before this one was chosen, itself included.
    """

    data: str
    reference: str
    rows: PositiveInt | None = None
    max_new_tokens: PositiveInt = 200
    batch_size: PositiveInt = 16
    quantization: Quantization | None = None
    dtype: Dtype = "float32"
    seed: int = Field(default=0, ge=0, lt=2**32)
    probes: list[ProbeChoice] = Field(default_factory=list)
    encoder: str | None = Field(default=None, min_length=1)
    training: list[str] = Field(default_factory=list)
    attempts: PositiveInt | None = None


class Gates(Strict):
    """Thresholds of the evidence rules; docs/calibration.md gives each one's reason.

    Shares are of rows. A pair's label does not depend on them: it has thresholds of its own, and
    below those no gate can be set. Nor can one be set where it would stop nothing: above half of
    the rows failed or the same as of a random vector, or below three ways to begin.
    """

    min_rows: Whole = Field(default=50, ge=MIN_ROWS)
    min_documents: Whole = Field(default=10, ge=MIN_DOCUMENTS)
    max_failed: Number = Field(default=0.2, ge=0, le=0.5)
    min_prefixes: Whole = Field(default=8, ge=3)
    min_prefixes_per_row: Number = Field(default=0.3, gt=0, le=1)
    max_same_as_random: Number = Field(default=0.5, ge=0, le=0.5)
    max_cjk: Share = 0.2
    max_duplicates: Share = 0.5

    @property
    def loosened(self) -> dict[str, tuple[float, float]]:
        """The gates that let more pass than their defaults do: value and default by name."""
        default = Gates()
        values = {
            name: (getattr(self, name), getattr(default, name)) for name in Gates.model_fields
        }
        return {
            name: (value, usual)
            for name, (value, usual) in values.items()
            if (value < usual if name.startswith("min_") else value > usual)
        }


class Waiver(Strict):
    """A rule whose findings its author lets stand up to and with the day `until` (UTC).

    The reason is one line of plain text: it is shown beside every finding, and on the card.
    """

    code: str = Field(min_length=1, max_length=20)
    reason: str = Field(min_length=1, max_length=300)
    until: date

    @field_validator("code", "reason")
    @classmethod
    def _is_one_printable_line(cls, text: str) -> str:
        line = " ".join(text.split())
        if not line or not line.isprintable():
            raise ValueError("must be plain text")
        return line


class ReleaseConfig(Strict):
    """The keys of `release.yaml`.

    `base_path` is an optional local copy of the base at `base_revision`, used instead of the Hub.
    `previous` is the folder of the release before: its own, its evidence/, or one repository;
    `compared_with` are folders of others to set beside this one on RELEASE_CALIBRATION.md.
    """

    name: str = Field(pattern=NAME)
    namespace: str = Field(pattern=NAME)
    title: str = Field(min_length=1)
    author: str | None = None
    base_model: str = Field(pattern=r"^[^/\s~.][^/\s]*/[^/\s]+$")
    base_revision: str = Field(min_length=7)
    base_path: str | None = None
    license: str = Field(min_length=1)
    av: str
    ar: str
    evaluation: Evaluation
    citations: list[str] = Field(default_factory=list)
    notes: str | None = None
    gates: Gates = Field(default_factory=Gates)
    waivers: list[Waiver] = Field(default_factory=list)
    previous: str | None = Field(default=None, min_length=1)
    compared_with: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, max_length=MAX_COMPARED
    )
    repo: str = "{namespace}/{name}-{role}-v{version}"

    @field_validator("gates", mode="before")
    @classmethod
    def _may_be_empty(cls, gates: Any) -> Any:
        """In YAML, `gates:` with every line under it commented out is nothing."""
        return {} if gates is None else gates

    @field_validator("repo")
    @classmethod
    def _names_the_role(cls, template: str) -> str:
        fields = [part[1:] for part in Formatter().parse(template) if part[1] is not None]
        names = {name for name, _, _ in fields}
        if not names <= {"namespace", "name", "role", "version"} or "role" not in names:
            raise ValueError(
                "must hold {role}, and may hold {namespace}, {name} and {version} besides;"
                " without {role} both adapters would share one repository"
            )
        if any(specification or conversion for _, specification, conversion in fields):
            raise ValueError("its fields take no format and no conversion")
        plain = template.format(namespace="n", name="n", role="av", version="0_0_1")
        if len(parts := plain.split("/")) != 2 or not all(re.match(NAME, part) for part in parts):
            raise ValueError(f"gives {plain!r}, which is not a repository id of the Hub")
        return template

    @field_validator("waivers")
    @classmethod
    def _waives_a_rule_once(cls, waivers: list[Waiver]) -> list[Waiver]:
        codes = [waiver.code for waiver in waivers]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"{', '.join(twice)} is waived twice")
        return waivers


@dataclass(frozen=True)
class Release:
    """A `ReleaseConfig` in its folder."""

    folder: Path
    config: ReleaseConfig

    def adapter(self, role: Role) -> Path:
        """The trained adapter's folder."""
        return self.folder / (self.config.av if role == "av" else self.config.ar)

    def check_base(self, role: Role, base: Base) -> None:
        """Compare the base that an adapter was trained on with the one named here.

        Raises:
            ConfigError: they are not the same model at the same revision.
        """
        config = self.config
        if (base.id, base.revision) != (config.base_model, config.base_revision):
            raise ConfigError(
                f"release.yaml names base {config.base_model} at {config.base_revision}, the"
                f" {role.upper()} was trained on {base.id} at {base.revision}"
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
        return self.folder / CALIBRATION_FILE_NAME

    @property
    def history(self) -> Path:
        """The append-only log as last published."""
        return self.folder / HISTORY_FILE_NAME

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
    path = folder / FILE_NAME
    try:
        document = read_yaml(path)
    except InputError as error:
        hint = "correct it; the README shows one, and `nla-release init` writes one"
        if not path.exists():
            hint = f"run the command where {FILE_NAME} is"
        raise ConfigError(error.message, hint=hint) from error
    return Release(folder, parse(ReleaseConfig, document, path, error=ConfigError))


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
        raise ConfigError(f"version {version!r} must be written {normal!r}")
    return version


def in_names(version: str) -> str:
    """A version as the names of repositories hold it."""
    return version.replace(".", "_").replace("+", "_")


def tag(version: str) -> str:
    """The git tag of a version."""
    return f"v{version}"
