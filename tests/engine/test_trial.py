"""What was published is loaded with PEFT: the pair, or one half of it."""

import shutil

import pytest

from nla_release.engine.trial import load
from nla_release.errors import NlaReleaseError
from nla_release.release import ROLES, read_release


@pytest.fixture(scope="module")
def base(good_release):
    return read_release(good_release).base_path


@pytest.mark.parametrize("roles", [("av",), ("ar",), ROLES])
def test_rendered_repositories_load_alone_and_together(good_release, base, roles):
    loaded = load({role: good_release / "dist" / role for role in roles}, base)

    assert loaded.startswith(f"{' and '.join(role.upper() for role in roles)} on ")


def test_a_half_that_is_damaged_does_not_load(good_release, base, tmp_path):
    folder = shutil.copytree(good_release / "dist" / "ar", tmp_path / "ar")
    (folder / "value_head.safetensors").unlink()
    with pytest.raises(NlaReleaseError):
        load({"ar": folder}, base)
