"""A recipe says all that there is to say, and nothing that nobody reads."""

import pytest

from nla_release.errors import ConfigError
from nla_release.io.files import package_folder, read_yaml
from nla_release.training.recipe import Endpoint, HubDataset, read_recipe
from tests.train.chain import shortened
from train.demo import RECIPE

HUB = {"dataset": "x/y", "revision": "a", "split": "train", "text_column": "text", "documents": 9}

RECIPES = package_folder("recipes")


@pytest.mark.parametrize(
    "path",
    [*sorted(RECIPES.glob("*.yaml")), *sorted(RECIPE.parent.glob("*.yaml"))],
    ids=lambda path: path.stem,
)
def test_every_recipe_here_is_valid_and_says_what_its_file_is_called(path):
    assert read_recipe(path).name.startswith(path.stem.split("-L")[0].split("-collapsed")[0])


@pytest.mark.parametrize("block", ["extract", "split", "label", "build", "av", "ar", "eval"])
def test_an_unknown_key_is_refused_in_every_block(tmp_path, block):
    with pytest.raises(ConfigError, match=rf"{block}\..*surprise is not a known key"):
        shortened(tmp_path, **{block: {"surprise": 1}})


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"markr": "x"}, "markr is not a known key; did you mean marker?"),
        ({"base": {"revison": "main"}}, "did you mean revision?"),
        ({"extract": {"layr": 3}}, "extract.layr is not a known key; did you mean layer?"),
        ({"extract": {"corpus": HUB | {"slit": "train"}}}, "did you mean split?"),
        ({"split": {"evl": 0.1}}, "did you mean eval?"),
        ({"label": {"shufle": 0}}, "did you mean shuffle?"),
        ({"av": {"step": 3}}, "av.step is not a known key; did you mean steps?"),
        ({"av": {"tripwire": {"evry": 3}}}, "did you mean every?"),
        ({"ar": {"reed_block": 3}}, "did you mean read_block?"),
        ({"eval": {"batchsize": 3}}, "did you mean batch_size?"),
        ({"base": {"dtype": "bfloat"}}, "did you mean bfloat16?"),
    ],
)
def test_a_typing_error_names_the_key_that_was_likely_meant(tmp_path, blocks, words):
    with pytest.raises(ConfigError) as caught:
        shortened(tmp_path, **blocks)

    assert words in caught.value.message


@pytest.mark.parametrize(
    ("blocks", "place"),
    [
        ({"extract": {"corpus": HUB | {"dataset": 3}}}, "extract.corpus.dataset: "),
        ({"extract": {"corpus": HUB | {"streaming": 1}}}, "extract.corpus.streaming is not"),
        ({"extract": {"corpus": 3}}, "extract.corpus: "),
        ({"label": {"source": "endpoint", "modle": "m"}}, "label.modle is not"),
        ({"ar": {"variant": {"name": "noise_hinge", "weight": -1}}}, "ar.variant.weight: "),
        ({"eval": {"checkpoints": [1, -1]}}, "eval.checkpoints.1: "),
        ({"split": {"av": 0.9, "ar": [], "eval": 0.1}}, "split.ar: "),
    ],
)
def test_a_mistake_is_named_by_the_path_that_the_person_wrote(tmp_path, blocks, place):
    with pytest.raises(ConfigError) as caught:
        shortened(tmp_path, **blocks)

    assert any(
        sentence.startswith(place)
        for sentence in caught.value.message.partition(": ")[2].split("; ")
    ), caught.value.message


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"av": 0.5, "ar": 0.5, "eval": 0.1}, r"add up to 1\.1, expected 1"),
        ({"av": 0.5, "ar": "av", "eval": 0.1}, r"add up to 0\.6, expected 1"),
        ({"av": 0.9, "ar": "av", "eval": 0.0, "rl": 0.1}, "none of them may be 0"),
        ({"av": 1.2, "ar": "av", "eval": -0.2}, "less than or equal to 1"),
        ({"av": 0.9, "ar": "rl", "eval": 0.1}, "split.ar"),
    ],
)
def test_shares_that_make_no_split_are_refused(tmp_path, shares, words):
    with pytest.raises(ConfigError, match=words):
        shortened(tmp_path, split=shares)


def test_a_corpus_is_a_file_or_a_dataset_on_the_hub(tmp_path):
    assert shortened(tmp_path).extract.corpus == "corpus.jsonl"
    assert isinstance(shortened(tmp_path, extract={"corpus": HUB}).extract.corpus, HubDataset)
    with pytest.raises(ConfigError, match="documents is missing"):
        shortened(tmp_path, extract={"corpus": {k: v for k, v in HUB.items() if k != "documents"}})
    with pytest.raises(ConfigError, match="streaming is not a known key"):
        shortened(tmp_path, extract={"corpus": HUB | {"streaming": True}})
    for column in ("text_column", "id_column"):
        with pytest.raises(ConfigError, match=f"{column} belongs to a file or folder"):
            shortened(tmp_path, extract={"corpus": HUB, column: "body"})


def test_labels_come_from_the_corpus_unless_an_endpoint_is_named(tmp_path):
    asked = {"source": "endpoint", "model": "m", "base_url": "http://x/v1", "labeller": "{text}"}

    assert shortened(tmp_path).label.source == "corpus"
    assert isinstance(shortened(tmp_path, label=asked).label, Endpoint)
    with pytest.raises(ConfigError, match="label"):
        shortened(tmp_path, label={"source": "oracle"})


def test_a_relative_base_is_taken_from_the_recipes_folder(tmp_path):
    assert shortened(tmp_path, base={"path": "b"}).base.path == str(tmp_path / "b")


def test_options_of_a_chat_need_a_chat(tmp_path):
    with pytest.raises(ConfigError, match="prompt_encoding is raw"):
        shortened(tmp_path, chat_options={"enable_thinking": False})


def test_what_is_missing_names_the_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist") as caught:
        read_recipe(tmp_path / "none.yaml")
    assert "nla-release train recipe NAME --out" in caught.value.hint


def test_the_recipe_for_gemma_4_e2b_has_the_seeds_hyper_parameters():
    recipe = read_recipe(RECIPES / "gemma-4-e2b-L23.yaml")

    assert recipe.base.quantization == "nf4"
    assert (recipe.av.rank, recipe.av.alpha, recipe.av.optimizer) == (64, 128, "adamw_8bit")
    assert (recipe.av.micro_batch, recipe.av.gradient_accumulation) == (1, 16)
    assert (recipe.av.max_tokens, recipe.av.steps) == (512, 15)
    assert recipe.av.injection_scale == pytest.approx(1536**0.5, rel=1e-6)
    assert recipe.templates.av.endswith("<concept>{injection_char}</concept>")


def test_the_collapsed_recipe_is_the_tiny_one_with_labels_of_other_rows():
    good, collapsed = (
        read_yaml(RECIPE.with_name(name)) for name in ("tiny.yaml", "tiny-collapsed.yaml")
    )
    for name in ("av", "ar"):
        good[name]["steps"] = collapsed[name]["steps"]

    assert collapsed == good | {"name": collapsed["name"], "label": good["label"] | {"shuffle": 0}}


@pytest.mark.parametrize("escape", [r"\n", r"\t", r"\u3297"])
@pytest.mark.parametrize("name", ["av", "ar"])
def test_a_prompt_with_an_escape_as_characters_is_refused(tmp_path, name, escape):
    """YAML keeps a backslash and an n, but for double quotes; no pair is trained with that."""
    placeholder = "{injection_char}" if name == "av" else "{explanation}"
    templates = {name: f"Say it.{escape}<x>{placeholder}</x>"}

    with pytest.raises(ConfigError) as caught:
        shortened(tmp_path, templates=templates)

    assert f"{name} holds {escape} as {len(escape)} characters" in caught.value.message
    assert "double quotes" in caught.value.message
