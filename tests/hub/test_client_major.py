"""Both majors of the client: `make test` runs the tests marked `wire` with each."""

import os

import huggingface_hub
import pytest
from huggingface_hub.utils import httpx

pytestmark = pytest.mark.wire


def test_the_client_is_of_the_major_that_this_run_is_for():
    major = os.environ.get("NLA_TEST_HUB_MAJOR", "2")
    assert huggingface_hub.__version__.split(".")[0] == major
    assert httpx.__name__ == {"1": "httpx", "2": "httpx2"}[major]
