"""NLA5xx: the log of a pair."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from nla_release.evidence.parts import RUN_NAME
from nla_release.gate.adapter import Adapter, reading
from nla_release.gate.authored import lines_before
from nla_release.gate.findings import Page, Problem, UnreadableError
from nla_release.gate.model import RENDERED, rule
from nla_release.gate.rendering import MAX_PROSE
from nla_release.gate.subject import Subject
from nla_release.history.fragments import Fragment, fragment_files, read_fragment
from nla_release.history.log import Entry, entries, read_history, read_log
from nla_release.io.files import read_text
from nla_release.release.folder import HISTORY_FILE_NAME, ROLES, Release, tag
from nla_release.release.manifest import FILE_NAME as MANIFEST_FILE_NAME
from nla_release.release.manifest import read_manifest
from nla_release.text.hiding import hiding


@rule(
    "NLA505",
    "error",
    "HISTORY.md is only appended to, and has this version",
    each=RENDERED,
    page=Page(
        checks="HISTORY.md of both repositories begins with the release's HISTORY.md as it was last"
        " published, byte for byte, and with that of the `previous` release where more of it is"
        " there than its evidence. Where these have an entry for this version already, it is"
        " published, and its log may be the beginning of theirs instead. It has an entry for this"
        " version and for the previous one. When it tells of older ones, that published log must be"
        " there. Every comment of ours in it records the entry under it, no two entries have one"
        " id, and what supersedes a number names a version of the log. No entry holds raw HTML or"
        " an open fence, which would hide those after it. Every fragment in history/ is in it as"
        " the file says.",
        why="SolshineCode/nla-gemma-4-e2b corrected its injection scale by a new entry that names"
        " the old one, which is why anyone can still follow what happened; a log edited in place"
        " cannot be trusted with a retraction.",
        fix="Restore the published text, and write what changed as a new entry that names what it"
        " supersedes: `nla-release history add` or `nla-release history retract`, then render.",
        example="does not begin with the history as last published",
        waive="Never: not even for a typing mistake.",
    ),
)
def history_appended(subject: Subject) -> Iterator[Problem]:
    """Bytes against the logs before it, the log in itself, and fragments against both."""
    release = subject.release
    published = _published(release.history) if release else None
    previous = _log_of(release.previous) if release and release.previous else None
    for adapter in subject.rendered:
        path, text = adapter.folder / HISTORY_FILE_NAME, adapter.text(HISTORY_FILE_NAME)
        with reading(path, "NLA505"):
            log = read_text(path, newline="")
        if published and not (log.startswith(published) or _went_on(published, log, adapter)):
            yield Problem(path, "does not begin with the history as last published")
        told = entries(text)
        if adapter.manifest.tag not in told:
            yield Problem(path, f"has no entry for {adapter.manifest.tag}")
        elif previous:
            yield from _not_continued(adapter, log, previous, release)
        elif release and published is None and (older := told.keys() - {adapter.manifest.tag}):
            yield Problem(
                path,
                f"tells of {', '.join(sorted(older))}, and the {HISTORY_FILE_NAME} that was"
                " published with it does not lie beside release.yaml to compare with",
            )
        yield from _pointing_nowhere(path, adapter.log)
        yield from _hiding(adapter, path)
        if release:
            yield from _fragments_left_out(release, path, adapter.log, published or "")


def _published(path: Path) -> str | None:
    with reading(path, "NLA505"):
        return read_history(path)


def _log_of(previous: Path) -> Path | None:
    """The log of the previous release, as it was rendered if it was; None where there is none."""
    places = [previous / "dist" / ROLES[0], previous / ROLES[0], previous]
    if (previous / RUN_NAME).exists():
        places.append(previous.parent)
    return next((log for each in places if (log := each / HISTORY_FILE_NAME).exists()), None)


def _went_on(published: str, log: str, adapter: Adapter) -> bool:
    """Whether a log is of a version that is published, and others were told of after it."""
    return published.startswith(log) and adapter.manifest.tag in entries(published)


def _not_continued(
    adapter: Adapter, log: str, previous: Path, release: Release | None
) -> Iterator[Problem]:
    """Where a log does not go on from that of the previous release."""
    path = adapter.folder / HISTORY_FILE_NAME
    with reading(previous, "NLA505"):
        before = read_history(previous) or ""
        repository = (previous.parent / MANIFEST_FILE_NAME).exists()
        its_tag = read_manifest(previous.parent).tag if repository else None
    if not (log.startswith(before) or _went_on(before, log, adapter)):
        here = f" {shlex.quote(str(release.history))}" if release else ""
        yield Problem(
            path,
            f"does not begin with the history of the previous release, {previous}; if that was"
            f" retracted or added to since: `cp {shlex.quote(str(previous))}{here}`, then render"
            f" {adapter.manifest.tag} again",
        )
    elif its_tag and its_tag not in entries(log):
        yield Problem(path, f"has no entry for {its_tag}, the previous release")


def _pointing_nowhere(path: Path, log: Sequence[Entry]) -> Iterator[Problem]:
    """Entries that supersede a number of a version that the log does not know."""
    tags = {entry.tag for entry in log}
    for entry in log:
        superseded = entry.record.supersedes if entry.record else None
        if superseded and tag(superseded.version) not in tags:
            its_tag = tag(superseded.version)
            yield Problem(path, f"the entry of {entry.day} supersedes {its_tag}, which has none")


def _hiding(adapter: Adapter, path: Path) -> Iterator[Problem]:
    """Entries that hide those after them from whoever reads the page."""
    for entry in adapter.log:
        prose = entry.text.partition("\n")[2] if entry.record else entry.text
        if len(prose) > MAX_PROSE:
            raise UnreadableError("NLA505", path, f"has an entry of more than {MAX_PROSE} letters")
        if what := hiding(prose):
            line = lines_before(adapter, entry) + 1
            yield Problem(f"{path}:{line}", f"has an entry with {what}, which hides what follows")


def _fragments_left_out(
    release: Release, path: Path, log: Sequence[Entry], published: str
) -> Iterator[Problem]:
    rendered = {entry.record.id: entry.record.source for entry in log if entry.record}
    last = {entry.record.id for entry in read_log(published) if entry.record}
    for fragment in _fragments(release):
        source = rendered.get(fragment.record.id)
        if source is None:
            yield Problem(fragment.path, f"is not in {path} yet: render again")
        elif source == fragment.record.source:
            continue
        elif fragment.record.id in last:
            yield Problem(fragment.path, f"was edited after it was published in {path}")
        else:
            yield Problem(fragment.path, f"was edited after it went into {path}: render again")


def _fragments(release: Release) -> Iterator[Fragment]:
    with reading(release.fragments, "NLA505"):
        paths = fragment_files(release.fragments)
    for path in paths:
        with reading(path, "NLA505"):
            yield read_fragment(path)
