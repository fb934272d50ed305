"""JSON and YAML of third parties cost a bounded amount and end in a value or in one clear error."""

import ast
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nla_release
from nla_release.errors import DataError, InputError, WeightsError
from nla_release.hub_client.card_metadata import check_card
from nla_release.io.documents import MAX_DEPTH, MAX_VALUES, parse_json, parse_yaml
from nla_release.io.files import read_json_lines

ROOT = Path(nla_release.__file__).parent

# Where text that this package wrote itself is read back, or a process runs that imports no package.
OWN = {
    "nla_release/io/documents.py",  # the reader
    "nla_release/adapter/pattern.py",  # what its own child process wrote
    "nla_release/cards/documents.py",  # its own facts, written out just before
    "nla_release/contract/chat_rendering.py",  # a child process, which reads what its parent wrote
    "nla_release/errors.py",  # what pip wrote of this package's own installation
    "nla_release/hub_client/card_metadata.py",  # metadata in JSON's types, its own
    "nla_release/report/render.py",  # a verdict, written out just before
    "nla_release/gate/tokenizer.py",  # what the tokenizers library writes of what it has read
}
PARSERS = {
    "json": {"load", "loads", "JSONDecoder"},
    "yaml": {
        "load", "safe_load", "load_all", "safe_load_all", "full_load", "unsafe_load", "compose",
        "parse", "scan",
    },
}  # fmt: skip

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('a"\\[{,é'), inner),
    max_leaves=20,
)


@given(JSON, st.booleans())
def test_every_ordinary_json_is_read_as_it_was_written(document, ascii_only):
    assert parse_json(json.dumps(document, ensure_ascii=ascii_only), "x.json") == document


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("", "not valid JSON"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' appears twice"),
        ('{"a": NaN}', "NaN is not a number in JSON"),
        ('{"a": 1e999}', "the number 1e999 is too large"),
        ('{"a": -1e999}', "the number -1e999 is too large"),
        ("1" + "0" * 400, "has more than 64 bits"),
        ("9" * 5000, "has more than 64 bits"),
        (str(2**64), "has more than 64 bits"),
        (str(-(2**63) - 1), "has more than 64 bits"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"nested more than {MAX_DEPTH} deep"),
        ("[" * 900 + "]" * 900, "nested more than"),
        ("[" * 1_000_000, "nested more than"),
        ('{"a":' * 100_000, "nested more than"),
        ("[" + "[]," * MAX_VALUES + "0]", f"more than {MAX_VALUES} values"),
        ("[" + "0," * MAX_VALUES + "0]", f"more than {MAX_VALUES} values"),
        (r'"\ud800"', "half of a surrogate pair"),
        (r'{"\udfff": 1}', "half of a surrogate pair"),
        (b"\xff\xfe", "not valid JSON"),
    ],
)
def test_json_beyond_the_bounds_is_one_clear_error(text, words):
    with pytest.raises(WeightsError, match=words) as found:
        parse_json(text, "x.json", error=WeightsError)

    assert found.value.message.startswith("x.json is not valid JSON: ")
    assert len(found.value.message) < 300


def test_brackets_and_commas_in_texts_cost_nothing():
    text = '"' + r"[{,\"\\" * 10_000 + r"\\" + '"'

    assert parse_json(f"[{text}]", "x.json") == [json.loads(text)]
    assert parse_json(r'["\ud83d\ude00"]', "x.json") == ["😀"]


def test_the_width_that_some_tokenizers_name_is_read_where_it_is_expected():
    text = '{"model_max_length": 1000000000000000019884624838656}'

    assert parse_json(text, "x", any_integer=True)["model_max_length"] == int(1e30)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: " + "[" * 28_000, "nested more than 50 deep"),
        ("a: " + "[" * 2_500 + "]" * 2_500, "nested more than 50 deep"),
        ("".join(f"{' ' * at}a:\n" for at in range(200)), "nested more than 50 deep"),
        ("? " * 2_000 + "a", "nested more than 50 deep"),
        ("- " * 2_000 + "a", "nested more than 50 deep"),
        ("a: 1\na: 2\n", "'a' appears twice"),
        ("a: {b: 1, b: 2}\n", "'b' appears twice"),
        ("a: &x [1]\nb: *x\n", "aliases are not allowed"),
        ("a: 1" + "0" * 400, "an integer of more than 64 bits"),
        ("a: 0x" + "f" * 400, "an integer of more than 64 bits"),
        ("a: " + ":".join(["1"] + ["59"] * 300), "an integer of more than 64 bits"),
        ("a: [{b: 1.0e+999}]", "a.b is an infinite number"),
        ("a: .inf", "an infinite number"),
        ("a: .nan", "NaN"),
        ('a: "\\ud800"', "not valid YAML"),
        ("- 1", "must hold a YAML mapping, found a list"),
        ("a: " + "x" * 70_000, "longer than 65536 characters"),
    ],
)
def test_yaml_beyond_the_bounds_is_one_clear_error(text, words):
    with pytest.raises(DataError, match=words) as found:
        parse_yaml(text, "x.yaml", error=DataError)

    assert found.value.message.startswith("x.yaml ")


@pytest.mark.parametrize("depth", [60, 2_500, 28_000])
def test_nested_front_matter_is_a_finding_on_the_card(depth):
    for closing in ("", "]" * depth):
        report = check_card(f"---\nx: {'[' * depth}{closing}\n---\n# Card\n")

        assert report.errors == [
            "the metadata is not valid YAML: nested more than 50 deep (line 1)"
        ]


def test_a_line_of_a_log_is_named_where_it_breaks_the_bounds(tmp_path):
    path = tmp_path / "log.jsonl"
    for line in ("[" * 5_000, '{"step": 1, "step": 2}', '{"loss": 1' + "0" * 400 + "}"):
        path.write_text(f'{{"step": 1}}\n{line}\n')
        with pytest.raises(DataError, match=r"log\.jsonl line 2 is not valid JSON"):
            list(read_json_lines(path, error=DataError))


@given(st.text(st.sampled_from('[]{}",:\\0129.eE-tfn \n'), max_size=40))
def test_any_text_is_a_value_or_an_error(text):
    for parse in (parse_json, parse_yaml):
        try:
            document = parse(text, "x")
        except InputError:
            continue
        assert not isinstance(document, float) or math.isfinite(document)


def test_no_other_module_parses_json_or_yaml():
    """A parser outside of `documents` would lack its bounds."""
    found = set()
    for folder in (ROOT, ROOT.parent / "train"):
        for path in folder.rglob("*.py"):
            name = path.relative_to(ROOT.parent).as_posix()
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Attribute(value=ast.Name(id=module), attr=attribute):
                        if attribute in PARSERS.get(module, ()):
                            found.add(name)
                    case ast.ImportFrom(module=module, names=names):
                        if {each.name for each in names} & PARSERS.get(module or "", set()):
                            found.add(name)
                    case ast.Call(func=ast.Attribute(attr="json"), args=[], keywords=[]):
                        found.add(name)  # the parser of an HTTP answer

    assert found == OWN
