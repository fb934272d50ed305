"""The documents and figures of a release, from the files of its repositories alone.

`render` and `check` call the same functions: the one writes what they give, the other compares it.
What no file of a repository decides is in release.json, as `Stated`: the choices of release.yaml
and the words of the notes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nla_release.calibration.comparison import Comparison
from nla_release.cards.blocks import marked
from nla_release.cards.compared import comparison_block, readers_block
from nla_release.cards.context import PLACES, Context, pair_context, pair_facts, role_context
from nla_release.cards.figures import (
    Plot,
    cosine_distributions,
    drawn_with,
    retrieval_vs_chance,
    three_questions,
    training_loss,
    versions_side_by_side,
)
from nla_release.cards.inputs import Inputs
from nla_release.cards.notes import Note
from nla_release.cards.released import Released
from nla_release.contract.sidecar import Role
from nla_release.contract.training_chain import training_chain
from nla_release.errors import InputError
from nla_release.history.addenda import Addendum
from nla_release.history.log import Entry
from nla_release.history.retractions import new_version, retracted_block, withdrawn_block
from nla_release.history.superseded import addenda_block, addendum_block
from nla_release.release.config import ReleaseConfig
from nla_release.release.folder import Release
from nla_release.release.manifest import Stated
from nla_release.text.sandbox import render_template

CARD_NAME = "README.md"
PAGE_NAME = "RELEASE_CALIBRATION.md"

_NOWHERE = {"av": "av", "ar": "ar", "evaluation": {"data": "none", "reference": "none"}}


@dataclass(frozen=True, eq=False)
class Sources:
    """What documents are computed from.

    `inputs` may have the adapter of one role only, as a repository without its partner does.
    `before` are this version and the one before, `log` the entries of HISTORY.md.
    """

    inputs: Inputs
    version: str
    stated: Stated
    before: Released | None
    log: Sequence[Entry]
    addenda: Sequence[Addendum]
    comparison: Comparison | None


def state(
    inputs: Inputs,
    notes: Mapping[str, Note],
    before: Released | None,
    files: Mapping[str, str],
) -> Stated:
    """What `release.json` records for those who have a repository and not release.yaml.

    Args:
        inputs: the release as it lies on disk, with both adapters.
        notes: of the release, by name.
        before: this version and the one before.
        files: the sha256 of those that both repositories' documents name.
    """
    config = inputs.release.config
    return Stated(
        release=config.model_dump(mode="json", exclude=PLACES, exclude_none=True),
        licence=inputs.release.licence.model_dump(mode="json", exclude={"text"}),
        notes={name: note.text for name, note in notes.items()},
        sources={name: note.source for name, note in notes.items() if note.source != note.text},
        released=before.plain() if before else None,
        drawn_with=drawn_with(),
        pair=pair_facts(inputs),
        files=dict(sorted(files.items())),
    )


def stated_release(folder: Path, stated: Stated) -> Release:
    """The release.yaml of a repository's author, as far as release.json gives it.

    Raises:
        InputError: what it gives is no release.yaml.
    """
    try:
        return Release(
            folder, ReleaseConfig.model_validate_json(json.dumps(stated.release | _NOWHERE))
        )
    except ValueError as error:
        raise InputError(f"stated.release is no release.yaml: {error}") from error


def plots_of_pair(inputs: Inputs, before: Released | None) -> list[Plot]:
    """The figures of both repositories."""
    evidence, calibration = inputs.evidence, inputs.calibration
    plots = [
        three_questions(calibration),
        cosine_distributions(evidence, calibration),
        retrieval_vs_chance(calibration),
    ]
    return [*plots, versions_side_by_side(before.versions)] if before else plots


def plots_of_role(inputs: Inputs, role: Role) -> list[Plot]:
    """The figures of one repository."""
    adapter = inputs.adapters[role]
    if not adapter.log:
        return []
    runs = len(training_chain(adapter.sidecar.nla_release.training).runs)
    return [training_loss(role, adapter.log, f"run {runs} of {runs}" if runs > 1 else "")]


def shared_context(sources: Sources) -> Context:
    """What the documents of both repositories are rendered with.

    Raises:
        ConfigError: a citation is not known.
        WeightsError: an adapter is damaged.
    """
    inputs, log, addenda = sources.inputs, sources.log, sources.addenda
    plots = plots_of_pair(inputs, sources.before)
    shared = pair_context(inputs, sources.version, plots, sources.before, sources.stated)
    retracted, withdrawn = retracted_block(log), withdrawn_block(log, sources.version)
    shared["successors"] = {
        role: new_version(log, sources.version, role, repo)
        for role, repo in shared["release"]["repos"].items()
    }
    comparison = comparison_block(sources.comparison)
    for blocks, later in (
        (
            "blocks",
            retracted | withdrawn | addendum_block(addenda) | readers_block(sources.comparison),
        ),
        ("page_blocks", retracted | addenda_block(addenda) | comparison),
    ):
        shared[blocks] |= {name: marked(name, text) for name, text in later.items()}
    return shared


def documents(sources: Sources, shared: Context, role: Role) -> dict[str, str]:
    """README.md and RELEASE_CALIBRATION.md of one repository."""
    plots = plots_of_role(sources.inputs, role)
    page = shared | {"blocks": shared["page_blocks"]}
    return {
        CARD_NAME: render_template(
            f"{role}.md.jinja", role_context(sources.inputs, shared, role, plots)
        ),
        PAGE_NAME: render_template(f"{PAGE_NAME}.jinja", page),
    }


def own_entry(sources: Sources, shared: Context) -> str:
    """The entry of this version in HISTORY.md, which says what it was published with.

    After an addendum the numbers are others: the entry has those that the first one superseded.
    """
    if not sources.addenda:
        return render_template("history_entry.md.jinja", shared)
    first = sources.addenda[0]
    then: dict[str, Any] = first.former.calibration.model_dump(mode="json", by_alias=True)
    return render_template(
        "history_entry.md.jinja",
        shared | {"calibration": then, "date": first.record.supersedes.measured},
    )
