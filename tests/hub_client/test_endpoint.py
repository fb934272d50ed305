"""HF_ENDPOINT names a Hub, or is said to name none; journal and plan repeat what it holds."""

import pytest

from nla_release.errors import ConfigError
from nla_release.hub_client.place import checked_endpoint
from nla_release.hub_client.remote import Hub


@pytest.mark.parametrize(
    "address",
    ["https://huggingface.co", "http://127.0.0.1:8765", "http://[::1]:80", "https://hub.test/hf"],
)
def test_an_address_of_a_hub_is_taken_as_it_is(address):
    assert checked_endpoint(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "http://[bad",
        "http://127.0.0.1:99999999",
        "http://127.0.0.1:port",
        "http://127.0.0.1:0",
        "localhost:8765",
        "huggingface.co",
        "ftp://huggingface.co",
        "https://",
        "https://:80",
        "https://a b",
        "https://person:hidden@hub.test",
        "https://hidden@hub.test",
        "https://hub.test?token=hidden",
        "https://hub.test/#hidden",
    ],
)
def test_what_is_no_address_of_a_hub_is_not_repeated(address, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    with pytest.raises(ConfigError, match="HF_ENDPOINT is not the address of a Hub") as refusal:
        Hub.from_environment(writing=False)
    assert "hidden" not in refusal.value.message + refusal.value.hint


@pytest.mark.parametrize("address", ["http://[bad", "http://127.0.0.1:99999999"])
def test_a_verb_says_so_before_the_client_stumbles_over_it(tool, address):
    done = tool("verify", "a/b@v0.0.1", environment={"HF_ENDPOINT": address})

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "error: HF_ENDPOINT is not the address of a Hub"
    assert tool("--help", environment={"HF_ENDPOINT": address}).returncode == 0
