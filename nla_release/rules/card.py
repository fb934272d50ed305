"""NLA5xx, first half: what the card says against what the files say."""

from collections.abc import Iterator
from typing import Any

from nla_release.cards.blocks import expected_blocks, generated_blocks
from nla_release.cards.front_matter import PIPELINE_TAGS, metrics
from nla_release.cards.retractions import RETRACTING
from nla_release.hub.card_metadata import check_card
from nla_release.release import CALIBRATION_FILE_NAME, HISTORY_FILE_NAME
from nla_release.rules.adapter import CARD_FILE_NAME, Adapter, reading
from nla_release.rules.model import Page, Problem, listed, rule
from nla_release.rules.scopes import REPOSITORIES


@rule(
    "NLA501",
    "error",
    "the card's metadata is valid and says what the files say",
    each=REPOSITORIES,
    page=Page(
        checks="README.md begins with metadata that the Hub accepts: a licence it knows (`other`"
        " with a name and a link), Hub ids, a well-typed model-index. base_model is the sidecar's"
        " base, base_model_relation is adapter, library_name is peft, pipeline_tag is"
        " text-generation for an AV and feature-extraction for an AR, and model-index holds the"
        " metrics that calibration.json gives, every control with them, and no other.",
        why="The AR card of SolshineCode/nla-gemma-4-e2b says text-generation for a model that"
        " emits vectors; PEFT overwrites base_model with a local path (huggingface/peft#2124); and"
        " the Hub refuses invalid metadata only when everything is uploaded.",
        fix="Run `nla-release render` again. The licence and the base come from release.yaml.",
        example="pipeline_tag is 'text-generation', expected 'feature-extraction'",
        waive="Never: the Hub indexes, counts and loads by these fields.",
    ),
)
def metadata_valid(adapter: Adapter) -> Iterator[Problem]:
    """The front matter by the Hub's rules, then against sidecar and calibration."""
    path, text = adapter.folder / CARD_FILE_NAME, adapter.text(CARD_FILE_NAME)
    with reading(path, "NLA501"):
        report = check_card(text)
    for message in (*report.errors, *report.warnings):
        yield Problem(path, message)
    metadata = report.metadata
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
    "the generated parts of the card are what calibration.json gives",
    each=REPOSITORIES,
    page=Page(
        checks="Between its markers the card holds every generated block, and each is, to the"
        " character, what calibration.json renders to; the list of retracted numbers is what"
        " HISTORY.md gives.",
        why="Numbers in prose rot: the cards, README and HISTORY of SolshineCode/nla-gemma-4-e2b"
        " call the same share about 80, 95 and 97 per cent structural.",
        fix="Run `nla-release render` again. Write prose into the notes, where `{{ calibration..."
        " }}` follows the numbers.",
        example="the block calibration is not what calibration.json gives",
        waive="Never: outside of the markers the card is yours.",
    ),
)
def blocks_generated(adapter: Adapter) -> Iterator[Problem]:
    """Rendering the blocks again."""
    path = adapter.folder / CARD_FILE_NAME
    expected = expected_blocks(adapter.calibration, adapter.log)
    text = adapter.text(CARD_FILE_NAME)
    with reading(path, "NLA502"):
        found = generated_blocks(text)
    for name in sorted({*expected, *found}):
        if name not in found:
            yield Problem(path, f"the block {name} is missing")
        elif found[name] != expected.get(name):
            source = HISTORY_FILE_NAME if name == RETRACTING else CALIBRATION_FILE_NAME
            yield Problem(path, f"the block {name} is not what {source} gives")


def _foreign_numbers(adapter: Adapter, model_index: list[dict[str, Any]]) -> Iterator[Problem]:
    """The metrics of a valid model-index that are not those of the calibration, all of them.

    A control left out, or a number under a name of its own, makes the others say something else.
    """
    path = adapter.folder / CARD_FILE_NAME
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
            yield Problem(path, f"model-index holds {name}, which is no metric of this release")
        elif metric != given:
            yield Problem(
                path,
                f"model-index says {name} is {metric['value']}, {CALIBRATION_FILE_NAME} gives"
                f" {given['value']}",
            )
    if computed:
        yield Problem(path, f"model-index lacks {listed(list(computed))}")
