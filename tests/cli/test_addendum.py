"""`nla-release calibrate --addendum`: new evidence for what is published, nothing old lost."""

import json
import re
import shutil

import numpy as np
import pytest
import safetensors.numpy

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence
from nla_release.cards.render import render
from nla_release.history.add_evidence import replaced_version
from nla_release.io.files import read_json, sha256_file, write_atomic
from nla_release.release.folder import ROLES, read_release
from nla_release.release.manifest import read_manifest
from tests.builders_pair import make_release, measure
from tests.cli.test_bad_input import complains, snapshot
from tests.pairs.zoo import edited_json

TEXT = "Measured on 60 activations, where 30 were too few to tell details"
DATE = ["--date", "2026-11-23"]
FEW = {"rows": 30, "documents": 10, "noise": 0.6}
MORE = {"rows": 60, "documents": 12}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """v0.0.1, measured on 30 rows, rendered, and published as far as the log is concerned."""
    release = make_release(tmp_path_factory.mktemp("published") / "release", **FEW)
    render(release, "0.0.1")
    write_atomic(release.history, (release.dist / "av" / "HISTORY.md").read_bytes())
    return release.folder


@pytest.fixture
def folder(published, tmp_path):
    """A copy of it, in which the pair was measured again on more rows."""
    folder = shutil.copytree(published, tmp_path / "release")
    measure(read_release(folder), **MORE)
    return folder


@pytest.fixture(scope="module")
def added(tool, published, tmp_path_factory):
    """A release with an addendum, rendered, and its log published."""
    folder = shutil.copytree(published, tmp_path_factory.mktemp("added") / "release")
    measure(read_release(folder), **MORE)
    for line in (
        ["calibrate", "--addendum", TEXT, *DATE, folder],
        ["render", "--version", "0.0.1", folder],
    ):
        done = tool(*line)
        assert done.returncode == 0, done.stderr
    shutil.copyfile(folder / "dist" / "av" / "HISTORY.md", folder / "HISTORY.md")
    return folder


def add(tool, folder, *options, text=TEXT, date=DATE):
    return tool("calibrate", "--addendum", text, *date, *options, folder)


def test_it_says_what_was_added_and_what_comes_next(tool, folder):
    done = add(tool, folder)

    superseding = "superseding cal.0 of 30 rows of 10 documents"
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines()[-3:] == [
        f"v0.0.1+cal.1, 2026-11-23: 60 rows of 12 documents, {superseding}",
        "verdict: row-level before, row-level now",
        "next: nla-release render --version 0.0.1",
    ]


def test_what_is_superseded_is_kept_whole(tool, folder, published):
    add(tool, folder)

    kept = folder / "addenda" / "v0.0.1"
    before = snapshot(published / "dist" / "av" / "evidence")
    assert snapshot(kept / "cal.0" / "evidence") == before
    calibration = kept / "cal.0" / "calibration.json"
    assert calibration.read_bytes() == (published / "calibration.json").read_bytes()
    record = read_json(kept / "cal.1.json")
    assert record["supersedes"]["calibration_sha256"] == sha256_file(calibration)
    assert (record["number"], record["date"], record["text"]) == (1, "2026-11-23", TEXT)


def test_dist_is_as_it_was_until_the_next_render(tool, folder, published):
    add(tool, folder)

    assert snapshot(folder / "dist") == snapshot(published / "dist")


def test_the_same_command_writes_the_same_bytes(tool, folder):
    add(tool, folder)
    before = snapshot(folder)
    add(tool, folder)

    assert snapshot(folder) == before


def test_until_it_is_rendered_an_addendum_may_be_written_again(tool, folder):
    add(tool, folder, text="Measrued again")
    add(tool, folder)

    assert read_json(folder / "addenda" / "v0.0.1" / "cal.1.json")["text"] == TEXT
    assert not (folder / "addenda" / "v0.0.1" / "cal.2.json").exists()


def test_until_the_kept_log_tells_of_it_an_addendum_may_be_reworded(tool, folder):
    """It was rendered, and is not public: the same evidence under other words is no second one."""
    add(tool, folder, text="Measrued again")
    tool("render", "--version", "0.0.1", folder)
    done = add(tool, folder)
    assert done.returncode == 0, done.stderr
    assert "v0.0.1+cal.1, 2026-11-23: 60 rows of 12 documents, superseding cal.0" in done.stderr
    done = tool("render", "--version", "0.0.1", folder)
    assert done.returncode == 0, done.stderr
    done = tool("check", folder, "--format", "json")

    assert json.loads(done.stdout)["findings"] == []
    assert not (folder / "addenda" / "v0.0.1" / "cal.2.json").exists()
    for name in ("README.md", "RELEASE_CALIBRATION.md", "HISTORY.md", "addenda/cal.1.json"):
        text = (folder / "dist" / "av" / name).read_text()
        assert TEXT in text
        assert "Measrued" not in text


def test_the_second_addendum_may_be_reworded_and_the_first_stays(tool, added, tmp_path):
    folder = shutil.copytree(added, tmp_path / "release")
    measure(read_release(folder), rows=80, documents=16)
    add(tool, folder, text="Mroe")
    tool("render", "--version", "0.0.1", folder)
    done = add(tool, folder, text="More")

    assert done.returncode == 0, done.stderr
    kept = folder / "addenda" / "v0.0.1"
    assert sorted(path.name for path in kept.iterdir()) == [
        *("cal.0", "cal.1", "cal.1.json", "cal.2.json")
    ]
    assert [read_json(kept / f"cal.{n}.json")["text"] for n in (1, 2)] == [TEXT, "More"]
    before = snapshot(added / "dist" / "av" / "addenda" / "cal.0")
    assert snapshot(kept / "cal.0") == before
    assert snapshot(kept / "cal.1" / "evidence") == snapshot(added / "evidence")


def test_json_on_stdout_is_the_new_calibration(tool, folder):
    done = add(tool, folder, "--format", "json")

    assert done.stdout == (folder / "calibration.json").read_text()
    assert json.loads(done.stdout)["denominators"]["rows"] == 60


def test_not_a_byte_of_the_pair_changes(added, published):
    names = ["adapter_model.safetensors", "adapter_config.json", "nla_meta.yaml"]
    for role in ROLES:
        for name in [*names, *(["value_head.safetensors"] if role == "ar" else [])]:
            before, after = (each / "dist" / role / name for each in (published, added))
            assert before.read_bytes() == after.read_bytes()


def test_both_repositories_hold_both_evidences_and_pass_the_gate(tool, added):
    for role in ROLES:
        files = read_manifest(added / "dist" / role).files
        assert {name for name in files if name.startswith("addenda/")} == {
            "addenda/cal.1.json",
            "addenda/cal.0/calibration.json",
            "addenda/cal.0/evidence/rows.jsonl",
            "addenda/cal.0/evidence/run.json",
            "addenda/cal.0/evidence/runs.jsonl",
            "addenda/cal.0/evidence/training_shingles.safetensors",
            "addenda/cal.0/evidence/vectors.safetensors",
        }
    done = tool("check", added / "dist", "--format", "json")

    # The tokenizer of the base is on the Hub, which no test asks.
    assert json.loads(done.stdout)["findings"] == []


def test_the_authors_words_are_quoted_on_the_card(added):
    for role in ROLES:
        card = (added / "dist" / role / "README.md").read_text()
        assert f'measured on the same weights: "{TEXT}." They supersede cal.0' in card
        assert "Both are compared [under Addenda]" in card


def test_cards_show_the_new_numbers_and_lead_to_the_old(added):
    cosine = read_json(added / "calibration.json")["cosine"]["mean"]
    for role in ROLES:
        card = (added / "dist" / role / "README.md").read_text()
        assert f"| Plain cosine (failures count 0) | {cosine:.3f} |" in card
        assert "**These numbers are from evidence update cal.1** of 2026-11-23" in card
        assert "They supersede cal.0, measured 2026-11-22 on 30 activations" in card
        assert "(RELEASE_CALIBRATION.md#addenda)" in card


def test_the_old_numbers_stay_struck_through_beside_the_new(added, published):
    page = (added / "dist" / "av" / "RELEASE_CALIBRATION.md").read_text()
    before, after = (
        read_json(each / "calibration.json")["cosine"]["mean"] for each in (published, added)
    )

    assert "## Addenda\n" in page
    assert "### cal.1, 2026-11-23\n" in page
    assert f"| cal.0, superseded | ~~{before:.3f}~~ |" in page
    assert f"| cal.1 | {after:.3f} |" in page


def test_the_log_keeps_the_entry_of_the_version_and_tells_of_the_addendum(added, published):
    before = (published / "HISTORY.md").read_text()
    history = (added / "dist" / "av" / "HISTORY.md").read_text()

    assert history.startswith(before)
    new = history.removeprefix(before)
    assert "## 2026-11-23, finding about v0.0.1: new evidence, v0.0.1+cal.1\n" in new
    assert TEXT in new
    assert sha256_file(added / "dist" / "av" / "addenda" / "cal.1.json") in new


def test_rendering_twice_gives_the_same_bytes(tool, added, tmp_path):
    folder = shutil.copytree(added, tmp_path / "release")
    tool("render", "--version", "0.0.1", folder)

    assert snapshot(folder / "dist") == snapshot(added / "dist")


def test_a_version_that_no_log_knows_yet_keeps_the_entry_of_its_first_numbers(tool, folder):
    """It was rendered, and not pushed."""
    before = (folder / "HISTORY.md").read_text()
    (folder / "HISTORY.md").unlink()
    add(tool, folder)
    done = tool("render", "--version", "0.0.1", folder)

    assert done.returncode == 0, done.stderr
    assert (folder / "dist" / "ar" / "HISTORY.md").read_text().startswith(before)


def test_a_second_addendum_supersedes_the_first(tool, added, tmp_path):
    folder = shutil.copytree(added, tmp_path / "release")
    measure(read_release(folder), rows=80, documents=16, probes=["injection"])
    done = add(tool, folder, text="Twice as many.", date=["--date", "2026-11-23"])
    assert done.returncode == 0, done.stderr
    assert tool("render", "--version", "0.0.1", folder).returncode == 0
    done = tool("check", folder / "dist", "--format", "json")

    assert json.loads(done.stdout)["findings"] == []
    page = (folder / "dist" / "ar" / "RELEASE_CALIBRATION.md").read_text()
    assert page.index("### cal.1, 2026-11-23") < page.index("### cal.2, 2026-11-23")
    assert re.search(r"\| cal\.1, superseded \| ~~0\.\d{3}~~ \|", page)
    assert "Diagnostics. New: injection." in page


def test_fewer_rows_than_before_are_allowed_and_said(tool, added, tmp_path):
    folder = shutil.copytree(added, tmp_path / "release")
    measure(read_release(folder), rows=40, documents=10, seed=2)
    done = add(tool, folder, text="Another corpus", date=["--date", "2026-11-23"])

    assert done.returncode == 0
    assert "superseding cal.1 of 60 rows of 12 documents: fewer rows than before" in done.stderr
    tool("render", "--version", "0.0.1", folder)
    page = (folder / "dist" / "av" / "RELEASE_CALIBRATION.md").read_text()
    assert "**Fewer rows than before**: 40 instead of 60." in page


def test_evidence_that_decides_less_supersedes_nothing(tool, folder):
    measure(read_release(folder), rows=10, documents=3)
    before = snapshot(folder)

    complains(add(tool, folder), 3, "the new evidence is inconclusive, cal.0 was not")
    assert snapshot(folder) == before


def test_inconclusive_evidence_may_grow_and_stay_inconclusive(tool, folder):
    release = read_release(folder)
    release.history.unlink()
    measure(release, rows=8, documents=4)
    render(release, "0.0.1")
    measure(release, rows=12, documents=4)
    done = add(tool, folder)

    assert done.returncode == 0
    assert "verdict: inconclusive before, inconclusive now" in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--addendum", " "], 2, "the addendum has no text"),
        (["--addendum", "a\x1bb"], 2, "text: must be plain text"),
        (["--addendum", "x" * 301], 2, "text: String should have at most 300 characters"),
        (["--addendum", "{{ calibration.cosine.mean }}"], 2, "the placeholder '{{ calibration'"),
        (["--addendum", "TODO: say why"], 2, "the placeholder 'TODO'"),
        (["--addendum", "More, from /home/me/rows"], 2, "contains a path of one machine"),
        (["--addendum", "More, by user: jane"], 2, "contains an account on a machine"),
        (["--addendum", f"More, as hf_{'a' * 34}"], 2, "contains a Hugging Face token"),
        (["--addendum", "x", "--date", "soon"], 2, "invalid value for '--date'"),
        (["--addendum", "x", "--date", "2026-13-01"], 2, "invalid value for '--date'"),
        (
            ["--addendum", "x", "--date", "2026-11-21"],
            2,
            "the evidence update is dated 2026-11-21, but the evidence was measured on 2026-11-22",
        ),
        (["--addendum", "x", "--date", "2999-01-01"], 2, "2999-01-01 is in the future"),
        (["--date", "2026-11-23"], 2, "--date belongs to --addendum"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(tool, folder, options, code, words):
    before = snapshot(folder)
    done = tool("calibrate", *options, folder)

    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(folder) == before


def test_an_addendum_is_not_dated_before_the_last(tool, added, tmp_path):
    folder = shutil.copytree(added, tmp_path / "release")
    measure(read_release(folder), rows=80, documents=16)
    done = add(tool, folder, date=["--date", "2026-11-22"])

    complains(done, 2, "dated 2026-11-22, but cal.1 was added on 2026-11-23")


def test_without_a_published_version_there_is_nothing_to_add_to(tool, folder):
    shutil.rmtree(folder / "dist")
    complains(add(tool, folder), 2, "holds no version with both repositories")
    assert not (folder / "addenda").exists()


def test_half_a_published_version_is_none(tool, folder):
    shutil.rmtree(folder / "dist" / "ar")
    complains(add(tool, folder), 2, "holds no version with both repositories")


def test_a_dist_that_was_touched_is_not_what_was_published(tool, folder):
    (folder / "dist" / "av" / "README.md").write_text("# Mine\n")
    done = add(tool, folder)

    complains(done, 2, "README.md was changed after `render`")


@pytest.mark.parametrize("options", [FEW, MORE], ids=["cal.0", "cal.1"])
def test_the_same_evidence_again_adds_nothing(tool, added, tmp_path, options):
    """Neither that which stands, nor that which it superseded."""
    folder = shutil.copytree(added, tmp_path / "release")
    measure(read_release(folder), **options)
    before = snapshot(folder)

    name = "cal.0" if options is FEW else "cal.1"
    complains(add(tool, folder), 3, f"gives the numbers of v0.0.1, {name}, again")
    assert snapshot(folder) == before


@pytest.mark.parametrize(
    ("role", "file"), [("av", "adapter_model.safetensors"), ("ar", "value_head.safetensors")]
)
def test_evidence_of_other_weights_is_another_version(tool, folder, role, file):
    path = folder / "pair" / role / file
    tensors = safetensors.numpy.load_file(path)
    first = min(tensors)
    safetensors.numpy.save_file(tensors | {first: tensors[first] + np.float32(1)}, path)
    measure(read_release(folder), **MORE)
    before = snapshot(folder)

    done = add(tool, folder)
    complains(done, 2, f"belongs to another pair than v0.0.1: {role}/{file} differs")
    assert snapshot(folder) == before


def test_evidence_of_another_sidecar_is_another_version(tool, folder):
    path = folder / "pair" / "av" / "nla_meta.yaml"
    path.write_text(path.read_text().replace("injection_scale: 39.25", "injection_scale: 40.0"))
    path.write_text(path.read_text().replace("scale: 39.25", "scale: 40.0"))
    measure(read_release(folder), **MORE)

    complains(add(tool, folder), 2, "belongs to another pair than v0.0.1: av/nla_meta.yaml")


def test_evidence_that_is_cut_adds_nothing(tool, folder):
    path = folder / "evidence" / "vectors.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    before = snapshot(folder)

    done = add(tool, folder)
    assert done.returncode == 2
    assert "evidence" in done.stderr
    assert snapshot(folder) == before


def test_evidence_with_nan_adds_nothing(tool, folder):
    path = folder / "evidence" / "vectors.safetensors"
    vectors = safetensors.numpy.load_file(path)
    vectors["real"][0, 0] = np.nan
    safetensors.numpy.save_file(vectors, path)
    run = folder / "evidence" / "run.json"
    write_atomic(
        run,
        json.dumps(read_json(run) | {"vectors_sha256": sha256_file(path)}),
    )

    done = add(tool, folder)
    assert done.returncode == 2
    assert not (folder / "addenda").exists()


def test_evidence_that_was_not_added_is_not_rendered(tool, added, tmp_path):
    """Somebody measured again, and forgot that the version is published."""
    folder = shutil.copytree(added, tmp_path / "release")
    measure(read_release(folder), rows=80, documents=16)
    before = snapshot(folder / "dist")

    done = tool("render", "--version", "0.0.1", folder)
    complains(done, 1, "the evidence is not what v0.0.1+cal.1 added")
    assert snapshot(folder / "dist") == before


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("reworded", "cal.1.json differs from the hash in HISTORY.md"),
        ("lost", "HISTORY.md has the evidence update v0.0.1-cal.1, which is missing"),
    ],
)
def test_an_addendum_that_is_public_is_not_rendered_otherwise(tool, added, tmp_path, what, words):
    folder = shutil.copytree(added, tmp_path / "release")
    addenda = folder / "addenda" / "v0.0.1"
    if what == "lost":
        shutil.rmtree(addenda)
    else:
        path = addenda / "cal.1.json"
        path.write_text(path.read_text().replace(TEXT, "Measured on what suited me"))

    done = tool("render", "--version", "0.0.1", folder)
    complains(done, 1, words)
    checked = tool("check", folder)
    assert checked.returncode == 1
    assert "NLA617" in checked.stdout


def test_weights_that_changed_after_the_addendum_are_not_rendered(tool, folder):
    """The pair's own files agree with the evidence, and not with what was published."""
    add(tool, folder)
    record = folder / "addenda" / "v0.0.1" / "cal.1.json"
    document = read_json(record)
    document["weights"]["av/nla_meta.yaml"] = "0" * 64
    write_atomic(record, json.dumps(document))

    done = tool("render", "--version", "0.0.1", folder)
    complains(done, 1, "av/nla_meta.yaml differs from the published v0.0.1")


def test_the_next_version_begins_without_addenda(tool, added, tmp_path):
    folder = shutil.copytree(added, tmp_path / "release")
    done = tool("render", "--version", "0.0.2", folder)

    assert done.returncode == 0, done.stderr
    assert not (folder / "dist" / "av" / "addenda").exists()
    assert "Addenda" not in (folder / "dist" / "av" / "RELEASE_CALIBRATION.md").read_text()


def measured_again(folder):
    """The pair of v0.0.1 measured once more, with the same numbers, on another day."""
    release = read_release(folder)
    measure(release, **FEW)
    with edited_json(release.evidence / "run.json") as run:
        run["finished_at"] = "2026-11-24T10:00:00Z"
    write_atomic(release.calibration, calibrate(read_evidence(release.evidence)).dump())
    return release


def test_the_same_numbers_again_leave_a_way_back(tool, published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "release")
    before = snapshot(folder)
    measured_again(folder)

    back = "nla-release calibrate --restore"
    for done, code, words in (
        (tool("render", "--version", "0.0.1", folder), 1, "already has v0.0.1"),
        (add(tool, folder), 3, "nothing to add"),
    ):
        complains(done, code, words)
        assert back in done.stderr
    assert snapshot(folder) != before

    restored = tool("calibrate", "--restore", folder)

    assert (restored.returncode, restored.stdout) == (0, "")
    assert "as v0.0.1 has them" in restored.stderr
    assert snapshot(folder) == before
    assert tool("render", "--version", "0.0.1", folder).returncode == 0


def test_a_measurement_that_replaces_published_evidence_is_named_at_once(published, tmp_path):
    release = read_release(shutil.copytree(published, tmp_path / "release"))
    assert replaced_version(release) is None

    measured_again(release.folder)

    assert replaced_version(release) == "v0.0.1"
    release.history.unlink()
    assert replaced_version(release) is None  # rendered, and not published


def test_without_a_version_in_dist_there_is_nothing_to_restore(tool, published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "release")
    shutil.rmtree(folder / "dist")

    done = tool("calibrate", "--restore", folder)

    complains(done, 2, "holds no version")
    assert "hf download" in done.stderr


def test_restoring_takes_no_other_option(tool, folder):
    assert tool("calibrate", "--restore", "--addendum", TEXT, folder).returncode == 2
