"""BibTeX is read from any text: whole entries, their fields, and nothing else."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nla_release.errors import InputError
from nla_release.text.bibtex import read_entries, same_words

CARD = """Some prose, an @mention and user@example.org.

```python
@dataclass(frozen=True)
class Row: ...
```

```bibtex
@article{one2026,
  Title = {A {LLM} in {B}races},
  author = "Last, First and Others, Many",
  year = 2026,
  note = {a \\} brace, and = signs}
}
@misc { two , url={https://example.org/x,y} }
```
"""


def test_entries_are_found_between_other_text() -> None:
    one, two = read_entries(CARD)

    assert (one.key, two.key) == ("one2026", "two")
    assert one.fields == {
        "title": "A LLM in Braces",
        "author": "Last, First and Others, Many",
        "year": "2026",
        "note": "a \\ brace, and = signs",
    }
    assert two.fields == {"url": "https://example.org/x,y"}
    assert two.source.startswith("@misc { two")
    assert two.source.endswith("y} }")


def test_a_value_on_many_lines_is_one_line() -> None:
    (entry,) = read_entries("@misc{k, title = {On\n    many\n lines}}")

    assert entry.fields["title"] == "On many lines"


def test_of_a_field_given_twice_the_first_counts() -> None:
    (entry,) = read_entries("@misc{k, year = 2025, year = 2026}")

    assert entry.fields["year"] == "2025"


def test_an_entry_that_is_never_closed_is_refused_by_its_key() -> None:
    with pytest.raises(InputError, match="'k' is never closed"):
        read_entries("@misc{k, title = {never")


def test_case_spaces_and_punctuation_do_not_make_another_citation() -> None:
    assert same_words("Natural  Language: {Autoencoders}", "natural language autoencoders")
    assert not same_words("Kantamneni, Kshitij", "Kantamneni, Subhash")


WORDS = st.text("abcXYZ0123 -:", max_size=20).map(lambda text: " ".join(text.split()))
NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)


@given(NAMES, st.dictionaries(NAMES, WORDS, max_size=5), st.text("ab @{}\n,", max_size=20))
def test_what_is_written_is_read_back(key: str, fields: dict[str, str], prose: str) -> None:
    body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    prose = prose.replace("{", "(")

    (entry,) = read_entries(f"{prose}\n@misc{{{key},\n{body}}}\n{prose}")

    assert (entry.key, entry.fields) == (key, fields)


@given(st.text('@misc{}"\\=,# \n', max_size=200) | st.text(max_size=100))
@settings(max_examples=200)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        entries = read_entries(text)
    except InputError:
        return
    assert all(entry.source in text for entry in entries)


@pytest.mark.parametrize(
    "piece", ["@a{b,", "@a{b,{", "@a{", "@", '@a{b, c="', "@a{b,c={},", "@a{b,}", "c=", "{", "}"]
)
def test_any_number_of_anything_is_read_in_one_pass(piece: str) -> None:
    """A reader that starts anew at every entry would need hours."""
    with suppress(InputError):
        read_entries(piece * 200_000)
