"""What is published, downloaded again and judged as a stranger would find it."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from nla_release.errors import RefusedError
from nla_release.hub.plan import Plan
from nla_release.hub.remote import SERVER_FILES, Hub
from nla_release.manifest import differences, read_manifest, record_files
from nla_release.release import Waiver
from nla_release.rules import judge
from nla_release.rules.model import Verdict
from nla_release.rules.subject import find_subject


def verify_published(
    plan: Plan, hub: Hub, *, tokenizer: Path | None, waived: Sequence[Waiver] = ()
) -> Verdict:
    """Download both repositories by tag, compare every byte, and run every rule on the copy.

    Args:
        plan: what was published.
        hub: where.
        tokenizer: a tokenizer.json of the base, for the rules that replay prompts.
        waived: the waivers of the release that was published.

    Raises:
        RefusedError: a byte differs, or a rule fails on what was published.
        EnvironmentProblem: it cannot be downloaded.
    """
    with tempfile.TemporaryDirectory(prefix="nla-release-") as name:
        copy = Path(name)
        for repo in plan.repos:
            folder = copy / repo.role
            hub.download(repo.repo, plan.tag, folder)
            _drop_what_is_not_the_release(folder)
            manifest = read_manifest(folder)
            wrong = differences(manifest.files, record_files(folder))
            if wrong or manifest != repo.manifest:
                raise RefusedError(
                    f"{repo.repo} at {plan.tag} is not what was pushed:"
                    f" {'; '.join(wrong[:4]) or 'release.json differs'}"
                )
        verdict = judge(find_subject(copy, tokenizer), waived=waived)
    if verdict.verdict != "pass":
        worst = verdict.findings[0]
        raise RefusedError(
            f"what was published does not pass: {worst.code} {worst.message}",
            hint="run `nla-release check` on dist/ to see all findings",
        )
    return verdict


def _drop_what_is_not_the_release(folder: Path) -> None:
    """The client's bookkeeping and the server's own file."""
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    for name in SERVER_FILES:
        (folder / name).unlink(missing_ok=True)
