"""The formats, read as the programs read them that they are made for."""

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark").enable("table")
_LEVELS = {"none", "note", "warning", "error"}


@dataclass(frozen=True)
class Command:
    """A workflow command: its name, its properties, its data."""

    name: str
    properties: dict[str, str]
    data: str


def commands(output: str) -> list[Command]:
    """The commands that GitHub's runner finds in lines of output, of both forms."""
    return [found for line in output.split("\n") if (found := _command(line)) is not None]


def _command(line: str) -> Command | None:
    if "##[" in line and not line.lstrip().startswith("::"):
        return Command("old form", {}, line)
    if not line.lstrip().startswith("::"):
        return None
    head, _, data = line.lstrip()[2:].partition("::")
    name, _, given = head.partition(" ")
    pairs = (pair.split("=", 1) for pair in given.split(",") if pair)
    return Command(name, {key: _unescaped(value) for key, value in pairs}, _unescaped(data))


def _unescaped(text: str) -> str:
    for escaped, plain in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(escaped, plain)
    return text


def junit_cases(document: str) -> list[ET.Element]:
    """The test cases of a report whose counts are right."""
    suites = ET.fromstring(document.encode())
    (suite,) = suites
    cases = suite.findall("testcase")
    assert suites.tag == "testsuites"
    for element in (suites, suite):
        assert int(element.attrib["tests"]) == len(cases)
        for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.attrib[count]) == len(suite.findall(f"testcase/{tag}"))
    assert all(case.attrib["name"] and case.attrib["classname"] for case in cases)
    return cases


def junit_properties(document: str) -> dict[str, str]:
    """The properties of the suite."""
    found = ET.fromstring(document.encode()).iter("property")
    return {each.attrib["name"]: each.attrib["value"] for each in found}


def sarif_run(document: str) -> dict[str, Any]:
    """The only run of a log that has what SARIF 2.1.0 demands, of the kinds it demands.

    By section of the standard: 3.13 log, 3.14 run, 3.18 tool, 3.19 driver, 3.49 rule, 3.20
    invocation, 3.58 notification, 3.27 result, 3.35 suppression, 3.4 artifact location.
    """
    log = json.loads(document)
    assert log["version"] == "2.1.0"
    assert set(log) == {"$schema", "version", "runs"}
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"]
    rules = driver["rules"]
    assert len({each["id"] for each in rules}) == len(rules)
    for each in rules:
        assert each["shortDescription"]["text"]
        assert each["fullDescription"]["text"]
        assert each["help"]["text"]
        assert each["defaultConfiguration"]["level"] in _LEVELS
    for invocation in run["invocations"]:
        assert isinstance(invocation["executionSuccessful"], bool)
        for notification in invocation["toolExecutionNotifications"]:
            assert notification["message"]["text"]
            assert notification["level"] in _LEVELS
            about = notification["associatedRule"]
            assert rules[about["index"]]["id"] == about["id"]
    for result in run["results"]:
        text = result["message"]["text"]
        assert not re.search(r"[{}]|\]\(", text.replace("{{", "").replace("}}", ""))
        assert result["level"] in _LEVELS
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"]
        for location in result["locations"]:
            place = location["physicalLocation"]["artifactLocation"]
            assert re.fullmatch(r"[A-Za-z0-9_.~/%-]+", place["uri"])  # RFC 3986, of a path
            assert place.get("uriBaseId", "CHECKED_FOLDER") in run["originalUriBaseIds"]
        for suppression in result.get("suppressions", []):
            assert suppression["kind"] in {"inSource", "external"}
            assert suppression["status"] in {"accepted", "underReview", "rejected"}
    return run


def markdown_tables(document: str) -> dict[str, list[list[str]]]:
    """The rows of each table, as text that a reader sees, by the title above it."""
    tables: dict[str, list[list[str]]] = {}
    title, rows = "", []
    for token in _MARKDOWN.parse(document):
        assert token.type != "html_block"
        if token.type == "table_open":
            rows = tables[title] = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            kinds = {child.type for child in token.children}
            allowed = {"text", "text_special", "code_inline", "strong_open", "strong_close"}
            assert kinds <= allowed, kinds
            text = "".join(child.content for child in token.children)
            if token.level == 1:
                title = text
            else:
                rows[-1].append(text)
    return {title: rows[1:] for title, rows in tables.items()}
