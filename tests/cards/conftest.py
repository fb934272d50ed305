"""One release, rendered once, for all tests that only look at it."""

from pathlib import Path

import pytest

from nla_release.cards.render import render
from nla_release.release.folder import Release
from tests.builders_pair import make_release

NOTES = {
    "summary": "Measured on {{ calibration.denominators.rows }} rows for {{ release.title }}.",
    "distinctive": "The smallest pair there is, at {{ version }}.",
    "limitations": "Made of numbers in order, not of training.",
    "intended_use": "Testing.",
}


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A row-level pair with failures and notes, rendered as 0.0.1."""
    made = make_release(
        tmp_path_factory.mktemp("release"),
        notes=NOTES,
        rows=60,
        documents=20,
        failed={0: "empty", 7: "unparsed", 30: "truncated"},
    )
    render(made, "0.0.1")
    return made


@pytest.fixture(scope="session")
def cards(release: Release) -> dict[str, str]:
    """README.md by role."""
    return {role: card(release, role) for role in ("av", "ar")}


def card(release: Release, role: str) -> str:
    """The README.md of one rendered repository."""
    return Path(release.dist / role / "README.md").read_text(encoding="utf-8")
