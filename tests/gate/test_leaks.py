"""What tells secrets or places is found in any text, and what only looks like it is not."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nla_release.gate.leaks import ACCOUNTS, MOUNTS, PLACES, SECRETS, leaks

ALL = (*SECRETS, *PLACES, *MOUNTS, *ACCOUNTS)

# In two parts where whole ones would make a scanner take this file for a leak.
TOLD = {
    "a Hugging Face token": [
        "hf_" + "aB3" * 12, "hf_oauth_" + "a1" * 15, "api_org_" + "aZ" * 17,
        '{"env": "first\\nhf_' + "aB3" * 12 + '"}',
    ],
    "a GitHub token": ["ghp_" + "a" * 36, "github_pat_" + "1A" * 11 + "_x"],
    "an API key": [
        "sk-" + "a1" * 12, "sk-proj-" + "a_-1" * 8, "sk-ant-api03-" + "aB-_" * 8, "AIza" + "a" * 35,
        "gsk_" + "aB3" * 17,
    ],
    "a GitLab token": ["glpat-" + "aB3_-" * 4],
    "a package registry's token": ["npm_" + "aB3" * 12, "pypi-AgE" + "IcHlwaS5vcmc" * 4],
    "an AWS key": [
        "AKIA" + "ABCD1234" * 2, "aws_secret_access_key = " + "a/+Z" * 10,
        '"SecretAccessKey": "' + "a/+Z" * 10 + '"',
    ],
    "a Slack token": ["xoxb" + "-1234567890-abc", "https://hooks.slack.com/services" + "/T0/B0/x"],
    "a Weights & Biases key": ["WANDB_API_KEY=" + "0a" * 20, "wandb login " + "0a" * 20],
    "a bearer token": [
        "Authorization: Bearer abc123def456ghi789", "authorization: Basic dXNlcjpwYXNz1dXNlcg==",
        "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0.x",
    ],
    "a URL with a password": ["https://ann:" + "s3cr3t@host.org/x"],
    "a signed URL": [
        "https://d1.cloudfront.net/x?X-Amz-Signature=0123456789abcdef01",
        "https://a.blob.core.windows.net/x?sv=1&sig=abcd%2Fefghijklmnop",
    ],
    "a private key": ["-----BEGIN " + "PRIVATE KEY-----", "PuTTY-User-Key-File-3: ssh-rsa"],
    "a path of one machine": [
        "in /home/me/nla", '"\\n/home/me"', '"\\/home\\/me"', "(/workspace-vast/x)", "/scratch1/x",
        "/content/drive/MyDrive", "/kaggle/working/x", "/dbfs/mnt/x", "/gpfs/u/x", "/lustre/x",
        r"C:\Users\me\nla", r'"C:\\Users\\me"', "D:/Users/x", r"D:\projects\x\y",
        "file:///home", "/content/base", "/teamspace/studios/x", "/netscratch/me", "/gscratch/me",
        "/weka/me", "/checkpoint/me/x", "/vol/me", "gpu-17:/home/me/x", "in ~/nla/ckpt",
        '"~/nla/ckpt"', r"on \\server\share", '"' + r"\\\\server\\share" + '"',
    ],
    "what may be a path of one machine": ["/data/rows/x", "/opt/cuda", "(/var/lib/x)", "h:/data/x"],
    "a path of the trainer's folder": [r'"experiments\\v8\\x"', r"results\local", r"data\\nla\\x"],
    "a storage bucket": [
        "gs://b/x", "s3a://b", "abfss://c@x/", "oci://b", "hdfs://n/x", "r2://b",
        "https://storage.googleapis.com/mine/x", "https://mine.storage.googleapis.com/x",
        "https://mine.s3.amazonaws.com", "https://s3.eu-west-1.amazonaws.com/mine/x",
    ],
    "a run of a private tracker": [
        "rollout_id: x", "https://wandb.ai/ann/nla/runs/abcd1234", "mlflow_run_id: 0123abc",
        "wandb/run-20260101_120000-abcd1234/files", "https://app.neptune.ai/o/me/org/nla/",
    ],
    "a checkpoint of the trainer": ["x/iter_0003864/hf", "global_step3864/", "out/checkpoint-250"],
    "an account on a machine": [
        "scp x ann@gpu-17.lab:/x", "ann@gpu17:runs/x", "ssh ann@gpu-17", "user: ann\n",
        '{"username": "ann"}', "  hostname: gpu-17\n", '"login": "ann",',
    ],
}  # fmt: skip

NOT_TOLD = [
    "https://huggingface.co/someone/x", "https://arxiv.org/abs/2401.00001", "me@example.org",
    "git@github.com:org/repo.git", "see http://localhost:8080/x@y", "hf_hub_download(repo)",
    "disk-sharing-of-something-long", "task-specific-explanations-of-things",
    "sk-fading-circle-loader-inner-one", r"model\.language_model\.layers\.\d+\.(self_attn|mlp)",
    r"model\\.language_model\\.layers\\.\\d+", "the vector.\\n\\nHere", "data\\n\\nThe",
    "Q:\\nWhat is\\n", "AKIAIOSFODNN7EXAMPLE", "https://user:password@host/", "://{user}:{token}@h",
    "Bearer of bad news everywhere", "bearer {token}", "/explanation> <text>", "train/data/x",
    "https://a.b/data/x/home/y", "base_revision: " + "0a" * 20, "WANDB_MODE=disabled",
    '{"role": "user", "content": "x"}', 'user: "say what it is"', "templates:\n  user: |\n",
    "user: null\n", "@article{nla2026,\n title = {a}}", "a checkpoint every 100 steps", "A:/b",
    "ssh git@github.com", "npm_config_cache", "pypi-release", "gsk_lab", "~/.cache/huggingface",
    "x ~/y", "approximately ~/x/y".replace("~", "a~"), r"\\begin{a}", r"a \\ b\c", '"\\\\nx\\\\ny"',
    "https://www.googleapis.com/auth", "https://aws.amazon.com/s3", "docs/content/x", "a/vol/5",
]  # fmt: skip

KINDS = [(kind, text) for kind, texts in TOLD.items() for text in texts]


@pytest.mark.parametrize(("kind", "text"), KINDS)
def test_what_is_told_is_found_by_its_kind_and_line(kind, text):
    assert list(leaks(f"first\nsecond {text}".encode(), ALL)) == [(2, kind)] or list(
        leaks(f"first\n{text}".encode(), ALL)
    ) == [(2, kind)]


@pytest.mark.parametrize("text", NOT_TOLD)
def test_what_only_looks_like_it_is_not(text):
    assert list(leaks(text.encode(), ALL)) == []


def test_every_kind_has_an_example():
    assert {leak.kind for leak in ALL} == TOLD.keys()


def test_a_kind_is_found_once_at_its_first_place():
    assert list(leaks(b"\n/home/a\n/home/b\ns3://c", ALL)) == [
        (2, "a path of one machine"),
        (4, "a storage bucket"),
    ]


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be", "latin-1"],
)
def test_the_encoding_hides_nothing(encoding):
    assert list(leaks("é\n/home/me".encode(encoding), ALL)) == [(2, "a path of one machine")]


@pytest.mark.parametrize(
    "spelled",
    [
        r"\u0068f_",  # JSON, and YAML
        r"h\x66_",
        r"hf\U0000005F",
        "&#104;f_",  # SVG, and Markdown
        "&#x68;&#0102;_",
        "hf\\\n    _",  # YAML between quotes
        "hf\\\r\n_",
    ],
)
def test_another_spelling_hides_nothing(spelled):
    text = f'"note": "{spelled}{"aB3" * 12}"'
    assert [kind for _, kind in leaks(text.encode(), ALL)] == ["a Hugging Face token"]


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_are_searched(data):
    list(leaks(data, ALL))


@given(st.text(max_size=50), st.sampled_from(KINDS), st.text(max_size=50))
@settings(max_examples=200)
def test_nothing_around_it_hides_a_leak(before, told, after):
    kind, text = told
    data = f"{before}\n{text}\n{after}".encode(errors="replace")

    assert kind in {found for _, found in leaks(data, ALL)}


WORDS = b"".join(word for leak in ALL for word in leak.words)


@pytest.mark.parametrize(
    "piece",
    [
        b" ", b"\n", b"x", b"hf_", b"sk-", b"eyJ", b"://", b"://a:", b"wandb login", b"bearer ",
        b"secret_access_key ", b"a@", b"a" * 40 + b"@", b"/home", b"\\", b"C:\\", b"data\\",
        b"user:", b"{user: ", b" " * 40 + b"user", b"-----BEGIN ", b"sig=", b"xox", b"ssh aaa",
        b"wandb.ai/a/", b"neptune.ai/a/", b"comet.com/a/b/", b"://" + b"a" * 64 + b":" + b"b" * 63,
    ],
)  # fmt: skip
def test_a_text_made_to_be_slow_is_searched_in_one_pass(piece):
    """A pattern that tries every length at every place would need hours."""
    list(leaks(piece * (2**17 // len(piece)) + WORDS, ALL))


def test_weights_as_text_are_no_leak():
    """Random letters, as in an inlined picture, do not look like a key."""
    digits = base64.b64encode(bytes(range(256)) * 4000)

    assert list(leaks(digits, ALL)) == []
