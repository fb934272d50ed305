"""The loss of a training."""

import numpy as np
from matplotlib.figure import Figure

from nla_release.adapter.training_log import Step, judge
from nla_release.cards.figures.plot import BLUE, VERMILION, Plot, canvas
from nla_release.contract.sidecar import Role
from nla_release.text.numbers import count, number, signed


def training_loss(role: Role, log: list[Step], run: str = "") -> Plot:
    """Raw loss per step, its least-squares line, and the verdict.

    Args:
        role: the adapter's.
        log: its training log, which is of one run.
        run: which run that is, such as `run 2 of 2`; empty when there was only one.
    """
    verdict = judge(log)
    of_run = f" of {run}" if run else ""
    alt = (
        f"Raw {role.upper()} training loss{of_run} over {count(len(log), 'logged step')}, from"
        f" {number(log[0].loss)} to {number(log[-1].loss)}, with its least-squares line:"
        f" {signed(verdict.slope)} per step, R² {number(verdict.r2)}, {verdict.name}."
    )
    rows = [(each.step, each.loss, verdict.intercept + verdict.slope * each.step) for each in log]
    return Plot(
        "training_loss",
        alt,
        ("step", "loss", "line"),
        [(step, loss, round(line, 6)) for step, loss, line in rows],
        lambda: _drawn(role, log, of_run),
    )


def _drawn(role: Role, log: list[Step], of_run: str) -> Figure:
    verdict = judge(log)
    steps = np.array([step.step for step in log])
    figure, axes = canvas(3.6)
    axes.plot(
        steps, [step.loss for step in log], ".", color=BLUE, markersize=5, alpha=0.6,
        label="loss of a step",
    )  # fmt: skip
    axes.plot(
        steps, verdict.intercept + verdict.slope * steps, color=VERMILION, linewidth=2,
        label="least-squares line",
    )  # fmt: skip
    axes.set_title(
        f"{role.upper()} training: {verdict.name} ({signed(verdict.slope)} per step,"
        f" R² {number(verdict.r2)})"
    )
    axes.set_xlabel(f"optimizer step{of_run}")
    axes.set_ylabel("raw loss")
    axes.legend(frameon=False)
    return figure
