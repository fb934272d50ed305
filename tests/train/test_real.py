"""`make real`: the recipe fits the real tokenizer; corpus, server and the whole way work."""

import json
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import InferenceClient

from nla_release.adapter.module_names import Targets
from nla_release.engine.architecture import module_tree
from nla_release.engine.base import load_base
from nla_release.engine.footprint import skeleton
from nla_release.errors import ConfigError, InputError
from nla_release.training.recipe import read_recipe
from tests.bases import smollm2_135m
from tests.chats import CHATML
from tests.sidecars import TINY_BASE
from train.real.__main__ import HERE, _change
from train.real.base import tokenizer
from train.real.ceiling import ceiling
from train.real.corpus import documents
from train.real.server import ChatServer, in_tag

RECIPE = read_recipe(HERE / "smollm2.yaml")


# -- recipe --


@pytest.fixture(scope="module")
def real():
    return tokenizer()


def test_the_marker_is_one_token_of_the_real_tokenizer_and_stands_once_in_the_prompt(real):
    prompt = RECIPE.templates.av.replace("{injection_char}", RECIPE.marker)
    (marker,) = real.encode(RECIPE.marker, add_special_tokens=False)

    assert real.decode([marker]) == RECIPE.marker
    assert real.encode(prompt, add_special_tokens=False).count(marker) == 1


def test_the_marker_of_the_gemma_recipes_would_be_several_tokens(real):
    """Which is why this recipe has another."""
    assert len(real.encode("㊗", add_special_tokens=False)) == 3


@pytest.mark.parametrize("role", ["av", "ar"])
def test_its_targets_are_all_projections_of_the_blocks_that_are_used(role):
    model = skeleton(smollm2_135m(), None)
    blocks = 30 if role == "av" else RECIPE.read_block + 1
    found = Targets(getattr(RECIPE, role).target_modules).among(module_tree(model))

    assert len(found) == 7 * blocks
    assert RECIPE.extract.layer < 30 - 1


def test_a_setting_that_the_recipe_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="the recipe has no setting extract.layers"):
        _change({"extract": {"layer": 1}}, "extract.layers=3")


def test_a_setting_is_changed():
    recipe = {"extract": {"layer": 1}}
    _change(recipe, "extract.layer=12")

    assert recipe == {"extract": {"layer": 12}}


# -- the cheap experiment --


def test_what_an_ar_reads_out_of_the_labels_is_shown_with_n_and_interval(good_release):
    lines = list(ceiling(good_release))

    assert lines[0].startswith("307 rows of 60 documents, layer 3")
    own = next(line for line in lines if line.startswith("| own label, less those of the same"))
    assert re.fullmatch(r"\| .* \| 0\.\d+ \| 0\.\d+ \| \+0\.\d+ \(\+0.* to \+0.*\) \| 307 \|", own)


def test_rows_without_labels_are_refused(good_release, copy_of):
    folder = copy_of(good_release)
    path = folder / "data" / "eval.parquet"
    table = pq.read_table(path)
    at = table.column_names.index("explanation")
    none = pa.array([None] * table.num_rows, pa.string())
    pq.write_table(table.set_column(at, "explanation", none), path)

    with pytest.raises(InputError, match="307 rows have no label"):
        list(ceiling(folder))


# -- corpus --


def test_a_label_names_what_is_documented_and_the_words_just_read():
    lines = list(documents(40, 3, seed=0, packages=["networkx"]))

    assert len(lines) == 40
    assert len({line["id"] for line in lines}) == 40
    for line in lines:
        assert len(line["labels"]) == 3
        for label in line["labels"]:
            read = " ".join(line["text"][: label["end"]].split())
            summary, quoted = label["explanation"].split('. It just said "')
            assert read.endswith(quoted.removesuffix('".'))
            assert read.startswith(summary.removeprefix("The text documents code: "))


def test_the_corpus_is_the_same_every_time():
    first, second = (list(documents(5, 3, seed=1, packages=["networkx"])) for _ in range(2))

    assert first == second


# -- server --


@pytest.fixture(scope="module")
def base():
    base = load_base(str(TINY_BASE), None, quantization=None, dtype="float32", device="cpu")
    base.tokenizer.chat_template = CHATML
    return base


@pytest.fixture(scope="module")
def server(base):
    with ChatServer(base.model, base.tokenizer) as server:
        yield server


def ask(server, text, **options):
    client = InferenceClient(base_url=server.base_url, api_key="none")
    return client.chat_completion([{"role": "user", "content": text}], **options).choices[0]


def test_the_server_answers_the_hubs_client_as_the_model_does(server, base):
    prompt = "the word rose in a text about gardening"
    answer = ask(server, prompt, max_tokens=12, temperature=0)
    chat = [{"role": "user", "content": prompt}]
    ids = base.tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    said = base.model.generate(**ids, max_new_tokens=12, do_sample=False)[0]
    new = said[ids["input_ids"].shape[1] :]

    assert answer.message.content == base.tokenizer.decode(new, skip_special_tokens=True)
    assert (answer.finish_reason == "stop") == (base.tokenizer.eos_token_id in new)


def test_an_answer_is_in_the_tag_that_the_last_line_asks_for(server):
    form = "a text\nAnswer: <explanation>one sentence</explanation>"
    answer = ask(server, form, max_tokens=20, temperature=0)

    assert answer.message.content.startswith("<explanation>")
    assert answer.message.content.endswith("</explanation>") == (answer.finish_reason == "stop")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("one sentence. And another", "<explanation>one sentence.</explanation>"),
        ("one line\n\nand another", "<explanation>one line</explanation>"),
        ("pi is 3.14</explanation> and", "<explanation>pi is 3.14</explanation>"),
        ("a sentence that the limit cut", "<explanation>a sentence that the limit cut"),
    ],
)
def test_an_answer_in_a_tag_is_one_sentence(said, answer):
    assert in_tag("explanation", said, ended=False) == answer


def test_of_several_tags_an_answer_is_in_one(server):
    form = "Answer <explanation>it</explanation> or <reject>why</reject>"
    answer = ask(server, form, max_tokens=20, temperature=0).message.content

    assert answer.startswith(("<explanation>", "<reject>"))


def test_a_request_without_messages_is_refused(server):
    import httpx2 as httpx

    answer = httpx.post(f"{server.base_url}/chat/completions", json={"max_tokens": 3})

    assert answer.status_code == 400
    assert "messages" in answer.json()["error"]["message"]


# -- the whole way --


@pytest.mark.long
def test_a_few_steps_go_the_whole_way(tmp_path):
    """The pair is worth nothing, and everything up to the gate's verdict runs on the real base."""
    few = {"av.steps": 2, "ar.steps": 2, "av.tripwire": "null", "ar.tripwire": "null"}
    changes = [part for key, value in few.items() for part in ("--set", f"{key}={value}")]
    line = [sys.executable, "-m", "train.real", str(tmp_path), "--documents", "60", *changes]
    done = subprocess.run(line, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dist" / "av" / "README.md").exists()
    measured = json.loads((tmp_path / "measured.json").read_text())
    assert {"train av", "train ar", "roundtrip", "check"} <= measured.keys()
    assert all(step["peak_mib"] > 0 for step in measured.values())
