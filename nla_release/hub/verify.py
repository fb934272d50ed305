"""Verify a published release independently: download it by tag without any cache, and check it.

The rules of `check` run on the files, and NLA704 to NLA706 on what the Hub says about them. One
repository is enough; of its partner only release.json is read.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nla_release.contract.sidecar import Role
from nla_release.errors import RefusedError
from nla_release.gate import Measure, apply_rules
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.findings import Finding
from nla_release.gate.model import Outcome, Verdict
from nla_release.gate.subject import Published, Subject
from nla_release.hub.plan import PushPlan
from nla_release.hub.published_pair import PublishedRepo, download, find, find_partner
from nla_release.hub_client.place import HubPlace
from nla_release.hub_client.remote import Hub
from nla_release.io.log import log
from nla_release.release.config import Gates, Waiver
from nla_release.release.folder import ROLES, Release
from nla_release.release.signature import Publisher

# Rules that must not be skipped: every file is listed and free of secrets, the card shows the
# recomputed numbers, and both repositories come from one push. Other rules may need local files.
_REQUIRED = frozenset(
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
class VerifyOptions:
    """What a release is checked against; by default only its own files.

    Attributes:
        gates: the author's gates, from release.yaml.
        waivers: the author's waivers, from release.yaml.
        tokenizer: a tokenizer.json of the base, for the rules that replay prompts.
        expected: the release id, if it is known.
        publisher: the signer that is required.
    """

    gates: Gates = field(default_factory=Gates)
    waivers: Sequence[Waiver] = ()
    tokenizer: Path | None = None
    expected: str | None = None
    publisher: Publisher | None = None

    @classmethod
    def of(cls, release: Release) -> "VerifyOptions":
        """The options of the author, who has release.yaml and perhaps a local base."""
        local = release.base_path / "tokenizer.json" if release.base_path else None
        found = local if local and local.is_file() else None
        return cls(release.config.gates, release.config.waivers, found)


@dataclass(frozen=True)
class VerifyResult:
    """What verifying a published release found.

    Attributes:
        verdict: the verdict, with its findings and what was skipped.
        release_id: the id that ties both repositories to one push; None if the commit has none.
        folders: the folder of each downloaded repository; empty if they are deleted again.
        loaded: what was loaded with PEFT, if that was asked for and the release passes.
    """

    verdict: Verdict
    release_id: str | None
    folders: dict[Role, Path]
    loaded: str | None = None


def verify(
    hub: Hub,
    place: HubPlace,
    target: Path,
    options: VerifyOptions,
    *,
    pair: bool,
    measure: Measure | None = None,
) -> VerifyResult:
    """Download a release into an empty folder, compare every byte, and check it.

    Args:
        hub: where it is published.
        place: one of its repositories, at a tag or commit.
        target: the folder.
        options: what it is checked against.
        pair: also download the partner, and check both as a pair.
        measure: measures rows of the evidence again, if requested; needs the pair.

    Raises:
        ConfigError: the place names no tag and no commit.
        NothingCheckedError: it contains no release.
        RefusedError: it contains unsafe file names, or files that release.json does not list.
        EnvironmentProblem: it cannot be downloaded.
    """
    here = find(hub, place)
    partner = find_partner(hub, here)
    repos = {here.role: here}
    if pair and partner is not None:
        repos["ar" if here.role == "av" else "av"] = partner
    for role, repo in repos.items():
        download(hub, repo, target / role)
        size = sum(file.size for file in repo.state.files.values())
        log.info(
            f"downloaded {repo.place} ({repo.state.head[:12]}):"
            f" {len(repo.state.files)} files, {size:,} bytes"
        )
    subject = _subject(target, repos, here, partner, options)
    verdict = apply_rules(subject, waived=options.waivers, measure=measure)
    names = {str(target / role): str(repo.place) for role, repo in repos.items()}
    outcomes = tuple(_renamed(_required(each, here), names) for each in verdict.outcomes)
    folders = {role: target / role for role in repos}
    return VerifyResult(replace(verdict, outcomes=outcomes), here.tagged.release_id, folders)


def verify_published(plan: PushPlan, hub: Hub, options: VerifyOptions) -> Verdict:
    """Verify both repositories of a push.

    Raises:
        RefusedError: a file differs, or a rule fails on what was published.
        EnvironmentProblem: it cannot be downloaded.
    """
    place = HubPlace(plan.repos[0].repo, plan.tag)
    options = replace(options, expected=plan.release_id)
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        verdict = verify(hub, place, Path(name), options, pair=True).verdict
    if verdict.verdict != "pass":
        # Changed files cause the other findings.
        first = sorted(verdict.findings, key=lambda each: each.code != "NLA701")
        worst = "; ".join(f"{each.code} {each.message}" for each in first[:4])
        raise RefusedError(
            f"what was published does not pass: {worst}",
            hint="run `nla-release check` on dist/ to see all findings",
        )
    return verdict


def _subject(
    target: Path,
    repos: dict[Role, PublishedRepo],
    here: PublishedRepo,
    partner: PublishedRepo | None,
    options: VerifyOptions,
) -> Subject:
    adapters, published = [], []
    for role in (role for role in ROLES if role in repos):
        repo = repos[role]
        other = partner if repo is here else here
        adapters.append(AdapterFolder(role, target / role, rendered=True))
        published.append(
            Published(
                adapters[-1],
                repo.tagged,
                other.tagged if other else None,
                options.expected,
                options.publisher,
            )
        )
    return Subject(
        target,
        release=None,
        trained=(),
        rendered=tuple(adapters),
        tokenizer=options.tokenizer,
        gates=options.gates,
        published=tuple(published),
    )


def _required(outcome: Outcome, here: PublishedRepo) -> Outcome:
    """The outcome, with a finding if an required rule was skipped."""
    if outcome.rule.code not in _REQUIRED or outcome.state != "skipped":
        return outcome
    missing = Finding(
        outcome.rule.code, "error", str(here.place), f"not verified: {'; '.join(outcome.skipped)}"
    )
    return replace(outcome, findings=(missing,))


def _renamed(outcome: Outcome, names: dict[str, str]) -> Outcome:
    """The outcome with the names of repositories instead of temporary folders."""

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
