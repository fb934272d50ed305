"""README.md and RELEASE_CALIBRATION.md of a release, from the files of its repositories alone.

`render` and `check` call the same functions: `render` writes the documents, `check` compares them.
What no file of a repository decides is recorded in release.json as `Stated`: the choices of
release.yaml and the text of the notes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from nla_release.adapter.lora import lora_modules
from nla_release.adapter.stack import below, place
from nla_release.adapter.training_log import RULE, Step, loss_trend
from nla_release.calibration.comparison import Comparison
from nla_release.cards.blocks import (
    expected_blocks,
    expected_page_blocks,
    loosened_section,
    marked,
    waivers_section,
)
from nla_release.cards.compared import VersionComparison
from nla_release.cards.figures import (
    cosine_distributions,
    retrieval_vs_chance,
    three_questions,
    training_loss,
    versions_side_by_side,
)
from nla_release.cards.front_matter import front_matter
from nla_release.cards.inputs import Inputs, TrainedAdapter
from nla_release.cards.method import alignment, citations, dataset_facts
from nla_release.cards.notes import NAMES, Note
from nla_release.cards.plot import Plot, drawn_with
from nla_release.cards.snippet import examples, snippet
from nla_release.contract.sidecar import Role, Sidecar
from nla_release.contract.training_chain import TrainingChain, chains_below, training_chain
from nla_release.errors import InputError
from nla_release.history.log import HistoryEntry
from nla_release.history.retractions import new_version
from nla_release.history.updates import EvidenceUpdate
from nla_release.io.layout import ADAPTER_FILE, CALIBRATION_PAGE_FILE, CARD_FILE
from nla_release.release.config import ReleaseConfig
from nla_release.release.folder import ROLES, Release, tag
from nla_release.release.manifest import Stated
from nla_release.text.numbers import count
from nla_release.text.sandbox import render_template

Context = dict[str, Any]

ROLE_NAMES: dict[Role, str] = {
    "av": "activation verbalizer (AV)",
    "ar": "activation reconstructor (AR)",
}

PARTNERS: dict[Role, Role] = {"av": "ar", "ar": "av"}

# The keys of release.yaml that are places on its author's machine: release.json has none of them,
# and neither notes nor documents can quote them.
PLACES = {"av", "ar", "base_path", "evaluation", "notes", "previous", "compared_with"}

_BLOCK = re.compile(r"\.layers\.(\d+)\.")

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
    before: VersionComparison | None
    log: Sequence[HistoryEntry]
    updates: Sequence[EvidenceUpdate]
    comparison: Comparison | None


def documents(sources: Sources, shared: Context, role: Role) -> dict[str, str]:
    """README.md and RELEASE_CALIBRATION.md of one repository."""
    plots = plots_of_role(sources.inputs, role)
    page = shared | {"blocks": shared["page_blocks"]}
    return {
        CARD_FILE: render_template(
            f"{role}.md.jinja", role_context(sources.inputs, shared, role, plots)
        ),
        CALIBRATION_PAGE_FILE: render_template(f"{CALIBRATION_PAGE_FILE}.jinja", page),
    }


def own_entry(sources: Sources) -> str:
    """The entry of this version in HISTORY.md, with the numbers of its first publication.

    After an evidence update these are the numbers that the first update superseded.
    """
    inputs, version = sources.inputs, sources.version
    context = quotable(inputs, version) | _measured(sources)
    if sources.updates:
        first = sources.updates[0]
        then = first.former.calibration.model_dump(mode="json", by_alias=True)
        context |= {"calibration": then, "date": first.record.supersedes.measured}
    return render_template("history_entry.md.jinja", context)


def shared_context(sources: Sources) -> Context:
    """What the documents of both repositories are rendered with.

    Raises:
        ConfigError: a citation is not known.
        WeightsError: an adapter is damaged.
    """
    inputs, version, log = sources.inputs, sources.version, sources.log
    updates, comparison, stated = sources.updates, sources.comparison, sources.stated
    config, calibration = inputs.release.config, inputs.calibration
    shared = quotable(inputs, version)
    return {
        **stated.pair,
        **shared,
        **_measured(sources),
        "successors": {
            role: new_version(log, version, role, repo)
            for role, repo in shared["release"]["repos"].items()
        },
        "evidence": inputs.evidence.run.model_dump(mode="json", by_alias=True),
        "blocks": _marked(expected_blocks(calibration, log, updates, version, comparison)),
        "page_blocks": _marked(
            expected_page_blocks(calibration, log, updates, comparison, inputs.evidence)
        ),
        "loosened": loosened_section(config.gates),
        "waivers": waivers_section(config.waivers),
        "examples": [asdict(example) for example in examples(inputs.evidence)],
        "figures": _figures(plots_of_pair(inputs, sources.before)),
        "released": sources.before.plain() if sources.before else None,
        "chains": {role: stated.pair["chains"][role] for role in ROLES},
        "adapted": [each for each in stated.pair["components"] if each["status"] == "adapted"],
        "lora": {role: _lora(adapter) for role, adapter in inputs.adapters.items()},
        "published_files": stated.files,
        "notes": dict.fromkeys(NAMES) | stated.notes,
        "loss_rule": RULE,
        "updates": [
            update.model_dump(mode="json")
            for update in sorted(config.updates, key=lambda it: it.date, reverse=True)
        ],
        "citations": citations(config.citations),
        "licence": stated.licence,
    }


def _measured(sources: Sources) -> Context:
    """Which version was measured, when and where in the base."""
    inputs = sources.inputs
    return {
        "tag": tag(sources.version),
        "date": inputs.evidence.run.finished_at[:10],
        "layer": next(iter(inputs.adapters.values())).sidecar.extraction_layer_index,
        "injection_scale": sources.stated.pair["injection_scale"],
    }


def plots_of_pair(inputs: Inputs, before: VersionComparison | None) -> list[Plot]:
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


def state(
    inputs: Inputs,
    notes: Mapping[str, Note],
    before: VersionComparison | None,
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


def quotable(inputs: Inputs, version: str) -> Context:
    """What notes and fragments may quote."""
    release = inputs.release
    return {
        "version": version,
        "calibration": inputs.calibration.model_dump(mode="json", by_alias=True),
        "release": release.config.model_dump(mode="json", exclude=PLACES)
        | {"repos": {role: release.repo_id(role, version) for role in ROLES}},
    }


def pair_facts(inputs: Inputs) -> Context:
    """What the documents of each repository say of both adapters, as JSON has it.

    `components` are those of the method; `norms` and `chains`, the runs of training, are by role.

    Raises:
        WeightsError: an adapter is damaged.
    """
    adapters = inputs.adapters
    components = alignment(
        {role: adapter.sidecar for role, adapter in adapters.items()},
        {
            role: f"rank {(lora := _lora(adapter))['rank']}, on {count(lora['modules'], 'module')}"
            for role, adapter in adapters.items()
        },
        inputs.evidence.run,
        inputs.calibration,
    )
    facts = {
        "components": [asdict(each) for each in components],
        "injection_scale": adapters["av"].sidecar.injection.scale,
        **facts_by_role(inputs),
    }
    return _as_json_has_it(facts)


def facts_by_role(inputs: Inputs) -> Context:
    """The part of `pair_facts` that each adapter decides for itself, of those that are here."""
    facts = {
        "norms": {
            role: adapter.sidecar.nla_release.norms.model_dump(exclude={"scale_evaluated"})
            for role, adapter in inputs.adapters.items()
        },
        "chains": {
            role: _chain(training_chain(adapter.sidecar.nla_release.training))
            | ({"below": lower} if (lower := _below(adapter.sidecar)) else {})
            for role, adapter in inputs.adapters.items()
        },
    }
    return _as_json_has_it(facts)


def _as_json_has_it(facts: Context) -> Context:
    return cast("Context", json.loads(json.dumps(facts)))


def role_context(inputs: Inputs, shared: Context, role: Role, plots: Sequence[Plot]) -> Context:
    """What one card says besides: `shared`, and the facts and figures of this role."""
    adapter, partner = inputs.adapters[role], PARTNERS[role]
    repos, year = shared["release"]["repos"], shared["date"][:4]
    config = inputs.release.config
    key = f"{config.namespace}{year}{config.name}{role}"
    return shared | {
        "front_matter": front_matter(
            inputs.release, adapter.sidecar, inputs.calibration, shared["successors"][role]
        ),
        "role_name": ROLE_NAMES[role],
        "repo": repos[role],
        "partner": {
            "repo": repos[partner],
            "role_name": ROLE_NAMES[partner],
        },
        "sidecar": adapter.sidecar.model_dump(mode="json", by_alias=True),
        "lora": shared["lora"][role],
        "chain": shared["chains"][role],
        "loss": _loss(adapter.log) if adapter.log else None,
        "figures": shared["figures"] | _figures(plots),
        "datasets": dataset_facts(
            adapter.sidecar.nla_release.training,
            {"labeler": config.labeller, "hardware": config.hardware},
            config.languages,
        ),
        "snippet": asdict(snippet(adapter.sidecar, inputs.evidence)),
        "year": year,
        "citation_key": re.sub(r"[^a-z0-9]", "", key.lower()),
    }


def _below(sidecar: Sidecar) -> list[Context]:
    """The chains of the adapters below, as far as they are recorded, each with its place."""
    recorded = reversed(chains_below(sidecar.nla_release.training))
    height = len(below(sidecar))
    numbered = zip(range(height, 0, -1), recorded, strict=False)
    return [_chain(chain) | {"place": place(number)} for number, chain in numbered][::-1]


def _chain(chain: TrainingChain) -> Context:
    return asdict(chain) | {
        "steps": chain.steps,
        "steps_in_words": chain.steps_in_words,
        "seconds": chain.seconds,
        "seconds_in_words": chain.seconds_in_words,
    }


def _lora(adapter: TrainedAdapter) -> Context:
    """From PEFT's configuration and the tensors themselves, never from prose."""
    peft, path = adapter.peft, adapter.folder / ADAPTER_FILE
    modules = lora_modules(path, dora=peft.use_dora, saved=peft.saved)
    names, targets = [module.name for module in modules], peft.target_modules
    kinds = sorted({name.rpartition(".")[2] for name in names})
    return {
        "rank": peft.r,
        "alpha": peft.lora_alpha,
        "dropout": peft.lora_dropout,
        "rslora": peft.use_rslora,
        "dora": peft.use_dora,
        "saved": ", ".join(peft.saved),
        "targets": targets if isinstance(targets, str) else ", ".join(kinds),
        "modules": len(names),
        "blocks": sorted({int(found[1]) for name in names if (found := _BLOCK.search(name))}),
    }


def _figures(plots: Sequence[Plot]) -> dict[str, str]:
    """What each figure says in words, by its name."""
    return {plot.name: plot.alt for plot in plots}


def _marked(blocks: dict[str, str]) -> dict[str, str]:
    return {name: marked(name, text) for name, text in blocks.items()}


def _loss(log: list[Step]) -> Context:
    first, last = log[0], log[-1]
    return asdict(loss_trend(log)) | {
        "first": first.loss,
        "first_step": first.step,
        "last": last.loss,
        "last_step": last.step,
    }
