"""What a report shows is what is there, and not where it was."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from nla_release.report.rows import MAX_TEXT, json_in_html, shortened, visible, without_local_paths


@given(st.text())
def test_nothing_in_a_text_stays_unseen(text):
    shown = visible(text)

    assert all(char.isprintable() or char in "\n\t" for char in shown)
    assert visible(shown) == shown


def test_letters_of_every_script_stay_as_they_are():
    assert visible("naïve ㊗ שלום\n\tمرحبا 🙂") == "naïve ㊗ שלום\n\tمرحبا 🙂"


def test_a_long_text_says_how_much_is_left_out():
    assert shortened("x" * MAX_TEXT) == "x" * MAX_TEXT
    assert shortened("x" * (MAX_TEXT + 7)).endswith("x [... 7 more characters]")


def test_embedded_data_ends_no_script_and_stays_what_it_is():
    document = {"text": "</script><!--<script>&\u2028\u202e"}
    text = json_in_html(document)

    assert not set("<>&") & set(text)
    assert text.isascii()
    assert json.loads(text) == document


def test_paths_are_told_from_the_release_on():
    relative = without_local_paths(Path("/srv/team/release"))

    assert relative("/srv/team/release/pair/av is damaged") == "pair/av is damaged"
    assert relative("in /srv/team/release: nothing") == "in release: nothing"
    assert relative("/srv/team/release/../v1/evidence") == "../v1/evidence"
    assert relative("'/srv/team/v1/x' and /srv/other") == "'../v1/x' and ../../other"
    assert relative("someone/srv/team and /srvx") == "someone/srv/team and /srvx"
