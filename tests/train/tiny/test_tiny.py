"""The tiny base and what it is made from."""

import json
import re
from functools import partial

import peft
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma4ForConditionalGeneration

from nla_release.engine.adapters import calm
from nla_release.engine.base import load_base, quiet_libraries
from tests.sidecars import TINY_BASE
from train.tiny import AR_TEMPLATE, AV_ANSWER, AV_TEMPLATE, INJECTION_CHAR, READ_BLOCK
from train.tiny import base as base_module
from train.tiny import corpus as corpus_module
from train.tiny.base import card, tokenizer_config, vocabulary_texts
from train.tiny.corpus import PLACES, TOPICS, generate
from train.tiny.measure import measure
from train.tiny.tokenizer import BOS, EOS, MEDIA_TOKENS, PAD, build

LANGUAGE_MODEL_ONLY = (
    r"model\.language_model\.layers\.\d+\.(self_attn|mlp)\.(q|k|v|o|gate|up|down)_proj"
)
EXPLANATION = re.compile(r"the word (\w+) in a text about (\w+), set in (\w+)")


def load():
    quiet_libraries()
    return AutoModelForCausalLM.from_pretrained(TINY_BASE).eval()


@pytest.fixture(scope="module")
def model():
    return load()


@pytest.fixture(scope="module")
def config(model):
    return model.config


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.from_file(str(TINY_BASE / "tokenizer.json"))


@pytest.fixture(scope="module")
def measured(model, tokenizer):
    return measure(model, tokenizer, generate(0))


class TestCorpus:
    def test_the_same_seed_writes_the_same_documents(self):
        assert generate(3, train=20, eval=5) == generate(3, train=20, eval=5)
        assert generate(3, train=20, eval=5) != generate(4, train=20, eval=5)

    def test_no_text_of_one_split_is_in_another(self):
        documents = generate(0, base=3000)

        assert len({document["text"] for document in documents}) == len(documents)
        assert len({document["id"] for document in documents}) == len(documents)

    def test_a_pair_is_judged_on_texts_that_its_base_never_saw(self):
        """The base's corpus holds the pair's documents, unchanged and outside its own split."""
        pair, base = generate(0), generate(0, base=100)

        assert base[: len(pair)] == pair
        assert {document["split"] for document in base[len(pair) :]} == {"base"}

    def test_labels_explain_words_after_the_first_sentence(self):
        for document in generate(0):
            text = document["text"]
            assert document["labels"]
            for label in document["labels"]:
                word, topic, place = EXPLANATION.fullmatch(label["explanation"]).groups()
                assert text[label["start"] : label["end"]] == word
                assert label["start"] > text.index(".")
                assert word in TOPICS[topic].words
                assert place in PLACES

    def test_the_word_alone_settles_neither_topic_nor_place(self):
        documents = generate(0)
        facts = {
            EXPLANATION.fullmatch(label["explanation"]).groups()
            for document in documents
            for label in document["labels"]
        }

        assert len({topic for word, topic, _ in facts if word == "note"}) == 2
        assert len({place for word, _, place in facts if word == "note"}) > 5

    def test_the_command_writes_one_document_a_line(self, tmp_path):
        out = tmp_path / "corpus.jsonl"
        done = CliRunner().invoke(corpus_module.main, [str(out)], catch_exceptions=False)

        assert done.exit_code == 0
        assert [json.loads(line) for line in out.read_text().splitlines()] == generate(0)


class TestTokenizer:
    def test_the_shipped_files_are_the_ones_that_the_script_writes(self):
        rebuilt = build(vocabulary_texts(0)).to_str(pretty=False) + "\n"

        assert (TINY_BASE / "tokenizer.json").read_text() == rebuilt
        assert (TINY_BASE / "tokenizer_config.json").read_text() == tokenizer_config()

    def test_the_marker_is_one_token_between_its_neighbours(self, tokenizer):
        tokens = tokenizer.encode(AV_TEMPLATE.format(injection_char=INJECTION_CHAR)).tokens
        at = tokens.index(INJECTION_CHAR)

        assert tokens[at - 1 : at + 2] == [">", INJECTION_CHAR, "</"]
        assert tokens[0] == "<bos>"
        assert tokens.count(INJECTION_CHAR) == 1

    def test_every_word_of_the_world_is_one_token(self, tokenizer):
        documents = generate(1, train=400, eval=0)
        labels = [label["explanation"] for document in documents for label in document["labels"]]
        texts = [document["text"] for document in documents]
        texts += [AR_TEMPLATE.format(explanation=label) for label in labels]
        texts += [AV_ANSWER.format(explanation=label) for label in labels]

        spelled = {
            token
            for text in texts
            for token in tokenizer.encode(text).tokens
            if token.startswith("<0x")
        }
        assert spelled == set()

    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="▁")))
    def test_any_text_goes_in_and_comes_out_again(self, tokenizer, text):
        ids = tokenizer.encode(text, add_special_tokens=False).ids

        assert tokenizer.token_to_id("<unk>") not in ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text

    def test_transformers_reads_it_the_same(self, tokenizer, config):
        loaded = AutoTokenizer.from_pretrained(TINY_BASE)

        for text in (AV_TEMPLATE.format(injection_char=INJECTION_CHAR), "", "Zoë, <b>42</b>\n"):
            assert loaded(text)["input_ids"] == tokenizer.encode(text).ids
        assert (loaded.pad_token_id, loaded.eos_token_id, loaded.bos_token_id) == (PAD, EOS, BOS)
        assert loaded.model_max_length == config.text_config.max_position_embeddings

    def test_no_text_makes_a_media_placeholder(self, tokenizer, config):
        placeholders = {tokenizer.token_to_id(token) for token in MEDIA_TOKENS}

        assert {config.image_token_id, config.audio_token_id, config.video_token_id} <= placeholders
        assert placeholders.isdisjoint(tokenizer.encode("".join(MEDIA_TOKENS)).ids)


class TestShippedBase:
    def test_it_is_small(self, model):
        assert sum(path.stat().st_size for path in TINY_BASE.iterdir()) < 3 * 1024**2
        assert sum(parameter.numel() for parameter in model.parameters()) < 1_000_000

    def test_it_is_a_gemma4_with_all_that_makes_gemma4_hard(self, model, config):
        text = config.text_config

        assert type(model) is Gemma4ForConditionalGeneration
        assert text.hidden_size_per_layer_input == 64
        assert text.num_kv_shared_layers == 2
        assert {*text.layer_types} == {"sliding_attention", "full_attention"}
        assert not hasattr(model.model.language_model.layers[-1].self_attn, "k_proj")
        audio = {type(module).__name__ for module in model.model.audio_tower.modules()}
        assert "Gemma4ClippableLinear" in audio

    def test_a_list_of_target_modules_is_refused_for_the_audio_tower(self):
        settings = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"])

        with calm(), pytest.raises(ValueError, match="Gemma4ClippableLinear"):
            peft.get_peft_model(load(), settings)

    def test_a_pattern_for_the_language_model_is_accepted(self):
        settings = peft.LoraConfig(r=4, target_modules=LANGUAGE_MODEL_ONLY)

        with calm():
            adapted = peft.get_peft_model(load(), settings)
        assert adapted.get_nb_trainable_parameters()[0] == 24_320

    def test_every_linear_can_be_packed_into_nf4_on_a_cpu(self, model):
        unfit = {
            name: tuple(module.weight.shape)
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear)
            and (module.in_features % 64 or module.out_features % 32)
        }

        assert unfit == {}

    def test_it_runs_under_nf4_on_a_cpu(self, tokenizer):
        base = load_base(str(TINY_BASE), None, quantization="nf4", dtype="float32", device="cpu")
        ids = torch.tensor([tokenizer.encode("In Lisbon people love chess.").ids])
        with torch.no_grad():
            logits = base.model(input_ids=ids).logits

        kinds = {type(module).__name__ for module in base.model.modules()}
        assert "Linear4bit" in kinds
        assert logits.isfinite().all()

    def test_its_card_says_what_measuring_it_gives(self, model, measured):
        text = (TINY_BASE / "README.md").read_text()
        parameters = sum(parameter.numel() for parameter in model.parameters())
        steps = int(re.search(r"(\d+) steps", text).group(1))

        assert text == card(parameters, steps, 0, measured)

    def test_its_read_block_knows_word_topic_and_place(self, measured):
        assert measured.block == READ_BLOCK
        assert measured.loss < measured.unigram_loss / 4
        assert measured.topic >= 0.95
        assert measured.place >= 0.85
        assert measured.word >= 0.60


def test_the_script_makes_a_base_that_loads(tmp_path, monkeypatch):
    """Two steps teach it nothing; the folder is whole and its card says how little it knows."""
    few = partial(generate, train=100, eval=20)
    monkeypatch.setattr(base_module, "generate", few)
    out = tmp_path / "base"
    done = CliRunner().invoke(
        base_module.main, [str(out), "--steps", "2", "--seed", "7"], catch_exceptions=False
    )

    assert done.exit_code == 0
    assert {path.name for path in out.iterdir()} == {path.name for path in TINY_BASE.iterdir()}
    assert type(AutoModelForCausalLM.from_pretrained(out)) is Gemma4ForConditionalGeneration
    assert "seed 7, 2 steps" in (out / "README.md").read_text()
