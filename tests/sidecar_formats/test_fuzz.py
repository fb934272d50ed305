"""Whatever stands in a stranger's sidecar, `init` ends with a release, a question or an error.

What is written by hand here is what YAML can do to its reader: nesting, aliases that expand, huge
and special numbers, tags, dates that do not exist, keys that are no text.
"""

import shutil
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nla_release.contract.sidecar import read_sidecar
from nla_release.errors import InputError, NlaReleaseError
from nla_release.io.files import dump_yaml
from nla_release.release.folder import ROLES, read_release
from nla_release.sidecar_formats.adopt import Naming, adopt
from nla_release.sidecar_formats.folder import Source, read_contract
from tests.sidecar_formats.samples import (
    COMMON,
    SAMPLES,
    STAGES,
    TEMPLATES,
    TOKENIZER,
    make_kitft_pair,
)
from tests.sidecar_formats.test_table import TREES

SIDECAR = "nla_meta.yaml"
NAMING = Naming(namespace="somebody", license="apache-2.0")
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n"
ODD = [
    *(".nan", "-.inf", "1e999", "0x" + "f" * 40, "0b1", "0o17", "1:30:15", "1_0", "+3", "~", "@"),
    *("2026-13-45", "2026-11-22", "!!binary x", "!!set {a, b}", "!!omap [a: 1]", "!!timestamp x"),
    *("!!int x", "!!float []", "!!python/name:os.system x", "*nowhere", "&a [*a]", "<<: 1", "%x"),
    *("? [a, b]\n: 1", '"\\ud800"', '"\\u3297"', "'\u2028'", "|2\n  text", "\t", "`"),
]
VALUES = st.one_of(
    st.integers(1, 3000).map(lambda depth: "[" * depth + "]" * depth),
    st.integers(1, 3000).map(lambda depth: "{a: " * depth + "1" + "}" * depth),
    st.integers(1, 6000).map(lambda digits: "9" * digits),
    st.sampled_from(ODD),
    st.text(max_size=30),
)
KEYS = st.sampled_from(
    [
        *("kind", "role", "stage", "d_model", "extraction", "tokens", "prompt_templates", "critic"),
        *("schema_version", "base_model", "nla_release", "training", "created_at", "<<", "3"),
    ]
)
LINES = st.lists(
    st.one_of(
        st.tuples(KEYS, VALUES).map(": ".join),
        st.dictionaries(KEYS, TREES, min_size=1, max_size=2).map(dump_yaml),
        st.sampled_from(SAMPLES["kitft, published"][SIDECAR].splitlines()),
        st.just(BOMB),
    ),
    max_size=8,
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    """One pair for all sidecars: each example writes the AV's anew."""
    return make_kitft_pair(tmp_path_factory.mktemp("fuzz") / "pair")


def outcome(pair: Path, text: str, answers: dict[str, str]) -> str:
    """What `init` makes of an AV's sidecar: a release that can be read, or words about it."""
    (pair / "av" / SIDECAR).write_bytes(text.encode("utf-8", "surrogatepass"))
    out = pair.parent / "out"
    sources = {role: Source(pair / role) for role in ROLES}
    try:
        adopt(sources, out, answers=answers, naming=NAMING, tokenizer=TOKENIZER)
    except NlaReleaseError as error:
        said = error.message.strip()
    else:
        said = "released"
        assert read_release(out).config.namespace == "somebody"
        for role in ROLES:
            read_sidecar(out / "pair" / role, role)
        shutil.rmtree(out)
    assert not out.exists()
    return said


@given(LINES, st.sampled_from([{}, COMMON, COMMON | TEMPLATES | STAGES]))
@example(["? " * 4000], {})
@example(["- " * 4000], {})
@example([BOMB], {})
def test_any_text_ends_in_a_release_a_question_or_an_error(pair, lines, answers):
    assert outcome(pair, "\n".join(lines), answers)


@given(VALUES, st.sampled_from(SAMPLES["kitft, published"][SIDECAR].splitlines()))
def test_any_value_in_a_sound_sidecar_ends_in_a_release_a_question_or_an_error(pair, value, line):
    key = line.partition(":")[0]
    sound = SAMPLES["kitft, published"][SIDECAR]
    answers = {name: answer for name, answer in COMMON.items() if name != "ar.final_norm"}

    assert outcome(pair, sound.replace(line, f"{key}: {value}"), answers)


def test_the_sound_sidecar_of_the_fuzz_is_released(pair):
    answers = {name: answer for name, answer in COMMON.items() if name != "ar.final_norm"}

    assert outcome(pair, SAMPLES["kitft, published"][SIDECAR], answers) == "released"


@pytest.mark.parametrize(
    "text",
    ["a: [" + "1," * 200_000 + "]", "- 1\n" * 100_000, "x" * 300_000],
)
def test_more_text_than_any_sidecar_has_is_not_parsed(tmp_path, text):
    """PyYAML takes a minute and half a gigabyte for a few megabytes of small values."""
    (tmp_path / SIDECAR).write_text(text)

    with pytest.raises(InputError, match="is larger than"):
        read_contract(tmp_path)
