"""A plan for machines: one JSON document, the same data as the text."""

from dataclasses import asdict
from typing import Any

from nla_release import __version__
from nla_release.hub.plan import Plan, RepoPlan
from nla_release.io.files import dump_json

SCHEMA_VERSION = 1


def plan_json(plan: Plan) -> str:
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
            "repos": [_repo(repo) for repo in plan.repos],
            "obstacles": [asdict(blocker) for blocker in plan.blockers],
            "totals": plan.totals,
        }
    )


def _repo(repo: RepoPlan) -> dict[str, Any]:
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
            "kept": sorted(repo.card.parts),
            "edits": repo.card.edits,
            "unreadable": repo.card.unreadable,
        },
        "notes": repo.notes,
    }
