from nla_release.diagnostics.discrimination import report
from nla_release.statistics.blocks import Inconclusive


def test_a_probe_that_did_not_run_has_no_report(measured):
    assert report(measured()) is None


def test_facts_outscore_gibberish(measured):
    found = report(measured(probes=["discrimination"]))

    assert found.n == 30
    assert found.interval[0] > 0
    assert found.auc > 0.9
    assert found.auc_interval[0] <= found.auc <= found.auc_interval[1]
    assert (found.cross_row.n, found.cross_row.candidates) == (30, 30)


def test_an_ar_that_ignores_its_text_is_at_chance(measured):
    def ignore(parts):
        parts.vectors["discrimination_gibberish"] = parts.vectors["discrimination_factual"].copy()

    found = report(measured(ignore, probes=["discrimination"]))

    assert (found.difference, found.interval) == (0, (0, 0))
    assert found.auc == 0.5
    assert found.auc_interval[0] <= 0.5 <= found.auc_interval[1]


def test_few_documents_are_inconclusive_however_many_rows(measured):
    found = report(measured(probes=["discrimination"], documents=12))

    assert isinstance(found, Inconclusive)
    assert "12 documents" in found.inconclusive


def test_rows_without_source_text_are_not_asked(measured):
    def forget(parts):
        for index in range(0, 60, 30):
            parts.rows[index] = parts.rows[index].model_copy(update={"text": None})
        for name in ("discrimination_factual", "discrimination_gibberish"):
            parts.vectors[name] = parts.vectors[name][1:]

    assert report(measured(forget, probes=["discrimination"])).n == 29
