"""What a card says of numbers that were retracted, and by which entry of the log."""

from collections.abc import Sequence

from nla_release.cards.environment import render_template
from nla_release.cards.history import Entry
from nla_release.release import tag

# The generated block in which a document tells which numbers were retracted.
RETRACTING = "retracted"


def retracted_block(log: Sequence[Entry]) -> dict[str, str]:
    """The generated block by its name; nothing when the log retracts nothing."""
    retracted = [
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
    if not retracted:
        return {}
    text = render_template("blocks/retracted.md.jinja", {"retracted": retracted})
    return {RETRACTING: text.strip()}
