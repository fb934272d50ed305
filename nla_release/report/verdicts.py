"""The two verdicts of a report: the gate and the quality of the pair.

Each is shown as a symbol, words and a colour. Neither is green while the other is bad, and no
colour is used without its symbol and word.
"""

from typing import Any, Literal

from nla_release.calibration.label import beats_the_mean, clauses, found_by_words
from nla_release.calibration.questions import questions
from nla_release.calibration.report import Calibration, CurrentCalibration, Grade, LabelName
from nla_release.gate.model import Decision, Verdict
from nla_release.report.figure import drawable, lowest, rows_figure
from nla_release.text.numbers import count

# Green, amber and red; open is amber too, and plain has no colour.
Rating = Literal["good", "partly", "bad", "open"]
SYMBOLS: dict[Rating, str] = {"good": "✓", "partly": "◐", "bad": "✗", "open": "?"}

_GATE: dict[Decision, Rating] = {"pass": "good", "fail": "bad", "inconclusive": "open"}
_GRADES: dict[Grade, Rating] = {"yes": "good", "partly": "partly", "no": "bad"}

_APART: dict[LabelName, str] = {
    "row-level": "Explanations tell rows of one document apart.",
    "document-level": "Explanations tell documents apart, but are not shown to tell rows of one"
    " document apart by more than the token.",
    "token-level": "Explanations tell rows apart, but are not shown to tell documents apart.",
    "format-only": "Explanations are not shown to belong to their own activations.",
}
_READS: dict[Grade, str] = {
    "yes": "The own text reconstructs its activation better than texts of other documents, and"
    " better than always predicting the mean.",
    "partly": "The own text reconstructs its activation better than texts of other documents. It is"
    " not shown to do better than always predicting the mean.",
    "no": "Reconstructions are not shown to belong to the own text.",
}
_USED: dict[Grade, str] = {
    "yes": "The words lead to the source document more often than chance.",
    "no": "The words are not shown to lead to the source document more often than chance.",
    "not measured": "Not measured: it takes source texts of enough documents.",
}
_OF_TOKENS = (
    "Not measured: the words do not lead to the source document, and words about a token need not."
)
_TOO_FEW = "Too few activations were measured to answer this."


def gate(verdict: Verdict, calibration: Calibration | None) -> dict[str, str]:
    """Whether the release is complete and honest."""
    state = _GATE[verdict.verdict]
    other = quality(calibration) if calibration else "open"
    return _shown(state, other, f"Gate: {verdict.verdict}")


def pair(verdict: Verdict, calibration: Calibration | None) -> dict[str, Any]:
    """How good the pair is: what must not be missed in a few words, then the reasons."""
    if calibration is None:
        return _shown("open", "open", "No label") | {"summary": "", "clauses": []}
    state, other = quality(calibration), _GATE[verdict.verdict]
    if not isinstance(calibration, CurrentCalibration):
        label = calibration.label
        old = f"Measured in format {calibration.schema_}, which does not answer the three questions"
        return _shown(state, other, f"{label.name.capitalize()}.") | {
            "summary": f"{old}. Run nla-release calibrate to recompute it from the same evidence.",
            "clauses": [("", label.sentence)],
        }
    said = clauses(calibration)
    answers = [each.grade for each in questions(calibration)]
    yes = answers.count("yes")
    return _shown(state, other, " ".join(each.head for each in said)) | {
        "summary": f"{yes} of {count(len(answers), 'question')} answered yes.",
        "clauses": [(each.head, each.reason) for each in said],
    }


def quality(calibration: Calibration) -> Rating:
    """The state of a label. One of an older format is open unless it is format-only."""
    if calibration.label.name == "format-only":
        return "bad"
    if calibration.label.name == "inconclusive" or not isinstance(calibration, CurrentCalibration):
        return "open"
    if not beats_the_mean(calibration):
        return "bad"
    grades = {each.grade for each in questions(calibration)}
    return "good" if grades == {"yes"} else "partly"


def answers(verdict: Verdict, calibration: Calibration | None) -> list[dict[str, str]]:
    """The three questions, each with its answer in words and one picture; none of older formats."""
    if not isinstance(calibration, CurrentCalibration):
        return []
    other = _GATE[verdict.verdict]
    asked = questions(calibration)
    low = lowest([row for each in asked for row in each.rows])
    return [
        _shown(_GRADES.get(each.grade, "open"), other, each.grade.capitalize())
        | {
            "question": each.question,
            "answer": _answer(each.name, each.grade, calibration),
            "figure": rows_figure(each.name.replace("_", "-"), each.question, each.rows, low)
            if drawable(each.rows)
            else "",
        }
        for each in asked
    ]


def _answer(question: str, grade: Grade, calibration: CurrentCalibration) -> str:
    if (label := calibration.label.name) == "inconclusive":
        return _TOO_FEW
    if question == "tells_rows_apart":
        return _APART[label]
    if grade == "not measured" and found_by_words(calibration) is not None:
        return _OF_TOKENS
    return (_READS if question == "reads_text" else _USED)[grade]


def _shown(state: Rating, other: Rating, words: str) -> dict[str, str]:
    colour = "plain" if state == "good" and other == "bad" else state
    return {"state": colour, "symbol": SYMBOLS[state], "words": words}
