"""A calibration as plain text: what was asked, every metric beside its control, and the label."""

from nla_release.calibration.report import CONTROL_NAMES, Calibration, Denominators
from nla_release.output.metric_line import (
    HEADER,
    Line,
    aligned,
    cosine_line,
    fve_line,
    retrieval_line,
)
from nla_release.output.probe_lines import probe_lines, probe_sentences


def calibration_table(calibration: Calibration) -> str:
    """Aligned lines, without a final newline; every interval is that of the difference."""
    lines = [
        HEADER,
        *(
            cosine_line(calibration.cosine.mean, name, calibration.controls[name])
            for name in CONTROL_NAMES
            if name in calibration.controls
        ),
        *headline_lines(calibration),
        *probe_lines(calibration.probes),
    ]
    sentences = probe_sentences(calibration.probes)
    return "\n".join(
        [
            denominators_line(calibration.denominators),
            "",
            *aligned(lines),
            *(["", *sentences] if sentences else []),
            "",
            calibration.label.sentence,
        ]
    )


def headline_lines(calibration: Calibration) -> list[Line]:
    """What a card's headline has besides the cosine: variance explained, and retrieval."""
    return [
        fve_line("fve", "mean vector", calibration.fve),
        fve_line("fve, mean norm", "mean direction", calibration.fve_mean_norm),
        retrieval_line("retrieval", calibration.retrieval),
    ]


def denominators_line(denominators: Denominators) -> str:
    """What was asked and what became of it, on one line."""
    return (
        f"asked {denominators.rows} · ok {denominators.ok} · empty {denominators.empty}"
        f" · truncated {denominators.truncated} · unparsed {denominators.unparsed}"
    )
