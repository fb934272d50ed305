"""What release.yaml may say besides: source, labeller, languages, hardware, updates."""

from pathlib import Path
from typing import Any

import pytest

from nla_release.cards.render import render
from nla_release.errors import ConfigError
from nla_release.hub_client.card_metadata import check_card
from nla_release.io.files import dump_yaml, write_atomic
from nla_release.release.folder import read_release
from tests.builders_pair import make_release, release_document
from tests.cards.conftest import card

FIELDS = {
    "source": "https://github.com/someone/nla",
    "labeller": "gpt-4o-mini, one pass",
    "languages": ["en", "de"],
    "hardware": "one GTX 1650 Ti with 4 GB",
    "updates": [
        {"date": "2026-05-18", "text": "The licence is now stated."},
        {"date": "2026-05-19", "text": "Known issue: *long* texts <b>fail</b>."},
    ],
}


def rendered(folder: Path, **fields: Any) -> dict[str, str]:
    make_release(folder)
    write_atomic(folder / "release.yaml", dump_yaml(release_document() | fields))
    release = read_release(folder)
    render(release, "0.0.1")
    return {role: card(release, role) for role in ("av", "ar")}


def test_every_optional_field_is_on_both_cards_and_in_the_metadata(tmp_path: Path) -> None:
    for text in rendered(tmp_path, **FIELDS).values():
        report = check_card(text)
        assert (report.errors, report.metadata["language"]) == ([], ["en", "de"])
        assert "Source repository: <https://github.com/someone/nla>." in text
        assert "| Explanations written by | gpt-4o-mini, one pass |" in text
        assert "| Languages | en, de |" in text
        assert (
            "| Hardware | one GTX 1650 Ti with 4 GB (recorded in training: 2 CPU threads) |" in text
        )


def test_updates_stand_at_the_top_newest_first_and_as_plain_text(tmp_path: Path) -> None:
    for text in rendered(tmp_path, **FIELDS).values():
        top = text.partition("## How to use")[0]
        newer, older = (top.index(f"**Update 2026-05-{day}.**") for day in (19, 18))

        assert newer < older
        assert r"Known issue: \*long\* texts &lt;b&gt;fail&lt;/b&gt;." in top


def test_a_card_without_them_says_nothing_of_them(tmp_path: Path) -> None:
    for text in rendered(tmp_path).values():
        assert "language" not in check_card(text).metadata
        assert not any(words in text for words in ("**Update", "Source repository", "Languages"))
        assert "| Hardware | 2 CPU threads |" in text


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("languages", ["English"], "write en instead of English"),
        ("source", "http://example.org/x", "source"),
        ("source", "https://x.example/a) [b](javascript:1", "source"),
        ("updates", [{"date": "yesterday", "text": "x"}], "date"),
        ("updates", [{"date": "2026-05-19", "text": "a\x1b[31mb"}], "plain text"),
        ("labeller", " ", "plain text"),
    ],
)
def test_a_field_that_cannot_be_shown_is_refused_by_name(
    tmp_path: Path, field: str, value: Any, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        rendered(tmp_path, **{field: value})

    assert field in refused.value.message
