"""The numbers of the probes that prose may state, and where: beside the name of their probe."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from nla_release.calibration.blocks import Ranking
from nla_release.calibration.probes.ceiling import Ceiling
from nla_release.calibration.probes.discrimination import Discrimination
from nla_release.calibration.probes.injection import Injection
from nla_release.calibration.probes.paraphrase import Paraphrase, Rewording
from nla_release.calibration.probes.retrieval import Retrieval
from nla_release.calibration.probes.structural import Structural
from nla_release.calibration.probes.templates import Templates
from nla_release.calibration.probes.text_retrieval import TextRetrieval
from nla_release.calibration.report import Probes
from nla_release.prose.quantity import Metric, Quantity

# The metric under which prose states a number of calibration.json, by the start of its name. What
# a claim costs is an error that is read beside its controls.
PROBE_METRICS: dict[str, tuple[Metric, ...]] = {
    "probes.text_controls.real": ("cosine",),
    "probes.text_controls": ("control",),
    "probes.injection": ("diversity",),
    "probes.retrieval.margin": ("control",),
    "probes.retrieval": ("retrieval",),
    "probes.text_retrieval": ("retrieval",),
    "probes.claims": ("mse", "control", "fve"),
    "probes.paraphrase": ("control",),
    "probes.structural.real": ("cosine",),
    "probes.structural": ("control",),
    "probes.discrimination.cross_row": ("retrieval",),
    "probes.discrimination.auc": ("retrieval", "control"),
    "probes.discrimination": ("control",),
    "probes.templates": ("diversity",),
    "probes.ceiling": ("retrieval",),
    "contamination.clean": ("cosine",),
    "contamination": ("diversity",),
    "multiplicity": ("count",),
}

# How prose names a part of calibration.json beside the headline, by the start of its name.
_NAMED = {
    part: re.compile(rf"\b(?:{words})", re.IGNORECASE)
    for part, words in {
        "probes.text_controls": (
            r"gibberish|(?:shuffled|order\sof\sthe)\swords|word[- ]shuffl|words\sin|source\stext"
            r"|text\scontrols?"
        ),
        "probes.injection": (
            r"chinese|cjk|japanese|korean|markers?\b|scales?\b|random\s(?:direction|vector)"
            r"|zero\svector|injection"
        ),
        "probes.retrieval": r"mrr|reciprocal|rank|percentile|margin|draws?\b|farther|permutation",
        "probes.text_retrieval": (
            r"tf-?idf|lexical|encoder|source\s(?:text|document)|text\sretrieval"
            r"|explanations?\sto\s(?:its|their|the|source)?\s?documents?|by\swords"
        ),
        "probes.claims": r"claims?\b|statements?\b",
        "probes.paraphrase": r"paraphras|reword|sentence\s(?:shuffl|order)|sentences\sin",
        "probes.structural": r"shares?\b|structural|of\sthe\scosine",
        "probes.discrimination": (
            r"gibberish|discriminat|auc\b|area\sunder|source\stext|factual|l[12]\b"
        ),
        "probes.templates": (
            r"beginnings?\b|begin\b|prefix|templates?\b|duplicate|word\sfor\sword|said\sof\sanother"
        ),
        "probes.ceiling": r"ceiling|raw\sactivation|linear|nearest",
        "contamination": r"contaminat|training\s(?:document|text)|trained\son|overlap|shared?\b",
        "multiplicity": r"attempts?\b|tried|checkpoints?\b|intervals?\b|multiplicity",
    }.items()
}


def part_of(name: str) -> str | None:
    """The probe, or other part beside the headline, that a number of calibration.json is of."""
    return next((part for part in _NAMED if name.startswith(f"{part}.")), None)


def spoken_of(text: str, known: Iterable[Quantity]) -> list[Quantity]:
    """The numbers that a text may state: the headline's, and those of the parts that it names."""
    parts = {None, *(part for part, words in _NAMED.items() if words.search(text))}
    return [each for each in known if each.part in parts]


def of_probes(probes: Probes) -> Iterator[Quantity]:
    """What a card derives from the probes, and prose may."""
    for derived in (_of_rankings(probes), _of_cosines(probes), _of_counts(probes)):
        for each in derived:
            yield replace(each, part=_part_within(each.name))


def _part_within(name: str) -> str | None:
    """The part whose number a derived one is made from."""
    return next((part for part in _NAMED if part in name), None)


def _of_rankings(probes: Probes) -> Iterator[Quantity]:
    """How far above chance."""
    rankings: dict[str, Ranking] = {}
    if isinstance(found := probes.retrieval, Retrieval):
        rankings |= {"probes.retrieval.all": found.all, "probes.retrieval.drawn": found.drawn}
    if isinstance(matched := probes.text_retrieval, TextRetrieval):
        rankings |= {"probes.text_retrieval.lexical": matched.lexical}
        if isinstance(matched.encoder, Ranking):
            rankings |= {"probes.text_retrieval.encoder": matched.encoder}
    if isinstance(told := probes.discrimination, Discrimination):
        rankings |= {"probes.discrimination.cross_row": told.cross_row}
        yield Quantity("retrieval", "chance of probes.discrimination.auc", 0.5, derived=True)
        yield Quantity("control", "chance of probes.discrimination.auc", 0.5, derived=True)
    for path, ranking in rankings.items():
        yield from _above("retrieval", path, ranking.top1, ranking.chance, ranking.interval)


def _of_cosines(probes: Probes) -> Iterator[Quantity]:
    """What is left of the cosine, and the cosines that a rewording is held against."""
    if isinstance(structural := probes.structural, Structural):
        for name, given in structural.shares.items():
            left, path = 1 - given.share, f"1 - probes.structural.shares.{name}.share"
            for metric in ("control", "cosine"):
                yield Quantity(metric, path, left, derived=True)
                yield Quantity(metric, f"-({path})", -left, derived=True)
                yield Quantity(metric, path.removeprefix("1 - "), given.share, derived=True)
    if isinstance(reworded := probes.paraphrase, Paraphrase):
        for rewording, cost in reworded.rewordings.items():
            if isinstance(cost, Rewording):
                path = f"probes.paraphrase.rewordings.{rewording}"
                own = cost.mean + cost.difference
                yield Quantity("control", f"{path}.mean + .difference", own, derived=True)
                if cost.share:
                    gap = cost.difference / cost.share
                    yield Quantity("control", f"{path}.difference / .share", gap, derived=True)


def _of_counts(probes: Probes) -> Iterator[Quantity]:
    """Shares beside those of the source texts, of the labels, and of chance."""
    if isinstance(injected := probes.injection, Injection) and "source" in injected.cjk:
        source = injected.cjk["source"].share
        for output, seen in injected.cjk.items():
            yield from _above("diversity", f"probes.injection.cjk.{output}", seen.share, source)
    if isinstance(said := probes.templates, Templates) and said.gold_duplicates:
        path, labels = "probes.templates.duplicates", said.gold_duplicates.share
        yield from _above("diversity", path, said.duplicates.share, labels)
    if isinstance(raw := probes.ceiling, Ceiling):
        for name, share, chance in (
            ("nearest", raw.nearest, raw.nearest_chance),
            ("nearest_of_reconstructions", raw.nearest_of_reconstructions, raw.nearest_chance),
            ("probe", raw.probe, raw.probe_chance),
        ):
            yield from _above("retrieval", f"probes.ceiling.{name}", share.share, chance)


def _above(
    metric: Metric, path: str, value: float, baseline: float, bounds: tuple[float, ...] = ()
) -> Iterator[Quantity]:
    """A value and the ends of its interval, above what it is held against."""
    yield Quantity(metric, f"{path}, above its baseline", value - baseline, derived=True)
    for bound in bounds:
        name = f"{path}, an end above its baseline"
        yield Quantity(metric, name, bound - baseline, derived=True, edge=True)
