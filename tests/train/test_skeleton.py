"""What a training leaves for the release: a release.yaml that the next commands take."""

import json
import shutil

import pytest

from nla_release.errors import InputError
from nla_release.io.files import read_yaml
from nla_release.release.folder import ROLES, read_release
from nla_release.training.skeleton import write_skeleton
from tests.train.chain import other_weights, shortened


@pytest.fixture
def folder(good_release, tmp_path):
    """The demo's data and pair, of which nobody has made a release yet."""
    folder = tmp_path / "training"
    for name in ("data", "pair"):
        shutil.copytree(good_release / name, folder / name)
    return folder


def test_it_says_all_that_the_chain_knows(folder, tmp_path):
    recipe = shortened(tmp_path, eval={"max_new_tokens": 48, "batch_size": 32})
    path = write_skeleton(recipe, folder)
    release = read_release(folder)

    assert path == folder / "release.yaml"
    assert release.config.name == "tiny-gemma4-nla-L3"
    assert release.config.base_revision == recipe.base.revision
    assert release.config.license == "apache-2.0", "as the base's card says"
    assert release.config.evaluation.max_new_tokens == 48
    assert release.base_path.resolve() == (release.folder / recipe.base.path).resolve()
    for place in (release.evaluation_data, release.reference, *release.training_documents):
        assert place.is_file()
    for role in ROLES:
        assert (release.adapter(role) / "nla_meta.yaml").is_file()


def test_what_only_a_person_knows_is_marked(folder, tmp_path):
    lines = write_skeleton(shortened(tmp_path), folder).read_text().splitlines()
    marked = {line.split(":")[0].strip("# ") for line in lines if "  # EDIT" in line}

    assert marked == {"name", "namespace", "title", "author", "license", "attempts", "notes"}


@pytest.mark.parametrize(
    ("card", "licence", "words"),
    [
        (None, "other", "the base's card names none"),
        ("---\ntags: [x]\n---\n", "other", "the base's card names none"),
        ("---\nlicense: other\nlicense_name: theirs\n---\n", "other", 'names "other"'),
        ("---\nlicense: Apache-2.0\n---\n", "other", 'names "Apache-2.0"'),
        ("---\nlicense: gpl-3.0\n---\n", "gpl-3.0", "the base's own"),
    ],
)
def test_a_licence_that_needs_a_person_is_not_made_up(folder, tmp_path, card, licence, words):
    """`roundtrip` takes the file as it is, and `render` asks for what is missing."""
    recipe = shortened(tmp_path, base=other_weights(tmp_path / "other"))
    readme = tmp_path / "other" / "README.md"
    readme.unlink()
    if card:
        readme.write_text(card)
    lines = write_skeleton(recipe, folder).read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("license: ")]

    assert line.startswith(f'license: "{licence}"  # EDIT: ')
    assert words in line
    assert sum("license_" in line.split(":")[0] for line in lines) == 1 + (licence == "other")
    release = read_release(folder)
    with pytest.raises(InputError, match="LICENSE"):
        _ = release.licence


def test_a_release_that_is_there_stays_as_it_is(folder, tmp_path):
    (folder / "release.yaml").write_text("mine\n")

    assert write_skeleton(shortened(tmp_path), folder) is None
    assert (folder / "release.yaml").read_text() == "mine\n"


def test_half_a_pair_has_no_release(folder, tmp_path):
    (folder / "pair" / "ar" / "adapter_model.safetensors").unlink()

    assert write_skeleton(shortened(tmp_path), folder) is None
    assert not (folder / "release.yaml").exists()


def test_the_next_commands_take_it(good_release, folder, tmp_path, tool, version):
    """The evidence is that of the demo's pair, which these files are."""
    recipe = shortened(tmp_path, eval={"max_new_tokens": 48, "batch_size": 32})
    write_skeleton(recipe, folder)
    for line in (["roundtrip"], ["calibrate"], ["render", "--version", version]):
        done = tool(*line, folder)
        assert done.returncode == 0, done.stderr
    done = tool("check", folder, "--format", "json")

    findings = json.loads(done.stdout)["findings"]
    assert {finding["code"] for finding in findings} == {"NLA503"}, "only the name is left open"
    assert read_yaml(folder / "release.yaml")["namespace"] == "your-name"
