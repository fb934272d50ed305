"""One verdict, six renderings: they agree, are read by what they are made for, and cannot be broken
by what a stranger wrote.
"""

import json
import os
import re
from datetime import date
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nla_release import __version__
from nla_release.gate import RULES
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import Outcome, Verdict
from nla_release.output.ci import (
    annotations,
    place_of,
    repository_root,
    verdict_github,
    verdict_junit,
    verdict_sarif,
)
from nla_release.output.verdict import verdict_json, verdict_markdown, verdict_text
from nla_release.release.config import Waiver
from tests.output.readers import (
    commands,
    junit_cases,
    junit_properties,
    markdown_tables,
    sarif_run,
)
from tests.output.verdicts import FOLDER, PASSED, VERDICTS, outcome

GOLDEN = Path(__file__).parent.parent / "golden" / "verdicts"

FORMATS = {
    "txt": lambda verdict: verdict_text(verdict) + "\n",
    "json": verdict_json,
    "xml": verdict_junit,
    "sarif": lambda verdict: verdict_sarif(verdict, FOLDER),
    "github": lambda verdict: verdict_github(verdict, FOLDER),
    "md": verdict_markdown,
}


@pytest.fixture(scope="module", autouse=True)
def in_a_repository():
    """The tests' own folder may be a clone, or an archive without `.git`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nla_release.output.ci.repository_root", lambda _: Path.cwd())
        yield


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", VERDICTS)
def test_a_rendering_is_the_one_that_was_read_and_approved(name, suffix):
    """Read the difference, then accept it with NLA_RELEASE_UPDATE_GOLDEN=1 pytest tests/output."""
    golden = GOLDEN / f"{name}.{suffix}"
    rendered = FORMATS[suffix](VERDICTS[name]).replace(__version__, "VERSION")
    if os.environ.get("NLA_RELEASE_UPDATE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(rendered, encoding="utf-8")

    assert rendered == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", VERDICTS)
def test_all_renderings_agree_on_the_numbers(name):
    verdict = VERDICTS[name]
    document = json.loads(verdict_json(verdict))
    expected = {key: count for key, count in document["rules"].items() if key != "total"}
    findings, waived = len(document["findings"]), len(document["waived"])

    assert document["verdict"] == name
    assert document["rules"]["total"] == sum(expected.values()) == len(verdict.outcomes)
    for text in map(FORMATS.__getitem__, ("txt", "github", "md")):
        counts = re.findall(r"(\d+) (passed|failed|warned|waived|skipped)", text(verdict))
        assert dict.fromkeys(expected, 0) | {s: int(n) for n, s in counts} == expected

    suite = verdict_junit(verdict)
    properties = junit_properties(suite)
    label = {key: value for key, value in properties.items() if key.startswith("label.")}
    assert label == {f"label.{key}": value for key, value in (document["label"] or {}).items()}
    assert properties == {"verdict": name, "tool_version": __version__} | label | {
        state: str(count) for state, count in expected.items()
    }
    states = [next((child.tag for child in case), "passed") for case in junit_cases(suite)]
    assert states.count("failure") == expected["failed"]
    assert states.count("skipped") == expected["skipped"] + expected["waived"]
    assert states.count("error") == (name == "inconclusive")

    run = sarif_run(verdict_sarif(verdict, FOLDER))
    labelled = {"label": document["label"]} if document["label"] else {}
    assert run["properties"] == {"verdict": name, "rules": expected} | labelled
    suppressed = [result for result in run["results"] if "suppressions" in result]
    assert (len(run["results"]), len(suppressed)) == (findings + waived, waived)
    assert run["invocations"][0]["exitCode"] == verdict.exit_code

    told = [command.name for command in commands(verdict_github(verdict, FOLDER))]
    assert (len(told), told.count("notice")) == (findings + waived, waived)
    tables = markdown_tables(verdict_markdown(verdict))
    assert len(tables.get("Findings", [])) == findings
    assert len(tables.get("Waived", [])) == waived


@pytest.mark.parametrize("suffix", ["txt", "github", "md"])
@pytest.mark.parametrize("name", ["pass", "fail"])
def test_the_label_and_its_grades_stand_apart_from_the_gates_verdict(name, suffix):
    verdict = VERDICTS[name]
    shown = FORMATS[suffix](verdict)

    (line,) = (line for line in shown.splitlines() if "label: " in line)
    assert verdict.label.name in line
    assert len(re.findall(r": (yes|partly|no|not measured)\b", line)) == 3
    assert f"verdict: {name}" not in line
    assert "label: " not in FORMATS[suffix](VERDICTS["inconclusive"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_waived_finding_is_shown_with_its_reason_and_its_day(suffix):
    shown = FORMATS[suffix](VERDICTS["pass"])

    for part in ("NLA605", "retrieved", "v0.2 will fix", "2027-03-31"):
        assert part in shown.replace("\\", "")


@pytest.mark.parametrize("suffix", sorted(set(FORMATS) - {"json"}))
def test_what_was_skipped_is_shown_with_its_reason(suffix):
    """The fixed keys of JSON have no room for it; the command says it on stderr."""
    assert "no tokenizer of someone/tiny" in FORMATS[suffix](VERDICTS["pass"])


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_people_wrote_is_named_as_not_checkable(suffix):
    shown = FORMATS[suffix](VERDICTS["pass"])

    assert "notes: limitations" in shown
    assert "ot checkable from files" in shown or '"unverified"' in shown


def test_a_location_is_relative_to_the_repository():
    run = sarif_run(verdict_sarif(VERDICTS["fail"], FOLDER))

    places = [
        result["locations"][0]["physicalLocation"]["artifactLocation"] for result in run["results"]
    ]
    assert places[0] == {"uri": "releases/tiny/pair/av/head.pt", "uriBaseId": "%SRCROOT%"}
    assert places[1]["uri"] == "releases/tiny/pair/av/a%20file%3A%20100%25%2C%20of%20%3Cit%3E.bin"
    assert list(run["originalUriBaseIds"]) == ["%SRCROOT%"]


def test_code_scanning_finds_where_to_read_about_the_tool():
    run = sarif_run(verdict_sarif(VERDICTS["fail"], FOLDER))

    assert urlsplit(run["tool"]["driver"]["informationUri"]).scheme == "https"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A clone with a release in it, as the working directory of a job that is not at its root."""
    (tmp_path / "clone" / ".git").mkdir(parents=True)
    (tmp_path / "clone" / "releases" / "tiny").mkdir(parents=True)
    monkeypatch.undo()
    monkeypatch.setattr("nla_release.output.ci.repository_root", repository_root)
    monkeypatch.chdir(tmp_path / "clone" / "releases")
    return tmp_path / "clone"


@pytest.mark.parametrize(
    "given", ["tiny", "{clone}/releases/tiny", "../releases/tiny", "{clone}/docs/../releases/tiny"]
)
def test_wherever_check_is_run_files_are_named_from_the_repositorys_root(repository, given):
    folder = Path(given.format(clone=repository))
    problem = Problem(f"{folder / 'README.md'}:12", "holds a path of one machine")
    verdict = Verdict((outcome("NLA504", problem),))
    (result,) = sarif_run(verdict_sarif(verdict, folder))["results"]
    (command,) = commands(verdict_github(verdict, folder))

    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {
        "uri": "releases/tiny/README.md",
        "uriBaseId": "%SRCROOT%",
    }
    assert location["region"] == {"startLine": 12}
    assert command.properties["file"] == "releases/tiny/README.md"
    assert command.properties["line"] == "12"


def test_a_file_without_a_line_has_no_region(repository):
    (repository / "releases" / "tiny" / "a:12").touch()
    for name in ("tiny/head.pt", "tiny/a:12"):
        verdict = Verdict((outcome("NLA301", Problem(name, "is or may hold a pickle")),))
        (result,) = sarif_run(verdict_sarif(verdict, Path("tiny")))["results"]
        (command,) = commands(verdict_github(verdict, Path("tiny")))

        assert "region" not in result["locations"][0]["physicalLocation"]
        assert "line" not in command.properties


def test_outside_of_a_repository_locations_are_relative_to_the_checked_folder(tmp_path):
    assert repository_root(tmp_path, {}) is None, "or this test shows nothing"
    problem = Problem(tmp_path / "pair/av/head.pt", "is or may hold a pickle")
    verdict = Verdict((outcome("NLA301", problem),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nla_release.output.ci.repository_root", lambda _: None)
        (result,) = sarif_run(verdict_sarif(verdict, tmp_path))["results"]

    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "pair/av/head.pt", "uriBaseId": "CHECKED_FOLDER"}


def test_a_workspace_of_actions_without_a_clone_is_a_repository(tmp_path):
    folder = tmp_path / "work" / "release"
    there = {"GITHUB_WORKSPACE": str(tmp_path / "work")}

    assert repository_root(folder, there) == tmp_path / "work"
    assert repository_root(tmp_path / "elsewhere", there) is None


def test_every_rule_there_is_can_be_described():
    verdict = Verdict(tuple(Outcome(rule, (), ()) for rule in RULES))

    rules = sarif_run(verdict_sarif(verdict, FOLDER))["tool"]["driver"]["rules"]

    assert [each["id"] for each in rules] == [rule.code for rule in RULES]
    for rule, described in zip(RULES, rules, strict=True):
        assert rule.page.why in described["help"]["markdown"].replace("{{", "{").replace("}}", "}")
    assert len(junit_cases(verdict_junit(verdict))) == len(RULES)


MORSELS = [
    "\n", "\r\n", "::error::x", "::set-output name=a::b", "##[add-mask]a", ",title=x", "%0A", "%25",
    "]]>", "<![CDATA[", "<!--", "<script>x</script>", "&amp;", "|", "\\|", "\\", "`", "``", "%",
    "'", '"', "\x00", "\x1b[31m", "\ufffe", "\udcff", "\u202e", "![x](http://evil.example)",
    "{0}", "}", "verdict: pass",
]  # fmt: skip
HOSTILE = st.lists(st.sampled_from(MORSELS) | st.text(max_size=8), max_size=8).map("".join)
PRINTABLE = HOSTILE.map(
    lambda text: " ".join("".join(filter(str.isprintable, text)).split()) or "known"
)


@given(HOSTILE, HOSTILE, HOSTILE, PRINTABLE)
@example("\n::error::x", "\n::error::x]]><b>|`", "\n##[add-mask]x", "::error::x")
@example("", "", "", "|")
def test_no_text_of_a_stranger_breaks_a_format(path, message, reason, why):
    problem = Problem(f"av/{path}", message)
    waiver = Waiver(code="NLA604", reason=why, until=date(2027, 1, 1))
    verdict = Verdict(
        (
            PASSED,
            outcome("NLA301", problem, Skip(reason)),
            outcome("NLA604", problem, waiver=waiver),
            outcome("NLA609", Skip(reason)),
        )
    )
    (finding,) = verdict.findings

    lines = verdict_text(verdict).split("\n")
    assert len(lines) == 6
    assert json.loads(verdict_json(verdict).encode())["findings"][0]["message"] == finding.message

    _, failed, waived, skipped = junit_cases(verdict_junit(verdict))
    assert failed.find("failure").text == f"error: {finding.path}: {finding.message}"
    assert waived.find("skipped").attrib["message"] == f"waived until 2027-01-01: {why}"
    assert skipped.find("skipped").attrib["message"] == verdict.outcomes[3].skipped[0]

    run = sarif_run(verdict_sarif(verdict, FOLDER))
    shown = finding.message.replace("{", "{{").replace("}", "}}").replace("](", "] (")
    assert [result["message"]["text"] for result in run["results"]] == [shown] * 2

    error, notice = commands(verdict_github(verdict, FOLDER))
    for command in (error, notice):
        place = place_of(finding.path, Path.cwd())
        assert set(command.properties) == {"file", "title"} | ({"line"} if place.line else set())
        assert command.properties["file"] == place.path.replace("##[", "## [")
        assert command.data == finding.message.replace("##[", "## [")
    assert (error.name, notice.name) == ("error", "notice")
    assert commands("\n".join(annotations(verdict, FOLDER))) == [error, notice]
    assert verdict_github(verdict, FOLDER).splitlines()[-1] == "verdict: fail"

    tables = markdown_tables(verdict_markdown(verdict))
    assert {title: [len(row) for row in rows] for title, rows in tables.items()} == {
        "Findings": [4],
        "Waived": [5],
        "Skipped": [2],
    }
