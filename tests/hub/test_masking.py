"""What looks like a secret is blotted out, and the words around it stay."""

import pytest

from nla_release.io.masking import masked


@pytest.mark.parametrize(
    "text",
    [
        "hf_abcdefgh12345678",
        "got hf_jwt_eyJhbGciOi.J9abc-_def here",
        "Authorization: Bearer some.token-0123456789",
        "https://cdn/x?X-Amz-Credential=AKIA123/2026&X-Amz-Signature=0123abcdef&e=1",
        "https://hub/x?token=0123456789",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJyZXBvIn0.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(text):
    shown = masked(text)

    assert "***" in shown
    assert not any(
        part in shown
        for part in ("abcdefgh", "0123", "AKIA", "J9abc", "some.token", "eyJ", "c2lnbmF0")
    )


def test_words_around_a_secret_stay():
    assert masked("bearer of bad news: hf_token is not set") == (
        "bearer of bad news: hf_token is not set"
    )
    assert masked("x 12345678 y", ["12345678", "y"]) == "x *** y"
