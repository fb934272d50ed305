"""Only the files of a release leave, and none that tells a secret; what is refused is named."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from nla_release.errors import RefusedError
from nla_release.hub.staging import checked_payload
from nla_release.release.config import Waiver
from nla_release.release.folder import ROLES
from tests.pairs.zoo import UNTIL

TOKEN = "hf_" + "aB3" * 11
OWN = "correct-horse-battery"


@pytest.mark.parametrize("role", ROLES)
def test_a_release_as_it_was_rendered_may_leave(release, role):
    checked_payload(release.dist / role, role)


def refusal(release, role="av", **options):
    with pytest.raises(RefusedError) as caught:
        checked_payload(release.dist / role, role, **options)
    assert TOKEN not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize(
    "name",
    [
        "notes.md",
        "optimizer.bin",
        "evidence/more.jsonl",
        "figures/run.gif",
        "figures/deep/a.png",
        "value_head.safetensors",  # an AV has no head
        "README.MD",
    ],
)
def test_a_file_that_is_none_of_this_roles_is_refused(release, name):
    path = release.dist / "av" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")

    assert name in refusal(release)


@pytest.mark.parametrize("name", [".env", ".gitattributes", ".git/config", "figures/.hidden.png"])
def test_hidden_files_are_refused_even_where_the_hub_would_make_them(release, name):
    path = release.dist / "av" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("x")

    assert f"{name} is hidden" in refusal(release)


def test_a_link_is_refused_wherever_it_leads(release, tmp_path):
    card = release.dist / "av" / "README.md"
    outside = tmp_path / "card.md"
    card.rename(outside)
    card.symlink_to(outside)
    assert "README.md is a link" in refusal(release)
    card.unlink()
    outside.rename(card)
    (release.dist / "ar" / "more").symlink_to("/etc")
    assert "more is a link" in refusal(release, "ar")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (TOKEN, "a Hugging Face token"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ("AKIA" + "Q" * 16, "an AWS key"),
        ("see /home/ada/runs/step_9", "a path of one machine"),
    ],
)
@pytest.mark.parametrize("name", ["README.md", "nla_meta.yaml", "training_log.jsonl"])
def test_a_secret_or_private_path_in_a_text_is_refused_and_not_repeated(release, name, text, kind):
    path = release.dist / "av" / name
    with path.open("a") as file:
        file.write(f"# {text}\n")
    message = refusal(release)

    assert name in message
    assert kind in message
    assert text not in message


def test_a_secret_in_the_metadata_of_weights_is_refused(release):
    path = release.dist / "ar" / "value_head.safetensors"
    save_file({"weight": np.eye(4, dtype=np.float32)}, path, {"by": json.dumps({"key": TOKEN})})

    assert "value_head.safetensors holds a Hugging Face token" in refusal(release, "ar")


def test_a_secret_behind_the_end_of_weights_is_refused(release):
    path = release.dist / "ar" / "value_head.safetensors"
    with path.open("ab") as file:
        file.write(TOKEN.encode())

    assert "value_head.safetensors holds a Hugging Face token" in refusal(release, "ar")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("calibration.json", OWN),
        ("nla_meta.yaml", f"# {OWN}"),
        ("README.md", OWN.replace("-", "&#45;")),
        ("evidence/rows.jsonl", OWN.replace("c", r"\u0063")),
        (f"figures/{OWN}.png", "x"),
    ],
)
def test_the_token_of_whoever_pushes_never_leaves_whatever_it_looks_like(
    release, monkeypatch, name, text
):
    """Neither does a waiver let it, nor that a file is too long to be searched for others."""
    monkeypatch.setenv("HF_TOKEN", f"{OWN}\n")
    monkeypatch.setattr("nla_release.gate.leaks.MAX_BYTES", 10)
    path = release.dist / "av" / name
    path.write_text(text)
    waived = [Waiver(code=code, reason="tried", until=UNTIL) for code in ("NLA504", "NLA703")]
    message = refusal(release, waived=waived)

    place = "the name of a file in it" if OWN in name else name
    assert f"{place} holds a token of this machine" in message
    assert OWN not in message


def test_a_secret_in_a_figures_text_is_refused(release):
    path = next((release.dist / "av" / "figures").iterdir())
    with path.open("ab") as file:
        file.write(TOKEN.encode())

    assert f"figures/{path.name} holds a Hugging Face token" in refusal(release)


def test_what_its_author_waived_may_leave(release):
    (release.dist / "av" / "notes.md").write_text("x")
    waiver = Waiver(code="NLA703", reason="readers need it", until=UNTIL)
    checked_payload(release.dist / "av", "av", [waiver])

    assert "notes.md" in refusal(release)


def test_what_is_refused_is_counted(release):
    for number in range(9):
        (release.dist / "av" / f"{number}.txt").write_text("x")

    assert "and 3 more" in refusal(release)
