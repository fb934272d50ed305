"""The optimisation: what a step is, and what stops it."""

from types import SimpleNamespace

import pytest
import torch

from nla_release.adapter.training_log import Tripwire, dump_log
from nla_release.errors import EnvironmentProblem, NlaReleaseError
from nla_release.training import loop
from nla_release.training import optimizer as optimizers
from nla_release.training.loop import fit
from tests.train.toys import Line, settings


def losses(fit_result):
    return [step.loss for step in fit_result.steps]


def test_every_row_is_seen_once_before_any_is_seen_twice():
    line = Line(rows=6)
    fit("x", line.parameters, line, settings(steps=3))

    assert sorted(line.seen[:6]) == list(range(6))
    assert sorted(line.seen[6:]) == list(range(6))


@pytest.mark.parametrize(("micro_batch", "accumulation"), [(4, 1), (1, 4), (3, 1), (1, 3)])
def test_how_a_step_is_cut_into_micro_batches_does_not_change_what_it_learns(
    micro_batch, accumulation
):
    """Rows of unlike length too: a step has one mean, and not a mean of means."""
    size = micro_batch * accumulation
    whole, cut = Line(), Line()
    one = fit("x", whole.parameters, whole, settings(micro_batch=size, gradient_accumulation=1))
    other = fit(
        "x",
        cut.parameters,
        cut,
        settings(micro_batch=micro_batch, gradient_accumulation=accumulation),
    )

    assert losses(one) == pytest.approx(losses(other), rel=1e-5)
    assert torch.allclose(whole.weights, cut.weights, atol=1e-5)


def test_the_loss_of_a_step_is_the_mean_over_its_weight():
    line = Line(rows=4)
    done = fit("x", line.parameters, line, settings(steps=1))
    counts = torch.arange(1.0, 5.0)

    assert done.steps[0].loss == pytest.approx(
        float((line.y.square() * counts).sum() / counts.sum()), rel=1e-5
    )


def test_the_same_seed_gives_the_same_run_and_another_seed_another():
    runs = []
    for seed in (1, 1, 2):
        line = Line(dropout=0.5)
        runs.append(dump_log(fit("x", line.parameters, line, settings(seed=seed)).steps))

    assert runs[0] == runs[1] != runs[2]


def test_random_numbers_used_elsewhere_do_not_change_a_run():
    """Otherwise a tripwire that samples, or an earlier training, would change the next step."""
    runs = []
    for _ in range(2):
        line = Line(dropout=0.5)
        runs.append(losses(fit("x", line.parameters, line, settings())))
        torch.rand(7)

    assert runs[0] == runs[1]


def test_the_learning_rate_follows_the_schedule():
    line = Line()
    linear = fit("x", line.parameters, line, settings(steps=4)).steps
    constant = fit("x", line.parameters, line, settings(steps=2, schedule="constant")).steps

    assert [step.lr for step in linear] == pytest.approx([0.1, 0.075, 0.05, 0.025])
    assert [step.lr for step in constant] == [0.1, 0.1]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_with_step_rows_and_what_to_look_at(value):
    class Broken(Line):
        def loss(self, rows, draw):
            return super().loss(rows, draw) * (value if 3 in rows else 1.0)

    line = Broken(rows=4)
    with pytest.raises(NlaReleaseError, match=r"x: loss is (nan|inf) at step 1, on rows \[") as it:
        fit("x", line.parameters, line, settings(micro_batch=1, gradient_accumulation=4))

    assert "on rows [3]: rows of a line, [3]" in it.value.message
    assert torch.isfinite(line.weights).all()


@pytest.mark.parametrize("moment", ["the rows", "the optimizer", "the tripwire"])
def test_a_card_that_is_full_is_told_with_the_step_its_longest_row_and_what_to_lower(
    monkeypatch, moment
):
    def full(*_):
        raise torch.OutOfMemoryError

    line = Line(rows=4)
    if moment == "the rows":
        monkeypatch.setattr(line, "loss", full)
    if moment == "the optimizer":
        monkeypatch.setattr(torch.optim.AdamW, "step", full)
    watched = settings(tripwire={"every": 1})
    with pytest.raises(EnvironmentProblem, match="x: the card's memory ran out at step 1") as it:
        fit("x", line.parameters, line, watched, watch=full)

    assert it.value.message.endswith("whose longest row has 103 tokens")
    assert "lower max_tokens, lower micro_batch" in it.value.hint
    assert "nla-release train plan" in it.value.hint


def test_a_gradient_that_is_not_finite_stops_too():
    class Broken(Line):
        def loss(self, rows, draw):
            return self.weights.sqrt().sum()  # finite at zero, and infinitely steep

    line = Broken()
    with pytest.raises(NlaReleaseError, match="gradient is inf at step 1"):
        fit("x", line.parameters, line, settings())
    assert torch.equal(line.weights, torch.zeros(40))


def shown(*failures):
    return Tripwire(rows=2, unit="cosine", real_minus_shuffled=0.5, failures=list(failures))


def test_what_the_tripwire_showed_stands_in_the_log_beside_its_step():
    line = Line()
    watched = settings(tripwire={"every": 3})
    done = fit("x", line.parameters, line, watched, watch=shown)
    lines = dump_log(done.steps).splitlines()

    assert [step.step for step in done.steps if step.tripwire] == [3, 6]
    assert '"tripwire":{"rows":2,"unit":"cosine","real_minus_shuffled":0.5' in lines[2]
    assert "tripwire" not in lines[0]


def test_a_tripped_training_goes_on_when_the_recipe_says_warn(capsys):
    line = Line()
    done = fit(
        "x", line.parameters, line, settings(tripwire={"every": 4}), watch=lambda: shown("it is so")
    )

    assert len(done.steps) == 8
    assert done.steps[3].tripwire.failures == ["it is so"]
    assert "warning: x: tripwire at step 4: it is so" in capsys.readouterr().err


def test_a_tripped_training_stops_when_the_recipe_says_stop():
    line = Line()
    stopping = settings(tripwire={"every": 2, "on_failure": "stop", "from_step": 5})
    with pytest.raises(NlaReleaseError, match="x: tripwire at step 6: it is so"):
        fit("x", line.parameters, line, stopping, watch=lambda: shown("it is so"))


def test_8_bit_adamw_is_used_where_bitsandbytes_runs_it():
    line = Line(width=5000)
    eight = settings(optimizer="adamw_8bit")
    optimizer, name = optimizers.new_optimizer(line.parameters.values(), eight)
    fit("x", line.parameters, line, eight)

    assert name == "adamw_8bit"
    assert type(optimizer).__name__ == "AdamW8bit"


@pytest.mark.parametrize("name", ["adamw", "adamw_8bit"])
def test_either_adamw_has_the_settings_that_the_page_gives(name):
    chosen = settings(optimizer=name)
    optimizer, _ = optimizers.new_optimizer(Line().parameters.values(), chosen)
    (group,) = optimizer.param_groups

    assert [group[key] for key in ("betas", "eps", "weight_decay")] == [(0.9, 0.999), 1e-8, 0.01]


def test_elsewhere_there_is_one_warning_and_adamw(monkeypatch, capsys):
    monkeypatch.setattr(optimizers, "_why_not_8_bits", lambda device: "no kernel")
    line = Line()
    done = fit("x", line.parameters, line, settings(optimizer="adamw_8bit"))

    assert done.optimizer == "adamw"
    assert capsys.readouterr().err.count("no 8-bit AdamW on cpu (no kernel); using AdamW") == 1


def test_rows_of_one_length_share_a_micro_batch():
    """Whatever order they are drawn in, so that little of a micro-batch is padding."""
    lengths = [9, 2, 8, 3, 9, 2, 8, 3]

    class Rows:
        def longest(self, rows):
            return max(lengths[row] for row in rows)

    settings = SimpleNamespace(micro_batch=2, gradient_accumulation=4)
    pieces = loop._pieces([7, 6, 5, 4, 3, 2, 1, 0], settings, Rows())

    assert sorted(row for piece in pieces for row in piece) == list(range(8))
    assert all(lengths[first] == lengths[second] for first, second in pieces)
