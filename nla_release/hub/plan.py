"""What a push would do, as data: the rendered release against what is on the Hub."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from nla_release.contract.sidecar import Role
from nla_release.errors import ConfigError, InputError, RefusedError
from nla_release.hub import blockers
from nla_release.hub.blockers import Blocker
from nla_release.hub.earlier_releases import look_back, own_commit, released
from nla_release.hub.hand_written import (
    CARD_NAME,
    NOTHING,
    HandWritten,
    drift,
    merge_sections,
    parts_at,
)
from nla_release.hub.staging import small_differences
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import SYMBOLS, Change, FileChange, RemoteState, compare
from nla_release.hub_client.tokens import HOW_TO_SET_A_TOKEN
from nla_release.io.files import read_text
from nla_release.release.config import Waiver
from nla_release.release.folder import ROLES, check_version
from nla_release.release.manifest import Manifest, read_manifest
from nla_release.release.release_id import release_id


@dataclass(frozen=True)
class PushOptions:
    """What a person asked for: who may see new repositories, and what may be overridden.

    With `private` None new repositories are public, and existing ones are as they are. `waived` are
    the findings that release.yaml lets stand. With `addendum` the release is a version that is
    published with an addendum to it, and without it is none.
    """

    private: bool | None = None
    overwrite_card: bool = False
    allow_lower: bool = False
    rebase: bool = False
    replace_unfinished: bool = False
    waived: tuple[Waiver, ...] = ()
    addendum: bool = False


@dataclass(frozen=True)
class RepoPlan:
    """What happens to one repository.

    `private` is what it is or will be; `head` the commit of main that the plan was made against,
    None when there is no repository; `committed` the commit of main that holds exactly the
    release already, by a push; `parent` what it was put on, when this push sent it; `tagged` the
    commit that the release's tag points at. `files` are compared with `tagged`, else `committed`,
    else `head`. `card` is what people wrote into the card on main, but its `parts` those of the one
    that is published. `original` is the commit that the version's own tag points at, when an
    addendum is to be published that has been seen to leave its weights alone. `notes` are what
    could not be found out.
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
    card: HandWritten = NOTHING
    blockers: list[Blocker] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def visibility(self) -> str:
        """`private` in a word."""
        return "private" if self.private else "public"

    @property
    def left_alone(self) -> str | None:
        """What an addendum leaves as it is published, in words."""
        if self.original is None:
            return None
        version = f"{self.manifest.tag} ({self.original[:12]})"
        return f"weights, configuration and sidecar are those of {version}"

    @property
    def is_the_same(self) -> bool:
        """Whether what is there has exactly the files of the release."""
        return all(file.change == "keep" for file in self.files)

    def named(self, *changes: Change) -> list[str]:
        """Names of the files with one of these changes."""
        return [file.name for file in self.files if file.change in changes]


@dataclass(frozen=True)
class Plan:
    """Both repositories of one version."""

    version: str
    tag: str
    release_id: str
    endpoint: str
    options: PushOptions
    repos: list[RepoPlan]

    @property
    def done(self) -> bool:
        """Whether both tags are there already, with these bytes."""
        return all(repo.tagged and repo.is_the_same for repo in self.repos)

    @property
    def blockers(self) -> list[Blocker]:
        """Why the push would be refused."""
        return [each for repo in self.repos for each in repo.blockers]

    @property
    def totals(self) -> dict[str, int]:
        """How many files are to be added, changed and so on, repositories created and tags set."""
        left = [repo for repo in self.repos if repo.tagged is None]
        files: dict[str, int] = {
            change: sum(len(repo.named(change)) for repo in left) for change in SYMBOLS
        }
        return {**files, "create": sum(repo.head is None for repo in left), "tag": len(left)}


def make_plan(dist: Path, version: str, hub: Hub, options: PushOptions | None = None) -> Plan:
    """Compare `dist/av` and `dist/ar` with the Hub; reads only.

    Raises:
        ConfigError: dist holds an addendum and none was asked for, or the other way round.
        InputError: dist is missing, of another version, or its files are not as listed.
        EnvironmentProblem: the Hub cannot be reached.
    """
    check_version(version)
    options = options or PushOptions()
    manifests = {role: _checked_manifest(dist / role, version) for role in ROLES}
    for manifest in manifests.values():
        _check_asked_for(dist, manifest, options)
    identity = release_id(manifests.values())
    repos = [
        plan_repo(dist / role, manifest, identity, hub, options)
        for role, manifest in manifests.items()
    ]
    return Plan(version, manifests["av"].published_tag, identity, hub.endpoint, options, repos)


def plan_repo(
    folder: Path, manifest: Manifest, identity: str, hub: Hub, options: PushOptions
) -> RepoPlan:
    """The plan of one repository as it is now.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
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
    """A version that has its tag stays as it is; only what was kept in its card is taken over."""
    published = state if tagged == state.head else hub.state(plan.repo, tagged)
    assert published is not None, "a repository with a tag exists"
    card = _edited_since(plan, state, hub)
    plan = replace(plan, tagged=tagged, files=compare(plan.folder, plan.manifest, published))
    edited = CARD_NAME in plan.named("change")
    if edited and (parts := parts_at(hub, plan.repo, plan.folder, published)):
        return replace(plan, card=replace(card, parts=parts))
    found = blockers.other_bytes(plan.repo, plan.manifest.published_tag, plan.files)
    return replace(plan, card=card, blockers=[*plan.blockers, *found])


def _edited_since(plan: RepoPlan, state: RemoteState, hub: Hub) -> HandWritten:
    """Edits of the card on main, on top of the release; parts there are for the next version."""
    if CARD_NAME not in plan.named("change"):
        return NOTHING
    earlier = released(hub, plan.repo, state)
    return replace(drift(hub, plan.repo, plan.folder, state, earlier), parts={})


def _plan_change(plan: RepoPlan, state: RemoteState, hub: Hub, options: PushOptions) -> RepoPlan:
    """What a commit on top of main would do, and what stands in its way."""
    earlier, card = released(hub, plan.repo, state), NOTHING
    if CARD_NAME in plan.named("change"):
        card = drift(hub, plan.repo, plan.folder, state, earlier)
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
    """What nothing is published of here yet goes on from the version before, elsewhere."""
    if plan.role != "av":  # a pair has one HISTORY.md, in both
        return plan
    found, notes = look_back(hub, plan.folder, plan.manifest)
    return replace(plan, blockers=[*plan.blockers, *found], notes=[*plan.notes, *notes])


def _versions(plan: RepoPlan, tags: dict[str, str], options: PushOptions) -> list[Blocker]:
    if options.allow_lower or plan.original:  # an older version may have an addendum, too
        return []
    return list(blockers.lower_version(plan.folder, plan.manifest, tags))


def _kept(files: list[FileChange]) -> list[FileChange]:
    """The files of a release that are all there."""
    return [replace(file, change="keep") for file in files if file.sha256]


def _check_asked_for(dist: Path, manifest: Manifest, options: PushOptions) -> None:
    if manifest.addendum and not options.addendum:
        raise ConfigError(
            f"{dist} holds {manifest.published_tag}, an addendum to a version that is published",
            hint="add --addendum to publish it as such",
        )
    if options.addendum and not manifest.addendum:
        raise ConfigError(
            f"{dist / manifest.role} holds {manifest.tag} without an addendum",
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
    if wrong := small_differences(folder, manifest):
        raise InputError(
            f"{folder} is not as it was rendered: {'; '.join(wrong[:4])}",
            hint=f"run `nla-release render --version {version}` again",
        )
    return manifest


def check_access(hub: Hub, repo: RepoPlan) -> list[str]:
    """Make sure that the token may write to a repository, or create it.

    Returns:
        What the Hub cannot be asked, as sentences.

    Raises:
        EnvironmentProblem: it may not, or the Hub cannot be reached.
    """
    if repo.head is None:
        hub.check_namespace(repo.repo)
        return []
    note = hub.check_write(repo.repo)
    return [note] if note else []


def check_card(hub: Hub, repo: RepoPlan) -> None:
    """Make sure that the Hub accepts the metadata of a card that is to be committed.

    Raises:
        RefusedError: it does not.
        EnvironmentProblem: it cannot be asked.
    """
    if repo.committed is None:
        hub.check_card(repo.repo, read_text(repo.folder / CARD_NAME))


def take_over(plan: Plan) -> list[str]:
    """Merge hand-written sections from the Hub into `dist/`; returns a line per repository.

    So the card that is checked, listed in release.json and pushed is the same. The plan has to be
    made again afterwards.

    Raises:
        EnvironmentProblem: `dist/` cannot be written.
    """
    edited = [repo for repo in plan.repos if repo.card.parts]
    for repo in edited:
        merge_sections(repo.folder, repo.manifest, repo.card.parts)
    return [
        f"kept hand-written sections of {repo.repo} in {repo.folder / CARD_NAME}:"
        f" {', '.join(sorted(repo.card.parts))}"
        for repo in edited
    ]


def foreseen(plan: Plan, hub: Hub) -> Plan:
    """The plan with what a push would find out by its first questions; reads only.

    Raises:
        EnvironmentProblem: the Hub cannot be reached.
    """
    return replace(
        plan, repos=[repo if repo.tagged else _foreseen(hub, repo) for repo in plan.repos]
    )


def _foreseen(hub: Hub, repo: RepoPlan) -> RepoPlan:
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
