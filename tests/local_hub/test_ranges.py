"""Part of a file is had without the rest, which is how the real client reads a header."""

import json
import struct

import pytest
from huggingface_hub import hf_hub_url
from huggingface_hub.utils import get_session

HEADER = json.dumps(
    {"weight": {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}}
).encode()
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(range(250)) * 16
NAME = "model.safetensors"


@pytest.fixture
def ask(hub, repo, push):
    """Asks for a range of the weights."""
    commit = push({NAME: WEIGHTS})

    def ask(range_: str):
        url = hf_hub_url(repo, NAME, revision=commit, endpoint=hub.endpoint)
        return get_session().get(url, headers={"Range": range_, "Accept-Encoding": "identity"})

    return ask


@pytest.mark.parametrize(
    ("range_", "start", "stop"),
    [
        ("bytes=0-7", 0, 8),
        ("bytes=100-199", 100, 200),
        ("bytes=4000-", 4000, len(WEIGHTS)),
        ("bytes=-16", len(WEIGHTS) - 16, len(WEIGHTS)),
        ("bytes=0-99999999", 0, len(WEIGHTS)),
    ],
)
def test_a_range_is_those_bytes_and_says_which(ask, range_, start, stop):
    answer = ask(range_)

    assert (answer.status_code, answer.content) == (206, WEIGHTS[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(WEIGHTS)}"
    assert answer.headers["Content-Length"] == str(stop - start)


def test_a_range_past_the_end_is_refused_with_the_length(ask):
    answer = ask(f"bytes={len(WEIGHTS)}-")

    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == f"bytes */{len(WEIGHTS)}"


def test_the_real_client_reads_a_header_alone(api, hub, repo, push):
    push({NAME: WEIGHTS + bytes(1_000_000)})
    metadata = api.get_safetensors_metadata(repo)
    asked = [request for request in hub.log.requests if request.path.endswith(NAME)]

    assert metadata.weight_map == {"weight": NAME}
    assert [request.status for request in asked if request.method == "GET"] == [206]
    assert sum(request.size for request in asked) <= 100_001
