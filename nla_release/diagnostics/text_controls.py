"""The AR's reconstructions of gibberish, of shuffled words and of the source text.

Gibberish and shuffled words show whether the AR reads more than the length of its text. The source
text, as if it were an explanation, shows what a perfect quotation would score.
"""

from collections.abc import Iterator
from typing import Literal, get_args

from pydantic import Field

from nla_release.diagnostics.model import (
    Diagnostic,
    DiagnosticEvidence,
    DiagnosticInputs,
    Plan,
    Texts,
    control_row,
)
from nla_release.diagnostics.texts import gibberish, word_shuffled
from nla_release.evidence.controls import CONTROLS, scores
from nla_release.evidence.parts import Evidence
from nla_release.io.schema import Strict
from nla_release.statistics.blocks import Control, Cosine, Inconclusive, too_few
from nla_release.statistics.measures import FORMAT_3, Measures
from nla_release.statistics.row import Row

TextControlName = Literal["gibberish", "word_shuffled", "source_text"]


class TextControls(Strict):
    """The scores of other texts, paired with those of the explanations.

    Cosines are centred, and failed rows 0 in every text; plain before format 3.
    """

    real: Cosine = Field(description="of the explanation itself, over all rows")
    controls: dict[TextControlName, Control] = Field(
        description="random letters of equal length, the words in another order, and the source"
        " text; source_text only when every row has one"
    )


def report(evidence: Evidence, measures: Measures = FORMAT_3) -> TextControls | Inconclusive | None:
    """The text controls that the AR was given."""
    names = [name for name in get_args(TextControlName) if name in evidence.vectors]
    if not names:
        return None
    real = scores(evidence, "real", measures)
    return too_few(evidence.documents) or TextControls(
        real=real.mean(),
        controls=measures.controls(
            real,
            {name: scores(evidence, name, measures) for name in names},
            evidence.documents,
            {name: int(evidence.failed(name).sum()) for name in names},
        ),
    )


def _rows(found: TextControls) -> Iterator[Row]:
    for name in get_args(TextControlName):
        if control := found.controls.get(name):
            yield control_row(
                "Cosine of the explanation", found.real, control, CONTROLS[name].words
            )


def ask(inputs: DiagnosticInputs) -> Plan:
    """The AR reads gibberish, shuffled words, and the source texts where all rows have one."""
    texts: dict[str, Texts] = {
        "gibberish": [it and gibberish(it, id_, inputs.seed) for id_, it in inputs.rows()],
        "word_shuffled": [it and word_shuffled(it, id_, inputs.seed) for id_, it in inputs.rows()],
    }
    if None not in inputs.data.texts:
        texts["source_text"] = list(inputs.data.texts)
    return Plan({"seed": inputs.seed, "conditions": list(texts)}, texts=texts)


DIAGNOSTIC = Diagnostic(
    name="text-controls",
    title="text controls",
    meaning="gibberish, shuffled words and the source text through the AR",
    records=TextControls,
    report=report,
    rows=_rows,
    ask=ask,
    recorded=DiagnosticEvidence(
        {"gibberish": len, "word_shuffled": len}, sometimes={"source_text": len}
    ),
)
