"""What a user installs: the wheel, light or with the extra `train`, without a checkout."""

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.builders_pair import make_release
from tests.train.chain import labelled, shortened, write_corpus

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    target = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", target, ROOT],
        check=True,
    )
    (built,) = target.glob("*.whl")
    return built


def new_environment(place):
    """An environment with nothing in it; gives its folder of commands."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    return place / "bin"


def install(commands, *requirement):
    """Let pip install something into an environment."""
    pip = [sys.executable, "-m", "pip", "--python", commands / "python", "install"]
    subprocess.run([*pip, "--quiet", "--no-compile", *requirement], check=True)


def test_the_wheel_carries_templates_sidecars_and_recipes_and_no_checkout(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    assert "nla_release/model_cards/av.md.jinja" in names
    assert "nla_release/model_cards/citations.bib" in names
    assert "nla_release/sidecars/README.md" in names
    assert "nla_release/recipes/gemma-3-1b.yaml" in names
    assert "nla_release/training/av.py" in names
    assert "nla_release/py.typed" in names
    assert not any(name.startswith(("train/", "tests/", "model_cards/")) for name in names)


def test_the_light_install_renders_and_checks_a_card_without_torch(wheel, tmp_path):
    commands = new_environment(tmp_path / "venv")
    install(commands, "-c", ROOT / "constraints.txt", wheel)
    python, tool = commands / "python", commands / "nla-release"
    release = make_release(tmp_path / "release", rows=60, documents=12)
    render = subprocess.run(
        [tool, "render", "--version", "0.0.1", release.folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert render.returncode == 0, render.stderr
    assert (release.dist / "av" / "README.md").read_text().startswith("---\nlicense: apache-2.0")
    check = subprocess.run(
        [tool, "check", release.dist], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert check.returncode == 0, check.stdout + check.stderr
    torch = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert torch.returncode != 0, "the light install must not bring torch"
    roundtrip = subprocess.run(
        [tool, "roundtrip", release.folder], capture_output=True, text=True, check=False
    )
    assert roundtrip.returncode == 4
    assert "pip install 'nla-release[engine]" in roundtrip.stderr
    training = subprocess.run(
        [tool, "train", "av", "recipe.yaml"], capture_output=True, text=True, check=False
    )
    assert training.returncode == 4
    assert "pip install 'nla-release[train]" in training.stderr


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The wheel with the extra `train`: pip looks for its libraries among links to those here."""
    place = tmp_path_factory.mktemp("installed")
    (libraries := place / "libraries").mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.suffix != ".pth" and not path.name.startswith("nla_release"):
            (libraries / path.name).symlink_to(path)
    commands = new_environment(place / "venv")
    (site,) = (place / "venv" / "lib").glob("python*/site-packages")
    (site / "libraries.pth").write_text(f"{libraries}\n")
    install(commands, "--no-index", f"{wheel}[train]")
    return commands


@pytest.fixture
def ran(installed, tmp_path):
    """Runs a command of that environment, far from the checkout."""

    def run(*line):
        environment = {**os.environ}
        environment.pop("PYTHONPATH", None)
        name, *arguments = map(str, line)
        return subprocess.run(
            [installed / name, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
        )

    return run


def test_an_installed_user_copies_a_recipe(ran, tmp_path):
    done = ran("nla-release", "train", "recipe", "gemma-3-1b", "--out", "recipe.yaml")

    assert done.returncode == 0, done.stderr
    shipped = ROOT / "train" / "recipes" / "gemma-3-1b.yaml"
    assert (tmp_path / "recipe.yaml").read_bytes() == shipped.read_bytes()


def test_an_installed_user_trains_both_adapters_without_a_checkout(ran, tmp_path):
    write_corpus(tmp_path / "corpus.jsonl", *labelled(40))
    shares = {"av": 0.4, "ar": 0.4, "eval": 0.2}
    shortened(tmp_path, split=shares, av={"steps": 2}, ar={"steps": 2})
    found = ran(
        "python", "-c", "import nla_release, sys; print(nla_release.__file__); import train"
    )
    assert str(ROOT) not in found.stdout
    assert "No module named 'train'" in found.stderr

    done = ran("nla-release", "train", "run", "recipe.yaml", "--to", "ar", "--device", "cpu")

    assert done.returncode == 0, done.stderr
    for role in ("av", "ar"):
        log = (tmp_path / "pair" / role / "training_log.jsonl").read_text()
        assert len(log.splitlines()) == 2
    assert (tmp_path / "release.yaml").exists()
