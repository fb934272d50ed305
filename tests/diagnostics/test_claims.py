import numpy as np
import pytest

from nla_release.diagnostics.claims import report
from nla_release.statistics.blocks import Inconclusive


def repeated(parts, name="real"):
    return parts.vectors[name].repeat([len(row.probed_claims) for row in parts.rows], axis=0)


def test_a_probe_that_did_not_run_has_no_report(measured):
    assert report(measured()) is None


def test_claims_that_carry_the_reconstruction_are_missed(measured):
    """Without its claim a text reconstructs another row, which is right for the other row."""

    def carry(parts):
        parts.vectors["claims_without"] = repeated(parts, "shuffled")
        parts.vectors["claims_with_unrelated"] = repeated(parts)

    found = report(measured(carry, probes=["claims"]))

    assert found.change > 0
    assert found.interval[0] > 0
    assert found.positive.hits == found.positive.n == 120
    assert found.controls["other_activation"].mean < 0
    assert found.controls["unrelated_claim"].mean == 0
    assert found.controls["unrelated_claim"].difference == found.change


def test_an_ar_that_ignores_its_text_misses_nothing(measured):
    def ignore(parts):
        for name in ("claims_without", "claims_with_unrelated"):
            parts.vectors[name] = repeated(parts)

    found = report(measured(ignore, probes=["claims"]))

    assert (found.change, found.interval, found.positive.hits) == (0, (0, 0), 0)
    for control in found.controls.values():
        assert (control.mean, control.difference, control.interval) == (0, 0, (0, 0))


def test_a_drop_that_is_the_same_for_any_activation_is_no_content(measured):
    """The AR answers nothing useful to a shorter text, whichever activation it is held against."""

    def forget(parts):
        parts.vectors["claims_without"] = np.zeros_like(repeated(parts))
        source = {row.id: index for index, row in enumerate(parts.rows)}
        other = parts.vectors["gold"][[source[row.shuffled_from] for row in parts.rows]]
        units = [
            v / np.linalg.norm(v, axis=1, keepdims=True) for v in (parts.vectors["gold"], other)
        ]
        parts.vectors["real"][:] = units[0] + units[1]  # as near to the one as to the other
        position = [source[row.shuffled_from] for row in parts.rows]
        parts.vectors["shuffled"] = parts.vectors["real"][position]
        parts.vectors["claims_joined"] = parts.vectors["real"]

    found = report(measured(forget, probes=["claims"]))

    assert found.interval[0] > 0
    assert found.controls["other_activation"].difference == pytest.approx(0, abs=1e-6)


def test_claims_in_other_words_are_compared_with_themselves(measured):
    """Claims of the data, none of which matters: the rewording costs, and no claim does."""

    def reword(parts):
        random = np.random.default_rng(0)
        real = parts.vectors["real"]
        reworded = (real + random.normal(size=real.shape)).astype(np.float32)
        parts.vectors["claims_joined"] = reworded
        for name in ("claims_without", "claims_with_unrelated"):
            parts.vectors[name] = reworded.repeat([len(row.claims) for row in parts.rows], axis=0)

    found = report(measured(reword, probes=["claims"]))

    assert (found.change, found.positive.hits) == (0, 0)
    assert [control.difference for control in found.controls.values()] == [0, 0]


def without_joined(parts):
    del parts.vectors["claims_joined"]


def test_older_evidence_of_claims_in_other_words_is_inconclusive(measured):
    found = report(measured(without_joined, probes=["claims"]))

    assert isinstance(found, Inconclusive)
    assert "are not its explanation" in found.inconclusive


def test_older_evidence_of_claims_that_were_cut_from_the_explanation_still_counts(measured):
    def cut(parts):
        without_joined(parts)
        for index, row in enumerate(parts.rows):
            claims = [f"{row.explanation},", "and more"]
            joined = {"explanation": "\n".join(claims), "claims": claims}
            parts.rows[index] = row.model_copy(update=joined)
        for name in ("claims_without", "claims_with_unrelated"):
            parts.vectors[name] = repeated(parts)

    found = report(measured(cut, probes=["claims"]))

    assert (found.rows, found.n, found.change) == (60, 120, 0)


def test_change_in_other_units_is_the_fraction_of_variance(measured):
    evidence = measured(probes=["claims"])
    found, variance = report(evidence), evidence.run.reference.variance

    assert found.fve == pytest.approx(found.change / variance, abs=2e-5)
    for control in found.controls.values():
        assert control.fve == pytest.approx(control.difference / variance, abs=2e-5)


def test_rows_that_cannot_be_probed_are_counted(measured):
    def shorten(parts):
        row = parts.rows[5]
        parts.rows[5] = row.model_copy(update={"claims": [row.explanation]})
        parts.vectors["claims_joined"] = parts.vectors["claims_joined"][1:]
        for name in ("claims_without", "claims_with_unrelated"):
            parts.vectors[name] = parts.vectors[name][2:]

    found = report(measured(shorten, probes=["claims"], failed={0: "empty", 1: "truncated"}))

    assert (found.rows, found.too_short, found.failed, found.n) == (57, 1, 2, 114)


def test_too_few_explanations_of_several_claims_are_inconclusive(measured):
    found = report(measured(probes=["claims"], failed=dict.fromkeys(range(45), "empty")))

    assert isinstance(found, Inconclusive)
    assert "15 explanations of two or more claims" in found.inconclusive
