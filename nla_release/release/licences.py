"""Licences: the identifiers of the Hub, what each asks of a release, and one of your own.

Every verb that reads a licence asks this module, so that they all say the same of it. What a
licence asks of those who publish adapters of a base under it is written in its stanza,
`model_cards/licences/<id>.yaml`, from the text behind its link.
"""

import difflib
import re
from pathlib import Path

from pydantic import Field

from nla_release.errors import ConfigError, InputError
from nla_release.io.files import package_folder, read_text, read_yaml
from nla_release.io.layout import LICENCE_FILE, NOTICE_FILE
from nla_release.io.schema import Strict, parse

# The keys of release.yaml, and of a card's metadata, that state a licence.
LICENCE_KEYS = ("license", "license_name", "license_link")

# The Hub's id for a licence that has none; its name and link are then keys of their own.
OTHER = "other"

# From huggingface/hub-docs `docs/hub/repositories-licenses.md` at commit 242f4a1 (2026-08-22). SPDX
# spellings that are not in this list, such as `gpl-2.0-or-later`, are refused by the real Hub too.
_IDENTIFIERS = """
afl-3.0 agpl-3.0 apache-2.0 apple-amlr apple-ascl artistic-2.0 bigcode-openrail-m
bigscience-bloom-rail-1.0 bigscience-openrail-m bsd bsd-2-clause bsd-3-clause
bsd-3-clause-clear bsl-1.0 c-uda cc cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0
cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0
cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 cdla-permissive-1.0
cdla-permissive-2.0 cdla-sharing-1.0 creativeml-openrail-m deepfloyd-if-license ecl-2.0 epl-1.0
epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 fair-noncommercial-research-license gemma gfdl gpl gpl-2.0
gpl-3.0 grok2-community h-research intel-research isc lgpl lgpl-2.1 lgpl-3.0 lgpl-lr llama2
llama3 llama3.1 llama3.2 llama3.3 llama4 lppl-1.3c mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1
openmdw-1.0 openmdw-1.1 openrail openrail++ osl-3.0 other pddl postgresql unknown unlicense
wtfpl zlib
"""

LICENSES = frozenset(_IDENTIFIERS.split())

# On the Hub's list, and no licence that anything could be released under.
_NO_TERMS = ("unknown",)

_STANZAS = package_folder("model_cards") / "licences"


class Licence(Strict):
    """A licence by its Hub id; `notice` is what it asks a distributor to say.

    `passes_on` names the clause by which an adapter of a base under this licence stands under it
    too, `name_begins` what the clause wants the adapter's name to begin with, and `notice_file` the
    text it wants in a file NOTICE. `commercial` is whether commercial use is allowed.
    """

    id: str
    name: str
    link: str = Field(pattern="^(https://.+|LICENSE)$")
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


def licence_problem(identifier: str, name: str | None, link: str | None) -> str | None:
    """Why nothing can be released under a licence, with what to write instead; None if it can.

    Args:
        identifier: `license` of release.yaml.
        name: `license_name`, for `other`.
        link: `license_link`, an https address or a file of the release's folder.
    """
    if identifier not in LICENSES or identifier in _NO_TERMS:
        return f"{identifier!r} is not an identifier of the Hub; {instead_of(identifier)}"
    if identifier == OTHER and not (name and link):
        missing = [key for key, value in (("name", name), ("link", link)) if not value]
        keys = " and ".join(f"license_{key}" for key in missing)
        return f"other needs {keys}: what the licence is called, and its https address or its file"
    if identifier != OTHER and name:
        return f"license_name goes with `license: other`; {identifier} has its own name"
    if is_known(identifier) and link:
        return f"license_link is not needed: the terms of {identifier} come with this package"
    if not is_known(identifier) and not link:
        return (
            f"the text of {identifier} does not come with this package; add license_link, its"
            " https address or a file with its text"
        )
    if link and "://" in link and not re.fullmatch(r"https://[^\s<>()\"\\]+", link):
        return f"license_link {link!r} is not an https address"
    return None


def licence(identifier: str) -> Licence:
    """The licence of a Hub id whose terms come with this package.

    Raises:
        ConfigError: they do not; the known ones are named.
    """
    known = _stanzas()
    if identifier not in known:
        raise ConfigError(
            f"the terms of license {identifier!r} do not come with this package; known:"
            f" {', '.join(known)}",
            hint="give license_link in release.yaml: its https address or a file with its text",
        )
    path = known[identifier]
    text = path.with_suffix(".txt")
    document = {"id": identifier, "text": _text_if_there(text), **read_yaml(path)}
    return parse(Licence, document, path)


def stated_licence(identifier: str, name: str | None, link: str | None, folder: Path) -> Licence:
    """The licence that a release.yaml without a `licence_problem` states.

    Args:
        identifier: `license`.
        name: `license_name`.
        link: `license_link`; a file is read in `folder`, and becomes the release's LICENSE.
        folder: of release.yaml.

    Raises:
        InputError: the file is missing, empty or not text, or a symbolic link.
    """
    if is_known(identifier) or link is None:
        return licence(identifier)
    text = None
    if "://" not in link:
        path = folder / link
        if path.is_symlink():
            raise InputError(
                f"{path} is a symbolic link, which is not followed",
                hint="put a copy of the licence's text in its place",
            )
        if not (text := read_text(path)).strip():
            raise InputError(f"{path} is empty", hint="put the licence's text there")
        link = LICENCE_FILE
    return Licence(id=identifier, name=name or identifier, link=link, notice=None, text=text)


def is_known(identifier: str) -> bool:
    """Whether the terms of a licence come with this package."""
    return identifier in _stanzas()


def licence_files(known: Licence) -> dict[str, str]:
    """The files that a licence asks for, by name: LICENSE, and NOTICE where it wants one.

    LICENSE is the full text when we have it, otherwise name, address and notice.
    """
    named = "\n\n".join(part for part in (known.name, known.link, known.notice) if part) + "\n"
    files = {LICENCE_FILE: known.text or named}
    if known.notice_file:
        files[NOTICE_FILE] = known.notice_file.strip() + "\n"
    return files


def misfits(stated: str, base_licence: str | None, repo: str) -> list[str]:
    """What the licence of a base has against an adapter under another, or under its name.

    Args:
        stated: the Hub id of the adapter's licence, known here or not. What `other` says, only its
            reader can hold against the base's.
        base_licence: the Hub id of the base's licence; one that is not known here allows anything.
        repo: the adapter's repository, as namespace/name.
    """
    if stated == OTHER or base_licence is None or not is_known(base_licence):
        return []
    base, problems = licence(base_licence), []
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


def instead_of(identifier: str) -> str:
    """What somebody who wrote this may have meant: SPDX differs in case and in suffixes."""
    plain = re.sub(r"[\s_]+", "-", identifier.strip().casefold())
    named = re.sub(r"^the-|-licen[cs]e\b", "", plain)
    numbered = re.sub(r"[-v]*(\d[\d.]*)$", r"-\1", named)  # gplv3, apache2
    without = re.sub(r"-(only|or-later)$", "", plain)
    for spelling in (plain, without, f"{plain}.0", named, numbered, f"{numbered}.0"):
        if spelling in LICENSES - {*_NO_TERMS}:
            return f"did you mean {spelling}?"
    if near := difflib.get_close_matches(plain, LICENSES - {*_NO_TERMS}, n=1, cutoff=0.7):
        return f"did you mean {near[0]}?"
    return f"for a licence that the Hub does not list write {OTHER}, license_name and license_link"


def _stanzas() -> dict[str, Path]:
    return {path.stem: path for path in sorted(_STANZAS.glob("*.yaml"))}


def _text_if_there(path: Path) -> str | None:
    return read_text(path) if path.is_file() else None
