"""Notes may quote the numbers, and may reach nothing else."""

from pathlib import Path

import pytest

from nla_release.calibration.report import Calibration
from nla_release.cards.notes import NAMES, Note, own_words, read_notes
from nla_release.cards.render import render
from nla_release.errors import ConfigError
from nla_release.io.files import write_atomic
from tests.builders_pair import make_release, measure
from tests.cards.conftest import card

CONTEXT = {"version": "0.0.1", "calibration": {"cosine": {"mean": 0.5}}, "release": {"name": "x"}}


def note(folder: Path, text: str, name: str = "summary") -> str:
    write_atomic(folder / f"{name}.md", text)
    return read_notes(folder, CONTEXT)[name].text


def test_a_note_follows_the_numbers(tmp_path: Path) -> None:
    text = "Version {{ version }} scores {{ calibration.cosine.mean | number }}.\n"

    assert note(tmp_path, text) == "Version 0.0.1 scores 0.500."


def test_notes_are_optional_one_by_one(tmp_path: Path) -> None:
    assert read_notes(None, CONTEXT) == {}
    assert note(tmp_path, "Hello.", "distinctive") == "Hello."
    assert read_notes(tmp_path, CONTEXT) == {"distinctive": Note("Hello.", "Hello.")}


def test_a_comment_of_the_author_is_not_recorded(tmp_path: Path) -> None:
    write_atomic(tmp_path / "summary.md", "One {# ask Ann #}{{ version }}.\n{# secret\n #}\nTwo.\n")

    assert read_notes(tmp_path, CONTEXT)["summary"] == Note(
        "One {{ version }}.\nTwo.", "One 0.0.1.\nTwo."
    )


@pytest.mark.parametrize(
    ("source", "typed"),
    [
        ("{{ calibration.cosine.mean | number }}", []),
        ("{{ (100 * calibration.retrieval.top1) | round(1) }}%", []),
        ("{{ '%.1f' | format(1 - calibration.cosine.mean) }}", []),
        ("{{ calibration.cosine.interval[0] | number }}", []),
        ("{{ calibration.denominators.rows | count('row') }}", []),
        ("{% if calibration.cosine.mean > 0.5 %}More.{% endif %}", []),
        ("{{ 0.46 }}", ["0.46"]),
        ("{{ '0.46' }}", ["0.46"]),
        ("{{ '46%' }}", ["46%"]),
        ("{{ '\uff10.46' }}", ["\uff10.46"]),
        (r"{{ '\x30.46' }}", [r"\x30.46"]),
        ("{{ 46 }}%", ["46"]),
        ("{{ '0.' ~ 46 }}", ["0.", "46"]),
        ("{{ 46 / 100 + 0 * calibration.cosine.mean }}", ["46"]),
        ("{% set share = 46 %}{{ share }}%", ["46"]),
        ("{% for share in [0.46] %}{{ share }}{% endfor %}", ["0.46"]),
        ("{{ calibration.nothing | default(0.46) }}", ["0.46"]),
    ],
)
def test_a_number_typed_into_the_braces_is_typed(source: str, typed: list[str]) -> None:
    assert [shown for _, shown in own_words(source)[1]] == typed


def test_what_the_author_wrote_keeps_its_lines() -> None:
    source = "One.\n{# a\nb #}\n{{ calibration.x\n | number }}\n{% if version %}\n0.46\n{% endif %}"
    words, _ = own_words(source)

    assert words.split("\n").index("0.46") == source.split("\n").index("0.46")


@pytest.mark.parametrize("role", ["av", "ar"])
def test_every_note_is_on_both_cards(cards: dict[str, str], role: str) -> None:
    for words in (
        "Measured on 60 rows for Tiny NLA, block 3.",
        "The smallest pair there is, at 0.0.1.",
        "Made of numbers in order, not of training.",
        "Testing.",
    ):
        assert f"\n{words}\n" in cards[role]


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.environ }}",
        "{{ release.__init__.__globals__ }}",
        "{{ calibration.__class__ }}",
        "{{ (lambda: 1)() }}",
        "{% include '/etc/passwd' %}",
        "{% include '../release.yaml' %}",
        "{% import 'av.md.jinja' as av %}",
        "{{ '{0.__class__}'.format(version) }}",
        "{% do calibration.clear() %}",
        "{{ calibration.clear() }}",
        "{{ range(10 ** 9) }}",
    ],
)
def test_a_hostile_note_is_refused_by_file_and_line(tmp_path: Path, attack: str) -> None:
    with pytest.raises(ConfigError, match=r"summary\.md line 3: "):
        note(tmp_path, f"Harmless.\n\n{attack}\n")


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("{{ calibration.cosinus }}", "has no attribute 'cosinus'"),
        ("{{ nothing }}", "'nothing' is undefined"),
        ("{% if %}", "TemplateSyntaxError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
    ],
)
def test_a_broken_note_is_named_by_file_and_line(tmp_path: Path, mistake: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"summary\.md line 2: .*{words}"):
        note(tmp_path, f"One.\n{mistake}")


def test_a_note_under_a_name_that_no_card_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"summry\.md is not a note of any section"):
        note(tmp_path, "Lost.", "summry")


def test_a_notes_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"notes of release\.yaml does not exist"):
        read_notes(tmp_path / "notes", CONTEXT)


def test_a_hostile_note_stops_the_release_before_anything_is_written(tmp_path: Path) -> None:
    release = make_release(tmp_path, notes={"summary": "{{ release.folder.read_text() }}"})

    with pytest.raises(ConfigError, match=r"summary\.md line 1"):
        render(release, "0.0.1")

    assert not release.dist.exists()


def test_the_real_numbers_are_there_to_quote(tmp_path: Path) -> None:
    text = (
        "{{ calibration.controls.empty.mean | number }} {{ calibration.label.name }}"
        " {{ release.repos.ar }}"
    )
    release = make_release(tmp_path, notes={"summary": text})
    render(release, "0.0.1")
    empty = Calibration.read(release.calibration).controls["empty"]

    assert f"\n{empty.mean:.3f} row-level someone/tiny-nla-L3-ar-v0_0_1\n" in card(release, "av")


@pytest.mark.parametrize(
    "endless",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{{ f(n - 1) ~ f(n - 1) if n else '' }}{% endmacro %}{{ f(60) }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ 'a' * 10 ** 10 }}",
        "{{ 'a'.ljust(10 ** 10) }}",
        "{{ 'a' | center(10 ** 10) }}",
        "{{ '%10000000000d' % 1 }}",
        "{% set s = 'a' * 99 %}" + "{% set s = s ~ s %}" * 40 + "{{ s }}",
        "{% for a in range(99999) %}{{ a }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    ],
    ids=[
        "loops", "tree", "power", "times", "method", "filter", "format", "doubling", "long", "deep",
    ],
)  # fmt: skip
def test_a_note_that_comes_to_no_end_is_refused_by_file_and_line(
    tmp_path: Path, endless: str
) -> None:
    with pytest.raises(ConfigError, match=r"summary\.md line \d+: .* more than|summary.*Recursion"):
        note(tmp_path, f"Harmless.\n\n{endless}\n")

    assert note(tmp_path, "{{ 'a' * 1000 }}") == "a" * 1000


def test_notes_stay_when_the_pair_is_measured_and_rendered_again(tmp_path: Path) -> None:
    text = "Cosine {{ calibration.cosine.mean | number }}, by hand."
    release = make_release(tmp_path, notes={"summary": text})
    shown = []
    for seed in (0, 1):
        measure(release, seed=seed)
        render(release, "0.0.1")
        mean = Calibration.read(release.calibration).cosine.mean
        assert f"\nCosine {mean:.3f}, by hand.\n" in card(release, "av")
        shown.append(mean)

    assert shown[0] != shown[1]
    assert (tmp_path / "notes" / "summary.md").read_text() == text


def test_every_note_has_its_place_in_one_of_the_documents(tmp_path: Path) -> None:
    release = make_release(tmp_path, notes={name: f"Here is {name}." for name in NAMES})
    render(release, "0.0.1")
    page = (release.dist / "av" / "RELEASE_CALIBRATION.md").read_text()

    for role in ("av", "ar"):
        text = card(release, role)
        places = {
            name: (f"\nHere is {name}.\n" in text, f"\nHere is {name}.\n" in page) for name in NAMES
        }
        assert {name for name, (on_card, _) in places.items() if on_card} == set(NAMES[:7])
        assert {name for name, (_, on_page) in places.items() if on_page} == set(NAMES[7:])


HIDING = {
    "fence": "```\ncode",
    "tildes": "~~~~python\ncode\n~~~",
    "comment": "Words.\n\n<!-- to do",
    "comment of ours": "<!-- nla-release:begin label -->",
    "details": "<details><summary>More</summary>\n\nWords.",
    "pre": "<pre>\nWords.",
    "script": "<script>\n",
    "style": "<style>p { display: none }</style>",
    "template": "<template>Words.</template>",
    "svg": "<svg><text>",
    "math": "Words <math> and more.",
    "hidden": "<div hidden>Words.</div>",
    "inline style": '<p style="display:none">Words.</p>',
    "half a tag": '<div title="\n\nWords.',
    "closing tag": "Words.</div>",
    "declaration": "<!DOCTYPE",
    "instruction": "<?php",
    "definition": "[evidence]: https://example.org/other",
    "setext": "Words\n---",
    "section": "# Words",
    "second level": "Words.\n\n## Limitations",
    "zero width": "cos\u200bine 0.9",
    "bidi": "cosine \u202e9.0",
    "tag character": "cosine \U000e0041",
    "joiner in a word": "co\u200dsine",
}


@pytest.mark.parametrize("text", HIDING.values(), ids=HIDING)
def test_a_note_that_would_hide_what_follows_is_refused_by_name(tmp_path: Path, text: str) -> None:
    words = r"summary\.md line \d: .*(which is invisible|it would hide the text after it)\b"
    with pytest.raises(ConfigError, match=words):
        note(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nprint('<details>')\n```",
        "Write `<script>` and `<!--`.",
        "> quoted\n\n* a list\n  ```\n  with code\n  ```",
        "### A heading\n\n| a | b |\n|---|---|\n| 1 | 2 |",
        "<details><summary>More</summary>\n\nWords.\n\n</details>",
        "<!-- seen by nobody -->\n\nH<sub>2</sub>O<br>and [a link](https://example.org).",
        '<p align="center"><img src="https://example.org/a.png" width="300" alt="A figure"></p>',
        "نمی‌خواهم 👩‍🔬 1️⃣",
    ],
)
def test_a_note_may_hold_what_ends_in_it(tmp_path: Path, text: str) -> None:
    assert note(tmp_path, text) == text
