"""The cost of a labelling: estimated before the first request, counted afterwards."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from nla_release.contract.prompt import encoder, load_tokenizer
from nla_release.training.labelling.answers import (
    STATUSES,
    Answer,
    Cache,
    LabelStatus,
    Message,
    auditor_messages,
    labeller_messages,
    read_label,
    request_key,
)
from nla_release.training.recipe import BaseSettings, Endpoint, Price


@dataclass
class TokenUsage:
    """Tokens of some answers, and how many answers did not report theirs."""

    input_tokens: int = 0
    output_tokens: int = 0
    unsaid: int = 0

    def add(self, answer: Answer) -> None:
        """Count an answer's."""
        if answer.input_tokens is None or answer.output_tokens is None:
            self.unsaid += 1
        self.input_tokens += answer.input_tokens or 0
        self.output_tokens += answer.output_tokens or 0

    def cost(self, price: Price | None) -> float | None:
        """In the currency of the price; None without a price."""
        return cost(self.input_tokens, self.output_tokens, price)


@dataclass
class Tally:
    """The counts of one run: requests, cached answers, and faults.

    `faults` counts by kind: a status such as "429" or "503", "timeout", "connection", "malformed".
    """

    requests: int = 0
    retries: int = 0
    cached: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    spent: TokenUsage = field(default_factory=TokenUsage)

    @classmethod
    def together(cls, tallies: Iterable["Tally"]) -> "Tally":
        """Of all processes."""
        total = cls()
        for tally in tallies:
            total.requests += tally.requests
            total.retries += tally.retries
            total.cached += tally.cached
            total.faults += tally.faults
            total.spent.input_tokens += tally.spent.input_tokens
            total.spent.output_tokens += tally.spent.output_tokens
            total.spent.unsaid += tally.spent.unsaid
        return total


def cost(input_tokens: int, output_tokens: int, price: Price | None) -> float | None:
    """What tokens cost, in the currency of the price; None without a price."""
    if price is None:
        return None
    return (input_tokens * price.input + output_tokens * price.output) / 1e6


def money(amount: float | None) -> str:
    """An amount to be read: cents where they matter, or that there is no price."""
    return "no price in the recipe" if amount is None else f"{amount:,.4f}"


def counts_table(
    counts: Mapping[str, Mapping[LabelStatus, int]], tally: Tally, price: Price | None
) -> str:
    """The rows of each side by status, and below what this run took.

    Args:
        counts: by side and status.
        tally: of this run, all processes together.
        price: of the recipe.
    """
    lines = [" ".join(f"{word:>9}" for word in ("side", *STATUSES, "rows"))]
    for side, of_side in counts.items():
        numbers = [of_side.get(status, 0) for status in STATUSES]
        lines.append(" ".join(f"{word!s:>9}" for word in (side, *numbers, sum(numbers))))
    if not (tally.requests or tally.cached):  # the corpus's own labels
        return "\n".join(lines)
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(tally.faults.items()))
    spent = tally.spent
    unsaid = f"; {spent.unsaid} answers did not say" if spent.unsaid else ""
    lines += [
        f" requests {tally.requests}, of which retries {tally.retries} ({faults or 'no faults'})",
        f"   cached {tally.cached}",
        f"   tokens {spent.input_tokens} in, {spent.output_tokens} out{unsaid}",
        f"     cost {money(spent.cost(price))}",
    ]
    return "\n".join(lines)


# For English text; the estimate names this assumption.
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class TokenCounter:
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


def token_counter(base: BaseSettings) -> TokenCounter:
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
        return TokenCounter("by the base's tokenizer", lambda text: len(encode(text, False)))
    how = f"at {_CHARACTERS_PER_TOKEN} characters a token"
    return TokenCounter(how, lambda text: -(-len(text) // _CHARACTERS_PER_TOKEN))


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
