"""The base's facts: next to the release, in a rendered repository, or from a local base."""

from dataclasses import dataclass
from pathlib import Path

from nla_release.adapter.module_names import ModuleTree, loaded
from nla_release.base_model.facts import BaseFacts
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.findings import Skip, read_once
from nla_release.gate.subject import Subject
from nla_release.io.layout import BASE_FILE
from nla_release.statistics.formulas import NormSummary, norm_summary

_ABSENT = f"there is no {BASE_FILE}: run nla-release base to write it"


@dataclass(frozen=True)
class AdapterOnBase:
    """An adapter, with what is known of the base that it was trained on."""

    adapter: AdapterFolder
    subject: Subject

    @read_once
    def found(self) -> tuple[Path, BaseFacts] | None:
        """The nearest facts of any base, and their path.

        Raises:
            UnreadableError: they are damaged.
        """
        own = self.adapter.folder / BASE_FILE
        return (own, self.adapter.base_facts) if own.exists() else self.subject.base_facts

    @read_once
    def facts(self) -> BaseFacts | Skip:
        """The facts of the base that the sidecar names, or why there are none.

        Raises:
            UnreadableError: they are damaged, or the sidecar is.
        """
        if self.found is None:
            return self.absent
        path, facts = self.found
        base = self.adapter.sidecar.nla_release.base
        if (facts.id, facts.revision) != (base.id, base.revision):
            return Skip(f"{path} belongs to another base, see NLA106")
        return facts

    @property
    def absent(self) -> Skip:
        """The reason that there are no facts, and whether base_path is wrong."""
        base = self.subject.release.base_path if self.subject.release else None
        wrong = f"; base_path {base} is not a folder" if base and not base.is_dir() else ""
        return Skip(_ABSENT + wrong)

    @read_once
    def activation_norms(self) -> NormSummary | None:
        """The L2 norms of the evidence's held-out activations; None without evidence.

        Raises:
            UnreadableError: the evidence is damaged.
        """
        if not (measurements := self.subject.measurements):
            return None
        return norm_summary(measurements[0].evidence.vectors["gold"])

    @read_once
    def tree(self) -> ModuleTree | Skip:
        """The base's modules by their names in memory, or why they are not known.

        Raises:
            UnreadableError: the facts are damaged, or the sidecar is.
        """
        facts = self.facts
        if isinstance(facts, Skip):
            return facts
        tree = loaded(facts.modules, facts.model_type, facts.tensors, facts.first_reusing)
        return tree or Skip(f"this version does not know how {facts.id} names its modules")
