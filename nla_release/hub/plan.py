"""What a push would do, as data: the rendered release compared with the Hub.

`make_plan` only reads. `checked_plan` also asks what a push checks before its first write: token,
namespace and cards.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from nla_release.contract.sidecar import Role
from nla_release.errors import ConfigError, InputError, RefusedError
from nla_release.hub import blockers
from nla_release.hub.blockers import Blocker
from nla_release.hub.earlier_releases import look_back, own_commit, released
from nla_release.hub.hand_written import (
    NO_EDITS,
    HandWritten,
    merge_sections,
    sections_at,
    user_edits,
)
from nla_release.hub.staging import check_small_files
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import SYMBOLS, Change, FileChange, RemoteState, compare
from nla_release.hub_client.tokens import HOW_TO_SET_A_TOKEN
from nla_release.io.files import read_text
from nla_release.io.layout import CARD_FILE
from nla_release.io.log import log
from nla_release.release.folder import ROLES, check_version
from nla_release.release.manifest import Manifest, read_manifest, release_id


@dataclass(frozen=True)
class PushOptions:
    """Options of a push, as on the command line.

    Attributes:
        private: the visibility of new repositories; public by default. A repository that exists
            must have this visibility, unless it is None.
        overwrite_card: discard user edits of the cards on the Hub.
        allow_lower: publish a version below the last one.
        rebase: when others commit meanwhile, commit on top of their commits.
        replace_unfinished: replace another release that was committed and never tagged.
        addendum: `dist/` adds an evidence update to a published version.
    """

    private: bool | None = None
    overwrite_card: bool = False
    allow_lower: bool = False
    rebase: bool = False
    replace_unfinished: bool = False
    addendum: bool = False


@dataclass(frozen=True)
class RepoPlan:
    """The plan of one repository.

    Attributes:
        private: the visibility that it has or will have.
        head: the commit of main for which the plan was made; None if there is no repository.
        committed: the commit of main that an earlier push made for this release.
        parent: the parent of that commit, if this push sent it.
        tagged: the commit of the release's tag.
        files: compared with `tagged`, else `committed`, else `head`.
        card: user edits of the card on main; for a published version its `sections` are those
            of the published card.
        original: for an evidence update, the commit of the version's own tag, once its weights were
            found to be the same.
        notes: what could not be determined.
    """

    role: Role
    repo: str
    folder: Path
    manifest: Manifest
    private: bool
    head: str | None
    files: list[FileChange]
    committed: str | None = None
    parent: str | None = None
    tagged: str | None = None
    original: str | None = None
    card: HandWritten = NO_EDITS
    blockers: list[Blocker] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def visibility(self) -> str:
        """`private` as a word."""
        return "private" if self.private else "public"

    @property
    def left_alone(self) -> str | None:
        """What an evidence update leaves unchanged, as a sentence."""
        if self.original is None:
            return None
        version = f"{self.manifest.tag} ({self.original[:12]})"
        return f"weights, configuration and sidecar are those of {version}"

    @property
    def is_the_same(self) -> bool:
        """Whether the Hub has exactly the files of the release."""
        return all(file.change == "keep" for file in self.files)

    def named(self, *changes: Change) -> list[str]:
        """The names of files with one of these changes."""
        return [file.name for file in self.files if file.change in changes]


@dataclass(frozen=True)
class PushPlan:
    """The plan of both repositories of one version, AV first."""

    version: str
    tag: str
    release_id: str
    endpoint: str
    options: PushOptions
    repos: list[RepoPlan]

    @property
    def done(self) -> bool:
        """Whether both tags exist already, with these bytes."""
        return all(repo.tagged and repo.is_the_same for repo in self.repos)

    @property
    def blockers(self) -> list[Blocker]:
        """Why the push would be refused."""
        return [each for repo in self.repos for each in repo.blockers]

    @property
    def totals(self) -> dict[str, int]:
        """The number of files per change, of repositories to create, and of tags to set."""
        left = [repo for repo in self.repos if repo.tagged is None]
        files: dict[str, int] = {
            change: sum(len(repo.named(change)) for repo in left) for change in SYMBOLS
        }
        return {**files, "create": sum(repo.head is None for repo in left), "tag": len(left)}


def make_plan(dist: Path, version: str, hub: Hub, options: PushOptions | None = None) -> PushPlan:
    """Compare `dist/av` and `dist/ar` with the Hub.

    Raises:
        ConfigError: dist contains an evidence update and `addendum` is not set, or vice versa.
        InputError: dist is missing, of another version, or differs from release.json.
    """
    check_version(version)
    options = options or PushOptions()
    manifests = {role: _checked_manifest(dist / role, version) for role in ROLES}
    for manifest in manifests.values():
        _check_measured_settings_for(dist, manifest, options)
    identity = release_id(manifests.values())
    repos = [
        plan_repo(dist / role, manifest, identity, hub, options)
        for role, manifest in manifests.items()
    ]
    return PushPlan(version, manifests["av"].published_tag, identity, hub.endpoint, options, repos)


def plan_repo(
    folder: Path, manifest: Manifest, identity: str, hub: Hub, options: PushOptions
) -> RepoPlan:
    """The plan of one repository in its current state."""
    state = hub.state(manifest.repo)
    plan = RepoPlan(
        manifest.role,
        manifest.repo,
        folder,
        manifest,
        private=state.private if state else bool(options.private),
        head=state.head if state else None,
        files=compare(folder, manifest, state),
        blockers=[
            *blockers.other_visibility(manifest.repo, state, options.private),
            *(blockers.shadowed_tags(manifest, state) if state else []),
        ],
    )
    if manifest.addendum:
        if found := list(blockers.nothing_to_add_to(hub, folder, manifest, state)):
            return replace(plan, blockers=[*plan.blockers, *found])
        assert state is not None, "the version is published"
        plan = replace(plan, original=state.tags[manifest.tag])
    if state is None:
        return _after_the_last(replace(plan, blockers=_versions(plan, {}, options)), hub)
    if tagged := state.tags.get(manifest.published_tag):
        return _plan_published(plan, tagged, state, hub)
    if state.files and (committed := own_commit(hub, identity, folder, manifest)):
        card = _edited_since(plan, state, hub)
        return replace(plan, committed=committed, files=_kept(plan.files), card=card)
    return _plan_change(plan, state, hub, options)


def _plan_published(plan: RepoPlan, tagged: str, state: RemoteState, hub: Hub) -> RepoPlan:
    """The plan for a version with a tag: it stays as it is, and only sections are merged."""
    published = state if tagged == state.head else hub.state(plan.repo, tagged)
    assert published is not None, "a repository with a tag exists"
    card = _edited_since(plan, state, hub)
    plan = replace(plan, tagged=tagged, files=compare(plan.folder, plan.manifest, published))
    edited = CARD_FILE in plan.named("change")
    if edited and (sections := sections_at(hub, plan.repo, plan.folder, published)):
        return replace(plan, card=replace(card, sections=sections))
    found = blockers.other_bytes(plan.repo, plan.manifest.published_tag, plan.files)
    return replace(plan, card=card, blockers=[*plan.blockers, *found])


def _edited_since(plan: RepoPlan, state: RemoteState, hub: Hub) -> HandWritten:
    """Edits of the card on main since the release; its sections are for the next version."""
    if CARD_FILE not in plan.named("change"):
        return NO_EDITS
    earlier = released(hub, plan.repo, state)
    return replace(user_edits(hub, plan.repo, plan.folder, state, earlier), sections={})


def _plan_change(plan: RepoPlan, state: RemoteState, hub: Hub, options: PushOptions) -> RepoPlan:
    """The plan for a commit on top of main, with its blockers."""
    earlier, card = released(hub, plan.repo, state), NO_EDITS
    if CARD_FILE in plan.named("change"):
        card = user_edits(hub, plan.repo, plan.folder, state, earlier)
    found = [
        *plan.blockers,
        *blockers.nothing_to_commit(hub, plan.manifest, state, plan.files),
        *blockers.long_ids(plan.repo, state),
        *blockers.foreign_files(plan.repo, plan.files, earlier),
        *blockers.altering_attributes(hub, plan.repo, state),
        *blockers.lost_history(hub, plan.folder, plan.manifest, state),
        *_versions(plan, state.tags, options),
    ]
    if not options.replace_unfinished:
        found += blockers.unfinished(plan.repo, plan.files, earlier, state)
    if not options.overwrite_card:
        found += blockers.edited_card(plan.repo, state.head, card)
    plan = replace(plan, card=card, blockers=found)
    return plan if state.tags else _after_the_last(plan, hub)


def _after_the_last(plan: RepoPlan, hub: Hub) -> RepoPlan:
    """Compare HISTORY.md with earlier versions in repositories of their own."""
    if plan.role != "av":  # a pair has one HISTORY.md, in both
        return plan
    found, notes = look_back(hub, plan.folder, plan.manifest)
    return replace(plan, blockers=[*plan.blockers, *found], notes=[*plan.notes, *notes])


def _versions(plan: RepoPlan, tags: dict[str, str], options: PushOptions) -> list[Blocker]:
    if options.allow_lower or plan.original:  # an evidence update may be of an older version
        return []
    return list(blockers.lower_version(plan.folder, plan.manifest, tags))


def _kept(files: list[FileChange]) -> list[FileChange]:
    """The files of a release as unchanged."""
    return [replace(file, change="keep") for file in files if file.sha256]


def _check_measured_settings_for(dist: Path, manifest: Manifest, options: PushOptions) -> None:
    if manifest.addendum and not options.addendum:
        raise ConfigError(
            f"{dist} contains {manifest.published_tag}, an evidence update of a published version",
            hint="add --addendum to publish it",
        )
    if options.addendum and not manifest.addendum:
        raise ConfigError(
            f"{dist / manifest.role} contains {manifest.tag} without an evidence update",
            hint='`nla-release calibrate --addendum "why"` adds evidence; then render the same'
            " version again",
        )


def _checked_manifest(folder: Path, version: str) -> Manifest:
    manifest = read_manifest(folder)
    if manifest.version != version:
        raise InputError(
            f"{folder} was rendered as version {manifest.version}, not {version}",
            hint=f"run `nla-release render --version {version}` first",
        )
    check_small_files(folder, manifest)
    return manifest


def check_access(hub: Hub, repo: RepoPlan) -> list[str]:
    """Check that the token may write to a repository, or create it.

    Returns:
        Notes on what the Hub does not say.

    Raises:
        EnvironmentProblem: it may not, or the Hub cannot be reached.
    """
    if repo.head is None:
        hub.check_namespace(repo.repo)
        return []
    note = hub.check_write(repo.repo)
    return [note] if note else []


def check_card(hub: Hub, repo: RepoPlan) -> None:
    """Check that the Hub accepts the metadata of a card that will be committed.

    Raises:
        RefusedError: it does not.
    """
    if repo.committed is None:
        hub.check_card(repo.repo, read_text(repo.folder / CARD_FILE))


def merge_hand_written(plan: PushPlan) -> bool:
    """Merge hand-written sections from the Hub into `dist/`, and return whether there are any.

    So the card that is checked, listed in release.json and pushed is the same. The plan has to be
    made again afterwards.

    Raises:
        EnvironmentProblem: `dist/` cannot be written.
    """
    edited = [repo for repo in plan.repos if repo.card.sections]
    for repo in edited:
        merge_sections(repo.folder, repo.manifest, repo.card.sections)
        log.info(
            f"kept hand-written sections of {repo.repo} in {repo.folder / CARD_FILE}:"
            f" {', '.join(sorted(repo.card.sections))}"
        )
    return bool(edited)


def checked_plan(plan: PushPlan, hub: Hub) -> PushPlan:
    """The plan with the blockers that a push would find before its first write. Only reads."""
    return replace(
        plan, repos=[repo if repo.tagged else _checked(hub, repo) for repo in plan.repos]
    )


def _checked(hub: Hub, repo: RepoPlan) -> RepoPlan:
    notes: list[str] = []
    if not hub.token(repo.repo):
        found = [Blocker(f"{repo.repo}: there is no Hub token to publish with", HOW_TO_SET_A_TOKEN)]
    else:
        found = [
            *_refusals(lambda: notes.extend(check_access(hub, repo))),
            *_refusals(lambda: check_card(hub, repo)),
        ]
        if repo.head is None and not found and (note := hub.without_auth_check(repo.repo)):
            notes.append(note)
    return replace(repo, blockers=[*repo.blockers, *found], notes=[*repo.notes, *notes])


def _refusals(ask: Callable[[], None]) -> list[Blocker]:
    try:
        ask()
    except (DeniedError, RefusedError) as error:
        return [Blocker(error.message, error.hint or "")]
    return []
