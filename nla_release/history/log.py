"""HISTORY.md: a log of dated entries, only ever appended to.

What was published stays, byte for byte. A release writes the entry of its version, under the
heading `## v0.0.1, 2026-11-22`, which names its evidence by hash. Every other
entry comes from a fragment (see `fragments`) and follows a comment that no reader sees,
`<!-- nla-release:entry {...} -->`: its `Record`, by which anybody who has downloaded a repository
can tell what was retracted.

A retraction points both ways although nothing published changes: its entry links to the entry
that it supersedes, and from then on every card lists the number as retracted, with a link back
(see `retractions`).
"""

import html
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from nla_release.contract.sidecar import Role
from nla_release.errors import ConfigError, InputError, RefusedError
from nla_release.evidence.records import Sha256
from nla_release.io.documents import parse_json
from nla_release.io.files import read_text
from nla_release.io.schema import Strict, parse
from nla_release.release.config import NAME, plain_line
from nla_release.release.folder import ROLES, check_version
from nla_release.text.markdown import inline

Kind = Literal["release", "finding", "correction", "retraction", "process"]

# The way back from evidence that was replaced after its version was published.
RESTORE = "`nla-release calibrate --restore`"

# What begins an entry: the heading of a version, or the comment before any other entry.
_START = re.compile(r"^(?:## (?P<tag>v\S+), |<!-- nla-release:)", re.MULTILINE)
_RECORD = re.compile(r"<!-- nla-release:entry (?P<record>\{.*\}) -->\r?\n## (?P<heading>.*)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
# By what a version's entry names the measurement; the first releases' entries name none.
_EVIDENCE = re.compile(r"^\* Evidence: `evidence/run\.json` with sha256 `\w+`\.\n", re.MULTILINE)

# Bounds for untrusted input, far above any log that a person writes.
_MAX_RECORDS = 200
_MAX_VALUE = 1e9


def _is_version(version: str) -> str:
    try:
        return check_version(version)
    except ConfigError as error:
        raise ValueError(error.message) from error


def _is_repo_id(text: str) -> str:
    parts = text.split("/")
    if len(parts) != 2 or not all(re.fullmatch(NAME, part) for part in parts):
        raise ValueError(f"{text!r} is not a repository id of the Hub")
    return text


Line = Annotated[str, Field(max_length=300), AfterValidator(plain_line)]
NormalVersion = Annotated[str, Field(max_length=60), AfterValidator(_is_version)]
Day = Annotated[date, Field(strict=True)]
RepoId = Annotated[str, AfterValidator(_is_repo_id)]


class SupersededNumber(Strict):
    """A number that was retracted or corrected.

    `metric` is its dotted name in calibration.json, or any name for what is not in there.
    `run_sha256` is of the evidence that gave it, where that was known: whatever version is made of
    the same evidence, the number is retracted in it as well.
    """

    version: NormalVersion
    metric: Line
    value: float = Field(strict=True, ge=-_MAX_VALUE, le=_MAX_VALUE)
    reason: Line
    run_sha256: Sha256 | None = None

    @property
    def shown(self) -> str:
        """The value as documents write it."""
        return f"{self.value:.12g}"

    @cached_property
    def decimals(self) -> int:
        """How many decimals are shown."""
        return max(0, -int(Decimal(self.shown).as_tuple().exponent))

    def writes(self, number: float) -> bool:
        """Whether the value is a number, rounded to the digits that are shown."""
        return abs(number - self.value) <= 10.0**-self.decimals / 2 + 1e-9


class RetractedVersion(Strict):
    """A version that was retracted as a whole.

    `successor` is the version to use instead, and `repos` are its repositories by role.
    """

    reason: Line
    successor: NormalVersion | None = None
    repos: dict[Role, RepoId] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _says_where_the_successor_is(self) -> "RetractedVersion":
        if self.repos.keys() != (set(ROLES) if self.successor else set()):
            raise ValueError(
                "repos must name one repository per role if there is a successor, else none"
            )
        return self


class Record(Strict):
    """What the comment before an entry says of it.

    `source` is the sha256 of the entry's fragment, or of its `RetractedVersion` as JSON.
    """

    id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    date: Day
    kind: Kind
    version: NormalVersion | None = None
    supersedes: SupersededNumber | None = None
    withdraws: RetractedVersion | None = None
    source: str = Field(pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _retracts_a_version(self) -> "Record":
        if self.withdraws and (self.version is None or self.kind != "retraction"):
            raise ValueError("withdraws needs kind: retraction, and the version")
        return self

    @property
    def about(self) -> str | None:
        """The version that the entry is about, when it says."""
        return self.version or (self.supersedes.version if self.supersedes else None)

    def comment(self) -> str:
        """The line that `read_log` finds again; nothing in it can end the comment."""
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        text = text.replace("<", r"\u003c").replace(">", r"\u003e")
        return f"<!-- nla-release:entry {text} -->"


@dataclass(frozen=True)
class HistoryEntry:
    """An entry of the log: its heading without `## `, and all of its text.

    A release's own entry has a `tag`, one made from a fragment a `record`.
    """

    heading: str
    text: str
    tag: str | None = None
    record: Record | None = None

    @property
    def retracted_version(self) -> RetractedVersion | None:
        """What the entry says of the version that it retracts as a whole, if it retracts one."""
        return self.record.withdraws if self.record else None

    @property
    def day(self) -> str:
        """The ISO date in its heading; empty when somebody wrote a heading without one."""
        found = _DATE.search(self.heading)
        return found[0] if found else ""

    @property
    def anchor(self) -> str:
        """Its heading's id on the rendered page, by the rule that GitHub and the Hub share."""
        plain = html.unescape(self.heading).lower()
        return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def sentence(text: str) -> str:
    """A line of text with a full stop, unless it ends as a sentence already."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def read_history(path: Path) -> str | None:
    """The log as last published, to the byte (line ends included); None when there is none yet.

    Raises:
        InputError: it is not a text file, or tells of no version.
    """
    if not path.exists():
        return None
    history = read_text(path, newline="")
    if not entries(history):
        raise InputError(
            f"{path} has no entry of a version, so it is not a published log",
            hint="restore the published file, or remove it before the first release",
        )
    return history


def read_log(history: str) -> list[HistoryEntry]:
    """Every entry in order.

    Raises:
        InputError: a comment of ours is no record of an entry, or two have the same id.
    """
    log = [_entry(found, text) for found, text in _parts(history)]
    ids = [entry.record.id for entry in log if entry.record]
    if len(ids) > _MAX_RECORDS:
        raise InputError(f"the log has more than {_MAX_RECORDS} entries from fragments")
    if twice := sorted({each for each in ids if ids.count(each) > 1}):
        raise InputError(f"the log has two entries {twice[0]}")
    return log


def entries(history: str) -> dict[str, str]:
    """The first entry of every version by tag, heading and hand-written additions included."""
    found: dict[str, str] = {}
    for start, text in _parts(history):
        if start["tag"]:
            found.setdefault(start["tag"], text)
    return found


def append(history: str | None, title: str, additions: Sequence[str]) -> str:
    """The log with these entries in it.

    Args:
        history: the log as last published; None before the first release.
        title: of the pair, for the heading of a new log.
        additions: texts of entries: a version's, and those of fragments.

    Returns:
        The log with the entries that it lacks at its end, in the order of their dates.

    Raises:
        InputError: the log is damaged.
        RefusedError: the log has one of them with other words or numbers.
    """
    log = _preamble(title) if history is None else history
    published = read_log(log)
    new = [entry for text in additions for entry in read_log(text)]
    for entry in sorted(new, key=lambda entry: entry.day):
        if not _is_in(published, entry):
            line_ends = len(log) - len(log.rstrip("\n"))
            log += "\n" * (2 - line_ends) + entry.text  # one empty line before the heading
    return log


def _parts(history: str) -> Iterator[tuple[re.Match[str], str]]:
    """What begins each entry, and its text up to the next."""
    found = list(_START.finditer(history))
    ends = [*(start.start() for start in found[1:]), len(history)]
    for start, end in zip(found, ends, strict=False):
        yield start, history[start.start() : end]


def _entry(start: re.Match[str], text: str) -> HistoryEntry:
    if start["tag"]:
        heading = text.partition("\n")[0].removeprefix("## ").rstrip()
        return HistoryEntry(heading, text, tag=start["tag"])
    where = f"the log's comment {text.partition(chr(10))[0].rstrip()[:80]!r}"
    found = _RECORD.match(text)
    if found is None:
        raise InputError(f"{where} does not record the entry under it")
    document = parse_json(found["record"], where)
    try:  # Out of JSON, a date is a string.
        document["date"] = date.fromisoformat(document["date"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{where} cannot be read: {error}") from error
    record = parse(Record, document, where)
    return HistoryEntry(found["heading"].rstrip(), text, record=record)


def _is_in(published: list[HistoryEntry], entry: HistoryEntry) -> bool:
    """Whether the log has an entry already, as it is.

    Raises:
        RefusedError: it has the entry, and it is another.
    """
    if entry.record is None:
        same = next((each for each in published if each.tag == entry.tag), None)
        if same and not begins_with(same.text.replace("\r\n", "\n"), entry.text):
            raise RefusedError(
                f"HISTORY.md already has {entry.tag}, with other results than this release",
                hint=f"a published entry is never rewritten. {RESTORE} restores the evidence of the"
                " version in dist/, `nla-release calibrate --addendum` adds new evidence to it; or"
                " render the next version",
            )
        return same is not None
    return any(each.record and each.record.id == entry.record.id for each in published)


def begins_with(published: str, entry: str) -> bool:
    """Whether an entry is the published one, which may name no evidence and be added to."""
    if not _EVIDENCE.search(published):
        entry = _EVIDENCE.sub("", entry)
    return published.startswith(entry.rstrip())


def _preamble(title: str) -> str:
    return (
        f"# History of {inline(title)}\n\n"
        "Append-only, the newest entry last. Entries are not edited: a correction is a new entry"
        " that names the one it supersedes.\n"
    )


def changed_above(history: str, title: str | None) -> int | None:
    """The first line above a log's first entry that `append` does not write, counted from 1.

    Args:
        history: the log.
        title: of the pair when the log was begun; None where nobody knows it.
    """
    first = _START.search(history)
    found = history[: first.start() if first else None].rstrip().split("\n")
    expected = _preamble(title or "").rstrip().split("\n")
    if title is None and found[0].startswith(expected[0]):
        expected[0] = found[0]
    lines = itertools.zip_longest(expected, found)
    return next((at for at, (ours, theirs) in enumerate(lines, 1) if ours != theirs), None)
