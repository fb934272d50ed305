"""Several ARs read the texts of one AV: only the reader changes."""

import json
import shutil

import numpy as np
import pytest
import safetensors.numpy

from nla_release import Pair
from nla_release.calibration.compare import compare, compare_two
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.calibration.measured import Measured
from nla_release.cli.sweep import names
from nla_release.engine.roundtrip import roundtrip
from nla_release.engine.sweep import sweep
from nla_release.errors import ConfigError, PairError
from nla_release.evidence.records import RunFacts
from nla_release.io.files import dump_yaml, read_yaml
from nla_release.release.folder import read_release


@pytest.fixture(scope="module")
def readers(good_release, tmp_path_factory):
    """The release's own AR, and one whose head is disturbed."""
    worse = tmp_path_factory.mktemp("readers") / "worse"
    shutil.copytree(good_release / "pair" / "ar", worse)
    head = dict(safetensors.numpy.load_file(worse / "value_head.safetensors"))
    noise = np.random.default_rng(0).normal(size=head["weight"].shape)
    head["weight"] = (head["weight"] + noise * head["weight"].std()).astype(np.float32)
    safetensors.numpy.save_file(head, worse / "value_head.safetensors")
    return {"own": good_release / "pair" / "ar", "worse": worse}


PROBES = ("claims", "discrimination", "paraphrase", "text-controls")


@pytest.fixture(scope="module")
def probed(good_release, tmp_path_factory):
    """The release with fewer rows, and the diagnostics that an AR answers."""
    folder = shutil.copytree(good_release, tmp_path_factory.mktemp("probed") / "release")
    path = folder / "release.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 0\n  rows: 60"))
    roundtrip(read_release(folder), device="cpu", probes=PROBES)
    return folder


@pytest.fixture(scope="module")
def source(probed):
    return read_evidence(probed / "evidence")


@pytest.fixture(scope="module")
def base(good_release):
    return read_release(good_release).base_path


@pytest.fixture(scope="module")
def swept(source, base, readers, tmp_path_factory):
    return sweep(source, readers, tmp_path_factory.mktemp("sweep"), base=base, device="cpu")


def test_the_own_ar_reads_what_it_read_before(source, swept):
    own = swept["own"]

    assert own.rows == source.rows
    assert own.run.files == source.run.files
    assert set(own.vectors) == set(source.vectors)
    for name, values in source.vectors.items():
        assert np.allclose(own.vectors[name], values, atol=1e-3), name


def test_claims_discrimination_and_paraphrases_are_read_again(source, swept):
    first, worse = Measured("own", swept["own"]), Measured("worse", swept["worse"])
    assert {*PROBES} <= worse.evidence.run.probed
    assert not np.allclose(
        worse.evidence.vectors["claims_without"], source.vectors["claims_without"], atol=1e-2
    )
    found = compare([first, worse])

    own, other = found.claims
    assert own.n == other.n == sum(len(row.probed_claims) for row in source.rows)
    assert own.mse != other.mse
    (paired,) = found.against_first
    assert {
        "mse of a claim left out",
        "centred cosine, source text - gibberish",
        "centred cosine - paraphrase",
    } <= {each.name for each in paired.figures}


def test_the_command_shows_the_table_and_a_card_its_short_form(tool, probed, readers, tmp_path):
    line = ("sweep", probed, "--ar", readers["worse"], "--out", tmp_path / "swept")
    done = tool(*line, "--device", "cpu")
    assert done.returncode in (0, 3), done.stderr
    assert "a claim left out" in done.stdout
    assert "not read again" not in done.stdout + done.stderr
    path = probed / "release.yaml"
    path.write_text(path.read_text() + f"compared_with: [{tmp_path / 'swept' / 'worse'}]\n")
    shutil.rmtree(probed / "dist")
    assert tool("calibrate", probed).returncode == 0
    rendered = tool("render", "--version", "0.0.1", probed)
    assert rendered.returncode == 0, rendered.stderr

    for role in ("av", "ar"):
        card = (probed / "dist" / role / "README.md").read_text()
        page = (probed / "dist" / role / "RELEASE_CALIBRATION.md").read_text()
        assert "**Claims, by reader.**" in card
        assert "- `worse`: mse " in card
        assert "| a claim left out | release | claims | mse |" in page
    verdict = json.loads(tool("check", probed, "--format", "json").stdout)
    assert not {"NLA502", "NLA514", "NLA618"} & {each["code"] for each in verdict["findings"]}


def test_another_ar_reads_the_same_texts_otherwise(source, swept):
    worse = swept["worse"]
    found = compare_two(Measured("own", swept["own"]), Measured("worse", worse))

    assert worse.run.rows_sha256 == swept["own"].run.rows_sha256
    assert (
        worse.run.files["ar/value_head.safetensors"]
        != (source.run.files["ar/value_head.safetensors"])
    )
    assert (
        worse.run.files["av/adapter_model.safetensors"]
        == (source.run.files["av/adapter_model.safetensors"])
    )
    assert found.relation == "the same texts, another AR"
    assert found.verdict == "worse"
    assert found.rows == len(source.rows)


def test_the_order_of_the_readers_does_not_matter(source, base, readers, swept, tmp_path):
    """One base serves all: what one AR leaves on it must not reach the next."""
    alone = sweep(source, {"own": readers["own"]}, tmp_path, base=base, device="cpu")
    turned = dict(reversed(readers.items()))
    after = sweep(source, turned, tmp_path / "turned", base=base, device="cpu")

    assert alone["own"].run.vectors_sha256 == swept["own"].run.vectors_sha256
    assert after["own"].run.vectors_sha256 == swept["own"].run.vectors_sha256


def test_what_was_read_is_not_read_again(source, base, readers, tmp_path, monkeypatch):
    one = {"own": readers["own"]}
    before = sweep(source, one, tmp_path, base=base, device="cpu")
    monkeypatch.setattr("nla_release.engine.sweep.attach", None)

    assert sweep(source, one, tmp_path, base=base, device="cpu")["own"].run == before["own"].run


def test_what_was_found_of_the_pair_is_not_said_of_another_ar(source, base, readers, tmp_path):
    """Its training documents were never compared, and nobody counted what was tried for it."""
    facts = source.run.model_dump(mode="json", by_alias=True, exclude_unset=True)
    del facts["rows_sha256"], facts["vectors_sha256"]
    compared = {"sha256": "1" * 64, "documents": 9, "ids_overlapping": [], "texts_overlapping": []}
    kept = [each for each in facts.get("probes", []) if each["name"] != "contamination"]
    probes = [*kept, {"name": "contamination"}]
    run = RunFacts.model_validate(
        facts | {"schema": 2, "training": compared, "attempts": 14, "probes": probes}
    )
    told = write_evidence(
        tmp_path / "told", source.rows, source.vectors, run, shingles=source.shingles
    )
    (found,) = sweep(
        told, {"worse": readers["worse"]}, tmp_path / "out", base=base, device="cpu"
    ).values()

    assert told.shingles is not None
    assert (found.run.training, found.run.attempts, found.shingles) == (None, None, None)
    (record,) = [each for each in found.run.probes if each.name == "contamination"]
    assert record.skipped == "this AR's training documents were not compared"


def test_a_failed_text_stays_failed(good_release, base, readers, tmp_path):
    source = read_evidence(good_release / "evidence")
    failed = source.rows[0].model_copy(update={"explanation": "", "status": "empty", "raw": ""})
    rows = [failed, *source.rows[1:]]
    rows = [
        row.model_copy(update={"shuffled_status": "empty"})
        if row.shuffled_from == failed.id
        else row
        for row in rows
    ]
    vectors = dict(source.vectors)
    for name in ("real", "shuffled"):
        status = "status" if name == "real" else "shuffled_status"
        there = np.array([getattr(row, status) == "ok" for row in rows])
        vectors[name] = np.where(there[:, None], vectors[name], 0).astype(np.float32)
    facts = source.run.model_dump(by_alias=True, exclude_unset=True)
    del facts["rows_sha256"], facts["vectors_sha256"]
    run = RunFacts.model_validate(facts)
    cut = write_evidence(tmp_path / "cut", rows, vectors, run, shingles=source.shingles)
    (found,) = sweep(
        cut, {"own": readers["own"]}, tmp_path / "out", base=base, device="cpu"
    ).values()

    assert not found.vectors["real"][0].any()
    assert found.rows[0].status == "empty"


def test_an_ar_of_another_layer_is_refused(source, base, readers, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(readers["own"], other)
    sidecar = read_yaml(other / "nla_meta.yaml")
    sidecar["extraction_layer_index"] = 2
    (other / "nla_meta.yaml").write_text(dump_yaml(sidecar))
    with pytest.raises(PairError, match="activations of layer 2, the texts are of layer 3"):
        sweep(source, {"other": other}, tmp_path / "out", base=base, device="cpu")


def test_an_ar_of_another_base_is_refused(source, base, readers, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(readers["own"], other)
    sidecar = read_yaml(other / "nla_meta.yaml")
    sidecar["nla_release"]["base"]["id"] = "someone/large"
    (other / "nla_meta.yaml").write_text(dump_yaml(sidecar))

    with pytest.raises(PairError, match="was trained on someone/large"):
        sweep(source, {"other": other}, tmp_path / "out", base=base, device="cpu")


def test_another_copy_of_the_base_is_refused(source, base, readers, tmp_path):
    copy = tmp_path / "base"
    shutil.copytree(base, copy)
    with (copy / "config.json").open("a") as config:
        config.write("\n")

    with pytest.raises(ConfigError, match="is another copy of the base"):
        sweep(source, readers, tmp_path / "out", base=copy, device="cpu")


def test_the_av_does_not_run(source, base, readers, tmp_path, monkeypatch):
    def asked(self, vectors, **options):
        raise AssertionError("the texts are there")

    monkeypatch.setattr(Pair, "explain", asked)
    assert sweep(source, {"own": readers["own"]}, tmp_path, base=base, device="cpu")


def test_the_command_reads_and_compares(good_release, readers, tool, tmp_path):
    done = tool(
        "sweep", good_release, "--ar", readers["own"], "--ar", readers["worse"],
        "--out", tmp_path / "sweep", "--device", "cpu",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "C against A: the same texts, another AR" in done.stdout
    assert "C reconstructs worse than A" in done.stdout
    assert sorted(each.name for each in (tmp_path / "sweep").iterdir()) == ["ar", "worse"]
    again = tool("compare", good_release, tmp_path / "sweep" / "worse")
    assert "B reconstructs worse than A" in again.stdout


def test_folders_are_named_as_briefly_as_tells_them_apart(tmp_path):
    folders = tuple(tmp_path / name for name in ("one/ar", "two/ar", "two/last"))

    assert names(folders[:1]) == ["ar"]
    assert names(folders[1:]) == ["ar", "last"]
    assert names(folders) == ["one-ar", "two-ar", "two-last"]
    with pytest.raises(ConfigError, match="names one folder twice"):
        names((folders[0], folders[0]))
