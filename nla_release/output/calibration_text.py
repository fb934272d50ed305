"""A calibration as plain text: what was asked, every metric beside its control, and the label."""

from nla_release.calibration.report import (
    CONTROL_NAMES,
    Calibration,
    Control,
    Denominators,
    Fve,
    Retrieval,
)

_HEADER = ("metric", "value", "control", "", "difference", "95% interval of it", "n")
_NUMERIC_COLUMNS = (1, 3, 4, 6)
_NONE = "-"

_Line = tuple[str, str, str, str, str, str, str]


def calibration_table(calibration: Calibration) -> str:
    """Aligned lines, without a final newline; every interval is that of the difference."""
    lines = [
        _HEADER,
        *(
            _cosine_line(calibration.cosine.mean, name, calibration.controls[name])
            for name in CONTROL_NAMES
            if name in calibration.controls
        ),
        _fve_line("fve", "mean vector", calibration.fve),
        _fve_line("fve, mean norm", "mean direction", calibration.fve_mean_norm),
        _retrieval_line(calibration.retrieval),
    ]
    return "\n".join(
        [
            denominators_line(calibration.denominators),
            "",
            *_aligned(lines),
            "",
            calibration.label.sentence,
        ]
    )


def denominators_line(denominators: Denominators) -> str:
    """What was asked and what became of it, on one line."""
    return (
        f"asked {denominators.rows} · ok {denominators.ok} · empty {denominators.empty}"
        f" · truncated {denominators.truncated} · unparsed {denominators.unparsed}"
    )


def _cosine_line(value: float, name: str, control: Control) -> _Line:
    return (
        "cosine",
        _plain(value),
        name.replace("_", " "),
        _plain(control.mean),
        _signed(control.difference),
        _interval(control.interval),
        str(control.n),
    )


def _fve_line(metric: str, control: str, fve: Fve) -> _Line:
    """Explaining nothing is 0 by definition, so the difference is the value."""
    value = _NONE if fve.value is None else _plain(fve.value)
    difference = _NONE if fve.value is None else _signed(fve.value)
    return (metric, value, control, _plain(0), difference, _interval(fve.interval), str(fve.n))


def _retrieval_line(retrieval: Retrieval) -> _Line:
    low, high = (bound - retrieval.chance for bound in retrieval.interval)
    return (
        f"retrieval {retrieval.hits}/{retrieval.n}",
        _plain(retrieval.top1),
        f"chance 1/{retrieval.candidates}",
        _plain(retrieval.chance),
        _signed(retrieval.top1 - retrieval.chance),
        _interval((low, high)),
        str(retrieval.n),
    )


def _plain(value: float) -> str:
    return f"{value:.3f}"


def _signed(value: float) -> str:
    return f"{value:+.3f}"


def _interval(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:+.3f} to {interval[1]:+.3f}" if interval else _NONE


def _aligned(lines: list[_Line]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if position in _NUMERIC_COLUMNS else cell.ljust(width)
            for position, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
