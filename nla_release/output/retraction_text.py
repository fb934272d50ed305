"""What a retraction changes, for a terminal."""

from collections.abc import Iterator

from nla_release.hub.retract import RetractionPlan
from nla_release.release.folder import tag


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
