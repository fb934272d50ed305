"""Decoding with a shared prefix says what `generate` says, whatever the base's architecture."""

from contextlib import contextmanager

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from nla_release.engine.batches import by_length, halving
from nla_release.engine.decoding import Decoding, plainly_greedy
from nla_release.engine.prefix import run_prefix, shared_length
from nla_release.engine.reconstructor import read_last
from nla_release.errors import EnvironmentProblem
from tests.messages import heard

WIDTH, WORDS, ROWS, MOST = 32, 40, 9, 24
PROMPT, SHARED = [2, 5, 6, 7, 8, 9, 10, 11, 12, 30, 13], 8  # 30 is what differs between rows
MARKER = 30
SMALL = {
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "vocab_size": WORDS,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
    "initializer_range": 0.4,  # far from ties
    "tie_word_embeddings": False,
}
# The window is shorter than the prompt: its cache has begun to forget when it is widened.
SLIDING = {
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
}
WIDENED = {
    "llama": transformers.LlamaConfig(**SMALL),
    "qwen2": transformers.Qwen2Config(**SMALL),
    "gemma3": transformers.Gemma3TextConfig(**SMALL, **SLIDING),
    "gemma4": transformers.Gemma4TextConfig(
        **SMALL,
        **SLIDING,
        global_head_dim=16,
        hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=WORDS,
        num_kv_shared_layers=2,
    ),
}
NOT_WIDENED = {
    "qwen3_next": transformers.Qwen3NextConfig(
        **SMALL,
        layer_types=["linear_attention", "full_attention"] * 2,
        mlp_only_layers=[0, 1, 2, 3],
        linear_num_key_heads=2,
        linear_num_value_heads=2,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
    ),
}


def model_of(config):
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config).eval()


@contextmanager
def differing(model, vectors):
    """Rows get vectors of their own where the prompt's marker stands."""

    def replace(_module, args, output):
        if args[0].shape[1] == 1:
            return output
        return torch.where((args[0] == MARKER).unsqueeze(-1), vectors.unsqueeze(1), output)

    handle = model.get_input_embeddings().register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()


@torch.no_grad()
def one_by_one(model, vectors, end):
    """What `generate` says of each vector alone, up to the token that ends it."""
    said = []
    for vector in vectors:
        with differing(model, vector.unsqueeze(0)):
            (row,) = model.generate(
                torch.tensor([PROMPT]),
                attention_mask=torch.ones(1, len(PROMPT), dtype=torch.long),
                max_new_tokens=MOST,
                do_sample=False,
                eos_token_id=end,
            ).tolist()
        row = row[len(PROMPT) :]
        said.append(row[: row.index(end) + 1] if end in row else row)
    return said


def vectors():
    return 4 * torch.randn(ROWS, WIDTH, generator=torch.Generator().manual_seed(1))


def decoding(model, end):
    return Decoding(model, PROMPT, SHARED, end=end, pad=0, device="cpu")


def a_token_that_ends_some_rows_early(model):
    said = one_by_one(model, vectors(), 1)
    return next(
        token
        for token in range(3, WORDS)
        if 1 < sum(token in row for row in said) < ROWS
        and len({row.index(token) for row in said if token in row}) > 1
    )


@pytest.mark.parametrize("name", WIDENED | NOT_WIDENED)
def test_rows_decoded_together_say_what_generate_says_of_each(name):
    model = model_of((WIDENED | NOT_WIDENED)[name])
    assert plainly_greedy(model)
    end = a_token_that_ends_some_rows_early(model)
    expected = one_by_one(model, vectors(), end)
    prompt = decoding(model, end)

    assert len({len(row) for row in expected}) > 1, "rows must end at different steps"
    assert prompt.rows(ROWS, MOST, differing(model, vectors())) == expected
    assert prompt.rows(2, MOST, differing(model, vectors()[:2])) == expected[:2], "used again"


@pytest.mark.parametrize("name", WIDENED | NOT_WIDENED)
def test_a_cache_serves_many_rows_only_where_it_is_keys_and_values(name):
    model = model_of((WIDENED | NOT_WIDENED)[name])

    assert (run_prefix(model.get_decoder(), PROMPT[:SHARED], "cpu") is not None) == (
        name in WIDENED
    )
    assert run_prefix(model.get_decoder(), [], "cpu") is None


def test_a_prefix_runs_once_and_every_step_only_the_rows_that_go_on():
    model = model_of(WIDENED["llama"])
    end = a_token_that_ends_some_rows_early(model)
    expected = one_by_one(model, vectors(), end)
    shapes = []
    handle = model.get_input_embeddings().register_forward_hook(
        lambda _module, args, _output: shapes.append(tuple(args[0].shape))
    )
    prompt = decoding(model, end)
    prompt.rows(ROWS, MOST, differing(model, vectors()))
    handle.remove()

    steps = max(map(len, expected))
    going = [sum(len(row) > step for row in expected) for step in range(steps)]
    assert shapes[0] == (1, SHARED)
    assert shapes[1] == (ROWS, len(PROMPT) - SHARED)
    assert shapes[2:] == [(count, 1) for count in going[1:]]


@pytest.mark.parametrize(
    ("setting", "plain"),
    [
        ({"temperature": 0.7, "top_k": 64, "do_sample": True}, True),
        ({"repetition_penalty": 1.3}, False),
        ({"suppress_tokens": [5]}, False),
    ],
)
def test_a_bases_own_penalties_are_left_to_generate(setting, plain):
    model = model_of(WIDENED["qwen2"])
    model.generation_config = transformers.GenerationConfig(**setting)

    assert plainly_greedy(model) == plain
    assert decoding(model, 1).rows(ROWS, MOST, differing(model, vectors())) == one_by_one(
        model, vectors(), 1
    )


prompts = st.lists(
    st.lists(st.integers(3, WORDS - 1), min_size=1, max_size=20), min_size=1, max_size=12
)


@given(prompts, st.integers(1, 80))
def test_batches_hold_every_row_once_and_never_more_than_they_may(rows, tokens):
    batches = by_length([len(row) for row in rows], tokens)

    assert sorted(row for batch in batches for row in batch) == list(range(len(rows)))
    for batch in batches:
        longest = max(len(rows[row]) for row in batch)
        assert len(batch) == 1 or longest * len(batch) <= tokens


@given(prompts)
def test_the_shared_length_is_what_all_rows_begin_with(rows):
    shared = shared_length(rows)

    assert all(row[:shared] == rows[0][:shared] and len(row) > shared for row in rows)
    if len(rows) > 1 and all(len(row) > shared + 1 for row in rows):
        assert len({row[shared] for row in rows}) > 1, "not the longest"


@pytest.mark.parametrize("name", WIDENED | NOT_WIDENED)
def test_a_prompt_gives_the_same_vector_whatever_it_is_read_with(name):
    decoder = model_of((WIDENED | NOT_WIDENED)[name]).get_decoder()
    rows = [[2, 5, 6, 7, *range(10, 10 + length)] for length in (3, 11, 1, 7, 7, 20)]
    options = {"pad": 0, "device": "cpu"}
    alone = torch.cat([read_last(decoder, [row], tokens=1, **options) for row in rows])

    for tokens in (1, 40, 1000):
        assert torch.allclose(read_last(decoder, rows, tokens=tokens, **options), alone, atol=1e-5)


def test_a_batch_that_does_not_fit_is_halved_and_said_so():
    sizes = []

    def work(rows):
        sizes.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("too much")
        return [10 * row for row in rows]

    with heard() as said:
        assert halving(range(8), work) == [0, 10, 20, 30, 40, 50, 60, 70]
    assert sizes == [8, 4, 2, 2, 4, 2, 2]
    assert "warning: out of memory with 8 rows at once; continuing with 4" in said


def test_a_row_that_does_not_fit_alone_is_the_environments_fault():
    def work(rows):
        raise torch.OutOfMemoryError("too much")

    with pytest.raises(EnvironmentProblem, match="not enough memory for one row: too much"):
        halving([0, 1], work)
