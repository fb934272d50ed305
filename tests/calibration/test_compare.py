"""Releases are compared row by row on what both measured, and not at all otherwise."""

import json
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.compare import compare, compare_two, mcnemar
from nla_release.calibration.comparison import Comparison, Paired, Unpaired, side_by_side
from nla_release.calibration.comparison_text import comparison_text
from nla_release.calibration.evidence_folder import write_evidence
from nla_release.calibration.measured import Measured, read_measured
from nla_release.errors import ConfigError, EvidenceError, NothingCheckedError
from nla_release.statistics.measures import FORMAT_2
from nla_release.statistics.places import retrieved
from nla_release.text.numbers import signed
from tests.builders import evidence_parts, make_evidence
from tests.builders_pair import make_release, measure
from tests.pairs.zoo import edited_yaml

OTHER_HASH = "9" * 64


@pytest.fixture
def measured(tmp_path):
    """A release of synthetic evidence, whose parts a function may change first."""

    def make(name, change=lambda parts: parts, **options):
        parts = change(evidence_parts(**{"rows": 60, "documents": 12} | options))
        return Measured(name, write_evidence(tmp_path / name, *parts))

    return make


def noisier(parts, *, by=0.2, seed=1):
    """Reconstructions by a worse AR of the same texts."""
    real = parts.vectors["real"]
    noise = by * np.random.default_rng(seed).normal(size=real.shape)
    worse = np.where(real.any(axis=1, keepdims=True), real + noise, 0).astype(np.float32)
    files = parts.run.files | {"ar/adapter_model.safetensors": OTHER_HASH}
    return parts._replace(
        vectors=parts.vectors | {"real": worse}, run=parts.run.model_copy(update={"files": files})
    )


def only(parts, positions):
    """The parts of some rows, each standing in for the next in the shuffled control."""
    rows = [parts.rows[at] for at in positions]
    n = len(rows)
    rows = [
        row.model_copy(
            update={
                "shuffled_from": rows[(at + 1) % n].id,
                "shuffled_status": rows[(at + 1) % n].status,
            }
        )
        for at, row in enumerate(rows)
    ]
    vectors = {
        name: values if values.ndim == 1 else values[list(positions)]
        for name, values in parts.vectors.items()
    }
    asked = parts.run.evaluation.model_copy(
        update={"rows": n, "documents": len({row.document for row in rows})}
    )
    return parts._replace(
        rows=rows, vectors=vectors, run=parts.run.model_copy(update={"evaluation": asked})
    )


def test_a_release_does_not_differ_from_itself(measured):
    release = measured("a", failed={3: "empty"})
    found = compare_two(release, release)

    assert found.relation == "the same evidence"
    assert all(each.difference == 0 and each.interval == (0, 0) for each in found.figures)
    assert (found.retrieval.only_first, found.retrieval.only_second, found.retrieval.p) == (0, 0, 1)
    assert found.verdict == "no difference shown"


def test_the_figures_of_a_release_are_those_of_its_calibration(measured):
    release = measured("a", failed={3: "empty"})
    figures = {each.name: each.first for each in compare_two(release, release).figures}
    calibration = calibrate(release.evidence)

    assert figures["cosine"] == calibration.cosine.mean
    assert figures["mse"] == calibration.mse.mean
    assert figures["fve"] == calibration.fve.value
    assert figures["top-1 retrieval"] == calibration.retrieval.top1
    assert figures["cosine - predict mean"] == calibration.controls["predict_mean"].difference
    for name, control in calibration.centred.controls.items():
        assert figures[f"centred cosine - {name.replace('_', ' ')}"] == control.difference


def test_seen_from_the_other_side_every_difference_changes_its_sign(measured):
    one, two = measured("a", failed={3: "empty"}), measured("b", noisier, failed={9: "truncated"})
    there, back = compare_two(one, two), compare_two(two, one)

    for forth, reverse in zip(there.figures, back.figures, strict=True):
        assert (forth.first, forth.second) == (reverse.second, reverse.first)
        assert forth.difference == -reverse.difference
        low, high = forth.interval
        assert reverse.interval == pytest.approx((-high, -low), abs=2e-6)
    assert there.retrieval.only_first == back.retrieval.only_second
    assert there.retrieval.p == back.retrieval.p
    assert (there.verdict, back.verdict) == ("worse", "better")


def test_the_order_of_rows_does_not_matter(measured):
    order = np.random.default_rng(0).permutation(60)

    def permuted(parts):
        parts = noisier(parts)
        vectors = {
            name: values if values.ndim == 1 else values[order]
            for name, values in parts.vectors.items()
        }
        return parts._replace(rows=[parts.rows[at] for at in order], vectors=vectors)

    first = measured("a")
    plain, shuffled = measured("b", noisier), measured("c", permuted)
    expected = compare_two(first, plain).model_dump(exclude={"second"})
    assert compare_two(first, shuffled).model_dump(exclude={"second"}) == expected


def test_another_ar_on_the_same_texts_is_named(measured):
    found = compare_two(measured("a"), measured("b", noisier))

    assert found.relation == "the same texts, another AR"
    assert found.verdict == "worse"
    assert found.figures[0].interval[1] < 0
    assert (found.rows, found.documents, found.only_first, found.only_second) == (60, 12, 0, 0)


@pytest.mark.parametrize(
    ("files", "said", "relation"),
    [
        ({}, "other", "the same pair, measured again"),
        ({"av/adapter_model.safetensors": OTHER_HASH}, "other", "another AV, the same AR"),
        ({"av/adapter_model.safetensors": OTHER_HASH, "ar/adapter_model.safetensors": OTHER_HASH},
         "other", "another pair on the same activations"),
        ({"av/adapter_model.safetensors": OTHER_HASH, "ar/adapter_model.safetensors": OTHER_HASH},
         "same", "the same texts, another AR"),
    ],
)  # fmt: skip
def test_what_the_second_is_to_the_first_is_named(measured, files, said, relation):
    def change(parts):
        rows = [
            row if said == "same" else row.model_copy(update={"explanation": f"again {at}"})
            for at, row in enumerate(parts.rows)
        ]
        run = parts.run.model_copy(update={"files": parts.run.files | files})
        return parts._replace(rows=rows, run=run)

    assert compare_two(measured("a"), measured("b", change)).relation == relation


def test_only_common_rows_count_and_compete(measured):
    """Ten rows measured first, fifty later: the ten are compared, among each other."""
    few = measured("few", lambda parts: only(parts, range(30)))
    many = measured("many", noisier)
    found = compare_two(few, many)

    assert (found.rows, found.only_first, found.only_second) == (30, 0, 30)
    assert {each.n for each in found.figures} == {30}
    vectors = many.evidence.vectors
    hits = retrieved(vectors["real"][:30], vectors["gold"][:30], vectors["reference_mean"])
    assert found.retrieval.second_hits == hits.sum()


def test_a_row_that_failed_counts_against_the_release_in_which_it_failed(measured):
    failed = dict.fromkeys(range(24), "empty")
    found = compare_two(measured("a"), measured("b", failed=failed))

    assert (found.first_failed, found.second_failed, found.rows) == (0, 24, 60)
    assert found.figures[0].difference < -0.3


def test_another_reference_set_leaves_fve_out_and_says_so(measured):
    def other_reference(parts):
        mean = (parts.vectors["reference_mean"] * 0.9).astype(np.float32)
        variance = 1 - float(mean.astype(np.float64) @ mean.astype(np.float64))
        reference = parts.run.reference.model_copy(update={"variance": variance})
        run = parts.run.model_copy(update={"reference": reference})
        return parts._replace(vectors=parts.vectors | {"reference_mean": mean}, run=run)

    found = compare_two(measured("a"), measured("b", other_reference))

    assert found.left_out == [
        "centred cosine, FVE and the mean vector: the releases name other reference sets"
    ]
    assert not {"fve", "cosine - predict mean"} & {each.name for each in found.figures}
    assert found.figures[0].difference == 0


def test_a_control_that_only_one_has_is_not_compared(measured):
    found = compare_two(measured("a"), measured("b", gold_text=False))

    assert "centred cosine - gold text" not in {each.name for each in found.figures}


@pytest.mark.parametrize(("rows", "documents"), [(19, 10), (40, 4), (30, 1)])
def test_too_few_common_rows_decide_nothing(measured, rows, documents):
    options = {"rows": rows, "documents": documents}
    found = compare_two(measured("a", **options), measured("b", noisier, **options))

    assert found.verdict == "inconclusive"
    assert found.figures[0].difference < -0.1


def test_other_activations_are_not_compared_and_what_differs_is_named(measured):
    def other_base(parts):
        base = parts.run.base.model_copy(update={"id": "someone/large"})
        return parts._replace(run=parts.run.model_copy(update={"base": base}))

    found = compare_two(measured("a"), measured("b", other_base, seed=1))

    assert isinstance(found, Unpaired)
    assert found.reason == (
        "no row is common: 60 ids are in both, but with other activations or documents"
        " (base someone/tiny against someone/large)"
    )


def test_one_bit_of_an_activation_makes_it_another_row(measured):
    def nudged(parts):
        gold = parts.vectors["gold"].copy()
        gold[7, 0] = np.nextafter(gold[7, 0], np.float32(np.inf))
        return parts._replace(vectors=parts.vectors | {"gold": gold})

    assert compare_two(measured("a"), measured("b", nudged)).rows == 59


def test_several_releases_stand_against_the_first_with_what_differs(measured):
    releases = [measured("a"), measured("b", noisier), measured("c", seed=1)]
    found = compare(releases)

    assert [each.name for each in found.releases] == ["a", "b", "c"]
    assert [type(each) for each in found.against_first] == [Paired, Unpaired]
    assert [(each.setting, each.values) for each in found.differing] == [
        ("AR adapter", ["2" * 64, OTHER_HASH, "2" * 64])
    ]
    assert found.multiplicity.startswith("1 comparison of up to 12 figures; neither")
    assert found.releases[1].cosine.mean == calibrate(releases[1].evidence).cosine.mean


def test_a_comparison_is_the_same_bytes_twice_and_reads_back(measured):
    releases = [measured("a"), measured("b", noisier), measured("c", seed=1)]
    found = compare(releases)

    assert compare(releases).dump() == found.dump()
    assert Comparison.model_validate_json(found.dump()).dump() == found.dump()


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"), [(0, 0, 1), (5, 5, 1), (0, 5, 0.0625), (1, 7, 0.0703125)]
)
def test_mcnemar_is_the_exact_one(only_first, only_second, p):
    assert mcnemar(only_first, only_second) == pytest.approx(p)


@settings(max_examples=30)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_counts_the_splits_that_are_as_uneven(only_first, only_second):
    n = only_first + only_second
    tail = sum(comb(n, k) for k in range(min(only_first, only_second) + 1))

    assert mcnemar(only_first, only_second) == pytest.approx(min(1, 2 * tail / 2**n))


def test_a_tiny_p_is_not_shown_as_zero(measured):
    two = measured("a", noise=0), measured("b", lambda parts: noisier(parts, by=9))

    assert 0 < compare_two(*two, FORMAT_2).retrieval.p < 1e-6
    assert 0 < compare_two(*two).retrieval.p < 0.001


def test_versions_side_by_side_keep_their_own_rows_and_intervals(measured):
    calibrations = [
        (each.name, calibrate(each.evidence))
        for each in (measured("v1"), measured("v2", rows=30, documents=6))
    ]
    one, two = side_by_side(calibrations)

    assert [(each.name, each.rows, each.documents) for each in (one, two)] == [
        ("v1", 60, 12), ("v2", 30, 6),
    ]  # fmt: skip
    assert one.cosine == calibrations[0][1].cosine
    assert two.shuffled == calibrations[1][1].controls["shuffled"]
    assert two.retrieval.n == two.cosine.n == 30


def test_the_overview_leads_with_what_the_label_rests_on(measured):
    """Centred cosines; a comparison of format 1 keeps the plain ones that it was published with."""
    both = measured("v1"), measured("v2", noisier)
    found = compare(both)
    pairs = calibrate(both[1].evidence).contrasts

    assert (found.releases[1].within, found.releases[1].above_others) == (
        pairs.within,
        pairs.above_others,
    )
    header, _, line = comparison_text(found).splitlines()[:3]
    assert "centred cosine  - same document" in header
    assert "- other documents" in header
    assert "shuffled" not in header
    assert signed(pairs.within.difference) in line
    assert "- shuffled" in comparison_text(compare(both, format_=1)).splitlines()[0]


def test_the_overview_of_one_row_per_document_has_no_texts_of_its_document(measured):
    alone = measured("v1", rows=30, documents=30)
    first = comparison_text(compare([alone, alone])).splitlines()[1]

    assert compare([alone, alone]).releases[0].within is None
    assert "  -  " in first


def test_a_release_is_found_in_each_of_its_folders(tmp_path):
    release = make_release(tmp_path / "release")
    hashes = {
        read_measured(folder, "it").evidence.run_sha256
        for folder in (release.folder, release.evidence)
    }

    assert len(hashes) == 1
    facts = read_measured(release.folder, "it").facts
    assert facts["layer"] == "3"
    assert facts["AV training: steps"] == facts["AR training: steps"] == "120"
    assert read_measured(release.evidence, "it").facts == {}


def test_a_folder_without_evidence_says_what_to_give(tmp_path):
    with pytest.raises(NothingCheckedError, match="holds no evidence"):
        read_measured(tmp_path, "it")


def test_the_layer_and_the_training_are_among_what_differs(tmp_path):
    one, two = (make_release(tmp_path / name) for name in ("one", "two"))
    with edited_yaml(two.adapter("ar") / "nla_meta.yaml") as sidecar:
        sidecar["nla_release"]["training"]["steps"] = 60
    measure(two)
    found = compare([read_measured(each.folder, each.folder.name) for each in (one, two)])
    differing = {each.setting: each.values for each in found.differing}

    assert set(differing) == {"AR sidecar", "AR training: steps"}
    assert differing["AR training: steps"] == ["120", "60"]


def test_a_continued_adapter_differs_from_one_that_was_trained_in_one_run(tmp_path):
    """Both have 120 steps in their last run, and only one of them had 1000 before."""
    one, two = (make_release(tmp_path / name) for name in ("one", "two"))
    with edited_yaml(two.adapter("av") / "nla_meta.yaml") as sidecar:
        earlier = {"steps": 1000, "adapter_sha256": "a" * 64}
        sidecar["nla_release"]["training"]["continued_from"] = earlier
    measure(two)
    found = compare([read_measured(each.folder, each.folder.name) for each in (one, two)])
    differing = {each.setting: each.values for each in found.differing}

    assert differing["AV training: steps"] == ["120", "1120 in 2 runs: 1000 + 120"]
    assert differing["AV training: continued from"] == ["nothing", "a" * 64]
    assert "1120 in 2 runs: 1000 + 120" in comparison_text(found)


def test_evidence_of_other_files_than_those_beside_it_is_not_compared(tmp_path):
    release = make_release(tmp_path / "release")
    with edited_yaml(release.adapter("ar") / "nla_meta.yaml") as sidecar:
        sidecar["nla_release"]["training"]["steps"] = 60

    with pytest.raises(
        EvidenceError, match=r"ar/nla_meta\.yaml is \w+\.\.\., the evidence next to it"
    ):
        read_measured(release.folder, "it")
    assert read_measured(release.evidence, "it").facts == {}


def test_the_layer_differs_even_where_only_evidence_is_left(measured):
    def at(layer):
        def change(parts):
            return parts._replace(run=parts.run.model_copy(update={"layer": layer}))

        return change

    one, two, old = measured("one", at(17)), measured("two", at(23), seed=1), measured("old")

    assert [each.values for each in compare([one, two]).differing] == [["17", "23"]]
    unpaired = compare_two(one, two)
    assert isinstance(unpaired, Unpaired)
    assert "layer 17 against 23" in unpaired.reason
    assert compare([one, old]).differing == []


def test_a_wrong_release_yaml_is_named(tmp_path):
    make_evidence(tmp_path / "evidence")
    (tmp_path / "release.yaml").write_text("name: 7")

    with pytest.raises(ConfigError, match=r"release\.yaml"):
        read_measured(tmp_path, "it")


# --- several ARs on claims: the per-claim sweep ---

PROBED = ("claims", "discrimination")


def figures(found):
    return {each.name: each for each in found.figures}


def worse_at_claims(parts):
    """An AR that does not notice that a claim is missing, half of the time."""
    joined = np.repeat(parts.vectors["claims_joined"], 2, axis=0)
    without = np.where(np.arange(len(joined))[:, None] % 2, joined, parts.vectors["claims_without"])
    files = parts.run.files | {"ar/adapter_model.safetensors": OTHER_HASH}
    return parts._replace(
        vectors=parts.vectors | {"claims_without": without.astype(np.float32)},
        run=parts.run.model_copy(update={"files": files}),
    )


def test_ars_are_compared_claim_by_claim(measured):
    first = measured("first", probes=PROBED)
    other = measured("other", worse_at_claims, probes=PROBED)
    found = compare([first, other])

    one, two = found.claims
    assert (one.n, one.rows) == (120, 60)
    assert 0 < two.mse < one.mse
    assert one.mse_interval[0] < one.mse < one.mse_interval[1]
    variance = first.evidence.run.reference.variance
    assert one.fve == pytest.approx(one.mse / variance, abs=1e-5)
    assert one.fve_interval[1] == pytest.approx(one.mse_interval[1] / variance, abs=1e-5)
    paired = figures(found.against_first[0])
    change = paired["mse of a claim left out"]
    assert (change.n, change.first, change.second) == (120, one.mse, two.mse)
    assert change.difference == pytest.approx(two.mse - one.mse, abs=1e-5)
    assert change.interval[1] < 0
    assert paired["fve of a claim left out"].difference == pytest.approx(
        change.difference / variance, abs=1e-5
    )
    above = paired["mse of a claim left out - another activation"]
    assert above.first == one.above_other
    assert paired["centred cosine, source text - gibberish"].n == 12
    assert paired["centred cosine, source text - gibberish"].difference == 0


def test_claims_of_other_explanations_are_not_paired(measured):
    def reworded(parts):
        rows = [
            row.model_copy(update={"claims": [f"{each} then" for each in row.claims]})
            for row in parts.rows
        ]
        return parts._replace(rows=rows)

    found = compare([measured("a", probes=PROBED), measured("b", reworded, probes=PROBED)])

    assert all(found.claims)
    assert "mse of a claim left out" not in figures(found.against_first[0])


def test_only_common_rows_give_their_claims(measured):
    first = measured("a", probes=PROBED)
    few = compare([first, measured("b", probes=PROBED, failed={0: "empty"})])

    assert figures(few.against_first[0])["mse of a claim left out"].n == 118


def test_a_comparison_without_claims_is_written_as_before(measured):
    found = compare([measured("a"), measured("b", noisier)])

    assert found.claims == []
    assert "claims" not in json.loads(found.dump())
    assert compare([measured("c"), measured("d")], format_=1).claims == []


def test_the_table_of_claims_is_shown_with_the_identity_of_rows(measured):
    text = comparison_text(compare([measured("a", probes=PROBED), measured("b")]))
    (header,) = [line for line in text.splitlines() if line.startswith("a claim left out")]
    table = text.splitlines()[text.splitlines().index(header) :][1:3]

    assert "top-1" in header
    assert [line.split()[1:3] for line in table] == [["a", "120"], ["b", "-"]]
    assert all(line.endswith("1/60") for line in table)
