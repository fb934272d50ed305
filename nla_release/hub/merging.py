"""Taking over into the rendered release what people wrote into its cards on the Hub."""

from nla_release.hub.drift import CARD_NAME
from nla_release.hub.hand_written import merged
from nla_release.hub.plan import Plan, RepoPlan
from nla_release.io.files import sha256_bytes, write_atomic
from nla_release.release.manifest import FILE_NAME, SIGNATURE_FILE_NAME, FileRecord, dump_manifest


def take_over(plan: Plan) -> list[str]:
    """Merge the parts of the cards that are to be kept into `dist/`, and say which, a line each.

    What is rendered, judged, pushed and listed in release.json stays one thing. The plan is to be
    made again afterwards.

    Raises:
        EnvironmentProblem: `dist/` cannot be written.
    """
    edited = [repo for repo in plan.repos if repo.card.parts]
    for repo in edited:
        _merge(repo)
    return [
        f"took over from the card of {repo.repo} into {repo.folder / CARD_NAME}:"
        f" {', '.join(sorted(repo.card.parts))}"
        for repo in edited
    ]


def _merge(repo: RepoPlan) -> None:
    path = repo.folder / CARD_NAME
    card = merged(path.read_bytes().decode(), repo.card.parts).encode()
    record = FileRecord(sha256=sha256_bytes(card), size=len(card))
    files = {**repo.manifest.files, CARD_NAME: record}
    write_atomic(path, card)
    (repo.folder / SIGNATURE_FILE_NAME).unlink(
        missing_ok=True
    )  # it is over the release.json before
    write_atomic(
        repo.folder / FILE_NAME, dump_manifest(repo.manifest.model_copy(update={"files": files}))
    )
