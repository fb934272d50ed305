"""What the verbs work on: a release that passes, made once, and a copy to break."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nla_release.cli.check import command
from tests.pairs.zoo import good_release


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release that passes: never change it, copy it."""
    return good_release(tmp_path_factory.mktemp("good") / "release").folder


@pytest.fixture
def release(good: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    return Path(shutil.copytree(good, tmp_path / "release"))


@pytest.fixture
def check() -> Callable[..., Result]:
    """Run `nla-release check`."""

    def check(*arguments: object) -> Result:
        return CliRunner().invoke(command, [str(argument) for argument in arguments])

    return check
