"""A plan as text and as JSON: what happens to each file of each repository, and the totals."""

from dataclasses import asdict
from typing import Any

from nla_release import __version__
from nla_release.errors import one_line, printable
from nla_release.hub.plan import PushPlan, RepoPlan
from nla_release.hub_client.remote_state import SYMBOLS, FileChange
from nla_release.io.files import dump_json


def plan_text(plan: PushPlan) -> str:
    """The plan for a person; symbols are explained by the totals line."""
    blocks = [_repo(plan, repo) for repo in plan.repos]
    return "\n\n".join([f"Release {plan.tag}", *blocks, *_refusal(plan), _totals(plan)])


def _repo(plan: PushPlan, repo: RepoPlan) -> str:
    head = f"{repo.repo}  (model, {repo.visibility}, {_state(plan, repo)})"
    files = [] if repo.tagged and repo.is_the_same else [f"  {_line(file)}" for file in repo.files]
    if files and repo.left_alone:
        head += f"\n  {repo.left_alone}"
    notes = [f"  note: {note}" for note in repo.notes]
    return "\n".join([head, *files, *_user_edits(repo), *notes])


def _state(plan: PushPlan, repo: RepoPlan) -> str:
    if repo.tagged:
        these = "these" if repo.is_the_same else "other"
        return f"published at {plan.tag} with {these} bytes"
    if repo.committed:
        return f"committed at {repo.committed[:12]}, not tagged"
    return "will be created" if repo.head is None else f"exists at {repo.head[:12]}"


def _line(file: FileChange) -> str:
    digest = f"sha256 {file.sha256[:12]}" if file.sha256 else ""
    name = printable(file.name)  # of a file that is to be removed: somebody else's
    return f"{SYMBOLS[file.change]} {name:<34} {file.size:>12,} B  {digest}".rstrip()


def _user_edits(repo: RepoPlan) -> list[str]:
    """What people wrote into the card on the Hub."""
    lines = []
    if repo.card.sections:
        sections = printable(", ".join(sorted(repo.card.sections)))
        lines.append(f"  hand-written sections are kept: {sections}")
    if repo.card.edits:
        lines.append(
            f"  user edits: README.md on the Hub was edited in {repo.card.edits} places since the"
            " last release"
        )
    if repo.card.unreadable:
        lines.append(f"  user edits: {printable(repo.card.unreadable)}")
    return lines


def _refusal(plan: PushPlan) -> list[str]:
    if not plan.blockers:
        return []
    lines = [
        f"  {one_line(each.message)}" + (f"\n    hint: {one_line(each.hint)}" if each.hint else "")
        for each in plan.blockers
    ]
    return ["\n".join(["This push would be refused:", *lines])]


def _totals(plan: PushPlan) -> str:
    if plan.done:
        return "Plan: nothing to do."
    totals = plan.totals
    return (
        f"Plan: {totals['add']} to add (+), {totals['change']} to change (~), {totals['remove']} to"
        f" remove (-), {totals['keep']} unchanged (=); {totals['create']} repositories to create,"
        f" {totals['tag']} tags to set."
    )


SCHEMA_VERSION = 1


def plan_json(plan: PushPlan) -> str:
    """The document with a final newline."""
    return dump_json(
        {
            "schema_version": SCHEMA_VERSION,
            "tool_version": __version__,
            "version": plan.version,
            "tag": plan.tag,
            "release_id": plan.release_id,
            "endpoint": plan.endpoint,
            "done": plan.done,
            "repos": [_repo_json(repo) for repo in plan.repos],
            "obstacles": [asdict(blocker) for blocker in plan.blockers],
            "totals": plan.totals,
        }
    )


FORMATS = {"text": plan_text, "json": plan_json}


def _repo_json(repo: RepoPlan) -> dict[str, Any]:
    return {
        "role": repo.role,
        "repo": repo.repo,
        "visibility": repo.visibility,
        "head": repo.head,
        "committed": repo.committed,
        "tagged": repo.tagged,
        "original": repo.original,
        "files": [asdict(file) for file in repo.files],
        "drift": {
            "kept": sorted(repo.card.sections),
            "edits": repo.card.edits,
            "unreadable": repo.card.unreadable,
        },
        "notes": repo.notes,
    }
