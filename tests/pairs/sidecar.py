"""NLA1xx: the sidecar, and the waivers, broken in one way each."""

import shutil
from pathlib import Path

from nla_release.cards.render import render
from nla_release.release.folder import ROLES, read_release
from tests.builders_pair import AR_TEMPLATE, AV_TEMPLATE
from tests.pairs.zoo import (
    CONFIG,
    SIDECAR,
    defect,
    edited_json,
    in_both_sidecars,
    in_sidecar,
    waived,
)


@defect("NLA101", "pair")
def sidecar_absent(pair: Path) -> None:
    (pair / "av" / SIDECAR).unlink()


@defect("NLA101", "release")
def adapter_never_trained(folder: Path) -> None:
    shutil.rmtree(folder / "pair" / "ar")


@defect("NLA101", "pair")
def scale_missing(pair: Path) -> None:
    in_sidecar(pair, "av", ["extraction", "injection_scale"], ...)


@defect("NLA101", "pair")
def two_scales(pair: Path) -> None:
    in_sidecar(pair, "av", ["nla_release", "injection", "scale"], 20000.0)


@defect("NLA101", "pair")
def head_of_another_depth(pair: Path) -> None:
    in_sidecar(pair, "ar", ["nla_release", "ar_head", "blocks"], 7)


@defect("NLA101", "pair")
def roles_swapped(pair: Path) -> None:
    av, ar = (pair / role / SIDECAR for role in ROLES)
    text = av.read_text()
    av.write_text(ar.read_text())
    ar.write_text(text)


@defect("NLA101", "pair")
def sidecar_not_yaml(pair: Path) -> None:
    (pair / "av" / SIDECAR).write_text("kind: [nla_model\n")


@defect("NLA101", "pair")
def sidecar_of_a_tag_without_its_kind(pair: Path) -> None:
    (pair / "av" / SIDECAR).write_text("a: !!bool x\nb: !!timestamp y\n")


@defect("NLA102", "pair")
def scale_of_another_base(pair: Path) -> None:
    in_sidecar(pair, "av", ["extraction", "injection_scale"], 80000.0)
    in_sidecar(pair, "av", ["nla_release", "injection", "scale"], 80000.0)


@defect("NLA102", "pair")
def evaluated_at_another_scale(pair: Path) -> None:
    in_sidecar(pair, "av", ["nla_release", "norms", "scale_evaluated"], 39.19)


@defect("NLA102", "pair")
def scale_of_the_activations(pair: Path) -> None:
    """The reference's way: a bit above the mean norm of the activations. A warning."""
    in_sidecar(pair, "av", ["nla_release", "norms", "activation_mean"], 125.0)
    in_sidecar(pair, "av", ["extraction", "injection_scale"], 150.0)
    in_sidecar(pair, "av", ["nla_release", "injection", "scale"], 150.0)


@defect("NLA103", "pair")
def base_is_a_local_path(pair: Path) -> None:
    in_both_sidecars(pair, ["nla_release", "base", "id"], "./base")
    for role in ROLES:
        with edited_json(pair / role / CONFIG) as config:
            config["base_model_name_or_path"] = "./base"


@defect("NLA103", "pair")
def base_of_the_config_differs(pair: Path) -> None:
    with edited_json(pair / "av" / CONFIG) as config:
        config["base_model_name_or_path"] = "../base"


@defect("NLA103", "pair")
def base_on_a_branch(pair: Path) -> None:
    in_both_sidecars(pair, ["nla_release", "base", "revision"], "main")


@defect("NLA104", "release")
def waiver_expired(folder: Path) -> None:
    waived(folder, "NLA604", until="2001-01-01")


@defect("NLA104", "release")
def waiver_without_an_end_in_sight(folder: Path) -> None:
    waived(folder, "NLA604", until="9999-12-31")
    render(read_release(folder), "0.0.1")


@defect("NLA104", "release")
def waiver_of_no_rule(folder: Path) -> None:
    waived(folder, "NLA999")


@defect("NLA104", "release")
def waiver_of_the_sidecar(folder: Path) -> None:
    waived(folder, "NLA101")


@defect("NLA104", "release")
def waiver_not_on_the_card(folder: Path) -> None:
    waived(folder, "NLA604")


@defect("NLA101", "pair")
def width_in_quotes(pair: Path) -> None:
    in_both_sidecars(pair, ["d_model"], "64")


@defect("NLA101", "pair")
def layer_said_yes(pair: Path) -> None:
    path = pair / "av" / SIDECAR
    path.write_text(
        path.read_text().replace("extraction_layer_index: 3", "extraction_layer_index: yes")
    )


@defect("NLA101", "pair")
def width_of_three_hundred_digits(pair: Path) -> None:
    in_both_sidecars(pair, ["d_model"], 10**309)


@defect("NLA101", "pair")
def nested_ten_thousand_deep(pair: Path) -> None:
    path = pair / "av" / SIDECAR
    path.write_text(path.read_text() + "x: " + "[" * 10_000)


@defect("NLA103", "pair")
def base_at_a_date(pair: Path) -> None:
    in_both_sidecars(pair, ["nla_release", "base", "revision"], "20240101")


@defect("NLA108", "pair")
def line_break_as_two_characters(pair: Path) -> None:
    in_both_sidecars(pair, ["prompt_templates", "av"], AV_TEMPLATE + "\\n")


@defect("NLA108", "pair")
def accent_as_six_characters(pair: Path) -> None:
    in_both_sidecars(pair, ["prompt_templates", "ar"], "caf\\u00e9 " + AR_TEMPLATE)
