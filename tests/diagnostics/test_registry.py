"""One diagnostic is one module and one line of the list: all outputs follow from them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nla_release.cli.roundtrip import command
from nla_release.diagnostics import registered
from nla_release.diagnostics.model import Diagnostic
from nla_release.evidence.diagnostic_names import DIAGNOSTICS
from nla_release.release.config import Evaluation

ROOT = Path(__file__).resolve().parents[2]

TOY = """
from pydantic import Field
from nla_release.statistics.blocks import Ratio
from nla_release.statistics.row import share_row
from nla_release.diagnostics.model import Plan
from nla_release.diagnostics.model import Diagnostic, DiagnosticEvidence
from nla_release.io.schema import Strict

class Toy(Strict):
    shouted: Ratio = Field(description="explanations in capitals")

def report(evidence, measures):
    if "toy_shouted" not in evidence.vectors:
        return None
    hits = [row.explanation.isupper() for row in evidence.rows]
    return Toy(shouted=measures.ratio(hits, evidence.documents))

def ask(inputs):
    texts = [text and text.upper() for _, text in inputs.rows()]
    return Plan({"case": "upper"}, texts={"toy_shouted": texts})

DIAGNOSTIC = Diagnostic(
    name="toy",
    title="toy",
    meaning="whether explanations shout",
    records=Toy,
    report=report,
    rows=lambda found: [share_row("Explanations in capitals", found.shouted, 0.25, "in a toy")],
    sentences=lambda found: ["Nobody shouts."],
    ask=ask,
    recorded=DiagnosticEvidence({"toy_shouted": len}),
)
"""

SCRIPT = """
import json, sys, tempfile
from pathlib import Path
import nla_release.evidence.diagnostic_names as names

names.DIAGNOSTICS += ("toy",)

import nla_release.diagnostics as room

room.__path__.append(sys.argv[1])

from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import (write_evidence)
from nla_release.evidence.records import ProbeRecord
from nla_release.calibration.report import Calibration
from nla_release.cards.blocks import TABLES, expected_page_blocks
from nla_release.diagnostics.model import DiagnosticInputs
from nla_release.diagnostics.toy import DIAGNOSTIC
from nla_release.errors import EvidenceError
from nla_release.gate.evidence import not_as_computed
from nla_release.gate.subject import MeasurementFolder
from nla_release.report.render import _numbers
from nla_release.contract.explanation import Explanation
from nla_release.calibration.tables import calibration_table
from nla_release.release.config import Evaluation, Gates, chosen_probes
from tests.builders import evidence_parts

parts = evidence_parts(rows=60, documents=30)
parts.vectors["toy_shouted"] = parts.vectors["real"].copy()
folder = Path(tempfile.mkdtemp()) / "evidence"
try:
    write_evidence(folder, *parts)
except EvidenceError as error:
    refused = error.message
ran = parts.run.model_copy(update={"probes": [ProbeRecord(name="toy")]})
calibration = calibrate(write_evidence(folder, parts.rows, parts.vectors, ran))

parent = folder.parent
path = parent / "calibration.json"
path.write_text(calibration.dump())
def gate():
    measurement = MeasurementFolder(parent, (), Gates(), rendered=False)
    return not_as_computed(measurement.calibration, measurement.recomputed)

honest = gate()
edited = json.loads(calibration.dump())
edited["probes"]["toy"]["shouted"]["hits"] = 9
path.write_text(json.dumps(edited))
forged = gate()
path.write_text(calibration.dump())
json.dump({
    "report": _numbers(calibration),
    "gate": {"honest": honest, "forged": forged},
    "refused": refused,
    "read_back": Calibration.read(path) == calibration,
    "calibration": json.loads(calibration.dump())["probes"]["toy"]["shouted"]["hits"],
    "terminal": calibration_table(calibration),
    "page": expected_page_blocks(calibration)[TABLES],
    "chosen": chosen_probes(Evaluation(data="d", reference="r", probes=["toy"]).probes),
}, sys.stdout)
"""


@pytest.fixture(scope="module")
def seen_with_a_toy(tmp_path_factory):
    """What everything says when there is one module more, and its line in the list."""
    folder = tmp_path_factory.mktemp("room")
    (folder / "toy.py").write_text(TOY)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_new_diagnostic_is_in_the_calibration(seen_with_a_toy):
    assert seen_with_a_toy["calibration"] == 0
    assert seen_with_a_toy["read_back"]


def test_a_new_diagnostic_is_on_the_page_and_the_terminal_in_the_same_words(seen_with_a_toy):
    for output in ("page", "terminal"):
        text = seen_with_a_toy[output]
        assert "Toy" in text
        assert "whether explanations shout" in text
        assert "Nobody shouts." in text
        (line,) = (line for line in text.splitlines() if "Explanations in capitals" in line)
        for cell in ("0/60 = 0.000", "0.250: in a toy", "-0.250"):
            assert cell in line


def test_a_new_diagnostic_is_in_the_report(seen_with_a_toy):
    (table,) = [each for each in seen_with_a_toy["report"]["diagnostics"] if "Toy" in each["title"]]
    assert "0/60 = 0.000" in table["lines"][0]


def test_the_gate_recomputes_a_new_diagnostic(seen_with_a_toy):
    """What NLA602 compares: nothing differs, or the number that somebody edited."""
    assert seen_with_a_toy["gate"] == {
        "honest": [],
        "forged": ["probes.toy.shouted.hits is 9, the evidence gives 0"],
    }


def test_evidence_of_a_new_diagnostic_is_there_only_when_it_ran(seen_with_a_toy):
    assert seen_with_a_toy["refused"].endswith(
        "diagnostic toy did not run, but the evidence holds toy_shouted"
    )


def test_a_new_diagnostic_can_be_asked_for(seen_with_a_toy):
    assert seen_with_a_toy["chosen"] == ["toy"]


def by_name(each: Diagnostic) -> str:
    return each.name


@pytest.mark.parametrize("each", registered(), ids=by_name)
def test_every_diagnostic_is_documented_and_tested(each):
    docs = (ROOT / "docs" / "calibration.md").read_text(encoding="utf-8")
    own_tests = Path(__file__).parent / f"test_{each.key}.py"

    assert re.search(rf"^\*\*{each.key}\.\*?\*\*", docs, re.MULTILINE), "docs/calibration.md"
    assert f"nla_release.diagnostics.{each.key} import" in own_tests.read_text(encoding="utf-8")
    assert each.name in CliRunner().invoke(command, ["--help"]).output


@pytest.mark.parametrize("each", registered(), ids=by_name)
def test_every_diagnostic_is_asked_for_by_its_name_in_the_list(each):
    assert DIAGNOSTICS[registered().index(each)] == each.name
    assert Evaluation(data="d", reference="r", probes=[each.name]).probes == [each.name]


def test_names_are_read_without_the_modules():
    """release.yaml is parsed by commands that never compute anything."""
    code = (
        "import sys; import nla_release.diagnostics\n"
        "assert not {'numpy', 'pydantic', 'nla_release.diagnostics.claims'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
