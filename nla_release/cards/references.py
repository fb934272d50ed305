"""What a release stands on and under: citations by key, and its licence."""

import re
from pathlib import Path

from pydantic import Field

from nla_release.cards.environment import TEMPLATES
from nla_release.errors import ConfigError
from nla_release.files import read_text, read_yaml
from nla_release.schema import Strict, parse

_LICENCES = TEMPLATES / "licences"
_ENTRY = re.compile(r"^@\w+\{(?P<key>[^,\s]+),.*?^\}$", re.DOTALL | re.MULTILINE)


class Licence(Strict):
    """A licence by its Hub id; `notice` is what it asks a distributor to say."""

    id: str
    name: str
    link: str = Field(pattern="^https://")
    notice: str | None
    text: str | None


def licence(identifier: str) -> Licence:
    """The licence of a Hub id, with its full text when it travels with us.

    Raises:
        ConfigError: no stanza is known for it; the known ones are named.
    """
    known = {path.stem: path for path in sorted(_LICENCES.glob("*.yaml"))}
    if identifier not in known:
        raise ConfigError(
            f"license {identifier!r} in release.yaml has no stanza here; known: {', '.join(known)}",
            hint=f"add {identifier}.yaml to model_cards/licences",
        )
    path = known[identifier]
    text = path.with_suffix(".txt")
    document = {"id": identifier, "text": _text_if_there(text), **read_yaml(path)}
    return parse(Licence, document, path)


def licence_file(identifier: str) -> str:
    """The file LICENSE: the full text when we have it, otherwise name, address and notice.

    Raises:
        ConfigError: no stanza is known for the licence.
    """
    known = licence(identifier)
    if known.text is not None:
        return known.text
    return "\n\n".join(part for part in (known.name, known.link, known.notice) if part) + "\n"


def citations(keys: list[str]) -> list[str]:
    """The BibTeX entries of `model_cards/citations.bib` with these keys.

    Raises:
        ConfigError: there is no such entry; the known keys are named.
    """
    known = {
        entry["key"]: entry[0] for entry in _ENTRY.finditer(read_text(TEMPLATES / "citations.bib"))
    }
    if unknown := [key for key in keys if key not in known]:
        raise ConfigError(
            f"release.yaml cites {', '.join(unknown)}; known: {', '.join(known)}",
            hint="add the entry to model_cards/citations.bib",
        )
    return [known[key] for key in keys]


def _text_if_there(path: Path) -> str | None:
    return read_text(path) if path.is_file() else None
