"""release.yaml: what may be written, and what an error says that helps to correct it."""

from pathlib import Path

import pytest

from nla_release.errors import ConfigError
from nla_release.io.files import dump_yaml, write_atomic
from nla_release.release.config import Evaluation, chosen_probes
from nla_release.release.folder import read_release
from tests.builders_pair import BASE, REVISION, make_pair, release_document


def refused(folder: Path, **keys: object) -> ConfigError:
    """The error that release.yaml with these keys ends in."""
    document = release_document() | keys
    document = {key: value for key, value in document.items() if value is not ...}
    write_atomic(folder / "release.yaml", dump_yaml(document))
    with pytest.raises(ConfigError) as caught:
        read_release(folder)
    return caught.value


@pytest.mark.parametrize("probes", ["all", ["all"]])
def test_all_diagnostics_are_asked_for_by_one_word_or_a_list(probes):
    config = Evaluation(data="x", reference="y", probes=probes)

    assert len(chosen_probes(config.probes)) > 5


def test_one_diagnostic_is_asked_for_by_its_name():
    assert Evaluation(data="x", reference="y", probes="injection").probes == ["injection"]


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"licence": "mit"}, "licence is not a known key; did you mean license?"),
        (
            {"evaluation": {"data": "x", "reference": "y", "max_new_token": 3}},
            "evaluation.max_new_token is not a known key; did you mean max_new_tokens?",
        ),
        ({"gates": {"min_row": 60}}, "did you mean min_rows?"),
        (
            {"waivers": [{"code": "NLA605", "reasons": "x", "until": "2027-01-31"}]},
            "waivers.0.reasons is not a known key; did you mean reason?",
        ),
        (
            {"evaluation": {"data": "x", "reference": "y", "dtype": "bfloat"}},
            "did you mean bfloat16?",
        ),
        (
            {"evaluation": {"data": "x", "reference": "y", "probes": "injections"}},
            "did you mean injection?",
        ),
    ],
)
def test_a_key_or_value_that_is_nearly_right_is_answered_with_the_right_one(tmp_path, keys, words):
    assert words in refused(tmp_path, **keys).message


def test_a_key_that_is_like_no_other_has_no_suggestion(tmp_path):
    assert "did you mean" not in refused(tmp_path, zzz=1).message


@pytest.mark.parametrize("revision", ["main", "v1.0.0", "refs/pr/1", "release-candidate"])
def test_a_branch_is_told_to_be_a_commit_and_the_sidecars_is_offered(tmp_path, revision):
    make_pair(tmp_path / "pair")

    error = refused(tmp_path, base_revision=revision)

    assert f"{revision!r} is no commit: a branch or a tag moves" in error.message
    assert f"https://huggingface.co/{BASE}/commits/main" in error.message
    assert f"`hf models info {BASE}`" in error.message
    assert error.hint == f"by the AV's sidecar: base_revision: {REVISION}"


def test_missing_keys_that_the_sidecar_knows_are_offered(tmp_path):
    make_pair(tmp_path / "pair")

    error = refused(tmp_path, base_model=..., base_revision=...)

    assert "base_model is missing" in error.message
    assert f"base_model: someone/tiny, base_revision: {REVISION}" in (error.hint or "")
