"""Which decimals in a sentence about a metric are no value of it, by the words beside them."""

import re

from nla_release.prose.literals import LiteralNumber

_NAMED_OTHERWISE = re.compile(
    r"""(?:
        \b(?:p|p-values?|lr|learning\srate|loss|dropout|slope|temperature|top-p|decay|threshold|floor
          |bar|scale|version|weight|warm-?up|momentum|eps(?:ilon)?|quantile|target|goal|depth
          |betas?(?:[\s=]\(?[\d.]{1,9}(?:,|\sand))?
          |peft|(?:py)?torch|transformers|bitsandbytes|accelerate|safetensors|numpy|python|cuda)
      | \b(?:expected|targeted|hoped-for|ideal|required|desired)(?:\s[a-z-]{1,20}){0,3}
    )\s?(?:(?:of|was|is|at|be|=|<|>|≤|≥|~|≈|:)\s?)?(?:(?:near|about|around)\s)?$""",
    re.IGNORECASE | re.VERBOSE,
)
_R2 = re.compile(r"\bR(?:2|²|\^2)\s?(?:of|was|is|=|:)?\s?$", re.IGNORECASE)
_UNIT = re.compile(
    r"\s?(?:[GMk]i?B|ms|seconds|minutes|hours|GPU|epochs?|million|billion|per\sstep|/\s?step"
    r"|(?:\w{1,20}\s)?(?:floor|threshold|bar|tripwire|utili[sz]ation|occupancy|memory|depth|warm-?up)"
    r"|of\s(?:the\s|its\s)?(?:depth|memory|layers|blocks|steps|vocabulary|tokens|parameters|weights))\b"
)
_LEVEL = re.compile(r"\s(?:\w{1,20}\s){0,2}(?:intervals?|ci|confidence)\b", re.IGNORECASE)
_NEAR = 40


def named_otherwise(literal: LiteralNumber, text: str, *, level: float, of_a_fit: bool) -> bool:
    """Whether a number of a text is called something else than a metric.

    Args:
        literal: the number.
        text: the sentence that it stands in.
        level: of the calibration's intervals, such as 0.95, which is no value either.
        of_a_fit: whether an R² tells how well a line fits.
    """
    before = text[max(0, literal.start - _NEAR) : literal.start]
    return (
        _NAMED_OTHERWISE.search(before) is not None
        or _UNIT.match(text, literal.end) is not None
        or (of_a_fit and _R2.search(before) is not None)
        or (literal.means(level) and _LEVEL.match(text, literal.end) is not None)
    )
