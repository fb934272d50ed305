"""The probes of a calibration as lines of its table, and what they say in words."""

from collections.abc import Iterator
from typing import get_args

from nla_release.calibration.blocks import Inconclusive, Ranking
from nla_release.calibration.probes.ceiling import Ceiling
from nla_release.calibration.probes.claims import Claims
from nla_release.calibration.probes.discrimination import Discrimination
from nla_release.calibration.probes.injection import Injection
from nla_release.calibration.probes.paraphrase import Paraphrase, Rewording
from nla_release.calibration.probes.retrieval import Retrieval
from nla_release.calibration.probes.structural import Structural, StructuralName
from nla_release.calibration.probes.templates import Templates
from nla_release.calibration.probes.text_controls import TextControls
from nla_release.calibration.probes.text_retrieval import Skipped, TextRetrieval
from nla_release.calibration.report import Probes
from nla_release.output.metric_line import (
    Line,
    chance_line,
    cosine_line,
    line,
    ratio_line,
    retrieval_line,
)


def probe_lines(probes: Probes) -> list[Line]:
    """A few lines per probe; none of one that did not run or is inconclusive."""
    return [found for report in _reports(probes).values() for found in _lines(report)]


def probe_sentences(probes: Probes) -> list[str]:
    """Why a probe gives no number, and what follows from a paraphrase."""
    return [
        sentence
        for name, report in _reports(probes).items()
        for sentence in _sentences(name.replace("_", " "), report)
    ]


def _reports(probes: Probes) -> dict[str, object]:
    return {name: report for name in Probes.model_fields if (report := getattr(probes, name))}


def _lines(report: object) -> Iterator[Line]:
    match report:
        case TextControls():
            for name, control in report.controls.items():
                yield cosine_line(report.real, name, control)
        case Injection():
            yield from _injection(report)
        case Retrieval():
            yield retrieval_line(f"worst of {report.draws} draws", report.drawn)
            yield chance_line("reciprocal rank", report.all.mrr)
            yield chance_line("percentile", report.all.percentile)
            if report.margin:
                yield chance_line("margin", report.margin)
        case TextRetrieval():
            yield retrieval_line("text, lexical", report.lexical)
            if isinstance(report.encoder, Ranking):
                yield retrieval_line("text, encoder", report.encoder)
        case Claims():
            for null, missed in report.controls.items():
                yield line(
                    "mse without claim",
                    report.change,
                    null.replace("_", " "),
                    missed.mean,
                    missed.interval,
                    missed.n,
                )
        case Paraphrase():
            for wording, reworded in report.rewordings.items():
                if isinstance(reworded, Rewording):
                    yield _reworded(wording, reworded)
        case Structural():
            for given in get_args(StructuralName):
                share = report.shares[given]
                words = f"share of {given.replace('_', ' ')}"
                yield line(words, share.share, "none", 0, share.interval, share.n)
        case Discrimination():
            yield line(
                "cosine of facts",
                report.factual,
                "gibberish",
                report.gibberish,
                report.interval,
                report.n,
            )
            yield retrieval_line("facts", report.cross_row)
        case Templates():
            labels = report.gold_duplicates
            yield ratio_line(
                "texts of several documents",
                report.duplicates,
                "labels" if labels else "none",
                labels.share if labels else 0,
            )
        case Ceiling():
            yield ratio_line("nearest activation", report.nearest, "chance", report.nearest_chance)
            yield ratio_line("linear probe", report.probe, "chance", report.probe_chance)


def _reworded(wording: str, found: Rewording) -> Line:
    """The explanation's own cosine over the rows whose text changed, beside the reworded one."""
    real = found.mean + found.difference
    return line("cosine", real, wording.replace("_", " "), found.mean, found.interval, found.n)


def _injection(report: Injection) -> Iterator[Line]:
    for name, found in report.same_text.items():
        yield ratio_line(f"text of {name.replace('_', ' ')}", found)
    source = report.cjk.get("source")
    yield ratio_line(
        "CJK",
        report.cjk["real"],
        "source texts" if source else "none",
        source.share if source else 0,
    )
    yield ratio_line("marker described", report.marker["real"])


def _sentences(name: str, report: object) -> Iterator[str]:
    match report:
        case Inconclusive():
            yield f"{name}: inconclusive, {report.inconclusive}."
        case Paraphrase():
            for wording, found in report.rewordings.items():
                if isinstance(found, Rewording):
                    yield found.sentence
                else:
                    yield f"{wording.replace('_', ' ')}: inconclusive, {found.inconclusive}."
        case TextRetrieval(encoder=Skipped(skipped=reason)):
            yield f"{name}, encoder: skipped, {reason}."
