"""The calibration tells pairs of known worth apart: five recorded seeds, and one made here."""

import shutil

import pytest

from train.tiny.corpus import generate
from train.tiny.known import LESSONS, PAIRS, at_function_words
from train.tiny.outcomes import page_with, read_record
from train.tiny.validity import PAGE, RECORD, ROWS, SEEDS, outcomes

GOOD = "good"


@pytest.fixture(scope="module")
def folder(good_release, tmp_path_factory):
    """Seed 0, whose corpus and good pair the demo has made."""
    folder = tmp_path_factory.mktemp("validity") / "seed-0"
    for part in ("data", "steps", "pair"):
        shutil.copytree(good_release / part, folder / part)
    return folder


@pytest.fixture(scope="module")
def made(folder):
    return list(outcomes(folder, 0))


@pytest.fixture(scope="module")
def recorded():
    return read_record(RECORD).outcomes


@pytest.fixture(scope="module", params=[pytest.param("made", marks=pytest.mark.long), "recorded"])
def found(request):
    """The outcomes, one dictionary by name for each seed."""
    outcomes = request.getfixturevalue(request.param)
    return [
        {it.pair: it for it in outcomes if it.seed == seed}
        for seed in sorted({it.seed for it in outcomes})
    ]


@pytest.mark.long
def test_the_recorded_seed_is_one_of_the_five_and_another_is_made(made, recorded):
    """Five take an hour; the page says how many are recorded."""
    assert {it.seed for it in recorded} == {SEEDS[0]}
    assert {it.seed for it in made} == {0}


def test_every_pair_is_measured_on_100_held_out_rows(found):
    for seed in found:
        assert list(seed) == [known.name for known in PAIRS]
        assert {it.rows for it in seed.values()} == {ROWS} == {100}
        assert "NLA612" not in {code for it in seed.values() for code in it.codes}


def test_every_pair_gets_a_label_that_it_deserves(found):
    got = [(it.seed, it.pair, it.label) for seed in found for it in seed.values()]
    deserved = {known.name: known.deserves for known in PAIRS}

    assert [it for it in got if it[2] not in deserved[it[1]]] == []


def test_the_good_pair_is_first_by_difference_and_by_retrieval(found):
    """Of all that are known to be worse; those that say the token are measured on other rows."""
    worse = [
        known.name
        for known in PAIRS
        if "row-level" not in known.deserves and not known.name.startswith("token")
    ]
    for seed in found:
        good, others = seed[GOOD], [seed[name] for name in worse]

        assert good.difference > max(it.difference for it in others)
        assert good.hits > max(it.hits for it in others)


def test_a_whisper_comes_between_the_good_pair_and_those_that_carry_nothing(found):
    """A pair that still hears something is worth more than any that hears nothing."""
    for seed in found:
        nothing = [it for it in PAIRS if it.deserves == ("format-only",)]

        assert seed["scale 100 times too small"].interval[0] > max(
            seed[it.name].difference for it in nothing
        )


def test_the_good_pair_passes_every_rule_and_the_others_fail_theirs(found):
    for seed in found:
        assert seed[GOOD].codes == []
        for known in PAIRS:
            assert set(known.codes) <= set(seed[known.name].codes), known.name


def test_neither_loss_nor_cosine_tells_them_apart(found):
    """What is wrong with these pairs cannot be seen where people look first."""
    for seed in found:
        deaf, one_thing, foreign, shuffled = (
            seed[name]
            for name in (
                "AR ignores its text",
                "AV says one thing",
                "AR of another pair",
                "labels shuffled",
            )
        )

        assert one_thing.final_loss["av"] < seed[GOOD].final_loss["av"]
        # Below half the loss of an AR that answers with the mean: it has learned its language.
        assert foreign.final_loss["ar"] < 0.5 * deaf.final_loss["ar"]
        assert abs(shuffled.cosine - shuffled.predict_mean) < 0.02


@pytest.mark.long
def test_what_is_made_is_not_made_again(made, folder):
    adapters = sorted(folder.rglob("adapter_model.safetensors"))
    before = [path.stat().st_mtime_ns for path in adapters if "pairs" not in path.parts]

    assert list(outcomes(folder, 0)) == made
    assert before == [path.stat().st_mtime_ns for path in adapters if "pairs" not in path.parts]


def test_the_page_shows_what_is_recorded():
    """`python -m train.tiny.validity` renews it."""
    text = PAGE.read_text()

    assert page_with(text, read_record(RECORD)) == text


def test_a_document_is_told_without_its_word_and_a_word_without_its_document():
    label = ["the word near in a text about sailing, set in Lima"]

    assert LESSONS["document"](label, 0) == ["a text about sailing, set in Lima"]
    assert LESSONS["token"](label, 0) == ["the word near"]
    assert LESSONS["class"](["the word of in a text about chess, set in Oslo"], 0) == [
        "the word near"
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_function_words_are_of_documents_that_do_not_begin_alike(seed):
    documents = at_function_words(generate(seed), seed)
    beginnings: dict[str, set[str]] = {"train": set(), "eval": set()}
    for document in documents:
        words = [label["explanation"].split()[2] for label in document["labels"]]
        spans = [document["text"][it["start"] : it["end"]] for it in document["labels"]]
        assert words == spans
        assert len(set(words)) == len(words) >= 2
        beginnings[document["split"]] |= {
            document["text"][: it["end"]] for it in document["labels"]
        }

    assert not beginnings["train"] & beginnings["eval"]


def test_a_lesson_keeps_the_rows_and_changes_what_is_said_of_them():
    labels = [
        "the word moon in a text about weather, set in Lima",
        "the word moon in a text about weather, set in Oslo",
        "the word lens in a text about astronomy, set in Cairo",
    ]

    assert LESSONS["own"](labels, 0) == labels
    assert sorted(LESSONS["others"](labels, 0)) == sorted(labels)
    assert len(set(LESSONS["one"](labels, 0))) == 1
    foreign = LESSONS["foreign"](labels, 0)
    assert len(set(foreign)) == len(labels)
    for label, other in zip(labels, foreign, strict=True):
        same = [a == b for a, b in zip(label.split(), other.split(), strict=True)]
        assert [at for at, it in enumerate(same) if not it] == [2, 7, 10]
