"""`nla-release history`: a few words, and what must not be forgotten is in the log."""

import shutil

import pytest
from click.testing import CliRunner

from nla_release.cards.render import render
from nla_release.cli.history import command
from nla_release.history.fragments import read_fragments
from nla_release.io.files import read_json, write_atomic
from nla_release.release.folder import read_release
from tests.builders_pair import make_release
from tests.cli.test_bad_input import complains, snapshot

FINDING = ["add", "finding", "--title", "Names are read", "--date", "2026-11-22"]
RETRACT = ["retract", "--version", "0.0.1", "--metric", "cosine.mean", "--date", "2026-11-23"]
REASON = ["--reason", "measured at the wrong scale"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A release whose 0.0.1 is published, as far as the log is concerned."""
    release = make_release(tmp_path_factory.mktemp("small") / "release", rows=60, documents=12)
    render(release, "0.0.1")
    write_atomic(release.history, (release.dist / "av" / "HISTORY.md").read_bytes())
    return release.folder


@pytest.fixture
def folder(published, tmp_path):
    return shutil.copytree(published, tmp_path / "release")


@pytest.fixture
def cosine(folder):
    return read_json(folder / "calibration.json")["cosine"]["mean"]


def test_an_entry_is_a_fragment_and_its_path_is_told(tool, folder):
    done = tool("history", *FINDING, "--version", "0.0.1", "--message", "In *most* rows.", folder)

    path = folder / "history" / "2026-11-22-names-are-read.md"
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith(f"wrote {path}: ")
    assert path.read_text() == (
        "---\ndate: 2026-11-22\nkind: finding\ntitle: Names are read\nversion: 0.0.1\n---\n"
        "In *most* rows.\n"
    )


def test_the_text_may_come_on_stdin(folder):
    done = CliRunner().invoke(command, [*FINDING, str(folder)], input="In most rows: ㊗\n")

    assert done.exit_code == 0, done.output
    (fragment,) = read_fragments(folder / "history")
    assert fragment.body == "In most rows: ㊗"


def test_before_the_first_render_it_says_what_to_run_first(tool, tmp_path):
    """And what it names works."""
    folder = make_release(tmp_path / "release", rows=60, documents=12).folder
    line = ["history", *FINDING, "--version", "0.0.1", "--message", "In most rows.", folder]

    done = tool(*line)
    complains(done, 2, "HISTORY.md has no v0.0.1")
    assert "`nla-release render --version 0.0.1`" in done.stderr

    assert tool("render", "--version", "0.0.1", folder).returncode == 0
    assert tool(*line).returncode == 0
    assert tool("render", "--version", "0.0.1", folder).returncode == 0
    assert "Names are read" in (folder / "dist" / "av" / "HISTORY.md").read_text()


def test_an_entry_about_no_version_needs_no_render(tool, tmp_path):
    folder = make_release(tmp_path / "release", rows=60, documents=12).folder

    assert tool("history", *FINDING, "--message", "In most rows.", folder).returncode == 0
    assert tool("render", "--version", "0.0.1", folder).returncode == 0
    assert "In most rows." in (folder / "dist" / "ar" / "HISTORY.md").read_text()


def test_an_entry_that_exists_is_not_overwritten(tool, folder):
    tool("history", *FINDING, "--message", "In most rows.", folder)
    before = snapshot(folder)
    done = tool("history", *FINDING, "--message", "In all rows.", folder)

    complains(done, 1, "2026-11-22-names-are-read.md exists and is not overwritten")
    assert snapshot(folder) == before


def test_a_retraction_goes_all_the_way_to_the_card_and_the_check(tool, folder, cosine):
    """The number that was withdrawn is still this version's own, and `check` says so."""
    done = tool("history", *RETRACT, "--value", f"{cosine:.3f}", *REASON, folder)
    assert done.returncode == 0, done.stderr
    assert tool("render", "--version", "0.0.1", folder).returncode == 0
    checked = tool("check", folder / "dist")

    assert checked.returncode == 1
    words = f"shows {cosine:.12g}, the cosine.mean of v0.0.1 that HISTORY.md retracts"
    assert words in checked.stdout
    card = (folder / "dist" / "av" / "README.md").read_text()
    assert f"- `cosine.mean` = {cosine} of v0.0.1, retracted on " in card
    assert ": measured at the wrong scale (" in card
    (fragment,) = read_fragments(folder / "history")
    run = read_json(folder / "calibration.json")["evidence"]["run_sha256"]
    assert fragment.matter.supersedes.run_sha256 == run


@pytest.mark.parametrize("end", [0, 1])
def test_either_end_of_an_interval_is_a_number(tool, folder, end):
    bound = read_json(folder / "calibration.json")["cosine"]["interval"][end]
    line = ["history", "retract", "--version", "0.0.1", "--metric", "cosine.interval"]
    done = tool(*line, "--value", f"{bound:.3f}", *REASON, folder)

    assert done.returncode == 0, done.stderr
    (fragment,) = read_fragments(folder / "history")
    assert fragment.matter.supersedes.value == bound


def test_a_number_is_retracted_once(tool, folder, cosine):
    """Whether the first retraction is published or still a fragment."""
    tool("history", *RETRACT, "--value", f"{cosine:.3f}", *REASON, folder)
    again = ["history", *RETRACT, "--value", f"{cosine:.4f}", *REASON, "--title", "Again"]
    pending = tool(*again, folder)
    render(read_release(folder), "0.0.1")
    write_atomic(folder / "HISTORY.md", (folder / "dist" / "av" / "HISTORY.md").read_bytes())
    shutil.rmtree(folder / "history")
    published = tool(*again, folder)

    for done in (pending, published):
        complains(done, 1, f"cosine.mean = {cosine} of v0.0.1 is already superseded")


def test_a_correction_names_the_number_that_it_supersedes(tool, folder, cosine):
    line = ["history", "add", "correction", "--title", "The scale", "--message", "It was 80000."]
    number = ["--version", "0.0.1", "--supersedes", f"cosine.mean={cosine:.3f}", *REASON]
    done = tool(*line, *number, folder)

    assert done.returncode == 0, done.stderr
    (fragment,) = read_fragments(folder / "history")
    assert fragment.matter.kind == "correction"
    assert fragment.matter.supersedes.value == cosine
    complains(tool(*line, *number[2:], folder), 2, "give --version, --supersedes and --reason")
    complains(tool(*line, *number[:3], "x", *REASON, folder), 2, "x is not METRIC=VALUE")


def test_a_metric_that_calibration_does_not_have_is_taken_by_name(tool, folder):
    line = ["history", "retract", "--version", "0.0.1", "--metric", "content match"]
    done = tool(*line, "--value", "1.23", *REASON, folder)

    assert done.returncode == 0, done.stderr
    (fragment,) = read_fragments(folder / "history")
    assert fragment.matter.title == "content match of v0.0.1"


def test_a_version_of_long_ago_is_known_by_its_entry_alone(tool, folder):
    """Its calibration is not here any more, so nobody knows whether that was the number."""
    shutil.rmtree(folder / "dist")
    done = tool("history", *RETRACT, "--value", "0.438", *REASON, folder)

    assert done.returncode == 0, done.stderr
    assert "note: 0.438 is not checked: dist/ holds no version\n" in done.stderr


def test_a_number_that_the_entry_of_its_version_tells_is_checked(tool, folder, cosine):
    shutil.rmtree(folder / "dist")
    done = tool("history", *RETRACT, "--value", f"{cosine:.3f}", *REASON, folder)

    assert (done.returncode, "note: " in done.stderr) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["add", "rumour", "--title", "x", "--message", "x"], 2, "'rumour' is not one of"),
        (["add", "retraction", "--title", "x", "--message", "x"], 2, "'retraction' is not one"),
        (["add", "finding", "--message", "x"], 2, "missing option '--title'"),
        ([*FINDING, "--message", " "], 2, "the entry has no text"),
        ([*FINDING, "--message", "x", "--version", "v1"], 2, "version 'v1' must be written '1'"),
        (["add", "finding", "--title", "a\nb\x1b", "--message", "x"], 2, "title: must be plain"),
        ([*FINDING, "--message", "x", "--date", "soon"], 2, "invalid value for '--date'"),
        ([*RETRACT, *REASON], 2, "missing option '--value'"),
        ([*RETRACT, *REASON, "--value", "0.438"], 2, "cosine.mean of v0.0.1 is 0."),
        ([*RETRACT, *REASON, "--value", "1"], 2, "1 does not identify one number"),
        ([*RETRACT, *REASON, "--value", "0.87", "--metric", "cosine"], 2, "such as cosine.mean"),
        ([*RETRACT, *REASON, "--value", "0.87", "--metric", "FVE"], 2, "such as fve.value"),
        ([*RETRACT, *REASON, "--value", "1", "--date", "9999-12-31"], 2, "is in the future"),
        ([*FINDING, "--message", "x", "--version", "9.9.9"], 2, "HISTORY.md has no v9.9.9"),
        ([*RETRACT, *REASON, "--value", "nan"], 2, "supersedes.value: must be"),
        ([*RETRACT, "--value", "1", "--reason", ""], 2, "supersedes.reason: must be plain text"),
        (
            [*RETRACT, *REASON, "--value", "1", "--metric", "cosine.maen"],
            2,
            "hint: did you mean cosine.mean",
        ),
        (
            [*RETRACT, *REASON, "--value", "1", "--version", "0.0.9"],
            2,
            "HISTORY.md has no v0.0.9",
        ),
        ([*RETRACT, *REASON, "--value", "1", "--version", "0.0.9"], 2, "hint: there is v0.0.1"),
        (["erase"], 2, "no such command 'erase'"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_written(tool, folder, arguments, code, words):
    before = snapshot(folder)
    done = tool("history", *arguments, *([folder] if arguments != ["erase"] else []))

    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert snapshot(folder) == before


def test_the_log_is_shown_with_what_is_to_come(tool, folder, cosine):
    tool("history", *FINDING, "--message", "In most rows.", folder)
    tool("history", *RETRACT, "--value", f"{cosine:.3f}", *REASON, folder)
    before = tool("history", "show", folder)
    render(read_release(folder), "0.0.1")
    write_atomic(folder / "HISTORY.md", (folder / "dist" / "av" / "HISTORY.md").read_bytes())
    after = tool("history", "show", folder)

    superseded = f"  supersedes cosine.mean = {cosine} of v0.0.1: measured at the wrong scale"
    assert before.stdout.splitlines() == [
        "v0.0.1, 2026-11-22",
        "2026-11-22, finding: Names are read (not published yet)",
        "2026-11-23, retraction: cosine.mean of v0.0.1 (not published yet)",
        superseded,
    ]
    assert after.stdout.splitlines() == [
        "v0.0.1, 2026-11-22",
        "2026-11-22, finding: Names are read",
        "2026-11-23, retraction: cosine.mean of v0.0.1",
        superseded,
    ]


def test_no_log_is_nothing_to_show(tool, folder):
    (folder / "HISTORY.md").unlink()

    complains(tool("history", "show", folder), 3, "HISTORY.md does not exist, and there are no")


def test_a_traceback_is_shown_on_demand(tool, tmp_path):
    done = tool("history", "show", "--debug", tmp_path)

    assert done.returncode == 2
    assert "Traceback" in done.stderr
