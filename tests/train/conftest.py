"""What the tests of the chain share."""

import pytest

from tests.train.built import build_rows


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Rows of a part of the tiny corpus: never change them, copy them."""
    return build_rows(tmp_path_factory.mktemp("built"))
