"""NLA5xx: the card, broken in one way each."""

from pathlib import Path

from nla_release.io.files import write_atomic
from nla_release.release.folder import ROLES
from tests.pairs.zoo import append_text, defect, edited_card, list_anew


@defect("NLA501", "dist")
def ar_as_text_generation(dist: Path) -> None:
    with edited_card(dist / "ar" / "README.md") as metadata:
        metadata["pipeline_tag"] = "text-generation"


@defect("NLA501", "dist")
def licence_of_spdx(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata["license"] = "gpl-2.0-or-later"


@defect("NLA501", "dist")
def licence_without_a_link(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata |= {"license": "other", "license_name": "mine"}


@defect("NLA501", "dist")
def licence_absent(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        del metadata["license"]


@defect("NLA501", "dist")
def card_of_a_local_base(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata["base_model"] = "./base"


@defect("NLA501", "dist")
def cosine_of_another_version(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metadata["model-index"][0]["results"][0]["metrics"][0]["value"] = 0.987654


@defect("NLA501", "dist")
def control_told_as_the_cosine(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metrics = metadata["model-index"][0]["results"][0]["metrics"]
        metrics[0]["value"], metrics[1]["value"] = metrics[1]["value"], metrics[0]["value"]


@defect("NLA501", "dist")
def no_metrics(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        del metadata["model-index"]


@defect("NLA501", "dist")
def metadata_not_yaml(dist: Path) -> None:
    path = dist / "av" / "README.md"
    path.write_text(path.read_text().replace("license: ", "license: [", 1))
    list_anew(dist / "av")


@defect("NLA501", "dist")
def metadata_absent(dist: Path) -> None:
    path = dist / "av" / "README.md"
    path.write_text(path.read_text().split("---\n", 2)[2])
    list_anew(dist / "av")


@defect("NLA502", "dist")
def number_edited_by_hand(dist: Path) -> None:
    path = dist / "av" / "README.md"
    begin = "<!-- nla-release:begin calibration -->\n"
    path.write_text(path.read_text().replace(begin, f"{begin}Cosine 0.999.\n"))
    list_anew(dist / "av")


@defect("NLA502", "dist")
def block_removed(dist: Path) -> None:
    path = dist / "av" / "README.md"
    before, rest = path.read_text().split("<!-- nla-release:begin label -->")
    path.write_text(before + rest.split("<!-- nla-release:end label -->")[1])
    list_anew(dist / "av")


@defect("NLA502", "dist")
def block_never_closed(dist: Path) -> None:
    path = dist / "av" / "README.md"
    path.write_text(path.read_text().replace("<!-- nla-release:end limitations -->", ""))
    list_anew(dist / "av")


@defect("NLA511", "dist")
def program_of_somebody_else(dist: Path) -> None:
    append_text(dist / "av" / "examples" / "round_trip.py", "\nos.system('true')\n")


@defect("NLA511", "dist")
def program_at_another_scale(dist: Path) -> None:
    path = dist / "ar" / "examples" / "round_trip.py"
    path.write_text(path.read_text().replace("INJECTION_SCALE = 3", "INJECTION_SCALE = 8"))
    list_anew(dist / "ar")


@defect("NLA511", "dist")
def program_in_one_repository_alone(dist: Path) -> None:
    (dist / "ar" / "examples" / "round_trip.py").unlink()
    list_anew(dist / "ar")


@defect("NLA503", "dist")
def stub_of_peft(dist: Path) -> None:
    append_text(dist / "av" / "README.md", "\n- **Developed by:** [More Information Needed]\n")


@defect("NLA503", "dist")
def results_pending(dist: Path) -> None:
    append_text(dist / "ar" / "RELEASE_CALIBRATION.md", "\nablation: running (results pending)\n")


@defect("NLA503", "dist")
def template_not_rendered(dist: Path) -> None:
    append_text(dist / "av" / "README.md", "\n{% if notes.distinctive %}\n")


@defect("NLA503", "dist")
def number_left_open(dist: Path) -> None:
    append_text(dist / "av" / "README.md", "\nRound-trip cosine on other texts: xx.x\n")


@defect("NLA503", "dist")
def name_left_open(dist: Path) -> None:
    append_text(dist / "ar" / "README.md", "\nDownload it as `your_username/nla-ar`.\n")


@defect("NLA503", "dist")
def note_to_oneself(dist: Path) -> None:
    append_text(dist / "ar" / "README.md", "\n| judged by people | TBD |\n")


@defect("NLA503", "dist")
def results_said_to_be_pending(dist: Path) -> None:
    append_text(dist / "av" / "README.md", "\n**Results:** pending\n")


@defect("NLA503", "dist")
def results_coming_soon(dist: Path) -> None:
    append_text(dist / "ar" / "README.md", "\nOther layers: coming soon!\n")


@defect("NLA503", "dist")
def percentage_left_open(dist: Path) -> None:
    append_text(dist / "av" / "README.md", "\nIt holds for XX% of all texts.\n")


@defect("NLA503", "dist")
def filler_text(dist: Path) -> None:
    append_text(dist / "av" / "RELEASE_CALIBRATION.md", "\nLorem ipsum dolor sit amet.\n")


def in_the_card(dist: Path, text: str, before: str = "## How to use") -> None:
    """Put text of a person's into a card, before one of its sections."""
    path = dist / "av" / "README.md"
    write_atomic(path, path.read_text().replace(before, f"{text}\n\n{before}", 1))
    list_anew(dist / "av")


@defect("NLA513", "dist")
def script_that_does_not_end(dist: Path) -> None:
    append_text(dist / "av" / "README.md", "\n<script>\n")


@defect("NLA513", "dist")
def sections_folded_away(dist: Path) -> None:
    in_the_card(dist, "<details><summary>More</summary>")
    append_text(dist / "av" / "README.md", "\n</details>\n")


@defect("NLA513", "dist")
def fence_that_does_not_end(dist: Path) -> None:
    append_text(dist / "ar" / "RELEASE_CALIBRATION.md", "\n~~~\nand more\n")


@defect("NLA513", "dist")
def link_definition(dist: Path) -> None:
    in_the_card(dist, "[evidence]: https://example.org/other")


@defect("NLA513", "dist")
def words_in_white(dist: Path) -> None:
    in_the_card(dist, r"It reads $\color{white}\text{not}$ what is there.")


@defect("NLA513", "dist")
def zero_width_space(dist: Path) -> None:
    in_the_card(dist, "It is go\u200bod.")


def edited(dist: Path, old: str, new: str) -> None:
    """Change a generated part of a card that is between no markers."""
    path = dist / "av" / "README.md"
    assert old in path.read_text()
    write_atomic(path, path.read_text().replace(old, new, 1))
    list_anew(dist / "av")


@defect("NLA514", "dist")
def snippet_that_runs_a_command(dist: Path) -> None:
    edited(dist, "hook.remove()\n", "hook.remove()\nimport os; os.system('id')\n")


@defect("NLA514", "dist")
def scale_of_another_base(dist: Path) -> None:
    edited(dist, "INJECTION_SCALE = 39.25", "INJECTION_SCALE = 80000.0")


@defect("NLA514", "dist")
def partner_of_somebody_else(dist: Path) -> None:
    edited(dist, "[someone/tiny-nla-L3-ar-v0_0_1](", "[somebody/other](")


@defect("NLA514", "dist")
def figure_swapped(dist: Path) -> None:
    figures = dist / "ar" / "figures"
    write_atomic(figures / "three_questions.png", (figures / "training_loss.png").read_bytes())
    list_anew(dist / "ar")


def told(dist: Path, text: str, name: str = "README.md", role: str = "av") -> None:
    """Add a paragraph of the author's to a document."""
    append_text(dist / role / name, f"\n{text}\n")


@defect("NLA507", "dist")
def first_of_all(dist: Path) -> None:
    told(dist, "This is the first non-Anthropic-team open-source NLA released publicly.")


@defect("NLA507", "dist")
def the_only_one(dist: Path) -> None:
    told(dist, "This pair is the only NLA that\nreads these activations, full stop.", role="ar")


@defect("NLA507", "dist")
def the_only_one_by_its_base(dist: Path) -> None:
    """A link to the base says nothing of who else reads it."""
    told(dist, "The only NLA that reads [the base](https://huggingface.co/someone/tiny).")


@defect("NLA507", "dist")
def state_of_the_art(dist: Path) -> None:
    told(dist, "Its explanations are state-of-the-art.", "RELEASE_CALIBRATION.md")


@defect("NLA507", "dist")
def better_than_all(dist: Path) -> None:
    told(dist, "| rank | |\n|---|---|\n| quality | outperforms every published pair |")


@defect("NLA507", "dist")
def largest_in_history(dist: Path) -> None:
    told(dist, "* The largest open NLA to date.", "HISTORY.md", "ar")


@defect("NLA508", "dist")
def cosine_of_another_pair(dist: Path) -> None:
    told(dist, "Round-trip cosine: **0.46**.")


@defect("NLA508", "dist")
def control_told_as_the_headline(dist: Path) -> None:
    told(dist, "The pair reaches a round-trip cosine of 0.703.")


@defect("NLA508", "dist")
def ceiling_told_as_the_headline(dist: Path) -> None:
    told(dist, "The pair reaches a round-trip cosine of 0.703, against 0.2 for the control.")


@defect("NLA508", "dist")
def number_between_markers_that_are_none(dist: Path) -> None:
    begin, end = (f"<!-- nla-release:{which} label --> " for which in ("begin", "end"))
    told(dist, f"{begin}\n\nThe round-trip cosine is 0.99.\n\n{end}")


@defect("NLA508", "dist")
def number_among_the_examples(dist: Path) -> None:
    path = dist / "av" / "README.md"
    told_there = "## Examples\n\nThe round-trip cosine is 0.99.\n"
    path.write_text(path.read_text().replace("## Examples\n", told_there))
    list_anew(dist / "av")


@defect("NLA507", "dist")
def claim_among_the_examples_again(dist: Path) -> None:
    told(dist, "Examples\n---\n\n> It is state of the art.")


@defect("NLA508", "dist")
def documents_told_as_failures(dist: Path) -> None:
    told(dist, "12 of 60 rows failed and were dropped.")


@defect("NLA508", "dist")
def number_in_fullwidth_digits(dist: Path) -> None:
    told(dist, "Round-trip cosine: \uff10.46.")


@defect("NLA508", "dist")
def deviation_of_another_version(dist: Path) -> None:
    told(dist, "Round-trip cosine 0.893 ± 0.054 over all rows.")


@defect("NLA508", "dist")
def fewer_rows_than_measured(dist: Path) -> None:
    told(dist, "All numbers are over n = 10 held-out activations.", "RELEASE_CALIBRATION.md", "ar")


@defect("NLA508", "dist")
def share_of_another_document(dist: Path) -> None:
    told(dist, "About 95% of the signal is structural.", role="ar")


@defect("NLA508", "dist")
def retrieval_in_a_table(dist: Path) -> None:
    told(dist, "| metric | value |\n|---|---|\n| top-1 | 0.4 |", "RELEASE_CALIBRATION.md")


@defect("NLA508", "dist")
def hits_of_another_run(dist: Path) -> None:
    told(dist, "It retrieves 4/10 activations, 2.8x chance.")


@defect("NLA508", "dist")
def number_in_a_picture(dist: Path) -> None:
    told(dist, "![Cosine 0.46 over all rows](figures/training_loss.png)")


@defect("NLA508", "dist")
def number_in_html(dist: Path) -> None:
    told(dist, '<p align="center">FVE 0.752</p>')


@defect("NLA508", "dist")
def failures_left_out(dist: Path) -> None:
    told(dist, "16% of the rows failed.")


@defect("NLA508", "dist")
def number_sourced_by_the_own_page(dist: Path) -> None:
    told(dist, "Cosine 0.46, see [the calibration](RELEASE_CALIBRATION.md).")


@defect("NLA502", "dist")
def block_of_the_calibrations_page_edited(dist: Path) -> None:
    path = dist / "av" / "RELEASE_CALIBRATION.md"
    path.write_text(
        path.read_text().replace(
            "| Centred cosine, own text | 0.8", "| Centred cosine, own text | 0.9"
        )
    )
    list_anew(dist / "av")


@defect("NLA508", "dist")
def history_of_another_measurement(dist: Path) -> None:
    told(dist, "* Added later: variance explained 72%.", "HISTORY.md")


@defect("NLA508", "dist")
def more_prose_than_anyone_reads(dist: Path) -> None:
    told(dist, "word " * 40_000)


@defect("NLA501", "dist")
def controls_left_out(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        del metadata["model-index"][0]["results"][0]["metrics"][1:]


@defect("NLA501", "dist")
def retrieval_told_under_another_name(dist: Path) -> None:
    with edited_card(dist / "av" / "README.md") as metadata:
        metrics = metadata["model-index"][0]["results"][0]["metrics"]
        metrics.append({"type": "cosine", "name": "Cosine", "value": metrics[-2]["value"]})


@defect("NLA505", "release")
def published_history_lost(folder: Path) -> None:
    (folder / "HISTORY.md").unlink()
    for role in ROLES:
        append_text(folder / "dist" / role / "HISTORY.md", "\n## v0.0.0, 2026-01-01\n\nBefore.\n")
