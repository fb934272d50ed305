"""The figure shows differences to scale, and says them in words."""

import re
import xml.etree.ElementTree as ET

import pytest

from nla_release.calibration.blocks import Control
from nla_release.report.figure import controls_alt, controls_figure


def control(difference, interval):
    return Control(mean=0.1, difference=difference, interval=interval, n=40, failed=0)


def drawn(controls):
    return ET.fromstring(controls_figure(controls))


def test_dots_stand_in_the_order_of_their_values():
    figure = drawn({"empty": control(0.3, (0.2, 0.4)), "shuffled": control(-0.1, (-0.2, 0.05))})
    first, second = (float(dot.get("cx")) for dot in figure.iter("circle"))
    zero = next(float(it.get("x1")) for it in figure.iter("line") if it.get("class") == "zero")

    assert second < zero < first


def test_whiskers_end_at_the_interval():
    figure = drawn({"empty": control(0.5, (0, 1))})
    (path,) = figure.iter("path")
    low, high = map(float, re.match(r"M([\d.]+) [\d.]+H([\d.]+)", path.get("d")).groups())
    (dot,) = figure.iter("circle")

    assert float(dot.get("cx")) == pytest.approx((low + high) / 2, abs=0.1)


def test_without_an_interval_there_are_no_whiskers_and_the_words_say_so():
    controls = {"empty": control(0.3, None)}

    assert not list(drawn(controls).iter("path"))
    assert (
        controls_alt(controls)
        == "Real minus control with 95% interval: the empty explanation +0.300 (-)."
    )


@pytest.mark.parametrize("value", [0.0, 1e-6, -1.0, 1.0, 2.0])
def test_everything_stays_inside_of_the_picture(value):
    figure = drawn({"predict_mean": control(value, (value, value))})
    width = float(figure.get("viewBox").split()[2])

    assert all(0 <= float(dot.get("cx")) <= width for dot in figure.iter("circle"))


def test_no_control_is_an_empty_picture():
    assert not list(drawn({}).iter("circle"))
