"""The report says everything, to everyone, and lets nobody else speak in it."""

import base64
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nla_release import resources
from nla_release.calibration.controls import CONTROLS
from nla_release.calibration.report import Calibration
from nla_release.report.context import MAX_ROWS
from nla_release.report.render import json_in_html, render_report
from nla_release.rules import judge
from nla_release.rules.leaks import ACCOUNTS, MOUNTS, PLACES, SECRETS, leaks
from nla_release.rules.subject import find_subject
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

SECTIONS = [
    "Gate",
    "Real against controls",
    "Denominators",
    "Diagnostics",
    "Rows, worst first",
    "Against the previous release",
    "Environment",
    "Waivers",
    "Provenance",
]
VOID = {"meta", "link", "br", "hr", "img", "input"}
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
        if tag not in VOID | {"line", "path", "circle"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in {"line", "path", "circle"}:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report(folder: Path) -> str:
    subject = find_subject(folder)
    return render_report(subject, judge(subject))


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


def test_every_section_is_there_in_the_order_of_a_readers_questions(document):
    assert Page(document).texts["h2"] == SECTIONS


def test_it_begins_with_the_verdict_and_the_sentence_of_the_label(good, document):
    sentence = Calibration.read(good / "calibration.json").label.sentence
    banner = document.split("<main>")[0].replace("&#39;", "'")

    assert "Gate: pass" in banner
    assert sentence in banner


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
    gate = document[document.index('id="gate"') : document.index('id="controls"')]
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
    assert {each["href"] for each in page.of("a")} == {f"#{each['id']}" for each in page.of("h2")}
    assert not page.of("button")
    assert len(page.of("script")) == 2
    assert "url(" not in document
    assert "@import" not in document


def test_every_table_scrolls_in_a_container_that_has_a_name(document):
    page = Page(document)
    containers = [each for each in page.of("div") if each.get("class") == "scroll"]

    assert len(containers) == len(page.of("table")) > 8
    assert all(each["aria-label"] and each["tabindex"] == "0" for each in containers)


def test_the_figure_has_words_and_a_table_with_its_numbers(good, document):
    (figure,) = Page(document).of("svg")
    assert (figure["role"], figure["aria-labelledby"]) == ("img", "figure-title figure-text")
    for name, control in Calibration.read(good / "calibration.json").controls.items():
        words = re.escape(CONTROLS[name].words)
        escaped = words.replace("'", "&#39;")
        assert re.search(rf"<desc[^>]*>.*{words} \+?{control.difference:.3f}", document)
        assert re.search(rf'<th scope="row">{escaped}</th>.*{control.difference:.3f}<', document)


def test_variance_explained_and_retrieval_stand_beside_their_controls(good, document):
    found = Calibration.read(good / "calibration.json")
    section = document[document.index('id="controls"') : document.index('id="denominators"')]

    for name, value, control in (
        ("fve", found.fve.value, "mean vector"),
        (
            f"retrieval {found.retrieval.hits}/{found.retrieval.n}",
            found.retrieval.top1,
            f"chance 1/{found.retrieval.candidates}",
        ),
    ):
        assert re.search(
            rf'<th scope="row">{name}</th><td[^>]*>{value:.3f}</td><td>{control}</td>', section
        )


def test_the_label_that_the_data_gives_stands_beside_the_explanation(release, document):
    header = '<th scope="col">explanation</th><th scope="col">label</th>'
    assert header in document
    measured_as(release, lambda parts: None, gold_text=False)
    assert header not in report(release)


def _colours() -> list[dict[str, str]]:
    style = (resources.folder("model_cards") / "report.css").read_text(encoding="utf-8")
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

    assert len(page.of("script")) == 2
    assert len(page.of("style")) == 1
    assert not page.of("img")
    assert page.texts["h2"] == SECTIONS
    assert r"{{ 7 * 7 }}\u202eesrever\x1b[31m\x00" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)


def test_embedded_data_ends_no_script_and_stays_what_it_is():
    document = {"text": "</script><!--<script>&\u2028\u202e"}
    text = json_in_html(document)

    assert not set("<>&") & set(text)
    assert text.isascii()
    assert json.loads(text) == document


def test_the_data_behind_the_page_lies_in_it(good, document):
    data = json.loads(re.search(r'id="data">(.*?)</script>', document)[1])

    assert data["calibration"] == json.loads((good / "calibration.json").read_text())
    assert data["verdict"]["verdict"] == "pass"


def test_rows_stand_worst_first_with_failures_on_top(release):
    measured_as(release, lambda parts: None, failed={4: "empty", 9: "truncated"})
    text = report(release)
    table = text[text.index('id="rows"') : text.index('id="previous"')]
    cosines = [float(it) for it in re.findall(r'</th><td class="number">(-?[\d.]+)</td><td', table)]
    assert cosines == sorted(cosines)
    assert table.index("truncated") < table.index("<td>ok</td>")
    assert "the word that never" in table, "a failed row shows what came out"


def test_beyond_500_rows_a_sentence_says_where_the_rest_is(tmp_path):
    made = make_release(tmp_path / "release", rows=MAX_ROWS + 5, documents=60, width=16)
    text = report(made.folder)

    assert f"The {MAX_ROWS} worst of {MAX_ROWS + 5} rows; the rest is in evidence/rows.jsonl." in (
        text
    )
    assert text.count('<td class="text"') == 3 * MAX_ROWS


def test_every_diagnostic_that_ran_is_shown_with_what_its_values_mean(probed):
    text = report(probed)
    for name in ("text controls", "injection", "claims", "paraphrase", "discrimination"):
        assert f"<summary>{name}, " in text
    assert "cosine of the control over all rows" in text
    assert '<th scope="row">Document told by a linear map of raw activations<' in text


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
    assert "exact McNemar" in text


def test_a_previous_release_that_cannot_be_read_is_told(release):
    shutil.rmtree(release / PREVIOUS)

    assert "Not compared with the previous release: " in report(release)


def test_without_a_previous_release_one_sentence_says_so(release):
    with edited_yaml(release / "release.yaml") as document:
        del document["previous"]

    assert "No previous release is named" in report(release)


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

    assert Page(text).texts["h2"] == SECTIONS
    assert "No rows: nothing was measured yet" in text


def test_one_adapter_alone_has_a_report_too(release):
    assert Page(report(release / "pair" / "av")).texts["h2"] == SECTIONS
