"""What a release stands on and under: citations by key, and its licence.

What a licence asks of those who publish adapters of a base under it is written in its stanza,
`model_cards/licences/<id>.yaml`, from the text behind its link.
"""

from functools import cache
from pathlib import Path

from pydantic import Field

from nla_release.cards.bibtex import Entry, read_entries
from nla_release.cards.environment import TEMPLATES
from nla_release.errors import ConfigError
from nla_release.files import read_text, read_yaml
from nla_release.schema import Strict, parse

LICENCE_FILE_NAME = "LICENSE"
NOTICE_FILE_NAME = "NOTICE"

# The Hub's id for a licence that has none.
OTHER = "other"

_LICENCES = TEMPLATES / "licences"


class Licence(Strict):
    """A licence by its Hub id; `notice` is what it asks a distributor to say.

    `passes_on` names the clause by which an adapter of a base under this licence stands under it
    too, `name_begins` what the clause wants the adapter's name to begin with, and `notice_file` the
    text it wants in a file NOTICE. `commercial` is whether commercial use is allowed.
    """

    id: str
    name: str
    link: str = Field(pattern="^https://")
    notice: str | None
    text: str | None
    commercial: bool = True
    passes_on: str | None = None
    name_begins: str | None = None
    notice_file: str | None = None

    @property
    def restricts(self) -> bool:
        """Whether it leaves an adapter of a base under it less than any licence."""
        return self.passes_on is not None or not self.commercial


def licence(identifier: str) -> Licence:
    """The licence of a Hub id, with its full text when it travels with us.

    Raises:
        ConfigError: no stanza is known for it; the known ones are named.
    """
    known = _stanzas()
    if identifier not in known:
        raise ConfigError(
            f"license {identifier!r} has no stanza here; known: {', '.join(known)}",
            hint=f"add {identifier}.yaml to model_cards/licences",
        )
    path = known[identifier]
    text = path.with_suffix(".txt")
    document = {"id": identifier, "text": _text_if_there(text), **read_yaml(path)}
    return parse(Licence, document, path)


def is_known(identifier: str) -> bool:
    """Whether there is a stanza for a licence."""
    return identifier in _stanzas()


def licence_files(identifier: str) -> dict[str, str]:
    """The files that a licence asks for, by name: LICENSE, and NOTICE where it wants one.

    LICENSE is the full text when we have it, otherwise name, address and notice.

    Raises:
        ConfigError: no stanza is known for the licence.
    """
    known = licence(identifier)
    named = "\n\n".join(part for part in (known.name, known.link, known.notice) if part) + "\n"
    files = {LICENCE_FILE_NAME: known.text or named}
    if known.notice_file:
        files[NOTICE_FILE_NAME] = known.notice_file.strip() + "\n"
    return files


def misfits(stated: str, base: Licence, repo: str) -> list[str]:
    """What the licence of a base has against an adapter under another, or under its name.

    Args:
        stated: the Hub id of the adapter's licence, known here or not. What `other` says, only its
            reader can hold against the base's.
        base: the licence of the base.
        repo: the adapter's repository, as namespace/name.
    """
    if stated == OTHER:
        return []
    problems = []
    clause, name = f"{base.passes_on} of {base.link}", repo.rpartition("/")[2]
    if base.passes_on and stated != base.id:
        problems.append(
            f"license is {stated}, expected {base.id}: the base's goes with its adapters ({clause})"
        )
    if not base.commercial and is_known(stated) and licence(stated).commercial:
        problems.append(f"license is {stated}, and the base's {base.id} allows no commercial use")
    if base.name_begins and not name.casefold().startswith(base.name_begins.casefold()):
        problems.append(f"the name {name!r} does not begin with {base.name_begins!r} ({clause})")
    return problems


def check_licence(stated: str, base: str | None, repo: str) -> None:
    """Refuse a licence or a name that the base's licence, if it is known here, does not allow.

    Raises:
        ConfigError: says what the base's licence wants.
    """
    if base is None or not is_known(base):
        return
    if problems := misfits(stated, licence(base), repo):
        raise ConfigError(
            "; ".join(problems),
            hint="change license or name in release.yaml; where the owner of the base gave you"
            " other terms in writing, waive NLA506",
        )


@cache
def known_citations() -> dict[str, Entry]:
    """The entries of `model_cards/citations.bib` by key."""
    return {entry.key: entry for entry in read_entries(read_text(TEMPLATES / "citations.bib"))}


def citations(keys: list[str]) -> list[str]:
    """The BibTeX entries of `model_cards/citations.bib` with these keys.

    Raises:
        ConfigError: there is no such entry; the known keys are named.
    """
    known = known_citations()
    if unknown := [key for key in keys if key not in known]:
        raise ConfigError(
            f"release.yaml cites {', '.join(unknown)}; known: {', '.join(known)}",
            hint="add the entry to model_cards/citations.bib",
        )
    return [known[key].source for key in keys]


def _stanzas() -> dict[str, Path]:
    return {path.stem: path for path in sorted(_LICENCES.glob("*.yaml"))}


def _text_if_there(path: Path) -> str | None:
    return read_text(path) if path.is_file() else None
