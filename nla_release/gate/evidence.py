"""NLA601, 602, 608 to 610, 620, 621: the evidence is complete, of these files, and enough."""

import re
from collections.abc import Iterator

from nla_release.calibration.measured_settings import setting_mismatches
from nla_release.calibration.report import Calibration
from nla_release.evidence.runs import disagreement
from nla_release.gate.adapter_folder import AdapterFolder, reading
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import COPIES, MEASURED, MEASUREMENTS, SUBJECT, rule
from nla_release.gate.subject import MeasurementFolder, Subject
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    ADAPTER_FILE,
    HEAD_FILE,
    RELEASE_FILE,
    ROWS_FILE,
    RUN_FILE,
    RUNS_FILE,
    SIDECAR_FILE,
)
from nla_release.text.numbers import listed

_AFTER_1 = re.compile(
    r"(?:schema|label\.rule|multiplicity|contamination|probes|reference\.other_documents"
    r"|cosine_survivors\.gold_text|retrieval\.above_(?:chance|document)_interval)\b"
)


@rule(
    "NLA601", "error", "the evidence is complete and was measured on these files", each=MEASUREMENTS
)
def evidence_of_these_files(measurement: MeasurementFolder) -> Iterator[Problem]:
    """Every hash of the run, then base and injection scale.

    Checks: evidence/ is undamaged and consistent. The hashes in its run.json match the adapters,
        heads and configurations here. The sidecars' contracts are unchanged, and base and injection
        scale are those of the sidecar.
    Why: The cards of SolshineCode/nla-gemma-4-e2b show the spread of one version next to the mean
        of another, and scores of step 300 for the weights of step 250.
    Fix: Run `nla-release roundtrip` on the pair as it is now, then calibrate and render.
    Example: av/adapter_model.safetensors is 9a8b7c6d..., the evidence was measured on 1f2e3d4c...
    Waive: Never: numbers of other weights are no evidence.
    """
    run, path = measurement.evidence.run, measurement.evidence_folder / RUN_FILE
    for adapter in measurement.adapters:
        for name in _measured_files(adapter):
            key = f"{adapter.role}/{name}"
            found, recorded = adapter.digest(name), run.files.get(key, "nothing")
            if found != recorded:
                yield Problem(
                    path,
                    f"{key} is {found[:8]}..., the evidence was measured on {recorded[:8]}...",
                )
        sidecar = adapter.sidecar
        base = sidecar.nla_release.base
        if (run.base.id, run.base.revision) != (base.id, base.revision):
            yield Problem(
                path,
                f"measured on base {run.base.id} at {run.base.revision}, the {adapter.role.upper()}"
                f" was trained on {base.id} at {base.revision}",
            )
        if adapter.role == "av" and run.injection.scale != sidecar.injection.scale:
            yield Problem(
                path,
                f"measured with injection scale {run.injection.scale:g}, the AV was trained with"
                f" {sidecar.injection.scale:g}",
            )


@rule("NLA602", "error", "calibration.json follows from the evidence", each=MEASUREMENTS)
def calibration_recomputed(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """All numbers, except for the version of the tool that wrote them.

    Checks: Every number of calibration.json is computed again from the evidence next to it and is
        equal. A file of format 1 or 2 from an earlier version is computed by the rules of its
        format; only format 3 can be rendered.
    Why: The HISTORY, both cards and the README of SolshineCode/nla-gemma-4-e2b disagree about the
        same tables. SolshineCode/gpu-poor-nla later derived its claims from result files with a
        script, as this rule does.
    Fix: Run `nla-release calibrate`, then `nla-release render`. Never edit a number.
    Example: cosine.mean is 0.5, the evidence gives 0.438
    Waive: Never: a number that does not follow from the evidence is invented.
    """
    path = measurement.calibration_path
    if not measurement.rendered and not path.exists():
        yield Skip("there is no calibration.json yet: run nla-release calibrate")
        return
    if differing := not_as_computed(measurement.calibration, measurement.recomputed):
        yield Problem(path, listed(differing))


@rule("NLA620", "error", "the evidence was measured as release.yaml says", each=SUBJECT)
def evidence_as_asked(subject: Subject) -> Iterator[Problem | Skip]:
    """Every setting of release.yaml that a run records.

    Checks: run.json records what release.yaml says about the base and under `evaluation:`: data and
        rows, max_new_tokens, batch_size, dtype, quantization, seed, probes, encoder, training,
        reference and attempts. The contents of data, training and reference are compared if the
        files are here. Evidence may hold more than release.yaml asks for.
    Why: Changing a dtype or a token limit after the measurement changes nothing that is published,
        although the author believes that it does. `attempts` that was added late was silently left
        off the card.
    Fix: Run the command that the finding names: `nla-release roundtrip` to measure again,
        `nla-release calibrate` for attempts. Or restore release.yaml.
    Example: evaluation.max_new_tokens is 300 in release.yaml, the evidence was measured with 200:
        run nla-release roundtrip
    Waive: Never: release.yaml and the cards would contradict each other.
    """
    release = subject.release
    own = [each for each in subject.measurements if not each.rendered]
    if release is None:
        yield Skip(f"there is no {RELEASE_FILE} here")
    elif not own:
        yield Skip(MEASUREMENTS.absent)
    else:
        evidence = own[0].evidence
        with reading(release.folder / RELEASE_FILE, "NLA620"):
            found = setting_mismatches(release, evidence)
        for each in found:
            yield Problem(release.folder / RELEASE_FILE, f"{each.message}: run {each.command}")


@rule("NLA621", "error", "the log of runs ends with the run of this evidence", each=MEASUREMENTS)
def log_of_runs(measurement: MeasurementFolder) -> Iterator[Problem | Skip]:
    """The last line of the log that left evidence, against the evidence.

    Checks: evidence/runs.jsonl has a line for every start and end of a round trip, and times do not
        go backwards. The last run that left evidence is the one that run.json names, with the
        hashes of rows.jsonl and vectors.safetensors. Evidence whose run.json names no run is older
        than the log, and the rule is skipped.
    Why: An author who measures with ten seeds, or on the documents with most hits, and publishes
        the best run proves nothing. Choosing documents made a pair that knows only the document
        look content-reading in 94 to 100% of tries. The log makes the number of tries part of the
        release, but nothing proves that it is complete.
    Fix: Restore the whole of evidence/ from a backup, or run `nla-release roundtrip`, which appends
        to the log. Never edit or remove a line.
    Example: its last evidence is of run 3f2a9c1b7d5e8a40, but the folder holds that of run
        9b1c04d2e6f8a713
    Waive: Never: the card says how often the pair was measured.
    """
    run, path = measurement.evidence.run, measurement.evidence_folder / RUNS_FILE
    log = measurement.evidence.runs
    if log is None and run.run_id is None:
        yield Skip("the version that measured this evidence kept no log of runs")
    elif log is None:
        yield Problem(path, f"is missing, and {RUN_FILE} names run {run.run_id} of it")
    elif wrong := disagreement(log, run.run_id, run.rows_sha256, run.vectors_sha256):
        yield Problem(path, wrong)


def not_as_computed(calibration: Calibration, recomputed: Calibration) -> list[str]:
    """Where a calibration differs from the one computed from its evidence, as sentences."""
    found, expected = calibration.leaves(), recomputed.leaves()
    if found["schema"] == 1:
        expected = {name: value for name, value in expected.items() if not _AFTER_1.match(name)}
        found.pop("schema")
    return [
        f"{name} is {found.get(name, 'missing')}, the evidence gives {expected.get(name, 'none')}"
        for name in [*expected, *(found.keys() - expected.keys())]
        if name != "tool_version" and found.get(name, ...) != expected.get(name, ...)
    ]


@rule(
    "NLA608",
    "warning",
    "enough rows and documents were measured to decide",
    each=SUBJECT,
    inconclusive=True,
)
def enough_measured(subject: Subject) -> Iterator[Problem | Skip]:
    """The numbers of rows and documents against the gates, then the label.

    Checks: The evidence has at least gates.min_rows rows from gates.min_documents documents: 50 and
        10 by default. With fewer, with the label inconclusive, or without any measurement, the
        verdict is inconclusive. A single row or document gives no number at all.
    Why: The identity test of SolshineCode/nla-gemma-4-e2b used 10 rows. One hit in ten has a 95%
        Wilson interval from 0.02 to 0.40, which contains both chance and four times chance.
    Fix: Hold out more documents and measure again. Rows of one document are not independent, so
        more documents help more than more rows. Use two or more rows per document: with one, rows
        of a document cannot be compared, and the label is at most token-level.
    Example: 10 rows of 2 documents, at least 50 rows of 10 documents required
    Waive: For a pair that cannot have more data, lower gates.min_rows in release.yaml, down to 20.
        Verdict and card then say so, and show the wide intervals. The minimum of 20 rows from 10
        documents cannot be lowered.
    """
    if not subject.measurements:
        if subject.release is None:
            yield Skip(MEASUREMENTS.absent)
        else:
            yield Problem(
                subject.release.evidence, "there is no evidence: run nla-release roundtrip"
            )
        return
    measurement = subject.measurements[0]
    counts, gates = measurement.recomputed.denominators, measurement.gates
    if counts.rows < gates.min_rows or counts.documents < gates.min_documents:
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            f"{counts.rows} rows of {counts.documents} documents, at least {gates.min_rows} rows of"
            f" {gates.min_documents} documents required",
        )
    elif measurement.recomputed.label.name == "inconclusive":
        yield Problem(measurement.calibration_path, measurement.recomputed.label.sentence)


@rule("NLA609", "error", "the AV's outputs are explanations", each=MEASURED)
def outputs_explain(measurement: MeasurementFolder) -> Iterator[Problem]:
    """The share of rows without an explanation, against the gate.

    Checks: At most gates.max_failed of the rows (0.2 by default) failed: the output was empty, was
        truncated at the token limit, or has no tags. More is an error; any failed row is a warning.
    Why: Of 50 rows behind the headline of SolshineCode/nla-gemma-4-e2b, 8 failed and were left out
        of its mean. Here failures count as cosine 0, as in the reward of
        kitft/natural_language_autoencoders (nla/reward.py), and are shown.
    Fix: For truncated rows raise evaluation.max_new_tokens. For empty rows and rows without tags
        train the AV longer, and look at `raw` in rows.jsonl.
    Example: 8 of 50 rows failed (8 empty, 0 truncated, 0 unparsed)
    Waive: The warning may stand: the numbers already count the failures.
    """
    counts = measurement.recomputed.denominators
    if failed := counts.rows - counts.ok:
        yield Problem(
            measurement.evidence_folder / ROWS_FILE,
            f"{failed} of {counts.rows} rows failed ({counts.empty} empty, {counts.truncated}"
            f" truncated, {counts.unparsed} unparsed)",
            severity="error" if failed > measurement.gates.max_failed * counts.rows else "warning",
        )


@rule("NLA610", "error", "all copies of the evidence are from one run", each=COPIES)
def evidence_of_one_run(copies: tuple[MeasurementFolder, MeasurementFolder]) -> Iterator[Problem]:
    """Compare run.json, which holds the hashes of rows and vectors, then the logs.

    Checks: The evidence and its log of runs in both repositories are byte for byte those of the
        release.
    Why: A result that is copied between versions by hand goes stale: the ±0.054 of SolshineCode's
        v0.0.1 is shown next to the mean of v0.1.
    Fix: Run `nla-release render` again; it copies the release's evidence into both repositories.
    Example: belongs to another run than evidence
    Waive: Never: both cards report the same measurement.
    """
    first, copy = copies
    if first.evidence.run_sha256 != copy.evidence.run_sha256:
        yield Problem(copy.evidence_folder, f"belongs to another run than {first.evidence_folder}")
    elif first.evidence.runs != copy.evidence.runs:
        here, there = (each.evidence_folder / RUNS_FILE for each in copies)
        yield Problem(there, f"differs from {here}")


def _measured_files(adapter: AdapterFolder) -> list[str]:
    names = [ADAPTER_FILE, ADAPTER_CONFIG_FILE, SIDECAR_FILE]
    return [*names, HEAD_FILE] if adapter.role == "ar" else names
