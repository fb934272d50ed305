import pytest

from nla_release.diagnostics.text_retrieval import Skipped, report
from nla_release.evidence.records import ProbeRecord
from nla_release.statistics.blocks import Inconclusive

WORDS = (
    *("moon", "savanna", "violin", "harbour", "lantern", "glacier"),
    *("orchard", "thunder", "saddle", "compass", "meadow", "anchor"),
)


def about_documents(explain, text=lambda row: f"long ago {WORDS[row % 12]} in {WORDS[row % 12]}"):
    """Twelve documents, each about one word."""

    def change(parts):
        for index, row in enumerate(parts.rows):
            parts.rows[index] = row.model_copy(
                update={"text": text(index), "explanation": explain(index)}
            )

    return change


def test_explanations_in_the_words_of_their_document_find_it(measured):
    found = report(measured(about_documents(lambda row: f"a {WORDS[row % 12]}"), documents=12))

    assert (found.lexical.hits, found.lexical.n, found.lexical.candidates) == (60, 60, 12)
    assert found.lexical.chance == pytest.approx(1 / 12, abs=1e-6)
    # Whole documents change places, and no drawn order is the right one.
    assert found.lexical.permutation.p == found.lexical.permutation.floor


def test_explanations_of_other_documents_do_not(measured):
    found = report(
        measured(about_documents(lambda row: f"a {WORDS[(row + 1) % 12]}"), documents=12)
    )

    assert found.lexical.hits == 0
    assert found.lexical.permutation.p == 1


def test_a_row_without_explanation_misses(measured):
    def explain(row):
        return f"a {WORDS[row % 12]}" if row % 4 else ""

    failed = dict.fromkeys(range(0, 60, 4), "empty")
    found = report(measured(about_documents(explain), documents=12, failed=failed)).lexical

    assert (found.hits, found.n) == (45, 60)


def test_texts_without_a_word_in_common_decide_nothing(measured):
    found = report(measured(about_documents(lambda row: "etwas anderes"), documents=12)).lexical

    assert (found.hits, found.percentile.mean) == (0, 0)
    assert isinstance(found.permutation, Inconclusive)


def test_a_document_is_its_longest_text(measured):
    def grow(row):
        return "long ago" if row < 30 else f"long ago {WORDS[row % 12]}"

    found = report(measured(about_documents(lambda row: WORDS[row % 12], grow), documents=12))

    assert found.lexical.hits == 60


def test_documents_without_a_source_text_are_no_candidates(measured):
    def text(row):
        return None if row % 12 == 0 else f"long ago {WORDS[row % 12]}"

    found = report(
        measured(about_documents(lambda row: WORDS[row % 12], text), documents=12)
    ).lexical

    assert (found.hits, found.n, found.candidates) == (55, 55, 11)


def test_without_source_texts_there_is_a_reason_and_no_number(measured):
    found = report(measured(about_documents(lambda row: "a moon", lambda row: None)))

    assert isinstance(found, Inconclusive)
    assert "0 rows with a source text" in found.inconclusive


def test_without_an_encoder_its_part_says_so(measured):
    assert report(measured()).encoder == Skipped(skipped="no encoder was named")


def test_the_reason_of_the_run_is_passed_on(measured):
    def skip(parts):
        record = ProbeRecord(name="text-retrieval", skipped="sentence-transformers is missing")
        parts.run.probes.append(record)

    assert report(measured(skip)).encoder.skipped == "sentence-transformers is missing"


def test_an_encoder_ranks_documents_too(measured):
    found = report(measured(probes=["text-retrieval"], noise=0, failed={0: "empty"})).encoder

    assert (found.n, found.candidates) == (60, 30)
    assert found.hits < 60


def test_the_order_of_rows_does_not_matter(reordered):
    one, two = reordered(probes=["text-retrieval"])

    assert report(one) == report(two)
