"""Notes may quote the numbers, and may reach nothing else."""

from pathlib import Path

import pytest

from nla_release.calibration.report import Calibration
from nla_release.cards.notes import read_notes
from nla_release.cards.render import render
from nla_release.errors import ConfigError
from nla_release.files import write_atomic
from tests.builders_pair import make_release
from tests.cards.conftest import NOTES, card

CONTEXT = {"version": "0.0.1", "calibration": {"cosine": {"mean": 0.5}}, "release": {"name": "x"}}


def note(folder: Path, text: str, name: str = "summary") -> dict[str, str | None]:
    write_atomic(folder / f"{name}.md", text)
    return read_notes(folder, CONTEXT)


def test_a_note_follows_the_numbers(tmp_path: Path) -> None:
    text = "Version {{ version }} scores {{ calibration.cosine.mean | number }}.\n"

    assert note(tmp_path, text)["summary"] == "Version 0.0.1 scores 0.500."


def test_notes_are_optional_one_by_one(tmp_path: Path) -> None:
    assert read_notes(None, CONTEXT) == dict.fromkeys(NOTES)
    assert note(tmp_path, "Hello.", "distinctive") == dict.fromkeys(NOTES) | {
        "distinctive": "Hello."
    }


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
    with pytest.raises(ConfigError, match=r"summry\.md would appear on no card"):
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

    assert f"\n{empty.mean:.3f} content-reading someone/tiny-nla-L3-ar-v0_0_1\n" in card(
        release, "av"
    )
