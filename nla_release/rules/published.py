"""NLA7xx, second half: a release as it was found on a Hub.

These rules are asked of a downloaded release only: files alone do not know where they come from.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from nla_release.cards.history import Entry
from nla_release.cards.retractions import withdrawing
from nla_release.hub.release_id import release_id
from nla_release.manifest import FILE_NAME, Manifest, PartnerRecord
from nla_release.release import HISTORY_FILE_NAME, tag
from nla_release.rules.adapter import Adapter
from nla_release.rules.model import Page, Problem, Scope, Skip, rule


@dataclass(frozen=True)
class Tagged:
    """A repository at a commit, and what it says of itself there.

    `release_id` is what the commit's description carries, and `others` are the commits before it
    that carry the id of another release with the same tag. `adapter_sha256` is what the Hub says
    of the weights' bytes. `manifest` is None without a sound release.json. `alterations` say how
    git would give people other bytes than the Hub does. `log` is HISTORY.md on main, which may tell
    more by now than that of the commit; None when it cannot be read.
    """

    repo: str
    commit: str
    tags: dict[str, str]
    release_id: str | None
    others: tuple[str, ...]
    adapter_sha256: str | None
    manifest: Manifest | None
    alterations: tuple[str, ...] = ()
    log: tuple[Entry, ...] | None = ()


@dataclass(frozen=True)
class Published:
    """A downloaded repository, and its partner as far as the Hub shows it.

    `partner` is None when its release.json names none that is there. `expected` is the release id
    that somebody who verifies knows from elsewhere.
    """

    adapter: Adapter
    here: Tagged
    partner: Tagged | None
    expected: str | None


# Of repositories whose release.json can be read: NLA701 says so of the others.
_PUBLISHED = Scope[Published](
    lambda subject: subject.published, "these files were not downloaded by nla-release verify"
)

_UNREADABLE = Skip(f"{FILE_NAME} cannot be used, see NLA701")


@rule(
    "NLA704",
    "error",
    "the tag points at the commit that a push of this release made",
    each=_PUBLISHED,
    page=Page(
        checks="On the Hub: release.json names the repository that it lies in; the tag that it"
        " names, with the last addendum that it lists (v0.0.1+cal.1), points at the commit that was"
        " downloaded; that commit carries the id of a release;"
        " and no line of .gitattributes alters files for those who clone. An earlier commit with"
        " another release of the same tag is a warning.",
        why="A tag of the Hub can be deleted and set again elsewhere, and readers load by it:"
        " nothing in the client or in PEFT notices (huggingface_hub's create_tag with exist_ok"
        " accepts a tag that points at another commit).",
        fix="Readers: ask the publisher, and load the commit that you have verified before."
        " Publishers: never move a tag; publish the next version.",
        example="v0.0.1 points at 7c1d2e3f4a5b, whose description has no NLA-Release-Id",
        waive="Never: it is verified for those who have nothing but the tag.",
    ),
)
def tag_stands(published: Published) -> Iterator[Problem | Skip]:
    """Repository, tag and commit against what release.json says of itself."""
    here, path = published.here, published.adapter.folder
    if here.manifest is None:
        yield _UNREADABLE
        return
    tag = here.manifest.published_tag
    if here.manifest.repo != here.repo:
        yield Problem(path / FILE_NAME, f"is of {here.manifest.repo}, and lies in {here.repo}")
    if here.tags.get(tag) != here.commit:
        there = f"points at {here.tags[tag][:12]}" if tag in here.tags else "does not exist"
        yield Problem(path, f"{tag} {there}; what was downloaded is {here.commit[:12]}")
    if here.release_id is None:
        yield Problem(
            path, f"{tag} points at {here.commit[:12]}, whose description has no NLA-Release-Id"
        )
    for alteration in here.alterations:
        yield Problem(path, alteration)
    for other in here.others:
        yield Problem(
            path,
            f"{other[:12]} is another release that was to be {tag}; the tag may have been moved",
            "warning",
        )


@rule(
    "NLA705",
    "error",
    "both repositories are of one push",
    each=_PUBLISHED,
    page=Page(
        checks="On the Hub: the partner that release.json names is there, at its tag; its"
        " release.json names this repository, tag and adapter in turn; its weights are those that"
        " were recorded; and the sha256 over both release.json files is the release id that both"
        " commits carry, and the one given with --expect.",
        why="The two repositories of a pair are linked by name only in every release before this"
        " tool, so that one of them can be replaced without a trace. Whoever can write to one"
        " repository cannot make the other's commit agree.",
        fix="Readers: do not load the pair; ask the publisher. Publishers: publish both again as"
        " the next version.",
        example="the release id over both release.json is 136f2e28a1b2, the commit of"
        " someone/tiny-nla-av-v0_0_1 carries bb813b8e9c0d",
        waive="Never: a pair is published as one unit.",
    ),
)
def one_push(published: Published) -> Iterator[Problem | Skip]:
    """The partner's words against this repository's, and one id over both."""
    here, partner = published.here, published.partner
    path = published.adapter.folder / FILE_NAME
    if here.manifest is None:
        yield _UNREADABLE
        return
    if partner is None or partner.manifest is None:
        named = here.manifest.partner
        why = "cannot be seen" if partner is None else f"has no sound {FILE_NAME}"
        yield Problem(path, f"the partner {named.repo} at {here.manifest.partner_tag} {why}")
        return
    if here.manifest.role == partner.manifest.role:
        yield Problem(path, f"{here.repo} and its partner are both {here.manifest.role.upper()}")
    for message in (
        *_records(here.repo, here.manifest.partner, partner, partner.manifest.tag),
        *_records(partner.repo, partner.manifest.partner, here, here.manifest.tag),
        *_ids(published, release_id([here.manifest, partner.manifest])),
    ):
        yield Problem(path, message)


@rule(
    "NLA706",
    "error",
    "nobody retracted the version since",
    each=_PUBLISHED,
    page=Page(
        checks="HISTORY.md on the main branch, of this repository and of its partner, does not"
        " retract this version as a whole. A log that cannot be read is a warning.",
        why="A tag stays as it was published, so who loads by it never sees what its authors say"
        " later: the retractions of SolshineCode/nla-gemma-4-e2b stand in documents of another"
        " repository than the weights.",
        fix="Load the version that the entry names instead. Publishers: a retraction is not taken"
        " back; publish the next version.",
        example="v0.0.1 was retracted on 2026-12-01: evaluated at another scale; use v0.0.2",
        waive="Never: to use it all the same is the reader's choice.",
    ),
)
def not_retracted(published: Published) -> Iterator[Problem | Skip]:
    """The logs on both main branches."""
    here, path = published.here, published.adapter.folder / HISTORY_FILE_NAME
    if here.manifest is None:
        yield _UNREADABLE
        return
    said = set()
    for tagged in filter(None, (here, published.partner)):
        if tagged.log is None:
            yield Problem(path, f"cannot be read on main of {tagged.repo}", "warning")
            continue
        entry = withdrawing(tagged.log, here.manifest.version)
        if entry and entry.record and (withdrawn := entry.record.withdraws):
            instead = f"; use {tag(withdrawn.successor)}" if withdrawn.successor else ""
            said.add(
                f"{here.manifest.tag} was retracted on {entry.day}: {withdrawn.reason}{instead}"
            )
    for message in sorted(said):
        yield Problem(path, message)


def _records(repo: str, recorded: PartnerRecord, other: Tagged, tag: str) -> Iterator[str]:
    """What a repository says of its partner's name, tag and weights, against what is there."""
    if (recorded.repo, recorded.tag) != (other.repo, tag):
        yield (
            f"{repo} names {recorded.repo} {recorded.tag} as its partner, not {other.repo} {tag}"
        )
    if other.adapter_sha256 not in (None, recorded.adapter_sha256):
        yield (
            f"{repo} was released with weights {recorded.adapter_sha256[:12]}, {other.repo} holds"
            f" {other.adapter_sha256[:12]}"
        )


def _ids(published: Published, identity: str) -> Iterator[str]:
    """The id over both release.json files against what is known of it."""
    for tagged in (published.here, published.partner):
        if tagged is not None and tagged.release_id != identity:
            carried = (tagged.release_id or "none")[:12]
            yield (
                f"the release id over both {FILE_NAME} is {identity[:12]}, the commit of"
                f" {tagged.repo} carries {carried}"
            )
    if published.expected not in (None, identity):
        yield f"the release id is {identity[:12]}, not {published.expected[:12]} as expected"
