"""NLA506 and NLA509: licence and citations."""

from collections.abc import Iterator

from nla_release.cards.method import known_citations
from nla_release.gate.adapter_folder import AdapterFolder, read_file, reading
from nla_release.gate.findings import Problem, UnreadableError
from nla_release.gate.model import RENDERED, REPOSITORIES, rule
from nla_release.gate.subject import Subject
from nla_release.hub_client.card_metadata import check_card
from nla_release.io.files import read_text
from nla_release.io.layout import BASE_FILE, CARD_FILE, LICENCE_FILE
from nla_release.release.licences import OTHER, is_known, licence, licence_files, misfits
from nla_release.text.bibtex import BibtexEntry, read_entries, same_words

_CITING = (CARD_FILE, "RELEASE_CALIBRATION.md")

# Fields that tell one published work from all others.
_IDENTIFY = ("doi", "eprint", "title", "url")


@rule(
    "NLA506",
    "error",
    "the licence is complete and compatible with the base's licence",
    each=REPOSITORIES,
)
def licence_fits(adapter: AdapterFolder) -> Iterator[Problem]:
    """The card's licence against the base's, then against the files that it asks for.

    Checks: The card's licence is `other` or one whose terms this tool knows. A licence that only
        the Hub knows is a warning, as is `other` over a base whose licence restricts its adapters:
        a person has to read it. If the base's licence extends to adapters (Gemma, Llama,
        ShareAlike), the licence is the base's own. It allows no commercial use if the base's does
        not. The name begins with Llama if the base's licence requires it. LICENSE, and NOTICE if
        the licence requires one, hold the required text, and the card shows the notice. The base's
        licence is read from base.json; a missing or unknown one is a warning.
    Why: SolshineCode/nla-gemma-4-e2b releases under CC-BY-4.0 and tells readers to accept the Gemma
        licence, although its base, Gemma 4, is Apache-2.0 and only Gemma 3 is not; ceselder
        published `license: other` without a LICENSE; and kitft/natural_language_autoencoders ships
        LICENSE, NOTICE and use policy with each pair because the bases ask for them.
    Fix: Set `license:` in release.yaml to one that the base allows and run `nla-release render`,
        which writes the files and the notice. For a licence that the Hub does not list, write
        `license: other` with `license_name` and `license_link`: an https address, or a file next to
        release.yaml whose text becomes LICENSE. Full licence texts that do not travel with this
        package stay with their publisher, linked from LICENSE.
    Example: license is cc-by-4.0, expected gemma: the base's goes with its adapters
    Waive: If the owner of the base gave you other terms in writing.
    """
    path, card = adapter.folder / CARD_FILE, adapter.text(CARD_FILE)
    report = check_card(card)
    stated = report.metadata.get("license")
    if report.errors or stated is None:
        raise UnreadableError("NLA501", path, "has no licence that the Hub knows")
    if not isinstance(stated, str):
        yield Problem(path, f"states {len(stated)} licences, expected one")
        return
    yield from _against_base(adapter, stated)
    if is_known(stated):
        yield from _as_required(adapter, stated, card)
        return
    if stated != OTHER:
        yield Problem(path, f"license is {stated}, whose terms this tool does not know", "warning")
    if not _file(adapter, LICENCE_FILE).strip():
        yield Problem(adapter.folder / LICENCE_FILE, f"is empty, although license is {stated}")


@rule("NLA509", "error", "citations match the published entries", each=RENDERED)
def citations_as_published(subject: Subject) -> Iterator[Problem]:
    """Every entry that is a known one, field by field, and those that are not there.

    Checks: A BibTeX entry in README.md or RELEASE_CALIBRATION.md with the key, title, address, DOI
        or eprint of an entry in model_cards/citations.bib also has its other fields. Case, spaces
        and punctuation do not count. README.md has every entry that release.yaml cites.
    Why: The cards of SolshineCode/nla-gemma-4-e2b cite the method under a wrong title and name two
        of its authors Kshitij Kantamneni and Antonia Ong; they are Subhash Kantamneni and Euan Ong.
        Everyone who copies the entry copies the mistake.
    Fix: Name the key under `citations:` in release.yaml and run `nla-release render`. Entries come
        from citations.bib; add a new entry there once and check it.
    Example: author of frasertaliente2026nla is 'Fraser-Taliente, Kit and Kantamneni, Kshitij',
        published 'Fraser-Taliente, Kit and Kantamneni, Subhash'
    Waive: Never: if citations.bib is wrong, correct it.
    """
    asked = subject.release.config.citations if subject.release else []
    for adapter in subject.rendered:
        for name in _CITING:
            path, text = adapter.folder / name, adapter.text(name)
            with reading(path, "NLA509"):
                entries = read_entries(text)
            for entry in entries:
                for message in _differences(entry):
                    yield Problem(path, message)
            cited = {entry.key for entry in entries}
            for key in asked if name == CARD_FILE else ():
                if key not in cited:
                    yield Problem(path, f"does not cite {key}, which release.yaml names")


def _against_base(adapter: AdapterFolder, stated: str) -> Iterator[Problem]:
    """The adapter's licence against the base's, if that is known."""
    path, base = adapter.folder / BASE_FILE, adapter.base_facts.license
    if base is None:
        yield Problem(
            path, "records no licence of the base, so compatibility is not checked", "warning"
        )
    elif not is_known(base):
        yield Problem(path, f"the base's licence {base} is not known to this tool", "warning")
    elif stated == OTHER and licence(base).restricts:
        message = f"license is other: check that the base's {base} ({licence(base).link}) allows it"
        yield Problem(adapter.folder / CARD_FILE, message, "warning")
    else:
        for message in misfits(stated, base, adapter.manifest.repo):
            yield Problem(adapter.folder / CARD_FILE, message)


def _as_required(adapter: AdapterFolder, stated: str, card: str) -> Iterator[Problem]:
    """The files and the notice that a known licence requires."""
    for name, expected in licence_files(licence(stated)).items():
        if _file(adapter, name) != expected:
            yield Problem(
                adapter.folder / name, f"is not the text that the licence {stated} requires"
            )
    notice = licence(stated).notice
    if notice and " ".join(notice.split()) not in " ".join(card.split()):
        yield Problem(
            adapter.folder / CARD_FILE,
            f"does not show the notice that the licence {stated} requires: {notice}",
        )


def _file(adapter: AdapterFolder, name: str) -> str:
    """A file that a licence requires; NLA506 itself reports that it is missing or not text."""
    return read_file(adapter.folder / name, "NLA506", read_text)


def _differences(entry: BibtexEntry) -> Iterator[str]:
    """How an entry of a known work differs from the published one."""
    for known in known_citations().values():
        if entry.key == known.key or any(_same(entry, known, field) for field in _IDENTIFY):
            for field, value in known.fields.items():
                if field not in entry.fields:
                    yield f"{entry.key} lacks the {field} {value!r}"
                elif not same_words(entry.fields[field], value):
                    yield f"{field} of {entry.key} is {entry.fields[field]!r}, published {value!r}"


def _same(one: BibtexEntry, other: BibtexEntry, field: str) -> bool:
    values = one.fields.get(field), other.fields.get(field)
    return values[0] is not None and values[1] is not None and same_words(values[0], values[1])
