"""What a stranger installs: the wheel, without extras, in an environment of its own."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.builders_pair import make_release

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


def test_the_wheel_carries_templates_and_sidecars_and_leaves_training_out(wheel):
    names = zipfile.ZipFile(wheel).namelist()

    assert "nla_release/model_cards/av.md.jinja" in names
    assert "nla_release/model_cards/citations.bib" in names
    assert "nla_release/sidecars/README.md" in names
    assert "nla_release/py.typed" in names
    assert not any(name.startswith(("train/", "tests/", "model_cards/")) for name in names)


def test_the_light_install_renders_and_checks_a_card_without_torch(wheel, tmp_path):
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", wheel], check=True)
    release = make_release(tmp_path / "release", rows=60, documents=12)
    tool = environment / "bin" / "nla-release"
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
