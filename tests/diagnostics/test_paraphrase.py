import numpy as np
import pytest

from nla_release.diagnostics.paraphrase import DIAGNOSTIC, report, wording_cost
from nla_release.evidence.records import ProbeRecord
from nla_release.statistics.blocks import Inconclusive
from nla_release.statistics.measures import FORMAT_2


def paraphrased(measured, change=lambda parts: None, **options):
    return report(measured(change, probes=["paraphrase", "text-controls"], **options))


def test_a_probe_that_did_not_run_has_no_report(measured):
    assert report(measured()) is None


def test_a_pair_that_reads_keeps_its_content(measured):
    def same(parts):
        parts.vectors["paraphrase"] = parts.vectors["real"].copy()
        parts.vectors["gibberish"] = parts.vectors["random_vector"].copy()

    found = paraphrased(measured, same)

    assert found.separates
    kept = found.rewordings["paraphrase"]
    assert (kept.difference, kept.share, kept.unchanged) == (0, 0, 0)
    cost = "A paraphrase costs 0.000 of the centred cosine, another row's text 0."
    assert kept.sentence.startswith(cost)
    assert kept.sentence.endswith("the wording may change and most of the content stays.")


def test_an_ar_that_ignores_its_text_gets_no_praise_for_it(measured):
    def ignore(parts):
        for name in ("paraphrase", "sentence_shuffled", "shuffled", "gibberish", "empty"):
            parts.vectors[name] = parts.vectors["real"].copy()

    found = paraphrased(measured, ignore)

    assert not found.separates
    for rewording in found.rewordings.values():
        assert (rewording.difference, rewording.share, rewording.share_interval) == (0, None, None)
        assert "this says nothing" in rewording.sentence


def test_one_content_control_that_does_not_separate_is_enough(measured):
    def reads_gibberish(parts):
        parts.vectors["gibberish"] = parts.vectors["real"].copy()

    assert not paraphrased(measured, reads_gibberish).separates


def test_an_ar_that_depends_on_wording_is_told(measured):
    def depend(parts):
        parts.vectors["sentence_shuffled"] = parts.vectors["shuffled"].copy()

    lost = paraphrased(measured, depend).rewordings["sentence_shuffled"]

    assert lost.share == 1
    assert lost.sentence.startswith("Another order of sentences costs 0.")
    assert lost.sentence.endswith("the wording is not shown to matter less than the content.")


def test_rows_whose_text_did_not_change_do_not_dilute_the_change(measured):
    def leave(parts):
        for index, row in enumerate(parts.rows[:20]):
            texts = row.texts | {"paraphrase": row.explanation}
            parts.rows[index] = row.model_copy(update={"texts": texts})
            parts.vectors["paraphrase"][index] = parts.vectors["real"][index]

    found = paraphrased(measured, leave, failed={59: "empty"}).rewordings["paraphrase"]

    # The row that failed, and the one whose other row it is.
    assert (found.n, found.unchanged, found.failed) == (38, 20, 2)
    assert found.difference > 0


def test_white_space_and_case_are_no_rewording(measured):
    def space(parts):
        for index, row in enumerate(parts.rows):
            texts = row.texts | {"paraphrase": row.explanation.upper().replace(" ", "\n ")}
            parts.rows[index] = row.model_copy(update={"texts": texts})

    found = paraphrased(measured, space).rewordings["paraphrase"]

    assert isinstance(found, Inconclusive)
    assert "0 texts changed" in found.inconclusive


def test_other_rows_that_failed_do_not_cheapen_a_rewording(measured):
    """A failed other row would cost the whole cosine, and any rewording a small share of it."""

    failed = dict.fromkeys(range(0, 60, 3), "empty")
    whole, failing = (
        paraphrased(measured, failed=failed).rewordings["paraphrase"] for failed in (None, failed)
    )

    assert failing.share == pytest.approx(whole.share, rel=0.1)


def test_texts_that_never_change_are_inconclusive(measured):
    def leave(parts):
        for index, row in enumerate(parts.rows):
            texts = row.texts | {"sentence_shuffled": row.explanation}
            parts.rows[index] = row.model_copy(update={"texts": texts})

    found = paraphrased(measured, leave).rewordings

    assert found["sentence_shuffled"] == Inconclusive(
        inconclusive="0 texts changed of 0 documents are too few to tell; it takes 20 of 10"
    )
    assert not isinstance(found["paraphrase"], Inconclusive)


def test_the_share_is_of_what_another_rows_text_costs(measured):
    evidence = measured(probes=["paraphrase"])
    found = report(evidence).rewordings["paraphrase"]

    def cosine(name):
        units = [
            v / np.linalg.norm(v, axis=1, keepdims=True) - evidence.vectors["reference_mean"]
            for v in (evidence.vectors["gold"], evidence.vectors[name])
        ]
        units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in units]
        return float(np.sum(units[0] * units[1], axis=1).mean())

    real, reworded, shuffled = map(cosine, ("real", "paraphrase", "shuffled"))
    assert abs(found.share - (real - reworded) / (real - shuffled)) < 1e-5
    assert found.share_interval[0] < found.share < found.share_interval[1]


def reworded(parts, text):
    """The paraphrase of each row, which its AR reads as the explanation itself."""
    for index, row in enumerate(parts.rows):
        texts = row.texts | {"paraphrase": text(row.explanation)}
        parts.rows[index] = row.model_copy(update={"texts": texts})
    parts.vectors["paraphrase"] = parts.vectors["real"].copy()
    parts.vectors["gibberish"] = parts.vectors["random_vector"].copy()


def test_a_paraphrase_that_changes_one_word_does_not_lift_the_limitation(measured):
    """ ", set in" became ", then set in", and the card no longer said that wording may carry it."""
    found = paraphrased(measured, lambda parts: reworded(parts, lambda text: f"then {text}"))

    assert (found.kept_words.mean, found.kept_words.median, found.counts) == (1, 1, False)
    assert found.rewordings["paraphrase"].share == 0
    assert "this says little" in found.rewordings["paraphrase"].sentence
    assert wording_cost(found).endswith(", and keeps 1.000 of the content words")


def test_a_paraphrase_in_other_words_lifts_it(measured):
    found = paraphrased(measured, lambda parts: reworded(parts, lambda text: f"das {text[::-1]}"))

    assert found.kept_words.mean < 0.5
    assert found.counts
    assert wording_cost(found) is None


def test_how_many_paraphrases_came_with_the_data_is_told(measured):
    def given(parts):
        settings = {"given_in_the_data": 57}
        names = [each.name for each in parts.run.probes]
        parts.run.probes[names.index("paraphrase")] = ProbeRecord(
            name="paraphrase", settings=settings
        )

    found = paraphrased(measured, given)

    assert found.given == 57
    assert any("57 paraphrases came with the data" in each for each in DIAGNOSTIC.sentences(found))


def test_format_2_has_nothing_of_kept_words(measured):
    evidence = measured(probes=["paraphrase", "text-controls"])

    assert {"given", "kept_words"}.isdisjoint(report(evidence, FORMAT_2).model_fields_set)
