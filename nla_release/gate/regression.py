"""NLA616: a release is not worse than the one before it."""

from collections.abc import Iterator
from pathlib import Path

from nla_release.calibration.compare import compare_two
from nla_release.calibration.comparison import Unpaired
from nla_release.calibration.measured import Measured, read_measured
from nla_release.errors import ConfigError
from nla_release.gate.adapter import reading
from nla_release.gate.findings import Page, Problem, Skip, UnreadableError
from nla_release.gate.model import SUBJECT, rule
from nla_release.gate.subject import Subject
from nla_release.release.folder import FILE_NAME
from nla_release.text.numbers import interval, number, signed


@rule(
    "NLA616",
    "error",
    "the release is not worse than the one before",
    each=SUBJECT,
    page=Page(
        checks="On the activations that both were measured on, the 95% interval of the centred"
        " cosine of this release minus that of the previous one, paired by row and clustered by"
        " document, does not lie below 0. Where they name other reference sets, the plain"
        " cosine's does not. `previous` in release.yaml names the folder of the previous release,"
        " of its evidence, or of one of its repositories, and not this release's own evidence.",
        why="SolshineCode/gpu-poor-nla sets 9 hits of 580 beside 3 of 580 for another model, one"
        " called significant and the other not, which is no comparison: counted apart the two do"
        " not separate (Fisher p = 0.14). The same rows in pairs tell a loss from noise.",
        fix="Look at `nla-release compare PREVIOUS .` and at the rows that got worse, and release"
        " the better checkpoint. Where this one is better at something else, say so on the card.",
        example="worse than the previous release (../v0.0.1): cosine 0.706 against 0.878,"
        " difference -0.172, 95% interval -0.195 to -0.148, n = 60 rows of 12 documents",
        waive="For a release that gives up some cosine on purpose, such as for texts that are"
        " easier to read; its card says so.",
    ),
)
def no_regression(subject: Subject) -> Iterator[Problem | Skip]:
    """The previous release's evidence, row against row."""
    release = subject.release
    if release is None or release.previous is None:
        yield Skip("no release.yaml here names a previous release")
        return
    if not subject.measurements:
        yield Skip("there is no evidence yet: run nla-release roundtrip")
        return
    measurement = subject.measurements[0]
    before = _previous(release.previous, str(release.config.previous))
    if before.evidence.run_sha256 == measurement.evidence.run_sha256:
        yield Problem(
            release.folder / FILE_NAME,
            f"previous, {before.name}, holds the evidence of this release",
        )
        return
    found = compare_two(before, Measured("this release", measurement.evidence))
    if isinstance(found, Unpaired):
        yield Skip(f"{before.name} cannot be compared: {found.reason}")
        return
    leading, asked = found.figures[0], f"{found.rows} rows of {found.documents} documents"
    if found.verdict == "inconclusive" or leading.interval is None:
        yield Skip(f"{before.name} has {asked} in common with this release, too few to compare")
    elif found.verdict == "worse":
        yield Problem(
            measurement.evidence_folder,
            f"worse than the previous release ({before.name}): {leading.name}"
            f" {number(leading.second)} against {number(leading.first)}, difference"
            f" {signed(leading.difference)}, 95% CI {interval(leading.interval)}, n = {asked}",
        )


def _previous(folder: Path, name: str) -> Measured:
    try:
        with reading(folder, "NLA616"):
            return read_measured(folder, name)
    except ConfigError as error:
        raise UnreadableError("NLA616", folder, error.message) from error
