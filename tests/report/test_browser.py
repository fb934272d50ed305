"""The report in a real browser: on a phone and a desk, by day and night, with hostile texts."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from nla_release.report.render import render_report
from nla_release.rules import judge
from nla_release.rules.subject import find_subject
from tests.pairs.zoo import edited_yaml, good_release, measured_as
from tests.report.browser import Opened, find_browser, opened

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
  scripts: page.scripts.length,
  images: page.images.length,
  title: page.title,
};
"""
SORTED = """
const table = page.querySelector("table.sortable");
const headers = [...table.tHead.rows[0].cells];
const column = (name) => {
  const at = headers.findIndex((it) => it.textContent.trim() === name);
  const shown = [...table.tBodies[0].rows].map((it) => it.cells[at].textContent);
  return [headers[at].getAttribute("aria-sort"), shown];
};
const click = (name) => headers.find((it) => it.textContent.trim() === name)
  .querySelector("button").click();
const found = [column("cosine")];
click("cosine");
found.push(column("cosine"));
click("document");
found.push(column("document"), column("cosine"));
return found;
"""
FOCUSED = """
const places = ["nav a", "summary", ".scroll", "th button", "main > a"];
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
    path.write_text(render_report(subject, judge(subject)), encoding="utf-8")
    return path


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
@pytest.mark.parametrize("width", [390, 1280])
def test_only_tables_are_wider_than_the_screen_and_they_scroll_inside_themselves(
    look, width, scheme
):
    seen = look(LAYOUT, width, scheme)

    assert seen.answer["width"] == width
    assert seen.answer["outside"] == 0
    assert (seen.answer["scrolling"] > 3) == (width == 390)
    assert seen.answer["tall"] < 3000
    assert not seen.complaints
    with Image.open(seen.picture) as picture:
        brightness = picture.convert("L").getpixel((3, 3))
    assert brightness < 40 if scheme == "dark" else brightness > 230


def test_strangers_texts_run_nothing(look):
    seen = look(LAYOUT)

    assert (seen.answer["scripts"], seen.answer["images"]) == (2, 0)
    assert seen.answer["title"].startswith("</script><script>document.title")
    assert not seen.complaints


def test_a_click_on_a_column_sorts_the_rows_and_another_turns_them_round(look):
    first, second, documents, third = look(SORTED).answer

    assert first[0] == "ascending"
    assert [float(it) for it in first[1]] == sorted(float(it) for it in first[1])
    assert second == ["descending", first[1][::-1]]
    assert documents == ["ascending", sorted(documents[1], key=lambda it: int(it[1:]))], (
        "as people count"
    )
    assert third[0] is None


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
