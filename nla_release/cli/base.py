"""`nla-release base`."""

from pathlib import Path

import click

from nla_release.base_model.facts import BaseFacts
from nla_release.base_model.measure import measure_again
from nla_release.cli.edge import ExampleCommand, output
from nla_release.cli.options import path_argument
from nla_release.io.layout import BASE_FILE
from nla_release.io.log import log
from nla_release.release.folder import read_release


@click.command("base", cls=ExampleCommand, example="nla-release base my-release")
@path_argument
def command(path: Path) -> None:
    """Record facts about the base of release.yaml in base.json, without loading it.

    Shapes and module names come from the headers of its weights, and the norm of its embeddings
    from a sample of rows. They are read from base_path, the Hub client's cache, or the Hub, which
    sends at most a few megabytes. Afterwards `render` and `check` need no network for the base.
    """
    before, now = measure_again(read_release(path))
    output(_summary(now))
    log.info(f"{path / BASE_FILE}: {_done(before, now)}")


def _summary(facts: BaseFacts) -> str:
    embedding, modules = facts.embedding, len(facts.modules)
    return f"""\
{facts.id}@{facts.revision}
{facts.num_hidden_layers} layers, hidden size {facts.hidden_size}, {modules} linear modules
mean embedding norm {embedding.norm_mean:g} ± {embedding.norm_error:g} \
({embedding.rows} of {embedding.vocabulary} rows)
licence {facts.license or "not named on its card"}"""


def _done(before: BaseFacts | None, now: BaseFacts) -> str:
    if before is None:
        return "written"
    changed = [
        name for name in BaseFacts.model_fields if getattr(before, name) != getattr(now, name)
    ]
    return f"updated: {', '.join(changed)} changed" if changed else "unchanged"
