"""NLA513 and NLA514: hidden text in documents, and documents that differ from a new rendering."""

import itertools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nla_release import __version__
from nla_release.calibration.report import CURRENT, CurrentCalibration
from nla_release.cards.blocks import marker_lines
from nla_release.cards.snippet import round_trip
from nla_release.gate.adapter_folder import AdapterFolder, older_format, regular_file
from nla_release.gate.authored import (
    MAX_FINDINGS,
    check_length,
    compared,
    expected_documents,
    restating,
)
from nla_release.gate.findings import Problem, Skip, Unverified
from nla_release.gate.model import RENDERED, REPOSITORIES, rule
from nla_release.gate.subject import ExpectedDocuments, Subject
from nla_release.history.log import begins_with, changed_above, entries
from nla_release.hub_client.card_metadata import check_card
from nla_release.io.files import sha256_bytes, sha256_file
from nla_release.io.layout import (
    ADAPTER_CONFIG_FILE,
    BASE_FILE,
    CALIBRATION_FILE,
    CALIBRATION_PAGE_FILE,
    CARD_FILE,
    HISTORY_FILE,
    MANIFEST_FILE,
    ROUND_TRIP_FILE,
    SIDECAR_FILE,
    TRAINING_LOG_FILE,
)
from nla_release.release.folder import ROLES
from nla_release.release.manifest import Stated
from nla_release.text.markdown import unseen
from nla_release.text.numbers import listed
from nla_release.text.visible import Block, view

if TYPE_CHECKING:
    from nla_release.cards.documents import Sources

_COMMENT_OF_A_BLOCK = re.compile(r"<!-- nla-release:(?:begin|end) [a-z]+ -->")

# The metadata that NLA501, NLA502 and NLA506 compare.
_METADATA_OF_OTHERS = {
    "license",
    "license_name",
    "license_link",
    "base_model",
    "base_model_relation",
    "library_name",
    "pipeline_tag",
    "new_version",
}

# Figures drawn by other library versions differ in their bytes, but hardly in their grey levels.
_MAX_TONE, _MAX_PIXELS = 0.04, 4_000_000

# The elements and declarations of an SVG, and attributes that run or load something.
_ELEMENT = re.compile(rb"<([!?\w][\w:.-]*)")
_ACTIVE = re.compile(rb"""\son\w+\s*=|href\s*=\s*(?!["']#)|@import|url\((?!#)""", re.IGNORECASE)


@rule("NLA513", "error", "nothing in the documents is hidden", each=REPOSITORIES)
def nothing_hidden(adapter: AdapterFolder) -> Iterator[Problem]:
    r"""Both documents, taken apart by a Markdown parser.

    Checks: README.md and RELEASE_CALIBRATION.md are parsed as a Markdown reader does. Each
        generated block and section is visible at the top level. Nothing hides another part: no
        unclosed fence, comment or HTML element; no `<script>`, `<style>`, `<template>`, `<svg>`,
        `<math>` or `hidden`; no section inside `<details>`; no link definition; no math with
        commands that colour or move text, such as `\color` and `\phantom`; and no zero-width or
        bidirectional control character.
    Why: A note that ended in an unclosed fence left 1 of 14 headings and none of 5 tables of a card
        visible, and every tool that read the card as plain text found all of it.
    Fix: Close the element in the note, and run `nla-release render`. The finding names the line
        where the hidden part begins.
    Example: a fence ``` that does not end
    Waive: Never: readers cannot see what is hidden.
    """
    for name in (CARD_FILE, CALIBRATION_PAGE_FILE):
        path, text = adapter.folder / name, adapter.text(name)
        check_length(path, text)
        yield from itertools.islice(_hidden(path, text), MAX_FINDINGS)


def _hidden(path: Path, text: str) -> Iterator[Problem]:
    seen = view(text)
    for hidden in seen.hidden:
        yield Problem(f"{path}:{hidden.line}", f"{hidden.what}, which hides other parts")
    for line, char in unseen(text):
        yield Problem(f"{path}:{line}", f"{char}, which is invisible")
    shown = {block.line: block for block in seen.blocks if block.kind == "html_block"}
    for line, name in marker_lines(text):
        if line not in shown:
            around = [block for block in seen.blocks if block.line < line]
            within = f", inside the {around[-1].kind} of line {around[-1].line}" if around else ""
            yield Problem(f"{path}:{line}", f"the generated block {name} is not displayed{within}")
        elif shown[line].within:
            yield Problem(
                f"{path}:{line}", f"the generated block {name} is inside {shown[line].within}"
            )


@rule(
    "NLA514", "error", "cards, figures and texts match a new rendering of the files", each=RENDERED
)
def rendered_again(subject: Subject) -> Iterator[Problem | Unverified | Skip]:
    """Each repository, with its partner where that is here too.

    Checks: README.md, RELEASE_CALIBRATION.md, the metadata, the first lines of HISTORY.md and its
        entry for this version, and every figure (PNG, SVG, CSV) are rendered again and compared.
        The inputs are the repository's own files and `stated` in release.json, which holds the
        choices of release.yaml and the notes. A note that quotes numbers is rendered from its
        recorded source. Every part must match: usage snippet, token ids, scale, revision, partner
        links, training facts, loss and alt texts. base.json, training logs, sidecars and PEFT
        configurations have the sha256 that RELEASE_CALIBRATION.md lists. Paragraphs added by hand
        and other entries of HISTORY.md are no finding; the verdict lists them, with the notes and
        choices, as not checkable from files. This version cannot render documents of calibration
        format 1 or 2, which is a warning; if their evidence names its run, which those formats
        never recorded, it is an error.
    Why: A check that compared only numbers passed a release with `os.system(...)` in a snippet,
        another injection scale, another partner repository and a swapped figure, once release.json
        listed the new files.
    Fix: Run `nla-release render` again. Write your own text into the notes.
    Example: is 'INJECTION_SCALE = 80000.0', expected 'INJECTION_SCALE = 39.25'
    Waive: Never: readers must be able to compute every document from the release's files.
    """
    drawn: dict[str, Mapping[str, bytes]] = {}
    for adapter in subject.rendered:
        if isinstance(adapter.calibration, CurrentCalibration):
            yield from _against_files(adapter, subject, drawn)
        else:
            yield _of_an_older_format(adapter, subject)


def _of_an_older_format(adapter: AdapterFolder, subject: Subject) -> Problem:
    """A warning for what an earlier version published, an error for what this version measured."""
    path = adapter.folder / CALIBRATION_FILE
    known = [each for each in subject.measurements if each.calibration_path == path]
    if any(each.evidence.run.run_id for each in known):
        return Problem(
            path,
            f"has format {adapter.calibration.schema_}, but its evidence is from a version that"
            f" writes format {CURRENT}: run calibrate and render again",
        )
    return Problem(path, older_format(adapter).reason, "warning")


def _against_files(
    adapter: AdapterFolder, subject: Subject, drawn: dict[str, Mapping[str, bytes]]
) -> Iterator[Problem | Unverified]:
    stated, path = adapter.manifest.stated, adapter.folder / MANIFEST_FILE
    if stated is None:
        yield Problem(path, "has no `stated`, so nothing can be rendered again: run render again")
        return
    again = expected_documents(adapter, subject, stated)
    with restating(path):
        found = list(itertools.islice(_differences(adapter, again, drawn), 2 * MAX_FINDINGS))
    problems = [each for each in found if isinstance(each, Problem)][:MAX_FINDINGS]
    if problems and (version := adapter.manifest.tool_version) != __version__:
        message = f"rendered by nla-release {version}, checked by {__version__}"
        yield Problem(path, f"{message}: check with that version as well")
    yield from problems
    yield from _people(adapter, stated)
    yield from (each for each in found if isinstance(each, Unverified))


def _differences(
    adapter: AdapterFolder, again: ExpectedDocuments, drawn: dict[str, Mapping[str, bytes]]
) -> Iterator[Problem | Unverified]:
    """Everything that differs from a new rendering, and what was added by hand."""
    sources = again.sources
    yield from _notes(adapter, sources)
    for name, expected in again.documents.items():
        yield from _not_as_rendered(adapter.folder / name, expected, adapter.text(name))
        if name == CARD_FILE:
            yield from _metadata(adapter, expected)
    yield from _not_as_logged(adapter, sources, again.own_entry)
    yield from _facts_of_the_pair(adapter, sources)
    yield from _figures(adapter, sources, drawn)


def _notes(adapter: AdapterFolder, sources: "Sources") -> Iterator[Problem]:
    """The notes that differ from what their sources render to."""
    from nla_release.cards.documents import quotable
    from nla_release.text.sandbox import render_note

    stated, path = sources.stated, adapter.folder / MANIFEST_FILE
    context = quotable(sources.inputs, sources.version)
    for name, source in (stated.sources or {}).items():
        if render_note(Path(f"{name}.md"), context, source) != stated.notes.get(name):
            yield Problem(path, f"stated.notes.{name} is not what stated.sources.{name} renders to")


def _not_as_rendered(path: Path, expected: str, found: str) -> Iterator[Problem | Unverified]:
    """Missing and changed blocks of a document; whole blocks may be added to it."""
    for stretch in compared(expected, found):
        if stretch.same:
            yield from _folded_away(path, stretch.found)
            continue
        others = itertools.zip_longest(stretch.expected, stretch.found[: len(stretch.expected)])
        for block, other in others:
            if not _COMMENT_OF_A_BLOCK.fullmatch(block.text):
                yield _changed(path, block, other, stretch.line)
        if added := stretch.added:
            last = added[-1].line + added[-1].text.count("\n")
            yield Unverified(f"{path}:{added[0].line} to {last}: added by hand")


def _not_as_logged(
    adapter: AdapterFolder, sources: "Sources", expected: str
) -> Iterator[Problem | Unverified]:
    """Changes to HISTORY.md's first lines or this version's entry; people write the rest."""
    path, own = adapter.folder / HISTORY_FILE, adapter.manifest.tag
    history = adapter.text(HISTORY_FILE).replace("\r\n", "\n")
    found = entries(history)
    # The title may have changed since the log was begun.
    begun_now = next(iter(found), own) == own and not sources.updates
    title = sources.inputs.release.config.title if begun_now else None
    if line := changed_above(history, title):
        yield Problem(f"{path}:{line}", "differs from the generated lines above the first entry")
    if not begins_with(found.get(own, ""), expected):
        yield Problem(path, f"the entry of {own} differs from a new rendering")
    elif found[own].strip() != expected.strip():
        yield Unverified(f"{path}: text after the results in the entry of {own}")
    if others := [entry for entry in adapter.log if entry.tag != own]:
        yield Unverified(f"{path}: {listed([entry.heading for entry in others])}")


def _folded_away(path: Path, blocks: list[Block]) -> Iterator[Problem]:
    for block in blocks:
        if block.within:
            yield Problem(f"{path}:{block.line}", f"is inside {block.within}, which hides it")


def _changed(path: Path, block: Block, other: Block | None, near: int) -> Problem:
    """A missing or changed block, by the first line that differs."""
    if other is None:
        return Problem(f"{path}:{near}", f"lacks {_short(block.text)}")
    lines = itertools.zip_longest(block.text.split("\n"), other.text.split("\n"), fillvalue="")
    at, (ours, theirs) = next((at, pair) for at, pair in enumerate(lines) if pair[0] != pair[1])
    return Problem(f"{path}:{other.line + at}", f"is {_short(theirs)}, expected {_short(ours)}")


def _short(text: str) -> str:
    line = text.split("\n", 1)[0]
    return repr(line if len(line) <= 120 else f"{line[:120]}...")


def _metadata(adapter: AdapterFolder, expected: str) -> Iterator[Problem]:
    """The keys that NLA501, NLA502 and NLA506 do not compare; others may be added."""
    path, found = adapter.folder / CARD_FILE, check_card(adapter.text(CARD_FILE))
    if found.errors or not found.metadata:
        return  # NLA501 reports it
    for name, value in check_card(expected).metadata.items():
        there = found.metadata.get(name)
        if name == "model-index":
            value, there = _without_metrics(value), _without_metrics(there)
        if name not in _METADATA_OF_OTHERS and there is not None and there != value:
            yield Problem(path, f"{name} is {_short(str(there))}, expected {value!r}")
        elif there is None and name not in {*_METADATA_OF_OTHERS, "model-index"}:
            yield Problem(path, f"{name} is missing, expected {value!r}")


def _without_metrics(index: Any) -> Any:
    """A valid model-index without its metrics; None when there is no index."""
    return index and [
        each | {"results": [{**result, "metrics": None} for result in each["results"]]}
        for each in index
    ]


def _facts_of_the_pair(adapter: AdapterFolder, sources: "Sources") -> Iterator[Problem]:
    """What release.json states of both adapters, against those that are here."""
    from nla_release.cards.documents import facts_by_role, pair_facts

    stated, adapters = sources.stated, sources.inputs.adapters
    path = adapter.folder / MANIFEST_FILE
    for name, each in facts_by_role(sources.inputs).items():
        for role, facts in each.items():
            if stated.pair[name].get(role) != facts:
                yield Problem(path, f"stated.pair.{name}.{role} does not match the adapter")
    if len(adapters) == len(ROLES) and pair_facts(sources.inputs) != stated.pair:
        yield Problem(path, "stated.pair does not match both adapters")
    if len(adapters) == len(ROLES):
        sidecars = {role: adapters[role].sidecar for role in ROLES}
        repos = {role: sources.inputs.release.repo_id(role, sources.version) for role in ROLES}
        example = round_trip(sidecars, sources.inputs.evidence, repos, adapter.manifest.tag)
        if adapter.text(ROUND_TRIP_FILE) != example:
            yield Problem(adapter.folder / ROUND_TRIP_FILE, "is not the generated program")
    files = {name: adapter.folder / name for name in (BASE_FILE, ROUND_TRIP_FILE)}
    for role, each in adapters.items():
        logs = [TRAINING_LOG_FILE] if each.log else []
        for name in (SIDECAR_FILE, ADAPTER_CONFIG_FILE, *logs):
            files[f"{role}/{name}"] = each.folder / name
    for name, file in files.items():
        digest, listed_as = sha256_file(file), stated.files.get(name, "nothing")
        if digest != listed_as:
            message = f"has sha256 {digest[:12]}, {CALIBRATION_PAGE_FILE} lists {listed_as[:12]}"
            yield Problem(file, message)


def _figures(
    adapter: AdapterFolder, sources: "Sources", drawn: dict[str, Mapping[str, bytes]]
) -> Iterator[Problem | Unverified]:
    """Every figure, drawn again; a figure that both repositories have is drawn once."""
    from nla_release.cards.documents import plots_of_pair, plots_of_role
    from nla_release.cards.plot import drawn_with

    expected: dict[str, bytes] = {}
    plots = plots_of_pair(sources.inputs, sources.before)
    for plot in (*plots, *plots_of_role(sources.inputs, adapter.role)):
        numbers = repr((plot.name, plot.alt, plot.columns, tuple(plot.rows)))
        if numbers not in drawn:
            drawn[numbers] = {
                name: content.encode() if isinstance(content, str) else content
                for name, content in plot.files().items()
            }
        expected |= drawn[numbers]
    with_, here = sources.stated.drawn_with, drawn_with()
    alike = []
    for name, content in expected.items():
        path = adapter.folder / name
        if path not in adapter.files:
            yield Problem(path, "is missing: a rendering has this figure")
        elif adapter.sha256(name) == sha256_bytes(content):
            continue
        elif with_ == here or name.endswith(".csv"):
            yield Problem(path, "differs from the figure drawn again")
        elif not _alike(regular_file(path, "NLA514"), content):
            yield Problem(path, "does not look like the figure drawn again")
        else:
            alike.append(name)
    if alike:
        yield Unverified(
            f"{adapter.folder}: bytes of {listed(alike)}, drawn with {with_}, not with {here}"
        )
    extra = {
        path.relative_to(adapter.folder).as_posix()
        for path in adapter.files
        if path.parent == adapter.folder / "figures"
    } - expected.keys()
    if extra:
        yield Unverified(f"{adapter.folder}: added figures: {listed(sorted(extra))}")


def _alike(path: Path, content: bytes) -> bool:
    """Whether a figure drawn by other library versions may show the same.

    PNGs are compared by the grey levels of small copies. An SVG must have no other elements, and
    none that run or load anything.
    """
    if path.suffix == ".svg":
        found = path.read_bytes() if path.stat().st_size <= 10 * len(content) else b"<!"
        elements = {*_ELEMENT.findall(found)} - {*_ELEMENT.findall(content)}
        return not elements and not _ACTIVE.search(found)
    with path.open("rb") as file:
        start = file.read(24)  # its signature, and its width and height of four bytes each
    width, height = int.from_bytes(start[16:20]), int.from_bytes(start[20:24])
    if not 0 < width * height <= _MAX_PIXELS:
        return False
    import io

    import numpy as np
    from PIL import Image

    tones = []
    for source in (path, io.BytesIO(content)):
        try:
            with Image.open(source, formats=["PNG"]) as picture:
                small = picture.convert("L").resize((170, 100))
                tones.append(np.asarray(small, np.float64) / 255)
        except (OSError, ValueError, SyntaxError):
            return False
    return float(np.abs(tones[0] - tones[1]).mean()) <= _MAX_TONE


def _people(adapter: AdapterFolder, stated: Stated) -> Iterator[Unverified]:
    """What readers have to believe: choices, texts, and figures of another release."""
    checked = {"base_model", "base_revision", "gates", "repo"}
    chosen = sorted(name for name, value in stated.release.items() if value and name not in checked)
    yield Unverified(f"{adapter.folder / MANIFEST_FILE}: {', '.join(chosen)}")
    if stated.notes:
        yield Unverified(f"{adapter.folder}: the notes {', '.join(sorted(stated.notes))}")
    if stated.released:
        yield Unverified(f"{adapter.folder}: the figures of the previous version")
