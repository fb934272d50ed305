"""What the tiny base knows: held-out loss, and what can be read off its activations."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from nla_release.engine.architecture import block_output
from train.tiny import READ_BLOCK
from train.tiny.corpus import Document
from train.tiny.tokenizer import EOS


@dataclass(frozen=True)
class Measurement:
    """Losses in nats per token; shares of held-out words that a linear probe gets right."""

    documents: int
    loss: float
    unigram_loss: float
    block: int
    topic: float
    topic_chance: float
    place: float
    place_chance: float
    word: float
    word_chance: float
    train_rows: int
    eval_rows: int


def measure(model: Any, tokenizer: Tokenizer, documents: Sequence[Document]) -> Measurement:
    """Measure on the eval documents; probes are fitted on the train documents."""
    train = [document for document in documents if document["split"] == "train"]
    held_out = [document for document in documents if document["split"] == "eval"]
    x_train, facts_train = _activations(model, tokenizer, train)
    x_eval, facts_eval = _activations(model, tokenizer, held_out)
    shares = {}
    for at, name in enumerate(("word", "topic", "place")):
        known, asked = [it[at] for it in facts_train], [it[at] for it in facts_eval]
        shares[name] = _probe(x_train, known, x_eval, asked)
        (most_frequent, _), *_ = Counter(known).most_common(1)
        shares[f"{name}_chance"] = float(np.mean([it == most_frequent for it in asked]))
    return Measurement(
        documents=len(held_out),
        loss=_loss(model, tokenizer, held_out),
        unigram_loss=_unigram_loss(tokenizer, train, held_out),
        block=READ_BLOCK,
        train_rows=len(x_train),
        eval_rows=len(x_eval),
        **shares,
    )


@torch.no_grad()
def _activations(
    model: Any, tokenizer: Tokenizer, documents: Sequence[Document]
) -> tuple[npt.NDArray[np.float32], list[tuple[str, str, str]]]:
    """Unit activations at the labelled words, with word, topic and place of each."""
    rows, facts = [], []
    for document in documents:
        encoded = tokenizer.encode(document["text"])
        ids = torch.tensor([encoded.ids])
        hidden = block_output(model, READ_BLOCK, ids, torch.ones_like(ids))[0]
        unit = torch.nn.functional.normalize(hidden, dim=-1).numpy()
        for label in document["labels"]:
            at = max(at for at, (start, _) in enumerate(encoded.offsets) if start < label["end"])
            rows.append(unit[at])
            about, _, place = label["explanation"].partition(", set in ")
            _, _, topic = about.partition(" in a text about ")
            facts.append((document["text"][label["start"] : label["end"]], topic, place))
    return np.stack(rows), facts


def _probe(
    x_train: npt.NDArray[np.float32],
    known: Sequence[str],
    x_eval: npt.NDArray[np.float32],
    asked: Sequence[str],
) -> float:
    classes = sorted(set(known))
    targets = np.eye(len(classes))[[classes.index(it) for it in known]]
    weights = np.linalg.lstsq(_with_bias(x_train), targets, rcond=None)[0]
    guesses = (_with_bias(x_eval) @ weights).argmax(axis=1)
    return float(np.mean([classes[at] == it for at, it in zip(guesses, asked, strict=True)]))


def _with_bias(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return np.hstack([x.astype(np.float64), np.ones((len(x), 1))])


@torch.no_grad()
def _loss(model: Any, tokenizer: Tokenizer, documents: Sequence[Document]) -> float:
    total, count = 0.0, 0
    for document in documents:
        ids = torch.tensor([[*tokenizer.encode(document["text"]).ids, EOS]])
        total += model(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    return total / count


def _unigram_loss(
    tokenizer: Tokenizer, train: Sequence[Document], held_out: Sequence[Document]
) -> float:
    """Cross-entropy of the held-out tokens under the train tokens' frequencies, one added."""
    counts = np.ones(tokenizer.get_vocab_size())
    for document in train:
        np.add.at(counts, [*tokenizer.encode(document["text"]).ids[1:], EOS], 1)
    nats = -np.log(counts / counts.sum())
    tokens = [
        token
        for document in held_out
        for token in [*tokenizer.encode(document["text"]).ids[1:], EOS]
    ]
    return float(nats[tokens].mean())
