"""Whether the injected vector changes the explanation, and whether the marker leaks into it.

An AV that ignores the vector describes its prompt: in the same words for every vector, often naming
the marker, and often in the marker's script. yulonglin's proxies found 24% to 35% of one AV's
outputs to be Chinese for no other reason. The shares are of the AV's whole outputs, failed ones
included, since a leak is often why they failed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field

from nla_release.contract.explanation import Status
from nla_release.diagnostics.model import Diagnostic, DiagnosticEvidence, DiagnosticInputs, Plan
from nla_release.evidence.parts import Evidence
from nla_release.evidence.records import VectorCondition
from nla_release.io.schema import Strict, holds
from nla_release.statistics.blocks import Inconclusive, Ratio, too_few
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.row import Row, share_row

VectorName = Literal["random_vector", "zero_vector", "half_scale", "double_scale"]
OutputName = Literal["real", "random_vector", "half_scale", "double_scale"]

_SCALE_FACTORS: dict[VectorCondition, float] = {"half_scale": 0.5, "double_scale": 2.0}

_WORDS: dict[VectorName | OutputName, str] = {
    "real": "the activation",
    "random_vector": "a random direction",
    "zero_vector": "the zero vector",
    "half_scale": "the activation at half scale",
    "double_scale": "the activation at double scale",
}

# Han, Kana and Hangul with their extensions and half-width forms (Unicode 16, Blocks.txt). The
# enclosed CJK letters, where markers such as U+3297 come from, are not among them.
CJK = re.compile(
    "[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff]"
)

# A marker itself, or words by which outputs were seen to describe one.
_MARKER = re.compile(
    "[\u3200-\u33ff]"
    r"|\b(?:special|unusual|unknown|strange|foreign|placeholder|unicode|chinese|japanese|korean|cjk)"
    r" (?:characters?|symbols?|tokens?|glyphs?)\b"
    r"|\b(?:marker|placeholder) (?:character|symbol|token|tag)s?\b"
    r"|\bconcept tags?\b|</?concept>",
    re.IGNORECASE,
)


class ZeroOutput(Strict):
    """The AV's output for the zero vector, one for all rows."""

    status: Status = Field(description="of the output")
    cjk: bool = Field(description="whether it holds CJK characters")
    marker: bool = Field(description="whether it shows or describes the marker")


class InjectionControls(Strict):
    """The AV's explanations of other vectors, and what its outputs should not contain."""

    same_text: dict[VectorName, Ratio] = Field(
        description="explanations that are word for word what the AV says of a random direction, of"
        " the zero vector, and of the row's own vector at half and at double the scale; over rows"
        " with an explanation"
    )
    cjk: Annotated[dict[OutputName | Literal["source"], Ratio], holds("real", "random_vector")] = (
        Field(
            description="outputs with Chinese, Japanese or Korean characters, and source texts with"
            " them; over all rows, and all rows with a source text"
        )
    )
    marker: Annotated[dict[OutputName, Ratio], holds("real", "random_vector")] = Field(
        description="outputs that show or describe the marker, over all rows"
    )
    zero_vector: ZeroOutput = Field(description="the one output for the zero vector")


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> InjectionControls | Inconclusive:
    """Random and zero vectors are in all evidence; the other scales only when it ran."""
    if few := too_few(evidence.documents):
        return few
    rows = evidence.rows
    scales = [name for name in get_args(VectorCondition) if name in rows[0].spoken]
    outputs: dict[OutputName, list[str]] = {
        "real": [row.raw for row in rows],
        "random_vector": [row.random_vector.raw for row in rows],
        **{name: [row.spoken[name].raw for row in rows] for name in scales},
    }

    def share(pattern: re.Pattern[str], texts: Sequence[str], documents: Sequence[str]) -> Ratio:
        return measures.ratio([bool(pattern.search(text)) for text in texts], documents)

    cjk: dict[OutputName | Literal["source"], Ratio] = {
        name: share(CJK, texts, evidence.documents) for name, texts in outputs.items()
    }
    if sources := [(row.text, row.document) for row in rows if row.text is not None]:
        cjk["source"] = share(CJK, *zip(*sources, strict=True))
    zero = evidence.run.zero_vector
    return InjectionControls(
        same_text=_same_text(evidence, scales, measures),
        cjk=cjk,
        marker={name: share(_MARKER, texts, evidence.documents) for name, texts in outputs.items()},
        zero_vector=ZeroOutput(
            status=zero.status,
            cjk=bool(CJK.search(zero.raw)),
            marker=bool(_MARKER.search(zero.raw)),
        ),
    )


def _same_text(
    evidence: Evidence, scales: Iterable[VectorCondition], measures: Measures
) -> dict[VectorName, Ratio]:
    explained = [row for row in evidence.rows if row.status == "ok"]
    if not explained:
        return {}
    zero = evidence.run.zero_vector.explanation
    others: dict[VectorName, list[str]] = {
        "random_vector": [row.random_vector.explanation for row in explained],
        "zero_vector": [zero] * len(explained),
        **{name: [row.spoken[name].explanation for row in explained] for name in scales},
    }
    own, documents = ([row.explanation for row in explained], [row.document for row in explained])
    return {
        name: measures.ratio(
            [one == other for one, other in zip(own, texts, strict=True)], documents
        )
        for name, texts in others.items()
    }


def _rows(found: InjectionControls) -> Iterator[Row]:
    for vector in get_args(VectorName):
        if same := found.same_text.get(vector):
            yield share_row(f"Same explanation as for {_WORDS[vector]}", same)
    source = found.cjk.get("source")
    for output in get_args(OutputName):
        if seen := found.cjk.get(output):
            yield share_row(
                f"Chinese, Japanese or Korean for {_WORDS[output]}",
                seen,
                source.share if source else None,
                "in source texts" if source else "",
            )
    for output in get_args(OutputName):
        if seen := found.marker.get(output):
            yield share_row(f"Marker shown or described for {_WORDS[output]}", seen)


def ask(_: DiagnosticInputs) -> Plan:
    """The AV explains the activations at half and at double scale."""
    return Plan({f"{key}_factor": it for key, it in _SCALE_FACTORS.items()}, _SCALE_FACTORS)


DIAGNOSTIC = Diagnostic(
    name="injection",
    title="injection",
    meaning="what the AV says of other vectors",
    records=InjectionControls,
    report=report,
    rows=_rows,
    ask=ask,
    recorded=DiagnosticEvidence(spoken=tuple(_SCALE_FACTORS)),
)
