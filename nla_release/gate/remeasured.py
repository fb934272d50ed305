"""NLA711: published evidence against what the pair answers now. Asked with --measure only."""

from collections.abc import Iterator

from nla_release.calibration.remeasured import Remeasured
from nla_release.evidence.parts import ROWS_NAME, VECTORS_NAME
from nla_release.gate.findings import Page, Problem
from nla_release.gate.model import Scope, rule
from nla_release.gate.subject import Remeasurement
from nla_release.text.numbers import number

_REMEASURED = Scope[Remeasurement](
    lambda subject: [subject.remeasured] if subject.remeasured else [],
    "no row was measured again: the files fail other rules",
)


@rule(
    "NLA711",
    "error",
    "the pair gives the evidence again",
    each=_REMEASURED,
    page=Page(
        checks="With `verify --measure N` or `check --measure N`: the base gives the activations of"
        " N rows of the evidence again, at the last token of their texts; the AV explains the"
        " published ones again, and the AR reads their published texts, those of the controls and"
        " the new explanations. 1 - the cosine of a published activation with the base's may be"
        " 0.005 in float32, 0.02 in another precision and 0.1 with another quantization than it was"
        " measured or trained in. Rows without a text are not extracted again, and the output says"
        " how many. Cosines with the activation, and the cosine of both"
        " reconstructions of a text, may change by 0.001 in float32, 0.02 in the recorded precision"
        " on the recorded kind of device, 0.05 in another dtype or on another device, and 0.2 with"
        " another quantization. In float32 a tenth of the explanations may differ, in another"
        " recorded precision half of them, but one always may. Published explanations may"
        " reconstruct better than the new ones by a mean of 0.001, 0.005, 0.010 and 0.040; the"
        " lower limit of its 95% interval decides.",
        why="Every other rule compares files with each other. Evidence whose reconstructions are"
        " the activations plus noise, or whose activations were invented so that the pair reads"
        " them well, passes every one of them once all hashes are computed again. A"
        " seed that was not known at publication decides which rows are measured: 20 rows find"
        " evidence of which 14% is invented with a probability of 95%.",
        fix="Readers: repeat it with the printed --measure-seed, on the recorded precision, and ask"
        " the publisher. Publishers: `nla-release roundtrip --fresh` with the files that you"
        " publish.",
        example="the AR does not give the published reconstructions: in row doc-7-21 of tensor real"
        " a cosine differs by 0.112 (tolerance 0.020)",
        waive="Never: a measurement that was asked for is reported.",
    ),
)
def evidence_measured_again(measurement: Remeasurement) -> Iterator[Problem]:
    """The base's activations, the AR's reconstructions, then the AV's texts."""
    folder, found = measurement
    if found.activation and not found.activations_agree:
        yield Problem(
            folder / VECTORS_NAME,
            "the base does not give the published activations: in row"
            f" {found.activation.row} the cosine of both is {number(1 - found.activation.value)}"
            f" (minimum {number(1 - found.tolerance.activation)}; {_again(found)})",
        )
    allowed = number(found.tolerance.cosine)
    if not found.ar_agrees:
        far, what = max(
            (found.cosine, "a cosine with the activation changes"),
            (found.apart, "1 - the cosine of both reconstructions is larger than 0"),
            key=lambda each: each[0].value,
        )
        yield Problem(
            folder / VECTORS_NAME,
            f"the AR does not give the published reconstructions: in row {far.row} of tensor"
            f" {far.tensor} {what}, by {number(far.value)} (tolerance {allowed}; {_again(found)})",
        )
    if not found.texts_agree:
        yield Problem(
            folder / ROWS_NAME,
            f"the AV does not say the published explanations: {found.texts_same} of {found.rows}"
            f" are the same ({_again(found)})",
        )
    if not found.texts_as_good:
        yield Problem(
            folder / ROWS_NAME,
            f"the published explanations reconstruct better than the AV's own: mean cosine"
            f" {number(found.published)} against {number(found.again)}, a difference of at least"
            f" {number(found.loss_at_least)} (tolerance {number(found.tolerance.loss)};"
            f" {_again(found)})",
        )


def _again(found: Remeasured) -> str:
    return f"--measure-seed {found.seed}"
