"""The report says everything, to everyone, and lets nobody else speak in it."""

import base64
import hashlib
import html
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.calibration.questions import questions
from nla_release.calibration.report import Calibration, CurrentCalibration
from nla_release.contract.explanation import wrap
from nla_release.gate import RULES, apply_rules
from nla_release.gate.leaks import ACCOUNTS, MOUNTS, PLACES, SECRETS, leaks
from nla_release.gate.model import Verdict
from nla_release.gate.subject import find_subject
from nla_release.io.files import package_folder
from nla_release.report.render import render_report
from nla_release.report.rows import STATIC_ROWS
from nla_release.report.verdicts import answers
from tests.builders import evidence_parts
from tests.builders_pair import make_release, measure
from tests.pairs.zoo import (
    PREVIOUS,
    UNTIL,
    edited_yaml,
    good_release,
    in_sidecar,
    measured_as,
    waived,
)

VERDICTS = ["Is the release complete and honest?", "How good is the pair?"]
SECTIONS = [
    "All numbers",
    "Diagnostics",
    "Gate",
    "Against the previous release",
    "Runs and choices",
    "Environment",
    "Waivers",
    "Provenance",
    "Rows",
]
VOID = {"meta", "link", "br", "hr", "img", "input"}
DRAWN = {"path", "circle"}
HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    "</td></table><style>*{display:none}</style>{{ 7 * 7 }}\u202eesrever\x1b[31m\x00"
)


class Page(HTMLParser):
    """What a browser would make of the document, as far as these tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID | DRAWN:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in DRAWN:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(folder: Path) -> str:
    subject = find_subject(folder)
    return render_report(subject, apply_rules(subject))


def report_where_all_passes(folder: Path) -> str:
    """The report with the verdict of a gate that found nothing."""
    subject = find_subject(folder)
    passed = (replace(each, findings=(), skipped=()) for each in apply_rules(subject).outcomes)
    return render_report(subject, Verdict(tuple(passed)))


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    return good_release(tmp_path_factory.mktemp("report") / "release").folder


@pytest.fixture(scope="module")
def document(good) -> str:
    return report(good)


@pytest.fixture
def release(good, tmp_path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "release"))


@pytest.fixture
def probed(tmp_path) -> Path:
    return make_release(
        tmp_path / "release",
        rows=60,
        documents=30,
        probes=["text-controls", "injection", "claims", "paraphrase", "discrimination"],
    ).folder


def first_screen(document: str) -> str:
    """What comes before the links to the sections, in words."""
    return shown(document.split("<nav")[0])


def shown(part: str) -> str:
    """The words of a piece of the page."""
    part = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", part, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split())


def test_every_section_is_there_in_the_order_of_a_readers_questions(document):
    assert Page(document).texts["h2"] == [*VERDICTS, "Three questions", *SECTIONS]


def test_it_begins_with_two_verdicts_and_the_sentence_of_the_label(good, document):
    sentence = Calibration.read(good / "calibration.json").label.sentence
    banner = first_screen(document)

    assert re.search(r"Is the release complete and honest\? \S Gate: \w+", banner)
    assert sentence in banner


def test_the_first_screen_answers_three_questions_with_a_picture_each(good, document):
    calibration = Calibration.read(good / "calibration.json")
    assert isinstance(calibration, CurrentCalibration)
    found = questions(calibration)

    assert len(Page(document.split("<nav")[0] + "</main></body></html>").of("svg")) == len(found)
    for each in found:
        assert re.search(
            rf"{re.escape(each.question)} \S {each.grade.capitalize()}", first_screen(document)
        )


COLOURS = re.compile(r'class="verdict (\w+)"')
QUESTIONS = re.compile(r'class="answer (\w+)"')


def test_a_pair_that_says_nothing_of_its_activations_is_not_green_where_the_gate_passes(release):
    measured_as(release, lambda parts: None, noise=50)
    text = report_where_all_passes(release)

    assert "✓ Gate: pass" in first_screen(text)
    assert "✗ Format-only." in first_screen(text)
    assert COLOURS.findall(text) == ["plain", "bad"]


def test_a_good_pair_is_not_green_where_the_gate_fails(release):
    in_sidecar(release / "pair", "av", ["extraction", "injection_scale"], ...)
    text = report(release)

    assert COLOURS.findall(text)[0] == "bad"
    assert "good" not in COLOURS.findall(text) + QUESTIONS.findall(text)


def test_a_pair_that_does_not_beat_the_mean_says_so_first_and_in_red(release):
    def tell_apart_and_miss_the_length(parts):
        gold = parts.vectors["gold"].astype(np.float64)
        units = gold / np.linalg.norm(gold, axis=1, keepdims=True)
        apart = units - parts.vectors["reference_mean"]
        parts.vectors["real"][:] = apart - 2 * parts.vectors["reference_mean"]

    measured_as(release, tell_apart_and_miss_the_length)
    text = report(release)

    assert re.search(r"How good is the pair\? ✗ Does not beat the mean\.", first_screen(text))
    assert COLOURS.findall(text)[1] == "bad"


def test_words_of_a_token_level_pair_are_not_said_to_lack_source_texts(tmp_path):
    """They have them, and do not lead there; of one row per document no more than a token shows."""
    rows, vectors, run = evidence_parts(rows=60, documents=60)
    coded = [
        row.model_copy(update={"explanation": f"xq{at}", "raw": wrap(f"xq{at}")})
        for at, row in enumerate(rows)
    ]
    calibration = calibrate(write_evidence(tmp_path / "evidence", coded, vectors, run))
    used = answers(Verdict(()), calibration)[2]

    assert calibration.label.name == "token-level"
    assert used["words"] == "Not measured"
    assert used["answer"].endswith("and words about a token need not.")


def test_numbers_of_an_older_format_are_shown_without_answers_they_do_not_hold(release):
    old = calibrate(read_evidence(release / "evidence"), format_=2)
    (release / "calibration.json").write_text(old.dump(), encoding="utf-8")
    shutil.rmtree(release / "dist")
    text = report_where_all_passes(release)

    assert "Measured in format 2, which does not answer the three questions" in first_screen(text)
    assert old.label.sentence in first_screen(text)
    assert "Three questions" not in Page(text).texts["h2"]
    assert len(Page(text).of("svg")) == 1
    assert f"{old.controls['shuffled'].mean:.3f}: another row's explanation" in shown(text)
    assert COLOURS.findall(text)[1] == "open"


def test_the_runs_of_a_continued_adapter_are_in_the_report(tmp_path):
    release = make_release(tmp_path / "release")
    with edited_yaml(release.adapter("ar") / "nla_meta.yaml") as sidecar:
        earlier = {"steps": 1000, "seconds": 100, "adapter_sha256": "a" * 64}
        sidecar["nla_release"]["training"]["continued_from"] = earlier
    measure(release)
    document = report(release.folder)

    assert "1120 in 2 runs: 1000 + 120" in document
    assert "161.5 in 2 runs: 100 + 61.5" in document
    assert "a" * 64 in document
    assert "AV training continued from" not in document


def test_the_same_release_gives_the_same_bytes_wherever_it_lies(good, document, release):
    assert report(good) == document
    assert report(release) == document


def test_it_does_not_tell_where_it_was_made(good, document):
    told = leaks(document.encode(), (*SECRETS, *PLACES, *MOUNTS, *ACCOUNTS))

    assert not list(told)
    assert str(good.parent) not in document


def test_findings_do_not_tell_where_they_were_found_either(release):
    in_sidecar(release / "pair", "av", ["extraction", "injection_scale"], ...)
    (release / "evidence" / "rows.jsonl").write_text("{}\n")
    document = report(release)

    assert "Gate: fail" in document
    assert "<strong>pair/av/nla_meta.yaml</strong>" in document
    assert "evidence cannot be used, see NLA601" in document
    assert str(release.parent) not in document


def test_numbers_that_the_gate_does_not_believe_are_not_shown(release):
    numbers = json.loads((release / "calibration.json").read_text())
    numbers["cosine"]["mean"] = 0.987654
    (release / "calibration.json").write_text(json.dumps(numbers))
    document = report(release)

    assert "those of calibration.json cannot be trusted, see NLA602" in document
    assert "0.988" not in document
    assert "<svg" not in document


def test_what_failed_stands_before_what_was_skipped_and_what_passed_is_folded(release):
    in_sidecar(release / "pair", "av", ["extraction", "injection_scale"], ...)
    document = report(release)
    gate = document[document.index('id="gate"') : document.index('id="previous"')]
    states = re.findall(r'class="state (\w+)"', gate)

    assert states == sorted(states, key=["failed", "warned", "waived", "skipped", "passed"].index)
    assert gate.index("<details>") < gate.index('class="state passed"')
    assert re.search(r"not checked: \w", gate)


def test_it_reads_without_its_script_and_asks_the_network_for_nothing(document):
    page = Page(document)
    policy = next(each["content"] for each in page.of("meta") if "http-equiv" in each)

    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (ours,) = re.findall(rf"<{tag}>(.*?)</{tag}>", document, re.DOTALL)
        digest = hashlib.sha256(ours.encode()).digest()
        assert f"{tag}-src 'sha256-{base64.b64encode(digest).decode()}'" in policy
    assert not any({"src", "style", "srcset"} & set(each) for _, each in page.tags)
    assert {each["href"] for each in page.of("a")} == {
        f"#{each['id']}" for each in page.of("h2")[len(VERDICTS) + 1 :]
    }
    for tag in ("button", "input", "select"):
        hidden = re.findall(r"<div[^>]* hidden>.*?</div>", document, re.DOTALL)
        assert len(page.of(tag)) == sum(part.count(f"<{tag}") for part in hidden) > 0
    assert len(page.of("script")) == 3
    assert "url(" not in document
    assert "@import" not in document


def test_every_table_scrolls_in_a_container_that_has_a_name(document):
    page = Page(document)
    containers = [each for each in page.of("div") if each.get("class") == "scroll"]

    inside = [each for each in page.of("table") if each.get("class") == "arms"]
    assert len(containers) == len(page.of("table")) - len(inside) > 8
    assert all(each["aria-label"] and each["tabindex"] == "0" for each in containers)


def test_every_picture_has_words_and_a_table_with_its_numbers(good, document):
    figures = Page(document).of("svg")
    calibration = Calibration.read(good / "calibration.json")
    assert isinstance(calibration, CurrentCalibration)
    for figure, each in zip(figures, questions(calibration), strict=True):
        name = each.name.replace("_", "-")
        assert (figure["role"], figure["aria-labelledby"]) == ("img", f"{name}-title {name}-text")
        (words,) = re.findall(rf'<desc id="{name}-text">(.*?)</desc>', document)
        for row in each.rows:
            assert f"{row.name} {row.shown}" in html.unescape(words)
            assert row.bounds in words
        table = document[document.index(f"<caption>{each.question}</caption>") :]
        table = shown(table[: table.index("</table>")])
        for row in [*each.rows, *each.more]:
            assert " ".join(row.cells) in table


def test_no_two_elements_have_one_id(document):
    ids = [each["id"] for _, each in Page(document).tags if "id" in each]

    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dominated", [True, False])
def test_energy_of_single_dimensions_is_shown_with_a_warning_where_it_dominates(release, dominated):
    numbers = json.loads((release / "calibration.json").read_text())
    numbers["energy"]["dominated"] = dominated
    (release / "calibration.json").write_text(json.dumps(numbers))
    text = report_where_all_passes(release)

    assert "Energy of single dimensions" in text
    assert ("Few directions hold most of every activation" in text) == dominated
    for each in numbers["energy"]["dimensions"]:
        assert re.search(
            rf'>{each["dimension"]}</th><td class="number">{each["energy"]:.3f}<',
            text,
        )


def test_what_was_asked_of_what_there_is_and_declared_is_shown(document):
    section = document[document.index('id="choices"') : document.index('id="environment"')]

    assert "activations measured 60, from 12 documents" in shown(section)
    assert "activations available" in section
    assert "checkpoints or settings tried, as declared by the author" in section


def test_every_recorded_run_is_shown_with_what_became_of_it(release):
    evidence = read_evidence(release / "evidence")
    text = report(release)
    section = text[text.index('id="choices"') : text.index('id="environment"')]

    assert evidence.runs is not None
    for run in evidence.runs.started:
        assert run.time in section
        assert evidence.runs.outcome(run.run) in section
    assert "Recorded runs" in section


def test_without_a_log_of_runs_the_page_says_that_none_were_recorded(release):
    (release / "evidence" / "runs.jsonl").unlink()

    assert "Runs were not recorded" in report(release)


def _colours() -> list[dict[str, str]]:
    style = (package_folder("model_cards") / "report.css").read_text(encoding="utf-8")
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    return [dict(re.findall(r"--(\w+): #(\w+)", each)) for each in schemes]


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    digits = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("paper", ["paper", "shade"])
@pytest.mark.parametrize("scheme", range(3))
def test_every_colour_of_a_text_can_be_read_by_day_by_night_and_on_paper(scheme, paper):
    """Contrast of at least 4.5 to 1, the AA of WCAG 2.2."""
    colours = _colours()[scheme]
    ground = _luminance(colours[paper])
    for name in ("ink", "soft", "pass", "fail", "open", "mark"):
        dark, light = sorted((_luminance(colours[name]), ground))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, name


def test_strangers_texts_are_shown_and_do_nothing(release):
    def hostile(parts):
        parts.rows[3] = parts.rows[3].model_copy(
            update={"explanation": HOSTILE, "raw": HOSTILE, "text": HOSTILE}
        )

    measured_as(release, hostile)
    with edited_yaml(release / "release.yaml") as document:
        document["title"] = HOSTILE
    text = report(release)
    page = Page(text)

    assert len(page.of("script")) == 3
    assert len(page.of("style")) == 1
    assert not page.of("img")
    assert page.texts["h2"][-len(SECTIONS) :] == SECTIONS
    assert r"{{ 7 * 7 }}\u202eesrever\x1b[31m\x00" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_the_data_behind_the_page_lies_in_it(good, document):
    data = json.loads(re.search(r'id="data">(.*?)</script>', document)[1])

    assert data["calibration"] == json.loads((good / "calibration.json").read_text())
    assert data["verdict"]["rules"]["total"] == len(RULES)


def all_rows(document: str) -> dict:
    """What the page's script is given."""
    return json.loads(re.search(r'id="all-rows">(.*?)</script>', document)[1])


def test_rows_stand_worst_first_with_failures_on_top(release):
    measured_as(release, lambda parts: None, failed={4: "empty", 9: "truncated"})
    text = report(release)
    table = text[text.index('id="rows"') :]
    found = re.findall(r'<bdi>r\d+</bdi>.*?<td>(\w+)</td><td class="number">(-?[\d.]+)</td>', table)
    cosines = [float(cosine) for _, cosine in found]

    assert cosines == sorted(cosines)
    assert {"empty", "truncated"} <= {status for status, _ in found}
    assert "the word that never" in table, "a failed row shows what came out"


def test_without_the_script_the_worst_rows_are_there_and_a_sentence_says_how_many(document):
    assert f"The {STATIC_ROWS} worst of 60 rows; the script of this page shows the others." in (
        document
    )
    assert document.count('<table class="arms">') == STATIC_ROWS


def test_every_row_and_every_arm_is_in_the_data_of_the_page(probed):
    evidence = read_evidence(probed / "evidence")
    data = all_rows(report(probed))

    assert {row[0] for row in data["rows"]} == {row.id for row in evidence.rows}
    by_id = {row[0]: row for row in data["rows"]}
    for row in evidence.rows:
        arms = dict(zip(data["arms"], by_id[row.id][4], strict=True))
        assert arms["own explanation"][0] == row.explanation
        other = arms["another row's explanation"]
        assert data["rows"][other[0]][0] == row.shuffled_from
        assert arms["the explanation of a random direction"][0] == row.random_vector.explanation
        assert arms["gibberish of equal length"][0] == row.texts["gibberish"]
        assert arms["the source text"][0] == row.text
        scored = [arm[1] for name, arm in arms.items() if name != "the mean training direction"]
        assert all(re.fullmatch(r"-?\d\.\d+", each) for each in scored)


def test_every_diagnostic_that_ran_is_shown_with_what_its_values_mean(probed):
    text = report(probed)
    for name in ("text controls", "injection", "claims", "paraphrase", "discrimination"):
        assert f"<summary>{name}, " in text
    assert "cosine of the control over all rows" in text
    assert ">Document predicted by a linear map of raw activations<" in text


def test_a_diagnostic_that_cannot_tell_gives_its_reason(tmp_path):
    made = make_release(tmp_path / "release", rows=8, documents=4)
    text = report(made.folder)

    assert "Gate: fail" in text or "Gate: inconclusive" in text
    assert re.search(r"<p>[^<]*: inconclusive, [^<]+\.</p>", text)


def test_the_release_before_stands_beside_this_one(release):
    with edited_yaml(release / "release.yaml") as document:
        document["previous"] = "dist/av"
    text = report(release)

    assert "B against A: the same evidence, on 60 common rows of 12 documents" in text
    assert "sign flips of documents" in text


def test_a_previous_release_that_cannot_be_read_is_told(release):
    shutil.rmtree(release / PREVIOUS)

    assert "Not compared with the previous release: " in report(release)


def test_without_a_previous_release_one_sentence_says_so(release):
    with edited_yaml(release / "release.yaml") as document:
        del document["previous"]

    assert "No previous release: set" in report(release)


def test_waivers_stand_with_reason_and_day(release):
    shutil.rmtree(release / "dist")
    waived(release, "NLA605")
    text = report(release)

    section = text[text.index('id="waivers"') : text.index('id="provenance"')]
    assert "NLA605" in section
    assert str(UNTIL) in section


def test_without_evidence_the_gate_stands_alone(release):
    for name in ("evidence", "dist"):
        shutil.rmtree(release / name)
    (release / "calibration.json").unlink()
    text = report(release)

    assert Page(text).texts["h2"] == [*VERDICTS, *SECTIONS]
    assert "No rows: nothing was measured yet" in text
    assert "How good is the pair? ? No label" in first_screen(text)


def test_one_adapter_alone_has_a_report_too(release):
    assert Page(report(release / "pair" / "av")).texts["h2"] == [*VERDICTS, *SECTIONS]
