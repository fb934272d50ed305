"""NLA6xx, second half: what the numbers say of the pair. Computed from the evidence, not read."""

import math
from collections.abc import Iterator

from nla_release.calibration.evidence import ROWS_NAME
from nla_release.rules.model import Page, Problem, Skip, rule
from nla_release.rules.scopes import MEASURED
from nla_release.rules.subject import Measurement

_NO_TEXT = Skip("no row has an explanation, see NLA609")


@rule(
    "NLA603",
    "error",
    "the own explanation reconstructs better than another row's",
    each=MEASURED,
    page=Page(
        checks="The 95% interval of cosine(own text) - cosine(text of a row of another document),"
        " paired by row and resampled by document, lies above 0.",
        why="A cosine says little by itself: the published pair of SolshineCode/nla-gemma-4-e2b"
        " scores 0.438, and 0.405 when its AR is given the empty string. An AR that always answers"
        " near the mean needs no explanation.",
        fix="The explanations do not carry what the AR needs. Train longer, or on labels that tell"
        " rows apart, and read rows.jsonl before the next run.",
        example="own text 0.871, another row's 0.871: difference 0.000, 95% interval -0.002 to"
        " 0.002",
        waive="Never: this is the claim that a release makes.",
    ),
)
def own_text_wins(measurement: Measurement) -> Iterator[Problem | Skip]:
    """The shuffled control."""
    control = measurement.recomputed.controls["shuffled"]
    if control.interval is None:
        yield Skip("rows of a single document give no interval, see NLA608")
    elif control.interval[0] <= 0:
        low, high = control.interval
        yield Problem(
            measurement.calibration_path,
            f"own text {measurement.recomputed.cosine.mean:.3f}, another row's {control.mean:.3f}:"
            f" difference {control.difference:.3f}, 95% interval {low:.3f} to {high:.3f}",
        )


@rule(
    "NLA604",
    "warning",
    "the pair reconstructs better than the mean activation",
    each=MEASURED,
    page=Page(
        checks="The mean cosine is above that of always predicting the mean of the training"
        " activations.",
        why="On a layer of low variance the mean is hard to beat: it scores 0.985 on the"
        " reference's Gemma-3-12B (kitft/natural_language_autoencoders). The published 0.438 of"
        " SolshineCode/nla-gemma-4-e2b lies below its mean's 0.47 to 0.49.",
        fix="Train the AR longer: it has not learned the mean yet. Until then show the difference,"
        " and not the cosine.",
        example="cosine 0.438, the mean activation scores 0.480",
        waive="The warning may stand for a pair released as a step on the way, whose card says so.",
    ),
)
def beats_the_mean(measurement: Measurement) -> Iterator[Problem]:
    """The predict-mean control."""
    control = measurement.recomputed.controls["predict_mean"]
    if control.difference <= 0:
        yield Problem(
            measurement.calibration_path,
            f"cosine {measurement.recomputed.cosine.mean:.3f}, the mean activation scores"
            f" {control.mean:.3f}",
        )


@rule(
    "NLA605",
    "warning",
    "reconstructions single out their activation above chance",
    each=MEASURED,
    page=Page(
        checks="The lower end of the 95% Wilson interval of top-1 retrieval is above chance, which"
        " is one in the number of rows.",
        why="In 14 attempts of SolshineCode/nla-gemma-4-e2b retrieval stayed at chance while the"
        " cosine looked fine.",
        fix="The explanations name topics, not what tells rows of a topic apart. Train on more"
        " specific labels, or keep the label topic-level and say so.",
        example="1 of 100 retrieved, 95% interval 0.002 to 0.054, chance 0.010",
        waive="The warning may stand for a pair whose label is topic-level: its card says that it"
        " does not single out.",
    ),
)
def retrieves(measurement: Measurement) -> Iterator[Problem]:
    """Identity retrieval."""
    found = measurement.recomputed.retrieval
    if found.interval[0] <= found.chance:
        yield Problem(
            measurement.calibration_path,
            f"{found.hits} of {found.n} retrieved, 95% interval {found.interval[0]:.3f} to"
            f" {found.interval[1]:.3f}, chance {found.chance:.3f}",
        )


@rule(
    "NLA606",
    "error",
    "the AV says different things of different activations",
    each=MEASURED,
    page=Page(
        checks="Among the explanations there are at least 3 different beginnings (60 characters)"
        " per 10 rows, up to 8 in all, unless gates.min_prefixes_per_row and gates.min_prefixes"
        " say otherwise.",
        why="A collapsed AV passes gates of loss and cosine: one of SolshineCode's gates passed"
        " with a single text in 68 rows. The numbers are those of the tripwire and the diversity"
        " test that it adopted afterwards.",
        fix="Train the base or the AV longer, lower the learning rate, and check that the"
        " injection reaches the marker.",
        example="1 different beginning in 100 explanations; it takes 8",
        waive="Never: a constant explains nothing.",
    ),
)
def texts_differ(measurement: Measurement) -> Iterator[Problem | Skip]:
    """Distinct prefixes of the rows with an explanation."""
    counts = measurement.recomputed.diversity
    if counts.n == 0:
        yield _NO_TEXT
        return
    gates = measurement.gates
    needed = min(math.ceil(gates.min_prefixes_per_row * counts.n), gates.min_prefixes)
    if counts.distinct_prefixes_60 < needed:
        yield Problem(
            measurement.evidence_folder / ROWS_NAME,
            f"{counts.distinct_prefixes_60} different beginning"
            f"{'s' * (counts.distinct_prefixes_60 != 1)} in {counts.n} explanations; it takes"
            f" {needed}",
        )


@rule(
    "NLA607",
    "error",
    "what is injected changes what is said",
    each=MEASURED,
    page=Page(
        checks="Less than gates.max_same_as_random of the explanations, half unless release.yaml"
        " sets it, are word for word what the AV says when a random direction of the same norm is"
        " injected instead.",
        why="When the injection does not reach the marker the AV describes its prompt, always"
        " alike; the reference calls this the first thing to rule out"
        " (kitft/natural_language_autoencoders, docs/inference.md).",
        fix="Check scale (NLA102), marker and neighbours (NLA201) and that the hook fires, then"
        " train again.",
        example="74 of 100 explanations are what a random vector gives",
        waive="Never: the text then does not come from the activation.",
    ),
)
def injection_matters(measurement: Measurement) -> Iterator[Problem | Skip]:
    """The random-vector control, as text."""
    counts = measurement.recomputed.injection
    if counts.n == 0:
        yield _NO_TEXT
    elif counts.random_vector_same_text >= measurement.gates.max_same_as_random * counts.n:
        yield Problem(
            measurement.evidence_folder / ROWS_NAME,
            f"{counts.random_vector_same_text} of {counts.n} explanations are what a random vector"
            " gives",
        )
