"""What a labelling may take, told before the first request."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from nla_release.contract.prompt import encoder, load_tokenizer
from train.labelling.answers import read_label
from train.labelling.cache import Cache, request_key
from train.labelling.prompts import Message, auditor_messages, labeller_messages
from train.labelling.tally import cost, money
from train.recipe import BaseModel, Endpoint

# Of English, with the tokenizers in use; told as what it is.
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Counter:
    """Counts a text's tokens, by a tokenizer that is at hand or by its length; `how` says which."""

    how: str
    count: Callable[[str], int]


@dataclass(frozen=True)
class Estimate:
    """Requests still to be made; output tokens are the most that `max_tokens` lets through."""

    texts: int
    requests: int
    input_tokens: int
    output_tokens: int


def counter(base: BaseModel) -> Counter:
    """Count by the base's tokenizer when it is on this machine, or else by characters.

    Raises:
        InputError: the file that is there is not a tokenizer.
    """
    if base.path is not None:
        found: object = Path(base.path) / "tokenizer.json"
    else:
        found = try_to_load_from_cache(base.id, "tokenizer.json", revision=base.revision)
    if isinstance(found, str | Path) and Path(found).is_file():
        encode = encoder(load_tokenizer(Path(found)))
        return Counter("by the base's tokenizer", lambda text: len(encode(text, False)))
    how = f"at {_CHARACTERS_PER_TOKEN} characters a token"
    return Counter(how, lambda text: -(-len(text) // _CHARACTERS_PER_TOKEN))


def estimate(
    texts: Sequence[str], settings: Endpoint, cache: Cache, count: Callable[[str], int]
) -> Estimate:
    """Count what is not in the cache yet; an audit to come is taken to be of the longest draft."""
    requests = tokens = waiting = 0
    for text in texts:
        prompts, drafted = _to_come(text, settings, cache)
        requests += len(prompts)
        waiting += bool(prompts)
        tokens += drafted * settings.max_tokens
        tokens += sum(count(message["content"]) for prompt in prompts for message in prompt)
    return Estimate(waiting, requests, tokens, requests * settings.max_tokens)


def in_words(found: Estimate, settings: Endpoint, how: str) -> str:
    """The estimate as a line or two."""
    price = settings.price_per_million_tokens
    most = cost(found.input_tokens, found.output_tokens, price)
    words = (
        f"{found.texts} texts to label with {settings.model}: {found.requests} requests, about"
        f" {found.input_tokens} tokens in ({how}), at most {found.output_tokens} out\n"
        f"cost: {money(most)}{'' if most is None else ' at most, about'}"
    )
    if rate := settings.requests_per_minute:
        words += f"\ntime: {found.requests / rate:.1f} minutes at least, at {rate:g} a minute"
    return words


def _to_come(text: str, settings: Endpoint, cache: Cache) -> tuple[list[list[Message]], int]:
    """The prompts that will be sent, and how many of them hold a draft that is not known yet."""
    prompt = labeller_messages(settings, text)
    answer = cache.find(request_key(settings, prompt))
    if answer is None:
        if settings.auditor is None:
            return [prompt], 0
        return [prompt, auditor_messages(settings, text, "")], 1
    reading = read_label(answer)
    if settings.auditor is None or reading.status != "ok":
        return [], 0
    audit = auditor_messages(settings, text, reading.text)
    return ([] if cache.find(request_key(settings, audit)) else [audit]), 0
