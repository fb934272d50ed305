"""A plan as text: what happens to each file of each repository, and the totals."""

from nla_release.hub.plan import SYMBOLS, FileChange, Plan, RepoPlan


def plan_text(plan: Plan) -> str:
    """The plan for a person; symbols are explained by the totals line."""
    blocks = [_repo(plan, repo) for repo in plan.repos]
    return "\n\n".join([f"Release {plan.tag}", *blocks, _totals(plan)])


def _repo(plan: Plan, repo: RepoPlan) -> str:
    if repo.tagged is not None:
        return f"{repo.repo}  (published at {plan.tag} with these bytes)"
    state = "will be created" if repo.head is None else f"exists at {repo.head[:12]}"
    return "\n".join([f"{repo.repo}  ({state})", *(f"  {_line(file)}" for file in repo.files)])


def _line(file: FileChange) -> str:
    digest = f"sha256 {file.sha256[:12]}" if file.sha256 else ""
    return f"{SYMBOLS[file.change]} {file.name:<34} {file.size:>12,} B  {digest}".rstrip()


def _totals(plan: Plan) -> str:
    if plan.done:
        return "Plan: nothing to do."
    left = [repo for repo in plan.repos if repo.tagged is None]
    add, change, remove, keep = (
        sum(len(repo.named(kind)) for repo in left) for kind in ("add", "change", "remove", "keep")
    )
    created = sum(repo.head is None for repo in left)
    return (
        f"Plan: {add} to add (+), {change} to change (~), {remove} to remove (-), {keep} unchanged"
        f" (=); {created} repositories to create, {len(left)} tags to set."
    )
