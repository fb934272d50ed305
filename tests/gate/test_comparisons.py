"""A release is held against the one before on common rows, or the check says why not."""

import shutil

import pytest

from nla_release.calibration.evidence_folder import write_evidence
from tests.builders import evidence_parts
from tests.builders_pair import WIDTH
from tests.pairs.zoo import PREVIOUS, ROWS, edited_yaml, judged


def outcome(folder, what="release"):
    return next(each for each in judged(folder, what).outcomes if each.rule.code == "NLA616")


def test_a_loss_is_told_with_its_numbers(release):
    write_evidence(release / PREVIOUS, *evidence_parts(**ROWS, width=WIDTH, noise=0.3))
    (finding,) = outcome(release).findings

    assert finding.path == str(release / "evidence")
    assert finding.message.startswith(
        f"worse than the previous release ({PREVIOUS}): centred cosine 0.8"
    )
    assert finding.message.endswith("n = 60 rows of 12 documents")


@pytest.mark.parametrize("place", [".", "evidence", "dist", "dist/av"])
def test_this_release_is_not_the_one_before_it(release, place):
    with edited_yaml(release / "release.yaml") as document:
        document["previous"] = place
    (finding,) = outcome(release).findings

    assert finding.path == str(release / "release.yaml")
    assert finding.message == (
        f"previous is {place}, which holds the evidence of this release itself"
    )


def test_a_first_release_has_nothing_before_it(release):
    with edited_yaml(release / "release.yaml") as document:
        del document["previous"]

    assert outcome(release).skipped == ("release.yaml names no `previous` release",)
    assert outcome(release, "dist").state == "skipped"


def test_other_activations_are_a_reason_and_no_finding(release):
    write_evidence(release / PREVIOUS, *evidence_parts(**ROWS, width=WIDTH, seed=1))
    found = outcome(release)

    assert found.state == "skipped"
    assert found.skipped[0].startswith(f"{PREVIOUS} cannot be compared: no row is common: 60 ids")


def test_too_few_common_rows_are_a_reason_and_no_finding(release):
    few = {"rows": 12, "documents": 12}
    parts = evidence_parts(**ROWS, width=WIDTH, noise=0.3)
    rows = parts.rows[:12]
    rows = [
        row.model_copy(
            update={"shuffled_from": rows[at - 1].id, "shuffled_status": rows[at - 1].status}
        )
        for at, row in enumerate(rows)
    ]
    vectors = {name: it if it.ndim == 1 else it[:12] for name, it in parts.vectors.items()}
    asked = parts.run.evaluation.model_copy(update=few)
    write_evidence(
        release / PREVIOUS, rows, vectors, parts.run.model_copy(update={"evaluation": asked})
    )

    assert outcome(release).skipped == (
        f"only 12 rows of 12 documents are in {PREVIOUS} and this release, too few to compare",
    )


def test_a_release_that_was_not_measured_yet_is_not_compared(release):
    shutil.rmtree(release / "evidence")
    shutil.rmtree(release / "dist")
    (release / "calibration.json").unlink()

    assert outcome(release).skipped == ("there is no evidence yet: run nla-release roundtrip",)
