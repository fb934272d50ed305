"""Figures: the same picture, to the byte, from the same numbers, with words beside it."""

import io
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.image
import pytest

from nla_release.calibration.calibrate import calibrate
from nla_release.cards.figures import (
    cosine_distributions,
    cosine_distributions_alt,
    training_loss,
    training_loss_alt,
)
from nla_release.training_log import Step
from tests.builders import make_evidence

LOG = [Step(step=step, loss=3 - step / 100 + (step % 7) / 20, lr=0.001) for step in range(1, 200)]


def drawn(folder: Path, **evidence: Any) -> bytes:
    measured = make_evidence(folder / "evidence", **evidence)
    return cosine_distributions(measured, calibrate(measured))


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    assert training_loss("av", LOG) == training_loss("av", list(LOG))
    assert drawn(tmp_path / "one") == drawn(tmp_path / "two")


def test_the_users_own_style_changes_nothing() -> None:
    plain = training_loss("av", LOG)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        styled = training_loss("av", LOG)

    assert styled == plain


def test_other_numbers_give_another_picture(tmp_path: Path) -> None:
    assert training_loss("av", LOG) != training_loss("av", LOG[:-1])
    assert drawn(tmp_path / "one") != drawn(tmp_path / "two", seed=1)


def test_a_picture_says_nothing_of_who_drew_it_and_when(tmp_path: Path) -> None:
    for png in (training_loss("av", LOG), drawn(tmp_path)):
        assert png.startswith(b"\x89PNG")
        assert b"tEXt" not in png
        assert b"tIME" not in png


def test_pictures_are_twice_as_wide_as_a_readme_column(tmp_path: Path) -> None:
    for png in (training_loss("ar", LOG), drawn(tmp_path)):
        height, width, _ = matplotlib.image.imread(io.BytesIO(png)).shape
        assert width == 1350
        assert 500 <= height <= 800


@pytest.mark.parametrize(
    "evidence",
    [
        {"rows": 1, "documents": 1},
        {"rows": 6, "documents": 3, "failed": dict.fromkeys(range(6), "empty")},
        {"collapsed": True},
    ],
    ids=["one row", "nothing explained", "collapsed"],
)
def test_a_poor_pair_is_drawn_like_any_other(tmp_path: Path, evidence: dict[str, Any]) -> None:
    assert drawn(tmp_path, **evidence).startswith(b"\x89PNG")


def test_a_log_of_one_step_is_drawn() -> None:
    assert training_loss("av", LOG[:1]).startswith(b"\x89PNG")


def test_the_words_beside_a_picture_hold_its_numbers(tmp_path: Path) -> None:
    calibration = calibrate(make_evidence(tmp_path / "evidence"))
    words = cosine_distributions_alt(calibration)

    assert f"n = 40: mean {calibration.cosine.mean:.3f} for the row's own explanation" in words
    assert f"{calibration.controls['shuffled'].mean:.3f} for another row's explanation" in words
    assert f"{calibration.controls['predict_mean'].mean:.3f} for the mean training" in words
    assert training_loss_alt("av", LOG).startswith("Raw AV training loss over 199 logged steps")
    assert training_loss_alt("av", LOG).endswith("descending.")
