"""What each probe asks of the pair beyond the base run.

A probe is a plan: which vectors the AV explains at other scales, and which texts the AR reads for
which tensor of the evidence. What the answers mean is computed later, from the evidence alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from nla_release.calibration import texts as say_again
from nla_release.calibration.records import ProbeName, Setting, TextCondition, VectorCondition
from nla_release.calibration.vectors import (
    CLAIM_TENSORS,
    DISCRIMINATION_TENSORS,
    ENCODER_TENSORS,
    JOINED_CLAIMS,
)
from nla_release.engine.activations import Activations
from nla_release.engine.controls import Texts, text_or_none
from nla_release.explanation import Explanation

SCALE_FACTORS: dict[VectorCondition, float] = {"half_scale": 0.5, "double_scale": 2.0}


@dataclass(frozen=True)
class Seen:
    """What the base run knows: the data, what the AV said of it, and each row's other row."""

    data: Activations
    said: list[Explanation]
    other_rows: Sequence[int]
    seed: int

    def rows(self) -> Iterator[tuple[str, str | None]]:
        """Every row's id and explanation, None where it failed."""
        yield from zip(self.data.ids, text_or_none(self.said), strict=True)


@dataclass(frozen=True)
class Plan:
    """What one probe asks for, and its settings for the record.

    Attributes:
        settings: what another person needs to ask for the same.
        scales: conditions under which the AV explains the activations again, with scale factors.
        texts: what the AR reads, by tensor.
        encoded: what the encoder embeds, by tensor.
        claims: each row's explanation in parts.
        skipped: why nothing is asked.
    """

    settings: dict[str, Setting] = field(default_factory=dict)
    scales: Mapping[VectorCondition, float] = field(default_factory=dict)
    texts: Mapping[str, Texts] = field(default_factory=dict)
    encoded: Mapping[str, Texts] = field(default_factory=dict)
    claims: list[list[str]] | None = None
    skipped: str | None = None

    @property
    def read(self) -> Texts:
        """All texts for the AR."""
        return [text for column in self.texts.values() for text in column]

    @property
    def row_texts(self) -> dict[TextCondition, list[str]]:
        """The texts that rows of the evidence keep, empty where there is none."""
        return {
            name: [text or "" for text in self.texts[name]]
            for name in get_args(TextCondition)
            if name in self.texts
        }


def plan(
    name: ProbeName, seen: Seen, *, encoder: Mapping[str, str], unusable: Mapping[ProbeName, str]
) -> Plan:
    """What the probe asks for; those that follow from the base run ask for nothing.

    Args:
        name: the probe.
        seen: the base run.
        encoder: who embeds texts and in which version, for the record.
        unusable: probes that cannot run for reasons outside the base run.
    """
    if reason := unusable.get(name):
        return Plan(skipped=reason)
    match name:
        case "text-controls":
            return _text_controls(seen)
        case "injection":
            return Plan({f"{key}_factor": it for key, it in SCALE_FACTORS.items()}, SCALE_FACTORS)
        case "text-retrieval":
            return _text_retrieval(seen, encoder)
        case "claims":
            return _claims(seen)
        case "paraphrase":
            return _paraphrase(seen)
        case "discrimination":
            return _discrimination(seen)
        case _:
            return Plan()


def _text_controls(seen: Seen) -> Plan:
    texts: dict[str, Texts] = {
        "gibberish": [it and say_again.gibberish(it, id_, seen.seed) for id_, it in seen.rows()],
        "word_shuffled": [
            it and say_again.word_shuffled(it, id_, seen.seed) for id_, it in seen.rows()
        ],
    }
    if None not in seen.data.texts:
        texts["source_text"] = list(seen.data.texts)
    return Plan({"seed": seen.seed, "conditions": list(texts)}, texts=texts)


def _paraphrase(seen: Seen) -> Plan:
    given = [text.strip() if text else None for text in seen.data.paraphrases]
    rows = list(zip(seen.rows(), given, strict=True))
    texts: dict[str, Texts] = {
        "sentence_shuffled": [
            it and say_again.sentence_shuffled(it, id_, seen.seed) for (id_, it), _ in rows
        ],
        "paraphrase": [
            it and (written or say_again.paraphrase(it, id_, seen.seed))
            for (id_, it), written in rows
        ],
    }
    count = sum(it is not None and bool(written) for (_, it), written in rows)
    return Plan({"seed": seen.seed, "given_in_the_data": count}, texts=texts)


def _claims(seen: Seen) -> Plan:
    given = [_told(claims) for claims in seen.data.claims]
    explained = [text for _, text in seen.rows()]
    claims = [
        (mine or say_again.split_claims(text)) if text else []
        for text, mine in zip(explained, given, strict=True)
    ]
    joined: Texts = []
    without: Texts = []
    unrelated: Texts = []
    for row, mine in enumerate(claims):
        if len(mine) < 2:
            continue
        others = _unrelated_claims(seen, claims, row)
        if not others:
            return Plan(skipped="no row has a claim that is unrelated to another row's")
        joined.append(say_again.join_claims(mine))
        for k in range(len(mine)):
            without.append(say_again.without_claim(mine, k))
            unrelated.append(say_again.with_unrelated(mine, k, others[k % len(others)]))
    settings: dict[str, Setting] = {
        "rows": sum(len(mine) > 1 for mine in claims),
        "rows_of_one_claim": sum(len(mine) == 1 for mine in claims),
        "given_in_the_data": sum(
            bool(mine and text) for mine, text in zip(given, explained, strict=True)
        ),
    }
    read = zip(CLAIM_TENSORS, (without, unrelated), strict=True)
    texts = {JOINED_CLAIMS: joined, **dict(read)}
    return Plan(settings, texts=texts, claims=claims)


def _told(claims: list[str] | None) -> list[str]:
    return [claim.strip() for claim in claims or [] if claim and claim.strip()]


def _unrelated_claims(seen: Seen, claims: Sequence[list[str]], row: int) -> list[str]:
    """Claims of another row that this one does not make itself.

    Of the row that its shuffled control is from, or of the next after that, in the order of the
    data, which has any; rows of other documents first.
    """
    documents, count = seen.data.documents, len(claims)
    turn = [(seen.other_rows[row] + step) % count for step in range(count)]
    for other in sorted(turn, key=lambda other: documents[other] == documents[row]):
        if unrelated := [claim for claim in claims[other] if claim not in claims[row]]:
            return unrelated
    return []


def _discrimination(seen: Seen) -> Plan:
    first: dict[str, tuple[str, str]] = {}
    for document, id_, text in zip(
        seen.data.documents, seen.data.ids, seen.data.texts, strict=True
    ):
        if text is not None:
            first.setdefault(document, (id_, text))
    if not first:
        return Plan(skipped="the data has no source texts")
    factual: Texts = [text for _, text in first.values()]
    gibberish: Texts = [say_again.gibberish(text, id_, seen.seed) for id_, text in first.values()]
    texts = dict(zip(DISCRIMINATION_TENSORS, (factual, gibberish), strict=True))
    return Plan({"seed": seen.seed, "documents": len(first)}, texts=texts)


def _text_retrieval(seen: Seen, encoder: Mapping[str, str]) -> Plan:
    if None in seen.data.texts:
        return Plan(skipped="rows of the data have no source text")
    explained: Texts = [text for _, text in seen.rows()]
    encoded = dict(zip(ENCODER_TENSORS, (explained, list(seen.data.texts)), strict=True))
    return Plan(dict(encoder), encoded=encoded)
