"""How many pairs were measured is counted from the logs, and filled into release.yaml."""

import shutil

import pytest

from nla_release.evidence.runs import MeasuredCount, RunLog, Started
from nla_release.io.files import read_yaml
from nla_release.io.layout import RUNS_FILE
from nla_release.release.folder import read_release
from nla_release.training.skeleton import fill_in, filled_in, measured_pairs


def measured(folder, number, weights):
    """A round trip of `nla-release train eval` on an AV of these weights, with the finished AR."""
    place = folder / "trajectory" / f"av-{number:06d}-ar-000004" / "evidence"
    place.mkdir(parents=True, exist_ok=True)
    lines = [
        Started(
            run=f"{at:016x}",
            time="2026-11-22T10:00:00Z",
            tool_version="0.1.0",
            base="someone/tiny@main",
            inputs={
                "data": "e" * 64,
                "av/adapter_model.safetensors": digest * 64,
                "ar/adapter_model.safetensors": "f" * 64,
            },
            rows=MeasuredCount(asked=12, available=307),
            documents=MeasuredCount(asked=3, available=60),
            seed=0,
            settings={},
        )
        for at, digest in enumerate(weights)
    ]
    (place / RUNS_FILE).write_text(RunLog(tuple(lines)).dump())


@pytest.fixture
def folder(rendered, copy_of):
    return copy_of(rendered.folder)


def test_pairs_that_were_trained_over_since_were_tried_too(folder):
    measured(folder, 2, "ab")
    measured(folder, 4, "ccd")

    assert len(measured_pairs(folder)) == 4, "the same weights twice are one pair"
    shutil.rmtree(folder / "trajectory")
    assert measured_pairs(folder) == set()


def test_the_number_is_filled_in_and_follows_what_is_measured(folder):
    measured(folder, 2, "ab")
    fill_in(folder)
    assert read_release(folder).config.evaluation.attempts == 2

    measured(folder, 4, "c")
    fill_in(folder)
    assert read_release(folder).config.evaluation.attempts == 3


@pytest.mark.parametrize(("stated", "said"), [(7, ""), (1, "but 2 pairs were measured here")])
def test_what_a_person_wrote_stays(folder, capsys, stated, said):
    path = folder / "release.yaml"
    text = path.read_text().replace("evaluation:\n", f"evaluation:\n  attempts: {stated}\n")
    path.write_text(text)
    measured(folder, 2, "ab")
    fill_in(folder)

    assert path.read_text() == text
    assert said in capsys.readouterr().err


def test_the_line_that_the_skeleton_leaves_for_a_person_is_replaced():
    text = "evaluation:\n  data: a\n  # attempts: 1  # EDIT: how many were tried\nnotes: n\n"

    assert filled_in(text, 0) == text
    filled = filled_in(text, 5)
    assert filled.count("attempts:") == 1
    assert "\n  attempts: 5  # measured by `nla-release train eval`" in filled


def test_a_release_without_a_place_for_it_is_left_alone_and_told(folder, capsys):
    path = folder / "release.yaml"
    document = read_yaml(path)
    flow = ", ".join(f"{key}: {value}" for key, value in document["evaluation"].items())
    head = path.read_text().partition("evaluation:")[0]
    rest = "citations:" + path.read_text().partition("citations:")[2]
    path.write_text(f"{head}evaluation: {{{flow}}}\n{rest}")
    before = path.read_text()
    measured(folder, 2, "ab")
    fill_in(folder)

    assert path.read_text() == before
    assert "write attempts: 2 under evaluation" in capsys.readouterr().err
