"""What the AR read for every tensor of some evidence, worked out from its rows.

The texts are in the rows or follow from them, so that the same AR can be asked again, and another
AR can be asked the same.
"""

from dataclasses import dataclass

from nla_release.contract.explanation import Explanation
from nla_release.diagnostics import registered
from nla_release.diagnostics.asking import Seen, Texts
from nla_release.evidence.controls import row_texts
from nla_release.evidence.parts import Evidence


def all_texts(evidence: Evidence) -> dict[str, Texts]:
    """The texts of every tensor that holds reconstructions, those of diagnostics as they ask.

    What a row keeps is taken from it; the rest follows from the rows' claims and source texts.
    """
    rows = evidence.rows
    position = {row.id: at for at, row in enumerate(rows)}
    seen = Seen(
        data=_Recorded(
            ids=[row.id for row in rows],
            documents=list(evidence.documents),
            texts=[row.text for row in rows],
            paraphrases=[row.texts.get("paraphrase") for row in rows],
            claims=[row.claims or None for row in rows],
        ),
        said=[Explanation(row.explanation, row.status, row.raw) for row in rows],
        other_rows=[position[row.shuffled_from] for row in rows],
        seed=evidence.run.seed,
    )
    asked = {
        tensor: texts
        for diagnostic in registered()
        if diagnostic.name in evidence.run.probed and diagnostic.ask
        for tensor, texts in diagnostic.ask(seen).texts.items()
        if tensor in evidence.vectors
    }
    return asked | row_texts(evidence)


@dataclass(frozen=True)
class _Recorded:
    """The data of a run, as far as its rows keep it."""

    ids: list[str]
    documents: list[str]
    texts: list[str | None]
    paraphrases: list[str | None]
    claims: list[list[str] | None]
