"""What the round trip found of each checkpoint: `trajectory.jsonl`, and a table of it."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt

from nla_release.calibration.report import Calibration, LabelName
from nla_release.contract.sidecar import Role
from nla_release.io.files import read_json_lines, write_atomic
from nla_release.io.schema import Strict, parse
from nla_release.statistics.blocks import Cosine, Interval, Number, Proportion

FOLDER_NAME = "trajectory"
JSONL_NAME = "trajectory.jsonl"
TABLE_NAME = "trajectory.md"


class Point(Strict):
    """One pair on the way: an AV after so many steps, an AR after so many, and what they do."""

    steps: dict[Role, PositiveInt]
    loss: dict[Role, Number] = Field(description="of the last of those steps")
    adapter_sha256: dict[Role, str] = Field(description="of adapter_model.safetensors")
    measured_with: str = Field(description="sha256 of its data, adapters and settings")
    rows: PositiveInt
    documents: PositiveInt
    failed: NonNegativeInt = Field(description="rows without an explanation")
    cosine: Cosine
    cosine_interval: Interval
    predict_mean: Cosine = Field(description="what the mean training activation scores")
    shuffled: Cosine = Field(description="what another row's explanation scores")
    real_minus_shuffled: Number
    real_minus_shuffled_interval: Interval
    fve: Number | None
    retrieved: NonNegativeInt = Field(description="rows found among all rows")
    retrieved_interval: tuple[Proportion, Proportion] = Field(description="of retrieved / rows")
    distinct: NonNegativeInt = Field(description="different explanations")
    same_as_random: NonNegativeInt = Field(
        description="rows explained word for word as a random direction is"
    )
    label: LabelName


def point(
    calibration: Calibration,
    *,
    steps: dict[Role, int],
    loss: dict[Role, float],
    adapter_sha256: dict[Role, str],
    measured_with: str,
) -> Point:
    """What is kept of a calibration."""
    shuffled, counts = calibration.controls["shuffled"], calibration.denominators
    return Point(
        steps=steps,
        loss=loss,
        adapter_sha256=adapter_sha256,
        measured_with=measured_with,
        rows=counts.rows,
        documents=counts.documents,
        failed=counts.rows - counts.ok,
        cosine=calibration.cosine.mean,
        cosine_interval=calibration.cosine.interval,
        predict_mean=calibration.controls["predict_mean"].mean,
        shuffled=shuffled.mean,
        real_minus_shuffled=shuffled.difference,
        real_minus_shuffled_interval=shuffled.interval,
        fve=calibration.fve.value,
        retrieved=calibration.retrieval.hits,
        retrieved_interval=calibration.retrieval.interval,
        distinct=calibration.diversity.distinct_explanations,
        same_as_random=calibration.injection.random_vector_same_text,
        label=calibration.label.name,
    )


def read_points(folder: Path) -> list[Point]:
    """The points that are written down.

    Raises:
        InputError: a line is not a point.
    """
    path = folder / JSONL_NAME
    lines = read_json_lines(path) if path.exists() else ()
    return [parse(Point, document, where) for where, document in lines]


def write_points(folder: Path, points: Sequence[Point], tried: int) -> None:
    """Write both files, in the order of the steps; `tried` is how many pairs were measured ever."""
    ordered = sorted(points, key=lambda it: (it.steps["av"], it.steps["ar"]))
    write_atomic(folder / JSONL_NAME, "".join(f"{it.model_dump_json()}\n" for it in ordered))
    write_atomic(folder / TABLE_NAME, _page(ordered, tried))


def _page(points: Sequence[Point], tried: int) -> str:
    titles = (
        "AV steps",
        "AR steps",
        "loss AV, AR",
        "rows (documents)",
        "failed",
        "cosine",
        "mean activation",
        "real - shuffled",
        "FVE",
        "retrieved",
        "texts",
        "as of a random vector",
        "label",
    )
    lines = [titles, ["---"] * len(titles), *(_row(it) for it in points)]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"""# Trajectory

Each line is a round trip of `nla-release` on the first of the held-out rows, as many as it says;
intervals are 95%. Where one half of the pair is a checkpoint, the other is the finished one.

{table}
Who publishes the best of several has chosen it on the rows that it is measured on. {tried} pairs
were measured here so far, those of earlier trainings included. `nla-release train eval` fills
that into release.yaml: `attempts: {tried}` under `evaluation`. Write a larger number yourself if
more were tried.
"""


def _row(it: Point) -> tuple[str, ...]:
    low, high = it.retrieved_interval
    return (
        str(it.steps["av"]),
        str(it.steps["ar"]),
        f"{it.loss['av']:.3f}, {it.loss['ar']:.3f}",
        f"{it.rows} ({it.documents})",
        str(it.failed),
        f"{it.cosine:.3f}{_between(it.cosine_interval)}",
        f"{it.predict_mean:.3f}",
        f"{it.real_minus_shuffled:+.3f}{_between(it.real_minus_shuffled_interval)}",
        "none" if it.fve is None else f"{it.fve:.3f}",
        f"{it.retrieved} of {it.rows} ({low:.2f} to {high:.2f})",
        str(it.distinct),
        str(it.same_as_random),
        it.label,
    )


def _between(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" ({interval[0]:.3f} to {interval[1]:.3f})"
