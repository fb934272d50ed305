"""Labelling against a server that speaks the protocol: what is asked, kept and said."""

import asyncio
import json
import re
import time
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from huggingface_hub.inference._providers import CONVERSATIONAL_AUTO_ROUTER
from huggingface_hub.utils import httpx

from nla_release.cli.train import command
from nla_release.errors import (
    ConfigError,
    DataError,
    EnvironmentProblem,
    NothingCheckedError,
)
from nla_release.io.files import read_yaml
from nla_release.training.label import label
from nla_release.training.labelling.costs import token_counter
from nla_release.training.recipe import read_recipe
from nla_release.training.record import read_record
from tests.train.labelling.conftest import TEXTS, split
from tests.train.labelling.server import (
    AUDIT,
    Impatience,
    malformed,
    reset,
    says,
    silent,
    status,
    trickling,
)
from tests.waiting import wait_until
from tests.workers import started, two

KYOTO = "rain over Kyoto"
SECRET = "sk-this-is-nobodys-business"


def rows(folder, side="av"):
    return pq.read_table(folder / "data" / "labels" / f"{side}.parquet").to_pylist()


def by_text(folder):
    """Every text's row, whichever side it is on."""
    return {
        text: row
        for side, texts in TEXTS.items()
        for text, row in zip(texts, rows(folder, side), strict=True)
    }


def test_a_request_that_an_earlier_test_left_under_way_is_not_taken_for_this_ones(server):
    earlier = server.base_url
    server.begin()
    late = httpx.post(f"{earlier}/chat/completions", json={"messages": [{"content": "late"}]})

    assert late.status_code == 410
    assert not server.asked


# -- what is asked --


@pytest.mark.wire
def test_every_row_gets_its_label_and_a_text_that_stands_twice_is_asked_once(
    folder, recipe, server
):
    label(recipe(system="be brief"), folder)

    assert sorted(server.contents) == sorted(
        {f"LABEL: {text}" for texts in TEXTS.values() for text in texts}
    )
    assert [row["explanation"] for row in rows(folder)] == [
        "about rain over Kyoto",
        "about a rose in Lima",
        "about rain over Kyoto",
    ]
    assert [row["id"] for row in rows(folder, "eval")] == ["eval0:5", "eval1:5"]
    assert {row["labeller"] for row in rows(folder)} == {"labeller-2026-01-01"}
    body = server.asked[0].body
    assert body["messages"][0] == {"role": "system", "content": "be brief"}
    assert (body["model"], body["max_tokens"], body["temperature"], body["seed"]) == (
        "labeller",
        256,
        0.0,
        0,
    )


def test_the_sidecar_counts_and_names_who_labelled(folder, recipe, server):
    server.goes_wrong("Kyoto", says("no tags"))
    label(recipe(), folder)
    sidecar = read_yaml(folder / "data" / "labels" / "av.parquet.nla_meta.yaml")

    assert (sidecar["kind"], sidecar["schema_version"], sidecar["row_count"]) == (
        "nla_dataset",
        1,
        3,
    )
    assert sidecar["extraction"]["d_model"] == 4
    assert sidecar["nla_release"]["labels"] == {
        "source": "endpoint",
        "model": "labeller",
        "endpoint": server.base_url,
        "passes": 1,
        "labellers": ["labeller-2026-01-01"],
        "status": {"ok": 1, "rejected": 0, "refused": 0, "unparsed": 2, "failed": 0},
        "distinct": 1,
    }


def test_a_text_may_hold_braces_and_placeholders(tmp_path, recipe, server):
    odd = ["{text} {explanation} {", '{"json": "{text}"}', "100% {0} \\1"]
    split(tmp_path, recipe(), {"av": odd})
    label(recipe(auditor=AUDIT), tmp_path)

    assert sorted(it for it in server.contents if it.startswith("LABEL")) == sorted(
        f"LABEL: {text}" for text in odd
    )
    assert f"AUDIT: {odd[0]} | about {odd[0]}" in server.contents


def test_extra_body_goes_into_the_request_and_null_takes_a_parameter_out(folder, recipe, server):
    label(
        recipe(temperature=None, extra_body={"max_tokens": None, "max_completion_tokens": 9}),
        folder,
    )
    body = server.asked[0].body

    assert body["max_completion_tokens"] == 9
    assert not {"max_tokens", "temperature"} & body.keys()


# -- two passes --


def test_the_auditor_has_the_last_word_and_the_draft_is_kept(folder, recipe, server):
    server.goes_wrong("AUDIT: rain", says("<reject>there is no rain in it</reject>"))
    label(recipe(auditor=AUDIT), folder)
    found = by_text(folder)

    assert found["a rose in Lima"]["explanation"] == "about a rose in Lima, audited"
    assert found["a rose in Lima"]["draft"] == "about a rose in Lima"
    assert found["a rose in Lima"]["requests"] == 2
    assert (found[KYOTO]["status"], found[KYOTO]["explanation"], found[KYOTO]["reason"]) == (
        "rejected",
        None,
        "there is no rain in it",
    )


def test_a_draft_that_is_none_is_not_audited(folder, recipe, server):
    server.goes_wrong("LABEL: rain", says("nothing in tags"))
    label(recipe(auditor=AUDIT), folder)

    assert by_text(folder)[KYOTO]["status"] == "unparsed"
    assert not any(content.startswith("AUDIT: rain") for content in server.contents)


def test_another_auditor_asks_the_labeller_nothing(folder, recipe, server):
    label(recipe(auditor=AUDIT), folder)
    server.asked.clear()
    label(recipe(auditor=f"{AUDIT} "), folder)

    assert len(server.asked) == 4
    assert all(content.startswith("AUDIT") for content in server.contents)


# -- what goes wrong --


PASSING = [
    status(429, retry_after="0"),
    status(429, retry_after="0.01"),
    status(429, retry_after="Wed, 21 Oct 2015 07:28:00 GMT"),
    status(429, retry_after="soon"),
    status(500),
    status(502, body="<html>bad gateway</html>"),
    status(503, retry_after="0"),
    status(529),
    status(408),
    status(400, body='["no"]'),
    status(500, body='"no"'),
    malformed('{"choices": [{"mess'),
    malformed(b"\xff\xfe"),
    malformed(""),
    malformed("[]"),
    malformed('"hello"'),
    malformed("{}"),
    malformed('{"choices": []}'),
    malformed('{"choices": null}'),
    malformed('{"choices": {"0": 1}}'),
    malformed('{"choices": [[{"message": {"content": "a"}}]]}'),
    malformed('{"choices": [{"message": "hi"}]}'),
    malformed('{"choices": [{"message": {"content": ["a"]}}]}'),
    malformed("[" * 100_000),
    reset,
]


@pytest.mark.wire
def test_a_fault_that_passes_costs_a_retry_and_no_label(tmp_path, recipe, server, capsys):
    """Every text goes wrong twice in its own way, several at the same time."""
    texts = [f"text {at:02}" for at in range(len(PASSING))]
    split(tmp_path, recipe(), {"av": texts})
    for text, fault in zip(texts, PASSING, strict=True):
        server.goes_wrong(text, fault, fault)
    label(recipe(), tmp_path)

    found = {row["explanation"]: (row["status"], row["requests"]) for row in rows(tmp_path)}
    assert found == {f"about {text}": ("ok", 3) for text in texts}
    assert (
        f"requests {3 * len(texts)}, of which retries {2 * len(texts)}" in capsys.readouterr().err
    )


def test_a_mistake_of_ours_is_not_blamed_on_the_endpoint(folder, recipe, server, monkeypatch):
    def mistaken(*_):
        raise AttributeError("ours")

    monkeypatch.setattr("nla_release.training.labelling.endpoint.answer_of", mistaken)
    with pytest.raises(AttributeError, match="ours"):
        label(recipe(concurrency=1), folder)

    assert len(server.asked) == 1


@pytest.fixture
def impatience(monkeypatch):
    """Time runs out when the test says so: a busy machine may answer late as well."""
    found = Impatience()
    clock = SimpleNamespace(**{**vars(asyncio), "timeout": found.timeout})
    monkeypatch.setattr("nla_release.training.labelling.endpoint.asyncio", clock)
    return found


@pytest.mark.parametrize("way", [silent, trickling], ids=lambda way: way.__name__)
def test_a_late_answer_is_given_up_and_asked_for_again(folder, recipe, server, impatience, way):
    """One that only trickles too: a limit between two bytes would never be reached."""
    server.goes_wrong("LABEL", way(impatience))
    label(recipe(concurrency=1, timeout_seconds=7.5), folder)

    requests = [row["requests"] for row in by_text(folder).values()]
    assert sorted(requests) == [1, 1, 1, 2]
    assert impatience.asked == [7.5] * 5


def test_retry_after_is_heeded_by_all_requests(folder, recipe, server):
    server.goes_wrong("LABEL", status(429, retry_after="0.5"))
    label(recipe(concurrency=1), folder)
    first, second, *_ = server.asked

    assert second.at - first.at >= 0.5


def test_a_wait_that_is_too_long_ends_the_step_at_once(folder, recipe, server):
    server.goes_wrong("LABEL", *[status(429, retry_after="86400")] * 9)

    with pytest.raises(EnvironmentProblem, match="come back in 86400 s"):
        label(recipe(), folder)


def test_no_more_requests_a_minute_than_the_recipe_allows(folder, recipe, server):
    began = time.monotonic()
    label(recipe(requests_per_minute=600), folder)

    assert server.asked[-1].at - began >= 0.3


LASTING = [
    (says(None, refusal="I will not"), "refused", "I will not"),
    (says("", finish_reason="content_filter"), "refused", "content filter"),
    (
        status(400, body='{"error": {"code": "content_filter", "message": "jailbreak"}}'),
        "refused",
        "jailbreak",
    ),
    (status(403, body='{"error": {"type": "moderation_blocked"}}'), "refused", "moderation"),
    (
        status(422, body='{"error": {"code": 422, "metadata": {"flagged_input": "rain"}}}'),
        "refused",
        "flagged_input",
    ),
    (says("I am sorry, I cannot."), "unparsed", "not exactly one"),
    (says(None), "unparsed", "not exactly one"),
    (says("<explanation> </explanation>"), "unparsed", "nothing between"),
    (says("<explanation>a</explanation><explanation>b</explanation>"), "unparsed", "exactly"),
    (says("</explanation>a<explanation>"), "unparsed", "comes before"),
    (says("<explanation>half a", finish_reason="length"), "unparsed", "cut off at max_tokens"),
    (status(400, body='{"error": "context too long"}'), "failed", "400.*context too long"),
    (
        status(400, body='{"error": {"code": "bad", "message": "moderation: unknown key"}}'),
        "failed",
        "400.*unknown key",
    ),
    (status(413), "failed", "413"),
]


def test_a_text_without_an_explanation_keeps_its_row_and_its_reason(tmp_path, recipe, server):
    texts = [f"text {at:02}" for at in range(len(LASTING))]
    split(tmp_path, recipe(), {"av": [*texts, "rain", "snow"]})
    for text, (wrong, _, _) in zip(texts, LASTING, strict=True):
        server.goes_wrong(text, wrong)
    label(recipe(), tmp_path)
    *found, rain, snow = rows(tmp_path)

    for row, (_, word, reason) in zip(found, LASTING, strict=True):
        assert (row["status"], row["explanation"]) == (word, None)
        assert re.search(reason, row["reason"]), (row["reason"], reason)
    assert rain["status"] == snow["status"] == "ok"
    assert sorted(server.contents) == sorted(f"LABEL: {it}" for it in [*texts, "rain", "snow"])


def test_what_was_refused_is_not_asked_again_and_what_failed_is(folder, recipe, server):
    server.goes_wrong("Kyoto", says(None, refusal="no"))
    server.goes_wrong("snow", *[status(500)] * 4)
    label(recipe(), folder)
    assert by_text(folder)["snow on Oslo"]["status"] == "failed"
    server.asked.clear()
    label(recipe(), folder)

    assert server.contents == ["LABEL: snow on Oslo"]
    assert by_text(folder)["snow on Oslo"]["status"] == "ok"
    assert by_text(folder)[KYOTO]["status"] == "refused"


def test_the_counts_tell_what_happened(folder, recipe, server, capsys):
    server.goes_wrong("Kyoto", says(None, refusal="no"))
    server.goes_wrong("rose", status(429, retry_after="0"), reset, malformed("{"))
    server.goes_wrong("snow", *[status(503)] * 4)
    server.goes_wrong("wave", says("no tags"))
    label(
        recipe(price_per_million_tokens={"input": 100_000, "output": 200_000}),
        folder,
    )
    said = capsys.readouterr().err

    assert said.endswith(
        f"""\
     side        ok  rejected   refused  unparsed    failed      rows
       av         1         0         2         0         0         3
     eval         0         0         0         1         1         2
 requests 10, of which retries 6 (429 1, 503 4, connection 1, malformed 1)
   cached 0
   tokens 15 in, 9 out
     cost 3.3000
1 rows got no answer: `nla-release train label --again` asks for these alone
wrote {folder / "data" / "labels"}
"""
    )


# -- endpoints that answer nothing --


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (401, EnvironmentProblem, "answers 401 for model 'labeller'"),
        (402, EnvironmentProblem, "answers 402"),
        (403, EnvironmentProblem, "answers 403"),
        (404, ConfigError, "answers 404 for model 'labeller'"),
    ],
)
def test_what_is_about_all_requests_ends_the_step_at_the_first(
    folder, recipe, server, code, error, words
):
    server.goes_wrong("LABEL", *[status(code)] * 99)
    with pytest.raises(error, match=words):
        label(recipe(concurrency=1), folder)

    assert len(server.asked) == 1
    assert not (folder / "data" / "labels" / "av.parquet").exists()
    assert read_record(folder, "label") is None


def test_a_dead_endpoint_is_left_alone_after_ten_texts(tmp_path, recipe, server):
    split(tmp_path, recipe(), {"av": [f"text {at}" for at in range(100)]})
    server.goes_wrong("LABEL", *[status(503)] * 999)
    with pytest.raises(EnvironmentProblem, match="10 requests in a row unanswered"):
        label(recipe(retries=1), tmp_path)

    assert len(server.asked) <= 2 * (10 + 4)


def test_texts_that_the_endpoint_turns_down_end_as_failed_however_often_it_is_run(
    tmp_path, recipe, server
):
    """Also when all others are in the cache, so that only these are asked for."""
    texts = [f"text {at}{' too long' if at % 5 == 1 else ''}" for at in range(60)]
    split(tmp_path, recipe(), {"av": texts})
    server.goes_wrong("too long", *[status(400, body='{"error": "context length"}')] * 99)
    for asked in (60, 12):
        server.asked.clear()
        label(recipe(), tmp_path)

        assert len(server.asked) == asked
        assert [row["status"] for row in rows(tmp_path)].count("failed") == 12


def test_texts_that_an_endpoint_stumbles_over_are_no_dead_endpoint(tmp_path, recipe, server):
    """When they lie far apart, and what lies between them is answered or in the cache."""
    texts = [f"text {at}{' crashing' if at % 4 == 1 else ''}" for at in range(48)]
    split(tmp_path, recipe(), {"av": texts})
    server.goes_wrong("crashing", *[status(500)] * 99)
    for _ in range(2):
        label(recipe(retries=0, concurrency=1), tmp_path)

        assert [row["status"] for row in rows(tmp_path)].count("failed") == 12


def test_nothing_answered_is_no_labels(folder, recipe):
    with pytest.raises(EnvironmentProblem, match="none of 4 texts got an answer"):
        label(recipe(base_url="http://127.0.0.1:9/v1", retries=0), folder)

    assert not (folder / "data" / "labels" / "av.parquet").exists()


# -- what a rerun costs --


def test_a_rerun_asks_nothing_and_gives_the_same_bytes(folder, recipe, server, capsys):
    label(recipe(), folder)
    before = (folder / "data" / "labels" / "av.parquet").read_bytes()
    server.asked.clear()
    capsys.readouterr()
    label(recipe(concurrency=1, retries=9), folder)

    assert not server.asked
    assert (folder / "data" / "labels" / "av.parquet").read_bytes() == before
    said = capsys.readouterr().err
    assert "0 requests" in said
    assert "cached 4" in said


def test_another_request_is_not_answered_from_the_cache(folder, recipe, server):
    label(recipe(), folder)
    for change in (
        {"model": "other"},
        {"labeller": "LABEL: {text}!"},
        {"system": "be brief"},
        {"temperature": 0.5},
        {"max_tokens": 9},
        {"seed": 1},
        {"extra_body": {"top_k": 1}},
    ):
        server.asked.clear()
        label(recipe(**change), folder)

        assert len(server.asked) == 4, change


def test_a_damaged_answer_is_named_and_not_paid_for_silently(folder, recipe, server):
    label(recipe(), folder)
    damaged = next((folder / "data" / "labels" / "cache").rglob("*.json"))
    damaged.write_text("{")
    with pytest.raises(DataError, match=damaged.name) as caught:
        label(recipe(), folder)

    assert "remove" in caught.value.hint


def test_a_step_that_was_killed_goes_on_and_pays_for_nothing_twice(
    tmp_path, recipe_file, server, capsys
):
    path = recipe_file(concurrency=4)
    line = [str(path), "--folder", str(tmp_path)]
    texts = [f"text number {at}" for at in range(40)]
    split(tmp_path, read_recipe(path), {"av": texts})
    server.hold_after(17)
    running = started("train label", *line)
    cache = tmp_path / "data" / "labels" / "cache"
    wait_until(lambda: server.held.is_set(), alive=lambda: running.alive)
    wait_until(lambda: len(list(cache.rglob("[0-9a-f]*.json"))) == 17, alive=lambda: running.alive)
    running.kill()
    running.wait()
    assert not (tmp_path / "data" / "labels" / "av.parquet").exists()

    server.hold_after(None)
    command.main(["label", *line], standalone_mode=False)
    said = capsys.readouterr().err

    assert "23 requests" in said
    assert "cached 17" in said
    assert sorted(server.answered) == sorted(f"LABEL: {text}" for text in texts)
    assert all(row["status"] == "ok" for row in rows(tmp_path))

    asked = len(server.asked)
    command.main(["label", *line], standalone_mode=False)
    assert "label: done already" in capsys.readouterr().err
    command.main(["label", *line, "--again"], standalone_mode=False)
    assert "cached 40" in capsys.readouterr().err
    assert len(server.asked) == asked


# -- the estimate --


def test_the_estimate_comes_first_and_asks_nothing(folder, recipe, server, capsys):
    price = {"input": 1.0, "output": 4.0}
    label(recipe(price_per_million_tokens=price), folder, only_estimate=True)
    said = capsys.readouterr().err

    assert not server.asked
    assert "4 texts to label with labeller: 4 requests, about" in said
    assert "by the base's tokenizer" in said
    assert "at most 1024 out" in said
    assert "cost: 0.0042 at most, about" in said or "cost: 0.0041 at most, about" in said
    assert not (folder / "data" / "labels").exists()


def test_without_a_price_only_tokens_are_told(folder, recipe_file, capsys):
    path = recipe_file(auditor=AUDIT, requests_per_minute=4)
    command.main(["label", str(path), "--folder", str(folder), "--estimate"], standalone_mode=False)
    said = capsys.readouterr().err

    assert "8 requests" in said
    assert "cost: no price in the recipe" in said
    assert "2.0 minutes at least, at 4 a minute" in said


def test_labels_of_the_corpus_cost_nothing_and_an_estimate_writes_none(tmp_path, recipe, capsys):
    mine = recipe(source="corpus")
    split(tmp_path, mine, {"av": ["a", "b"]}, {"a": "of a", "b": "of b"})
    label(mine, tmp_path, only_estimate=True)

    assert "and cost nothing" in capsys.readouterr().err
    assert not (tmp_path / "data" / "labels").exists()
    assert read_record(tmp_path, "label") is None


def test_what_is_in_the_cache_is_not_estimated(folder, recipe, capsys):
    label(recipe(), folder)
    capsys.readouterr()
    label(recipe(auditor=AUDIT), folder, only_estimate=True)
    assert "4 texts to label with labeller: 4 requests" in capsys.readouterr().err


def test_without_the_bases_tokenizer_characters_are_counted(recipe):
    base = recipe().base.model_copy(update={"path": None, "id": "nobody/nothing"})
    by = token_counter(base)
    assert (by.how, by.count("12345")) == ("at 4 characters a token", 2)


# -- the token --


def test_the_token_is_sent_and_stands_nowhere(folder, recipe, server, monkeypatch, capfd):
    monkeypatch.setenv("LABEL_KEY", SECRET)
    server.goes_wrong("Kyoto", says(f"<explanation>{SECRET}</explanation>"))
    server.goes_wrong("rose", status(400, body=json.dumps({"error": f"Bearer {SECRET} is wrong"})))
    label(recipe(token_variable="LABEL_KEY"), folder)

    assert server.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert SECRET.encode() not in written
    assert "***" in by_text(folder)["a rose in Lima"]["reason"]
    assert SECRET not in "".join(capfd.readouterr())


def test_an_error_does_not_show_the_token(folder, recipe, server, monkeypatch):
    monkeypatch.setenv("LABEL_KEY", SECRET)
    server.goes_wrong("LABEL", *[status(401, body=f'{{"error": "not {SECRET}"}}')] * 9)
    with pytest.raises(EnvironmentProblem, match=r"not \*\*\*") as caught:
        label(recipe(token_variable="LABEL_KEY"), folder)

    assert "LABEL_KEY" in caught.value.hint


def test_a_token_that_is_not_there_is_asked_for_by_name(folder, recipe, monkeypatch, server):
    monkeypatch.delenv("LABEL_KEY", raising=False)
    with pytest.raises(EnvironmentProblem, match="LABEL_KEY is not set"):
        label(recipe(token_variable="LABEL_KEY"), folder)

    assert not server.asked


def test_the_hub_token_is_not_sent_to_an_address_that_did_not_ask_for_it(
    folder, recipe, server, monkeypatch
):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef0123")
    label(recipe(), folder)

    assert {asked.headers["authorization"] for asked in server.asked} == {"Bearer none"}


@pytest.mark.wire
def test_a_hub_provider_is_asked_with_the_hub_token(folder, recipe, server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef0123")
    router = CONVERSATIONAL_AUTO_ROUTER
    monkeypatch.setattr(router, "base_url", server.base_url.removesuffix("/v1"))
    label(recipe(base_url=None, provider="auto"), folder)

    assert server.asked[0].headers["authorization"] == "Bearer hf_0123456789abcdef0123"
    assert server.asked[0].body["model"] == "labeller"


def test_a_provider_that_the_client_does_not_know_is_told_at_once(folder, recipe, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_0123456789abcdef0123")
    with pytest.raises(ConfigError, match=r"label\.provider nobody"):
        label(recipe(base_url=None, provider="nobody"), folder)


@pytest.mark.parametrize(
    ("label_block", "words"),
    [
        ({"base_url": "http://me:secret@example.org/v1"}, "recipes are published"),
        ({"base_url": "https://example.org/v1?key=1"}, "recipes are published"),
        ({"base_url": "example.org"}, "no http or https address"),
        ({"provider": "auto"}, "base_url or provider, and not both"),
        ({"base_url": None}, "base_url or provider"),
        ({"labeller": "explain it"}, "labeller has no {text}"),
        ({"auditor": "{text}?"}, "auditor needs {text} and {explanation}"),
        ({"token": "abc"}, "token is not a known key"),
    ],
)
def test_a_recipe_that_cannot_be_asked_with_is_refused(recipe, label_block, words):
    with pytest.raises(ConfigError, match=words):
        recipe(**label_block)


# -- labels that the corpus brings along --


def test_the_corpus_own_labels_are_taken_as_they_are(tmp_path, recipe, server):
    mine = recipe(source="corpus")
    split(tmp_path, mine, {"av": ["a", "b"], "eval": ["c"]}, {it: f"of {it}" for it in "abc"})
    label(mine, tmp_path)

    assert [(row["explanation"], row["status"], row["labeller"]) for row in rows(tmp_path)] == [
        ("of a", "ok", "corpus"),
        ("of b", "ok", "corpus"),
    ]
    assert not server.asked


def test_shuffled_labels_are_other_rows_and_the_sidecar_says_so(tmp_path, recipe):
    mine = recipe(source="corpus", shuffle=0)
    words = [f"word {at}" for at in range(20)]
    texts = {"av": words, "eval": ["x", "y"]}
    split(tmp_path, mine, texts, {it: f"of {it}" for it in [*words, "x", "y"]})
    label(mine, tmp_path)
    said = [row["explanation"] for row in rows(tmp_path)]
    sidecar = read_yaml(tmp_path / "data" / "labels" / "av.parquet.nla_meta.yaml")

    assert said != [f"of {word}" for word in words]
    assert sorted(said) == sorted(f"of {word}" for word in words)
    assert [row["explanation"] for row in rows(tmp_path, "eval")] == ["of x", "of y"]
    assert sidecar["nla_release"]["labels"]["shuffled"] is True


@pytest.mark.parametrize(
    ("explanations", "words"),
    [
        ({"a": "of a", "b": "of b"}, r"1 of 1 rows have no explanation, the first is eval0:5"),
        ({"a": "of a", "b": " ", "c": "of c"}, r"1 of 2 rows have no explanation"),
        (dict.fromkeys("abc", "a text"), "av: all 2 labels are the same: 'a text'"),
    ],
)
def test_labels_that_are_missing_or_all_the_same_are_refused(tmp_path, recipe, explanations, words):
    mine = recipe(source="corpus")
    split(tmp_path, mine, {"av": ["a", "b"], "eval": ["c"]}, explanations)
    with pytest.raises(DataError, match=words):
        label(mine, tmp_path)

    assert read_record(tmp_path, "label") is None


@pytest.mark.parametrize("side", ["av", "ar"])
def test_labels_that_are_the_same_on_one_side_are_no_better_for_the_other(tmp_path, recipe, side):
    mine = recipe(source="corpus")
    texts = {"av": ["a", "b"], "ar": ["c", "d"], "eval": ["e", "f"]}
    said = {it: f"of {it}" for it in "abcdef"} | dict.fromkeys(texts[side], "a text")
    split(tmp_path, mine, texts, said)
    with pytest.raises(DataError, match=f"{side}: all 2 labels are the same"):
        label(mine, tmp_path)


def test_a_labeller_that_always_says_the_same_is_refused(folder, recipe, server):
    server.goes_wrong("LABEL", *[says("<explanation>a text</explanation>")] * 9)
    with pytest.raises(DataError, match="av: all 3 labels are the same"):
        label(recipe(), folder)


def test_answers_that_hold_no_explanation_at_all_are_counted_and_refused(
    folder, recipe, server, capsys
):
    server.goes_wrong("LABEL", *[says("I am sorry")] * 9)
    with pytest.raises(DataError, match="av: none of 3 rows has an explanation"):
        label(recipe(), folder)

    assert "unparsed" in capsys.readouterr().err
    assert not (folder / "data" / "labels" / "av.parquet").exists()


# -- the step among the others --


def test_nothing_is_asked_for_that_could_not_be_kept(folder, recipe, server):
    (folder / "data" / "labels").mkdir()
    (folder / "data" / "labels" / "cache").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        label(recipe(), folder)

    assert not server.asked


def test_an_empty_split_is_nothing_to_label(tmp_path, recipe):
    split(tmp_path, recipe(), {"av": []})
    with pytest.raises(NothingCheckedError, match="has no rows"):
        label(recipe(), tmp_path)


def test_labels_of_another_split_are_refused(folder, recipe):
    with (folder / "data" / "split" / "av.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(DataError, match=r"av\.parquet was changed"):
        label(recipe(), folder)


def test_without_a_split_the_error_says_what_to_run(tmp_path, recipe):
    with pytest.raises(DataError) as caught:
        label(recipe(), tmp_path)

    assert "nla-release train split" in caught.value.hint


def test_two_processes_share_the_texts_and_one_writes(tmp_path, recipe_file, server):
    path = recipe_file(auditor=AUDIT)
    texts = [f"text number {at}" for at in range(15)]
    split(tmp_path, read_recipe(path), {"av": texts, "eval": texts[:3]})
    said = two("train label", path, "--folder", tmp_path)

    assert len(server.contents) == len(set(server.contents)) == 30
    assert [row["explanation"] for row in rows(tmp_path)] == [
        f"about {text}, audited" for text in texts
    ]
    assert "requests 30, of which retries 0" in said[0]
    assert "wrote" not in said[1]


def test_a_process_that_comes_late_finds_nothing_done_before_it(tmp_path, recipe_file):
    """Else it would take the step for done, and leave the other waiting for it."""
    path = recipe_file(source="corpus")
    split(tmp_path, read_recipe(path), {"av": ["a", "b"]}, {"a": "of a", "b": "of b"})
    two("train label", path, "--folder", tmp_path, late=(0, 1))

    assert [row["explanation"] for row in rows(tmp_path)] == ["of a", "of b"]


def test_when_one_process_fails_the_other_says_that_it_cannot_go_on_alone(tmp_path, recipe_file):
    path = recipe_file(source="corpus")
    split(tmp_path, read_recipe(path), {"av": ["a", "b"]}, {"a": "of all", "b": "of all"})
    first, second = two("train label", path, "--folder", tmp_path, codes=(2, 4))

    assert "all 2 labels are the same" in first
    assert "error: the 2 processes lost their connection: " in second
    assert "bug in nla-release" not in second
