"""Verdicts to be rendered, made of outcomes as rules make them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path

from nla_release.calibration.report import Grades, Label
from nla_release.gate.findings import Problem, Skip, Unverified
from nla_release.gate.model import Outcome, Scope, Verdict, rule
from nla_release.release.config import Waiver

FOLDER = Path("releases/tiny")


def outcome(
    code: str,
    *results: Problem | Skip | Unverified,
    severity: str = "error",
    inconclusive: bool = False,
    waiver: Waiver | None = None,
) -> Outcome:
    """What becomes of a rule whose function gives these results."""

    def check(_target: None) -> Iterable[Problem | Skip | Unverified]:
        """What the rule does.

        Checks: The width of the file.
        Why: A file <em>once</em> had another width & nobody saw it.
        Fix: Save it again.
        Example: width 8, expected 16
        Waive: While the next release is trained.
        Since: 0.0.0
        """
        return results

    scope = Scope(lambda _: [None], "nothing of the kind")
    made = rule(
        code,
        severity,
        f"what {code} asks for is there",
        each=scope,
        inconclusive=inconclusive,
    )(check)
    applied = made.apply(None, strict=False)
    return replace(applied, waiver=waiver)


PASSED = outcome("NLA101")
SKIPPED = outcome("NLA202", Skip("no tokenizer of someone/tiny is on this machine"))
FAILED = outcome(
    "NLA301",
    Problem(FOLDER / "pair/av/head.pt", "is or may hold a pickle"),
    Problem(FOLDER / "pair/av/a file: 100%, of <it>.bin", "is or may hold a pickle | 50%"),
    Skip("releases/tiny/pair/ar cannot be used, see NLA302"),
)
WARNED = outcome(
    "NLA604",
    Problem(FOLDER / "calibration.json", "cosine 0.438, of the mean activation 0.480"),
    severity="warning",
)
WAIVED = outcome(
    "NLA605",
    Problem(FOLDER / "calibration.json", "1 of 100 retrieved, chance 0.010"),
    severity="warning",
    waiver=Waiver(
        code="NLA605", reason="document-level, as v0.2 will fix", until=date(2027, 3, 31)
    ),
)
UNDECIDED = outcome(
    "NLA608",
    Problem(FOLDER / "evidence/rows.jsonl", "10 rows of 2 documents, at least 50 of 10 required"),
    severity="warning",
    inconclusive=True,
)

WORDS = outcome("NLA514", Unverified(f"{FOLDER}/dist/av: notes: limitations | summary"))

# A complete release of a pair that reads nothing, and a broken one of a pair that reads rows.
READS_NOTHING = Label(
    name="format-only",
    sentence="Format-only. Nothing is shown.",
    grades=Grades(reads_text="no", tells_rows_apart="no", readable="not measured"),
)
READS_ROWS = Label(
    name="row-level",
    sentence="Row-level. Rows are told apart.",
    grades=Grades(reads_text="yes", tells_rows_apart="yes", readable="yes"),
)

VERDICTS = {
    "pass": Verdict((PASSED, SKIPPED, WAIVED, WORDS), label=READS_NOTHING),
    "fail": Verdict((PASSED, SKIPPED, FAILED, WARNED, WAIVED), label=READS_ROWS),
    "inconclusive": Verdict((PASSED, SKIPPED, WARNED, UNDECIDED)),
}
