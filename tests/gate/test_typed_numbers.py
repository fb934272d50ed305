"""Numbers that authors typed: quoted from the calibration, in code, or with a source."""

import pytest

from nla_release.calibration.report import Calibration
from nla_release.cards.render import render
from nla_release.gate.priority_claims import claims_have_sources
from nla_release.gate.rendered_documents import rendered_again
from nla_release.gate.subject import find_subject
from nla_release.gate.typed_numbers import numbers_are_quoted
from nla_release.history.log import Record, SupersededNumber
from nla_release.io.files import write_atomic
from nla_release.release.folder import read_release
from tests.builders_pair import make_release
from tests.pairs.history import told_in_history
from tests.pairs.zoo import append_text, edited_json, edited_yaml, list_anew

ROWS = {"rows": 60, "documents": 12}


def findings(folder, rule=numbers_are_quoted) -> list[str]:
    return [
        f"{finding.path.rpartition('/')[2]} {finding.message}"
        for finding in rule.apply(find_subject(folder), strict=False).findings
    ]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A rendered release with a note, and its calibration."""
    folder = tmp_path_factory.mktemp("made")
    release = make_release(folder, notes={"summary": "Words."}, **ROWS)
    render(release, "0.0.1")
    return release, Calibration.read(release.calibration)


@pytest.fixture
def noted(made):
    """The findings in a note, which is rendered first."""
    release, _ = made

    def check(source: str) -> list[str]:
        write_atomic(release.folder / "notes" / "summary.md", source)
        render(release, "0.0.1")
        return findings(release.folder)

    return check


@pytest.mark.parametrize(
    "source",
    [
        "Round-trip cosine: {{ calibration.cosine.mean | number }}.",
        "On {{ calibration.denominators.rows }} rows, n = {{ calibration.cosine.n }}.",
        "{{ calibration.denominators.ok }}/{{ calibration.denominators.rows }} worked.",
        "It is {{ (100 * calibration.retrieval.top1) | round(1) }}%.",
        "It is {{ (calibration.cosine.mean - calibration.fve.value) | number }} more.",
        "Trained with `lr=1e-4` and `betas 0.9, 0.95`.",
        "```\nloss 0.46, 49/50\n```",
        "Another pair reaches 0.46 ([its card](https://example.org/card)).",
        "Another pair reaches 0.46 [@other2026pair].",
        "Block 3 of E2B, built with Llama 3.1 on 2026-01-02.",
        "{% if calibration.cosine.mean > 0.5 %}It reads.{% endif %}",
    ],
)
def test_a_number_that_is_quoted_or_sourced_or_code_is_no_finding(noted, source):
    assert noted(source) == []


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("Round-trip cosine: 0.46.", "0.46"),
        ("Round-trip cosine: 0.**46**.", "0.46"),
        ("Round-trip cosine: 0.<b>46</b>.", "0.46"),
        ("Round-trip cosine: \uff10.46.", "0.46"),
        ("Round-trip cosine: 0&#46;46.", "0.46"),
        ("Round-trip cosine: $0{.}46$.", "0.46"),
        ("The cosine is `0.95`.", "0.95"),
        ("It finds 49/50.", "49/50"),
        ("It finds `49/50`.", "49/50"),
        ("It is right in ninety percent of rows.", "ninety percent"),
        ("It is 3x chance, a 2-fold gain.", "3x"),
        ("n = 10", "10"),
        ("| | |\n|---|---|\n| top-1 | 0.4 |", "0.4"),
        ("![cosine 0.46](figures/training_loss.png)", "0.46"),
        ("Another pair reaches 0.46. See [its card](https://example.org/card).", "0.46"),
        ("Cosine 0.46, see [the calibration](RELEASE_CALIBRATION.md).", "0.46"),
        ("Cosine 0.46, see https://huggingface.co/{{ release.repos.av }}.", "0.46"),
        ("{% if version %}Cosine 0.46.{% endif %}", "0.46"),
        ("Cosine {{ 0.46 }}.", "0.46"),
        ("Cosine {{ 46 / 100 }}.", "46"),
    ],
)
def test_a_typed_number_is_a_finding_with_its_line_and_what_to_do(noted, source, shown):
    first = noted(f"Words.\n\n{source}")[0]

    assert first.startswith("summary.md:")
    assert f" {shown} is typed" in first


def test_a_true_number_is_typed_too_and_the_finding_names_what_to_quote(noted, made):
    """A typed number is wrong as soon as the pair is measured again."""
    calibration = made[1]
    cosine, empty = calibration.cosine.mean, calibration.controls["empty"].mean
    top1 = calibration.retrieval.top1

    for text, line, shown, quoted in (
        ("The cosine is {}.", 1, f"{cosine:.3f}", "calibration.cosine.mean | number"),
        ("The empty\ntext: {}.", 2, f"{empty:.4f}", "calibration.controls.empty.mean | number"),
        ("Of {} rows.", 1, "60", "calibration.denominators.rows"),
        ("Top1: {}.", 1, f"{top1:.1%}", "(100 * calibration.retrieval.top1) | round(1)"),
    ):
        (finding,) = noted(text.format(shown))
        assert finding.startswith(f"summary.md:{line} {shown} is typed: write {{{{ {quoted} }}}}")


def test_a_number_that_nobody_measured_gets_general_advice(noted):
    (finding,) = noted("It scores 0.123456.")

    assert finding == (
        "summary.md:1 0.123456 is typed: quote it with {{ ... }}, write it as code, or link to its"
        " source in the same sentence"
    )


@pytest.mark.parametrize(
    "source",
    [
        "4{{ calibration.denominators.rows }} rows",
        "0.{{ calibration.denominators.rows }}",
        "49/{{ calibration.denominators.rows }} rows",
        "{{ calibration.denominators.rows }}/61",
        "{{ calibration.denominators.rows }}5",
    ],
)
def test_digits_next_to_a_quoted_number_are_typed(noted, source):
    assert any("adds typed digits to a quoted number" in each for each in noted(source))


def test_what_was_advised_is_accepted(noted, made):
    """Every quotation that a finding names renders, and is no finding itself."""
    calibration = made[1]
    for value in (calibration.cosine.mean, calibration.fve.value, calibration.retrieval.top1):
        for shown in (f"{value:.3f}", f"{value:.1%}"):
            (finding,) = noted(f"It is {shown}.")
            advised = finding.partition(": write ")[2]
            assert advised.startswith("{{ ")
            assert noted(f"It is {advised}.") == []


def test_a_finding_of_a_published_note_names_it_in_release_json(made, noted):
    noted("Words.\n\nCosine: 0.123456.")

    (finding,) = findings(made[0].dist)

    assert finding.startswith("release.json: stated.notes.summary 0.123456 is typed")


def test_a_published_note_that_is_not_what_its_source_renders_to_is_found(made, noted):
    """Its source quotes the cosine, and readers see another number."""
    release = made[0]
    assert noted("Cosine: {{ calibration.cosine.mean | number }}.") == []
    for role in ("av", "ar"):
        folder = release.dist / role
        card = folder / "README.md"
        mean = f"Cosine: {made[1].cosine.mean:.3f}."
        assert mean in card.read_text()
        card.write_text(card.read_text().replace(mean, "Cosine: 0.999."))
        with edited_json(folder / "release.json") as manifest:
            manifest["stated"]["notes"]["summary"] = "Cosine: 0.999."
        list_anew(folder)

    message = "stated.notes.summary is not what stated.sources.summary renders to"
    assert {each.partition(" ")[2] for each in findings(release.dist, rendered_again)} == {message}


def test_a_source_of_a_published_note_that_does_not_render_is_found(made, noted):
    release = made[0]
    noted("Cosine: {{ calibration.cosine.mean | number }}.")
    for role in ("av", "ar"):
        with edited_json(release.dist / role / "release.json") as manifest:
            manifest["stated"]["sources"]["summary"] = "{% for a in %}"
        list_anew(release.dist / role)

    assert all("cannot be rendered" in each for each in findings(release.dist, rendered_again))
    assert findings(release.dist, rendered_again)
    assert findings(release.dist) == []  # the other rule says so


def test_notes_of_a_version_that_recorded_no_sources_may_show_the_calibrations_numbers(made, noted):
    """They were published, and cannot be written again."""
    release, calibration = made
    mean = f"{calibration.cosine.mean:.3f}"
    noted(f"Cosine: {mean}. Other: 0.123.")
    for role in ("av", "ar"):
        with edited_json(release.dist / role / "release.json") as manifest:
            del manifest["stated"]["sources"]
        list_anew(release.dist / role)

    (finding,) = findings(release.dist)

    assert "0.123 is no number that calibration.json has, to 3 decimals" in finding


def test_a_title_may_name_a_version_and_no_measurement(made):
    release, _ = made
    for title, found in (("Llama 3.1 NLA", 0), ("NLA with cosine 0.99", 1)):
        with edited_yaml(release.folder / "release.yaml") as document:
            document["title"] = title
        (release.folder / "HISTORY.md").unlink(missing_ok=True)
        render(read_release(release.folder), "0.0.1")
        lines = [each for each in findings(release.folder) if each.startswith("release.yaml")]
        assert len(lines) == found
    with edited_yaml(release.folder / "release.yaml") as document:
        document["title"] = "Tiny NLA, block 3"


@pytest.mark.parametrize(
    "options",
    [
        {"collapsed": True},
        {"rows": 12, "documents": 2},
        {"rows": 20, "failed": dict.fromkeys(range(20), "empty")},
        {"rows": 33, "documents": 7, "gold_text": False},
    ],
    ids=["collapsed", "two documents", "all failed", "no gold"],
)
def test_nothing_that_is_rendered_is_a_finding(tmp_path, options):
    render(make_release(tmp_path, notes={"summary": "Words."}, **options), "0.0.1")

    for rule in (claims_have_sources, numbers_are_quoted):
        outcome = rule.apply(find_subject(tmp_path), strict=False)
        assert (outcome.findings, outcome.skipped) == ((), ())


@pytest.mark.parametrize(
    "text",
    [
        "cosine " + "9" * 100_000,
        "cosine 0." + "4" * 100_000,
        "cosine " + "0.46 " * 20_000,
        "n = 10 rows " * 10_000,
        "cosine 2 of 60 failed " * 5_000,
        "cosine (R2 0.5) " * 7_000,
        "60 rows of n = 60 " * 6_000 + "in training on rows",
        "cosine " + "1/" * 50_000,
        "cosine " + "1 of " * 20_000,
        "[" * 100_000,
        "![cosine" * 12_000,
        "**cosine 0.46 " * 8_000,
        "> " * 50_000 + "cosine 0.46",
        "|a" * 300 + "|\n" + "|-" * 300 + "|\n" + "|cosine 0.46\n" * 8_000,
        "<" * 100_000,
        "<!-- " * 20_000,
        "```cosine 0.46\n" * 8_000,
        "first " * 20_000,
        "the only open " * 9_000,
        "https://" * 12_000,
    ],
    ids=lambda text: text[:12],
)
def test_hostile_prose_gets_a_verdict(release, text):
    append_text(release / "dist" / "av" / "README.md", f"\n\n{text}\n")

    for rule in (claims_have_sources, numbers_are_quoted):
        assert len(rule.apply(find_subject(release), strict=False).findings) <= 20


@pytest.mark.parametrize(
    "sourced",
    [
        "Cosine 0.46 by [the other pair](https://example.org/other).",
        "Cosine 0.46 (https://example.org/other).",
        "Cosine 0.46 [@other2026pair].",
        "Cosine 0.46, frasertaliente2026nla.",
        "| pair | cosine | from |\n|---|---|---|\n| other | 0.46 | https://example.org/other |",
    ],
)
def test_a_number_with_a_source_is_somebody_elses(release, sourced):
    append_text(release / "dist" / "av" / "README.md", f"\n{sourced}\n")

    assert findings(release) == []


@pytest.mark.parametrize(
    "target",
    [
        "RELEASE_CALIBRATION.md",
        "https://huggingface.co/someone/tiny",
        "https://huggingface.co/someone/tiny-nla-L3-av-v0_0_1",
        "https://huggingface.co/someone/tiny-nla-L3-ar-v0_0_1/tree/v0.0.1",
    ],
)
def test_the_release_and_its_base_are_no_source(release, target):
    append_text(release / "dist" / "av" / "README.md", f"\nCosine 0.46 ([here]({target})).\n")

    assert len(findings(release)) == 1


def test_a_block_added_to_a_card_cannot_quote(release):
    mean = Calibration.read(release / "calibration.json").cosine.mean
    append_text(release / "dist" / "av" / "README.md", f"\nThe mean cosine is {mean:.3f}.\n")

    (finding,) = findings(release)

    advice = "write {{ calibration.cosine.mean | number }} in a note, or link to its source here"
    assert finding.endswith(f"{mean:.3f} is typed: {advice}")


def test_a_number_of_another_version_of_the_history_is_that_versions(release):
    card, history = (release / "dist" / "av" / name for name in ("README.md", "HISTORY.md"))
    append_text(card, "\nCosine 0.46 in v0.0.0.\n")
    assert len(findings(release)) == 1

    history.write_text(
        history.read_text().replace(
            "## v0.0.1", "## v0.0.0, 2026-01-01\n\nCosine 0.46.\n\n## v0.0.1"
        )
    )
    list_anew(release / "dist" / "av")

    assert findings(release) == []


def test_a_finding_names_the_line_in_the_file(release):
    card = release / "dist" / "av" / "README.md"
    append_text(card, "\n\nIt was measured.\nThe cosine is\n0.46.\n")
    line = card.read_text().splitlines().index("0.46.") + 1

    (finding,) = findings(release)

    assert finding.startswith(f"README.md:{line} 0.46 is typed")


@pytest.mark.parametrize(
    ("decimals", "found"), [(2, True), (3, False), (6, False)], ids=["2", "3", "6"]
)
def test_an_entry_of_the_history_states_numbers_exactly(release, decimals, found):
    """It is not rewritten when the pair is measured again, so it may be typed, but not rounded."""
    mean = Calibration.read(release / "calibration.json").cosine.mean
    told_in_history(release, f"The cosine is {mean:.{decimals}f}.", version="0.0.1")

    assert bool(findings(release)) is found
    told_in_history(release, f"The cosine is {mean + 0.002:.{decimals}f}.", version="0.0.1")
    assert findings(release)


def test_the_reason_of_a_retraction_may_hold_numbers(release):
    superseded = SupersededNumber(
        version="0.0.1", metric="x", value=0.5, reason="at scale 39.25 instead of 8.5"
    )
    told_in_history(
        release,
        "More.",
        kind="retraction",
        supersedes=superseded.model_dump(exclude_none=True),
    )

    assert findings(release) == []
    assert Record.model_fields["supersedes"]
