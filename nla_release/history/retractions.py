"""Retractions of versions and numbers: what may be retracted, and what the cards say about it.

Every card of a pair lists the retracted versions and numbers. The card of a retracted version has a
notice at the top as well.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nla_release.calibration.report import Calibration
from nla_release.contract.sidecar import Role
from nla_release.errors import ConfigError, RefusedError
from nla_release.history.fragments import read_fragments
from nla_release.history.log import (
    HistoryEntry,
    SupersededNumber,
    entries,
    read_history,
    read_log,
    sentence,
)
from nla_release.io.layout import CALIBRATION_FILE, HISTORY_FILE, MANIFEST_FILE
from nla_release.release.folder import ROLES, Release, tag
from nla_release.release.manifest import Manifest, read_manifest
from nla_release.text.literals import literals
from nla_release.text.sandbox import render_template

# The generated block that lists everything that was retracted.
RETRACTED = "retracted"

# The generated block at the top of a card whose version was retracted.
RETRACTED_VERSION = "withdrawn"

# A name of calibration.json; any other is a metric that it does not have.
_DOTTED = re.compile(r"[a-z0-9_]+(?:\.[a-z0-9_]+)+")

# A number of fewer is that of too many other metrics and versions.
_DECIMALS = 2


def retracted_block(log: Sequence[HistoryEntry]) -> dict[str, str]:
    """The generated block by its name; nothing when the log retracts nothing."""
    numbers = [
        {
            "metric": superseded.metric,
            "value": superseded.shown,
            "tag": tag(superseded.version),
            "reason": superseded.reason,
            "date": entry.record.date.isoformat(),
            "anchor": entry.anchor,
        }
        for entry in log
        if entry.record and (superseded := entry.record.supersedes)
    ]
    versions = [_for_template(entry) for entry in log if entry.retracted_version]
    if not (numbers or versions):
        return {}
    context = {"retracted": numbers, "versions": versions}
    return {RETRACTED: render_template("blocks/retracted.md.jinja", context).strip()}


def retracted_version_block(log: Sequence[HistoryEntry], version: str | None) -> dict[str, str]:
    """The generated block by its name; nothing when the log does not retract the version."""
    if (entry := retraction_of(log, version)) is None:
        return {}
    text = render_template("blocks/retracted_version.md.jinja", _for_template(entry))
    return {RETRACTED_VERSION: text.strip()}


def retraction_of(log: Sequence[HistoryEntry], version: str | None) -> HistoryEntry | None:
    """The last entry that retracts a version as a whole."""
    retractions = retractions_of(log, version)
    return retractions[-1] if retractions else None


def retractions_of(log: Sequence[HistoryEntry], version: str | None) -> list[HistoryEntry]:
    """The entries that retract a version as a whole; a later one may name a successor."""
    return [
        entry
        for entry in log
        if entry.record and entry.retracted_version and entry.record.version == version
    ]


def new_version(log: Sequence[HistoryEntry], version: str, role: Role, repo: str) -> str | None:
    """The repository of the version to use instead, which the Hub links to from the old one.

    None when that is the same repository, `repo`: names need not hold the version.
    """
    entry = retraction_of(log, version)
    retracted = entry.retracted_version if entry else None
    named = retracted.repos.get(role) if retracted else None
    return None if named == repo else named


def _for_template(entry: HistoryEntry) -> dict[str, object]:
    """An entry that retracts a version."""
    record, retracted = entry.record, entry.retracted_version
    assert record is not None
    assert record.version is not None, "Record makes sure of it"
    assert retracted is not None
    return {
        "tag": tag(record.version),
        "reason": sentence(retracted.reason),
        "successor": tag(retracted.successor) if retracted.successor else None,
        "repos": retracted.repos,
        "date": record.date.isoformat(),
        "anchor": entry.anchor,
    }


def check_version_known(release: Release, version: str) -> None:
    """Refuse a version that was never rendered, as far as the files here can tell.

    Raises:
        ConfigError: neither HISTORY.md nor dist/ has it; the hint says what to run first.
        InputError: one of these files is damaged.
    """
    rendered = _rendered(release)
    known = [*entries(read_history(release.history) or ""), *([rendered.tag] if rendered else [])]
    if tag(version) not in known:
        raise ConfigError(
            f"{HISTORY_FILE} has no {tag(version)}",
            hint=f"there is {', '.join(dict.fromkeys(known))}"
            if known
            else "nothing was rendered yet: run `nla-release render --version"
            f" {version}` and then this command again, or leave out --version for an entry that is"
            " about no version",
        )


def retractable(
    release: Release, superseded: SupersededNumber
) -> tuple[SupersededNumber, str | None]:
    """A published number as its calibration has it, and a note where that was not checked.

    Where dist/ does not hold its version, the version's entry in HISTORY.md may name it.

    Raises:
        ConfigError: neither HISTORY.md nor dist/ has the version, or its calibration lacks the
            number, or the number is not precise enough to be known by.
        RefusedError: it is retracted already.
        InputError: one of these files is damaged.
    """
    version, metric = superseded.version, superseded.metric
    check_version_known(release, version)
    rendered = _rendered(release)
    calibration = (
        Calibration.read(release.dist / ROLES[0] / CALIBRATION_FILE)
        if rendered and rendered.version == version
        else None
    )
    _check_name(metric, calibration.leaves() if calibration else {})
    note = None
    if calibration and _DOTTED.fullmatch(metric):
        value = _found(superseded, calibration.leaves())
        superseded = superseded.model_copy(update={"value": value})
    elif _DOTTED.fullmatch(metric):
        _check_precise(superseded)
        if not _is_in_its_entry(release, superseded):
            holds = tag(rendered.version) if rendered else "no version"
            note = f"{superseded.shown} is not checked: dist/ holds {holds}"
    if calibration:
        run = calibration.evidence.run_sha256
        superseded = superseded.model_copy(update={"run_sha256": run})
    _check_news(release, superseded)
    return superseded, note


def _rendered(release: Release) -> Manifest | None:
    """Of the version that dist/ holds, when it holds one."""
    folder = release.dist / ROLES[0]
    return read_manifest(folder) if (folder / MANIFEST_FILE).exists() else None


def _check_name(metric: str, leaves: Mapping[str, Any]) -> None:
    """Refuse the name of a part: "cosine" would be any of a dozen numbers."""
    part = re.sub(r"[\s-]+", "_", metric.lower())
    if part in Calibration.model_fields:
        near = [name for name in leaves if name.startswith(f"{part}.")] or [f"{part}.mean"]
        raise ConfigError(
            f"{metric} is a section of calibration.json, not a number",
            hint=f"give the number's name, such as {near[0]}",
        )


def _found(superseded: SupersededNumber, leaves: Mapping[str, Any]) -> float:
    """The number as calibration.json has it; of an interval, the end that is meant."""
    metric = superseded.metric
    if metric not in leaves:
        near = difflib.get_close_matches(metric, leaves)
        raise ConfigError(
            f"{CALIBRATION_FILE} of {tag(superseded.version)} has no {metric}",
            hint=f"did you mean {' or '.join(near)}?" if near else None,
        )
    found = leaves[metric]
    numbers = [each for each in _numbers(found) if superseded.writes(each)]
    if not numbers:
        shown = " to ".join(map(str, found)) if isinstance(found, list) else found
        raise ConfigError(
            f"{metric} of {tag(superseded.version)} is {shown}, not {superseded.shown}",
            hint="give the number as it was published; it may be rounded",
        )
    if superseded.value not in numbers:
        _check_precise(superseded)
    return numbers[0]


def _numbers(found: Any) -> Iterator[float]:
    for each in found if isinstance(found, list) else [found]:
        if isinstance(each, int | float) and not isinstance(each, bool):
            yield float(each)


def _check_precise(superseded: SupersededNumber) -> None:
    if superseded.decimals < _DECIMALS and not superseded.metric.startswith("denominators."):
        raise ConfigError(
            f"{superseded.shown} does not identify one number",
            hint=f"give {_DECIMALS} decimals or more, or all digits of calibration.json",
        )


def _is_in_its_entry(release: Release, superseded: SupersededNumber) -> bool:
    """Whether the entry of a version in HISTORY.md holds the number."""
    entry = entries(read_history(release.history) or "").get(tag(superseded.version), "")
    return any(
        each.means(superseded.value) or superseded.writes(each.value)
        for each in literals(entry)
        if each.decimals >= _DECIMALS
    )


def _check_news(release: Release, superseded: SupersededNumber) -> None:
    """Refuse to retract a number twice.

    One metric may have several: the ends of an interval, and those that updates superseded.
    """
    records = [
        *(entry.record for entry in read_log(read_history(release.history) or "")),
        *(fragment.record for fragment in read_fragments(release.fragments)),
    ]
    for record in records:
        before = record.supersedes if record else None
        if (
            record
            and before
            and (before.version, before.metric) == (superseded.version, superseded.metric)
            and (before.writes(superseded.value) or superseded.writes(before.value))
        ):
            raise RefusedError(
                f"{superseded.metric} = {before.shown} of {tag(superseded.version)} is already"
                f" superseded, by the entry {record.id}",
                hint="to add a remark, use `nla-release history add`",
            )
