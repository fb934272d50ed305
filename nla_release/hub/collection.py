"""Add a published pair to a collection of the Hub. A failure does not affect the release."""

import re

from huggingface_hub import HfApi

from nla_release.errors import one_line
from nla_release.hub.plan import PushPlan, RepoPlan
from nla_release.hub_client.answers import Listed, listed
from nla_release.hub_client.client_errors import translated
from nla_release.hub_client.remote import Hub
from nla_release.io.log import log

# OWNER/TITLE-ID: the Hub derives it from the title and adds an id of 24 hex digits.
_SLUG = re.compile(r"[\w.-]+/[a-z0-9-]+-[0-9a-f]{24}")


def collect(plan: PushPlan, hub: Hub, wanted: str) -> str | None:
    """Add both repositories to a collection. A failure is reported and not raised.

    Args:
        plan: the published release.
        hub: where it is published.
        wanted: the slug of an existing collection, or a title; it is created if needed.

    Returns:
        The collection's URL, or None after a failure.
    """
    try:
        collection = _collected(plan, hub, wanted)
    except Exception as error:  # of any kind: the release is published already
        why = one_line(error) or type(error).__name__
        log.warning(f"{plan.tag} is published, but was not added to a collection: {why}")
        return None
    url = f"{hub.endpoint}/collections/{collection.slug}"
    log.info(f"collection {url} lists both")
    return url


def _collected(plan: PushPlan, hub: Hub, wanted: str) -> Listed:
    first, token = plan.repos[0], hub.token(plan.repos[0].repo)
    api = HfApi(endpoint=hub.endpoint, token=token, library_name="nla_release")
    with translated(f"collection {wanted}"):
        if _SLUG.fullmatch(wanted):
            found = listed(api.get_collection(wanted))
        else:
            namespace = first.repo.partition("/")[0]
            found = listed(
                api.create_collection(
                    wanted, namespace=namespace, private=first.private, exists_ok=True
                )
            )
        for repo in plan.repos:
            _put(api, found, repo, f"{repo.role.upper()} {plan.tag}")
        return found


def _put(api: HfApi, collection: Listed, repo: RepoPlan, note: str) -> None:
    """Add or update the item of a repository."""
    for item in collection.items:
        if (item.item_type, item.item_id) == ("model", repo.repo):
            if item.note != note:
                api.update_collection_item(collection.slug, item.item_object_id, note=note)
            return
    api.add_collection_item(collection.slug, repo.repo, "model", note=note, exists_ok=True)
