"""The pair in a collection of the Hub: a courtesy to readers, and no part of the release."""

import re

from huggingface_hub import HfApi

from nla_release.errors import one_line
from nla_release.hub.plan import Plan, RepoPlan
from nla_release.hub_client.answers import Listed, listed
from nla_release.hub_client.client import Say
from nla_release.hub_client.client_errors import translated
from nla_release.hub_client.remote import Hub

# What the Hub makes of a title, behind the owner and before 24 hex digits.
_SLUG = re.compile(r"[\w.-]+/[a-z0-9-]+-[0-9a-f]{24}")


def collect(plan: Plan, hub: Hub, wanted: str, say: Say) -> None:
    """Put both repositories into a collection. What goes wrong is said, and changes nothing.

    Args:
        plan: the release, published.
        hub: where.
        wanted: the slug of a collection that exists, or the title of one that is made if need be.
        say: is told what was done, or why not.
    """
    try:
        collection = _collected(plan, hub, wanted)
    except Exception as error:  # of whatever kind: the release is done, and stays so
        why = one_line(error) or type(error).__name__
        say(f"warning: {plan.tag} is published, and in no collection: {why}")
    else:
        say(f"collection {hub.endpoint}/collections/{collection.slug} holds both")


def _collected(plan: Plan, hub: Hub, wanted: str) -> Listed:
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
    """An item for the repository, with this note."""
    for item in collection.items:
        if (item.item_type, item.item_id) == ("model", repo.repo):
            if item.note != note:
                api.update_collection_item(collection.slug, item.item_object_id, note=note)
            return
    api.add_collection_item(collection.slug, repo.repo, "model", note=note, exists_ok=True)
