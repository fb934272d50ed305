"""NLA5xx: the card, broken in one way each."""

from pathlib import Path

import safetensors.numpy

from tests.pairs.zoo import WEIGHTS, append_text, defect, edited_card, list_anew


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


@defect("NLA503", "dist")
def stub_of_peft(dist: Path) -> None:
    append_text(dist / "av" / "README.md", "\n- **Developed by:** [More Information Needed]\n")


@defect("NLA503", "dist")
def results_pending(dist: Path) -> None:
    append_text(dist / "ar" / "RELEASE_CALIBRATION.md", "\nablation: running (results pending)\n")


@defect("NLA504", "dist")
def windows_path_told(dist: Path) -> None:
    append_text(dist / "av" / "figures" / "_stats.json", '{"out": "C:\\\\Users\\\\me\\\\nla"}\n')


@defect("NLA504", "pair")
def home_told(pair: Path) -> None:
    (pair / "av" / "notes.md").write_text("trained in /home/me/nla\n")


@defect("NLA504", "pair")
def bucket_told(pair: Path) -> None:
    (pair / "ar" / "notes.md").write_text("data from s3://mine/rows\n")


@defect("NLA504", "pair")
def token_told(pair: Path) -> None:
    (pair / "av" / "env").write_text("HF_TOKEN=hf_" + "aB3" * 12 + "\n")


@defect("NLA504", "pair")
def path_told_in_a_header(pair: Path) -> None:
    path = pair / "av" / WEIGHTS
    tensors = safetensors.numpy.load_file(path)
    safetensors.numpy.save_file(tensors, path, metadata={"from": "/home/ann/runs/7"})


@defect("NLA505", "release")
def history_rewritten(folder: Path) -> None:
    path = folder / "HISTORY.md"
    path.write_text(path.read_text().replace("Append-only", "append-only"))


@defect("NLA505", "dist")
def version_without_an_entry(dist: Path) -> None:
    path = dist / "ar" / "HISTORY.md"
    path.write_text(path.read_text().replace("## v0.0.1,", "## v0.0.0,"))
    list_anew(dist / "ar")
