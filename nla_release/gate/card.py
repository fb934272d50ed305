"""NLA501, NLA502 and NLA511: the card against the files of its repository."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nla_release.calibration.report import CurrentCalibration
from nla_release.cards.blocks import RUNS, expected_blocks, expected_page_blocks, generated_blocks
from nla_release.cards.compared import COMPARISON
from nla_release.cards.front_matter import PIPELINE_TAGS, metrics
from nla_release.cards.snippet import round_trip
from nla_release.gate.adapter_folder import (
    AdapterFolder,
    older_format,
    read_file,
    reading,
    regular_file,
)
from nla_release.gate.findings import Problem, Skip
from nla_release.gate.model import RENDERED, REPOSITORIES, rule
from nla_release.gate.subject import Subject
from nla_release.history.retractions import RETRACTED, RETRACTED_VERSION, new_version
from nla_release.history.updates import LAST_UPDATE, UPDATES
from nla_release.hub_client.card_metadata import check_card
from nla_release.io.files import read_text
from nla_release.io.layout import (
    ADDENDA_FOLDER,
    CALIBRATION_FILE,
    CALIBRATION_PAGE_FILE,
    CARD_FILE,
    COMPARISON_FILE,
    HISTORY_FILE,
    ROUND_TRIP_FILE,
)
from nla_release.release.folder import ROLES
from nla_release.release.licences import LICENSES, instead_of
from nla_release.text.numbers import listed

# The source of a generated block, if it is not calibration.json.
_SOURCES = {
    RETRACTED: HISTORY_FILE,
    RETRACTED_VERSION: HISTORY_FILE,
    LAST_UPDATE: ADDENDA_FOLDER,
    UPDATES: ADDENDA_FOLDER,
    COMPARISON: COMPARISON_FILE,
}

# NLA510 compares the list of RELEASE_CALIBRATION.md, NLA514 its table of runs.
_OF_OTHER_RULES = frozenset({RETRACTED, RUNS})


@rule("NLA501", "error", "the card's metadata is valid and matches the files", each=REPOSITORIES)
def metadata_valid(adapter: AdapterFolder) -> Iterator[Problem]:
    """The front matter by the Hub's rules, then against sidecar and calibration.

    Checks: README.md begins with metadata that the Hub accepts: a known licence (or `other` with a
        name and a link), Hub ids, and a valid model-index. base_model is the sidecar's base,
        base_model_relation is adapter, library_name is peft, and pipeline_tag is text-generation
        for an AV and feature-extraction for an AR. model-index holds exactly the metrics of
        calibration.json, with all controls.
    Why: The AR card of SolshineCode/nla-gemma-4-e2b says text-generation for a model that returns
        vectors. PEFT overwrites base_model with a local path (huggingface/peft#2124). The Hub
        refuses invalid metadata only after everything is uploaded.
    Fix: Run `nla-release check --fix`, or `nla-release render` again. The licence and the base come
        from release.yaml.
    Example: pipeline_tag is 'text-generation', expected 'feature-extraction'
    Waive: Never: the Hub indexes, counts and loads by these fields.
    """
    path, text = adapter.folder / CARD_FILE, adapter.text(CARD_FILE)
    with reading(path, "NLA501"):
        report = check_card(text)
    metadata = report.metadata
    unknown = [name for name in _listed(metadata.get("license")) if name not in LICENSES]
    for name in unknown:
        yield Problem(path, f"license is {name!r}: {instead_of(name)}")
    for message in (*report.errors, *report.warnings):
        # The Hub's message lists all known licences.
        if not (unknown and message.startswith('"license[')):
            yield Problem(path, message)
    if not metadata:
        return
    if metadata.get("license") == "other" and not metadata.get("license_link"):
        yield Problem(path, "license is 'other' and license_link is missing")
    for name, expected in (
        ("base_model", adapter.sidecar.nla_release.base.id),
        ("base_model_relation", "adapter"),
        ("library_name", "peft"),
        ("pipeline_tag", PIPELINE_TAGS[adapter.role]),
    ):
        if (found := metadata.get(name)) != expected:
            yield Problem(path, f"{name} is {found!r}, expected {expected!r}")
    if "license" not in metadata:
        yield Problem(path, "license is missing")
    if not report.errors:
        yield from _foreign_numbers(adapter, metadata.get("model-index") or [])


@rule(
    "NLA502",
    "error",
    "the generated blocks of both documents match calibration.json",
    each=REPOSITORIES,
)
def blocks_generated(adapter: AdapterFolder) -> Iterator[Problem | Skip]:
    """Render the blocks again.

    Checks: README.md and RELEASE_CALIBRATION.md hold every generated block between its markers, and
        each block is exactly what calibration.json renders to. The card's list of retracted numbers
        matches HISTORY.md, as do the notice at the top and new_version if this version was
        retracted. The card names the latest evidence update.
    Why: Copied numbers go stale: the cards, README and HISTORY of SolshineCode/nla-gemma-4-e2b call
        the same share about 80, 95 and 97 per cent structural.
    Fix: Run `nla-release check --fix`, or `nla-release render` again. Write your own text into the
        notes, where `{{ calibration... }}` inserts the current numbers.
    Example: the generated block `calibration` is not what calibration.json gives
    Waive: Never: outside of the markers you can write what you like.
    """
    text, calibration = adapter.text(CARD_FILE), adapter.calibration
    if not isinstance(calibration, CurrentCalibration):
        yield older_format(adapter)
        return
    expected = expected_blocks(
        calibration,
        adapter.log,
        adapter.addenda,
        adapter.manifest.version,
        adapter.comparison,
    )
    yield from _stale(adapter.folder / CARD_FILE, text, expected)
    manifest = adapter.manifest
    named = new_version(adapter.log, manifest.version, adapter.role, manifest.repo)
    if named and (found := check_card(text).metadata.get("new_version")) != named:
        yield Problem(
            adapter.folder / CARD_FILE,
            f"new_version is {found!r}, but {HISTORY_FILE} says to use {named}",
        )
    page = regular_file(adapter.folder / CALIBRATION_PAGE_FILE, "NLA701")
    text = read_file(page, "NLA502", read_text)
    expected = expected_page_blocks(
        calibration, updates=adapter.addenda, comparison=adapter.comparison
    )
    yield from _stale(page, text, expected, but=_OF_OTHER_RULES)


@rule("NLA511", "error", "examples/round_trip.py is the generated program", each=RENDERED)
def example_generated(subject: Subject) -> Iterator[Problem | Skip]:
    """Render the program again.

    Checks: The program in examples/ of both repositories is exactly the one generated from both
        sidecars, the evidence and release.json. Releases from before this program existed are not
        checked.
    Why: Readers run it without reading it. An injection scale of 80000 instead of 39.25 gives
        fluent but wrong explanations, and any added line runs on their machine.
    Fix: Run `nla-release render` again. Keep your own programs in your own repository, and name it
        as `source` in release.yaml.
    Example: is not the generated program
    Waive: Never: readers who trust the release run it.
    """
    adapters = {adapter.role: adapter for adapter in subject.rendered}
    paths = [each.folder / ROUND_TRIP_FILE for each in adapters.values()]
    if not any(path in each.files for path, each in zip(paths, adapters.values(), strict=True)):
        yield Skip(f"this release has no {ROUND_TRIP_FILE}")
        return
    if len(adapters) < len(ROLES):
        yield Skip(f"{ROUND_TRIP_FILE} is generated from AV and AR, and only one of them is here")
        return
    measured = next(each for each in subject.measurements if each.rendered)
    manifests = {role: adapter.manifest for role, adapter in adapters.items()}
    expected = round_trip(
        {role: adapter.sidecar for role, adapter in adapters.items()},
        measured.evidence,
        {role: manifest.repo for role, manifest in manifests.items()},
        manifests["av"].tag,
    )
    for path, adapter in zip(paths, adapters.values(), strict=True):
        if path not in adapter.files:
            yield Problem(path, "is missing, although the other repository has it")
        elif adapter.text(ROUND_TRIP_FILE) != expected:
            yield Problem(path, "is not the generated program")


def _stale(
    path: Path, text: str, expected: Mapping[str, str], but: frozenset[str] = frozenset()
) -> Iterator[Problem]:
    """The generated blocks of a document that are missing or stale."""
    with reading(path, "NLA502"):
        found = generated_blocks(text)
    for name in sorted({*expected, *found} - but):
        if name not in found:
            yield Problem(path, f"the block {name} is missing")
        elif found[name] != expected.get(name):
            source = _SOURCES.get(name, CALIBRATION_FILE)
            yield Problem(path, f"the generated block `{name}` is not what {source} gives")


def _foreign_numbers(
    adapter: AdapterFolder, model_index: list[dict[str, Any]]
) -> Iterator[Problem]:
    """Metrics of a valid model-index that are missing, unknown, or not those of the calibration.

    A control that is left out, or a number under another name, changes what the others mean.
    """
    path = adapter.folder / CARD_FILE
    computed = {metric["name"]: metric for metric in metrics(adapter.calibration)}
    stated = [
        metric
        for model in model_index
        for result in model["results"]
        for metric in result["metrics"]
    ]
    for metric in stated:
        name = metric.get("name", metric["type"])
        if (given := computed.pop(name, None)) is None:
            yield Problem(path, f"model-index has {name}, which is not a metric of this release")
        elif metric != given:
            yield Problem(
                path,
                f"model-index says {name} is {metric['value']}, {CALIBRATION_FILE} gives"
                f" {given['value']}",
            )
    if computed:
        yield Problem(path, f"model-index lacks {listed(list(computed))}")


def _listed(stated: Any) -> list[str]:
    """The licences that a card states, as far as they are strings."""
    named = stated if isinstance(stated, list) else [stated]
    return [name for name in named if isinstance(name, str)]
