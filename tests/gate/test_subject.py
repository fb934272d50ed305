"""A check finds out by itself what it was given."""

import shutil

import pytest

from nla_release.errors import ConfigError, NothingCheckedError
from nla_release.gate.subject import find_subject
from tests.pairs.zoo import SIDECAR, in_sidecar, judged


def skipped(verdict) -> dict[str, str]:
    return {outcome.rule.code: outcome.skipped[0] for outcome in verdict.skipped}


def test_a_release_is_its_pair_its_evidence_and_what_is_rendered(good):
    subject = find_subject(good)

    assert [each.folder.relative_to(good).as_posix() for each in subject.adapters] == [
        "pair/av",
        "pair/ar",
        "dist/av",
        "dist/ar",
    ]
    assert [each.folder.relative_to(good).as_posix() for each in subject.measurements] == [
        ".",
        "dist/av",
        "dist/ar",
    ]


def test_a_release_of_which_nothing_was_measured_is_not_a_pass(release):
    for name in ("dist", "evidence"):
        shutil.rmtree(release / name)
    (release / "calibration.json").unlink()

    verdict = judged(release)

    assert verdict.verdict == "inconclusive"
    assert verdict.totals["failed"] == 0
    assert skipped(verdict)["NLA603"] == "there is no evidence yet: run nla-release roundtrip"
    assert skipped(verdict)["NLA701"] == "nothing is rendered yet: run nla-release render"


def test_a_release_that_is_not_calibrated_yet_is_judged_by_its_evidence(release):
    shutil.rmtree(release / "dist")
    (release / "calibration.json").unlink()

    verdict = judged(release)

    assert verdict.verdict == "pass"
    assert skipped(verdict) == {
        code: reason
        for code, reason in skipped(verdict).items()
        if reason == "nothing is rendered yet: run nla-release render"
        or (code, reason)
        == ("NLA602", "there is no calibration.json yet: run nla-release calibrate")
        or code == "NLA610"
    }


def test_both_rendered_repositories_are_a_subject(good):
    verdict = judged(good, "dist")

    assert verdict.verdict == "pass"
    assert list(skipped(verdict)) == ["NLA104", "NLA202", "NLA616", "NLA619", "NLA620"]


@pytest.mark.parametrize("role", ["av", "ar"])
def test_a_single_repository_is_a_subject(good, tmp_path, role):
    """A download has the name of the repository, and the sidecar knows the role."""
    repository = tmp_path / "someone--tiny"
    shutil.copytree(good / "dist" / role, repository)

    subject = find_subject(repository)
    verdict = judged(repository)

    assert [each.role for each in subject.rendered] == [role]
    assert verdict.verdict == "pass"
    assert skipped(verdict)["NLA401"] == "AV and AR are not both here"


def test_what_the_hub_adds_to_a_repository_is_no_finding(good, tmp_path):
    repository = tmp_path / "download"
    shutil.copytree(good / "dist" / "av", repository)
    (repository / ".gitattributes").write_text("*.safetensors filter=lfs\n")
    (repository / ".cache" / "huggingface").mkdir(parents=True)
    (repository / ".cache" / "huggingface" / "CACHEDIR.TAG").write_text("x\n")

    assert judged(repository).findings == []


def test_a_pair_without_a_release_is_a_subject(good):
    verdict = judged(good, "pair")

    assert verdict.verdict == "pass"
    assert find_subject(good / "pair").rendered == ()


@pytest.mark.parametrize("role", ["av", "ar"])
def test_an_adapter_whose_sidecar_is_damaged_is_still_checked(release, role):
    folder = release / "pair" / role
    (folder / SIDECAR).write_text("[")

    assert [each.role for each in find_subject(folder).trained] == [role]
    assert {finding.code for finding in judged(folder).findings} == {"NLA101"}


def test_a_folder_of_something_else_is_nothing_to_check(tmp_path):
    (tmp_path / "README.md").write_text("# My project\n")

    with pytest.raises(NothingCheckedError, match="holds nothing to check"):
        find_subject(tmp_path)


def test_a_wrong_release_yaml_is_a_configuration_error(release):
    (release / "release.yaml").write_text("name: x\n")

    with pytest.raises(ConfigError, match="namespace is missing"):
        find_subject(release)


def test_the_gates_of_release_yaml_are_used(release):
    shutil.rmtree(release / "dist")
    path = release / "release.yaml"
    path.write_text(path.read_text() + "gates: {min_rows: 100}\n")

    verdict = judged(release)

    assert verdict.verdict == "inconclusive"
    assert [finding.message for finding in verdict.findings] == [
        "60 rows of 12 documents, at least 100 rows of 10 documents required"
    ]


def test_paths_of_findings_are_as_the_user_gave_them(release, monkeypatch):
    in_sidecar(release / "pair", "av", ["extraction", "injection_scale"], ...)
    monkeypatch.chdir(release.parent)

    (finding,) = judged(release.relative_to(release.parent), "pair").findings

    assert finding.path == f"release/pair/av/{SIDECAR}"
