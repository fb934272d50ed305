"""What was found of the pairs of `known`: the record that is checked in, and its tables."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.calibration.report import Calibration, LabelName
from nla_release.contract.sidecar import Role
from nla_release.io.files import dump_json, read_json, write_atomic
from nla_release.io.schema import Strict, parse
from nla_release.release.folder import ROLES
from nla_release.statistics.blocks import Cosine, Number, Proportion
from train.tiny.known import PAIRS, Known

BEGIN, END = "<!-- validity: begin -->\n", "<!-- validity: end -->\n"


class Outcome(Strict):
    """What calibration and gate found of one pair of one seed."""

    pair: str = Field(description="its name in `known`")
    seed: int = Field(description="of the corpus, the labels' order and both trainings")
    rows: PositiveInt
    documents: PositiveInt
    failed: NonNegativeInt = Field(description="rows without an explanation")
    final_loss: dict[Role, Number] = Field(description="of the last step of training")
    cosine: Cosine
    predict_mean: Cosine = Field(description="what the mean activation scores")
    shuffled: Cosine = Field(description="what another row's text scores")
    difference: Number = Field(description="mean of real - shuffled")
    interval: tuple[Number, Number] = Field(description="of the difference")
    hits: NonNegativeInt = Field(description="rows retrieved among all rows")
    top1_interval: tuple[Proportion, Proportion] = Field(description="Wilson, of hits / rows")
    distinct: NonNegativeInt = Field(description="different explanations")
    same_as_random: NonNegativeInt = Field(
        description="rows explained word for word as a random direction is"
    )
    label: LabelName
    codes: list[str] = Field(description="rules of `nla-release check` that found something")


class Record(Strict):
    """The outcomes of all pairs of several seeds."""

    outcomes: list[Outcome]


def outcome(
    known: Known,
    seed: int,
    calibration: Calibration,
    *,
    final_loss: dict[Role, float],
    codes: list[str],
) -> Outcome:
    """What is kept of a calibration."""
    shuffled, counts = calibration.controls["shuffled"], calibration.denominators
    assert shuffled.interval is not None, "a corpus of many documents gives intervals"
    return Outcome(
        pair=known.name,
        seed=seed,
        rows=counts.rows,
        documents=counts.documents,
        failed=counts.rows - counts.ok,
        final_loss=final_loss,
        cosine=calibration.cosine.mean,
        predict_mean=calibration.controls["predict_mean"].mean,
        shuffled=shuffled.mean,
        difference=shuffled.difference,
        interval=shuffled.interval,
        hits=calibration.retrieval.hits,
        top1_interval=calibration.retrieval.interval,
        distinct=calibration.diversity.distinct_explanations,
        same_as_random=calibration.injection.random_vector_same_text,
        label=calibration.label.name,
        codes=codes,
    )


def read_record(path: Path) -> Record:
    """A record that was written.

    Raises:
        InputError: missing, or it is no record.
    """
    return parse(Record, read_json(path), path)


def write_record(path: Path, record: Record) -> None:
    """Write a record, the same bytes for the same outcomes."""
    write_atomic(path, dump_json(record.model_dump(mode="json")))


def page_with(page: str, record: Record) -> str:
    """A page with the record's tables between the markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{_known()}\n{_found(record.outcomes)}{END}{after}"


def _known() -> str:
    rows = [
        (it.name, it.made, " or ".join(it.deserves), it.because, ", ".join(it.codes) or "none")
        for it in PAIRS
    ]
    return _table(("pair", "what it is", "deserved label", "because", "must fail"), rows)


def _found(outcomes: Sequence[Outcome]) -> str:
    titles = (
        "pair",
        "final loss AV, AR",
        "cosine",
        "mean activation",
        "real - shuffled",
        "retrieved",
        "texts",
        "as of a random vector",
        "label",
        "rules that fired",
    )
    rows = [_row([it for it in outcomes if it.pair == known.name]) for known in PAIRS]
    return _table(titles, rows)


def _row(seeds: Sequence[Outcome]) -> tuple[str, ...]:
    """A pair over its seeds."""
    intervals = [end for it in seeds for end in it.interval]
    shares = [end for it in seeds for end in it.top1_interval]
    return (
        seeds[0].pair,
        ", ".join(_range([it.final_loss[role] for it in seeds], 2) for role in ROLES),
        _range([it.cosine for it in seeds], 3),
        _range([it.predict_mean for it in seeds], 3),
        f"{_range([it.difference for it in seeds], 3)} ({_range(intervals, 3)})",
        f"{_range([it.hits for it in seeds], 0)} ({_range(shares, 2)})",
        _range([it.distinct for it in seeds], 0),
        _range([it.same_as_random for it in seeds], 0),
        _counts([it.label for it in seeds], len(seeds)),
        _counts([code for it in seeds for code in it.codes], len(seeds)) or "none",
    )


def _range(values: Sequence[float], digits: int) -> str:
    low, high = (f"{round(value, digits) + 0.0:.{digits}f}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def _counts(names: Sequence[str], seeds: int) -> str:
    """Each name, with how many seeds it has where that is not all of them."""
    return ", ".join(
        name if count == seeds else f"{name} ({count} of {seeds})"
        for name, count in sorted(Counter(names).items())
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
