"""What `nla-release check` can mend by itself: what the files decide, and no person has to.

* `card` puts the card in order: its metadata, its generated blocks, its record in release.json.
* `front_matter` does the first of these, and keeps every word that is the author's.
* `head` turns a pickled AR head into safetensors and keeps the original elsewhere.
* `model` says what a fix is and writes one.

No fix touches a source of facts: sidecar, weights, evidence, calibration.json or HISTORY.md. A
number on a card is only brought in line with a calibration.json that its own evidence gives.
"""

from collections.abc import Iterator

from nla_release.fixes.card import card_fixes
from nla_release.fixes.head import head_fixes
from nla_release.fixes.model import Fix, LeftAlone, lies_in, write
from nla_release.gate.evidence import calibration_recomputed, evidence_of_these_files
from nla_release.gate.subject import Subject


def find_fixes(subject: Subject) -> list[Fix | LeftAlone]:
    """What can be mended, in the order in which to write it, and what cannot and why.

    Looks, and writes nothing. A subject without anything to mend gives an empty list.
    """
    return list(_found(subject))


def mended_on_cards(subject: Subject) -> set[str]:
    """The rules whose findings on cards a fix would mend. No pickle is looked into for it."""
    measured = bool(subject.rendered) and _is_measured(subject)
    return {
        code
        for adapter in subject.rendered
        if lies_in(adapter.folder, subject.folder)
        for fix in card_fixes(adapter, measured=measured)
        for code in fix.codes
    }


def _found(subject: Subject) -> Iterator[Fix | LeftAlone]:
    measured = bool(subject.rendered) and _is_measured(subject)
    for adapter in subject.adapters:
        if not lies_in(adapter.folder, subject.folder):
            reason = f"lies outside of {subject.folder}, or behind a link; nothing is written there"
            yield LeftAlone(adapter.folder, reason)
        elif adapter.rendered:
            yield from card_fixes(adapter, measured=measured)
        elif adapter.role == "ar":
            alone = adapter.folder == subject.folder
            home = subject.folder.resolve().parent if alone else subject.folder
            yield from head_fixes(adapter, home)


def _is_measured(subject: Subject) -> bool:
    """Whether evidence, numbers and files belong together, so that a card may be made of them."""
    sources = (evidence_of_these_files, calibration_recomputed)
    return all(rule.apply(subject, strict=False).state == "passed" for rule in sources)


__all__ = ["Fix", "LeftAlone", "find_fixes", "mended_on_cards", "write"]
