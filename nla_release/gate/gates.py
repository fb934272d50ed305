"""NLA619: thresholds that an author set are told wherever the verdict is."""

from collections.abc import Iterator

from nla_release.cards.loosened import loosened_section
from nla_release.gate.adapter import CARD_FILE_NAME, Adapter
from nla_release.gate.model import Page, Problem, rule
from nla_release.gate.scopes import RELEASES
from nla_release.release.folder import FILE_NAME, Release


@rule(
    "NLA619",
    "warning",
    "the gate is as strict as the tool's own, or the card says so",
    each=RELEASES,
    page=Page(
        checks="No threshold under gates in release.yaml lets more pass than its default. Where one"
        " does it is named, and every rendered card names it among the limitations; a card that"
        " does not is an error.",
        why="A verdict is worth what its thresholds are: one of SolshineCode's gates passed a pair"
        " with a single text in 68 rows.",
        fix="Remove the gate from release.yaml, or keep it and let the warning stand. Then run"
        " `nla-release render` again.",
        example="gates.max_failed is 0.4, and 0.2 by default",
        waive="Never: the warning stops no release, and is how a reader learns of the gate.",
    ),
)
def gates_told(target: tuple[Release, tuple[Adapter, ...]]) -> Iterator[Problem]:
    """Each loosened gate, in the verdict and on the cards."""
    release, repositories = target
    for name, (value, usual) in release.config.gates.loosened.items():
        yield Problem(
            release.folder / FILE_NAME, f"gates.{name} is {value:g}, and {usual:g} by default"
        )
    section = loosened_section(release.config.gates)
    for adapter in repositories if section else ():
        if section not in adapter.text(CARD_FILE_NAME):
            yield Problem(
                adapter.folder / CARD_FILE_NAME,
                "does not show the loosened gates of release.yaml: run nla-release render again",
                severity="error",
            )
