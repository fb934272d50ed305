"""NLA504: what tells secrets, or where and by whom a pair was made; one way each.

Secrets are made of their parts here, so that no scanner takes this file for a leak.
"""

import zlib
from pathlib import Path

import safetensors.numpy

from nla_release.gate.leaks import MAX_BYTES
from tests.pairs.zoo import WEIGHTS, append_text, defect, list_anew

FIGURE = "figures/cosine_real_vs_controls.png"


@defect("NLA504", "dist")
def windows_path_told(dist: Path) -> None:
    append_text(dist / "av" / "RELEASE_CALIBRATION.md", "\nMade in `C:\\Users\\me\\nla`.\n")


@defect("NLA504", "pair")
def path_of_the_trainer_told(pair: Path) -> None:
    (pair / "av" / "stats.json").write_text('{"from": "experiments\\\\v8_local\\\\stats.json"}\n')


@defect("NLA504", "pair")
def home_told(pair: Path) -> None:
    (pair / "av" / "notes.md").write_text("trained in /home/me/nla\n")


@defect("NLA504", "pair")
def cluster_told(pair: Path) -> None:
    (pair / "ar" / "notes.md").write_text("data: /workspace-vast/me/rows\n")


@defect("NLA504", "pair")
def notebook_told(pair: Path) -> None:
    """A free notebook is no place that a reader has."""
    (pair / "ar" / "notes.md").write_text("started from /content/nla-av\n")


@defect("NLA504", "pair")
def share_told(pair: Path) -> None:
    (pair / "ar" / "notes.md").write_text("kept on \\\\lab-nas\\me\\nla\n")


@defect("NLA504", "pair")
def mount_told_by_a_machine(pair: Path) -> None:
    (pair / "av" / "stats.json").write_text('{"rows": "/data/nla/rows.parquet"}\n')


@defect("NLA504", "pair")
def mount_told_in_prose(pair: Path) -> None:
    """A warning: it may be an instruction."""
    (pair / "av" / "notes.md").write_text("Mount your data at /data/nla.\n")


@defect("NLA504", "pair")
def bucket_told_by_its_address(pair: Path) -> None:
    (pair / "ar" / "notes.md").write_text("rows: https://mine.s3.amazonaws.com/rows\n")


@defect("NLA504", "pair")
def bucket_told(pair: Path) -> None:
    (pair / "ar" / "notes.md").write_text("data from s3://mine/rows\n")


@defect("NLA504", "pair")
def run_of_a_tracker_told(pair: Path) -> None:
    (pair / "av" / "notes.md").write_text("Loss: https://wandb.ai/me/nla/runs/1a2b3c4d\n")


@defect("NLA504", "pair")
def rollout_told(pair: Path) -> None:
    (pair / "av" / "training.yaml").write_text("rollout_id: rl-7\n")


@defect("NLA504", "pair")
def checkpoint_told(pair: Path) -> None:
    (pair / "ar" / "notes.md").write_text("exported from iter_0003864\n")


@defect("NLA504", "pair")
def user_told(pair: Path) -> None:
    (pair / "av" / "stats.json").write_text('{"cosine": 0.4, "username": "ann"}\n')


@defect("NLA504", "pair")
def host_told(pair: Path) -> None:
    (pair / "av" / "notes.md").write_text("copied with scp ann@gpu-17.lab:runs/7 .\n")


@defect("NLA504", "pair")
def token_told(pair: Path) -> None:
    (pair / "av" / "env").write_text("HF_TOKEN=hf_" + "aB3" * 12 + "\n")


@defect("NLA504", "pair")
def token_told_in_utf_16(pair: Path) -> None:
    """As PowerShell writes what is redirected into a file."""
    (pair / "av" / "env.txt").write_text("ghp_" + "a1" * 18 + "\n", encoding="utf-16")


@defect("NLA504", "pair")
def password_told(pair: Path) -> None:
    (pair / "ar" / "notes.md").write_text(
        "pip install from https://ann:" + "s3cr3t" + "@host.lab/\n"
    )


@defect("NLA504", "pair")
def private_key_told(pair: Path) -> None:
    (pair / "ar" / "id").write_text("-----BEGIN OPENSSH " + "PRIVATE KEY-----\n")


@defect("NLA504", "pair")
def secret_told_in_a_quoted_text(pair: Path) -> None:
    """Rows may quote a path, and no secret."""
    (pair / "av" / "rows.jsonl").write_text('{"text": "in /home/me:\\nAKIA' + "ABCD" * 4 + '"}\n')


@defect("NLA504", "pair")
def path_told_in_a_header(pair: Path) -> None:
    path = pair / "av" / WEIGHTS
    tensors = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(tensors, path, metadata={"from": "/home/ann/runs/7"})


@defect("NLA504", "dist")
def path_told_in_a_picture(dist: Path) -> None:
    with_chunk(dist / "av" / FIGURE, b"tEXt", b"Source\0/home/ann/figures.py")


@defect("NLA504", "dist")
def path_told_in_a_compressed_text_of_a_picture(dist: Path) -> None:
    text = zlib.compress(b"C:\\Users\\ann\\figures.py")
    with_chunk(dist / "ar" / FIGURE, b"iTXt", b"Source\0\1\0\0\0" + text)


@defect("NLA504", "dist")
def run_told_in_a_name(dist: Path) -> None:
    (dist / "av" / "figures" / "run-20260711_120000-1a2b3c4d.png").write_bytes(b"")
    list_anew(dist / "av")


@defect("NLA504", "pair")
def more_text_than_is_searched(pair: Path) -> None:
    with (pair / "av" / "train.log").open("wb") as log:
        log.truncate(MAX_BYTES + 1)


def with_chunk(picture: Path, kind: bytes, data: bytes) -> None:
    """Put a chunk behind a PNG's header, and list the file anew."""
    before = picture.read_bytes()
    chunk = len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
    picture.write_bytes(before[:33] + chunk + before[33:])
    list_anew(picture.parents[1])
