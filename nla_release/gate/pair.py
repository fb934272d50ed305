"""NLA401 to NLA403: AV and AR as one pair."""

from collections.abc import Iterator

from nla_release.adapter.module_names import decoders
from nla_release.contract.sidecar import disagreements
from nla_release.gate.adapter_folder import AdapterFolder
from nla_release.gate.findings import Problem
from nla_release.gate.model import ARS, PAIRS, RENDERED, rule
from nla_release.gate.subject import Subject
from nla_release.io.layout import ADAPTER_FILE, MANIFEST_FILE, SIDECAR_FILE
from nla_release.release.folder import tag


@rule("NLA401", "error", "AV and AR agree on base, layer, width, templates and marker", each=PAIRS)
def pair_agrees(pair: tuple[AdapterFolder, AdapterFolder]) -> Iterator[Problem]:
    """What both sidecars say of the same facts, and what both files call the same blocks.

    Checks: Both sidecars name the same base and commit, layer, layer convention, d_model, prompt
        templates and marker. Both weight files use the same names for the base's blocks, so that
        one loaded base serves both.
    Why: In most pairs no file says that the two belong together: the AR of an EasyNLA pair
        (asherps/EasyNLA, ar_meta.json) records neither base nor revision, and an AR of another
        layer still gives a vector of the right width. An adapter whose modules are named for
        another class of the base is ignored with a warning (huggingface/transformers#38927).
    Fix: Release two adapters that were trained for each other, from one recipe.
    Example: extraction_layer_index: AV says 23, AR says 17
    Waive: Never: the round trip would combine two unrelated measurements.
    """
    av, ar = pair
    for sentence in disagreements(av.sidecar, ar.sidecar):
        yield Problem(ar.folder / SIDECAR_FILE, sentence)
    named = [decoders(module.name for module in adapter.modules) for adapter in pair]
    # Names of several kinds in one file are part of NLA307.
    if max(map(len, named)) == 1 and named[0] != named[1]:
        of_av, of_ar = (", ".join(f"{prefix}layers" for prefix in each) for each in named)
        yield Problem(
            ar.folder / ADAPTER_FILE,
            f"adapts modules of {of_ar}, the AV those of {of_av}, and no base has both",
        )


@rule("NLA402", "warning", "the AR reads the block whose output it reconstructs", each=ARS)
def read_block_is_layer(adapter: AdapterFolder) -> Iterator[Problem]:
    """The AR's two layer indices.

    Checks: The AR's read block (critic.extraction_layer_index) is the layer that the activations
        come from. NLA101 checks that the AR keeps one block more than it reads.
    Why: The AR of SolshineCode/nla-gemma-4-e2b reads block 17 for activations of layer 23, which
        only its card says. A depth that is off by one trains without an error (asherps/EasyNLA,
        nla/config.py).
    Fix: Train the AR with the read block at the extraction layer, or keep the difference and
        explain it on the card.
    Example: the AR reads block 17, the activations are the output of block 23
    Waive: The warning may stand if the lower read block was chosen on purpose, the sidecar records
        it, and the evidence measures its cost.
    """
    sidecar = adapter.sidecar
    read = sidecar.head.blocks - 1
    if read != sidecar.extraction_layer_index:
        yield Problem(
            adapter.folder / SIDECAR_FILE,
            f"the AR reads block {read}, the activations are the output of block"
            f" {sidecar.extraction_layer_index}",
        )


@rule("NLA403", "error", "each repository records the partner it was measured with", each=RENDERED)
def partner_recorded(subject: Subject) -> Iterator[Problem]:
    """Both records of the partner against each other and against the partner.

    Checks: The partner in the sidecar and in release.json has the same repository, version and
        adapter hash. If the partner is here too, these match the partner's own files.
    Why: The two repositories of SolshineCode's pairs are linked by name only, so either can be
        replaced unnoticed. SafeLens pins both revisions by hand.
    Fix: Run `nla-release render` again: it records the partner's files as it copies them.
    Example: partner is someone/tiny-nla-ar-v0_0_1 v0.0.1 (1f2e3d4c...), the repository here is
        someone/tiny-nla-ar-v0_0_2 v0.0.2 (9a8b7c6d...)
    Waive: Never: a pair is published as one unit.
    """
    for adapter in subject.rendered:
        recorded = adapter.sidecar.nla_release.partner
        if recorded is None:
            yield Problem(adapter.folder / SIDECAR_FILE, "nla_release.partner is missing")
            continue
        named = adapter.manifest.partner
        in_sidecar = (recorded.repo, tag(recorded.version), recorded.sha256)
        in_manifest = (named.repo, named.tag, named.adapter_sha256)
        if in_sidecar != in_manifest:
            yield Problem(
                adapter.folder / SIDECAR_FILE,
                f"partner is {_shown(in_sidecar)}, {MANIFEST_FILE} says {_shown(in_manifest)}",
            )
        for partner in subject.rendered:
            beside = _release_of(partner) if partner is not adapter else in_manifest
            if beside != in_manifest:
                yield Problem(
                    adapter.folder / MANIFEST_FILE,
                    f"partner is {_shown(in_manifest)}, the repository here is {_shown(beside)}",
                )


def _release_of(adapter: AdapterFolder) -> tuple[str, str, str]:
    return adapter.manifest.repo, adapter.manifest.tag, adapter.sha256(ADAPTER_FILE)


def _shown(release: tuple[str, str, str]) -> str:
    repo, tag_name, digest = release
    return f"{repo} {tag_name} ({digest[:8]}...)"
