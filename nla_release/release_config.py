"""The keys of `release.yaml`: what may be written there, and what each one means."""

import re
from collections.abc import Iterable
from datetime import date
from string import Formatter
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    PositiveInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from nla_release.calibration.enough import MIN_DOCUMENTS, MIN_ROWS
from nla_release.calibration.records import ProbeName
from nla_release.errors import printable
from nla_release.licences import licence_problem
from nla_release.schema import Number, Strict
from nla_release.sidecar import Dtype, Quantization

# Hub repository names as huggingface_hub checks them: at most 96 of letters, digits, '-', '_', '.'.
NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$"

# What the Hub takes as `language:` of a card.
_LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual")

# A comparison letters its releases, this one first.
MAX_COMPARED = 25

Share = Annotated[Number, Field(ge=0, le=1)]
Whole = Annotated[int, Field(strict=True)]

# A diagnostic, every one, or those that cost least for what they tell.
ProbeChoice = ProbeName | Literal["all", "quick"]
QUICK: tuple[ProbeName, ...] = ("text-controls", "injection")


def chosen_probes(choices: Iterable[ProbeChoice]) -> list[ProbeName]:
    """The diagnostics that choices stand for, each once, in the order in which they run."""
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
    direction. `training` is what the pair was trained on, as `train.build` writes it: lists of
    documents (.jsonl), samples of their word sequences (.safetensors), and labelled rows (.parquet)
    for the lookup table.
    `probes` always run, and `--probe` adds to them. `encoder` embeds texts for the diagnostic
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

    @field_validator("probes", mode="before")
    @classmethod
    def _may_be_one(cls, probes: Any) -> Any:
        """`probes: all` is `probes: [all]`."""
        return [probes] if isinstance(probes, str) else probes


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


def _plain_line(text: str) -> str:
    line = " ".join(text.split())
    if not line or not line.isprintable():
        raise ValueError("must be one line of plain text")
    return line


PlainLine = Annotated[str, Field(min_length=1, max_length=600), AfterValidator(_plain_line)]


def _language(code: str) -> str:
    if not _LANGUAGE.fullmatch(code):
        raise ValueError(f"{code!r} is no ISO 639 code; write en instead of English")
    return code


class Update(Strict):
    """A dated note at the top of both cards, such as on what was measured after the release."""

    date: date
    text: PlainLine


class ReleaseConfig(Strict):
    """The keys of `release.yaml`.

    `license` is an identifier of the Hub. With `other`, `license_name` is what it is called
    and `license_link` its https address, or a file beside release.yaml that becomes LICENSE.
    `base_path` is an optional local copy of the base at `base_revision`, used instead of the Hub.
    `source` is the https address of the source repository, `labeller` who or what wrote the
    training explanations, `hardware` what the pair was trained on, and `languages` are ISO 639
    codes of the texts; `updates` are dated notes at the top of both cards.
    `previous` is the folder of the release before: its own, its evidence/, or one repository;
    `compared_with` are folders of others to set beside this one on RELEASE_CALIBRATION.md.
    """

    name: str = Field(pattern=NAME)
    namespace: str = Field(pattern=NAME)
    title: str = Field(min_length=1)
    author: str | None = None
    base_model: str = Field(pattern=r"^[^/\s~.][^/\s]*/[^/\s]+$")
    base_revision: str
    base_path: str | None = None
    license: str = Field(min_length=1)
    license_name: str | None = Field(default=None, min_length=1, max_length=96)
    license_link: str | None = Field(default=None, min_length=1)
    av: str
    ar: str
    evaluation: Evaluation
    citations: list[str] = Field(default_factory=list)
    source: str | None = Field(
        default=None, max_length=300, pattern=r"^https://[A-Za-z0-9][^\s<>()\[\]\"'`|\\]*$"
    )
    labeller: PlainLine | None = None
    languages: list[Annotated[str, AfterValidator(_language)]] = Field(
        default_factory=list, max_length=20
    )
    hardware: PlainLine | None = None
    updates: list[Update] = Field(default_factory=list, max_length=20)
    notes: str | None = None
    gates: Gates = Field(default_factory=Gates)
    waivers: list[Waiver] = Field(default_factory=list)
    previous: str | None = Field(default=None, min_length=1)
    compared_with: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, max_length=MAX_COMPARED
    )
    repo: str = "{namespace}/{name}-{role}-v{version}"

    @field_validator("license_name")
    @classmethod
    def _is_one_line(cls, name: str | None) -> str | None:
        if name is not None and not (name.isprintable() and name.strip()):
            raise ValueError("must be one line of plain text")
        return name

    @field_validator("base_revision")
    @classmethod
    def _is_a_commit(cls, revision: str, given: ValidationInfo) -> str:
        if not re.fullmatch(r"[0-9a-f]{7,64}", revision):
            base = given.data.get("base_model", "BASE_MODEL")  # absent when it is wrong itself
            raise ValueError(
                f"{printable(revision)[:60]!r} is no commit: a branch or a tag moves. Write the"
                f" commit that the pair was trained on; https://huggingface.co/{base}/commits/main"
                f" lists them, and `hf models info {base}` has the latest as sha"
            )
        return revision

    @model_validator(mode="after")
    def _license_can_be_released_under(self) -> "ReleaseConfig":
        if problem := licence_problem(self.license, self.license_name, self.license_link):
            raise ValueError(f"license: {problem}")
        return self

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
