"""The documents of a repository, rendered again from its files, and what people added to them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

from nla_release.calibration.report import CurrentCalibration
from nla_release.cards.blocks import block_places
from nla_release.errors import InputError, NlaReleaseError, one_line
from nla_release.gate.adapter import Adapter
from nla_release.gate.findings import UnreadableError
from nla_release.gate.subject import Rendering, Subject
from nla_release.release.folder import CALIBRATION_FILE_NAME
from nla_release.release.manifest import FILE_NAME as MANIFEST_FILE_NAME
from nla_release.release.manifest import Stated
from nla_release.text.visible import Block, view

if TYPE_CHECKING:
    from nla_release.cards.documents import Sources

# Ten times the longest card known; parsing Markdown costs time and memory by the character.
MAX_PROSE = 128 * 1024


@dataclass(frozen=True)
class Stretch:
    """Blocks in a row that a document should have, and those that it has in their place.

    `line` is of the block before them.
    """

    expected: list[Block]
    found: list[Block]
    line: int
    same: bool

    @property
    def added(self) -> list[Block]:
        """The blocks that are more than those they replace."""
        return self.found[len(self.expected) :]


def rendering(adapter: Adapter, subject: Subject, stated: Stated) -> Rendering:
    """The documents of a repository as its files give them.

    Raises:
        UnreadableError: a file that they are computed from is damaged or not the one measured.
    """
    if adapter.role not in subject.rendered_again:
        with restating(adapter.folder / MANIFEST_FILE_NAME):
            subject.rendered_again[adapter.role] = _rendering(adapter, subject, stated)
    return subject.rendered_again[adapter.role]


@contextmanager
def restating(path: Path) -> Iterator[None]:
    """Turn every way in which an untrusted `stated` cannot be rendered into a finding."""
    from jinja2 import TemplateError

    try:
        yield
    except UnreadableError:
        raise
    except (
        NlaReleaseError,
        TemplateError,
        OSError,
        ValueError,
        LookupError,
        AttributeError,
        ArithmeticError,
        TypeError,
    ) as error:
        message = f"what it states cannot be rendered: {one_line(error)}"
        raise UnreadableError("NLA514", path, message) from error


def compared(expected: str, found: str) -> list[Stretch]:
    """A document next to what its files give, without what NLA502 compares between markers."""
    try:
        ours, theirs = _blocks(expected), _blocks(found)
    except InputError:
        return []  # NLA502 refuses a document whose markers are out of place
    matcher = SequenceMatcher(
        None, [each.text for each in ours], [each.text for each in theirs], autojunk=False
    )
    return [
        Stretch(
            ours[first:end],
            theirs[begin:stop],
            theirs[max(begin - 1, 0)].line if theirs else 1,
            kind == "equal",
        )
        for kind, first, end, begin, stop in matcher.get_opcodes()
    ]


def _blocks(document: str) -> list[Block]:
    """The blocks of a document, without what is in generated ones."""
    for place in sorted(block_places(document).values(), key=lambda it: it.start, reverse=True):
        blank = "\n" * document[place].count("\n")
        document = document[: place.start] + blank + document[place.stop :]
    return list(view(document).blocks)


def _rendering(adapter: Adapter, subject: Subject, stated: Stated) -> Rendering:
    from nla_release.cards.documents import documents, own_entry, shared_context

    sources = _sources(adapter, subject, stated)
    shared = shared_context(sources)
    return Rendering(sources, documents(sources, shared, adapter.role), own_entry(sources))


def _sources(adapter: Adapter, subject: Subject, stated: Stated) -> "Sources":
    """What a repository is rendered from again.

    Raises:
        UnreadableError: a file that it is computed from is damaged or not the one measured.
    """
    from nla_release.cards.compared import restated
    from nla_release.cards.documents import Sources, stated_release
    from nla_release.cards.inputs import Inputs, read_adapter

    measurement = next(
        each for each in subject.measurements if each.rendered and each.folder == adapter.folder
    )
    evidence, calibration = measurement.evidence, adapter.calibration
    assert isinstance(calibration, CurrentCalibration)  # the others are not rendered again
    for each in subject.rendered:
        for name, digest in evidence.run.files.items():
            role, _, file = name.partition("/")
            if role == each.role and each.digest(file) != digest:
                raise UnreadableError("NLA601", each.folder / file, "is not the one measured")
    if calibration.model_dump(exclude={"tool_version"}) != measurement.recomputed.model_dump(
        exclude={"tool_version"}
    ):
        raise UnreadableError("NLA602", adapter.folder / CALIBRATION_FILE_NAME, "is not computed")
    adapters = {}
    for each in subject.rendered:
        adapters[each.role] = read_adapter(each.folder, each.role)
    release = stated_release(adapter.folder, stated)
    inputs = Inputs(release, adapters, evidence, calibration)
    before = None
    if stated.released:
        before = restated(stated.released, adapter.manifest.tag, calibration)
    return Sources(
        inputs,
        adapter.manifest.version,
        stated,
        before,
        adapter.log,
        adapter.addenda,
        adapter.comparison,
    )
