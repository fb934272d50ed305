"""What both trainings share around the optimisation: contract, checkpoints, sidecar, record."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

import nla_release
from nla_release.adapter.training_log import RULE, loss_trend
from nla_release.contract.prompt import suffix_ids
from nla_release.contract.sidecar import Role, Sidecar
from nla_release.engine.architecture import width_of
from nla_release.engine.base import LoadedBase
from nla_release.engine.processes import is_main, process_count, wait_for_all
from nla_release.errors import ConfigError
from nla_release.io.files import sha256_file
from nla_release.io.layout import ADAPTER_CONFIG_FILE, ADAPTER_FILE, HEAD_FILE
from nla_release.statistics.formulas import norm_summary
from nla_release.text.numbers import signed
from nla_release.training.checkpoints import Checkpoints, Fit, checkpoints_path
from nla_release.training.dataset import TrainingRows
from nla_release.training.learner import Learner, save, start_from
from nla_release.training.loop import Task, Watch, fit
from nla_release.training.prompts import marked_prompt
from nla_release.training.recipe import Recipe
from nla_release.training.record import base_sha256, forget, settings_of, write_record
from nla_release.training.settings import AdapterSettings
from nla_release.training.stacking import LowerAdapters, put_below

_CONTINUED_FILES = (ADAPTER_CONFIG_FILE, ADAPTER_FILE, HEAD_FILE)


@dataclass(frozen=True)
class Training:
    """One training, ready to run.

    `folder` is where all steps read and write. `sidecar` records the contract of the adapter;
    `facts` are added to what every training records in it.
    """

    role: Role
    recipe: Recipe
    folder: Path
    base: LoadedBase
    rows: TrainingRows
    learner: Learner
    sidecar: Sidecar
    facts: dict[str, Any]

    @property
    def settings(self) -> AdapterSettings:
        """The recipe's block for this role."""
        return self.recipe.av if self.role == "av" else self.recipe.ar

    def run(self, task: Task, watch: Watch | None, *, again: bool) -> Fit:
        """Train, and write `pair/ROLE`; continues from a checkpoint unless `again`.

        Raises:
            ConfigError: `continue_from`, `stack_on` or a checkpoint belongs to another training.
            NlaReleaseError: the training failed; the message says where.
        """
        place, target = checkpoints_path(self.folder, self.role), self.folder / "pair" / self.role
        self._check_earlier(place, target)
        facts = dict(self.facts)
        if self.settings.continue_from:
            earlier = self.folder / self.settings.continue_from
            facts["continued_from"] = start_from(earlier, self.learner, self.sidecar)
        below = LowerAdapters()
        if self.settings.stack_on:
            earlier = self.folder / self.settings.stack_on
            below = put_below(earlier, self.learner, self.sidecar)
        facts |= below.facts
        if is_main():
            forget(self.folder, self.role)
            if again:
                shutil.rmtree(place, ignore_errors=True)
        wait_for_all()

        def write(to: Path, fit: Fit) -> None:
            sidecar = below.recorded(self._described(fit, facts))
            save(to, self.learner, sidecar, fit, also=below.copy_to)

        inputs = self.rows.inputs | self._earlier_files()
        depends_on = settings_of(self.recipe, self.role) | inputs | facts
        checkpoints = Checkpoints(place, self.settings.checkpoint_every, depends_on, write)
        done = fit(
            f"train {self.role.upper()}",
            self.learner.parameters,
            task,
            self.settings,
            checkpoints=checkpoints,
            watch=watch,
        )
        if is_main():
            write(target, done)
            write_record(
                self.role,
                self.recipe,
                self.folder,
                inputs=inputs,
                outputs=sorted(it for it in target.rglob("*") if it.is_file()),
            )
        checkpoints.finish()
        return done

    def _earlier_files(self) -> dict[str, str]:
        """The sha256 of the weights that this training continues from, for the record."""
        earlier = self.settings.continue_from or self.settings.stack_on
        if earlier is None:
            return {}
        place = self.folder / earlier
        found = sorted(it for it in place.rglob("*") if it.name in _CONTINUED_FILES)
        return {str(Path(earlier, it.relative_to(place))): sha256_file(it) for it in found}

    def _check_earlier(self, *replaced: Path) -> None:
        """Raise ConfigError when the earlier adapter is in a folder that this training replaces."""
        for name in ("continue_from", "stack_on"):
            earlier = getattr(self.settings, name)
            for path in replaced if earlier else ():
                if (self.folder / earlier).resolve().is_relative_to(path.resolve()):
                    raise ConfigError(
                        f"{name} {earlier}: it is in {path}, which this training replaces",
                        hint="copy it to another folder first, and name the copy",
                    )

    def _described(self, fit: Fit, facts: dict[str, Any]) -> Sidecar:
        known = self.sidecar.nla_release.training
        training = known | _training_facts(self, fit) | facts
        ours = self.sidecar.nla_release.model_copy(update={"training": training})
        return self.sidecar.model_copy(
            update={
                "nla_release": ours,
                "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )


def sidecar_common(
    role: Role, recipe: Recipe, base: LoadedBase, rows: TrainingRows, embedding_norm: float
) -> dict[str, Any]:
    """The part of a sidecar that AV and AR share; each adds its own keys."""
    d_model, prompt = width_of(base.model), marked_prompt(base, recipe)
    digest = base_sha256(recipe.base)
    settings = recipe.av if role == "av" else recipe.ar
    return {
        "kind": "nla_model",
        "schema_version": 2,
        "role": role,
        "stage": "sl",
        "d_model": d_model,
        "extraction_layer_index": recipe.extract.layer,
        "extraction": {"injection_scale": None, "mse_scale": float(d_model**0.5)},
        "tokens": {
            "injection_char": recipe.marker,
            "injection_token_id": prompt.token_id,
            "injection_left_neighbor_id": prompt.left_id,
            "injection_right_neighbor_id": prompt.right_id,
            "critic_suffix_ids": suffix_ids(base.encode, recipe.templates.ar)
            if role == "ar"
            else None,
        },
        "prompt_templates": recipe.templates.model_dump(),
        "critic": None,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "created_by": f"nla_release {nla_release.__version__} train.{role}",
        "nla_release": {
            "schema": 1,
            "base": {
                "id": recipe.base.id,
                "revision": base.revision,
                "quantization": recipe.base.quantization,
                "dtype": recipe.base.dtype,
            },
            "layer_convention": "block_output",
            "injection": None,
            "adapters": [{"path": ".", "rank": settings.rank, "alpha": settings.alpha}],
            "ar_head": None,
            "norms": {
                "activation_mean": round(rows.activation_norm, 4),
                "activation_median": round(norm_summary(rows.activations.vectors).median, 4),
                "embedding_mean": round(embedding_norm, 4),
            },
            "training": {"base_sha256": digest} if digest else {},
        },
    }


def summary(target: Path, fit: Fit) -> str:
    """One line on a finished training: losses, and the verdict with the rule it follows."""
    verdict = loss_trend(fit.steps)
    return (
        f"wrote {target}: loss {fit.steps[0].loss:.3f} to {fit.steps[-1].loss:.3f}; trend over all"
        f" {verdict.steps} steps {verdict.name} ({signed(verdict.slope)} per step,"
        f" R2 {verdict.r2:.2f}; descending means {RULE}; this does not detect collapse)"
    )


def _training_facts(training: Training, fit: Fit) -> dict[str, Any]:
    """What a sidecar records of a training; every figure measured or taken from the recipe."""
    settings, verdict = training.settings, loss_trend(fit.steps)
    planned = {"planned_steps": settings.steps} if len(fit.steps) < settings.steps else {}
    processes = {"processes": process_count()} if process_count() > 1 else {}
    return {
        "trained_from": training.recipe.name,
        "steps": len(fit.steps),
        **planned,
        "learning_rate": settings.learning_rate,
        "schedule": settings.schedule,
        "optimizer": fit.optimizer,
        "micro_batch": settings.micro_batch,
        "gradient_accumulation": settings.gradient_accumulation,
        "max_tokens": settings.max_tokens,
        "lora_dropout": settings.dropout,
        "target_modules": settings.target_modules,
        "seed": settings.seed,
        "rows": len(training.rows.activations),
        "documents": training.rows.documents,
        "data_sha256": training.rows.activations.sha256,
        "first_loss": round(fit.steps[0].loss, 6),
        "final_loss": round(fit.steps[-1].loss, 6),
        "seconds": round(fit.seconds, 1),
        "device": training.base.device,
        "hardware": _hardware(training.base.device),
        **processes,
        "verdict": {
            "name": verdict.name,
            "slope": round(verdict.slope, 6),
            "r2": round(verdict.r2, 6),
            "steps": verdict.steps,
            "rule": RULE,
        },
    }


def _hardware(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{threads} CPU thread{'s' if threads > 1 else ''}"
