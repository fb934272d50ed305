"""Published evidence is measured again, by a seed that its publisher did not know."""

import json
import os
import shutil

import numpy as np
import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.calibration.remeasured import _lower_cosines, choose_rows
from nla_release.cards.render import render
from nla_release.engine.remeasure import remeasure
from nla_release.errors import ConfigError
from nla_release.evidence.records import RunFacts
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.hub_client.client import quiet_client
from nla_release.hub_client.remote import Hub
from nla_release.local_hub.server import LocalHub
from nla_release.release.folder import ROLES, read_release
from nla_release.statistics.formulas import cosine_rows
from tests.hub.publishing import publish, repos
from tests.warm import Warm


@pytest.fixture(scope="module")
def base(good_release):
    return read_release(good_release).base_path


@pytest.fixture(scope="module")
def evidence(good_release):
    return read_evidence(good_release / "evidence")


@pytest.fixture(scope="module")
def again(good_release, base):
    """Some rows of evidence with the pair of the demo."""
    folders = {role: good_release / "pair" / role for role in ROLES}

    def again(evidence, count=12, seed=1, **options):
        options = {"base": base, "device": "cpu"} | options
        return remeasure(evidence, folders, count=count, seed=seed, **options)

    return again


def rewritten(evidence, folder, *, rows=None, **tensors):
    """The evidence with other rows or tensors, every hash computed again."""
    facts = evidence.run.model_dump(mode="json", by_alias=True, exclude_unset=True)
    del facts["rows_sha256"], facts["vectors_sha256"]
    rows = rows or evidence.rows
    position = {row.id: at for at, row in enumerate(rows)}
    vectors = {**evidence.vectors, **tensors}
    vectors["shuffled"] = vectors["real"][[position[row.shuffled_from] for row in rows]]
    run = RunFacts.model_validate(facts)
    return write_evidence(folder, rows, vectors, run, shingles=evidence.shingles)


def forged(evidence, folder):
    """Reconstructions are the activations and a little noise, of the norm that they had."""
    gold = evidence.vectors["gold"]
    noise = np.random.default_rng(0).normal(size=gold.shape) * gold.std() * 0.4
    return rewritten(evidence, folder, real=(gold + noise).astype(np.float32))


def read_well(evidence, folder):
    """The activations are the AR's reconstructions and a little noise: the pair reads them well."""
    real = evidence.vectors["real"]
    noise = np.random.default_rng(0).normal(size=real.shape) * real.std() * 0.2
    explained = real.any(axis=1)[:, np.newaxis]
    return rewritten(
        evidence,
        folder,
        gold=np.where(explained, real + noise, evidence.vectors["gold"]).astype(np.float32),
    )


def without_texts(evidence, folder, ids):
    """The texts of some rows are withheld."""
    rows = [
        row.model_copy(update={"text": None}) if row.id in ids else row for row in evidence.rows
    ]
    return rewritten(evidence, folder, rows=rows)


def labelled(evidence, folder):
    """The explanations are the labels, and the AR did read them."""
    rows = [row.model_copy(update={"explanation": row.gold}) for row in evidence.rows]
    return rewritten(evidence, folder, rows=rows, real=evidence.vectors["gold_text"])


def test_honest_evidence_is_given_again(again, evidence):
    found = again(evidence)

    assert (found.rows, found.available, found.texts_same) == (12, len(evidence.rows), 12)
    assert found.read == 12 * len({"real", "shuffled", "empty", "gold_text", "random_vector",
                                   "zero_vector", "lookup_table"})  # fmt: skip
    assert found.extracted == 12
    assert max(found.cosine.value, found.apart.value, found.activation.value) < 1e-5
    assert found.activations_agree
    assert (found.ar_agrees, found.texts_agree, found.texts_as_good) == (True, True, True)


def test_the_seed_chooses_the_rows(evidence):
    chosen = choose_rows(evidence, 12, 1)

    assert chosen == sorted(set(chosen)) == choose_rows(evidence, 12, 1)
    assert chosen != choose_rows(evidence, 12, 2)
    assert choose_rows(evidence, 10_000, 1) == list(range(len(evidence.rows)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_another_precision_is_told_and_tolerated(again, evidence, dtype):
    found = again(evidence, dtype=dtype)

    assert (found.recorded.dtype, found.used.dtype) == ("float32", dtype)
    assert found.tolerance.cosine == 0.05
    assert 1e-5 < found.cosine.value < 0.05
    assert 1e-9 < found.activation.value < found.tolerance.activation
    assert (found.ar_agrees, found.texts_agree, found.texts_as_good) == (True, True, True)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_invented_reconstructions_are_found(again, evidence, tmp_path, dtype):
    found = again(forged(evidence, tmp_path / "evidence"), dtype=dtype)

    assert not found.ar_agrees
    assert {found.cosine.tensor, found.apart.tensor} <= {"real", "shuffled"}


def test_explanations_that_the_av_never_gave_are_found(again, evidence, tmp_path):
    found = again(labelled(evidence, tmp_path / "evidence"), count=40)

    assert found.ar_agrees, "the AR did read these texts"
    assert not found.texts_agree


def test_a_control_that_was_made_worse_is_found(again, evidence, tmp_path):
    found = again(rewritten(evidence, tmp_path / "evidence", empty=-evidence.vectors["empty"]))

    assert not found.ar_agrees
    assert (found.cosine.tensor, found.apart.tensor) == ("empty", "empty")


def test_invented_activations_are_found(again, evidence, tmp_path):
    found = again(read_well(evidence, tmp_path / "evidence"))

    assert not found.activations_agree
    assert found.activation.tensor == "gold"
    assert found.activation.value > 0.02


def test_activations_of_other_rows_are_found(again, evidence, tmp_path):
    """Real activations of the base, and not of the texts that they stand next to."""
    found = again(rewritten(evidence, tmp_path / "evidence", gold=evidence.vectors["gold"][::-1]))

    assert not found.activations_agree


def test_invented_activations_are_found_where_all_share_most_of_their_direction():
    """Then any two have a plain cosine near 1, also those of other texts."""
    generator = np.random.default_rng(0)
    base = generator.normal(size=(8, 64)) + 2.5
    noise = generator.normal(size=(8, 64)) * 0.01

    assert cosine_rows(base, base[::-1]).min() > 0.8
    assert _lower_cosines(base[::-1], base).max() < 0.5
    assert _lower_cosines(base + noise, base).min() > 0.99
    one = base[:1]
    assert _lower_cosines(one, one) == pytest.approx([1.0])
    same = np.repeat(one, 8, axis=0)
    assert _lower_cosines(same + noise, same).min() > 0.999, "one text in all rows"


def test_a_row_without_its_text_is_not_extracted_again(again, evidence, tmp_path):
    chosen = [evidence.rows[at].id for at in choose_rows(evidence, 12, 1)]
    some = again(without_texts(evidence, tmp_path / "some", chosen[:5]))
    none = again(without_texts(evidence, tmp_path / "none", chosen))

    assert (some.extracted, none.extracted, none.activation) == (7, 0, None)
    assert some.activations_agree
    assert none.activations_agree


def test_another_copy_of_the_base_is_refused(again, evidence, base, tmp_path):
    other = shutil.copytree(base, tmp_path / "base")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"pad_token_id": 0}))

    with pytest.raises(ConfigError, match="another copy of the base"):
        again(evidence, base=other)


def test_adapters_that_fail_a_rule_are_not_loaded(good_release, copy_of):
    folder = copy_of(good_release)
    (folder / "dist" / "ar" / "value_head.safetensors").write_bytes(b"not a tensor")

    def measure(_subject):
        raise AssertionError("it was loaded")

    verdict = apply_rules(find_subject(folder), measure=measure)
    assert verdict.measured is None
    assert "no row was measured again, because the files fail other rules" in verdict.reasons


# --- as a person runs it ---


@pytest.fixture(scope="module")
def hub(good_release, tmp_path_factory):
    """A Hub with the demo's pair, and one under another name with invented reconstructions."""
    folder = tmp_path_factory.mktemp("published")
    quiet_client()
    with LocalHub(folder / "hub") as server:
        client = Hub(server.endpoint, server.token)
        publish(read_release(shutil.copytree(good_release, folder / "release")), client)
        invented = shutil.copytree(good_release, folder / "invented")
        yaml = invented / "release.yaml"
        yaml.write_text(yaml.read_text().replace("name: tiny", "name: invented"))
        forged(read_evidence(invented / "evidence"), invented / "evidence")
        numbers = calibrate(read_evidence(invented / "evidence"))
        (invented / "calibration.json").write_text(numbers.dump())
        shutil.rmtree(invented / "dist")
        release = read_release(invented)
        render(release, "0.0.1")
        publish(release, client)
        yield server


@pytest.fixture(scope="module")
def run(hub, tmp_path_factory):
    """`nla-release ...` as somebody without a token."""
    home = str(tmp_path_factory.mktemp("home"))
    there = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": home}
    process = Warm("torch", "transformers", "peft", environment=there)
    return lambda *arguments: process.run(["-m", "nla_release", *arguments])


@pytest.fixture(scope="module")
def place(good_release):
    """Where the pair's AV or AR is published, or that with invented reconstructions."""
    places = [f"{repo}@v0.0.1" for repo in repos(read_release(good_release))]
    return lambda role=0, name="tiny": places[role].replace("/tiny", f"/{name}")


def test_a_published_pair_gives_its_evidence_again(run, place, base):
    line = ("verify", place(), "--base", base, "--measure", "12", "--device", "cpu")
    done = run(*line)

    assert done.returncode == 0, done.stdout + done.stderr
    told, activations = [line for line in done.stdout.splitlines() if line.startswith("measured  ")]
    assert activations == (
        "measured  12 of 12 activations extracted again: the lowest cosine with the published one"
        " is 1.000 (minimum 0.995)"
    )
    assert "12 of 12 explanations are the same" in told
    assert "(tolerance 0.0010)" in told
    assert f"downloaded {place(1)}" in done.stderr, "a pair is measured as a pair"
    seed = done.stderr.split("--measure-seed ")[1].split()[0]
    repeated = run(*line, "--measure-seed", seed, "--format", "json")
    measured = json.loads(repeated.stdout)["measured"]
    assert (measured["seed"], measured["rows"]) == (int(seed), 12)
    assert f"--measure-seed {seed}" in told


def test_two_measurements_choose_other_rows(run, place, base):
    line = ("verify", place(), "--base", base, "--measure", "3", "--format", "json")
    seeds = {json.loads(run(*line).stdout)["measured"]["seed"] for _ in range(2)}

    assert len(seeds) == 2


def test_invented_evidence_on_the_hub_is_found_by_who_measures(run, place, base):
    invented = place(name="invented")
    line = ("verify", invented, "--base", base, "--measure", "12", "--device", "cpu")
    # With every other seed the rows also show that the explanations beat the AV's own.
    done = run(*line, "--measure-seed", "0", "--format", "json")

    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    (finding,) = [each for each in document["findings"] if each["code"] == "NLA711"]
    assert finding["path"] == f"{invented}/evidence/vectors.safetensors"
    assert "the AR does not give the published reconstructions: in row " in finding["message"]
    assert document["measured"]["cosine"]["value"] > 0.001


@pytest.mark.parametrize("form", ["text", "github", "junit", "sarif", "markdown"])
def test_check_measures_before_a_push_and_every_format_tells(run, good_release, copy_of, form):
    folder = copy_of(good_release)
    forged(read_evidence(folder / "evidence"), folder / "evidence")
    shutil.rmtree(folder / "dist")
    done = run("check", folder, "--measure", "5", "--device", "cpu", "--format", form)

    assert done.returncode == 1
    assert "NLA711" in done.stdout
    assert "the AR does not give the published reconstructions" in done.stdout


def test_check_asks_the_base_for_the_activations_before_a_push(run, good_release, copy_of):
    """Invented so that the pair reads them well, every hash and number computed again."""
    folder = copy_of(good_release)
    read_well(read_evidence(folder / "evidence"), folder / "evidence")
    (folder / "calibration.json").write_text(calibrate(read_evidence(folder / "evidence")).dump())
    shutil.rmtree(folder / "dist")
    done = run("check", folder, "--measure", "5", "--device", "cpu")

    assert done.returncode == 1
    assert "NLA711" in done.stdout
    assert "the base does not give the published activations: in row " in done.stdout


def test_check_takes_the_base_of_the_release(run, good_release):
    done = run("check", good_release, "--measure", "5", "--device", "cpu")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "measured  5 of 307 rows again (float32 on cpu" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--measure", "0"], 2, "0 is not in the range x>=1"),
        (["--measure-seed", "3"], 2, "--measure-seed, --device and --dtype need --measure N"),
        (["--device", "cpu"], 2, "--measure-seed, --device and --dtype need --measure N"),
        (["--measure", "3", "--device", "abacus"], 2, "there is no device 'abacus'"),
        (["--measure", "3"], 4, "cannot be "),
    ],
)
def test_what_cannot_be_measured_is_an_error_of_its_kind(run, place, arguments, code, words):
    """Without --base the base is looked for on the Hub, which has none here."""
    done = run("verify", place(), *arguments)

    assert done.returncode == code, done.stderr
    assert words in done.stderr


def test_half_a_pair_cannot_be_measured(run, good_release):
    done = run("check", good_release / "dist" / "av", "--measure", "3")

    assert done.returncode == 2
    assert "has no pair with evidence to measure again" in done.stderr
