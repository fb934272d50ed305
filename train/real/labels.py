"""`python -m train.real.labels FOLDER`: the labels of a corpus by a real instruct model.

The seed's second stage asked gpt-4o-mini. Here SmolLM2-135M-Instruct on this machine takes its
place: `train extract`, `split` and `label` run as for a paid endpoint, with the audit pass. Answers
are kept, so an interrupted run continues.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pyarrow.parquet as pq
import transformers
import yaml

from nla_release.cli.edge import CONTEXT_SETTINGS, debug_option, output
from nla_release.cli.edge import run as run_at_the_edge
from nla_release.cli.train import command as train
from nla_release.io.files import read_yaml, write_atomic
from train.real.__main__ import prepare
from train.real.server import MODEL, ChatServer

# Kept answers belong to an address, so that it must be the same each time.
PORT = 8631

LABEL: dict[str, Any] = {
    "source": "endpoint",
    "model": MODEL,
    "system": "You describe texts in one short sentence.",
    "labeller": (
        "Text:\n{text}\n\nIn one sentence of at most 25 words, say what this text is about.\n"
        "Answer in this form: <explanation>one sentence</explanation>"
    ),
    "auditor": (
        "Text:\n{text}\n\nProposed explanation: {explanation}\n\n"
        "Does the explanation fit the text?\n"
        "If it does, answer <explanation>{explanation}</explanation>; if not, answer"
        " <reject>why not</reject>"
    ),
    "max_tokens": 80,
    "temperature": 0.0,
    "concurrency": 16,
    "timeout_seconds": 600,
}


@click.command(context_settings=CONTEXT_SETTINGS)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--documents", default=200, show_default=True, help="Texts to label.")
def command(folder: Path, documents: int) -> None:
    """Label texts in FOLDER with SmolLM2-135M-Instruct on this machine, and show the outcome."""
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder, documents, 1, ())
    base = folder / "base"
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype="bfloat16").eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    with ChatServer(model, tokenizer, port=PORT) as server:
        recipe = read_yaml(folder / "recipe.yaml")
        recipe["label"] = LABEL | {"base_url": server.base_url}
        write_atomic(folder / "recipe.yaml", yaml.safe_dump(recipe, allow_unicode=True))
        for step in ("extract", "split", "label"):
            line = [step, str(folder / "recipe.yaml"), "--folder", str(folder)]
            train.main(line, prog_name="nla-release train", standalone_mode=False)
    output("\n".join(outcome(folder)))


def outcome(folder: Path) -> Iterator[str]:
    """What became of the texts, as lines of Markdown: counts, then a few of each."""
    rows = [
        row
        for path in sorted((folder / "data" / "labels").glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]
    counts = Counter(row["status"] for row in rows)
    yield "| status | texts | share |"
    yield "|---|---|---|"
    for status, count in counts.most_common():
        yield f"| {status} | {count} | {count / len(rows):.0%} |"
    kept = [row for row in rows if row["status"] == "ok"]
    changed = sum(row["draft"] != row["explanation"] for row in kept)
    yield f"\nThe auditor reworded {changed} of the {len(kept)} accepted drafts.\n"
    for status in counts:
        for row in [row for row in rows if row["status"] == status][:3]:
            said = row["explanation"] or row["reason"] or row["answer"] or ""
            yield f"* {status}, {row['id']}: {' '.join(said.split())[:300]}"


if __name__ == "__main__":
    command.params.append(debug_option())
    run_at_the_edge(command, "python -m train.real.labels")
