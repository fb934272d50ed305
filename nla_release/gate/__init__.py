"""The gate: rules with codes over files and evidence, and one verdict.

Each rule is a function with a code, in the module of its family; its docstring is its page. Rules
read a `Subject`, which finds what there is to check and reads each file once. `apply_rules` returns
the verdict that `output` shows. Files of third parties are untrusted: a file that cannot be read is
a finding of one rule, and the other rules that need it are skipped. Nothing here needs torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from nla_release.calibration.remeasured import Remeasured
from nla_release.calibration.report import Label
from nla_release.gate import (
    adapter_config,
    base,
    calibration,
    card,
    comparisons,
    consistency,
    diagnostics,
    evidence,
    history,
    hygiene,
    on_hub,
    pair,
    priority_claims,
    prompt,
    publishing,
    references,
    rendered_documents,
    sidecar,
    typed_numbers,
    waivers,
    weights,
)
from nla_release.gate.findings import UnreadableError
from nla_release.gate.model import Rule, Verdict
from nla_release.gate.subject import Subject
from nla_release.release.config import Waiver

RULES: tuple[Rule, ...] = (
    sidecar.sidecar_complete,
    sidecar.scale_fits,
    sidecar.base_pinned,
    waivers.waivers_current(lambda: RULES),
    base.norms_measured,
    base.base_fits,
    sidecar.prompt_without_escapes,
    prompt.marker_recorded,
    prompt.prompts_replay,
    weights.safetensors_only,
    weights.adapter_whole,
    weights.weights_finite,
    weights.adapter_trained,
    weights.head_declared,
    weights.no_zero_bands,
    adapter_config.language_model_only,
    adapter_config.modules_land,
    adapter_config.variants_declared,
    adapter_config.config_portable,
    adapter_config.modules_listed,
    adapter_config.stack_whole,
    pair.pair_agrees,
    pair.read_block_is_layer,
    pair.partner_recorded,
    card.metadata_valid,
    card.blocks_generated,
    card.example_generated,
    hygiene.no_placeholders,
    hygiene.no_secrets_or_paths,
    history.history_appended,
    references.licence_fits,
    rendered_documents.nothing_hidden,
    rendered_documents.rendered_again,
    priority_claims.claims_have_sources,
    typed_numbers.numbers_are_quoted,
    references.citations_as_published,
    history.nothing_retracted_shown,
    evidence.evidence_of_these_files,
    evidence.calibration_recomputed,
    calibration.not_format_only,
    calibration.above_the_mean,
    calibration.rows_identified,
    calibration.texts_differ,
    calibration.injection_matters,
    evidence.enough_measured,
    evidence.outputs_explain,
    evidence.evidence_of_one_run,
    diagnostics.labels_reconstruct,
    diagnostics.nothing_trained_on,
    diagnostics.retrievals_vary,
    diagnostics.script_does_not_leak,
    diagnostics.texts_belong_to_documents,
    comparisons.no_regression,
    comparisons.addenda_kept,
    comparisons.comparisons_recomputed,
    waivers.loosened_gates_shown,
    evidence.evidence_as_asked,
    consistency.documents_are_texts,
    consistency.texts_read_alike,
    consistency.hits_have_texts,
    consistency.reference_fits,
    diagnostics.words_lead_to_documents,
    evidence.log_of_runs,
    publishing.files_listed,
    publishing.one_release,
    publishing.files_allowed,
    publishing.signature_fits,
)

# Also for a release on a Hub: see nla_release.hub.verify.
RULES_ON_THE_HUB: tuple[Rule, ...] = (
    on_hub.tag_points_at_commit,
    on_hub.one_push,
    on_hub.not_retracted,
    on_hub.signed_by_publisher,
)

ALL_RULES = (*RULES, *RULES_ON_THE_HUB, on_hub.evidence_measured_again)

Measure = Callable[[Subject], Remeasured]


def apply_rules(
    subject: Subject,
    *,
    strict: bool = False,
    waived: Sequence[Waiver] | None = None,
    measure: Measure | None = None,
) -> Verdict:
    """The verdict of all rules on a subject.

    Args:
        subject: what is checked.
        strict: whether warnings are errors.
        waived: the waivers; by default those of its release.yaml.
        measure: measures rows of the evidence again; it is not called if adapters or evidence fail
            a rule.
    """
    if waived is None:
        waived = subject.release.config.waivers if subject.release else ()
    rules = RULES + RULES_ON_THE_HUB if subject.published else RULES
    outcomes = (rule.apply(subject, strict=strict) for rule in rules)
    verdict = Verdict(tuple(waivers.apply_waivers(outcome, waived) for outcome in outcomes))
    verdict = replace(verdict, label=None if verdict.doubts else _label(subject))
    if measure is None:
        return verdict
    found = measure(subject) if _may_be_loaded(verdict) else None
    if found:
        subject = replace(subject, remeasured=(subject.pair_to_measure[1], found))
    outcome = on_hub.evidence_measured_again.apply(subject, strict=strict)
    return replace(verdict, outcomes=(*verdict.outcomes, outcome), measured=found)


def _label(subject: Subject) -> Label | None:
    """The label of the first measurement; None when it cannot be read."""
    if not subject.measurements:
        return None
    try:
        return subject.measurements[0].calibration.label
    except UnreadableError:
        return None


def _may_be_loaded(verdict: Verdict) -> bool:
    """Whether no rule about adapters, evidence or their publication fails; cards (5) may."""
    failed = {finding.code for finding in verdict.findings if finding.severity == "error"}
    return all(code[:4] in ("NLA5", "NLA6") and code != "NLA601" for code in failed)


__all__ = ["ALL_RULES", "RULES", "RULES_ON_THE_HUB", "Measure", "apply_rules"]
