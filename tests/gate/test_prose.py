"""What hand-written prose may say: the calibration's numbers, and claims with a source."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nla_release.calibration.calibrate import calibrate
from nla_release.cards.render import render
from nla_release.gate.prose import claims_have_sources, numbers_are_the_calibrations
from nla_release.gate.subject import find_subject
from nla_release.prose.claims import claim
from nla_release.prose.diagnostic_quantities import spoken_of
from nla_release.prose.literals import literals
from nla_release.prose.quantities import quantities
from nla_release.prose.reader import read_prose
from nla_release.prose.statements import compares, unfounded
from tests.builders import make_evidence
from tests.builders_pair import make_release
from tests.pairs.zoo import append_text, edited_json, list_anew


@pytest.fixture(scope="module")
def calibration(tmp_path_factory):
    """60 rows of 12 documents, of which two rows failed."""
    evidence = make_evidence(
        tmp_path_factory.mktemp("evidence"),
        rows=60,
        documents=12,
        failed={3: "empty", 8: "truncated"},
        noise=0.9,
    )
    return calibrate(evidence)


@pytest.fixture(scope="module")
def objections(calibration):
    """What is wrong with a document's numbers."""
    known = quantities(calibration)

    def read(markdown: str) -> list[str]:
        return [
            number.message
            for passage in read_prose(markdown, skip_generated=True)
            for sentence in passage.sentences
            for number in unfounded(
                sentence,
                spoken_of(passage.words, known),
                level=calibration.bootstrap.level,
                comparing=compares(passage),
            )
        ]

    return read


def findings(rule, folder) -> list[str]:
    return [
        f"{finding.path.rpartition('/')[2]} {finding.message}"
        for finding in rule.apply(find_subject(folder), strict=False).findings
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Round-trip cosine 0.46.",
        "cosine\n.46",
        "**cosine**: *0.46*",
        "A cosine of 46 %",
        "FVE 72%",
        "It explains 0.99 of the variance: variance explained 0.99",
        "mse 1.124",
        "top-1 0.04",
        "The retrieval accuracy is 4/10.",
        "It is 2.8x chance, by retrieval.",
        "Retrieval is 2.8 times chance.",
        "About 31% of the cosine is structural.",
        "The empty text scores 0.123.",
        "The shuffled control scores 0.123.",
        "n = 10",
        "N=50 held-out rows",
        "We measured 10 rows.",
        "They come from 13 documents.",
        "| n |\n|---|\n| 10 |",
        "| | |\n|---|---|\n| Rows measured, all rows | 10 |",
        "8 of 50 failed",
        "16% failed",
        "the cosine's interval is [0.123, 0.456]",
        "cosine 0.99 (interval 0.98 to 1.00)",
        "12 of 60 rows failed and were dropped.",
        "It fails on 12 of 60 rows.",
        "It retrieves 13 of 60.",
        "2 of 12 rows are empty.",
        "Of these, 13 documents are poems.",
        "It has no control above it: cosine 0.46.",
        "Similarity is 0.95.",
        "Fidelity is 95%.",
        "It explains 90% of the variance.",
        "cos_sim=0.95",
        "The cosine similarity is 0.95.",
        "A cosine of 0,95.",
        "The reconstruction has an R2 of 0.95.",
        "The reconstruction has an R² of 0.95.",
        "The cosine is `0.95`.",
        "The target was 0.5; the cosine is 0.46.",
        "cosine schedule, and then a cosine of 0.46",
    ],
)
def test_a_number_that_the_calibration_does_not_give_is_found(objections, text):
    assert objections(text)


@pytest.mark.parametrize(
    "text",
    [
        "In layer 23 of 35, at lr 1e-4, R² 0.96 and p = 0.03, a cosine was measured.",
        "The cosine was measured on 2026-05-18 at 10:00 with torch 2.13 and v0.3 of E2B.",
        "A cosine of 1536-dimensional activations, in 0.5 GPU hours on 4 GB.",
        "The loss of 0.77 says nothing of the cosine.",
        "Trained on 1,852 rows of a corpus.",
        "Read the first 10 rows for the cosine.",
        "A failed row counts as cosine 0 and error 2.",
        "3 of 8 blocks bear on the cosine.",
        "Above the 0.30 noise floor of the cosine.",
        "2000 draws, seed 0, cosine and 95% interval.",
        "Version 0.46 of the text, rank 64.",
        "It is 0.46.",
        "`cosine 0.46`",
        "A cosine schedule with 3% warm-up.",
        "AdamW with betas 0.9 and 0.95, weight decay 0.01, cosine decay.",
        "A cosine learning-rate schedule with betas 0.9 and 0.95.",
        "Batches of 32 rows.",
        "We fed 64 rows at a time.",
        "32 rows per step",
        "The round trip kept an H100 at 93% utilisation.",
        "A target of 0.8 cosine.",
        "The expected cosine is near 0.0 for a random direction.",
        "A random direction has an expected cosine near 0.0.",
        "A p-value of 0.03 for the cosine.",
        "Made with peft 0.14; cosine is torch's.",
        "N=12 layers.",
        "Of these, 3 documents are poems.",
        "At 50% depth the mean activation points elsewhere.",
        "58 of 60 rows did not fail.",
        "2 of 60 rows failed.",
        "1 of 60 rows is empty, and 1 of 60 truncated.",
        "12 of 12 documents were read.",
        "The loss falls with R² 0.98, whatever the cosine.",
        "Jaccard similarity 0.3.",
        "At depth 50%, 0.5% of the parameters matter to the cosine.",
        "cosine in [0,10]",
    ],
)
def test_a_number_of_something_else_is_left_alone(objections, text):
    assert objections(text) == []


def test_the_objection_names_word_number_and_what_the_calibration_gives(objections, calibration):
    mean = calibration.cosine.mean

    assert objections("Round-trip cosine 0.46, n = 10.") == [
        f"says round-trip cosine 0.46; calibration.json gives cosine.mean {mean:.3f}",
        "says n = 10; calibration.json gives denominators.rows 60",
    ]
    (failed,) = objections("It failed in 16% of rows.")
    assert failed.startswith("says failed 16%; calibration.json gives rows without an explanation")
    assert failed.endswith("/ denominators.rows 3.3%")
    assert objections("The round trip takes long; the tests cover 93% of it.") == [
        "says 93% where it speaks of round trip, which calibration.json does not give"
    ]
    fve = f"{calibration.fve.value:.1%}"
    assert objections("Variance explained (FVE) is 99%.") == [
        f"says fve 99%; calibration.json gives fve.value {fve}"
    ]
    assert objections("The retrieval is slow, and its cosine reaches 0.48.") == [
        f"says cosine 0.48; calibration.json gives cosine.mean {mean:.3f}"
    ]
    assert objections("A cosine with deviation ± 0.999") == [
        f"says cosine ± 0.999; calibration.json gives cosine.sd {calibration.cosine.sd:.3f}"
    ]


def test_a_contrast_is_accepted_next_to_its_name_and_is_no_round_trip_cosine(
    objections, calibration
):
    """0.226 between plain cosines of two kinds of text was taken for the cosine of the pair."""
    apart, plain = calibration.contrasts.within, calibration.plain_contrasts.within
    largest = calibration.energy.dimensions[0]

    assert objections(f"Centred cosine, rows apart: {apart.difference:.4f}.") == []
    assert objections(f"Cosine of the same document: {plain.difference:.4f} apart.") == []
    assert objections(f"A dimension of the cosine has energy {largest.energy:.4f}.") == []
    for value in (apart.difference, plain.difference, largest.energy):
        assert len(objections(f"The round-trip cosine is {value:.4f}.")) == 1


def test_the_nearest_of_a_document_is_retrieval_beside_what_the_document_gives(
    objections, calibration
):
    """The chance in the card's own table was taken for a control of the cosine."""
    found = calibration.retrieval.in_document
    head = "| measured | value | control | difference |\n|---|---|---|---|\n"
    row = "| Own activation is found among those of its document | {:.3f} | {:.3f} | {:+.3f} |\n"
    true = (found.mean, found.chance, found.mean - found.chance)

    assert objections(head + row.format(*true)) == []
    for place in range(3):
        false = [value - 0.0371 * (place == at) for at, value in enumerate(true)]
        assert objections(head + row.format(*false))


def test_a_control_is_not_the_headline(objections, calibration):
    """0.703 is a number of the calibration, and still no cosine of this pair."""
    empty = f"{calibration.controls['empty'].mean:.3f}"

    assert objections(f"The pair's cosine is {empty}.")
    assert objections(f"The pair reaches a cosine of {empty}, against -0.5 for the control.")
    assert not objections(f"The empty explanation reaches a cosine of {empty}.")
    assert not objections(
        f"A cosine of {calibration.cosine.mean:.3f}, against a cosine of {empty} without text."
    )
    assert not objections(
        f"The cosine is {calibration.cosine.mean:.3f}. Reading nothing, it is"
        f" a cosine of {empty} instead."
    )


@given(data=st.data(), decimals=st.integers(1, 6), percent=st.booleans())
def test_a_number_of_the_calibration_is_accepted_at_any_precision(
    objections, calibration, data, decimals, percent
):
    controls = calibration.controls
    sentence, value = data.draw(
        st.sampled_from(
            [
                ("Round-trip cosine {}.", calibration.cosine.mean),
                ("The median cosine is {} over 60 rows.", calibration.cosine.median),
                ("FVE {}.", calibration.fve.value),
                ("Top-1 retrieval {}.", calibration.retrieval.top1),
                ("It is {} above chance.", calibration.retrieval.top1 - 1 / 60),
                ("The shuffled control scores {}.", controls["shuffled"].mean),
                ("It lies {} above the empty text.", controls["empty"].difference),
                ("Structural: {}.", controls["empty"].mean / calibration.cosine.mean),
                ("The lower end of the cosine's interval is {}.", calibration.cosine.interval[0]),
                ("Failed: {}.", 2 / 60),
            ]
        )
    )
    shown = f"{value:.{decimals}%}" if percent else f"{value:.{decimals}f}"

    assert objections(sentence.format(shown)) == []


@given(value=st.floats(0, 1), decimals=st.integers(2, 6), percent=st.booleans())
def test_a_number_that_is_off_by_more_than_its_rounding_is_found(
    objections, calibration, value, decimals, percent
):
    shown = f"{value:.{decimals}%}" if percent else f"{value:.{decimals}f}"
    cosine = calibration.cosine
    survivors = calibration.cosine_survivors.mean
    rounding = 10.0 ** -(decimals + 2 * percent)
    for given_number in (cosine.mean, cosine.median, survivors):
        assume(abs(value - given_number) > 1.001 * rounding + 1e-5)

    assert len(objections(f"The round-trip cosine is {shown}.")) == 1


@given(st.integers(61, 10**7).filter(lambda number: number != 1000))
def test_any_n_above_what_was_measured_is_found(objections, number):
    """1000 are the training activations of the reference."""
    assert objections(f"n = {number}")
    assert objections(f"Over {number:,} activations.")


@given(st.text(max_size=300))
@settings(max_examples=300)
def test_any_text_is_read(objections, text):
    assert isinstance(objections(f"cosine {text}"), list)
    assert claim(text) is None or claim(text)
    for number in literals(text):
        assert text[number.start : number.end].strip().startswith(number.shown)


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

    for rule in (claims_have_sources, numbers_are_the_calibrations):
        assert len(rule.apply(find_subject(release), strict=False).findings) <= 20


@pytest.mark.parametrize(
    "options",
    [
        {"collapsed": True},
        {"rows": 12, "documents": 2},
        {"rows": 20, "failed": dict.fromkeys(range(20), "empty")},
        {"rows": 200, "documents": 40, "noise": 1.5},
        {"rows": 33, "documents": 7, "gold_text": False},
        {"rows": 25, "documents": 25, "noise": 5.0},
    ],
    ids=["collapsed", "two documents", "all failed", "below the mean", "no gold", "no signal"],
)
def test_nothing_that_is_rendered_is_found(tmp_path, options):
    """Every generated sentence and table is read in RELEASE_CALIBRATION.md and HISTORY.md."""
    notes = {
        "summary": "Cosine {{ calibration.cosine.mean | number }} on"
        " {{ calibration.denominators.rows }} rows.",
        "limitations": "Of these {{ calibration.controls.empty.mean | number }} is structural.",
    }
    render(make_release(tmp_path, notes=notes, **options), "0.0.1")

    for rule in (claims_have_sources, numbers_are_the_calibrations):
        outcome = rule.apply(find_subject(tmp_path), strict=False)
        assert (outcome.findings, outcome.skipped) == ((), ())


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

    assert findings(numbers_are_the_calibrations, release) == []


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

    assert len(findings(numbers_are_the_calibrations, release)) == 1


def test_a_number_of_another_version_of_the_history_is_that_versions(release):
    card, history = (release / "dist" / "av" / name for name in ("README.md", "HISTORY.md"))
    append_text(card, "\nCosine 0.46 in v0.0.0.\n")
    assert len(findings(numbers_are_the_calibrations, release)) == 1

    history.write_text(
        history.read_text().replace(
            "## v0.0.1", "## v0.0.0, 2026-01-01\n\nCosine 0.46.\n\n## v0.0.1"
        )
    )
    list_anew(release / "dist" / "av")

    assert findings(numbers_are_the_calibrations, release) == []


def test_a_finding_names_the_line_in_the_file(release):
    card = release / "dist" / "av" / "README.md"
    append_text(card, "\n\nIt was measured.\nThe cosine is\n0.46.\n")
    line = card.read_text().splitlines().index("0.46.") + 1

    (finding,) = findings(numbers_are_the_calibrations, release)

    assert finding.startswith(f"README.md:{line} says cosine 0.46")


def test_an_impossible_calibration_is_left_to_its_own_rule(release):
    with edited_json(release / "dist" / "av" / "calibration.json") as calibration:
        calibration["retrieval"]["chance"] = 0.0
    list_anew(release / "dist" / "av")

    outcome = numbers_are_the_calibrations.apply(
        find_subject(release / "dist" / "av"), strict=False
    )

    assert outcome.findings == ()
    assert [reason.rpartition(", ")[2] for reason in outcome.skipped] == ["see NLA602"]


@pytest.mark.parametrize(
    "text",
    [
        "This is the first non-Anthropic-team open-source NLA Activation Verbalizer.",
        "This pair is the only NLA that reads Gemma-4-E2B L23 activations.",
        "First of its kind.",
        "The first-ever pair.",
        "the only open pair for this base",
        "No other NLA reads this layer.",
        "It was the first to read this layer.",
        "a state of the art verbalizer",
        "SOTA",
        "an unprecedented cosine",
        "It outperforms every published pair.",
        "better than any published pair",
        "a novel training objective",
        "the smallest NLA there is",
        "Never before has a laptop read activations.",
        "The first reproducible natural-language\nautoencoder.",
        "It is the first such model.",
        "A first-of-its-kind release.",
        "Nobody has released a verbalizer for this base.",
        "No one else has published such a pair.",
        "It beats every previous NLA.",
        "Our NLA is the best.",
        "the 1st open NLA",
        "the first public release of an NLA",
        "The first open NLA is not perfect.",
    ],
)
def test_a_claim_is_found(text):
    assert claim(text)


@pytest.mark.parametrize(
    "text",
    [
        "the first token",
        "the first step of the release",
        "the first blocks of the model with a linear head, fine-tuned in full",
        "only the language model",
        "only the first adapter is active",
        "the first entry",
        "only rows with status ok",
        "the best row of the examples",
        "Best, median and worst of 60 rows",
        "Only NLA outputs are shown.",
        "our first NLA release",
        "since the first release of this pair",
        "It is not the first NLA.",
        "It is far from state of the art.",
        "Its own text outperforms the shuffled control.",
        "better than another row's text",
        "better than any other row's text",
        "The AV reads a novel about ships.",
        "The first NLA block reads the marker.",
        "The smallest pair there is, at 0.0.1.",
        "This is the first public release.",
        "This is the first public release of this pair.",
        "A novel method is not claimed.",
        "It beats every control.",
        "This row is the best of the examples.",
        "Our model is the best we could train.",
        "Nobody has looked at the rest.",
        "the first such row",
    ],
)
def test_an_innocent_word_is_no_claim(text):
    assert claim(text) is None


def test_a_claim_with_a_source_may_stand(release):
    card = release / "dist" / "av" / "README.md"
    append_text(card, "\nThe first open NLA ([search](https://example.org/search)).\n")
    assert findings(claims_have_sources, release) == []

    append_text(card, "\nThe first open NLA. See [search](https://example.org/search).\n")
    assert len(findings(claims_have_sources, release)) == 1


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("The mean reciprocal rank of retrieval is {}.", "probes.retrieval.all.mrr.mean"),
        ("Chance retrieval by TF-IDF is {}.", "probes.text_retrieval.lexical.chance"),
        ("A linear map of raw activations retrieves {}.", "probes.ceiling.probe.share"),
        ("Share of the cosine from another row: {}.", "probes.structural.shares.shuffled.share"),
        ("The margin above the shuffled control: {}.", "probes.retrieval.margin.mean"),
    ],
)
def test_a_number_of_a_probe_is_accepted_beside_its_name_alone(
    objections, calibration, sentence, name
):
    shown = f"{calibration.leaves()[name]:.4f}"

    assert objections(sentence.format(shown)) == []
    assert len(objections(f"Round-trip cosine {shown}.")) == 1


def test_a_finding_in_a_note_names_the_note_to_edit_once(tmp_path):
    notes = {
        "summary": "Words.\n\nRound-trip cosine: 0.99.",
        "positioning": "The first open NLA released publicly.",
    }
    render(make_release(tmp_path, notes=notes, rows=60, documents=12), "0.0.1")

    subject = find_subject(tmp_path)
    (number,) = numbers_are_the_calibrations.apply(subject, strict=False).findings
    (claimed,) = claims_have_sources.apply(subject, strict=False).findings

    assert number.path == str(tmp_path / "notes" / "summary.md:3")
    assert claimed.path == str(tmp_path / "notes" / "positioning.md:1")
