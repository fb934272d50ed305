"""A pickled head becomes safetensors; its original is kept, and nothing in it is executed."""

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.numpy
import torch

from nla_release.fixes import write
from tests.builders_pair import WIDTH
from tests.fixes.steps import contents, fixed, fixes, left_alone
from tests.pairs.zoo import HEAD, SIDECAR, in_sidecar, judged


def pickled(ar: Path, state=None) -> Path:
    """A state, by default the AR's own head, as `torch.save` writes it in the head's place."""
    values = safetensors.numpy.load_file(ar / HEAD)
    (ar / HEAD).unlink()
    own = {name: torch.from_numpy(value) for name, value in values.items()}
    torch.save(own if state is None else state, ar / "linear_head.pt")
    return ar / "linear_head.pt"


@pytest.fixture
def ar(release):
    return release / "pair" / "ar"


def codes(folder, what):
    return {finding.code for finding in judged(folder, what).findings}


@pytest.mark.parametrize("what", ["pair", "release"])
def test_a_pickled_head_is_converted_and_kept_beside_the_adapters(release, ar, good, what):
    pickle = pickled(ar).read_bytes()
    assert {"NLA301", "NLA305"} <= codes(release, what)
    folder = release if what == "release" else release / what

    fixed(folder)

    before, after = contents(good), contents(release)
    kept = (folder / "originals" / "ar" / "linear_head.pt").relative_to(release).as_posix()
    assert after.pop(kept) == pickle
    assert after == before, "to the byte, so that the evidence is still of this head"
    assert codes(release, what) == set()
    assert fixes(folder) == []


def test_the_head_of_a_lone_folder_is_kept_beside_it(release, ar):
    pickled(ar)

    fixes_of_ar = fixes(ar)
    for fix in fixes_of_ar:
        write(fix)

    assert (release / "pair" / "originals" / "ar" / "linear_head.pt").is_file()
    assert sorted(path.name for path in ar.iterdir() if "head" in path.name) == [HEAD]


def test_nothing_is_lost_wherever_it_is_interrupted(release, ar, good):
    pickled(ar)
    for _ in range(3):
        first, *rest = fixes(release)
        write(first)

    assert rest == []
    assert fixes(release) == []
    assert contents(release).keys() - contents(good).keys() == {"originals/ar/linear_head.pt"}


def test_another_original_is_never_overwritten(release, ar):
    pickle = pickled(ar)
    kept = release / "originals" / "ar" / "linear_head.pt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"another")
    before = contents(release)

    assert fixed(release) == []
    assert contents(release) == before
    (left,) = left_alone(release)
    assert left.path == pickle
    assert left.reason == f"it cannot be kept as {kept}, which is another file"


def test_originals_that_lead_elsewhere_are_not_written_into(release, ar, tmp_path):
    pickled(ar)
    (tmp_path / "elsewhere").mkdir()
    (release / "originals").symlink_to(tmp_path / "elsewhere")

    assert fixed(release) == []
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "which is not a place of its own" in left_alone(release)[0].reason


def test_an_adapter_that_lies_in_originals_keeps_its_only_copy(release, ar):
    """The place to keep it would be the place where it is."""
    pickled(ar)
    (release / "originals").mkdir()
    ar.rename(release / "originals" / "ar")
    text = (release / "release.yaml").read_text()
    (release / "release.yaml").write_text(text.replace("ar: pair/ar", "ar: originals/ar"))
    before = contents(release)

    assert fixed(release) == []
    assert contents(release) == before


def test_a_malicious_pickle_is_refused_not_executed_and_left_where_it_is(release, ar, tmp_path):
    target = tmp_path / "executed"

    class Malicious:
        def __reduce__(self):
            return (Path.touch, (target,))

    pickle = pickled(ar, Malicious())
    torch.load(pickle, weights_only=False)
    assert target.exists(), "the pickle is a real one"
    target.unlink()
    before = contents(release)

    assert fixed(release) == []

    assert not target.exists()
    assert contents(release) == before
    (left,) = left_alone(release)
    assert left.path == pickle
    assert left.reason.startswith("holds code, getattr, which was not executed; ")


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"weight": torch.eye(WIDTH, dtype=torch.float16)}, "(16, 16) F16"),
        ({"weight": torch.eye(8)}, "(8, 8) F32"),
        ({"weight": torch.eye(WIDTH), "bias": torch.ones(WIDTH)}, "'bias': (16,) F32"),
        ({"weight": torch.zeros(WIDTH, WIDTH)}, "weight is all zero"),
        ({"lm_head": torch.eye(WIDTH)}, "expected one weight"),
        ([torch.eye(WIDTH)], "holds a list, expected tensors by name"),
    ],
)
def test_a_head_that_its_sidecar_does_not_declare_is_not_converted(release, ar, state, words):
    pickled(ar, state)
    before = contents(release)

    assert fixed(release) == []
    assert contents(release) == before
    assert words in left_alone(release)[0].reason


def test_two_pickled_heads_are_a_question_of_which(release, ar):
    pickle = pickled(ar)
    (ar / "value_head.pth").write_bytes(pickle.read_bytes())

    assert fixed(release) == []
    assert left_alone(release)[0].reason == (
        "linear_head.pt, value_head.pth: keep the one that is the head"
    )


def test_a_pickle_beside_a_head_is_left_to_be_found(release, ar):
    """Nobody knows which of the two was measured."""
    head = (ar / HEAD).read_bytes()
    pickled(ar)
    (ar / HEAD).write_bytes(head)

    assert fixed(release) == []
    assert [left.reason for left in left_alone(release)] == [
        "linear_head.pt beside value_head.safetensors: take out what is not the head"
    ]
    assert codes(release, "release") == {"NLA301"}


def test_a_pickle_that_is_a_link_is_not_opened(release, ar, tmp_path):
    outside = tmp_path / "outside.pt"
    pickled(ar).rename(outside)
    (ar / "linear_head.pt").symlink_to(outside)

    assert fixed(release) == []
    assert outside.exists()


@pytest.mark.parametrize("break_it", ["damage", "remove"])
def test_without_a_sidecar_nobody_says_what_the_head_must_be(release, ar, break_it):
    pickled(ar)
    if break_it == "damage":
        in_sidecar(release / "pair", "ar", ["nla_release", "ar_head", "shape"], [1, 2, 3])
    else:
        (ar / SIDECAR).unlink()

    assert fixed(release) == []


def test_without_the_engine_the_card_is_still_mended(release, ar):
    pickle = pickled(ar)
    card = release / "dist" / "ar" / "README.md"
    card.write_text(card.read_text().replace("library_name: peft", "library_name: x"))
    code = f"""
import sys
class NoTorch:
    def find_spec(self, name, *_):
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, NoTorch())
sys.argv = ["nla-release", "check", {str(release)!r}, "--fix"]
from nla_release.cli import main
main()
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert (
        f"left alone  {pickle}  the engine is not installed (torch is missing);"
        " pip install 'nla-release[engine]"
    ) in done.stderr
    assert f"fixed  {card}  library_name is peft (NLA501)\n" in done.stderr
    assert pickle.exists()
