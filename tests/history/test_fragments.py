"""What stands in HISTORY.md besides releases comes from fragments, and is never rewritten."""

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nla_release.cards.blocks import generated_blocks
from nla_release.cards.render import render
from nla_release.errors import ConfigError, InputError, RefusedError
from nla_release.history.fragments import (
    FrontMatter,
    fragment_entry,
    pending,
    read_fragments,
    write_fragment,
)
from nla_release.history.log import Record, SupersededNumber, entries, read_log
from nla_release.io.files import write_atomic
from nla_release.release.folder import Release
from tests.builders_pair import make_release, measure
from tests.pairs.history import RETRACTION, fragment_text

FINDING = {"date": "2026-11-20", "kind": "finding", "title": "Names are read"}


def fragment(release: Release, name: str, matter: dict[str, Any], body: str = "") -> Path:
    path = release.fragments / f"{name}.md"
    write_atomic(path, fragment_text(matter, body))
    return path


def rendered(release: Release, version: str) -> str:
    render(release, version)
    return (release.dist / "av" / "HISTORY.md").read_text(encoding="utf-8")


def published(release: Release, version: str) -> str:
    log = rendered(release, version)
    write_atomic(release.history, log)
    return log


def headings(log: str) -> list[str]:
    return [entry.heading for entry in read_log(log)]


@pytest.fixture
def release(tmp_path: Path) -> Release:
    return make_release(tmp_path)


def test_fragments_and_the_release_stand_in_the_order_of_their_dates(release: Release) -> None:
    """The release is dated 2026-11-22, when it was measured, and comes first on its day."""
    fragment(release, "later", FINDING | {"date": "2026-11-23", "title": "Later"}, "Text.")
    fragment(release, "day", FINDING | {"date": "2026-11-22", "version": "0.0.1"}, "Text.")
    fragment(release, "earlier", FINDING | {"kind": "process", "title": "Earlier"}, "Text.")

    assert headings(rendered(release, "0.0.1")) == [
        "2026-11-20, process: Earlier",
        "v0.0.1, 2026-11-22",
        "2026-11-22, finding about v0.0.1: Names are read",
        "2026-11-23, finding: Later",
    ]


def test_a_fragment_is_appended_once(release: Release) -> None:
    fragment(release, "one", FINDING, "Text.")
    first = published(release, "0.0.1")
    again = rendered(release, "0.0.1")
    measure(release, seed=3)
    second = rendered(release, "0.0.2")

    assert again == first
    assert second.startswith(first)
    assert [entry.record.id for entry in read_log(second) if entry.record] == ["one"]


def test_a_fragment_may_be_edited_until_it_is_published_and_not_after(release: Release) -> None:
    path = fragment(release, "one", FINDING, "Text.")
    rendered(release, "0.0.1")
    path.write_text(path.read_text().replace("Text.", "Better text."))
    log = published(release, "0.0.1")
    path.write_text(path.read_text().replace("Better", "Best"))

    assert "\n\nBetter text.\n" in log
    with pytest.raises(RefusedError, match=r"one\.md was edited after it was published"):
        render(release, "0.0.2")


def test_line_ends_are_no_edit(release: Release) -> None:
    path = fragment(release, "one", FINDING, "Text.\n")
    log = published(release, "0.0.1")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))

    assert rendered(release, "0.0.1") == log


def test_a_published_fragment_may_be_deleted(release: Release) -> None:
    path = fragment(release, "one", FINDING, "Text.")
    log = published(release, "0.0.1")
    path.unlink()

    assert rendered(release, "0.0.1") == log


def test_a_fragment_quotes_the_numbers_as_they_were_when_it_was_published(
    release: Release,
) -> None:
    text = "Cosine {{ calibration.cosine.mean | number }} at {{ version }}."
    fragment(release, "one", FINDING, text)
    log = published(release, "0.0.1")
    measure(release, noise=1.5)

    assert "at 0.0.1." in log
    assert rendered(release, "0.0.2").startswith(log)


def test_a_fragment_about_another_version_has_no_numbers_to_quote(release: Release) -> None:
    path = fragment(
        release, "one", FINDING | {"version": "0.0.1"}, "\n{{ calibration.cosine.mean }}"
    )

    with pytest.raises(ConfigError, match=rf"{path} line \d+: UndefinedError: 'calibration'"):
        render(release, "0.0.2")


def test_a_retraction_points_to_what_it_supersedes_and_every_card_points_back(
    release: Release,
) -> None:
    log = published(release, "0.0.1")
    fragment(release, "scale", RETRACTION, "The scale was 80000.")
    grown = rendered(release, "0.0.2")

    assert grown.startswith(log)
    entry = read_log(grown)[-1]
    assert entry.record is not None
    assert entry.record.supersedes == SupersededNumber.model_validate(RETRACTION["supersedes"])
    assert (
        "Supersedes `cosine.mean` = 0.438 of [v0.0.1](#v001-2026-11-22):"
        " measured at the wrong injection scale\n\nThe scale was 80000.\n" in entry.text
    )
    back = (
        "- `cosine.mean` = 0.438 of v0.0.1, retracted on 2026-11-23: measured at the wrong"
        " injection scale ([entry](HISTORY.md#2026-11-23-retraction-the-cosine-of-v001))"
    )
    for role in ("av", "ar"):
        for name in ("README.md", "RELEASE_CALIBRATION.md"):
            text = (release.dist / role / name).read_text(encoding="utf-8")
            assert back in generated_blocks(text)["retracted"]
            assert "\n\n\n" not in text.partition("## How to use")[0]


def test_a_retraction_of_a_version_that_is_not_in_the_log_is_refused(release: Release) -> None:
    supersedes = RETRACTION["supersedes"] | {"version": "0.0.0"}
    fragment(release, "scale", RETRACTION | {"supersedes": supersedes})

    with pytest.raises(
        ConfigError, match=r"supersedes v0\.0\.0, which has no entry in HISTORY\.md"
    ):
        render(release, "0.0.1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("No front matter.\n", "does not begin with front matter"),
        ("---\ndate: 2026-11-20\n", "does not begin with front matter"),
        ("---\n- a\n---\n", "must hold a YAML mapping"),
        ("---\ndate: [2026\n---\n", "is not valid YAML"),
        ("---\ndate: 2026-13-45\nkind: finding\ntitle: x\n---\n", "is not valid YAML"),
        ("---\na: &a [1]\nb: *a\n---\n", "aliases are not allowed"),
        (fragment_text(FINDING | {"date": 5}), "date: must be a date"),
        (fragment_text(FINDING | {"date": "soon"}), "date: must be a date"),
        ("---\ndate: 2026-11-20 10:00:00\nkind: finding\ntitle: x\n---\n", "date: must be a date"),
        (fragment_text(FINDING | {"date": "9999-12-31"}), "date: 9999-12-31 is in the future"),
        (fragment_text(FINDING | {"kind": "rumour"}), "kind: must be 'release'"),
        (fragment_text(FINDING | {"titel": "x"}), "titel is not a known key"),
        (fragment_text(FINDING | {"title": "a\x1b[31m"}), "title: must be plain text"),
        (fragment_text(FINDING | {"title": " "}), "title: must be plain text"),
        (fragment_text(FINDING | {"version": "v1"}), "version 'v1' must be written '1'"),
        (fragment_text(RETRACTION | {"supersedes": None}), "must say what it supersedes"),
        (fragment_text(RETRACTION | {"kind": "process"}), "supersedes is for retractions"),
        (
            fragment_text(RETRACTION | {"supersedes": RETRACTION["supersedes"] | {"value": "x"}}),
            "supersedes.value: must be a number",
        ),
        (
            fragment_text(
                RETRACTION | {"supersedes": RETRACTION["supersedes"] | {"value": float("nan")}}
            ),
            "supersedes.value",
        ),
    ],
)
def test_a_broken_fragment_is_named_with_what_is_wrong(
    tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "one.md").write_text(text, encoding="utf-8")

    with pytest.raises(InputError, match=r"one\.md") as error:
        read_fragments(tmp_path)
    assert words in error.value.message


@pytest.mark.parametrize("name", ["-a.md", "a b.md", ".hidden.md", "a-->.md"])
def test_a_file_whose_name_is_no_id_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(fragment_text(FINDING), encoding="utf-8")

    with pytest.raises(InputError, match="id: String should match pattern"):
        read_fragments(tmp_path)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "one.md").mkdir()

    with pytest.raises(InputError, match=r"one\.md is not a regular file"):
        read_fragments(tmp_path)


def test_no_folder_is_no_fragments(tmp_path: Path) -> None:
    assert read_fragments(tmp_path / "history") == []


def test_what_is_written_is_read_back_and_never_overwritten(tmp_path: Path) -> None:
    matter = FrontMatter(date=date(2026, 11, 20), kind="finding", title="Names: 60 of <them>!")
    path = write_fragment(tmp_path, matter, "\n---\nA rule, and text.\n")

    (found,) = read_fragments(tmp_path)

    assert path == tmp_path / "2026-11-20-names-60-of-them.md"
    assert (found.matter, found.body) == (matter, "---\nA rule, and text.")
    with pytest.raises(RefusedError, match="exists and is not overwritten"):
        write_fragment(tmp_path, matter, "Other text.")


FORGERIES = [
    "<!-- nla-release:entry {} -->\n## Forged",
    '<!-- nla-release:entry {"id": "x", "kind": "retraction"} -->\n## 2026-01-01, x: y',
    "## v9.9.9, 2026-01-01\n\n* The best pair there is.",
    "<!-- nla-release:begin retracted -->",
    "<!-- a comment that is never closed",
    "{{ '<' ~ '!-- nla-release:entry {} -->' }}",
    "{{ '#' * 2 }} v9.9.9, 2026-01-01",
]


@pytest.fixture(scope="module")
def entry_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], str]:
    """The entry of a fragment with this title and prose."""
    folder = tmp_path_factory.mktemp("history")
    log = read_log("## v0.0.1, 2026-11-22\n")

    def made(title: str, body: str) -> str:
        write_atomic(
            folder / "one.md",
            f"---\ndate: 2026-11-20\nkind: finding\ntitle: >-\n  {title}\n---\n{body}",
        )
        (found,) = read_fragments(folder)
        context = {"version": "0.0.1", "release": {"title": "T"}, "calibration": {}}
        return fragment_entry(found, context, log)

    return made


@pytest.mark.parametrize("prose", FORGERIES)
def test_prose_cannot_forge_an_entry(entry_of: Callable[[str, str], str], prose: str) -> None:
    text = entry_of("Names", f"Before.\n\n{prose}\n\nAfter.")
    log = f"# T\n\n{text}\n## v0.0.1, 2026-11-22\n"

    assert [entry.heading for entry in read_log(log)] == [
        "2026-11-20, finding: Names",
        "v0.0.1, 2026-11-22",
    ]
    assert list(entries(log)) == ["v0.0.1"]
    assert text.count("<!--") == 1


@pytest.mark.parametrize(
    "prose",
    [
        "<style>",
        "<script>",
        "<?php",
        "<![CDATA[",
        "<details>\n\nMore.",
        "<div hidden>",
        "A word, <span hidden>",
        "~~~\nx",
        "```\nx",
        "{{ '~' * 3 }}\nx",
        "Before.\n\n````\n```",
    ],
)
def test_prose_cannot_hide_the_entries_after_it(
    entry_of: Callable[[str, str], str], prose: str
) -> None:
    with pytest.raises(ConfigError, match=r"one\.md holds .*: it would hide the entries"):
        entry_of("Names", prose)


@pytest.mark.parametrize(
    "prose",
    [
        "```\n<style>\n```",
        "`<concept>` is said.",
        "> a\n\n- b\n  - c",
        "1 < 2",
        "| a |\n|-|\n| b |",
    ],
)
def test_prose_that_ends_is_taken_as_it_is(entry_of: Callable[[str, str], str], prose: str) -> None:
    assert prose in entry_of("Names", prose)


@given(
    st.lists(
        st.sampled_from(
            ["<!--", "-->", " nla-release:entry ", "{}", "\n", "## ", "v1, ", "x", "\r", "---"]
        ),
        max_size=12,
    )
)
def test_no_prose_begins_an_entry(entry_of: Callable[[str, str], str], parts: list[str]) -> None:
    text = entry_of("Names", "x " + "".join(parts))

    assert [entry.heading for entry in read_log(text)] == ["2026-11-20, finding: Names"]


LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40).filter(
    lambda text: text.isprintable() and text.strip()
)


@given(metric=LINES, reason=LINES, value=st.floats(-1e6, 1e6))
def test_a_record_is_read_back_whatever_is_in_it(metric: str, reason: str, value: float) -> None:
    record = Record(
        id="one",
        date=date(2026, 12, 1),
        kind="retraction",
        supersedes=SupersededNumber(version="0.0.1", metric=metric, value=value, reason=reason),
        source="0" * 64,
    )

    (entry,) = read_log(f"{record.comment()}\n## 2026-12-01, retraction: x\n")

    assert entry.record == record
    assert record.comment().isascii()
    assert record.comment().count(">") == 1


def complaint(read: Callable[[], object]) -> str:
    """What an input is refused with; for a good one, all that anybody could ask for."""
    try:
        read()
    except InputError as error:
        return error.message
    return "one.md, and the log"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_file_is_more_than_an_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    for front in (b"", b"---\n"):
        (folder / "one.md").write_bytes(front + content + b"\n---\n")
        assert "one.md" in complaint(lambda: read_fragments(folder))


def test_a_fragment_of_another_editor_is_one(tmp_path: Path) -> None:
    """Windows writes a byte order mark, and some write the suffix in capitals."""
    (tmp_path / "one.MD").write_bytes(b"\xef\xbb\xbf" + fragment_text(FINDING, "Text.").encode())

    assert [each.body for each in read_fragments(tmp_path)] == ["Text."]


def test_a_file_is_no_folder_of_fragments(tmp_path: Path) -> None:
    (tmp_path / "history").write_text("x")

    with pytest.raises(InputError, match="history is a file, not a folder of fragments"):
        read_fragments(tmp_path / "history")


@given(st.text(st.sampled_from('<!-> nlreas:ty{}\n#v1,"'), max_size=60))
def test_no_log_is_more_than_an_error(text: str) -> None:
    for log in (text, f"## v1, 2026-01-01\n<!-- nla-release:entry {text}"):
        assert "the log" in complaint(lambda log=log: read_log(log))
        entries(log)


@pytest.mark.parametrize(
    "record",
    ["{}", "[]", '{"date": 5}', '{"date": "2026-13-01"}', "{" * 5000, '{"date":"2026-12-01"}'],
)
def test_a_damaged_record_is_named(record: str) -> None:
    with pytest.raises(InputError, match="the log's comment '<!-- nla-release:entry"):
        read_log(f"<!-- nla-release:entry {record} -->\n## x\n")


def test_two_entries_of_one_id_are_refused() -> None:
    record = Record(id="one", date=date(2026, 12, 1), kind="finding", source="0" * 64)
    entry = f"{record.comment()}\n## 2026-12-01, finding: x\n"

    with pytest.raises(InputError, match="the log has two entries one"):
        read_log(entry + entry)
    assert pending([], read_log(entry)) == []


def test_a_log_with_windows_line_ends_is_read_all_the_same() -> None:
    record = Record(id="one", date=date(2026, 12, 1), kind="finding", source="0" * 64)
    entry = f"{record.comment()}\n## 2026-12-01, finding: x\n\nText.\n"
    log = f"# T\n\n## v0.0.1, 2026-11-22\n\n{entry}"

    assert [entry.heading for entry in read_log(log.replace("\n", "\r\n"))] == [
        "v0.0.1, 2026-11-22",
        "2026-12-01, finding: x",
    ]
