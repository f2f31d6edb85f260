"""Sweep files: what is read, what is refused and in which words."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
import yaml
from hypothesis import given, settings, strategies as st

from tfbind.config import TrainConfig
from tfbind.sweeps.search import EarlyStop, Spec
from tfbind.sweeps.spec import MAX_TEXT, parse_spec
from tfbind.sweeps.sweep_folder import EXAMPLE

GRID = "method: grid\nparameters: {learning_rate: {values: [0.01, 0.001]}}\n"
G = "method: grid\nparameters: "
L = G + "{learning_rate: "
R = "method: random\nrun_cap: 2\nparameters: {learning_rate: "
B = R.replace("learning_rate", "batch_size")
VALID = """\
method: bayes
metric: {name: val_loss, goal: minimize}
run_cap: 12
replicates: 2
early_terminate: {type: hyperband, min_iter: 2, eta: 3}
parameters:
  learning_rate: {distribution: log_uniform_values, min: 1e-5, max: 1e-1}
  batch_size: {distribution: q_log_uniform_values, q: 8, min: 32, max: 256}
  num_res_blocks: {min: 1, max: 4}
  norm: {values: [layer, batch]}
  first_kernel_size: {value: null}
"""


def ranged(field: str, about: str) -> Spec:
    return parse_spec(f"method: random\nrun_cap: 5\nparameters: {{{field}: {about}}}")


def drawn(field: str, about: str, count: int = 200) -> list[float]:
    (parameter,) = ranged(field, about).parameters
    return [parameter.at(place / (count - 1)) for place in range(count)]


def refusal(text: str) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_spec(text)
    said = str(caught.value)
    assert "\n" not in said
    return said


def test_the_published_sweep_is_three_runs_as_published():
    spec = parse_spec(EXAMPLE.read_text())
    configs = list(spec.grid())
    assert [config.learning_rate for config in configs] == [0.01, 0.001, 0.0001]
    assert all(config.model_copy(update={"learning_rate": 0.01}) == TrainConfig() for config in configs)
    assert (spec.metric, spec.goal, spec.size()) == ("val_loss", "minimize", 3)


def test_numbers_that_yaml_reads_as_text_are_numbers():
    assert yaml.safe_load("1e-5") == "1e-5"  # why this test is here
    spec = parse_spec("method: grid\nparameters: {weight_decay: {values: [1e-5, 1E-4]}, num_epochs: {value: '3'}}")
    assert [config.weight_decay for config in spec.grid()] == [1e-5, 1e-4]
    assert spec.base.num_epochs == 3


def test_a_grid_has_every_combination_with_every_seed_once():
    text = GRID.replace("}}", "}, num_channels: {values: [8, 16, 32]}, kernel_size: {min: 3, max: 8}}\nreplicates: 2")
    spec = parse_spec(text, TrainConfig(seed=5))
    configs = list(spec.grid())
    assert len(configs) == len(set(configs)) == spec.size() == 2 * 3 * 3 * 2
    assert {config.kernel_size for config in configs} == {3, 5, 7}  # even kernels have no middle
    assert [config.seed for config in configs] == [5] * 18 + [6] * 18
    assert parse_spec(f"run_cap: 4\n{text}").size() == 4


def test_every_hyperparameter_can_be_swept():
    some = {
        "dataset": ["a", "b"], "norm": ["layer", "batch"], "optimizer_type": ["SGD", "Adam"],
        "lr_schedule": ["constant", "one_cycle"], "device": ["cpu", "cuda"], "validation_split": [0.1, 0.3],
        "split_by": ["windows", "blocks"], "first_kernel_size": [None, 15],
    }  # fmt: skip
    for field, info in TrainConfig.model_fields.items():
        values = some.get(field) or ([0.1, 0.2] if info.annotation is float else [3, 5])
        text = yaml.safe_dump({"method": "grid", "parameters": {field: {"values": values}}})
        assert [getattr(config, field) for config in parse_spec(text).grid()] == values, field


@pytest.mark.parametrize(
    ("field", "about", "low", "high", "middle"),
    [
        ("dropout_rate", "{min: 0.0, max: 0.5}", 0.0, 0.5, 0.25),
        ("learning_rate", "{distribution: log_uniform_values, min: 1e-4, max: 1e-2}", 1e-4, 1e-2, 1e-3),
        ("learning_rate", "{distribution: log_uniform, min: -9.21034, max: -4.60517}", 1e-4, 1e-2, 1e-3),
        ("batch_size", "{distribution: q_log_uniform_values, q: 8, min: 32, max: 128}", 32, 128, 64),
        ("dropout_rate", "{distribution: q_uniform, q: 0.1, min: 0.0, max: 0.4}", 0.0, 0.4, 0.2),
        ("num_channels", "{min: 8, max: 12}", 8, 12, 10),
    ],
)
def test_ranges_are_drawn_on_their_own_scale(field: str, about: str, low: float, high: float, middle: float):
    values = drawn(field, about, 201)
    assert values == sorted(values)
    assert (values[0], values[-1]) == pytest.approx((low, high), rel=1e-4)
    assert values[100] == pytest.approx(middle, rel=1e-3)


def test_quantised_values_are_multiples():
    assert {
        value % 8 for value in drawn("batch_size", "{distribution: q_log_uniform_values, q: 8, min: 32, max: 256}")
    } == {0}
    tenths = set(drawn("dropout_rate", "{distribution: q_uniform, q: 0.1, min: 0, max: 0.4}"))
    assert tenths == {0.0, 0.1, 0.2, 0.3, 0.4}


def test_a_place_leads_back_to_its_value():
    for parameter in parse_spec(VALID).parameters:
        for place in (0.03, 0.4, 0.77, 0.99):
            value = parameter.at(place)
            back = parameter.place(value)
            assert back is not None
            assert parameter.at(back) == pytest.approx(value, rel=1e-5) if not isinstance(value, str | None) else True


def stop(about: str) -> EarlyStop:
    spec = parse_spec(f"{GRID}early_terminate: {{type: hyperband, {about}}}")
    assert spec.early_stop
    return spec.early_stop


@pytest.mark.parametrize(
    ("about", "milestones"),
    [
        ("max_iter: 100, s: 2, eta: 3", (11, 33)),  # 100 / 3, and that / 3
        ("max_iter: 20, s: 2, eta: 3", (2, 6)),
        ("max_iter: 5, s: 2, eta: 2", (1, 2)),
        ("max_iter: 27, s: 9, eta: 3", (1, 3, 9)),  # no more than down to epoch 1
        ("max_iter: 27, s: 3", (1, 3, 9)),  # eta is 3
        ("max_iter: 10, s: 2, eta: 2.5", (1, 4)),
        ("max_iter: 3, s: 1", (1,)),
        ("max_iter: 9, s: 1, min_iter: 5", (3,)),  # max_iter goes before min_iter
        ("min_iter: 3", (3, 9, 27, 81, 243, 729, 2187, 6561)),
        ("min_iter: 5000, eta: 2", (5000, 10_000)),
        ("min_iter: 1000, eta: 2.5", (1000, 2500, 6250)),
    ],
)
def test_the_milestones_are_those_of_wandb(about: str, milestones: tuple[int, ...]):
    assert stop(about).milestones == milestones


@given(st.integers(1, 10_000), st.integers(1, 30), st.integers(2, 100))
def test_milestones_before_max_iter_are_at_most_s_and_none_is_at_or_after_it(last: int, s: int, eta: int):
    if last < eta:
        assert "no epoch to judge at" in refusal(
            f"{GRID}early_terminate: {{type: hyperband, max_iter: {last}, s: 1, eta: {eta}}}"
        )
        return
    found = stop(f"max_iter: {last}, s: {s}, eta: {eta}").milestones
    assert len(found) <= s
    assert 1 <= found[0] <= found[-1] == last // eta < last
    assert list(found) == sorted(set(found))
    assert len(found) == s or found[0] < eta
    assert all(earlier == later // eta for earlier, later in pairwise(found))


def test_what_of_hyperband_is_not_used_is_said():
    def notes(about: str) -> tuple[str, ...]:
        return parse_spec(f"{GRID}early_terminate: {{type: hyperband, {about}}}").notes

    assert notes("min_iter: 3") == notes("max_iter: 9, s: 1, strict: true") == ()
    assert notes("max_iter: 9") == ("early_terminate.s is missing, without which W&B refuses max_iter; 1 is taken",)
    assert notes("min_iter: 3, s: 2") == ("early_terminate.s is not used without max_iter",)
    assert notes("min_iter: 3, max_iter: 9, s: 1") == ("early_terminate.min_iter is not used beside max_iter",)
    assert (stop("min_iter: 3").strict, stop("min_iter: 3, strict: true").strict) == (False, True)


@pytest.mark.parametrize(
    ("field", "about"),
    [
        ("weight_decay", "{distribution: log_uniform, min: 1e-6, max: 1e-2}"),
        ("dropout_rate", "{distribution: log_uniform, min: 0.1, max: 0.5}"),
        ("batch_size", "{distribution: q_log_uniform, min: 32, max: 256}"),
        ("learning_rate", "{distribution: log_uniform, min: 1, max: 1000}"),
    ],
)
def test_exponents_that_give_no_sound_value_are_refused_with_what_takes_plain_values(field: str, about: str):
    assert "log_uniform_values" in refusal(f"method: random\nrun_cap: 5\nparameters: {{{field}: {about}}}")


def test_what_only_the_agent_of_wandb_needs_is_said_not_refused():
    spec = parse_spec(
        "program: train.py\ncommand: [python]\nproject: p\nentity: e\nname: mine\ndescription: d\n" + GRID
    )
    assert spec.name == "mine"
    assert [note.split()[0] for note in spec.notes] == ["program", "command", "project", "entity", "description"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "a sweep file is a mapping"),
        ("[1, 2]", "a sweep file is a mapping"),
        ("method: [", "not YAML: line 1"),
        ("parameters: {learning_rate: {value: 1}}", "method: missing; allowed: grid, random, bayes"),
        ("method: Grid", "method: 'Grid'; allowed: grid"),
        ("method: grid", "parameters: expected a mapping"),
        (GRID + "metrics: {}", "metrics: no such key; did you mean metric?"),
        (G + "{learnin_rate: {value: 1}}", "learnin_rate: no such hyperparameter; did you mean learning_rate?"),
        (G + "{zzz: {value: 1}}", "parameters.zzz: no such hyperparameter; known: dataset"),
        (G + "{learning_rate: 0.1}", "parameters.learning_rate: 0.1; expected {value: …}"),
        (L + "{values: []}}", "parameters.learning_rate.values: []; expected a list"),
        (L + "{values: [fast]}}", "parameters.learning_rate: 'fast' should be a valid number"),
        (L + "{values: [-1]}}", "parameters.learning_rate: -1 should be greater than 0"),
        (L + "{values: [yes]}}", "parameters.learning_rate: True; expected a number"),
        (G + "{kernel_size: {values: [2, 4]}}", "4 must be odd, so that a base sits in the middle; try 3 or 5"),
        (G + "{num_epochs: {value: 2.5}}", "parameters.num_epochs: 2.5"),
        (L + "{value: 1, values: [1]}}", "expected one of value, values, or min with max"),
        (L + "{min: 0.1}}", "min and max belong together"),
        (L + "{min: 0.1, max: 0.2}}", "a grid needs value or values"),
        (L + "{parameters: {a: {value: 1}}}}", "parameters.learning_rate.a: no such hyperparameter"),
        (L + "{values: [0.1], parameters: {a: {value: 1}}}}", "learning_rate.parameters: no such key"),
        ("method: random\nparameters: {learning_rate: {min: 0.1, max: 0.2}}", "run_cap: missing"),
        (R + "{min: 0.2, max: 0.1}}", "min 0.2 is above max 0.1"),
        (R + "{min: 11, max: 12}}", "11.0 should be less than or equal to 10"),
        (R + "{distribution: log_uniform_values, min: 0, max: 1}}", "must begin above 0"),
        (R + "{distribution: gamma, min: 0, max: 1}}", "distribution: 'gamma'; allowed: constant, categorical"),
        (R + "{distribution: normal, min: 0, max: 1}}", "or min with max; given: distribution, min, max"),
        (R + "{distribution: uniform, min: 0, max: 1, mu: 1}}", "learning_rate.mu: no such key"),
        (R + "{distribution: normal, mu: 100}}", "normal of 100 and 1 draws nothing from above 0 to 10"),
        (R + "{distribution: beta, a: 0}}", "beta of 0 and 1; expected numbers above 0"),
        (B + "{distribution: normal, mu: 64}}", "batch_size is a whole number; say q_normal"),
        (R + "{values: [1, 2], probabilities: [0.5, 0.4]}}", "expected shares from 0 on that add up to 1"),
        (R + "{values: [1, 2], probabilities: [1]}}", "expected one for each of the 2 values"),
        (B.replace("batch_size", "kernel_size") + "{distribution: q_uniform, min: 3, max: 9}}", "even numbers, too"),
        (G + "{lr: {value: 1}, learning_rate: {value: 2}}", "learning_rate is there already, as lr"),
        (B + "{distribution: uniform, min: 2, max: 9}}", "batch_size is a whole number; say int_uniform"),
        (B + "{min: .nan, max: 9}}", "parameters.batch_size.min: nan; expected a number"),
        ("method: bayes\nrun_cap: 2\nparameters: {learning_rate: {min: 0.1, max: 0.2}}", "metric: missing"),
        ("method: bayes\nmetric: {name: accuracy}", "metric.name: 'accuracy'; allowed: val_loss"),
        (GRID + "metric: {name: val_loss, goal: min}", "metric.goal: 'min'; allowed: minimize, maximize"),
        (GRID + "run_cap: 0", "run_cap: 0; expected a whole number from 1"),
        (GRID + "run_cap: 1.5", "run_cap: 1.5; expected a whole number"),
        (GRID + "replicates: many", "replicates: 'many'; expected a whole number from 1 to 100"),
        (GRID + "early_terminate: {type: median}", "early_terminate.type: 'median'; allowed: hyperband"),
        (GRID + "early_terminate: {type: hyperband}", "expected min_iter"),
        (G + "{seed: {values: [1, 2]}}\nreplicates: 2", "the seed is among the parameters already"),
        (G + "{device: {values: [auto, cpu]}}", "auto stands for one of the others"),
        (G + "{seed: {min: 0, max: 2000000000}}", "more than 10,000 runs"),
        ("a: &a [*a]", "line 1: the alias *a stands for something that it is part of"),
        ("a: &a [[[[[x]]]]]\nb: [[[[[*a]]]]]", "line 2: nested more than 10 deep"),
        ("a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n" + "".join(
            f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 9)}]\n" for n in range(8)
        ), "with its aliases written out, this is more than 65,536 values"),
        ("sweep_config = {'method': 'grid', 'parameters': {'lr': {'values': [0.1", "not Python: line 1: '['"),
        ("c = {'method': 'grid', 'parameters': {'lr': {'values': f(3)}}}", "line 1: f(3); expected a number, a word"),
        ("c = {'method': 'grid', 'method': 'grid'}", "line 1: 'method' is there twice"),
        ("method: grid\nmethod: random", "'method' is there twice"),
        (f"# many\nrun_cap: {'9' * 5000}", "line 2: '99"),
        (f"run_cap: 0x{'f' * 5000}", "line 1: '0xff"),
        (f"run_cap: {'1:' * 5000}1.5", "line 1: '1:1:"),
        (f"run_cap: {2**63}", "line 1: '9223372036854775808'; expected a number or a word"),
        ("name: 2020-99-99", "line 1: '2020-99-99'; expected a number or a word"),
        ("[" * 5000, "nested more than 10 deep"),
        ("#" * (MAX_TEXT + 1), "at most 65,536"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_key_and_what_is_allowed(text: str, said: str):
    assert said in refusal(text)


@pytest.mark.parametrize(
    ("about", "middle", "spread"),
    [  # medians and the place at 0.8413, one standard deviation above, from the definitions
        ("{distribution: normal, mu: 0.01, sigma: 0.001}", 0.01, 0.011),
        ("{distribution: q_normal, mu: 0.01, sigma: 0.001, q: 0.001}", 0.01, 0.011),
        ("{mu: -5, sigma: 1, distribution: log_normal}", math.exp(-5), math.exp(-4)),
        ("{distribution: q_log_normal, mu: -5, sigma: 1, q: 0.001}", 0.007, 0.018),
        ("{distribution: inv_log_uniform, min: 2, max: 4}", math.exp(-3), math.exp(-4 + 2 * 0.8413447)),
        ("{distribution: inv_log_uniform_values, min: 0.001, max: 0.1}", 0.01, 0.001 * 100**0.8413447),
        ("{distribution: beta, a: 2, b: 2}", 0.5, 0.7479),
        ("{distribution: beta}", 0.5, 0.8413447),
    ],
)
def test_a_distribution_of_wandb_is_drawn_as_there(about: str, middle: float, spread: float):
    (parameter,) = ranged("learning_rate", about).parameters
    assert [parameter.at(place) for place in (0.5, 0.8413447)] == pytest.approx([middle, spread], rel=2e-3)


def test_of_a_distribution_without_ends_the_part_is_drawn_that_may_be():
    (parameter,) = ranged("weight_decay", "{distribution: normal, mu: 0, sigma: 0.001}").parameters
    assert parameter.at(0.0) == 0
    assert parameter.at(0.5) == pytest.approx(0.00067449, rel=1e-3)  # the median of the upper half
    assert ranged("dropout_rate", "{min: 0.0, max: 1.0}").parameters[0].at(1.0) == 0.95
    assert 0 < ranged("learning_rate", "{min: 0, max: 0.1}").parameters[0].at(0.0) < 1e-9


def test_repeated_values_and_probabilities_weigh_in_a_random_search_alone():
    for about in ("{values: [0.1, 0.1, 0.1, 0.2]}", "{values: [0.1, 0.2, 9], probabilities: [0.75, 0.25, 0]}"):
        (parameter,) = ranged("learning_rate", about).parameters
        assert (parameter.values, parameter.shares) == ((0.1, 0.2), (0.75, 0.25))
        assert [parameter.at(place) for place in (0, 0.74, 0.76, 1)] == [0.1, 0.1, 0.2, 0.2]
        grid = parse_spec(f"{L}{about}}}")
        assert [config.learning_rate for config in grid.grid()] == [0.1, 0.2]
        assert grid.notes == ("parameters.learning_rate: a grid runs each value once",)


def test_quantised_ranges_make_a_grid_as_by_wandb():
    """`numpy.arange(min, max, q)`, as `wandb/sweeps/grid_search.py` has it."""
    for field, low, high, q in (("dropout_rate", 0, 0.4, 0.1), ("batch_size", 5, 64, 16), ("batch_size", 8, 64, 8)):
        spec = parse_spec(f"{G}{{{field}: {{distribution: q_uniform, min: {low}, max: {high}, q: {q}}}}}")
        assert [getattr(config, field) for config in spec.grid()] == pytest.approx(np.arange(low, high, q))


COURSE = """
import wandb
sweep_config = {
    'method': 'grid',
    'metric': {'name': 'test_avg_pearsonr', 'goal': 'maximize'},
    'parameters': {
        'lr': {'values': [0.01, 0.001, 1e-4]},  # three
        'num_filters': {'values': (32, 64)},
        'kernel_size': {'values': [3, 4, 8]},
        'optimizer': {'value': 'adam'},
        'use_attention': {'values': [True, False]},
        'momentum': {'value': 0.9},
        'epochs': {'value': 5},
    },
}
sweep_id = wandb.sweep(sweep_config, project="x")
"""


def test_the_dict_of_a_script_is_read_its_names_are_mapped_and_all_that_is_not_here_is_listed_at_once():
    spec = parse_spec(COURSE)
    assert (spec.method, spec.metric, spec.goal, spec.size()) == ("grid", "val_pearsonr", "maximize", 6)
    assert {parameter.field: parameter.values for parameter in spec.parameters} == {
        "learning_rate": (0.01, 0.001, 1e-4), "num_channels": (32, 64), "kernel_size": (3,),
        "optimizer_type": ("Adam",), "num_epochs": (5,),
    }  # fmt: skip
    assert [note.split(";")[0] for note in spec.notes] == [
        "parameters.kernel_size: 4 must be odd, so that a base sits in the middle",
        "parameters.kernel_size: 8 must be odd, so that a base sits in the middle",
        "parameters.momentum: no such hyperparameter",
        "parameters.use_attention: no such hyperparameter",
        "parameters.lr is read as learning_rate",
        "parameters.num_filters is read as num_channels",
        "parameters.optimizer is read as optimizer_type",
        "parameters.optimizer: 'adam' is read as Adam",
        "parameters.epochs is read as num_epochs",
        "metric.name: 'test_avg_pearsonr' is read as val_pearsonr",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{'method': 'grid', 'parameters': {'lr': {'values': [0.1, 0.2]}}, 'run_cap': None,}",
        '{"method": "grid", "parameters": {"lr": {"values": [0.1, 0.2]}}, "run_cap": null}',
        "config: dict = dict(method='grid', parameters=dict(lr=dict(values=[0.1, 0.2])))",
        "sweep = {'method': 'grid'}\np = {'lr': {'values': [0.1]}}\nsweep['parameters'] = p\n"
        "p.update({'lr': {'values': [0.1, 0.2]}})\nsweep['name'] = 'mine'",
        "rates = [0.1, 0.2]\ns = {**{'method': 'grid'}, 'parameters': {}}\ns['parameters']['lr'] = {'values': rates}",
        "    c = {'method': 'grid',\n         'parameters': {'lr': {'values': [0.1, 0.2]}}}\n    wandb.sweep(c)",
        "def f():\n  if True:\n    c = {'method': 'grid', 'parameters': {'lr': {'values': [0.1, 0.2]}}}\nf()",
        "!pip install wandb\nc = {'method': 'grid', 'parameters': {'lr': {'values': [0.1, 0.2]}}}\nprint(c)",
        "method: grid\ndescription: lr = {x}\nparameters: {lr: {values: [0.1, 0.2]}}",
        "method: grid\nparameters: {optimizer: {parameters: {lr: {values: [0.1, 0.2]}, type: {value: sgd}}}}",
        "method: grid\nparameters: {optimizer.lr: {distribution: categorical, values: [0.1, 0.2]}}",
        "method: grid\nparameters: {Learning-Rate: {values: [0.1, 0.2]}, opt: {value: {name: adamw}}}",
        ".shared: {rates: &rates {values: [0.1, 0.2]}}\nmethod: grid\nparameters: {lr: *rates}",
        "x: &x\n  lr: {values: [9]}\nmethod: grid\nparameters:\n  <<: *x\n  lr: {values: [0.1, 0.2]}",
        "method: grid\nparameters: {lr: &a {values: [0.1, 0.2]}, x: {<<: *a}}\nkind: sweep\napiVersion: 1",
    ],
)  # fmt: skip
def test_a_sweep_may_be_written_in_many_ways(text: str):
    assert [config.learning_rate for config in parse_spec(text).grid()] == [0.1, 0.2]


def test_the_count_of_an_agent_bounds_a_search_and_a_range_is_a_list():
    text = "c = {'method': 'random', 'parameters': {'batch_size': {'values': list(range(8, 40, 8))}}}\n"
    spec = parse_spec(f"{text}wandb.agent(wandb.sweep(c), function=train, count=3)")
    assert (spec.run_cap, spec.parameters[0].values) == (3, (8, 16, 24, 32))


def test_what_is_missing_is_said_with_what_is_not_here():
    message = refusal("method: random\nparameters: {momentum: {value: 1}, lr: {min: 0.1, max: 0.2}}")
    assert message.startswith("run_cap: missing")
    assert "; parameters.momentum: no such hyperparameter" in message


def test_exponents_may_be_computed():
    text = (
        "import math\nc = {'method': 'random', 'run_cap': 3, 'parameters': {'lr': {'distribution': 'log_uniform',\n"
    )
    (parameter,) = parse_spec(f"{text} 'min': math.log(1e-5), 'max': np.log(0.1)}}}}}}").parameters
    assert (parameter.at(0.0), parameter.at(1.0)) == pytest.approx((1e-5, 0.1))


def test_all_that_is_wrong_is_said_at_once():
    text = "method: grids\nrun_cap: 0\nparameters: {learning_rate: {value: fast}, zzz: {value: 1}, seed: {min: 1}}"
    assert refusal(text).startswith(
        "method: 'grids'; allowed: grid, random, bayes; parameters.learning_rate: 'fast' should be a valid number; "
        "parameters.seed: min and max belong together; given: min; run_cap: 0; expected"
    )
    assert "parameters.zzz: no such hyperparameter" in refusal(text)


def test_a_goal_that_wandb_would_take_otherwise_is_said():
    spec = parse_spec(GRID + "metric: {name: val_pearsonr}")
    assert (spec.goal, spec.notes) == (
        "maximize",
        ("metric.goal is missing, for which W&B would minimize; here val_pearsonr is maximized",),
    )


def test_a_metric_that_is_not_here_stops_only_a_search_that_needs_it():
    spec = parse_spec(GRID + "metric: {name: accuracy, goal: maximize}")
    assert (spec.metric, spec.goal) == ("val_loss", "minimize")
    assert spec.notes == ("metric.name: 'accuracy' is not measured here; runs are judged by val_loss",)
    assert "allowed: val_loss" in refusal(
        GRID + "metric: {name: accuracy}\nearly_terminate: {type: hyperband, min_iter: 3}"
    )


def reference_milestones(rule: dict[str, float]) -> list[int]:
    """Re-made from `hyperband_stop_runs` in `src/sweeps/hyperband_stopping.py` of github.com/wandb/sweeps."""
    epochs, epoch = [], rule.get("max_iter", rule.get("min_iter"))
    if "max_iter" in rule:
        for _ in range(int(rule["s"])):
            epoch /= rule["eta"]
            if epoch < 1:
                break
            epochs.append(int(epoch))
        return sorted(set(epochs))
    for _ in range(100):
        epochs.append(int(epoch))
        epoch *= rule["eta"]
    return sorted(set(epochs))


def test_milestones_are_those_of_the_reference_for_random_rules():
    rng = np.random.default_rng(0)
    for number in range(200):
        eta = int(rng.integers(2, 12)) if number % 3 else round(float(rng.uniform(1.1, 8)), 2)
        rule = {"max_iter": int(rng.integers(1, 2000)), "s": int(rng.integers(1, 8)), "eta": eta}
        if number % 2:
            rule = {"min_iter": int(rng.integers(1, 200)), "eta": eta}
        expected = [epoch for epoch in reference_milestones(rule) if epoch <= 10_000]
        about = ", ".join(f"{key}: {value}" for key, value in rule.items())
        if expected:
            assert list(stop(about).milestones) == expected, about
        else:
            assert "no epoch to judge at" in refusal(f"{GRID}early_terminate: {{type: hyperband, {about}}}")


PIECES = [
    *re.findall(r"[\w.-]+|[{}\[\]:,\n]|  ", VALID),
    "1e999",
    "null",
    "true",
    "*a",
    "&a",
    "!!python/object:os.x",
    "-",
]


@settings(max_examples=250)
@given(st.data())
def test_a_mutated_file_is_a_sound_sweep_or_one_clear_line(data: st.DataObject):
    text = VALID
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        text = text[:place] + data.draw(st.sampled_from(PIECES)) + text[place + data.draw(st.integers(0, 6)) :]
    try:
        spec = parse_spec(text)
    except ValueError as error:
        said = str(error)
    else:
        said = "a sweep"
        _check_sound(spec)
    assert "\n" not in said
    assert 0 < len(said) < 2000


def _check_sound(spec: Spec) -> None:
    size = spec.size()
    assert size is not None
    assert 1 <= size <= 10_000
    for parameter in spec.parameters:
        for place in (0.0, 0.5, 1.0):
            value = parameter.at(place)
            assert not (isinstance(value, float) and math.isnan(value))
            TrainConfig(**{parameter.field: value})
