"""Make the tiny base: `python -m train.tiny.base OUT`.

A `Gemma4ForConditionalGeneration` like google's, only small: per-layer inputs, two layers that
share another's keys and values, an audio tower of `Gemma4ClippableLinear`, and Linear shapes that
bitsandbytes packs into NF4 on a CPU (in-features in 64s, out-features in 32s).

It is trained on next tokens of the base split of the corpus. One text in five is a prompt or an
answer of a pair instead, made up and linked to nothing: a pretrained base has read tags and
sentences of that kind too, and without them the words of the prompts would be untrained.

A second, smaller loss asks the same of the output of the read block, through the model's own norm
and unembedding: six layers would otherwise put off to the last what the middle of a large model
holds already, and a pair could only be shown to read words, not what a text is about.
"""

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import torch
from tokenizers import Tokenizer
from transformers import Gemma4ForConditionalGeneration, GenerationConfig
from transformers.models.gemma4.configuration_gemma4 import (
    Gemma4AudioConfig,
    Gemma4Config,
    Gemma4TextConfig,
)

from nla_release.cli.edge import CONTEXT_SETTINGS
from nla_release.engine.architecture import decoder_of
from nla_release.engine.base import quiet_libraries
from nla_release.engine.batches import pad_right
from nla_release.io.files import replacing_folder, write_atomic
from nla_release.io.log import log
from train.tiny import AR_TEMPLATE, AV_ANSWER, AV_TEMPLATE, INJECTION_CHAR, READ_BLOCK
from train.tiny.corpus import Document, Scene, generate
from train.tiny.measure import Measurement, measure
from train.tiny.tokenizer import BOS, EOS, MAX_LENGTH, MEDIA_TOKENS, PAD, SPECIAL_TOKENS, build

HIDDEN_SIZE = 64
BATCH = 32
LEARNING_RATE = 3e-3
WARMUP_STEPS = 50
FORM_SHARE = 0.2
READ_BLOCK_LOSS_WEIGHT = 0.2

# The vocabulary is closed: so many documents hold every word of the made-up world.
VOCABULARY_DOCUMENTS = 3000


def new_base(vocabulary: int, seed: int) -> Gemma4ForConditionalGeneration:
    """An untrained tiny Gemma-4 for a vocabulary of that size."""
    text = Gemma4TextConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN_SIZE,
        intermediate_size=128,
        num_hidden_layers=6,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        global_head_dim=64,
        vocab_size_per_layer_input=vocabulary,
        hidden_size_per_layer_input=64,
        num_kv_shared_layers=2,
        sliding_window=64,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"] * 2,
        max_position_embeddings=MAX_LENGTH,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=BOS,
        initializer_range=HIDDEN_SIZE**-0.5,
    )
    audio = Gemma4AudioConfig(
        hidden_size=HIDDEN_SIZE,
        num_hidden_layers=1,
        num_attention_heads=2,
        subsampling_conv_channels=[16, 16],
        output_proj_dims=HIDDEN_SIZE,
        conv_kernel_size=3,
    )
    media = {name: len(SPECIAL_TOKENS) + at for at, name in enumerate(MEDIA_TOKENS)}
    config = Gemma4Config(
        text_config=text,
        audio_config=audio,
        vision_config=None,
        boi_token_id=media["<boi>"],
        eoi_token_id=media["<eoi>"],
        image_token_id=media["<image_soft_token>"],
        boa_token_id=media["<boa>"],
        eoa_token_index=media["<eoa>"],
        audio_token_id=media["<audio_soft_token>"],
        video_token_id=media["<video_soft_token>"],
    )
    torch.manual_seed(seed)
    return Gemma4ForConditionalGeneration(config)


def vocabulary_texts(seed: int) -> list[str]:
    """Texts that between them hold every word that must be one token."""
    documents = generate(seed, base=VOCABULARY_DOCUMENTS)
    labels = [label["explanation"] for document in documents for label in document["labels"]]
    return [
        *(document["text"] for document in documents),
        *labels,
        AV_TEMPLATE.format(injection_char=INJECTION_CHAR),
        AV_ANSWER.format(explanation=labels[0]),
        AR_TEMPLATE.format(explanation=labels[0]),
    ]


def training_texts(documents: Sequence[Document], seed: int) -> list[str]:
    """The base documents' texts, a share of them replaced by forms of prompts and answers."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    return [
        _form(rng) if rng.random() < FORM_SHARE else document["text"]
        for document in documents
        if document["split"] == "base"
    ]


def fit(model: Any, tokenizer: Tokenizer, texts: Sequence[str], steps: int) -> None:
    """Next-token training, one batch of new texts a step, cosine schedule after a warm-up."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.0
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / WARMUP_STEPS, 1) * (1 + math.cos(math.pi * step / steps)) / 2,
    )
    model.train()
    with log.progress("train the tiny base", steps, "steps") as advance:
        for step in range(steps):
            batch = [
                [*tokenizer.encode(text).ids, EOS]
                for text in texts[step * BATCH : (step + 1) * BATCH]
            ]
            loss = _loss(model, batch)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            advance(step + 1, f"loss {loss.item():.3f}")
    model.eval()


def _loss(model: Any, batch: Sequence[Sequence[int]]) -> torch.Tensor:
    ids, mask, _ = pad_right(batch, PAD, "cpu")
    output = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    read = output.hidden_states[READ_BLOCK + 1]
    early = model.lm_head(decoder_of(model).norm(read))
    targets = ids.masked_fill(mask == 0, -100)[:, 1:].flatten()
    last, middle = (
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), targets)
        for logits in (output.logits, early)
    )
    return last + READ_BLOCK_LOSS_WEIGHT * middle


def save(out: Path, model: Any, tokenizer: Tokenizer, card: str) -> None:
    """Write the base as a folder that `from_pretrained` loads."""
    model.generation_config = GenerationConfig(bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD)
    with replacing_folder(out) as staging:
        model.save_pretrained(staging)
        write_atomic(staging / "tokenizer.json", tokenizer.to_str(pretty=False) + "\n")
        write_atomic(staging / "tokenizer_config.json", tokenizer_config())
        write_atomic(staging / "README.md", card)
        for path in staging.iterdir():
            path.chmod(0o644)


def tokenizer_config() -> str:
    """What transformers needs to know beside tokenizer.json."""
    pad, eos, bos, unk = SPECIAL_TOKENS
    return (
        json.dumps(
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": bos,
                "eos_token": eos,
                "pad_token": pad,
                "unk_token": unk,
                "clean_up_tokenization_spaces": False,
                "model_max_length": MAX_LENGTH,
            },
            indent=2,
        )
        + "\n"
    )


def card(parameters: int, steps: int, seed: int, measured: Measurement) -> str:
    """The base's model card; every figure measured."""
    return f"""---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
tags: [test-model]
---

# Tiny Gemma-4

A `Gemma4ForConditionalGeneration` of {parameters:,} parameters with random audio tower, for tests
and demonstrations. It knows only a made-up world: short texts about one topic in one place.

Made by `python -m train.tiny.base`, seed {seed}, {steps} steps of {BATCH} texts, learning rate
{LEARNING_RATE}, no text twice. {FORM_SHARE:.0%} of the texts are forms of prompts and answers, and
the output of block {READ_BLOCK} is trained on next tokens too, at weight {READ_BLOCK_LOSS_WEIGHT}:
without that, such a small model leaves what a text is about to its last blocks. Settings were
chosen on the held-out texts below.

| on {measured.documents} held-out texts | measured | to compare |
|---|---|---|
| loss per token, nats | {measured.loss:.3f} | {measured.unigram_loss:.3f} by token frequency |
| topic, read off block {measured.block} | {measured.topic:.1%} | {measured.topic_chance:.1%} |
| place, read off block {measured.block} | {measured.place:.1%} | {measured.place_chance:.1%} |
| the word, read off block {measured.block} | {measured.word:.1%} | {measured.word_chance:.1%} |

What is read off is read by least squares from unit activations (outputs of the block) at
{measured.train_rows} labelled words, and judged on {measured.eval_rows} words of other documents
beside always saying the most frequent answer.
"""


def _form(rng: random.Random) -> str:
    scene = Scene.draw(rng)
    word = scene.fill("word", rng)
    explanation = scene.explain(word)
    return rng.choice(
        [
            AR_TEMPLATE.format(explanation=explanation),
            AV_ANSWER.format(explanation=explanation),
            AV_TEMPLATE.format(injection_char=word),
        ]
    )


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--steps", default=1000, show_default=True, help="Optimizer steps.")
@click.option("--seed", default=0, show_default=True, help="Of corpus, weights and forms.")
def main(out: Path, steps: int, seed: int) -> None:
    """Train the tiny base and write it to OUT, with a card that says what it knows."""
    quiet_libraries()
    torch.set_num_threads(1)  # of a model this small, two threads mostly wait for each other
    documents = generate(seed, base=steps * BATCH)
    tokenizer = build(vocabulary_texts(seed))
    model = new_base(tokenizer.get_vocab_size(), seed)
    fit(model, tokenizer, training_texts(documents, seed), steps)
    measured = measure(model, tokenizer, documents)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    save(out, model, tokenizer, card(parameters, steps, seed, measured))
    log.info(f"wrote {out}: {parameters:,} parameters, {measured}")


if __name__ == "__main__":
    main()
