"""Some findings are graver than others of the same rule."""

import numpy as np
import pytest

from tests.builders import evidence_parts
from tests.pairs.zoo import WEIGHTS, edited_tensors, judged, measured_as


def found(verdict) -> set[tuple[str, str]]:
    return {(finding.code, finding.severity) for finding in verdict.findings}


def test_a_module_without_training_is_a_warning(release):
    with edited_tensors(release / "pair" / "av" / WEIGHTS) as tensors:
        name = next(name for name in tensors if name.endswith("lora_B.weight"))
        tensors[name] = np.zeros_like(tensors[name])

    verdict = judged(release, "pair")

    assert found(verdict) == {("NLA304", "warning")}
    assert verdict.findings[0].message.startswith("a factor is zero in 1 of 8 modules")


@pytest.mark.parametrize(("failed", "severity"), [(1, "warning"), (12, "warning"), (13, "error")])
def test_a_fifth_of_the_rows_may_fail(release, failed, severity):
    measured_as(release, lambda _: None, failed=dict.fromkeys(range(failed), "truncated"))

    assert ("NLA609", severity) in found(judged(release))


def test_a_pair_that_says_the_same_of_everything_is_refused(release):
    """The collapsed pair: its cosine looks fine, and every control says why that is nothing."""
    measured_as(release, lambda _: None, collapsed=True)

    verdict = judged(release)

    assert (verdict.verdict, verdict.exit_code) == ("fail", 1)
    assert {code for code, severity in found(verdict) if severity == "error"} == {
        "NLA603",
        "NLA606",
        "NLA607",
        "NLA616",
    }
    assert {code for code, severity in found(verdict) if severity == "warning"} >= {"NLA605"}


def test_strict_refuses_what_is_only_a_warning(release):
    measured_as(release, lambda _: None, failed={0: "empty"})

    assert judged(release).verdict == "pass"
    assert judged(release, strict=True).verdict == "fail"


def test_the_collapsed_evidence_has_the_cosine_of_a_good_one():
    """What makes the collapsed pair dangerous, and a gate on one number blind."""
    vectors = evidence_parts(collapsed=True).vectors
    gold = vectors["gold"] / np.linalg.norm(vectors["gold"], axis=1, keepdims=True)
    real = vectors["real"] / np.linalg.norm(vectors["real"], axis=1, keepdims=True)

    assert (gold * real).sum(axis=1).mean() > 0.6
