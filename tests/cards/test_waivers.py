"""Whoever reads a card learns what its author let stand, until when, and why."""

from pathlib import Path

from nla_release.cards.render import render
from nla_release.io.files import dump_yaml, write_atomic
from nla_release.release.folder import read_release
from tests.builders_pair import make_release, release_document
from tests.cards.conftest import card

WAIVERS = [
    {"code": "NLA605", "reason": "topic-level <b>until</b> v0.2 | [x](y)", "until": "2027-03-31"},
    {"code": "NLA604", "reason": "a step on the way", "until": "2027-01-01"},
]


def test_waivers_stand_among_the_limitations_of_both_cards(tmp_path: Path) -> None:
    made = make_release(tmp_path, rows=60, documents=20)
    write_atomic(tmp_path / "release.yaml", dump_yaml(release_document() | {"waivers": WAIVERS}))

    render(read_release(made.folder), "0.0.1")

    for role in ("av", "ar"):
        text = card(made, role)
        limitations = text[text.index("## Limitations") : text.index("## Intended use")]
        assert "**Waived findings.**" in limitations
        assert (
            "- `NLA605`, until 2027-03-31: topic-level &lt;b&gt;until&lt;/b&gt; v0.2"
            r" \| \[x\](y)" in limitations
        )
        assert "- `NLA604`, until 2027-01-01: a step on the way" in limitations
        assert "\n\n\n" not in limitations
        assert limitations.endswith("a step on the way\n\n")


def test_a_card_without_waivers_does_not_speak_of_them(cards: dict[str, str]) -> None:
    assert all("waive" not in text for text in cards.values())
