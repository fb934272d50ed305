"""The report in a real browser: on a phone and a desk, by day and night, with hostile texts."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from nla_release.calibration.evidence_folder import read_evidence
from nla_release.evidence.controls import centred_cosines
from nla_release.evidence.parts import Evidence
from nla_release.gate import apply_rules
from nla_release.gate.subject import find_subject
from nla_release.report.render import render_report
from nla_release.text.numbers import number
from tests.pairs.zoo import edited_yaml, good_release, measured_as
from tests.report.browser import Opened, Typed, find_browser, opened

HOSTILE = (
    "</script><script>document.title = 'taken'</script><img src=x onerror=alert(2)>\u202eesrever"
)
LONG = "x" * 100_000
ZALGO = "e" + "\u0301" * 300

LAYOUT = """
const inside = (node) => node.getBoundingClientRect().right <= page.documentElement.clientWidth + 1;
const scrolling = [...page.querySelectorAll(".scroll")];
return {
  width: page.documentElement.scrollWidth,
  outside: [...page.querySelectorAll("body *:not(.scroll *)")].filter((it) => !inside(it)).length,
  scrolling: scrolling.filter((it) => it.scrollWidth > it.clientWidth).length,
  tall: Math.max(...[...page.querySelectorAll(".rows tr")].map((it) => it.clientHeight)),
  answers: new Set([...page.querySelectorAll(".answer")].map((it) => it.offsetLeft)).size,
  verdicts: new Set([...page.querySelectorAll(".verdict")].map((it) => it.offsetLeft)).size,
  scripts: page.scripts.length,
  images: page.images.length,
  title: page.title,
};
"""
# Every script works on the table of rows as its reader would: by headers, filters and buttons.
BROWSE = """
const browser = page.getElementById("browser");
const table = browser.querySelector("table.rows");
const headers = [...table.tHead.querySelectorAll("th")];
const at = (name) => headers.findIndex((it) => it.textContent.trim() === name);
const entries = () => [...table.tBodies].map((it) => [...it.rows]);
const column = (name) => [
  headers[at(name)].getAttribute("aria-sort"),
  entries().map(([line, below]) =>
    name === "explanation" ? below.textContent : line.cells[at(name)].textContent),
];
const click = (name) => headers[at(name)].querySelector("button").click();
const said = () => browser.querySelector("[role=status]").textContent;
const choose = (name, value, event) => {
  const control = browser.querySelector(`[name=${name}]`);
  control.value = value;
  control.dispatchEvent(new frame.contentWindow.Event(event));
};
"""
SORTED = (
    BROWSE
    + """
const found = [column("own text")];
click("own text");
found.push(column("own text"));
click("document");
found.push(column("document"), column("own text"));
click("explanation");
found.push(column("explanation"));
click("difference");
found.push(column("difference"));
click("difference");
found.push(column("difference"));
return found;
"""
)
FILTERED = (
    BROWSE
    + """
const found = [said()];
choose("status", "truncated", "change");
found.push([said(), column("row")[1]]);
choose("status", "", "change");
choose("document", "d3", "change");
found.push([said(), column("document")[1]]);
choose("text", "WORD 15 IN", "input");
found.push([said(), column("row")[1]]);
choose("text", "no such words", "input");
found.push([said(), entries().length]);
return found;
"""
)
TURNED = (
    BROWSE
    + """
const [back, next] = browser.querySelectorAll(".pages button");
const state = () => [said(), entries().length, back.ariaDisabled, next.ariaDisabled];
const found = [state()];
next.focus();
next.click();
found.push(state());
next.click();
found.push(state(), page.activeElement === next);
back.click();
found.push(state());
return found;
"""
)
OPENED = (
    BROWSE
    + """
choose("text", "word 20 in", "input");
const details = entries()[0][1].querySelector("details");
const before = details.querySelectorAll("table").length;
details.open = true;
details.dispatchEvent(new frame.contentWindow.Event("toggle"));
const lines = [...details.querySelectorAll("tbody tr")];
return [before, lines.map((it) => [...it.cells].map((cell) => cell.textContent))];
"""
)
FOCUSED = """
const places = [
  "nav a", "summary", ".scroll", "[name=text]", "[name=status]", "th button", ".rows summary",
  ".pages button", "main > a",
];
return places.map((name) => {
  const place = page.querySelector(name);
  place.focus();
  const style = frame.contentWindow.getComputedStyle(place);
  return [name, page.activeElement === place, style.outlineStyle, style.outlineWidth];
});
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """The report of a release whose rows and title want to break it."""
    folder = good_release(tmp_path_factory.mktemp("browser") / "release").folder

    def hostile(parts):
        for at, text in enumerate([HOSTILE, LONG, ZALGO]):
            parts.rows[at] = parts.rows[at].model_copy(
                update={"explanation": text, "raw": text, "text": text}
            )

    measured_as(folder, hostile, failed={7: "truncated"})
    with edited_yaml(folder / "release.yaml") as document:
        document["title"] = HOSTILE
    subject = find_subject(folder)
    path = folder.parent / "report.html"
    path.write_text(render_report(subject, apply_rules(subject)), encoding="utf-8")
    return path


@pytest.fixture
def evidence(page) -> Evidence:
    """What the report is of."""
    return read_evidence(page.parent / "release" / "evidence")


@pytest.fixture
def look(page, tmp_path):
    """Open the report with a script."""
    browser = find_browser()
    if browser is None:
        pytest.skip("no Chromium here; .ci/run installs Debian's")
    copy = Path(shutil.copy(page, tmp_path))

    def look(script, width=390, scheme="light") -> Opened:
        return opened(browser, copy, script, width=width, scheme=scheme)

    return look


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_only_tables_are_wider_than_the_screen_and_they_scroll_inside_themselves(
    look, width, scheme
):
    seen = look(LAYOUT, width, scheme)

    assert seen.answer["width"] == width
    assert seen.answer["outside"] == 0
    assert (seen.answer["scrolling"] > 3) == (width < 1440)
    assert seen.answer["tall"] < 300
    assert seen.answer["answers"] == (3 if width == 1440 else 1)
    assert seen.answer["verdicts"] == (1 if width == 390 else 2)
    assert not seen.complaints
    with Image.open(seen.picture) as picture:
        brightness = picture.convert("L").getpixel((3, 3))
    assert brightness < 40 if scheme == "dark" else brightness > 230


def test_strangers_texts_run_nothing(look):
    seen = look(LAYOUT)

    assert (seen.answer["scripts"], seen.answer["images"]) == (3, 0)
    assert seen.answer["title"].startswith("</script><script>document.title")
    assert not seen.complaints


def numbers(shown):
    return [float(it) for it in shown if it != "-"]


def test_a_click_on_any_column_sorts_all_rows_and_another_turns_them_round(look):
    first, second, documents, third, texts, up, down = look(SORTED).answer

    assert first[0] == "ascending"
    assert len(first[1]) == 50
    assert numbers(first[1]) == sorted(numbers(first[1]))
    assert second[0] == "descending"
    assert numbers(second[1]) == sorted(numbers(second[1]), reverse=True)
    assert max(numbers(second[1])) > max(numbers(first[1])), "all rows are sorted, not the page"
    assert documents[0] == "ascending"
    assert documents[1] == sorted(documents[1], key=lambda it: int(it[1:])), "as people count"
    assert third[0] is None
    assert texts[0] == "ascending"
    assert (up[0], down[0]) == ("ascending", "descending")
    assert numbers(up[1]) == sorted(numbers(up[1]))
    assert numbers(down[1]) == sorted(numbers(down[1]), reverse=True)
    assert "-" not in down[1], "what has no number comes last either way"


def test_filters_find_rows_by_text_status_and_document_and_say_how_many(look):
    every, status, document, both, none = look(FILTERED).answer

    assert every == "Rows 1 to 50 of 60, by own text, lowest first."
    assert status == ["Rows 1 to 1 of 1 that match, 60 in all, by own text, lowest first.", ["r7"]]
    assert set(document[1]) == {"d3"}
    assert document[0].startswith("Rows 1 to 5 of 5 that match")
    assert both[1] == ["r15"]
    assert none == ["No rows that match, 60 in all, by own text, lowest first.", 0]


def test_rows_are_shown_a_page_at_a_time_and_the_focus_stays_where_it_is(look):
    first, second, third, focused, back = look(TURNED).answer

    assert first == ["Rows 1 to 50 of 60, by own text, lowest first.", 50, "true", "false"]
    assert second == ["Rows 51 to 60 of 60, by own text, lowest first.", 10, "false", "true"]
    assert third == second
    assert focused
    assert back == first


def test_an_opened_row_shows_every_arm_with_its_text_and_cosines(look, evidence):
    before, lines = look(OPENED).answer
    row = evidence.rows[20]
    other = next(each for each in evidence.rows if each.id == row.shuffled_from)
    arms = {name: rest for name, *rest in lines}

    assert before == 0
    assert arms["own explanation"][0] == row.explanation
    assert arms["another row's explanation"][0] == other.explanation
    assert arms["the explanation of a random direction"][0] == row.random_vector.explanation
    assert arms["the empty explanation"][0] == "empty"
    own = centred_cosines(evidence, "real")[20]
    assert arms["own explanation"][1] == number(round(float(own), 6))


def test_the_keyboard_alone_reaches_opens_sorts_and_turns(page, tmp_path):
    """Real keys, sent to the browser over its own protocol."""
    if (browser := find_browser()) is None:
        pytest.skip("no Chromium here; .ci/run installs Debian's")
    with Typed(browser, Path(shutil.copy(page, tmp_path)), tmp_path / "typed") as typed:
        focus = (
            "(document.activeElement.closest('th')?.textContent ?? document.activeElement.tagName)"
        )
        typed.script("document.querySelector('[name=text]').focus()")
        order = []
        for _ in range(14):
            order.append(typed.script(focus))
            typed.key("Tab")
        assert order[:4] == ["INPUT", "SELECT", "SELECT", "DIV"]
        assert order[4:13] == [
            "row", "document", "status", "own text", "best other row of the document",
            "difference", "texts of other documents", "plain cosine, own text", "explanation",
        ]  # fmt: skip
        assert order[13] == "SUMMARY"
        headers = "[...document.querySelectorAll('[aria-sort]')]"
        sorted_by = f"{headers}.map(it => it.textContent + ' ' + it.ariaSort)"
        for key, direction in (("Enter", "ascending"), (" ", "descending")):
            typed.script("document.querySelectorAll('th button')[1].focus()")
            typed.key(key)
            assert typed.script(sorted_by) == [f"document {direction}"]
        typed.script("document.querySelector('.rows summary').focus()")
        typed.key("Enter")
        assert typed.script("document.querySelector('.rows details').open")
        typed.key(" ")
        assert not typed.script("document.querySelector('.rows details').open")
        typed.script("document.querySelectorAll('.pages button')[1].focus()")
        typed.key("Enter")
        assert "Rows 51 to 60" in typed.script(
            "document.querySelector('[role=status]').textContent"
        )
        typed.script("document.querySelector('[name=text]').focus()")
        for letter in "r15":
            typed.key(letter)
        assert typed.script("document.querySelectorAll('table.rows > tbody').length") < 60


def test_where_the_keyboard_is_can_be_seen(look):
    for name, focused, style, width in look(FOCUSED).answer:
        assert focused, name
        assert (style, width) == ("solid", "2px"), name


def test_the_data_can_be_saved_without_a_network(look):
    href, name = look(
        'const it = page.querySelector("main > a"); return [it.href, it.download]'
    ).answer

    assert href.startswith("blob:")
    assert name == "report.json"
