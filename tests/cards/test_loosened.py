"""Whoever reads a card learns which thresholds its author set lower than the tool does."""

from nla_release.cards.blocks import loosened_section
from nla_release.release.config import Gates


def test_gates_at_their_default_or_stricter_are_not_spoken_of():
    assert loosened_section(Gates()) == ""
    assert loosened_section(Gates(min_rows=200, max_failed=0, min_prefixes=20)) == ""


def test_every_looser_gate_is_named_with_its_default():
    section = loosened_section(Gates(min_rows=20, max_failed=0.3, max_cjk=0.1))

    assert section.startswith("**The gate was loosened for this release.**")
    assert "`min_rows` is 20 (default 50); `max_failed` is 0.3 (default 0.2)" in section
    assert "max_cjk" not in section
