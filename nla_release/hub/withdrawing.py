"""A version that is withdrawn after it was published: the entry of the log, and both documents.

Nothing is rendered anew, which would take all that the version was made from: what the documents
say besides stays as it is, to the byte.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from nla_release.cards.blocks import block_places, marked, regenerated
from nla_release.cards.mended_front_matter import mended_front_matter, read_front_matter
from nla_release.contract.sidecar import Role
from nla_release.errors import ConfigError, InputError, RefusedError
from nla_release.history.log import Entry, Record, Withdrawn
from nla_release.history.retractions import (
    RETRACTING,
    WITHDRAWN,
    new_version,
    retracted_block,
    withdrawing,
    withdrawn_block,
)
from nla_release.hub_client.card_metadata import FRONT_MATTER
from nla_release.io.files import sha256_bytes
from nla_release.io.schema import parse
from nla_release.release.folder import tag
from nla_release.release.manifest import Manifest
from nla_release.text.sandbox import render_template

# Both documents list what was retracted under their history, which a calibration page may lack.
_HISTORY = re.compile(r"^## History\b.*$", re.MULTILINE)
_AFTER_THE_HISTORY = "\n## Addenda"

_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Withdrawal:
    """What is to be said: that a version does not stand, since when, why, and what to use."""

    version: str
    reason: str
    day: date
    successor: str | None = None
    repos: Mapping[Role, str] = field(default_factory=dict)

    @property
    def withdrawn(self) -> Withdrawn:
        """The same as the log records it.

        Raises:
            ConfigError: the reason is no line of plain text, or a name cannot be a repository's.
        """
        record = {"reason": self.reason, "successor": self.successor, "repos": dict(self.repos)}
        return parse(Withdrawn, record, "the retraction", error=ConfigError)


def withdrawal_entry(withdrawal: Withdrawal, log: Sequence[Entry]) -> str | None:
    """The entry that the log lacks; None when its last word on the version is this already.

    A successor that was named once is not taken back by leaving it out.
    """
    withdrawn = withdrawal.withdrawn
    last = withdrawing(log, withdrawal.version)
    said = last.record.withdraws if last and last.record else None
    if said and withdrawn.successor is None:
        named = {"successor": said.successor, "repos": said.repos}
        withdrawn = withdrawn.model_copy(update=named)
    if said == withdrawn:
        return None
    number = 1 + sum(
        1
        for entry in log
        if entry.record and entry.record.withdraws and entry.record.version == withdrawal.version
    )
    its_tag, record = tag(withdrawal.version), withdrawn.model_dump_json()
    told = Record(
        id=f"{_NOT_IN_AN_ID.sub('_', its_tag)}-retracted.{number}",
        date=withdrawal.day,
        kind="retraction",
        version=withdrawal.version,
        withdraws=withdrawn,
        source=sha256_bytes(record.encode()),
    )
    return render_template(
        "history_fragment.md.jinja",
        {
            "comment": told.comment(),
            "about": its_tag,
            "supersedes": None,
            "date": withdrawal.day.isoformat(),
            "kind": told.kind,
            # No two entries of a day have one heading, which is what cards link to.
            "title": f"{its_tag} is not to be used" + (f" ({number})" if number > 1 else ""),
            "prose": render_template(
                "withdrawn_prose.md.jinja",
                {"tag": its_tag, "sentence": withdrawn.sentence, **withdrawn.model_dump()},
            ).strip(),
        },
    )


def told_on_card(card: str, log: Sequence[Entry], manifest: Manifest) -> str:
    """A published card with what the log says of retractions by now.

    Args:
        card: README.md as it is published.
        log: HISTORY.md.
        manifest: the release.json beside the card.

    Raises:
        RefusedError: the card is damaged, so that nothing can be put into it.
    """
    card = _listed(card, log)
    if notice := withdrawn_block(log, manifest.version).get(WITHDRAWN):
        card = _with_block(card, WITHDRAWN, notice, _top(card))
    repo = new_version(log, manifest.version, manifest.role, manifest.repo)
    if repo is None:
        return card
    mended, _ = mended_front_matter(card, {"new_version": repo})
    if read_front_matter(mended).get("new_version") != repo:
        raise RefusedError(
            "README.md has metadata that new_version cannot be put into",
            hint="mend the YAML at its top on the Hub first",
        )
    return mended


def told_on_page(page: str, log: Sequence[Entry]) -> str:
    """A published RELEASE_CALIBRATION.md with what the log says of retractions by now.

    Raises:
        RefusedError: it is damaged, so that nothing can be put into it.
    """
    return _listed(page, log)


def _listed(document: str, log: Sequence[Entry]) -> str:
    """The document with the list of what was retracted, under its history."""
    text = retracted_block(log).get(RETRACTING)
    if text is None:
        return document
    headings = [] if RETRACTING in _places(document) else [*_HISTORY.finditer(document)]
    if headings or RETRACTING in _places(document):
        return _with_block(document, RETRACTING, text, headings[-1].end() if headings else 0)
    following = document.rfind(_AFTER_THE_HISTORY)
    at = len(document) if following < 0 else following
    return f"{document[:at]}\n## History\n\n{marked(RETRACTING, text)}\n{document[at:]}"


def _with_block(document: str, name: str, text: str, at: int) -> str:
    """The document with a generated block: in its place, or in a new one at an end of a line."""
    if name in _places(document):
        return regenerated(document, {name: text})
    return f"{document[:at]}\n\n{marked(name, text)}{document[at:]}"


def _top(document: str) -> int:
    """The end of the line that the metadata ends in; without any, of nothing."""
    found = FRONT_MATTER.match(document, int(document.startswith("\ufeff")))
    if found is None:
        raise RefusedError(
            "a card has no metadata at its top, so that no notice can be put under it",
            hint="add the metadata on the Hub first",
        )
    return found.end()


def _places(document: str) -> dict[str, slice]:
    try:
        return block_places(document)
    except InputError as error:
        raise RefusedError(
            f"a document was edited so that nothing can be put into it: {error.message}",
            hint="mend it on the Hub first; the comments `nla-release:...` mark what is generated",
        ) from error
