"""HISTORY.md is a log: it grows, and what was published stays to the byte."""

from pathlib import Path

import pytest

from nla_release.cards.render import render
from nla_release.errors import InputError, RefusedError
from nla_release.history.log import append, entries, read_history
from nla_release.io.files import write_atomic
from nla_release.release.folder import Release
from tests.builders_pair import make_release, measure


def published(release: Release) -> str:
    """Publish what is rendered, as far as the log is concerned."""
    text = (release.dist / "av" / "HISTORY.md").read_text(encoding="utf-8")
    write_atomic(release.history, text)
    return text


def test_two_versions_are_two_entries_and_the_first_stays_as_it_was(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    render(release, "0.0.1")
    first = published(release)
    measure(release, rows=60, seed=3)
    render(release, "0.0.2")
    second = (release.dist / "av" / "HISTORY.md").read_text(encoding="utf-8")

    assert second.startswith(first)
    assert list(entries(second)) == ["v0.0.1", "v0.0.2"]
    assert second == (release.dist / "ar" / "HISTORY.md").read_text(encoding="utf-8")


def test_the_same_version_again_gives_the_same_bytes(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    render(release, "0.0.1")
    first = published(release)
    render(release, "0.0.1")

    assert (release.dist / "av" / "HISTORY.md").read_text(encoding="utf-8") == first


def test_a_published_version_is_not_rewritten_with_other_numbers(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    render(release, "0.0.1")
    published(release)
    measure(release, seed=3)

    with pytest.raises(RefusedError, match=r"already has v0\.0\.1, with other results"):
        render(release, "0.0.1")


def test_a_published_version_is_not_rewritten_with_other_evidence(tmp_path: Path) -> None:
    """Every number of its entry is the same, to the digits shown; the measurement is another."""
    release = make_release(tmp_path)
    render(release, "0.0.1")
    published(release)
    measure(release, probes=["injection"])

    with pytest.raises(RefusedError, match=r"already has v0\.0\.1, with other results"):
        render(release, "0.0.1")


def test_an_entry_that_was_published_without_its_evidence_stays_as_it_is(tmp_path: Path) -> None:
    """As releases wrote it before; its numbers are still held to."""
    release = make_release(tmp_path)
    render(release, "0.0.1")
    lines = published(release).splitlines(keepends=True)
    older = "".join(line for line in lines if not line.startswith("* Evidence: "))
    assert older.count("\n") == len(lines) - 1
    write_atomic(release.history, older)
    render(release, "0.0.1")

    assert (release.dist / "av" / "HISTORY.md").read_text(encoding="utf-8") == older
    measure(release, seed=3)
    with pytest.raises(RefusedError, match=r"already has v0\.0\.1, with other results"):
        render(release, "0.0.1")


def test_an_unpublished_version_may_be_measured_and_rendered_again(tmp_path: Path) -> None:
    release = make_release(tmp_path)
    render(release, "0.0.1")
    measure(release, seed=3)
    render(release, "0.0.1")

    assert list(entries((release.dist / "av" / "HISTORY.md").read_text())) == ["v0.0.1"]


def test_what_people_wrote_into_the_log_stays_where_it_is(tmp_path: Path) -> None:
    """A correction under an old entry, at the end, even with Windows line ends."""
    release = make_release(tmp_path)
    render(release, "0.0.1")
    log = published(release) + "\nCORRECTED: the label above is wrong.\n\n\n"
    release.history.write_bytes(log.replace("\n", "\r\n").encode())
    render(release, "0.0.1")
    again = (release.dist / "av" / "HISTORY.md").read_bytes()
    render(release, "0.0.2")
    grown = (release.dist / "av" / "HISTORY.md").read_bytes()

    assert again == release.history.read_bytes()
    assert grown.startswith(release.history.read_bytes())
    assert b"\n## v0.0.2, 2026-11-22\n" in grown


def test_a_correction_of_a_version_is_an_entry_of_its_own(tmp_path: Path) -> None:
    """Its heading may carry the same tag; the entry it supersedes is still the version's."""
    release = make_release(tmp_path)
    render(release, "0.0.1")
    log = published(release) + "\n## v0.0.1, corrected 2026-12-01\n\nSupersedes the above.\n"
    write_atomic(release.history, log)
    render(release, "0.0.1")

    assert (release.dist / "av" / "HISTORY.md").read_text(encoding="utf-8") == log


@pytest.mark.parametrize("ending", ["", "\n", "\n\n", "\n\n\n"])
def test_a_new_entry_stands_after_an_empty_line(ending: str) -> None:
    log = append(f"old{ending}", "T", ["## v1, 2026-01-01\n"])

    assert log.startswith(f"old{ending}")
    assert "\n\n## v1, 2026-01-01\n" in log


def test_a_log_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "HISTORY.md").write_bytes(b"\xff\xfe")

    with pytest.raises(InputError, match=r"HISTORY\.md is not UTF-8"):
        read_history(tmp_path / "HISTORY.md")
