"""What templates are given: plain data, the same for both roles or of one role."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

from nla_release.adapter.lora import lora_modules
from nla_release.adapter.stack import below, place
from nla_release.adapter.training_log import RULE, Step, judge
from nla_release.adapter.weights import ADAPTER_FILE_NAME
from nla_release.cards.blocks import expected_blocks, expected_page_blocks, marked
from nla_release.cards.datasets import dataset_facts
from nla_release.cards.examples import examples
from nla_release.cards.figures import Plot
from nla_release.cards.front_matter import front_matter
from nla_release.cards.inputs import Adapter, Inputs
from nla_release.cards.loosened import loosened_section
from nla_release.cards.method import alignment
from nla_release.cards.notes import NAMES
from nla_release.cards.references import citations
from nla_release.cards.released import Released
from nla_release.cards.runs import runs_block
from nla_release.cards.snippet import snippet
from nla_release.cards.waivers import waivers_section
from nla_release.contract.sidecar import Role, Sidecar
from nla_release.contract.training_chain import TrainingChain, chains_below, training_chain
from nla_release.release.folder import ROLES, tag
from nla_release.release.manifest import Stated
from nla_release.text.numbers import count

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


def pair_context(
    inputs: Inputs, version: str, plots: Sequence[Plot], before: Released | None, stated: Stated
) -> Context:
    """What is the same on both cards.

    Args:
        inputs: the release as it lies on disk.
        version: of the release.
        plots: the figures of the pair.
        before: this version beside the previous one, when there is one.
        stated: what no file of the repositories decides.

    Raises:
        ConfigError: a citation is not known.
        WeightsError: an adapter is damaged.
    """
    release, run = inputs.release, inputs.evidence.run
    adapters, calibration = inputs.adapters, inputs.calibration
    lora = {role: _lora(adapter) for role, adapter in adapters.items()}
    return quotable(inputs, version) | {
        "tag": tag(version),
        "date": run.finished_at[:10],
        "evidence": run.model_dump(mode="json", by_alias=True),
        "blocks": _marked(expected_blocks(calibration)),
        "page_blocks": _marked(expected_page_blocks(calibration) | runs_block(inputs.evidence)),
        "loosened": loosened_section(release.config.gates),
        "waivers": waivers_section(release.config.waivers),
        "examples": [asdict(example) for example in examples(inputs.evidence)],
        "figures": _figures(plots),
        "released": before.plain() if before else None,
        **stated.pair,
        "chains": {role: stated.pair["chains"][role] for role in ROLES},
        "adapted": [each for each in stated.pair["components"] if each["status"] == "adapted"],
        "lora": lora,
        "layer": next(iter(adapters.values())).sidecar.extraction_layer_index,
        "published_files": stated.files,
        "notes": dict.fromkeys(NAMES) | stated.notes,
        "loss_rule": RULE,
        "updates": [
            update.model_dump(mode="json")
            for update in sorted(release.config.updates, key=lambda it: it.date, reverse=True)
        ],
        "citations": citations(release.config.citations),
        "licence": stated.licence,
    }


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
        {role: _adapted(_lora(adapter)) for role, adapter in adapters.items()},
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


def _lora(adapter: Adapter) -> Context:
    """From PEFT's configuration and the tensors themselves, never from prose."""
    peft, path = adapter.peft, adapter.folder / ADAPTER_FILE_NAME
    modules = lora_modules(path, dora=peft.use_dora, saved=peft.saved)
    names, targets = [module.name for module in modules], peft.target_modules
    return {
        "rank": peft.r,
        "alpha": peft.lora_alpha,
        "dropout": peft.lora_dropout,
        "rslora": peft.use_rslora,
        "dora": peft.use_dora,
        "saved": ", ".join(peft.saved),
        "targets": targets if isinstance(targets, str) else ", ".join(sorted(targets)),
        "modules": len(names),
        "blocks": sorted({int(found[1]) for name in names if (found := _BLOCK.search(name))}),
    }


def _adapted(lora: Context) -> str:
    return f"rank {lora['rank']}, on {count(lora['modules'], 'module')}"


def _figures(plots: Sequence[Plot]) -> dict[str, str]:
    """What each figure says in words, by its name."""
    return {plot.name: plot.alt for plot in plots}


def _marked(blocks: dict[str, str]) -> dict[str, str]:
    return {name: marked(name, text) for name, text in blocks.items()}


def _loss(log: list[Step]) -> Context:
    first, last = log[0], log[-1]
    return asdict(judge(log)) | {
        "first": first.loss,
        "first_step": first.step,
        "last": last.loss,
        "last_step": last.step,
    }
