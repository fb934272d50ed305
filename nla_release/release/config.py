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

from nla_release.contract.sidecar import Dtype, Quantization
from nla_release.errors import printable
from nla_release.evidence.records import ProbeName
from nla_release.io.schema import Number, Strict
from nla_release.release.licences import licence_problem
from nla_release.statistics.blocks import MIN_DOCUMENTS, MIN_ROWS

# Hub repository names as huggingface_hub checks them: at most 96 of letters, digits, '-', '_', '.'.
NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?$"

# What the Hub takes as `language:` of a card.
_LANGUAGE = re.compile(r"[a-z]{2,3}|code|multilingual")

# A comparison letters its releases, this one first.
MAX_COMPARED = 25


def plain_line(text: str) -> str:
    """The text on one line, its spaces and line breaks as single spaces.

    Raises:
        ValueError: it is empty, or has control characters.
    """
    line = " ".join(text.split())
    if not line or not line.isprintable():
        raise ValueError("must be plain text")
    return line


PlainLine = Annotated[str, Field(min_length=1, max_length=600), AfterValidator(plain_line)]
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
    """The held-out activations, the training reference, and how the pair is run on them."""

    data: str = Field(
        description="parquet file of held-out activations, as `nla-release data` writes it"
    )
    reference: str = Field(
        description="safetensors file with the mean direction of the training activations"
    )
    rows: PositiveInt | None = Field(
        default=None, description="measure the first N rows only; all by default"
    )
    max_new_tokens: PositiveInt = Field(default=200, description="token limit of an explanation")
    batch_size: PositiveInt = Field(default=16, description="activations explained at once")
    quantization: Quantization | None = Field(
        default=None,
        description=(
            "load the base in 4 bits (`nf4`), as the pair was trained; full precision by default"
        ),
    )
    dtype: Dtype = Field(default="float32", description="of weights and computation")
    seed: int = Field(
        default=0,
        ge=0,
        lt=2**32,
        description="of every random draw: random vectors, controls made from texts",
    )
    probes: list[ProbeChoice] = Field(
        default_factory=list,
        description=(
            "optional diagnostics that always run: names, `quick` or `all`; `--probe` adds more"
        ),
    )
    encoder: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "embeds texts for the diagnostic text-retrieval: a model of the "
            "sentence-transformers library, or `module:function`"
        ),
    )
    training: list[str] = Field(
        default_factory=list,
        description=(
            "what the pair was trained on: lists of documents (.jsonl), samples of their word "
            "sequences (.safetensors), and labelled rows (.parquet) for the lookup table"
        ),
    )
    attempts: PositiveInt | None = Field(
        default=None,
        description=(
            "how many checkpoints or settings were tried before this one was chosen, itself "
            "included"
        ),
    )

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

    min_rows: Whole = Field(
        default=50, ge=MIN_ROWS, description="minimum number of activations measured (NLA608)"
    )
    min_documents: Whole = Field(
        default=10,
        ge=MIN_DOCUMENTS,
        description="minimum number of documents they come from (NLA608)",
    )
    max_failed: Number = Field(
        default=0.2,
        ge=0,
        le=0.5,
        description="largest share of rows without an explanation (NLA609)",
    )
    min_prefixes: Whole = Field(
        default=8,
        ge=3,
        description="minimum number of different beginnings of explanations (NLA606)",
    )
    min_prefixes_per_row: Number = Field(
        default=0.3, gt=0, le=1, description="the same as a share of rows, for few rows (NLA606)"
    )
    max_same_as_random: Number = Field(
        default=0.5,
        ge=0,
        le=0.5,
        description="largest share of rows explained word for word like a random vector (NLA607)",
    )
    max_cjk: Share = Field(
        default=0.2,
        description="largest share of outputs with Chinese, Japanese or Korean characters (NLA614)",
    )
    max_duplicates: Share = Field(
        default=0.5,
        description="largest share of explanations that another document also has (NLA615)",
    )

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

    code: str = Field(min_length=1, max_length=20, description="the rule, such as NLA605")
    reason: str = Field(
        min_length=1,
        max_length=300,
        description="one line of plain text, shown next to every finding and on both cards",
    )
    until: date = Field(description="the last day (UTC) on which the waiver counts")

    _are_plain = field_validator("code", "reason")(plain_line)


def _language(code: str) -> str:
    if not _LANGUAGE.fullmatch(code):
        raise ValueError(f"{code!r} is no ISO 639 code; write en instead of English")
    return code


class Update(Strict):
    """A dated note at the top of both cards, such as on what was measured after the release."""

    date: Annotated[date, Field(description="day of the update")]
    text: PlainLine = Field(description="one line of plain text")


class ReleaseConfig(Strict):
    """The keys of `release.yaml`."""

    name: str = Field(
        pattern=NAME, description="name of the release; part of both repository names"
    )
    namespace: str = Field(pattern=NAME, description="user or organisation on the Hub")
    title: str = Field(min_length=1, description="title of both cards")
    author: str | None = Field(default=None, description="shown on both cards and in the citation")
    base_model: str = Field(pattern=r"^[^/\s~.][^/\s]*/[^/\s]+$", description="Hub id of the base")
    base_revision: str = Field(description="commit of the base that the pair was trained on")
    base_path: str | None = Field(
        default=None,
        description="local copy of the base at `base_revision`, used instead of the Hub",
    )
    license: str = Field(min_length=1, description="an identifier of the Hub, or `other`")
    license_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=96,
        description="what the licence is called, when `license` is `other`",
    )
    license_link: str | None = Field(
        default=None,
        min_length=1,
        description="its https address, or a file next to release.yaml that becomes LICENSE",
    )
    av: str = Field(description="folder of the trained verbalizer")
    ar: str = Field(description="folder of the trained reconstructor")
    evaluation: Evaluation = Field(description="what is measured, and how")
    citations: list[str] = Field(
        default_factory=list, description="keys of citations.bib, shown as BibTeX on both cards"
    )
    source: str | None = Field(
        default=None,
        max_length=300,
        pattern=r"^https://[A-Za-z0-9][^\s<>()\[\]\"'`|\\]*$",
        description="https address of the source repository",
    )
    labeller: PlainLine | None = Field(
        default=None, description="who or what wrote the training explanations"
    )
    languages: list[Annotated[str, AfterValidator(_language)]] = Field(
        default_factory=list, max_length=20, description="ISO 639 codes of the texts, such as `en`"
    )
    hardware: PlainLine | None = Field(default=None, description="what the pair was trained on")
    updates: list[Update] = Field(
        default_factory=list, max_length=20, description="dated notes at the top of both cards"
    )
    notes: str | None = Field(
        default=None, description="folder of hand-written sections, one Markdown file each"
    )
    gates: Gates = Field(default_factory=Gates, description="thresholds of the evidence rules")
    waivers: list[Waiver] = Field(
        default_factory=list, description="findings that are accepted for a time"
    )
    previous: str | None = Field(
        default=None,
        min_length=1,
        description=(
            "the release before: its folder, its evidence/ or one of its repositories; a "
            "worse release fails NLA616"
        ),
    )
    compared_with: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        max_length=MAX_COMPARED,
        description="folders of other releases to compare with in RELEASE_CALIBRATION.md",
    )
    repo: str = Field(
        default="{namespace}/{name}-{role}-v{version}",
        description="pattern of both repository names; `{role}` is required",
    )

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
