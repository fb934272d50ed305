"""A licence that nobody here has read is a matter for a person, not a refusal."""

import pytest

from nla_release.io.files import write_atomic
from tests.pairs.references import base_under
from tests.pairs.zoo import edited_card, judged, list_anew


def licensed(release, stated: str) -> list[tuple[str, str]]:
    """What NLA506 finds of the AV under a licence, with a LICENSE next to it."""
    av = release / "dist" / "av"
    write_atomic(av / "LICENSE", "The terms.\n")
    list_anew(av)
    with edited_card(av / "README.md") as metadata:
        metadata["license"] = stated
        if stated == "other":
            metadata |= {"license_name": "mine", "license_link": "LICENSE"}
    return [
        (finding.severity, finding.message)
        for finding in judged(release, "dist").findings
        if finding.code == "NLA506" and "/av/" in finding.path
    ]


@pytest.mark.parametrize("stated", ["gpl-3.0", "openrail", "agpl-3.0"])
def test_a_licence_that_only_the_hub_knows_is_a_warning(release, stated):
    assert licensed(release, stated) == [
        ("warning", f"license is {stated}, whose terms this tool does not know")
    ]


@pytest.mark.parametrize("base", ["llama3", "llama4", "gemma", "cc-by-nc-4.0", "cc-by-sa-4.0"])
def test_other_terms_than_those_of_a_base_that_restricts_are_to_be_reviewed(release, base):
    base_under(release / "dist", base)

    ((severity, message),) = licensed(release, "other")

    assert severity == "warning"
    assert message.startswith(f"license is other: check that the base's {base} (https://")
    assert message.endswith(") allows it")


@pytest.mark.parametrize("base", ["apache-2.0", "mit", "cc-by-4.0"])
def test_other_terms_over_a_base_that_does_not_restrict_may_stand(release, base):
    base_under(release / "dist", base)

    assert licensed(release, "other") == []


def test_a_licence_that_only_the_hub_knows_does_not_replace_the_bases(release):
    base_under(release / "dist", "gemma")

    assert ("error", "license is gpl-3.0, expected gemma") in [
        (severity, message.partition(":")[0]) for severity, message in licensed(release, "gpl-3.0")
    ]
