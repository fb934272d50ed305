"""The public Python API: what the package root offers, and what a user does with it."""

import logging
import os
import shutil
from dataclasses import replace
from datetime import date

import pytest
import torch
from huggingface_hub import constants, get_session, hf_hub_download, set_client_factory
from huggingface_hub.utils import _http, are_progress_bars_disabled, httpx

import nla_release
from nla_release import (
    Hub,
    NlaReleaseError,
    Pair,
    Publisher,
    PushOptions,
    Reconstructor,
    Rehearsal,
    RemeasureOptions,
    Signer,
    Verbalizer,
)
from nla_release.engine.activations import read_activations
from nla_release.errors import (
    ConfigError,
    DataError,
    EnvironmentProblem,
    EvidenceError,
    InputError,
    NothingCheckedError,
    PairError,
    RefusedError,
)
from nla_release.hub_client import client
from nla_release.hub_client.scope import library_call
from nla_release.local_hub.server import LocalHub
from tests.sidecars import TINY_BASE
from tests.test_imports import HEAVY, SLOW, loaded_after
from tests.warm import Warm

AV, AR = "nla-demo/tiny-gemma4-nla-L3-av-v0_0_1", "nla-demo/tiny-gemma4-nla-L3-ar-v0_0_1"


def test_the_root_has_what_it_promises():
    assert nla_release.__all__ == [
        "CalibrationResult",
        "Explanation",
        "Hub",
        "NlaReleaseError",
        "Pair",
        "Publisher",
        "PushOptions",
        "PushPlan",
        "PushResult",
        "Reconstructor",
        "Rehearsal",
        "RemeasureOptions",
        "RenderedRelease",
        "RetractResult",
        "Scores",
        "Signer",
        "TokenActivations",
        "Verbalizer",
        "Verdict",
        "VerifyResult",
        "__version__",
        "calibrate",
        "check",
        "plan",
        "push",
        "render",
        "retract",
        "verify",
    ]
    for name in nla_release.__all__:
        assert getattr(nla_release, name).__doc__
        assert name in dir(nla_release)
    with pytest.raises(AttributeError, match="has no attribute 'Piar'"):
        nla_release.Piar  # noqa: B018


def test_importing_the_root_loads_nothing_slow():
    assert not loaded_after("import nla_release; dir(nla_release)") & (HEAVY | SLOW)


def test_every_class_says_what_it_is_for():
    for public in (Pair, Verbalizer, Reconstructor):
        for name, member in vars(public).items():
            if not name.startswith("_") and callable(member):
                assert member.__doc__, f"{public.__name__}.{name}"


@pytest.fixture(scope="module")
def pair(good_release):
    return Pair.from_pretrained(good_release / "pair", base=TINY_BASE, device="cpu")


@pytest.fixture(scope="module")
def held_out(good_release):
    return read_activations(good_release / "data" / "eval.parquet", 64)


def test_a_pair_says_what_it_is_of(pair):
    assert (pair.d_model, pair.layer) == (64, 3)
    assert repr(pair) == (
        "Pair(base='nla-demo/tiny-gemma4',"
        f" revision={pair.av.nla_release.base.revision!r}, layer=3, d_model=64,"
        " precision='float32', device='cpu')"
    )


def test_the_activation_of_a_text_is_the_one_that_training_extracted(pair, held_out):
    found = pair.activations(held_out.texts[:20])

    assert found.vectors.dtype == torch.float32
    assert torch.allclose(found.vectors, torch.from_numpy(held_out.vectors[:20]), atol=1e-4)
    assert found.texts == list(range(20))
    for text, token in zip(held_out.texts[:20], found.tokens, strict=True):
        assert text.endswith(token.strip())


def test_the_adapters_do_not_change_activations_nor_activations_the_adapters(pair, held_out):
    before = pair.explain(held_out.vectors[:4], max_new_tokens=48)
    first = pair.activations(held_out.texts[:4])
    pair.reconstruct(["the word rose"])

    assert torch.equal(pair.activations(held_out.texts[:4]).vectors, first.vectors)
    assert pair.explain(held_out.vectors[:4], max_new_tokens=48) == before


def test_positions_are_chosen_for_all_texts_or_for_each(pair):
    texts = ["the rose bloomed", "the crew drifted in the harbor"]
    whole = pair.activations(texts, "all")
    ids = [pair.base.encode(text, True) for text in texts]

    assert len(whole) == sum(map(len, ids))
    assert whole.texts == [0] * len(ids[0]) + [1] * len(ids[1])
    assert whole.tokens[0] == "<bos>"
    last = pair.activations(texts)
    assert last.positions == [len(row) - 1 for row in ids]
    assert torch.allclose(last.vectors[1], whole.vectors[-1], atol=1e-5)
    some = pair.activations(texts, [[], [1, -1]])
    assert (some.texts, some.positions) == ([1, 1], [1, len(ids[1]) - 1])
    assert torch.allclose(some.vectors[0], whole.vectors[len(ids[0]) + 1], atol=1e-5)
    assert pair.activations([]).vectors.shape == (0, 64)


@pytest.mark.parametrize(
    ("texts", "positions", "words"),
    [
        ("the rose", -1, "a list of texts, not one text"),
        (["the rose"], 99, "none at position 99"),
        (["the rose"], [[0], [1]], "do not fit 1 texts"),
        (["the rose", "the crew", "the oak", "the pan"], "last", "do not fit 4 texts"),
        (["the rose " * 5000], -1, "tokens, the base reads"),
    ],
)
def test_texts_and_positions_that_cannot_be_read_are_refused(pair, texts, positions, words):
    with pytest.raises(DataError, match=words):
        pair.activations(texts, positions)


def test_each_half_works_alone(good_release, pair, held_out):
    options = {"base": TINY_BASE, "device": "cpu"}
    av = Verbalizer.from_pretrained(good_release / "pair" / "av", **options)
    ar = Reconstructor.from_pretrained(good_release / "pair" / "ar", **options)
    found = av.activations(held_out.texts[:3])
    explained = av.explain(found.vectors, max_new_tokens=48)

    assert (av.layer, ar.layer, av.d_model, ar.d_model) == (3, 3, 64, 64)
    assert explained == pair.explain(found.vectors, max_new_tokens=48)
    assert torch.allclose(ar.reconstruct(explained), pair.reconstruct(explained), atol=1e-4)
    assert torch.allclose(ar.activations(held_out.texts[:3]).vectors, found.vectors, atol=1e-4)
    assert repr(ar).startswith("Reconstructor(base='nla-demo/tiny-gemma4'")


def test_an_av_that_was_never_released_names_no_ar(good_release):
    with pytest.raises(PairError, match="names no partner") as caught:
        Pair.from_pretrained(good_release / "pair" / "av", base=TINY_BASE)

    assert "Pair.from_pretrained(AV, AR)" in caught.value.hint


@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}])
def test_the_base_can_be_spread_over_devices(good_release, pair, held_out, device_map):
    spread = Pair.from_pretrained(good_release / "pair", base=TINY_BASE, device_map=device_map)
    said = spread.explain(held_out.vectors[:3], max_new_tokens=48)

    if spread.base.device == "cpu":
        assert said == pair.explain(held_out.vectors[:3], max_new_tokens=48)
    assert torch.isfinite(spread.reconstruct(said)).all()
    assert len(spread.activations(held_out.texts[:3])) == 3
    with pytest.raises(ConfigError, match="is spread over several devices"):
        spread.to("cpu")


def test_a_device_and_a_device_map_are_one_too_many(good_release):
    with pytest.raises(ConfigError, match="device and device_map were both given"):
        Pair.from_pretrained(good_release / "pair", base=TINY_BASE, device="cpu", device_map="auto")


def test_a_pair_moves_to_a_device_and_refuses_one_that_is_not_there(pair):
    assert pair.to("cpu") is pair
    with pytest.raises(ConfigError, match="there is no device 'abacus'"):
        pair.to("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(EnvironmentProblem, match="no CUDA device"):
            pair.to("cuda")


# --- from the Hub ---


@pytest.fixture(scope="module")
def hub(good_release, tool, version):
    root = good_release / "hub"
    done = tool("push", "--version", version, "--rehearse", "--hub-root", root, good_release)
    assert done.returncode == 0, done.stderr
    with LocalHub(root) as server:
        yield server


@pytest.fixture(scope="module")
def run_code(hub, tmp_path_factory):
    """Runs Python as a user, with that Hub and an empty cache; gives what was printed."""
    home = str(tmp_path_factory.mktemp("home"))
    there = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": home}
    process = Warm("torch", "transformers", "peft", environment=there)

    def printed(code, *arguments, fails=False):
        done = process.run(["-c", code, *map(str, arguments)])
        assert (done.returncode != 0) is fails, done.stderr
        return done.stderr if fails else done.stdout.strip()

    return printed


LOAD = """
import sys
from nla_release import Pair
pair = Pair.from_pretrained(sys.argv[1], revision="v0.0.1", device="cpu", **eval(sys.argv[2]))
"""
SCORE = """
found = pair.activations(["the rose bloomed"])
print(pair.score(found.vectors, pair.explain(found.vectors, max_new_tokens=48)).centred.tolist())
"""


def test_the_ar_is_found_by_the_avs_sidecar_and_the_mean_in_the_evidence(run_code):
    (centred,) = eval(run_code(LOAD + SCORE, AV, {}))

    assert 0 < centred < 1


def test_what_was_downloaded_loads_again_without_the_hub(run_code, tmp_path):
    """Into a cache of the user's choice, and nowhere else."""
    run_code(LOAD, AV, {"cache_dir": str(tmp_path)})
    assert len(list(tmp_path.glob("models--*"))) == 3
    offline = "import os; os.environ['HF_ENDPOINT'] = 'http://127.0.0.1:9'\n" + LOAD
    options = {"cache_dir": str(tmp_path), "local_files_only": True}

    assert run_code(offline + "print(pair.layer)", AV, options) == "3"
    shutil.rmtree(tmp_path)
    assert "cannot be downloaded" in run_code(offline, AV, options, fails=True)


def test_the_token_that_is_given_is_the_one_that_is_sent(run_code, hub, tmp_path):
    """To adapters, base and tokenizer alike."""
    watch = """
import huggingface_hub
from huggingface_hub.utils import httpx
seen = set()
huggingface_hub.set_client_factory(lambda: httpx.Client(event_hooks={"request": [
    lambda request: seen.add((request.url.path, request.headers.get("authorization")))
]}, follow_redirects=True))
"""
    options = {"token": hub.token, "cache_dir": str(tmp_path)}
    seen = eval(run_code(watch + LOAD + "print(seen)", AV, options))

    seen = {token for path, token in seen if "/resolve/" in path}
    assert seen == {f"Bearer {hub.token}"}


def test_an_ar_in_place_of_the_av_is_told(run_code):
    assert "are AV and AR swapped?" in run_code(LOAD, AR, {}, fails=True)


# --- the steps of a release ---

STEPS = ("check", "calibrate", "render", "plan", "push", "verify", "retract")


@pytest.fixture
def release(rendered, copy_of):
    """A small release to change: measured, rendered, and as it should be."""
    return copy_of(rendered.folder)


@pytest.fixture
def empty_hub(tmp_path):
    with LocalHub(tmp_path / "hub") as server:
        yield Hub(server.endpoint, server.token)


@pytest.fixture
def messages(caplog):
    """What was logged, as a program sees it that configures logging."""
    caplog.set_level(logging.INFO, logger="nla_release")
    logger = logging.getLogger("nla_release")
    logger.addHandler(caplog.handler)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.mark.parametrize("name", STEPS)
def test_every_step_says_what_it_takes_gives_and_raises(name):
    documented = getattr(nla_release, name).__doc__
    for section in ("Args:", "Raises:"):
        assert section in documented


def test_loading_the_steps_loads_neither_the_engine_nor_the_hub_s_client():
    code = f"import nla_release; [getattr(nla_release, name) for name in {STEPS}]"
    assert not loaded_after(code) & (HEAVY | SLOW | {"click"})


def test_a_program_checks_a_release_and_reads_why_it_fails(release):
    verdict = nla_release.check(release)
    assert (verdict.verdict, verdict.exit_code, verdict.findings) == ("pass", 0, [])
    card = release / "dist" / "av" / "README.md"
    card.write_text(card.read_text().replace("library_name: peft\n", ""))
    verdict = nla_release.check(str(release))

    assert (verdict.verdict, verdict.exit_code) == ("fail", 1)
    assert "NLA501" in {finding.code for finding in verdict.findings}
    assert all(finding.severity == "error" for finding in verdict.findings)
    assert verdict.label.name


def test_rows_are_measured_again_as_asked_for(good_release):
    options = RemeasureOptions(2, seed=1, base=TINY_BASE, device="cpu")
    verdict = nla_release.check(good_release, measure=options)

    assert verdict.verdict == "pass"
    assert (verdict.measured.rows, verdict.measured.seed) == (2, 1)


def test_calibrating_writes_the_numbers_and_gives_them(release):
    before = (release / "calibration.json").read_bytes()
    (release / "calibration.json").unlink()
    result = nla_release.calibrate(release)

    assert result.path == release / "calibration.json"
    assert result.path.read_bytes() == before
    assert result.calibration.label.name
    assert result.update is None


def test_rendering_writes_both_repositories(release):
    shutil.rmtree(release / "dist")
    rendered = nla_release.render(release, version="0.0.1")

    assert rendered.tag == "v0.0.1"
    assert rendered.folders == {role: release / "dist" / role for role in ("av", "ar")}
    assert rendered.repos["av"].endswith("-av-v0_0_1")
    assert nla_release.check(release).verdict == "pass"


def test_a_release_is_planned_pushed_verified_and_retracted(release, empty_hub, capsys, messages):
    at_hub = {"version": "0.0.1", "hub": empty_hub}
    plan = nla_release.plan(release, **at_hub)
    assert (plan.tag, plan.done, plan.blockers, plan.totals["create"]) == ("v0.0.1", False, [], 2)

    done = nla_release.push(release, **at_hub, options=PushOptions(private=True))
    assert (done.tag, done.release_id, done.changed) == ("v0.0.1", plan.release_id, True)
    assert done.urls["ar"] == empty_hub.url(done.repos["ar"], "v0.0.1")
    for role, repo in done.repos.items():
        assert empty_hub.tags(repo)["v0.0.1"] == done.commits[role]
    again = nla_release.push(release, **at_hub)
    assert again == replace(done, changed=False)
    assert nla_release.plan(release, **at_hub).done
    assert (release / "HISTORY.md").is_file()

    place = f"{done.repos['av']}@v0.0.1"
    verified = nla_release.verify(
        place,
        target=release.parent / "got",
        pair=True,
        expect=done.release_id,
        hub=empty_hub,
    )
    assert (verified.verdict.verdict, verified.release_id) == ("pass", done.release_id)
    assert verified.folders["ar"] == release.parent / "got" / "ar"
    assert (verified.folders["ar"] / "README.md").is_file()
    assert nla_release.verify(place, hub=empty_hub).folders == {}
    wrong = nla_release.verify(place, expect="0" * 64, hub=empty_hub)
    assert "NLA705" in {finding.code for finding in wrong.verdict.findings}

    planned = nla_release.retract(release, **at_hub, reason="Wrong base.", dry_run=True)
    assert (planned.commits, planned.plan.done) == ({}, False)
    retracted = nla_release.retract(release, **at_hub, reason="Wrong base.")
    assert set(retracted.commits) == {"av", "ar"}
    assert "Wrong base." in (release / "HISTORY.md").read_text()
    assert "NLA706" in {
        finding.code for finding in nla_release.verify(place, hub=empty_hub).verdict.findings
    }

    assert capsys.readouterr().out == ""
    ours = [each for each in messages.records if each.name == "nla_release"]
    assert any(each.getMessage().startswith("published v0.0.1") for each in ours)
    assert {each.kind for each in ours} <= {"info", "note", "hint", "warning"}


def test_a_rehearsal_publishes_to_a_local_hub_and_verifies_what_it_published(release, tmp_path):
    (release / "HISTORY.md").unlink(missing_ok=True)
    rehearsal = Rehearsal(tmp_path / "kept")
    done = nla_release.push(release, version="0.0.1", collection="Readers", hub=rehearsal)

    assert (done.changed, done.verdict.verdict) == (True, "pass")
    assert "/collections/" in done.collection
    assert not (release / "HISTORY.md").exists()
    assert nla_release.plan(release, version="0.0.1", hub=rehearsal).done


def client_settings():
    """What a call must leave as the program had it."""
    return (
        _http._GLOBAL_CLIENT_FACTORY,
        constants.HF_HUB_DISABLE_TELEMETRY,
        are_progress_bars_disabled(),
        logging.getLogger("huggingface_hub").level,
        os.environ.get("NO_PROXY"),
        os.environ.get("no_proxy"),
    )


@pytest.fixture
def own_client():
    """A program's own client, and no command that set it up before."""
    before, set_up = _http._GLOBAL_CLIENT_FACTORY, [*client._set_up]
    client._set_up.clear()
    set_client_factory(lambda: httpx.Client(headers={"x-program": "mine"}))
    yield
    set_client_factory(before)
    client._set_up += set_up


def test_a_call_is_guarded_and_leaves_the_program_s_client_as_it_was(
    own_client, release, empty_hub, monkeypatch
):
    """Also a call that fails, and one that calls others."""
    guarded = []
    after = client.Guard.after
    monkeypatch.setattr(
        client.Guard, "after", lambda *args: (guarded.append(args[1].url.port), after(*args))[1]
    )
    before = client_settings()

    nla_release.push(release, version="0.0.1", hub=empty_hub)
    assert guarded
    assert client_settings() == before
    assert get_session().headers["x-program"] == "mine"

    del guarded[:]
    nla_release.plan(release, version="0.0.1", hub=Rehearsal())
    assert guarded
    assert client_settings() == before
    with pytest.raises(EnvironmentProblem):
        nla_release.verify(NOWHERE, hub=HUB)
    assert client_settings() == before


def test_a_download_in_a_call_is_bounded(own_client, tmp_path):
    """As those of a command are: `at_most` is enforced by the guard."""
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "large.txt").write_bytes(b"a" * 100_000)
    with LocalHub(tmp_path / "hub") as server:
        server.store.import_folder("someone/large", tmp_path / "large")

        def download():
            hf_hub_download(
                "someone/large", "large.txt", endpoint=server.endpoint, cache_dir=tmp_path / "cache"
            )

        with library_call():
            client.reading_client()
            with pytest.raises(EnvironmentProblem), client.at_most(10):
                download()
        download()


@pytest.mark.parametrize("target", ["/proc/nope", "/etc/passwd"])
def test_a_target_that_cannot_be_a_folder_is_an_error_of_the_environment(target):
    with pytest.raises(EnvironmentProblem, match=target):
        nla_release.verify(NOWHERE, target=target, hub=HUB)


def test_an_evidence_update_is_given_with_the_numbers(release):
    with pytest.raises(NothingCheckedError, match="nothing to add"):
        nla_release.calibrate(release, addendum="More rows.")
    for text, day, words in [
        (" ", None, "has no text"),
        ("see /home/me/x", None, "contains"),
        ("More rows.", date(2999, 1, 1), "2999-01-01 is in the future"),
    ]:
        with pytest.raises(ConfigError, match=words):
            nla_release.calibrate(release, addendum=text, day=day)


def test_a_loaded_release_says_what_was_loaded(good_release, tool, version, tmp_path):
    done = nla_release.push(good_release, version=version, hub=Rehearsal(tmp_path))
    found = nla_release.verify(
        f"{done.repos['av']}@v{version}", base=TINY_BASE, load=True, hub=Rehearsal(tmp_path)
    )

    assert found.loaded.startswith("AV on nla-demo/tiny-gemma4")


NOWHERE = "someone/pair-av-v0_0_1@v0.0.1"


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda at: nla_release.check(at / "none"), NothingCheckedError, "does not exist"),
        (lambda _: RemeasureOptions(0), ConfigError, "the minimum is 1"),
        (lambda _: RemeasureOptions(1, seed=-1), ConfigError, "is not between 0 and"),
        (lambda _: RemeasureOptions(1, dtype="int4"), ConfigError, "is not a dtype"),
        (lambda at: RemeasureOptions(1, base=at / "none"), ConfigError, "is not a folder"),
        (lambda at: nla_release.calibrate(at / "none"), EvidenceError, "does not exist"),
        (lambda at: nla_release.render(at, version="v1"), ConfigError, "is not a version|must be"),
        (lambda at: nla_release.render(at / "none", version="1"), ConfigError, "does not exist"),
        (lambda at: nla_release.plan(at, version="0.0.9", hub=HUB), InputError, "not 0.0.9"),
        (
            lambda at: nla_release.push(
                at, version="0.0.1", hub=HUB, options=PushOptions(addendum=True)
            ),
            ConfigError,
            "without an evidence update",
        ),
        (
            lambda at: nla_release.push(at, version="0.0.1", hub=Rehearsal(), signer=Signer()),
            ConfigError,
            "a rehearsal publishes nothing",
        ),
        (
            lambda at: nla_release.push(at, version="0.0.1", signer=Signer(at / "none.pem")),
            ConfigError,
            "none.pem",
        ),
        (lambda _: nla_release.verify("someone/pair"), ConfigError, "does not name a release"),
        (lambda _: nla_release.verify(NOWHERE, expect="abc"), ConfigError, "not a release id"),
        (lambda at: nla_release.verify(NOWHERE, target=at), ConfigError, "is not empty"),
        (
            lambda at: nla_release.verify(NOWHERE, publisher=Publisher(at / "none.pem")),
            ConfigError,
            "none.pem",
        ),
        (
            lambda at: nla_release.retract(at, version="0.0.1", successor="0.0.1", reason="x"),
            ConfigError,
            "the successor is the version",
        ),
    ],
)
def test_what_cannot_be_done_is_an_error_of_the_documented_kind(rendered, call, error, words):
    with pytest.raises(error, match=words) as caught:
        call(rendered.folder)

    assert isinstance(caught.value, NlaReleaseError)


HUB = Hub("http://127.0.0.1:9", "hf_none")  # nothing listens there


def test_what_the_hub_or_the_gate_refuses_is_an_error_too(release, empty_hub):
    with pytest.raises(EnvironmentProblem):
        nla_release.plan(release, version="0.0.1", hub=HUB)
    with pytest.raises(EnvironmentProblem):
        nla_release.verify(NOWHERE, hub=HUB)
    with pytest.raises(RefusedError, match="is not published"):
        nla_release.retract(release, version="0.0.1", reason="x", hub=empty_hub)
    config = release / "release.yaml"
    config.write_text(config.read_text() + "gates: {min_rows: 5000}\n")
    with pytest.raises(RefusedError, match="does not pass `nla-release check`"):
        nla_release.push(release, version="0.0.1", hub=empty_hub)
