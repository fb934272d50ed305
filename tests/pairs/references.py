"""NLA506 and NLA509: licence and citations, broken in one way each."""

from pathlib import Path

from nla_release.io.files import write_atomic
from nla_release.release.folder import ROLES
from nla_release.release.licences import licence, licence_files
from tests.pairs.zoo import append_text, defect, edited_card, edited_json, list_anew

METHOD = "@article{frasertaliente2026nla,"
TITLE = "Natural Language Autoencoders Produce Unsupervised Explanations of {LLM} Activations"
AUTHORS = "Fraser-Taliente, Kit and Kantamneni, Subhash and Ong, Euan and others"


@defect("NLA506", "dist")
def licence_of_the_base_dropped(dist: Path) -> None:
    base_under(dist, "gemma")


@defect("NLA506", "dist")
def base_for_research_only(dist: Path) -> None:
    base_under(dist, "cc-by-nc-4.0")


@defect("NLA506", "dist")
def base_without_a_licence(dist: Path) -> None:
    base_under(dist, None)


@defect("NLA506", "dist")
def base_under_terms_not_known_here(dist: Path) -> None:
    base_under(dist, "other")


@defect("NLA506", "dist")
def licence_not_known_here(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata["license"] = "agpl-3.0"


@defect("NLA506", "dist")
def licence_of_its_own_over_a_base_that_restricts(dist: Path) -> None:
    base_under(dist, "llama3")
    for role in ROLES:
        write_atomic(dist / role / "LICENSE", "Do with it what you like.\n")
        with edited_card(dist / role / "README.md") as metadata:
            metadata |= {"license": "other", "license_name": "mine", "license_link": "LICENSE"}


@defect("NLA506", "dist")
def two_licences(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata["license"] = ["apache-2.0", "cc-by-4.0"]


@defect("NLA506", "dist")
def licence_file_of_another(dist: Path) -> None:
    write_atomic(dist / "ar" / "LICENSE", licence_files(licence("cc-by-4.0"))["LICENSE"])
    list_anew(dist / "ar")


@defect("NLA506", "dist")
def licence_file_never_rendered(dist: Path) -> None:
    (dist / "av" / "LICENSE").unlink()
    list_anew(dist / "av")


@defect("NLA506", "dist")
def other_licence_without_its_text(dist: Path) -> None:
    write_atomic(dist / "av" / "LICENSE", "\n")
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata |= {"license": "other", "license_name": "mine", "license_link": "LICENSE"}


@defect("NLA506", "dist")
def notice_not_in_its_file(dist: Path) -> None:
    all_under(dist, "gemma")
    (dist / "av" / "NOTICE").unlink()
    list_anew(dist / "av")


@defect("NLA506", "dist")
def notice_not_on_the_card(dist: Path) -> None:
    all_under(dist, "gemma")
    path = dist / "ar" / "README.md"
    path.write_text(path.read_text().replace(licence("gemma").notice or "", ""))
    list_anew(dist / "ar")


@defect("NLA506", "dist")
def llama_not_in_the_name(dist: Path) -> None:
    all_under(dist, "llama3.3")


@defect("NLA509", "dist")
def authors_misnamed(dist: Path) -> None:
    """As the cards of the first release had it."""
    in_readme(dist, AUTHORS, AUTHORS.replace("Subhash", "Kshitij").replace("Euan", "Antonia"))


@defect("NLA509", "dist")
def title_cut_short(dist: Path) -> None:
    in_readme(dist, TITLE, "Natural Language Autoencoders")


@defect("NLA509", "dist")
def address_left_out(dist: Path) -> None:
    in_readme(dist, "  url = {https://transformer-circuits.pub/2026/nla/}\n", "")


@defect("NLA509", "dist")
def authors_misnamed_under_another_key(dist: Path) -> None:
    entry = f"@misc{{nla, title = {{{TITLE}}}, author = {{Nobody, No}}, year = {{2026}}}}"
    append_text(dist / "ar" / "RELEASE_CALIBRATION.md", f"\n```bibtex\n{entry}\n```\n")


@defect("NLA509", "dist")
def entry_never_closed(dist: Path) -> None:
    append_text(dist / "ar" / "RELEASE_CALIBRATION.md", "\n@misc{nla, title = {\n")


@defect("NLA509", "release")
def citation_lost(folder: Path) -> None:
    in_readme(folder / "dist", METHOD, "@article{nla2026,")
    for before in (TITLE, AUTHORS, "https://transformer-circuits.pub/2026/nla/"):
        in_readme(folder / "dist", before, "Something else")


def base_under(dist: Path, identifier: str | None) -> None:
    """Let the base of both repositories have another licence."""
    for role in ROLES:
        with edited_json(dist / role / "base.json") as facts:
            facts["license"] = identifier
        list_anew(dist / role)


def all_under(dist: Path, identifier: str) -> None:
    """Let base and adapters have another licence, with all that it asks for but a name."""
    base_under(dist, identifier)
    for role in ROLES:
        for name, text in licence_files(licence(identifier)).items():
            write_atomic(dist / role / name, text)
        append_text(dist / role / "README.md", f"\n{licence(identifier).notice}\n")
        with edited_card(dist / role / "README.md") as metadata:
            metadata["license"] = identifier


def in_readme(dist: Path, before: str, after: str) -> None:
    """Put one text for another on the AV's card."""
    path = dist / "av" / "README.md"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    list_anew(dist / "av")
