"""What a card says of what was retracted, and by which entry of the log.

Of numbers, and of whole versions, every card of the pair has a list. The card of a version that was
retracted itself says so above all else.
"""

from collections.abc import Sequence

from nla_release.contract.sidecar import Role
from nla_release.history.log import Entry
from nla_release.release.folder import tag
from nla_release.text.sandbox import render_template

# The generated block in which a document tells what was retracted.
RETRACTING = "retracted"

# The generated block at the top of a card whose version was retracted.
WITHDRAWN = "withdrawn"


def retracted_block(log: Sequence[Entry]) -> dict[str, str]:
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
    versions = [_withdrawal(entry) for entry in log if entry.record and entry.record.withdraws]
    if not (numbers or versions):
        return {}
    context = {"retracted": numbers, "versions": versions}
    return {RETRACTING: render_template("blocks/retracted.md.jinja", context).strip()}


def withdrawn_block(log: Sequence[Entry], version: str | None) -> dict[str, str]:
    """The generated block by its name; nothing when the log does not withdraw the version."""
    entry = withdrawing(log, version)
    if entry is None:
        return {}
    return {WITHDRAWN: render_template("blocks/withdrawn.md.jinja", _withdrawal(entry)).strip()}


def withdrawing(log: Sequence[Entry], version: str | None) -> Entry | None:
    """The entry that withdraws a version as a whole: the last one, which may name a successor."""
    found = [
        entry
        for entry in log
        if entry.record and entry.record.withdraws and entry.record.version == version
    ]
    return found[-1] if found else None


def new_version(log: Sequence[Entry], version: str, role: Role, repo: str) -> str | None:
    """The repository of the version to use instead, which the Hub links to from the old one.

    None when that is the same repository, `repo`: names need not hold the version.
    """
    entry = withdrawing(log, version)
    withdrawn = entry.record.withdraws if entry and entry.record else None
    named = withdrawn.repos.get(role) if withdrawn else None
    return None if named == repo else named


def _withdrawal(entry: Entry) -> dict[str, object]:
    """An entry that withdraws a version, for a template."""
    record = entry.record
    assert record is not None, "it withdraws"
    assert record.withdraws is not None, "it withdraws"
    assert record.version is not None, "Record makes sure of it"
    successor = record.withdraws.successor
    return {
        "tag": tag(record.version),
        "reason": record.withdraws.sentence,
        "successor": tag(successor) if successor else None,
        "repos": record.withdraws.repos,
        "date": record.date.isoformat(),
        "anchor": entry.anchor,
    }
