"""What a sweep is said to do before it starts, a line each."""

import pytest

from tfbind.sweeps.plan import describe_plan
from tfbind.sweeps.spec import parse_spec

SIZES = {"builtin": (12_000, 300)}
MANY = {"builtin": (1_000_000, 300)}
FEWER = ["run_cap is 5; these values make only 1 different run"]
TWO = ["run_cap is 5; these values make only 2 different runs"]
RATE = "method: random\nrun_cap: 5\nparameters: {learning_rate: "


def said(text: str) -> list[str]:
    return describe_plan(parse_spec(text), MANY)


@pytest.mark.parametrize(
    ("about", "line"),
    [
        ("min: 0.0001, max: 0.1", "0.0001 to 0.1, drawn evenly"),
        ("distribution: log_uniform_values, min: 1e-4, max: 0.1", "0.0001 to 0.1, drawn evenly on a log scale"),
        (
            "distribution: log_uniform, min: -9.2103404, max: -4.6051702",
            "0.0001 to 0.01, drawn evenly on a log scale: log_uniform takes its -9.21034 to -4.60517 as "
            "exponents of e",
        ),
        (
            "distribution: log_uniform, min: 0.0001, max: 0.1",
            "1.0001 to 1.10517, drawn evenly on a log scale: log_uniform takes its 0.0001 to 0.1 as exponents of e; "
            "for 0.0001 to 0.1 as they stand say log_uniform_values",
        ),
        (
            "distribution: log_uniform, min: '0', max: '1e-1'",
            "1 to 1.10517, drawn evenly on a log scale: log_uniform takes its 0 to 0.1 as exponents of e; "
            "for 0 to 0.1 as they stand say log_uniform_values",
        ),
        ("distribution: q_uniform, q: 0.25, min: 0.5, max: 2", "0.5 to 2 in multiples of 0.25, drawn evenly"),
        (
            "distribution: q_log_uniform_values, min: 0.001, max: 0.1",
            "always 0.001, the only value in multiples of 1",
        ),
        ("min: 0.1, max: 0.1", "always 0.1"),
        ("min: 0, max: 0.1", "above 0 to 0.1, drawn evenly"),
        (
            "distribution: inv_log_uniform, min: 2, max: 5",
            "0.00673795 to 0.135335, drawn evenly on a log scale: inv_log_uniform takes its 2 to 5 as negative "
            "exponents of e; for 2 to 5 as they stand say inv_log_uniform_values",
        ),
        (
            "distribution: log_normal, mu: -5, sigma: 1",
            "log-normal with mu -5 and sigma 1: 98 of 100 draws lie from 0.000657972 to 0.0689998",
        ),
        (
            "distribution: q_normal, mu: 0.1, sigma: 0.1, q: 0.01",
            "normal with mu 0.1 and sigma 0.1: 98 of 100 draws lie from 0.01 to 0.34 in multiples of 0.01; "
            "15.9 % of it lies outside what this may be, and is left out",
        ),
        ("values: [0.1, 0.1, 0.2]", "0.1 in 0.667 of the draws, 0.2 in 0.333 of the draws"),
    ],
)
def test_the_range_that_a_distribution_really_has_is_said(about: str, line: str):
    assert said(f"{RATE}{{{about}}}}}") == [
        f"learning_rate: {line}",
        *FEWER * (line == "always 0.1"),
        *TWO * ("draws, " in line),
    ]


def test_quantised_exponents_say_their_plain_form():
    (line,) = said(
        "method: random\nrun_cap: 5\nparameters: {batch_size: {distribution: q_log_uniform, min: 4, max: 8}}"
    )
    assert line.startswith(
        "batch_size: 55 to 2981 in multiples of 1, drawn evenly on a log scale: q_log_uniform takes"
    )
    assert line.endswith("say q_log_uniform_values")


def test_whole_numbers_say_their_steps():
    grid = "method: grid\nparameters: {kernel_size: {min: 2, max: 8}, num_channels: {min: 8, max: 12}}"
    assert said(grid) == ["kernel_size: 3 to 7, every odd number", "num_channels: 8 to 12, every whole number"]
    assert said("run_cap: 4\n" + grid.replace("grid", "random"))[1].endswith("every whole number equally likely")
    assert said("method: grid\nparameters: {learning_rate: {values: [0.01, 0.001]}}") == []


def early(about: str, epochs: str) -> list[str]:
    return said(f"method: grid\nparameters: {{num_epochs: {epochs}}}\nearly_terminate: {{type: hyperband, {about}}}")


def test_the_milestones_of_hyperband_are_said():
    start, best = "Hyperband: at epoch ", "a run goes on if its best value so far is among the best 1/"
    assert early("min_iter: 3", "{value: 40}") == [f"{start}3, 9, 27 {best}3 of the values there"]
    assert early("max_iter: 100, s: 2", "{values: [9, 100]}") == [f"{start}11, 33 {best}3 of the values there"]
    assert early("max_iter: 27, s: 2, eta: 2, strict: true", "{value: 99}") == [
        f"{start}6, 13 a run goes on if its value at that epoch is among the best 1/2 of the values there"
    ]
    assert early("min_iter: 1, eta: 1.5", "{value: 9999}")[0].startswith(f"{start}1, 2, 3, 5, 7, 11, 17, 25 … 7481 ")
    assert early("min_iter: 5", "{value: 5}") == [
        "Hyperband ends no run: its first milestone, epoch 5, is not before the last one, 5"
    ]


def test_few_steps_are_said_with_the_batch_that_makes_them_few():
    grid = "method: grid\nparameters: {batch_size: {values: [64, 50000]}, num_epochs: {values: [4, 5]}}"
    assert describe_plan(parse_spec(grid), SIZES) == [
        "2 of 4 runs take few steps, such as one step an epoch, 4 in all (a batch of 50,000 holds all 9,600 training "
        "windows): few to learn from; a smaller batch_size takes more steps"
    ]
    assert describe_plan(parse_spec(grid.replace("50000", "32")), SIZES) == []
    assert describe_plan(parse_spec(grid), {}) == []
    one = "method: grid\nparameters: {batch_size: {value: 2000}, num_epochs: {value: 4}}"
    assert describe_plan(parse_spec(one), SIZES)[0].startswith(
        "it takes 5 steps an epoch, 20 in all (batches of 2,000 from 9"
    )
    guided = "method: bayes\nmetric: {name: val_loss}\nrun_cap: 9\nparameters: {batch_size: {min: 16, max: 9999}}"
    assert describe_plan(parse_spec(guided), SIZES)[1].startswith("a run may take only one step an epoch, 5 in all")


def test_fewer_runs_than_were_asked_for_are_explained():
    text = "method: random\nrun_cap: 20\nparameters: {learning_rate: {values: [0.1, 0.01, 0.001]}}"
    assert said(text) == ["run_cap is 20; these values make only 3 different runs"]
    assert said(text.replace("20", "3")) == []
