"""NLA6xx, second half: what the numbers say of the pair. Computed from the evidence, not read."""

import math
from collections.abc import Iterator

from nla_release.calibration.evidence import ROWS_NAME, VECTORS_NAME
from nla_release.rules.model import Page, Problem, Skip, rule
from nla_release.rules.scopes import MEASURED
from nla_release.rules.subject import Measurement
from nla_release.text.numbers import interval, number, signed

_NO_TEXT = Skip("no row has an explanation, see NLA609")
_NO_INTERVAL = Skip("rows of so few documents give no interval, see NLA608")

# A reference of the same base, layer and normalisation scores what the other documents' mean does,
# or more, since it is of more rows: at a mean of norm 0.2 to 0.98, and 10 documents of 384
# dimensions, never less than 1.0 times as much. A fifth less is left for another mix of texts.
_LEAST_OF_OWN_MEAN = 0.8
# Below this the activations have no common direction to speak of, and nothing to compare.
_LEAST_MEAN = 0.1


@rule(
    "NLA603",
    "error",
    "the own explanation reconstructs better than another row's",
    each=MEASURED,
    page=Page(
        checks="The 95% interval of cosine(own text) - cosine(text of a row of another document),"
        " paired by row and resampled by document, lies above 0. So does that of"
        " probes.retrieval.all.percentile - 0.5, without which the label is format-only all the"
        " same.",
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
    if control.inconclusive:
        yield Skip(f"{control.inconclusive}, see NLA609")
    elif control.interval is None:
        yield _NO_INTERVAL
    elif control.interval[0] <= 0:
        low, high = control.interval
        yield Problem(
            measurement.calibration_path,
            f"own text {measurement.recomputed.cosine.mean:.3f}, another row's {control.mean:.3f}:"
            f" difference {control.difference:.3f}, 95% interval {low:.3f} to {high:.3f}",
        )
    elif (label := measurement.recomputed.label).name == "format-only":
        yield Problem(measurement.calibration_path, label.sentence)


@rule(
    "NLA604",
    "warning",
    "the pair reconstructs better than the mean activation",
    each=MEASURED,
    page=Page(
        checks="The 95% interval of cosine - cosine(always predicting the mean of the training"
        " activations), resampled by document, lies above 0, as on the card. And that mean is one"
        " of such activations: it scores at least 0.8 of what the"
        " mean of the evaluation's other documents scores.",
        why="On a layer of low variance the mean is hard to beat: it scores 0.985 on the"
        " reference's Gemma-3-12B (kitft/natural_language_autoencoders). The published 0.438 of"
        " SolshineCode/nla-gemma-4-e2b lies below its mean's 0.47 to 0.49. A reference mean of"
        " another layer scores next to nothing, and flatters whatever stands beside it.",
        fix="Train the AR longer: it has not learned the mean yet. Until then show the difference,"
        " and not the cosine. For a reference that does not fit, take the mean of the training"
        " activations of this base and layer, evaluation.reference, and measure again.",
        example="cosine 0.438, the mean activation scores 0.480: difference -0.042, 95% interval"
        " -0.060 to -0.023",
        waive="The warning may stand for a pair released as a step on the way, whose card says so.",
    ),
)
def beats_the_mean(measurement: Measurement) -> Iterator[Problem | Skip]:
    """The predict-mean control."""
    control = measurement.recomputed.controls["predict_mean"]
    if control.interval is None:
        yield _NO_INTERVAL
    elif control.interval[0] <= 0:
        yield Problem(
            measurement.calibration_path,
            f"cosine {number(measurement.recomputed.cosine.mean)}, the mean activation scores"
            f" {number(control.mean)}: difference {signed(control.difference)}, 95% interval"
            f" {interval(control.interval)}",
        )
    own = measurement.recomputed.reference.other_documents
    if own is not None and own > _LEAST_MEAN and control.mean < _LEAST_OF_OWN_MEAN * own:
        yield Problem(
            measurement.evidence_folder / VECTORS_NAME,
            f"reference_mean scores {control.mean:.3f} on these activations, the mean of their"
            f" other documents {own:.3f}: it is of another layer, base or kind of text",
        )


@rule(
    "NLA605",
    "warning",
    "reconstructions single out their activation above chance",
    each=MEASURED,
    page=Page(
        checks="The lower end of the 95% Wilson interval of top-1 retrieval is above chance, which"
        " is one in the number of rows; and so is that of the bootstrap interval, which takes the"
        " rows of a document together.",
        why="In 14 attempts of SolshineCode/nla-gemma-4-e2b retrieval stayed at chance while the"
        " cosine looked fine.",
        fix="The explanations name topics, not what tells rows of a topic apart. Train on more"
        " specific labels, or keep the label topic-level and say so.",
        example="1 of 100 retrieved, 95% interval 0.002 to 0.054, chance 0.010",
        waive="The warning may stand for a pair whose label is topic-level: its card says that it"
        " does not single out.",
    ),
)
def retrieves(measurement: Measurement) -> Iterator[Problem | Skip]:
    """Identity retrieval, by rows and by documents."""
    found = measurement.recomputed.retrieval
    hits, above = f"{found.hits} of {found.n} retrieved", found.above_chance_interval
    if found.interval[0] <= found.chance:
        yield Problem(
            measurement.calibration_path,
            f"{hits}, 95% interval {found.interval[0]:.3f} to {found.interval[1]:.3f}, chance"
            f" {found.chance:.3f}",
        )
    elif above is None:
        yield _NO_INTERVAL
    elif above[0] <= 0:
        yield Problem(
            measurement.calibration_path,
            f"{hits}, {above[0]:.3f} to {above[1]:.3f} above chance by documents",
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
