"""The real thing, made once: the demo's pair on the tiny base, and a pair that collapsed."""

import gc
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import settings

from nla_release.cards.plot import Plot
from nla_release.cards.render import render
from nla_release.cli.edge import print_messages
from nla_release.release.folder import Release, read_release
from tests import drawn
from tests.builders_pair import make_release
from tests.warm import nla_release
from train.demo import ONE_THREAD, RECIPE, VERSION, prepare, steps

COLLAPSED = RECIPE.with_name("tiny-collapsed.yaml")

# Speed is measured in benchmarks, never in a test.
settings.register_profile("project", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("project")

os.environ |= ONE_THREAD
drawn.keep()
print_messages()

# A shell that starts the suite in the background has SIGINT ignored, and all children inherit that.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Nothing in the suite may reach a Hub that is not its own.
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"
# The client gives a busy machine ten seconds for an answer otherwise.
os.environ |= {f"HF_HUB_{name}_TIMEOUT": "1800" for name in ("ETAG", "DOWNLOAD")}
for name in ("HF_TOKEN", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "SOURCE_DATE_EPOCH"):
    os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Let the pairs be trained while other tests run: whatever waits for them comes last."""
    pairs = {"good_release", "collapsed_release"}
    waiting = {item.path for item in items if pairs & set(item.fixturenames)}
    items.sort(key=lambda it: 0 if it.path.name == "test_demo.py" else 1 + (it.path in waiting))


def pytest_collection_finish() -> None:
    """Spare the garbage collector all that was imported."""
    gc.freeze()


def run_steps(folder: Path, *, recipe: Path = RECIPE, first: str, last: str) -> None:
    """The demo's own steps in `folder`, from the one titled `first` to the one titled `last`."""
    titles = [title for title, _ in steps(folder)]
    for title, line in steps(folder)[titles.index(first) : titles.index(last) + 1]:
        line = [str(recipe) if part == os.path.relpath(RECIPE) else part for part in line]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{title}: {done.stdout}{done.stderr}"


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that all of pytest's processes share: the first to come makes it, others wait."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # As deep as the tests' own folders: copies keep the relative path to the base.
        root = root.parent / "shared"
        root.mkdir(exist_ok=True)
    with FileLock(root / f"{name}.lock"):
        if not (root / name / "whole").exists():
            shutil.rmtree(root / name, ignore_errors=True)
            make(root / name / "release")
            (root / name / "whole").touch()
    return root / name / "release"


@pytest.fixture(scope="session")
def good_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, up to the rendered and checked release: never change it, copy it."""

    def make(folder: Path) -> None:
        prepare(folder)
        run_steps(folder, first="write a corpus", last="check the release")

    return made_once(tmp_path_factory, "good", make)


@pytest.fixture(scope="session")
def collapsed_release(good_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair trained on labels of other rows, up to calibration: never change it, copy it.

    Its losses fall, its texts have the right form, and its cosine is that of the mean activation.
    """
    return made_once(tmp_path_factory, "collapsed", lambda folder: _collapse(good_release, folder))


def _collapse(good_release: Path, folder: Path) -> None:
    made_by_its_recipe = ("labels", "label.json", "build.json", "pair", "av.json", "ar.json")
    left_out = shutil.ignore_patterns(*made_by_its_recipe, "dist", "evidence")
    shutil.copytree(good_release, folder, ignore=left_out)
    run_steps(
        folder,
        recipe=COLLAPSED,
        first="train the pair",
        last="compute every number from the evidence",
    )


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A small release with made-up evidence, rendered: never change it, copy it."""

    def make(folder: Path) -> None:
        render(make_release(folder, rows=60, documents=12), VERSION)

    return read_release(made_once(tmp_path_factory, "rendered", make))


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """Copies a release, so that a test may change it."""

    def copied(folder: Path) -> Path:
        target = tmp_path / "release"
        shutil.copytree(folder, target)
        return target

    return copied


@pytest.fixture(scope="session")
def tool() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `nla-release` as a person does, in a process of its own."""
    return nla_release


@pytest.fixture(scope="session")
def version() -> str:
    """The demo's version."""
    return VERSION


@pytest.fixture(autouse=True)
def figures_drawn_once(request: pytest.FixtureRequest) -> Iterator[None]:
    """A figure of the same numbers is drawn once, but for the tests of figures."""
    if request.path.name == "test_figures.py":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plot, "files", drawn.drawn_once())
        yield
