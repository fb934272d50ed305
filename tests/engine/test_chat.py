"""Chat prompts here are those of `transformers`, and a pair trained in a chat loads and speaks."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from nla_release import Pair
from nla_release.contract.chat import Chat, read_chat
from nla_release.contract.chat_rendering import rendered
from nla_release.contract.prompt import encoder, load_tokenizer
from nla_release.engine.activations import read_activations
from nla_release.engine.base import LoadedBase, load_base
from nla_release.errors import PairError
from tests.chats import CHATML, GEMMA, STYLES, TURNS, through_chat
from tests.sidecars import TINY_BASE

OPTIONS = {"enable_thinking": False}


@pytest.fixture(scope="module", params=STYLES)
def base(request, tmp_path_factory):
    """The tiny base's tokenizer with a chat template of its own."""
    folder = tmp_path_factory.mktemp("base")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(TINY_BASE / name, folder / name)
    (folder / "chat_template.jinja").write_text(STYLES[request.param])
    return folder


@pytest.fixture(scope="module")
def theirs(base):
    return AutoTokenizer.from_pretrained(base)


def said_by(tokenizer, text, **more):
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": text}], add_generation_prompt=True, **OPTIONS, **more
    )


@given(text=st.text())
def test_any_text_is_rendered_as_transformers_does(base, theirs, text):
    chat = read_chat(base).with_options(OPTIONS)

    assert rendered(chat.template, chat.variables(text)) == said_by(theirs, text, tokenize=False)


@pytest.mark.parametrize("text", ["Describe ㊗.", "<bos>", "", " {{ x }}\n\t"])
def test_the_whole_way_gives_the_ids_of_transformers(base, theirs, text):
    chat = read_chat(base).with_options(OPTIONS)
    ids = encoder(load_tokenizer(base / "tokenizer.json"))(chat.render(text), False)

    assert ids == said_by(theirs, text, return_dict=True)["input_ids"]


def test_the_engine_takes_the_template_from_the_tokenizer(base, theirs):
    def loaded(tokenizer):
        return LoadedBase(None, tokenizer, "", None, None, "float32", "cpu").chat

    assert loaded(theirs).template == read_chat(base).template
    assert loaded(theirs).special_tokens.items() >= {"bos_token": "<bos>"}.items()
    theirs.chat_template = {"default": TURNS, "rag": "another"}
    assert loaded(theirs) == Chat(TURNS, theirs.special_tokens_map)
    assert loaded(AutoTokenizer.from_pretrained(TINY_BASE)) is None


def test_the_engine_and_the_gate_read_the_same_template_of_a_processor(tmp_path):
    shutil.copytree(TINY_BASE, tmp_path / "base")
    (tmp_path / "base" / "chat_template.json").write_text(json.dumps({"chat_template": TURNS}))

    loaded = load_base(
        str(tmp_path / "base"), None, quantization=None, dtype="float32", device="cpu"
    )

    assert loaded.chat == Chat(TURNS, loaded.tokenizer.special_tokens_map)
    assert read_chat(tmp_path / "base").template == TURNS


@pytest.mark.parametrize(
    ("pad", "eos", "expected"), [(0, 1, 0), (None, 1, 1), (None, 0, 0), (None, None, 0), (7, 1, 7)]
)
def test_a_tokenizer_without_a_pad_token_pads_with_its_end_of_text(pad, eos, expected):
    tokenizer = SimpleNamespace(pad_token_id=pad, eos_token_id=eos)

    assert LoadedBase(None, tokenizer, "", None, None, "float32", "cpu").pad_id == expected


# -- a pair --


@pytest.fixture
def spoken(good_release, tmp_path):
    """The demo's pair and base, made a pair that speaks in Gemma's turns."""
    shutil.copytree(good_release / "pair", tmp_path / "pair")
    shutil.copytree(TINY_BASE, tmp_path / "base")
    through_chat(tmp_path / "pair" / "av", tmp_path / "base", GEMMA)
    return tmp_path


def load(folder, base=None):
    return Pair.from_pretrained(
        folder / "pair" / "av", folder / "pair" / "ar", base=base or folder / "base", device="cpu"
    )


def test_a_pair_trained_in_a_chat_loads_and_is_asked_in_it(spoken, good_release):
    pair = load(spoken)
    vectors = torch.from_numpy(
        read_activations(good_release / "data" / "eval.parquet", 64).vectors[:2]
    )
    prompt = pair.base.tokenizer.decode(pair.av.injection.prompt_token_ids)

    assert prompt.startswith("<bos><start_of_turn>user\nDescribe the vector.")
    assert prompt.endswith("<start_of_turn>model\n")
    assert len(pair.explain(vectors, max_new_tokens=8)) == 2


def test_a_base_whose_chat_template_changed_is_refused(spoken):
    (spoken / "base" / "chat_template.jinja").write_text(CHATML)
    with pytest.raises(PairError, match="trained through a chat template with sha256"):
        load(spoken)


def test_a_base_without_a_chat_template_is_refused(spoken):
    with pytest.raises(PairError, match="the base's tokenizer has none"):
        load(spoken, TINY_BASE)
