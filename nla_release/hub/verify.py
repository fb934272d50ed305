"""A release as a stranger finds it: downloaded by tag, past every cache, and judged.

What the files say of themselves is judged by the rules of `check`, and what the Hub says of them by
NLA704 to NLA706. One repository is enough for both: of its partner only release.json is read.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nla_release.contract.sidecar import Role
from nla_release.errors import RefusedError
from nla_release.gate import Measure, judge
from nla_release.gate.adapter import Adapter
from nla_release.gate.downloaded import Published
from nla_release.gate.findings import Finding
from nla_release.gate.model import Outcome, Verdict
from nla_release.gate.subject import Subject
from nla_release.hub.plan import Plan
from nla_release.hub.published_pair import Half, download, find, find_partner
from nla_release.hub_client.client import Say
from nla_release.hub_client.place import Place
from nla_release.hub_client.remote import Hub
from nla_release.release.config import Gates, Waiver
from nla_release.release.folder import ROLES, Release
from nla_release.release.signature import Publisher

# What verifying means: every byte is listed and no secret, the numbers are computed again and are
# those of the card, and both halves are of one push. Other rules may lack what no stranger has.
_INDISPENSABLE = frozenset(
    {
        "NLA501",
        "NLA502",
        "NLA504",
        "NLA513",
        "NLA514",
        "NLA601",
        "NLA602",
        "NLA701",
        "NLA703",
        "NLA704",
        "NLA705",
        "NLA706",
    }
)


@dataclass(frozen=True)
class Terms:
    """What a release is judged by: by default as strangers judge it, who know its files alone.

    `gates` and `waivers` are the author's own, of release.yaml. `tokenizer` is a tokenizer.json of
    the base, for the rules that replay prompts; `expected` the release id, known from elsewhere;
    `publisher` whose signature is demanded.
    """

    gates: Gates = field(default_factory=Gates)
    waivers: Sequence[Waiver] = ()
    tokenizer: Path | None = None
    expected: str | None = None
    publisher: Publisher | None = None

    @classmethod
    def of(cls, release: Release) -> "Terms":
        """The terms of the author, who has the release.yaml and may have the base."""
        local = release.base_path / "tokenizer.json" if release.base_path else None
        found = local if local and local.is_file() else None
        return cls(release.config.gates, release.config.waivers, found)


@dataclass(frozen=True)
class Verified:
    """The verdict on what was downloaded, its release id, and where each repository of it lies."""

    verdict: Verdict
    release_id: str | None
    folders: dict[Role, Path]


def verify(
    hub: Hub,
    place: Place,
    target: Path,
    terms: Terms,
    *,
    pair: bool,
    say: Say,
    measure: Measure | None = None,
) -> Verified:
    """Download a release into an empty folder, compare every byte, and judge it.

    Args:
        hub: where it is.
        place: one of its repositories, at its tag or a commit.
        target: the folder.
        terms: what it is judged by.
        pair: download its partner too, and judge both as a pair.
        say: is told what was downloaded.
        measure: measures rows of the evidence again, when asked to; it takes the pair.

    Raises:
        ConfigError: the place names no tag and no commit of a repository.
        NothingCheckedError: it holds no release.
        RefusedError: its files cannot lie in a folder of ours.
        EnvironmentProblem: it cannot be downloaded.
    """
    here = find(hub, place)
    partner = find_partner(hub, here)
    halves = {here.role: here}
    if pair and partner is not None:
        halves["ar" if here.role == "av" else "av"] = partner
    for role, half in halves.items():
        download(hub, half, target / role)
        size = sum(file.size for file in half.state.files.values())
        say(
            f"downloaded {half.place} ({half.state.head[:12]}):"
            f" {len(half.state.files)} files, {size:,} bytes"
        )
    subject = _subject(target, halves, here, partner, terms)
    verdict = judge(subject, waived=terms.waivers, measure=measure)
    names = {str(target / role): str(half.place) for role, half in halves.items()}
    outcomes = tuple(_renamed(_insisted(each, here), names) for each in verdict.outcomes)
    folders = {role: target / role for role in halves}
    return Verified(replace(verdict, outcomes=outcomes), here.tagged.release_id, folders)


def verify_published(plan: Plan, hub: Hub, terms: Terms) -> Verdict:
    """Verify both repositories of a push; a finding is an error.

    Raises:
        RefusedError: a byte differs, or a rule fails on what was published.
        EnvironmentProblem: it cannot be downloaded.
    """
    place = Place(plan.repos[0].repo, plan.tag)
    expected = replace(terms, expected=plan.release_id)
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        verdict = verify(hub, place, Path(name), expected, pair=True, say=_unsaid).verdict
    if verdict.verdict != "pass":
        # Other bytes than the release's are the reason for whatever else is found in them.
        first = sorted(verdict.findings, key=lambda each: each.code != "NLA701")
        worst = "; ".join(f"{each.code} {each.message}" for each in first[:4])
        raise RefusedError(
            f"what was published does not pass: {worst}",
            hint="run `nla-release check` on dist/ to see all findings",
        )
    return verdict


def _unsaid(line: str) -> None:
    """A rehearsal tells of itself."""


def _subject(
    target: Path, halves: dict[Role, Half], here: Half, partner: Half | None, terms: Terms
) -> Subject:
    adapters, published = [], []
    for role in (role for role in ROLES if role in halves):
        half = halves[role]
        other = partner if half is here else here
        adapters.append(Adapter(role, target / role, rendered=True))
        published.append(
            Published(
                adapters[-1],
                half.tagged,
                other.tagged if other else None,
                terms.expected,
                terms.publisher,
            )
        )
    return Subject(
        target,
        release=None,
        trained=(),
        rendered=tuple(adapters),
        tokenizer=terms.tokenizer,
        gates=terms.gates,
        published=tuple(published),
    )


def _insisted(outcome: Outcome, here: Half) -> Outcome:
    """An outcome that is no outcome is a finding, where verifying means to have one."""
    if outcome.rule.code not in _INDISPENSABLE or outcome.state != "skipped":
        return outcome
    missing = Finding(
        outcome.rule.code, "error", str(here.place), f"not verified: {'; '.join(outcome.skipped)}"
    )
    return replace(outcome, findings=(missing,))


def _renamed(outcome: Outcome, names: dict[str, str]) -> Outcome:
    """With the names of places instead of temporary folders."""

    def named(text: str) -> str:
        for folder, name in names.items():
            text = text.replace(folder, name)
        return text

    return replace(
        outcome,
        findings=tuple(
            replace(each, path=named(each.path), message=named(each.message))
            for each in outcome.findings
        ),
        skipped=tuple(map(named, outcome.skipped)),
        unverified=tuple(map(named, outcome.unverified)),
    )
