"""The memory plan: what it says a training takes is what the training takes."""

import json
from pathlib import Path

import numpy as np
import peft
import pytest
import torch
import transformers
from click.testing import CliRunner
from torch.profiler import ProfilerActivity, profile

from nla_release.cli.train import command
from nla_release.contract.sidecar import dump_sidecar
from nla_release.engine.activations import Activations
from nla_release.engine.adapters import calm
from nla_release.engine.base import load_base
from nla_release.errors import ConfigError, EnvironmentProblem, InputError, PairError
from nla_release.io.files import package_folder, write_atomic
from nla_release.io.layout import HEAD_FILE, SIDECAR_FILE
from nla_release.training.ar import ReconstructorTask, new_head
from nla_release.training.av import VerbalizerTask
from nla_release.training.checkpoints import write_tensors
from nla_release.training.learner import Learner, add_lora
from nla_release.training.loop import Draw
from nla_release.training.memory_plan import card_bytes, optimizer_bytes
from nla_release.training.optimizer import new_optimizer
from nla_release.training.plan import ALLOWANCE, Planner, plans
from nla_release.training.recipe import read_recipe
from nla_release.training.settings import NoiseHinge
from nla_release.training.stacking import put_below
from tests.bases import gemma_4_e2b, small_bases, tiny_configs
from tests.sidecars import TINY_BASE, sidecar
from tests.train.built import write_recipe
from train.demo import RECIPE
from train.real.__main__ import HERE
from train.real.base import write_base

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "training.md"
RECIPES = package_folder("recipes")
SMOLLM2 = HERE / "smollm2.yaml"
MIB = 2**20
ROWS = 16
# The plan may be this much above what is measured, and never below: on the meta device attention
# is counted with its whole matrix, which the kernels of real devices do not keep.
TOLERANCE = 1.15


def recipe(role="av", base=None, **changes):
    """The tiny recipe with changes to one adapter's block."""
    whole = read_recipe(RECIPE)
    block = getattr(whole, role).model_copy(update={"micro_batch": ROWS} | changes)
    return whole.model_copy(update={role: block, "base": whole.base.model_copy(update=base or {})})


def planned_for(settings, role="av", *, card=None, earlier=None, **tokens):
    """The plan of the tiny base."""
    config = tiny_configs()["gemma4"]
    return Planner(config, settings, role, card=card, earlier=earlier).plan(**tokens)


@pytest.fixture
def tiny():
    return load_base(str(TINY_BASE), None, quantization=None, dtype="float32", device="cpu")


def earlier_adapter(folder, role, base, *, dora=False):
    """An adapter of another rank and fewer targets, as a training leaves it, with its head."""
    settings = recipe(role)
    config = peft.LoraConfig(
        r=24,
        lora_dropout=0.1,
        use_dora=dora,
        target_modules=r"model\.language_model\.layers\.[0-3]\.(self_attn|mlp)\.\w+_proj",
    )
    with calm():
        model = peft.get_peft_model(base.model, config)
        model.save_pretrained(folder, save_embedding_layers=False)
    write_atomic(folder / SIDECAR_FILE, dump_sidecar(sidecar(role)))
    write_tensors(folder / HEAD_FILE, new_head(64, settings.ar).state_dict())
    model.unload()
    return folder


def part(plan, name):
    return sum(it.bytes for it in (*plan.parts, *plan.on_host) if it.name.startswith(name))


def task_of(role, settings, base, earlier=None):
    """The task of a training on rows of one length, its learner, and that length in tokens."""
    label = "the word rose in a text about gardening, set in Lima"
    names, none = [str(row) for row in range(ROWS)], [None] * ROWS
    width = base.model.config.get_text_config().hidden_size
    vectors = np.random.default_rng(0).standard_normal((ROWS, width)).astype(np.float32)
    data = Activations(names, names, none, [label] * ROWS, none, none, none, vectors, "0" * 64)
    model = add_lora(base, getattr(settings, role))
    head = new_head(width, settings.ar) if role == "ar" else None
    if earlier:
        put_below(earlier, Learner(model, head), sidecar(role))
    if role == "av":
        task = VerbalizerTask(base, model, data, sidecar("av"), settings.av.max_tokens)
        prompt = sidecar("av").injection.prompt_token_ids
        answer = base.encode(f"<explanation>{label}</explanation>", False)
        return task, Learner(model), len(prompt) + len(answer) + 1, len(prompt)
    task = ReconstructorTask(base, model, head, data, settings)
    text = settings.templates.ar.replace("{explanation}", label)
    return task, Learner(model, head), len(base.encode(text, True)), 0


def measured_peak(step):
    """Bytes at the fullest moment of a call, by what torch's allocator reports to its profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = profiler.profiler.kineto_results.events()
    changes = [(it.start_ns(), it.nbytes()) for it in events if it.name() == "[memory]"]
    return int(np.cumsum([size for _, size in sorted(changes)]).max())


@pytest.mark.parametrize(
    ("role", "checkpointing", "quantization", "stacked"),
    [
        ("av", False, None, None),
        ("av", True, "nf4", None),
        pytest.param("av", False, None, "on a LoRA", marks=pytest.mark.long),
        ("ar", False, None, None),
        pytest.param("ar", True, None, None, marks=pytest.mark.long),
        ("ar", True, None, "on a DoRA"),
    ],
)
def test_a_step_of_training_takes_what_was_planned(
    role, checkpointing, quantization, stacked, tmp_path
):
    settings = recipe(
        role, base={"quantization": quantization}, gradient_checkpointing=checkpointing
    )
    base = load_base(str(TINY_BASE), None, quantization=quantization, dtype="float32", device="cpu")
    dora = stacked == "on a DoRA"
    earlier = earlier_adapter(tmp_path, role, base, dora=dora) if stacked else None
    task, learner, length, prompt = task_of(role, settings, base, earlier)
    rows = list(range(ROWS))

    def step():
        (task.loss(rows, Draw(1, rows)) / task.weight(rows)).backward()

    step()  # leaves the gradients, as the micro-batches before do
    plan = planned_for(settings, role, earlier=earlier, length=length, prompt=prompt)
    planned = sum(part(plan, name) for name in ("activations", "logits", "one matrix"))
    measured = measured_peak(step)

    assert task.longest(rows) == length
    assert measured <= planned <= TOLERANCE * measured
    learned = list(learner.parameters.values())
    assert part(plan, "gradients") == sum(it.grad.numel() * 4 for it in learned)
    assert part(plan, "adapter") + part(plan, "head") == part(plan, "gradients")
    below = sum(it.numel() * 4 for name, it in learner.model.named_parameters() if "below" in name)
    assert part(plan, "earlier adapters") == below
    assert (below > 0) == bool(stacked)


@pytest.fixture(scope="module")
def smollm2_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("smollm2") / "base"
    write_base(folder)
    return folder


@pytest.mark.long
@pytest.mark.parametrize("role", ["av", "ar"])
def test_a_step_on_a_real_language_model_takes_what_was_planned(role, smollm2_folder):
    real = read_recipe(SMOLLM2)
    block = getattr(real, role).model_copy(update={"micro_batch": ROWS})
    settings = real.model_copy(update={role: block})
    base = load_base(str(smollm2_folder), None, quantization=None, dtype="float32", device="cpu")
    task, learner, length, prompt = task_of(role, settings, base)
    rows = list(range(ROWS))

    def step():
        (task.loss(rows, Draw(1, rows)) / task.weight(rows)).backward()

    step()  # leaves the gradients, as the micro-batches before do
    config = transformers.AutoConfig.from_pretrained(smollm2_folder)
    plan = Planner(config, settings, role, card=None).plan(length=length, prompt=prompt)
    planned = part(plan, "activations") + part(plan, "logits")
    measured = measured_peak(step)

    assert task.longest(rows) == length
    assert measured <= planned <= TOLERANCE * measured
    learned = sum(it.grad.numel() * 4 for it in learner.parameters.values())
    frozen = [it for it in base.model.parameters() if not it.requires_grad]
    assert part(plan, "base") == sum(it.numel() * 4 for it in (*frozen, *base.model.buffers()))
    assert part(plan, "adapter") + part(plan, "head") == part(plan, "gradients") == learned


@pytest.mark.parametrize("name", ["adamw", "adamw_8bit"])
def test_the_optimizers_state_takes_what_was_planned(name):
    """But for a counter each, and the tables of what 8 bits stand for, which all have in common."""
    sizes = ((64, 100), (4095,), (4097,), (10,))
    parameters = [torch.nn.Parameter(torch.ones(size)) for size in sizes]
    optimizer, chosen = new_optimizer(parameters, recipe(optimizer=name).av)
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    held = {
        value.data_ptr(): value.numel() * value.element_size()
        for state in optimizer.state.values()
        for key, value in state.items()
        if isinstance(value, torch.Tensor) and key != "step" and not key.startswith("qmap")
    }

    assert chosen == name
    assert optimizer_bytes(parameters, name) == sum(held.values())


def test_gemma_4_e2b_fits_a_4_gb_card_with_its_tables_on_the_host():
    """With rows of the recipe's max_tokens; the recipe and the page say by how much."""
    path = RECIPES / "gemma-4-e2b-L23.yaml"
    seed = read_recipe(path)
    planner = Planner(gemma_4_e2b(), seed, "av", card=card_bytes("4GB"))
    plan = planner.plan(length=seed.av.max_tokens, prompt=94)

    assert plan.fits
    assert [it.parameters for it in plan.on_host] == [262144 * 35 * 256, 475_728_160]
    assert plan.total + part(plan, "base: tables") > card_bytes("7GB")
    for page in (path, DOCS):
        assert f"{plan.total / MIB:,.0f} MiB for the AV" in " ".join(page.read_text().split())


@pytest.mark.parametrize(("name", "card"), [("gemma-3-1b", "6GB"), ("qwen2.5-0.5B", "4GB")])
def test_the_smaller_recipes_say_what_their_avs_are_planned_at(name, card):
    path = RECIPES / f"{name}.yaml"
    planner = Planner(small_bases()[name], read_recipe(path), "av", card=card_bytes(card))
    plan = planner.plan(length=planner.settings.max_tokens, prompt=94)
    parameters = sum(it.parameters for it in planner.base)
    said = " ".join(path.read_text().replace("#", "").split())

    assert plan.fits
    assert f"--card {card} --prompt 94` and not measured" in said
    assert f"{plan.total / MIB:,.0f} MiB for the AV" in said
    assert f"add up to {parameters:,};" in said
    assert f"{6 * parameters * 500 * 16 * 256:.1e}".replace("e+", "e") + " operations" in said


def test_a_second_text_beside_each_explanation_is_planned_for():
    settings = recipe("ar")
    hinge = recipe("ar", variant=NoiseHinge(name="noise_hinge"))
    once, twice = (planned_for(it, "ar", length=64) for it in (settings, hinge))

    assert part(twice, "activations") > 1.9 * part(once, "activations")


def test_a_card_that_is_too_small_is_told_how_long_a_row_may_be():
    """Also longer than the recipe's max_tokens, when such rows are asked about."""
    short = recipe(max_tokens=32)
    planner = Planner(tiny_configs()["gemma4"], short, "av", card=ALLOWANCE + 64 * MIB)
    longest = planner.longest(length=128)

    assert 32 < longest < 128
    assert planner.plan(length=longest).fits
    assert not planner.plan(length=longest + 16).fits
    assert planner.longest(length=96, prompt=96) is None


def test_without_a_card_nothing_is_allowed_for():
    plan = planned_for(recipe(), length=32)

    assert part(plan, "allowance") == 0
    assert plan.fits


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", int(0.96 * 4 * 2**30)), ("6144 MiB", 6144 * MIB), ("1.5gib", 3 * 2**29)],
)
def test_a_card_holds_less_than_it_is_sold_with_and_all_that_its_driver_tells(text, size):
    assert card_bytes(text) == size


def test_a_card_of_no_size_is_refused():
    with pytest.raises(ConfigError, match="'large' is not a size of memory"):
        card_bytes("large")


def test_a_base_without_a_configuration_here_is_asked_for(tmp_path):
    with pytest.raises(EnvironmentProblem, match="cannot be loaded from") as caught:
        plans(read_recipe(RECIPE), tmp_path, source=str(tmp_path))
    assert "`nla-release train plan RECIPE --config" in caught.value.hint


def test_a_row_that_the_prompt_fills_is_not_planned():
    with pytest.raises(ConfigError, match="rows of 96 tokens, of which the AV's prompt takes 96"):
        planned_for(recipe(), length=96, prompt=96)


def test_a_card_is_not_passed_over_where_nothing_is_planned():
    with pytest.raises(ConfigError, match="--card"):
        CliRunner().invoke(command, ["run", str(RECIPE), "--card", "4GB"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"target_modules": "nothing"},
            "28 of 28 modules are not among target_modules, and PEFT drops them",
        ),
        (
            {"target_modules": "("},
            r"adapter_config.json: target_modules: '\(' is not a regular expression: missing",
        ),
        (
            {"exclude_modules": "("},
            r"adapter_config.json: exclude_modules: '\(' is not a regular expression: missing",
        ),
        ({"r": 8}, r"adapter_model.safetensors holds .* adapter_config.json asks for"),
        ({"modules_to_save": ["lm_head"]}, "an adapter of a stack saves whole modules, lm_head"),
    ],
)
def test_what_training_would_not_put_below_is_not_planned(tmp_path, tiny, changes, says):
    earlier = earlier_adapter(tmp_path, "av", tiny)
    path = earlier / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(PairError, match=says):
        planned_for(recipe(), earlier=earlier, length=40)
    with pytest.raises(PairError, match=says if "holds" not in says else "size mismatch"):
        put_below(earlier, Learner(add_lora(tiny, recipe().av)), sidecar("av"))


def test_the_command_prints_both_adapters_and_what_it_does_not_count(tmp_path, tiny):
    path = str(write_recipe(tmp_path, av={"stack_on": "first-av"}))
    line = ["plan", path, "--folder", str(tmp_path), "--card", "2GB"]
    done = CliRunner().invoke(command, line, catch_exceptions=False)

    assert "AV of tiny-gemma4-L3" in done.output
    assert "AR of tiny-gemma4-L3" in done.output
    assert done.output.count("a card of 1,966 MiB: fits") == 2
    assert done.output.count("not counted") == 1
    first = tmp_path / "first-av"
    assert f"not counted: the adapters of {first}, which are not there yet" in done.output

    earlier_adapter(first, "av", tiny)
    done = CliRunner().invoke(command, line, catch_exceptions=False)

    assert "not counted" not in done.output
    assert done.output.count("  earlier adapters, frozen  ") == 1

    (first / "adapter_model.safetensors").write_bytes(b"cut off")
    with pytest.raises(InputError, match=r"first-av.adapter_model\.safetensors"):
        CliRunner().invoke(command, line, catch_exceptions=False)
