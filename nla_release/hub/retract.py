"""Retract a published version: both cards say so, and nothing is deleted.

Everything is read from the Hub, so a version can be retracted long after its folder is gone. The
retraction is an entry in HISTORY.md. Cards, RELEASE_CALIBRATION.md and release.json are updated to
match; the rest of each file stays byte for byte. Each repository gets one commit on top of main,
and tags stay where they are. The same command continues a retraction that stopped in between.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from nla_release.cards.blocks import block_places, marked, regenerated
from nla_release.cards.front_matter import corrected_front_matter, read_front_matter
from nla_release.contract.sidecar import Role
from nla_release.errors import ConfigError, InputError, RefusedError
from nla_release.history.log import (
    HistoryEntry,
    Record,
    RetractedVersion,
    append,
    read_log,
    sentence,
)
from nla_release.history.retractions import (
    RETRACTED,
    RETRACTED_VERSION,
    new_version,
    retracted_block,
    retracted_version_block,
    retraction_of,
    retractions_of,
)
from nla_release.hub.earlier_releases import described, other_logs, released, unexpected_parent
from nla_release.hub.run import HubRun
from nla_release.hub.staging import checked_payload
from nla_release.hub_client.card_metadata import FRONT_MATTER
from nla_release.hub_client.client_errors import DeniedError
from nla_release.hub_client.remote import Hub
from nla_release.hub_client.remote_state import RemoteState
from nla_release.io.files import sha256_bytes, write_atomic
from nla_release.io.layout import (
    CALIBRATION_PAGE_FILE,
    CARD_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    SIGNATURE_FILE,
)
from nla_release.io.log import log
from nla_release.io.schema import parse
from nla_release.release.folder import ROLES, tag
from nla_release.release.manifest import FileRecord, Manifest, dump_manifest, release_id, trailers
from nla_release.text.sandbox import render_template

# Both documents list retractions under their history, which a calibration page may lack.
_HISTORY = re.compile(r"^## History\b.*$", re.MULTILINE)
_AFTER_THE_HISTORY = "\n## Addenda"

_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Retraction:
    """That a version is retracted: since when, why, and which version to use instead."""

    version: str
    reason: str
    day: date
    successor: str | None = None
    repos: Mapping[Role, str] = field(default_factory=dict)

    @property
    def retracted_version(self) -> RetractedVersion:
        """The record for HISTORY.md.

        Raises:
            ConfigError: the reason is not one line of plain text, or a repository name is invalid.
        """
        record = {"reason": self.reason, "successor": self.successor, "repos": dict(self.repos)}
        return parse(RetractedVersion, record, "the retraction", error=ConfigError)


@dataclass(frozen=True)
class RepoRetraction:
    """One repository as it is on main, and its new files."""

    role: Role
    repo: str
    state: RemoteState
    manifest: Manifest
    files: dict[str, str] = field(default_factory=dict)
    edited: bool = False  # the card was edited on the Hub; apart from the notice it stays as it is

    @property
    def removed(self) -> list[str]:
        """The signature on main, which signs the earlier release.json; at the tag it stays."""
        stale = self.files and SIGNATURE_FILE in self.state.files
        return [SIGNATURE_FILE] if stale else []

    @property
    def done(self) -> bool:
        """Whether it is marked as retracted already."""
        return not self.files


@dataclass(frozen=True)
class RetractionPlan:
    """The changes of both repositories, and the log with the retraction."""

    retraction: Retraction
    history: str
    repos: list[RepoRetraction]
    note: str | None = None  # what could not be read

    @property
    def done(self) -> bool:
        """Whether both are marked as retracted already."""
        return all(repo.done for repo in self.repos)


def plan_retraction(
    hub: Hub, repos: dict[Role, str], retraction: Retraction, history: str | None
) -> RetractionPlan:
    """What a retraction would change. Only reads from the Hub.

    The entry is appended to the longest log: the one next to release.yaml, or that of any version's
    repository. All other logs must be prefixes of it.

    Args:
        hub: where the version is published.
        repos: the version's repositories.
        retraction: the retraction.
        history: HISTORY.md next to release.yaml.

    Raises:
        ConfigError: the reason or a repository name is invalid.
        RefusedError: the version or its successor is not published, the successor is retracted,
            main contains no valid release, or the logs contradict each other.
    """
    found = {role: _on_main(hub, role, repos[role], retraction.version) for role in ROLES}
    for repo in retraction.repos.values():
        _check_published(repo, hub.state(repo), retraction.successor or "")
    logs = {each.repo: _read(hub, each, HISTORY_FILE) for each in found.values()}
    others, note = _other_logs(hub, found["av"].manifest)
    here = {f"{HISTORY_FILE} here": history} if history is not None else {}
    longest = _longest({**others, **logs, **here})
    log = read_log(longest)
    if retraction.successor and retraction_of(log, retraction.successor):
        raise RefusedError(
            f"{tag(retraction.successor)} is retracted itself, and cannot be the successor",
            hint="name a version that is not retracted, or none",
        )
    entry = retraction_entry(retraction, log)
    history = append(longest, "", [entry]) if entry else longest
    last = retraction_of(read_log(history), retraction.version)
    plans = []
    for each in found.values():
        own = retraction_of(read_log(logs[each.repo]), retraction.version)
        has_it = own is not None and last is not None and own.record == last.record
        plans.append(_changed(hub, each, logs[each.repo] if has_it else history))
    return RetractionPlan(retraction, history, plans, note)


def _on_main(hub: Hub, role: Role, repo: str, version: str) -> RepoRetraction:
    """A repository of a published version as it is on main."""
    state = _check_published(repo, hub.state(repo), version)
    manifest = released(hub, repo, state)
    if manifest is None or (manifest.role, manifest.repo) != (role, repo):
        raise RefusedError(
            f"{repo}: main ({state.head[:12]}) has no {MANIFEST_FILE} of this repository",
            hint="it was changed since it was published; restore the release first",
        )
    return RepoRetraction(role, repo, state, manifest)


def _check_published(repo: str, state: RemoteState | None, version: str) -> RemoteState:
    if state is None or tag(version) not in state.tags:
        raise RefusedError(
            f"{repo}: {tag(version)} is not published"
            + (f"; its tags are {', '.join(sorted(state.tags))}" if state and state.tags else ""),
            hint="only a published version can be retracted; check the version and the names",
        )
    return state


def _other_logs(hub: Hub, manifest: Manifest) -> tuple[dict[str, str], str | None]:
    """The logs of other versions, or why they could not be read."""
    try:
        return other_logs(hub, manifest), None
    except DeniedError as error:
        return {}, f"the logs of other versions could not be read: {error.message}"


def _longest(logs: dict[str, str]) -> str:
    """The log of which all others are prefixes."""
    where = max(logs, key=lambda name: len(logs[name]))
    for name, text in logs.items():
        if not logs[where].startswith(text):
            raise RefusedError(
                f"{HISTORY_FILE} mismatch: {name} is not a prefix of {where}",
                hint=f"put the longest published {HISTORY_FILE} next to release.yaml",
            )
    return logs[where]


def _changed(hub: Hub, repo: RepoRetraction, history: str) -> RepoRetraction:
    """A repository with the files that the log changes."""
    names = [CARD_FILE, HISTORY_FILE]
    if CALIBRATION_PAGE_FILE in repo.state.files:
        names.append(CALIBRATION_PAGE_FILE)
    before, log = {name: _read(hub, repo, name) for name in names}, read_log(history)
    after = {
        CARD_FILE: retracted_card(before[CARD_FILE], log, repo.manifest),
        HISTORY_FILE: history,
    }
    if CALIBRATION_PAGE_FILE in before:
        after[CALIBRATION_PAGE_FILE] = retracted_page(before[CALIBRATION_PAGE_FILE], log)
    repo = replace(repo, edited=repo.manifest.files.get(CARD_FILE) != record_of(before[CARD_FILE]))
    changed = {name: text for name, text in after.items() if text != before[name]}
    if not changed:
        return repo
    records = {name: record_of(text) for name, text in after.items()}
    if repo.edited:  # the next push must still detect the edits
        del records[CARD_FILE]
    manifest = repo.manifest.model_copy(update={"files": {**repo.manifest.files, **records}})
    changed[MANIFEST_FILE] = dump_manifest(manifest)
    return replace(repo, files=changed, manifest=manifest)


def _read(hub: Hub, repo: RepoRetraction, name: str) -> str:
    """A text file on main, which must be there."""
    try:
        if name not in repo.state.files:
            raise InputError(f"{name} is missing")
        return hub.read(repo.repo, name, repo.state)
    except InputError as error:
        raise RefusedError(
            f"{repo.repo}: on main ({repo.state.head[:12]}), {error.message}",
            hint="it was changed since it was published; restore it first",
        ) from error


def record_of(text: str) -> FileRecord:
    """The entry of a text file in release.json."""
    content = text.encode()
    return FileRecord(sha256=sha256_bytes(content), size=len(content))


def retraction_lines(plan: RetractionPlan) -> Iterator[str]:
    """Each repository with the files that change, and what stays."""
    its_tag = tag(plan.retraction.version)
    for repo in plan.repos:
        yield f"{repo.role}  {repo.repo}  main {repo.state.head[:12]}"
        yield f"  {its_tag} stays at {repo.state.tags[its_tag][:12]}; nothing is deleted"
        for name in sorted(repo.files):
            yield f"  ~ {name}"
        if repo.done:
            yield "  is marked as retracted already"
        elif repo.edited:
            yield "  README.md was edited on the Hub since the push: that text stays"
        if repo.manifest.version != plan.retraction.version:
            yield f"  main holds {repo.manifest.tag}, whose card lists {its_tag} as retracted"


def retract(plan: RetractionPlan, hub: Hub) -> dict[Role, str]:
    """Execute a plan; returns the new commit of each repository that was changed.

    Raises:
        RefusedError: somebody commits meanwhile, or the Hub refuses the files.
        EnvironmentProblem: the token may not write, or the Hub cannot be reached.
        PartlyPublishedError: one of these, after one repository was changed.
        KeyboardInterrupt: after a report of which repositories were changed.
    """
    if plan.done:
        log.info(
            f"retracted already, nothing to do: {' and '.join(each.repo for each in plan.repos)}"
        )
        return {}
    examine(plan, hub)
    for repo in plan.repos:
        if not repo.done and (note := hub.check_write(repo.repo)):
            log.note(note)
    its_tag = tag(plan.retraction.version)
    identity = release_id(repo.manifest for repo in plan.repos)
    run = _RetractRun(hub, f"Retract {its_tag}", identity)
    commits: dict[Role, str] = {}
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        folders = {repo.role: _staged(repo, Path(name) / repo.role) for repo in plan.repos}
        try:
            for repo in plan.repos:
                if repo.done:
                    run.public.append(f"{repo.repo} is marked as retracted already")
                    continue
                commits[repo.role] = run.change(repo, folders[repo.role])
                log.info(f"retracted {its_tag} in {run.public[-1]}")
        except KeyboardInterrupt:
            log.info(f"interrupted. Public so far: {run.public_summary}")
            raise
        except Exception as error:  # of any kind: what is public must be reported
            if not (run.public or run.uncertain):
                raise
            raise run.partly_published(error) from error
    return commits


def examine(plan: RetractionPlan, hub: Hub) -> None:
    """Check the new files before anything is written.

    Raises:
        RefusedError: one of them contains a secret, or the Hub refuses a card.
    """
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        for repo in plan.repos:
            if not repo.done:
                checked_payload(_staged(repo, Path(name) / repo.role), repo.role)
                if CARD_FILE in repo.files:
                    hub.check_card(repo.repo, repo.files[CARD_FILE])


@dataclass
class _RetractRun(HubRun):
    """A retraction in progress, and which repositories are changed."""

    message: str
    identity: str
    public: list[str] = field(default_factory=list)

    @property
    def public_summary(self) -> str:
        """What anyone can see already."""
        left = [f"whether {self.uncertain} is changed is not known"] if self.uncertain else []
        return "; ".join([*self.public, *left]) or "nothing"

    def change(self, repo: RepoRetraction, folder: Path) -> str:
        """Commit the new files and check the result; returns the commit.

        Raises:
            RefusedError: main differs from what was sent, or another commit was overwritten.
        """
        parent = repo.state.head
        made = self.commit_once(
            repo.repo,
            parent,
            send=lambda: self._send(repo, folder),
            arrived=lambda: self._arrived(repo, folder),
            hint="run the same command again: it reads main again",
        )
        self.public.append(f"{repo.repo} ({made[:12]})")
        state = self.seen(repo.repo)
        if not _is_changed(repo, folder, state):
            raise RefusedError(
                f"{repo.repo}: main ({state.head[:12]}) differs from what was sent",
                hint="look at its last commits; the tags are unchanged",
            )
        below = unexpected_parent(self.hub.commits(repo.repo), made, parent)
        if below is not None:
            raise RefusedError(
                f"{repo.repo}: the Hub put the retraction on top of a commit that it should have"
                f" refused it for: {described(below)}",
                hint="look at what that commit changed, and restore what the retraction undid",
            )
        return made

    def _arrived(self, repo: RepoRetraction, folder: Path) -> str | None:
        state = self.seen(repo.repo)
        return state.head if _is_changed(repo, folder, state) else None

    def _send(self, repo: RepoRetraction, folder: Path) -> str:
        payload = {name: record_of(text) for name, text in repo.files.items()}
        with self.hub.additions(folder, payload) as additions:
            self.hub.upload(repo.repo, additions)
            return self.hub.commit(
                repo.repo,
                additions,
                repo.removed,
                message=self.message,
                description=trailers(self.identity, repo.state.head),
                parent=repo.state.head,
            )


def _staged(repo: RepoRetraction, folder: Path) -> Path:
    """A folder with the files to upload."""
    folder.mkdir()
    for name, text in repo.files.items():
        write_atomic(folder / name, text)
    return folder


def _is_changed(repo: RepoRetraction, folder: Path, state: RemoteState) -> bool:
    """Whether a tree is the earlier one with exactly these files changed."""
    others = state.files.keys() - repo.files.keys()
    return (
        others == repo.state.files.keys() - repo.files.keys() - set(repo.removed)
        and all(state.files[name] == repo.state.files[name] for name in others)
        and all(
            name in state.files and state.files[name].is_same_as(folder / name)
            for name in repo.files
        )
        and repo.state.tags.items() <= state.tags.items()
    )


def retraction_entry(retraction: Retraction, log: Sequence[HistoryEntry]) -> str | None:
    """The new entry for the log; None if its last entry for the version says the same.

    A retraction without a successor keeps the successor of an earlier entry.
    """
    retracted = retraction.retracted_version
    entries = retractions_of(log, retraction.version)
    earlier = entries[-1].retracted_version if entries else None
    if earlier and retracted.successor is None:
        named = {"successor": earlier.successor, "repos": earlier.repos}
        retracted = retracted.model_copy(update=named)
    if earlier == retracted:
        return None
    number = len(entries) + 1
    its_tag = tag(retraction.version)
    record = Record(
        id=f"{_NOT_IN_AN_ID.sub('_', its_tag)}-retracted.{number}",
        date=retraction.day,
        kind="retraction",
        version=retraction.version,
        withdraws=retracted,
        source=sha256_bytes(retracted.model_dump_json().encode()),
    )
    return render_template(
        "history_fragment.md.jinja",
        {
            "comment": record.comment(),
            "about": its_tag,
            "supersedes": None,
            "date": retraction.day.isoformat(),
            "kind": record.kind,
            # Headings must differ, because cards link to them.
            "title": f"{its_tag} is not to be used" + (f" ({number})" if number > 1 else ""),
            "prose": render_template(
                "retracted_version_entry.md.jinja",
                {"tag": its_tag, "sentence": sentence(retracted.reason), **retracted.model_dump()},
            ).strip(),
        },
    )


def retracted_card(card: str, log: Sequence[HistoryEntry], manifest: Manifest) -> str:
    """A published card, updated with all retractions in the log.

    Args:
        card: README.md as published.
        log: HISTORY.md.
        manifest: the release.json of the same repository.

    Raises:
        RefusedError: the card cannot be updated.
    """
    card = retracted_page(card, log)
    if notice := retracted_version_block(log, manifest.version).get(RETRACTED_VERSION):
        card = _with_block(card, RETRACTED_VERSION, notice, _top(card))
    repo = new_version(log, manifest.version, manifest.role, manifest.repo)
    if repo is None:
        return card
    card, _ = corrected_front_matter(card, {"new_version": repo})
    if read_front_matter(card).get("new_version") != repo:
        raise RefusedError(
            "README.md: new_version cannot be added to the metadata",
            hint="fix the YAML at the top of the card on the Hub first",
        )
    return card


def retracted_page(document: str, log: Sequence[HistoryEntry]) -> str:
    """A card or calibration page with the list of retractions under its history.

    Raises:
        RefusedError: the document cannot be updated.
    """
    text = retracted_block(log).get(RETRACTED)
    if text is None:
        return document
    headings = [*_HISTORY.finditer(document)]
    if headings or RETRACTED in _places(document):
        return _with_block(document, RETRACTED, text, headings[-1].end() if headings else 0)
    following = document.rfind(_AFTER_THE_HISTORY)
    at = len(document) if following < 0 else following
    return f"{document[:at]}\n## History\n\n{marked(RETRACTED, text)}\n{document[at:]}"


def _with_block(document: str, name: str, text: str, at: int) -> str:
    """The document with a generated block: replaced, or inserted at `at`, the end of a line."""
    if name in _places(document):
        return regenerated(document, {name: text})
    return f"{document[:at]}\n\n{marked(name, text)}{document[at:]}"


def _top(document: str) -> int:
    """The end of the last line of the metadata."""
    found = FRONT_MATTER.match(document, int(document.startswith("\ufeff")))
    if found is None:
        raise RefusedError(
            "README.md has no metadata at its top, below which the notice belongs",
            hint="add the metadata on the Hub first",
        )
    return found.end()


def _places(document: str) -> dict[str, slice]:
    try:
        return block_places(document)
    except InputError as error:
        raise RefusedError(
            f"a document was edited and cannot be updated: {error.message}",
            hint="fix its `nla-release:...` comments on the Hub first; they mark generated parts",
        ) from error
