"""The corpus of `make real`: English documentation that any machine with this project has.

A document is a docstring of an installed scientific package, read from its source files, which are
not imported. A label names what it documents, by its first sentence, and the words just read.
"""

import ast
import hashlib
import inspect
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nla_release.errors import EnvironmentProblem
from nla_release.io.files import write_atomic

PACKAGES = ("matplotlib", "networkx", "numpy", "pandas", "pyarrow", "sympy", "torch")

# Words of a document: long enough to have a topic, short enough for two processor cores.
_FEWEST_WORDS = 60
_SUMMARY = re.compile(r"[A-Z][ -~]{18,88}[a-z)]\.")
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]+")
# A label is set between the words with these numbers, and quotes this many, which are English.
_WORDS_READ = (25, 110)
_QUOTED = 5
_PLAIN = re.compile(r"[A-Za-z',.() -]{,60}")


@dataclass(frozen=True)
class Docstring:
    """A docstring: where it is, its first sentence, and its text without indentation."""

    name: str
    summary: str
    text: str


def docstrings(package: str) -> Iterator[Docstring]:
    """The docstrings of a package that are long enough, in the order of their files.

    Raises:
        EnvironmentProblem: the package is not installed.
    """
    found = find_spec(package)
    if found is None or found.origin is None:
        raise EnvironmentProblem(
            f"the package {package}, whose documentation is read, is not installed",
            hint="run `make setup`",
        )
    root = Path(found.origin).parent
    for path in sorted(root.rglob("*.py")):
        if "tests" in path.parts or "testing" in path.parts:
            continue
        module = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
            summary = " ".join(text.split("\n\n")[0].split())
            if _SUMMARY.fullmatch(summary) and len(text.split()) >= _FEWEST_WORDS:
                yield Docstring(f"{module}.{node.name}", summary, text)


def documents(
    count: int, labels: int, seed: int, packages: Sequence[str] = PACKAGES
) -> Iterator[dict[str, Any]]:
    """Lines of a corpus: docstrings drawn at random, none of them twice.

    Args:
        count: how many documents at the most.
        labels: how many positions of each have a label.
        seed: of the draw.
        packages: whose docstrings they are.

    Raises:
        EnvironmentProblem: one of them is not installed.
    """
    drawn = random.Random(seed)  # noqa: S311 - no secret
    everything = {
        hashlib.sha256(each.text[:200].encode()).hexdigest(): each
        for package in packages
        for each in docstrings(package)
        if each.text.isascii()
    }
    chosen = [everything[digest] for digest in sorted(everything)]
    drawn.shuffle(chosen)
    named: set[str] = set()
    for each in chosen:
        words = list(_WORD.finditer(each.text))
        between = range(_WORDS_READ[0], min(_WORDS_READ[1], len(words)))
        places = [at for at in between if _PLAIN.fullmatch(_quoted(each, words, at))]
        if each.summary in named or len(places) < labels:
            continue
        named.add(each.summary)
        taken = [_label(each, words, at) for at in sorted(drawn.sample(places, labels))]
        yield {"id": f"{each.name}-{len(named)}", "text": each.text, "labels": taken}
        if len(named) == count:
            return


def _quoted(document: Docstring, words: list[re.Match[str]], at: int) -> str:
    return " ".join(document.text[words[at - _QUOTED + 1].start() : words[at].end()].split())


def _label(document: Docstring, words: list[re.Match[str]], at: int) -> dict[str, Any]:
    """What is said of the word with number `at`: an explanation, and the same in other words."""
    quoted = _quoted(document, words, at)
    summary = document.summary.rstrip(".")
    return {
        "start": words[at].start(),
        "end": words[at].end(),
        "explanation": f'The text documents code: {summary}. It just said "{quoted}".',
        "paraphrase": f'"{quoted}" was read last, in a documentation of code: {summary}.',
    }


def write_corpus(path: Path, *, count: int, labels: int, seed: int = 0) -> int:
    """Write a corpus; gives how many documents it has.

    Raises:
        EnvironmentProblem: a package that is read is not installed.
    """
    lines = [json.dumps(each) for each in documents(count, labels, seed)]
    write_atomic(path, "".join(f"{line}\n" for line in lines))
    return len(lines)
