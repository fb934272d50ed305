"""What a reader does with what was published: copy the card's code, or call PEFT."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import snapshot_download

from nla_release import Pair
from nla_release.calibration.calibrate import calibrate
from nla_release.calibration.evidence_folder import read_evidence, write_evidence
from nla_release.cards.render import render
from nla_release.contract.sidecar import contract_digest, read_sidecar
from nla_release.evidence.controls import cosines
from nla_release.io.files import write_atomic
from nla_release.local_hub.server import LocalHub
from nla_release.release.folder import read_release
from tests.chats import CHATML, through_chat
from tests.sidecars import TINY_BASE
from tests.warm import Warm
from train.demo import usage_snippet

ROOT = Path(__file__).parent.parent
TAG = "v0.0.1"

SHOW_AV = """
import json as _json
print(_json.dumps({"activation": activation.tolist()}))
"""
SHOW_AR = """
import json as _json
print(_json.dumps({"reconstruction": reconstruction.flatten().tolist()}))
"""

LOAD_WITH_PEFT = """
import sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig
base_id, revision, repo, tag, quantized = sys.argv[1:]
nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
config = nf4 if quantized == "nf4" else None
base = AutoModelForCausalLM.from_pretrained(base_id, revision=revision, quantization_config=config)
model = PeftModel.from_pretrained(base, repo, revision=tag)
ids = torch.tensor([[2, 300, 301, 302]])
with torch.no_grad():
    on = model(input_ids=ids).logits
    with model.disable_adapter():
        off = model(input_ids=ids).logits
    hidden_on = model(input_ids=ids, output_hidden_states=True).hidden_states[4]
print("changed" if (on - off).abs().max() > 1e-3 else "no effect")
"""


@pytest.fixture(scope="module")
def published(good_release, tool, version):
    """The demo's pair on a local Hub that also holds the base."""
    root = good_release / "hub"
    done = tool("push", "--version", version, "--rehearse", "--hub-root", root, good_release)
    assert done.returncode == 0, done.stderr
    with LocalHub(root) as hub:
        yield hub


@pytest.fixture(scope="module")
def engine(good_release):
    return Pair.from_pretrained(
        good_release / "pair" / "av",
        good_release / "pair" / "ar",
        base=TINY_BASE,
        device="cpu",
    )


@pytest.fixture(scope="module")
def run_code(published, tmp_path_factory):
    """Runs code as a reader does, who has the libraries and nothing else of ours."""
    environment = {
        key: value
        for key, value in os.environ.items()
        if key in ("PATH", "OMP_NUM_THREADS", "LANG", "HOME")
    }
    home = str(tmp_path_factory.mktemp("home"))
    there = environment | {"HF_ENDPOINT": published.endpoint, "HF_HOME": home}
    process = Warm("torch", "transformers", "peft", environment=there)

    def printed(code, *arguments):
        done = process.run(["-c", code, *arguments])
        assert done.returncode == 0, done.stderr
        return done.stdout

    return printed


def imports(code):
    return {
        line.split()[1].split(".")[0]
        for line in code.splitlines()
        if line.startswith(("import ", "from "))
    }


def test_the_readmes_example_says_what_the_published_pair_reads_in_a_sentence(run_code):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)

    assert run_code(example).startswith("[' sail'] the word sail in a text about sailing")


def test_the_tutorials_examples_run_on_the_published_pair(run_code):
    page = (ROOT / "docs" / "tutorials" / "use-a-pair.md").read_text()

    assert "tensor(" in run_code("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)))


def test_the_notebook_explores_the_published_pair(run_code):
    notebook = json.loads((ROOT / "docs" / "tutorials" / "explore.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    printed = run_code("\n".join("".join(cell["source"]) for cell in cells))

    assert printed.count("same | ") == 8, "greedy decoding gives the published explanations"
    assert not any(cell["outputs"] for cell in cells), "outputs would go stale"


def test_the_av_cards_code_prints_what_the_engine_says(good_release, run_code, engine):
    snippet = usage_snippet((good_release / "dist" / "av" / "README.md").read_text())
    assert imports(snippet) <= {"torch", "transformers", "peft"}
    printed = run_code(snippet + SHOW_AV)
    *said, shown = printed.strip().splitlines()
    activation = torch.tensor([json.loads(shown)["activation"]])
    (explanation,) = engine.explain(activation, max_new_tokens=48)

    assert "\n".join(said) == explanation.raw
    assert explanation.status == "ok"


def test_the_av_cards_example_is_a_row_of_the_evidence(good_release, run_code):
    snippet = usage_snippet((good_release / "dist" / "av" / "README.md").read_text())
    printed = run_code(snippet).strip()
    evidence = read_evidence(good_release / "evidence")

    assert printed in {row.raw for row in evidence.rows}


def test_the_av_cards_code_of_a_chat_prints_what_the_engine_says(
    good_release, run_code, copy_of, tmp_path
):
    """The demo's pair with its prompt in turns: whatever it says there, both say the same."""
    release = copy_of(good_release)
    base = shutil.copytree(TINY_BASE, tmp_path / "base")
    through_chat(release / "pair" / "av", base, CHATML, {"enable_thinking": False})
    evidence = read_evidence(release / "evidence")
    digest = contract_digest(read_sidecar(release / "pair" / "av"))
    files = evidence.run.files | {"av/nla_meta.yaml": digest}
    run = evidence.run.model_copy(update={"files": files})
    again = write_evidence(
        release / "evidence", evidence.rows, evidence.vectors, run, shingles=evidence.shingles
    )
    write_atomic(release / "calibration.json", calibrate(again).dump())
    folders = render(read_release(release), "0.0.1").folders
    pair = Pair.from_pretrained(folders["av"], folders["ar"], base=base, device="cpu")
    snippet = usage_snippet((folders["av"] / "README.md").read_text())
    assert "    enable_thinking=False,\n" in snippet
    for name, folder in (("BASE", base), ("AV_REPO", folders["av"])):
        snippet = re.sub(
            rf"^{name} = .*$", f"{name} = {str(folder)!r}", snippet, flags=re.MULTILINE
        )

    printed = run_code(snippet + SHOW_AV)
    *said, shown = printed.strip().splitlines()
    activation = torch.tensor([json.loads(shown)["activation"]])
    (explanation,) = pair.explain(activation, max_new_tokens=48)

    assert "\n".join(said) == explanation.raw.strip()


def test_the_ar_cards_code_gives_what_the_engine_reconstructs(good_release, run_code, engine):
    snippet = usage_snippet((good_release / "dist" / "ar" / "README.md").read_text())
    printed = run_code(snippet + SHOW_AR)
    found = torch.tensor(json.loads(printed.strip().splitlines()[-1])["reconstruction"])
    namespace: dict[str, object] = {}
    head = snippet.split("device =")[0].replace("from ", "# from ").replace("import ", "# import ")
    exec(compile(head, "card", "exec"), namespace)
    expected = engine.reconstruct([str(namespace["EXPLANATION"])])[0]

    assert torch.allclose(found, expected, atol=1e-4)


RUN_FILE = """
import runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("role", ["av", "ar"])
def test_the_example_of_a_downloaded_copy_makes_the_round_trip(
    good_release, published, run_code, role, tmp_path
):
    """It takes the adapter of the copy that it lies in, and the partner from the Hub."""
    manifest = json.loads((good_release / "dist" / role / "release.json").read_text())
    assert "examples/round_trip.py" in manifest["files"]
    copy = snapshot_download(
        manifest["repo"], revision=TAG, local_dir=tmp_path / role, endpoint=published.endpoint
    )
    row = next(row for row in read_evidence(good_release / "evidence").rows if row.status == "ok")
    said, cosine = (
        line.partition(": ")[2]
        for line in run_code(RUN_FILE, f"{copy}/examples/round_trip.py").strip().splitlines()
    )

    assert said == row.explanation
    evidence = read_evidence(good_release / "evidence")
    expected = cosines(evidence, "real")[evidence.rows.index(row)]
    assert float(cosine) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("quantization", ["none", "nf4"])
@pytest.mark.parametrize("role", ["av", "ar"])
def test_peft_loads_both_adapters_by_tag_on_either_base(good_release, run_code, role, quantization):
    manifest = json.loads((good_release / "dist" / role / "release.json").read_text())
    printed = run_code(
        LOAD_WITH_PEFT,
        manifest["base"]["id"],
        manifest["base"]["revision"],
        manifest["repo"],
        TAG,
        quantization,
    )

    assert printed.strip() == "changed"


def test_the_engine_loads_what_was_published_from_the_hub(run_code, good_release):
    code = """
import sys
from nla_release import Pair
pair = Pair.from_pretrained(sys.argv[1], sys.argv[2], revision="v0.0.1", device="cpu")
print(pair.av.role, pair.ar.role, pair.base.revision)
"""
    manifests = [
        json.loads((good_release / "dist" / role / "release.json").read_text())
        for role in ("av", "ar")
    ]
    repos = [manifest["repo"] for manifest in manifests]
    printed = run_code(code, *repos)

    assert printed.strip() == f"av ar {manifests[0]['base']['revision']}"
