"""Texts that the AR reads instead of an explanation: with less meaning, or reworded.

Pure functions of a text, a key and a seed. The key is the row's id, so the text of a row does not
depend on other rows or on their order.

The rules know only the closed lists below, and only English. The diagnostics count the rows that a
rule leaves unchanged, and do not judge them.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np

_LETTERS = list("abcdefghijklmnopqrstuvwxyz")

_SENTENCE_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Z]\.)(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\bcf\.)(?<!\bvs\.)(?<!\betc\.)"
    r"(?<!\bDr\.)(?<!\bMr\.)(?<!\bMs\.)(?<!\bSt\.)(?<!\bMrs\.)\s+(?=[\"“'(\[]?[A-Z0-9])"
)
_BULLET = r"(?:[-*•]|\d{1,3}[.)])\s"
_AT_BULLET = re.compile(_BULLET)
_LINE = re.compile(rf"\n\s*(?={_BULLET})|\n\s*\n\s*")
_SEMICOLON = re.compile(r"(?<=;)\s+")
_COMMA = re.compile(r"(?<=,)\s+")
_PROTECTED = re.compile(r"(\"[^\"]*\"|“[^”]*”|‘[^’]*’|`[^`]*`|\([^()]*\)|\[[^\[\]]*\])")
_WORD = re.compile(r"\w+")

# A claim needs more than a name or an adjective to be one by itself.
_LEAST_WORDS = 2

# Each phrase may become any of the others in its line. All are words of talking about texts and
# of joining clauses, which explanations are made of; none is a name, a number or a topic.
_SYNONYMS = (
    ("about", "concerning", "on the subject of"),
    ("text", "passage"),
    ("the word", "the term"),
    ("set in", "taking place in"),
    ("in the context of", "in connection with"),
    ("such as", "for example"),
    ("as well as", "and also"),
    ("because", "since"),
    ("although", "even though"),
    ("however", "nevertheless"),
    ("therefore", "thus"),
    ("suggests", "indicates"),
    ("suggesting", "indicating"),
    ("describes", "depicts"),
    ("describing", "depicting"),
    ("refers to", "points to"),
    ("referring to", "pointing to"),
    ("mentions", "names"),
    ("probably", "likely"),
    ("often", "frequently"),
    ("usually", "typically"),
)
_ALTERNATIVES = {
    phrase: [other for other in line if other != phrase] for line in _SYNONYMS for phrase in line
}
_PHRASES = re.compile(
    rf"\b(?:{'|'.join(sorted(map(re.escape, _ALTERNATIVES), key=len, reverse=True))})\b",
    re.IGNORECASE,
)

# After one of these words, no adjective belongs to the first item alone.
_BEFORE_A_LIST = "about|concerning|of|on|in|with|between|mentions|names|like|including|for|as"
_LIST = re.compile(
    rf"(?<=\b)(?P<before>(?:{_BEFORE_A_LIST})\s|:\s)(?P<items>\w+(?:,\s\w+)*)(?P<comma>,?)"
    r"\s(?P<join>and|or)\s(?P<last>\w+)(?=[.,;:!?]|$)"
)

# "A, set in B": a last clause that opens so says something of the whole and may stand first.
_MOVABLE = re.compile(
    r"^(?P<body>[^,;:]+),\s(?P<clause>(?:set|taking|written|told|spoken|seen|from|in|at|during|"
    r"according)\b[^,;:]*?)(?P<end>[.!?]?)$"
)


# Words that begin a sentence with a capital letter and lose it inside one.
_OPENERS = {"The", "A", "An", "This", "These", "It", "In", "On"}


def gibberish(text: str, key: str, seed: int) -> str:
    """Random lower-case letters for every character that is not white space.

    Length, word count and word lengths are those of the text; nothing else of it is left.
    """
    random = _random("gibberish", key, seed)
    return re.sub(r"\S", lambda _: _LETTERS[random.randint(len(_LETTERS))], text)


def word_shuffled(text: str, key: str, seed: int) -> str:
    """The words in another order, with single spaces; punctuation goes with its word.

    The order differs whenever the text holds two different words.
    """
    return " ".join(_reordered(text.split(), _random("words", key, seed)))


def sentence_shuffled(text: str, key: str, seed: int) -> str:
    """The sentences in another order; a text of a single sentence stays as it is."""
    sentences = _sentences(text)
    if len(sentences) < 2:
        return text
    return " ".join(_reordered(sentences, _random("sentences", key, seed)))


def paraphrase(text: str, key: str, seed: int) -> str:
    """A rewording of the text by rules.

    Phrases of a closed list become synonyms, the items of a list of single words are reordered, and
    a last clause such as "set in Oslo" moves to the front. Nothing between quotation marks or
    brackets changes, nor the space between sentences. Names, numbers and content words stay, so
    this is a weaker test than a paraphrase by a person or a model. A synonym can be wrong where a
    phrase has a second meaning ("set in" stone). A text that no rule fits is returned unchanged.
    """
    random = _random("paraphrase", key, seed)

    def synonym(match: re.Match[str]) -> str:
        found = match.group()
        others = _ALTERNATIVES[found.lower()]
        chosen = others[random.randint(len(others))]
        return chosen[0].upper() + chosen[1:] if found[0].isupper() else chosen

    def relisted(match: re.Match[str]) -> str:
        items = [*re.split(r",\s", match["items"]), match["last"]]
        *first, last = _reordered(items, random)
        return f"{match['before']}{', '.join(first)}{match['comma']} {match['join']} {last}"

    def reworded(sentence: str) -> str:
        parts = _PROTECTED.split(sentence)
        parts[::2] = [_PHRASES.sub(synonym, _LIST.sub(relisted, part)) for part in parts[::2]]
        return _clause_first("".join(parts))

    pieces = _parted(text, _SENTENCE_END)
    pieces[::2] = [reworded(sentence) for sentence in pieces[::2]]
    return "".join(pieces)


def split_claims(text: str) -> list[str]:
    """The statements of a text, in order, each with the punctuation that ended it.

    A text is cut into list items, these into sentences, these at semicolons, and these at commas
    where both sides hold at least two words. Nothing is cut inside quotation marks or brackets.
    Not every piece can stand alone ("set in Oslo"), and a statement without a comma is not cut
    ("a red car in Oslo"). `join_claims` puts them together again.
    """
    pieces = [piece for line in _LINE.split(text.strip()) for piece in _sentences(line)]
    clauses = [clause for piece in pieces for clause in _cut(piece, _SEMICOLON)]
    return [claim for clause in clauses for claim in _clauses(clause)]


def join_claims(claims: Sequence[str]) -> str:
    """One text of claims: a list of lines when they are list items, else one line.

    The claims of a text on one line give that text, up to its white space.
    """
    bulleted = any(_AT_BULLET.match(claim) for claim in claims)
    return ("\n" if bulleted else " ").join(claims)


def without_claim(claims: Sequence[str], k: int) -> str:
    """The text without claim k, ended as it was."""
    left = [claim for position, claim in enumerate(claims) if position != k]
    if left and k == len(claims) - 1:
        left[-1] = _ended(left[-1], _end(claims[k]))
    return join_claims(left)


def with_unrelated(claims: Sequence[str], k: int, other: str) -> str:
    """The text with an unrelated claim after claim k.

    Removing that claim gives the text itself, so the two differ in length much as the text and
    `without_claim` do, and not at all in what the text says of its activation.
    """
    bullet = _AT_BULLET.match(claims[k])
    added = f"{bullet.group() if bullet else ''}{other.strip()}"
    before, end = claims[k], _end(claims[k], ".!?,;")
    if not bullet and k == len(claims) - 1:
        before = f"{before.rstrip('.!?,;')},"
    elif not bullet:
        end = end or ","
    return join_claims([*claims[:k], before, _ended(added, end), *claims[k + 1 :]])


def _random(purpose: str, key: str, seed: int) -> np.random.RandomState:
    """A generator whose stream numpy promises never to change (NEP 19)."""
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{key}".encode()).digest()
    return np.random.RandomState(np.frombuffer(digest, dtype="<u4"))


def _reordered(items: Sequence[str], random: np.random.RandomState) -> list[str]:
    """Another order, whenever there is a different one."""
    order = [items[position] for position in random.permutation(len(items))]
    return order if order != list(items) else order[1:] + order[:1]


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in _cut(text.strip(), _SENTENCE_END) if sentence]


def _clauses(text: str) -> list[str]:
    """Cut at commas; a piece too short for a claim stays with what follows, or what went before."""
    clauses: list[str] = []
    for piece in _cut(text, _COMMA):
        if clauses and min(_words(clauses[-1]), _words(piece)) < _LEAST_WORDS:
            clauses[-1] += f" {piece}"
        else:
            clauses.append(piece)
    return clauses


def _cut(text: str, where: re.Pattern[str]) -> list[str]:
    """Cut at the matches that lie outside quotation marks and brackets."""
    return _parted(text, where)[::2]


def _parted(text: str, where: re.Pattern[str]) -> list[str]:
    """The pieces of `_cut` at even places, and what was cut out at odd ones."""
    protected = [match.span() for match in _PROTECTED.finditer(text)]
    parts, start = [], 0
    for match in where.finditer(text):
        if not any(low < match.start() < high for low, high in protected):
            parts += [text[start : match.start()], match.group()]
            start = match.end()
    return [*parts, text[start:]]


def _clause_first(sentence: str) -> str:
    match = _MOVABLE.match(sentence)
    if match is None:
        return sentence
    body, clause = match["body"], match["clause"]
    if sentence[0].isupper() and not sentence.split()[0].isupper():
        clause = clause[0].upper() + clause[1:]
        first = body.split()[0]
        body = body[0].lower() + body[1:] if first in _OPENERS else body
    return f"{clause}, {body}{match['end']}"


def _words(text: str) -> int:
    return len(_WORD.findall(text))


def _end(claim: str, marks: str = ".!?") -> str:
    return claim[-1] if claim and claim[-1] in marks else ""


def _ended(claim: str, end: str) -> str:
    """The claim with another punctuation mark at its end."""
    return claim.rstrip(".!?,;") + end
