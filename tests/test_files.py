"""Reading bounds what a hostile file can cost; writing never leaves half a file."""

import pytest

from nla_release.errors import EnvironmentProblem, InputError
from nla_release.io.files import (
    dump_json,
    dump_yaml,
    read_json,
    read_text,
    read_yaml,
    replacing_folder,
    write_atomic,
)


def written(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [1, 2", "not valid YAML"),
        ("- 1\n- 2\n", "must hold a YAML mapping"),
        ("", "must hold a YAML mapping"),
        ("a: 1\na: 2\n", "'a' appears twice"),
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("a: " + "[" * 5000, "nested more than 50 deep"),
        (b"a: \xff\xfe", "not UTF-8"),
        ("x" * 5_000_000, "larger than"),
        ("? [a, b]\n: 1\n", "not valid YAML"),
        ("a: !!bool x\n", "not valid YAML"),
        ("a: !!timestamp x\n", "not valid YAML"),
        ("a: 2026-99-99\n", "not valid YAML"),
        ("a: " + "9" * 5000, "not valid YAML"),
    ],
)
def test_bad_yaml_is_one_clear_error(tmp_path, content, words):
    with pytest.raises(InputError, match=words):
        read_yaml(written(tmp_path, content))


def test_a_yaml_bomb_is_refused_at_its_first_alias(tmp_path):
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
    )
    with pytest.raises(InputError, match="aliases"):
        read_yaml(written(tmp_path, bomb))


@pytest.mark.parametrize("content", ["{", '{"a": NaN}', '{"a": Infinity}', "[" * 100_000, ""])
def test_bad_json_is_one_clear_error(tmp_path, content):
    with pytest.raises(InputError, match="not valid JSON"):
        read_json(written(tmp_path, content))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_text(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is not a regular file"):
        read_text(tmp_path)


def test_text_survives_being_written_and_read(tmp_path):
    document = {"marker": "㊗", "nested": {"scale": 39.19, "none": None}}
    write_atomic(tmp_path / "new" / "a.yaml", dump_yaml(document))
    write_atomic(tmp_path / "a.json", dump_json(document))

    assert read_yaml(tmp_path / "new" / "a.yaml") == document
    assert read_json(tmp_path / "a.json") == document


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    target = tmp_path / "dist"
    with replacing_folder(target) as staging:
        (staging / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing_folder(target) as staging:
        (staging / str(1 // 0)).write_text("new")

    assert [path.name for path in target.iterdir()] == ["old"]
    with replacing_folder(target) as staging:
        (staging / "new").write_text("new")

    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["dist"], "nothing is left beside it"


def test_a_place_that_cannot_be_written_is_the_environments_fault(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        write_atomic(tmp_path / "file" / "below", "text")
