"""The base's facts are found without a network, and a pair is held to them."""

import shutil
from pathlib import Path

import pytest

from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from tests.builders_pair import EMBEDDING_NORM
from tests.pairs.base import base_that_says
from tests.pairs.modules import configured
from tests.pairs.zoo import (
    CONFIG,
    FACTS,
    WEIGHTS,
    edited_json,
    edited_tensors,
    in_both_sidecars,
    in_sidecar,
    judged,
    measured_as,
)

NEED_FACTS = ["NLA105", "NLA106", "NLA306", "NLA307"]

FORMULA = "norms.embedding_mean is 4, which is sqrt(d_model), a formula and not a measurement"


def outcomes(verdict) -> dict:
    return {outcome.rule.code: outcome for outcome in verdict.outcomes}


def states(verdict) -> set[str]:
    return {outcomes(verdict)[code].state for code in NEED_FACTS}


def messages(verdict, code: str) -> list[str]:
    return [finding.message for finding in outcomes(verdict)[code].findings]


class TestWhereTheFactsAreFrom:
    def test_beside_the_release(self, release):
        shutil.rmtree(release / "base")
        shutil.rmtree(release / "dist")

        assert states(judged(release)) == {"passed"}

    def test_in_the_repository_itself(self, good, tmp_path):
        """A stranger checks a download."""
        repository = shutil.copytree(good / "dist" / "ar", tmp_path / "download")

        assert states(judged(repository)) == {"passed"}

    def test_measured_from_the_local_base(self, release):
        shutil.rmtree(release / "dist")
        (release / FACTS).unlink()

        assert states(judged(release)) == {"passed"}

    def test_nowhere_and_the_rules_say_how_to_get_them(self, good):
        verdict = judged(good, "pair")

        assert states(verdict) == {"skipped"}
        for code in NEED_FACTS:
            (reason,) = [r for r in outcomes(verdict)[code].skipped if "base.json" in r]
            assert reason.startswith("there is no base.json: run nla-release base")
        assert verdict.verdict == "pass"

    def test_a_local_base_without_weights_is_nowhere(self, release):
        shutil.rmtree(release / "dist")
        (release / FACTS).unlink()
        (release / "base" / "model.safetensors").unlink()

        verdict = judged(release)

        assert states(verdict) == {"skipped"}
        assert verdict.findings == []

    def test_a_pair_with_facts_beside_it(self, release):
        shutil.copyfile(release / FACTS, release / "pair" / FACTS)

        verdict = judged(release, "pair")

        assert {outcomes(verdict)[code].state for code in NEED_FACTS[1:]} == {"passed"}
        assert outcomes(verdict)["NLA105"].skipped == (
            "there is no evidence yet: run nla-release roundtrip",
        )


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"schema": 1}', "\x00", "1e999"])
def test_damaged_facts_are_one_finding_and_a_reason_to_skip_the_rest(release, content):
    shutil.rmtree(release / "dist")
    (release / FACTS).write_text(content)

    verdict = judged(release)

    assert {finding.code for finding in verdict.findings} == {"NLA106"}
    for code in ("NLA102", "NLA105", "NLA306", "NLA307"):
        assert f"{release / FACTS} cannot be used, see NLA106" in outcomes(verdict)[code].skipped


def test_facts_of_another_base_are_used_by_no_other_rule(release):
    with edited_json(release / FACTS) as facts:
        facts["id"] = "someone/other"
        facts["modules"] = {}
    shutil.rmtree(release / "dist")

    verdict = judged(release)

    assert {finding.code for finding in verdict.findings} == {"NLA106"}
    assert outcomes(verdict)["NLA307"].skipped == (
        f"{release / FACTS} belongs to another base, see NLA106",
    )


def test_the_rules_name_both_numbers(release):
    base_that_says(release, num_hidden_layers=4, hidden_size=32, vocab_size=20)

    found = messages(judged(release), "NLA106")

    assert "d_model is 16, the base's hidden_size is 32" in found
    assert (
        "extraction_layer_index is 3, the base has blocks 0 to 3, and the last is excluded: readers"
        " see it through the final norm"
    ) in found
    assert any("the base's vocabulary has ids 0 to 19" in message for message in found)


class TestScale:
    def at(self, release: Path, scale: float, activations: float) -> list[tuple[str, str]]:
        pair = release / "pair"
        in_sidecar(pair, "av", ["extraction", "injection_scale"], scale)
        in_sidecar(pair, "av", ["nla_release", "injection", "scale"], scale)
        in_sidecar(pair, "av", ["nla_release", "norms", "activation_mean"], activations)
        outcome = outcomes(judged(release, "pair"))["NLA102"]
        return [(finding.severity, finding.message) for finding in outcome.findings]

    @pytest.mark.parametrize("scale", [0.5 * EMBEDDING_NORM, EMBEDDING_NORM, 3 * EMBEDDING_NORM])
    def test_near_the_embeddings_is_fine(self, release, scale):
        assert self.at(release, scale, 1.0) == []

    def test_near_the_activations_is_a_warning_that_names_both_ratios(self, release):
        ((severity, message),) = self.at(release, 150.0, 125.0)

        assert severity == "warning"
        assert message == (
            "extraction.injection_scale 150 is 3.896 times the mean embedding norm 38.5 and 1.2"
            " times the mean activation norm 125; it must be 0.5 to 3.0 times the first, and fits"
            " only the second"
        )

    @pytest.mark.parametrize("scale", [80000.0, 0.01])
    def test_near_neither_is_an_error(self, release, scale):
        ((severity, message),) = self.at(release, scale, 125.0)

        assert severity == "error"
        assert message.endswith("it must be 0.5 to 3.0 times the first")

    def test_the_measured_norm_counts_and_not_the_recorded_one(self, release):
        """A recorded norm that was made to fit the scale does not help it."""
        pair = release / "pair"
        in_both_sidecars(pair, ["nla_release", "norms", "embedding_mean"], 80000.0)
        in_sidecar(pair, "av", ["extraction", "injection_scale"], 80000.0)
        in_sidecar(pair, "av", ["nla_release", "injection", "scale"], 80000.0)
        assert messages(judged(release, "pair"), "NLA102") == []

        ((message),) = messages(judged(release), "NLA102")[:1]

        assert message.startswith(
            "extraction.injection_scale 80000 is 2078 times the mean embedding norm 38.5"
        )


class TestNorms:
    def recorded(self, release: Path, norm: float, **measured: float) -> list[tuple[str, str]]:
        """What is found when the base measures so, and that norm is recorded."""
        in_both_sidecars(release / "pair", ["nla_release", "norms", "embedding_mean"], norm)
        measured_as(release, lambda parts: None)
        with edited_json(release / FACTS) as facts:
            facts["embedding"] |= measured
        outcome = outcomes(judged(release))["NLA105"]
        return [(finding.severity, finding.message) for finding in outcome.findings]

    @pytest.mark.parametrize("norm", [38.5, 36.7, 40.3])
    def test_a_norm_within_5_percent_is_the_one_measured(self, release, norm):
        assert self.recorded(release, norm, norm_mean=38.5, norm_error=0.02) == []

    @pytest.mark.parametrize("norm", [36.5, 40.5, 1.0, 74000.0])
    def test_another_is_an_error_in_both_sidecars(self, release, norm):
        found = self.recorded(release, norm, norm_mean=38.5, norm_error=0.02)

        assert (
            found
            == [
                (
                    "error",
                    f"norms.embedding_mean is {norm:g}, the base's embeddings measure 38.5 ± 0.02",
                )
            ]
            * 2
        )

    def test_a_sample_that_scatters_allows_more(self, release):
        assert self.recorded(release, 44.0, norm_mean=38.5, norm_error=1.5) == []

    def test_a_formula_near_the_measured_norm_is_a_warning(self, release):
        found = self.recorded(release, 4.0, norm_mean=4.1, norm_error=0.001)

        assert found == [("warning", f"{FORMULA}; the base's embeddings measure 4.1")] * 2

    def test_a_base_that_does_measure_so_confirms_it(self, release):
        assert self.recorded(release, 4.0, norm_mean=4.001, norm_error=0.001) == []

    def test_without_facts_a_formula_is_a_warning_too(self, release):
        in_both_sidecars(release / "pair", ["nla_release", "norms", "embedding_mean"], 4.0)

        assert messages(judged(release, "pair"), "NLA105") == [FORMULA] * 2


class TestModules:
    def test_names_of_the_text_model_say_which_model_they_fit(self, release):
        for role in ("av", "ar"):
            with edited_tensors(release / "pair" / role / WEIGHTS) as tensors:
                for name in list(tensors):
                    tensors[name.replace("model.language_model", "model")] = tensors.pop(name)

        (first, _) = messages(judged_without_dist(release), "NLA307")

        assert first == (
            "8 of 8 modules are named model.layers..., as in a model of text alone, the loaded base"
            " has model.language_model.layers...: PEFT may only warn and run the base without"
            " them"
        )

    def test_a_base_whose_text_part_alone_is_loaded_wants_the_names_of_the_text_model(
        self, release
    ):
        base_that_says(release, model_type="qwen3_5")

        (first, _) = messages(judged(release), "NLA307")

        assert first.startswith(
            "8 of 8 modules are named model.language_model.layers..., as in a wrapper with other"
            " towers, the loaded base has model.layers..."
        )

    def test_a_quantised_base_has_no_shapes_to_compare(self, release):
        with edited_json(release / FACTS) as facts:
            modules = dict.fromkeys(facts["modules"])
        base_that_says(release, modules=modules)

        assert messages(judged(release), "NLA307") == []
        assert outcomes(judged(release))["NLA307"].state == "passed"

    def test_a_layout_that_is_not_known_is_a_skip(self, release):
        base_that_says(release, modules={"transformer.h.0.attn.c_attn": [48, 16]})
        (release / "base" / "model.safetensors").unlink()

        verdict = judged(release)

        assert verdict.findings == []
        assert outcomes(verdict)["NLA307"].skipped == (
            "this version does not know how someone/tiny names its modules",
        )

    def test_shapes_are_compared(self, release):
        with edited_json(release / FACTS) as facts:
            modules = facts["modules"]
        modules["model.language_model.layers.2.self_attn.q_proj"] = [32, 64]
        base_that_says(release, modules=modules)

        (message, _) = messages(judged(release), "NLA307")

        assert message == (
            "the factors of model.language_model.layers.2.self_attn.q_proj map 16 to 16 features,"
            " the base's module 64 to 32"
        )

    def test_what_a_half_saved_adapter_lacks_is_named(self, release):
        with edited_tensors(release / "pair" / "av" / WEIGHTS) as tensors:
            for name in [name for name in tensors if "layers.3." in name]:
                del tensors[name]

        (message,) = messages(judged_without_dist(release), "NLA307")

        assert message == (
            "2 modules that target_modules matches in the base are not in the file, and PEFT runs"
            " them untrained: model.language_model.layers.3.self_attn.q_proj,"
            " model.language_model.layers.3.self_attn.v_proj"
        )

    def test_a_pattern_that_would_take_years_is_a_skip(self, release):
        configured(release, target_modules=r"(\w+\.?)+!")

        verdict = judged(release)

        assert {finding.code for finding in verdict.findings} == {"NLA313"}  # a pattern at all
        for code in ("NLA306", "NLA307"):
            (reason,) = outcomes(verdict)[code].skipped
            assert reason == (
                "target_modules cannot be compared with the base: the pattern takes more than"
                " 2 seconds or 512 MB to match"
            )

    @pytest.mark.parametrize(
        "options",
        [
            {"target_modules": None},
            {
                "target_modules": ["q_proj"],
                "layers_to_transform": [1],
                "layers_pattern": "layer[s]",
            },
        ],
        ids=str,
    )
    def test_targets_that_are_not_worked_out_are_a_skip(self, release, options):
        configured(release, **options)

        assert outcomes(judged(release))["NLA307"].state == "skipped"

    def test_targets_of_a_wrong_kind_are_a_damaged_configuration(self, release):
        with edited_json(release / "pair" / "av" / CONFIG) as config:
            config["target_modules"] = [{"q_proj": 1}]

        assert {each.code for each in judged(release, "pair").findings} == {"NLA302"}


def judged_without_dist(release: Path):
    """The verdict on the trained pair of a release, as before it is measured again."""
    shutil.rmtree(release / "dist")
    return apply_rules(find_subject(release))


class TestNormsThatStandOut:
    """Single tokens with a hundred times the usual norm are normal in some bases."""

    def measured_with(self, release, rows: int, times: float = 100.0) -> None:
        def stand_out(parts):
            parts.vectors["gold"][:rows] *= times

        measured_as(release, stand_out)

    def test_a_few_held_out_ones_decide_nothing(self, release):
        self.measured_with(release, 2)

        assert messages(judged(release), "NLA105") == []

    def test_how_many_there_are_is_said_with_a_real_mistake(self, release):
        key = ["nla_release", "norms", "activation_mean"]
        in_both_sidecars(release / "pair", key, 400_000.0)
        self.measured_with(release, 2)
        message, *_ = messages(judged(release), "NLA105")

        assert "2 of 60 activations have more than 10 times the median norm" in message

    @pytest.mark.parametrize(("median", "state"), [(40.0, "passed"), (300.0, "failed")])
    def test_recorded_medians_are_compared_whatever_the_means(self, release, median, state):
        """A training set with such tokens has a mean that says nothing of its usual rows."""
        norms = ["nla_release", "norms"]
        in_both_sidecars(release / "pair", [*norms, "activation_mean"], 900.0)
        in_both_sidecars(release / "pair", [*norms, "activation_median"], median)
        measured_as(release, lambda parts: None)

        assert outcomes(judged(release))["NLA105"].state == state
