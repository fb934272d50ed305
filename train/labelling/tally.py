"""What a labelling took: requests, faults, tokens and what they cost."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from train.labelling.answers import STATUSES, Answer, LabelStatus
from train.recipe import Price


@dataclass
class Spent:
    """Tokens of some answers, and how many of these did not say theirs."""

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
    """Of one run: what was asked now, what was there, what went wrong on the way.

    `faults` counts by kind: a status such as "429" or "503", "timeout", "connection", "malformed".
    """

    requests: int = 0
    retries: int = 0
    cached: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    spent: Spent = field(default_factory=Spent)

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
        f" requests {tally.requests}, of which again {tally.retries} ({faults or 'no faults'})",
        f"   cached {tally.cached}",
        f"   tokens {spent.input_tokens} in, {spent.output_tokens} out{unsaid}",
        f"     cost {money(spent.cost(price))}",
    ]
    return "\n".join(lines)
