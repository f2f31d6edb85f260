"""Sweep files: what is read, what is refused and in which words."""

import math
import re
from itertools import pairwise

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


def test_hyperband_by_its_first_or_its_last_epoch():
    def first(about: str) -> int:
        spec = parse_spec(f"{GRID}early_terminate: {{type: hyperband, {about}}}")
        assert spec.early_stop
        return spec.early_stop.first

    assert first("min_iter: 4") == 4
    assert first("max_iter: 27, s: 2") == 3  # 27 / 3^2


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
        (G + "{learning-rate: {value: 1}}", "learning-rate: no such hyperparameter; did you mean learning_rate?"),
        (G + "{zzz: {value: 1}}", "parameters.zzz: no such hyperparameter; known: dataset"),
        (G + "{learning_rate: 0.1}", "parameters.learning_rate: 0.1; expected {value: …}"),
        (L + "{values: []}}", "parameters.learning_rate.values: []; expected a list"),
        (L + "{values: [fast]}}", "parameters.learning_rate: 'fast' should be a valid number"),
        (L + "{values: [-1]}}", "parameters.learning_rate: -1 should be greater than 0"),
        (L + "{values: [yes]}}", "parameters.learning_rate: True; expected a number"),
        (G + "{kernel_size: {values: [3, 4]}}", "parameters.kernel_size: 4 must be odd"),
        (G + "{num_epochs: {value: 2.5}}", "parameters.num_epochs: 2.5"),
        (L + "{value: 1, values: [1]}}", "expected one of value, values, or min with max"),
        (L + "{min: 0.1}}", "min and max belong together"),
        (L + "{min: 0.1, max: 0.2}}", "a grid needs value or values"),
        (L + "{parameters: {a: {value: 1}}}}", "hyperparameters have no parts"),
        ("method: random\nparameters: {learning_rate: {min: 0.1, max: 0.2}}", "run_cap: missing"),
        (R + "{min: 0.2, max: 0.1}}", "min 0.2 is above max 0.1"),
        (R + "{min: 0, max: 0.1}}", "0.0 should be greater than 0"),
        (R + "{distribution: log_uniform_values, min: 0, max: 1}}", "must begin above 0"),
        (R + "{distribution: normal, min: 0, max: 1}}", "distribution: 'normal'; allowed: constant, categorical"),
        (B + "{distribution: uniform, min: 2, max: 9}}", "batch_size is a whole number; say int_uniform"),
        (B + "{min: .nan, max: 9}}", "parameters.batch_size.min: nan; expected a number"),
        ("method: bayes\nrun_cap: 2\nparameters: {learning_rate: {min: 0.1, max: 0.2}}", "metric: missing"),
        (GRID + "metric: {name: accuracy}", "metric.name: 'accuracy'; allowed: val_loss"),
        (GRID + "metric: {name: val_loss, goal: min}", "metric.goal: 'min'; allowed: minimize, maximize"),
        (GRID + "run_cap: 0", "run_cap: 0; expected a whole number from 1"),
        (GRID + "run_cap: 1.5", "run_cap: 1.5; expected a whole number"),
        (GRID + "replicates: many", "replicates: 'many'; expected a whole number from 1 to 100"),
        (GRID + "early_terminate: {type: median}", "early_terminate.type: 'median'; allowed: hyperband"),
        (GRID + "early_terminate: {type: hyperband}", "expected min_iter"),
        (G + "{seed: {values: [1, 2]}}\nreplicates: 2", "the seed is among the parameters already"),
        (G + "{device: {values: [auto, cpu]}}", "auto stands for one of the others"),
        (G + "{seed: {min: 0, max: 2000000000}}", "more than 10,000 runs"),
        ("a: &a [x]\nb: [*a, *a]", "line 2: the alias *a is not read"),
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
    "about",
    [
        "{distribution: normal, mu: 0.01, sigma: 0.001}",
        "{distribution: q_normal, mu: 0.01, sigma: 0.001, q: 0.001}",
        "{mu: -5, sigma: 1, distribution: log_normal}",
        "{distribution: q_log_normal, mu: -5, sigma: 1}",
        "{distribution: inv_log_uniform, min: 1, max: 5}",
        "{distribution: inv_log_uniform_values, min: 0.001, max: 0.1}",
        "{distribution: beta, a: 2, b: 3}",
    ],
)
def test_a_distribution_that_is_not_known_is_refused_with_those_that_are(about: str):
    name = re.search(r"distribution: (\w+)", about)
    assert name
    assert refusal(f"{R}{about}}}") == (
        f"parameters.learning_rate.distribution: '{name[1]}'; allowed: constant, categorical, uniform, int_uniform, "
        "q_uniform, log_uniform, q_log_uniform, log_uniform_values, q_log_uniform_values"
    )


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
    assert 0 < len(said) < 600


def _check_sound(spec: Spec) -> None:
    size = spec.size()
    assert size is not None
    assert 1 <= size <= 10_000
    for parameter in spec.parameters:
        for place in (0.0, 0.5, 1.0):
            value = parameter.at(place)
            assert not (isinstance(value, float) and math.isnan(value))
            TrainConfig(**{parameter.field: value})
