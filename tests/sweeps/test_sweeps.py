"""What a sweep runs next, and what it tells of how long that takes."""

from collections.abc import Callable

import numpy as np
import pytest
from stand_in import make_rows

from tfbind.config import TrainConfig
from tfbind.runs.record import RunRecord
from tfbind.sweeps import controller, search
from tfbind.sweeps.controller import share_of_cores
from tfbind.sweeps.plan import makespan, plan_sweep, progress
from tfbind.sweeps.search import Spec
from tfbind.sweeps.spec import parse_spec

SEARCH = """
metric: {{name: val_loss, goal: minimize}}
run_cap: {cap}
parameters:
  learning_rate: {{distribution: log_uniform_values, min: 1e-4, max: 1e-1}}
  num_channels: {{values: [4, 8, 16]}}
"""


def ran(
    spec: Spec, config: TrainConfig, number: int, state: str = "finished", losses: list[float] | None = None
) -> RunRecord:
    """A run of `config` as a comparison sees it, on this machine's device and threads."""
    values = [1.0] if losses is None else losses
    rows = [row | {"val_loss": loss} for row, loss in zip(make_rows(len(values)), values, strict=True)]
    record = config.model_copy(update={"device": "cpu", "threads": 2}).model_dump()
    return RunRecord(f"r{number}", f"r{number}", controller.run_name(spec, config), state, "local", "s", record, rows)


def all_runs(spec: Spec, loss: Callable[[TrainConfig], float]) -> list[RunRecord]:
    """Every run of a sweep, one after the other, where training gives `loss`."""
    past: list[RunRecord] = []
    while configs := search.next_configs(spec, past, search.generator(spec, past)):
        past += [ran(spec, config, len(past) + place, losses=[loss(config)]) for place, config in enumerate(configs)]
    return past


def test_a_grid_is_what_is_not_there_yet():
    spec = parse_spec(
        "method: grid\nparameters: {learning_rate: {values: [0.1, 0.01]}, num_channels: {values: [4, 8]}}"
    )
    rng = np.random.default_rng(0)
    first, second, *others = search.next_configs(spec, [], rng, 9)
    assert len(others) == 2
    past = [ran(spec, second, 0, "failed"), ran(spec, first, 1, "running")]
    assert search.next_configs(spec, past, rng, 9) == others
    assert search.next_configs(spec, past, rng, 1) == others[:1]
    assert search.next_configs(spec, [ran(spec, each, 0) for each in (first, second, *others)], rng, 9) == []


def test_device_and_threads_make_no_other_point_unless_they_are_varied():
    spec = parse_spec("method: grid\nparameters: {threads: {values: [1, 2]}}")
    past = [ran(spec, TrainConfig(), 0)]  # on two threads
    assert [config.threads for config in search.next_configs(spec, past, np.random.default_rng(0), 9)] == [1]
    plain = parse_spec("method: grid\nparameters: {learning_rate: {value: 0.01}}")
    assert search.next_configs(plain, past, np.random.default_rng(0), 9) == []


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_a_search_is_repeated_by_its_seed_and_repeats_nothing(method: str):
    spec = parse_spec(f"method: {method}\n{SEARCH.format(cap=14)}")
    found, again = (all_runs(spec, lambda config: abs(np.log10(config.learning_rate) + 2)) for _ in range(2))
    assert [run.config for run in found] == [run.config for run in again]
    points = {(run.config["learning_rate"], run.config["num_channels"]) for run in found}
    assert len(points) == len(found) == 14
    other = parse_spec(f"method: {method}\n{SEARCH.format(cap=14)}", TrainConfig(seed=1))
    assert all_runs(other, lambda _: 1.0)[0].config["learning_rate"] != found[0].config["learning_rate"]


def test_a_random_search_goes_on_in_one_sequence_however_many_start_at_once():
    spec = parse_spec(f"method: random\n{SEARCH.format(cap=6)}")
    at_once = search.next_configs(spec, [], search.generator(spec), 6)
    one_by_one = [run.config["learning_rate"] for run in all_runs(spec, lambda _: 1.0)]
    assert [config.learning_rate for config in at_once] == one_by_one


def test_a_guided_search_learns_from_its_runs():
    def loss(config: TrainConfig) -> float:
        return float(abs(np.log10(config.learning_rate) + 2))

    medians = {
        method: np.median([loss(TrainConfig(learning_rate=run.config["learning_rate"])) for run in past[15:]])
        for method in ("random", "bayes")
        for past in [all_runs(parse_spec(f"method: {method}\n{SEARCH.format(cap=40)}"), loss)]
    }
    assert medians["bayes"] < 0.5 * medians["random"]


def test_a_search_over_few_values_ends_when_all_are_there():
    spec = parse_spec(
        "method: random\nrun_cap: 50\nparameters: {num_channels: {values: [4, 8]}, norm: {values: [layer, batch]}}"
    )
    assert len(all_runs(spec, lambda _: 1.0)) == spec.size() == 4


def test_each_configuration_of_a_search_runs_with_each_seed():
    spec = parse_spec(f"method: random\nreplicates: 3\n{SEARCH.format(cap=9)}")
    past = all_runs(spec, lambda _: 1.0)
    seeds: dict[float, list[int]] = {}
    for run in past:
        seeds.setdefault(run.config["learning_rate"], []).append(run.config["seed"])
    assert [sorted(each) for each in seeds.values()] == [[0, 1, 2]] * 3


def test_the_best_run_is_that_of_the_best_epoch_by_the_goal():
    spec = parse_spec("method: grid\nparameters: {learning_rate: {value: 0.01}}")
    past = [
        ran(spec, TrainConfig(), number, losses=losses) for number, losses in enumerate([[3, 1, 2], [2, 1.5], []])
    ]
    best = search.best_run(spec, past)
    assert best
    assert (best.id, search.metric_value(spec, best), search.metric_value(spec, past[2])) == ("r0", 1, None)
    assert search.best_run(spec, past[2:]) is None


def test_hyperband_ends_the_worse_two_thirds_at_each_milestone():
    spec = parse_spec(
        "method: grid\nparameters: {learning_rate: {value: 0.01}, num_epochs: {value: 20}}\n"
        "early_terminate: {type: hyperband, min_iter: 2, eta: 3}"
    )
    config = spec.base

    def judged(*curves: list[float], state: str = "running") -> set[str]:
        past = [ran(spec, config, number, state, losses) for number, losses in enumerate(curves)]
        return set(search.runs_to_prune(spec, past))

    assert judged([5.0], [4.0], [3.0]) == set()  # nobody has reached epoch 2
    assert judged([9, 1.0], [9, 2.0], [9, 3.0]) == {"r1", "r2"}
    assert judged([9, 1.0], [9, 2.0], [9, 3.0], state="finished") == set()
    # At epoch 6 the first is alone; the others are behind, and judged at epoch 2 against what was there at epoch 2.
    assert judged([9, 5.0, 4, 3, 2, 1], [9, 2.0, 2], [9, 3.0, 3]) == {"r2"}


def test_a_run_is_judged_by_its_best_so_far_and_where_strict_by_the_milestone():
    curves = [[9, 5.0, 4, 3, 2, 1], [9, 2.0, 2], [9, 3.0, 2], [1, 4.0, 4]]

    def judged(more: str, goal: str = "minimize", sign: int = 1) -> dict[str, str]:
        spec = parse_spec(
            f"method: grid\nmetric: {{name: val_loss, goal: {goal}}}\n"
            "parameters: {learning_rate: {value: 0.01}, num_epochs: {value: 20}}\n"
            f"early_terminate: {{type: hyperband, min_iter: 2, eta: 3{more}}}"
        )
        signed = [[sign * value for value in curve] for curve in curves]
        return search.runs_to_prune(
            spec, [ran(spec, spec.base, place, "running", one) for place, one in enumerate(signed)]
        )

    assert judged("") == judged(", strict: false") == judged("", "maximize", -1) == {}
    assert set(judged(", strict: true")) == set(judged(", strict: true", "maximize", -1)) == {"r2", "r3"}
    assert judged(", strict: true")["r2"] == "val_loss 3 is not among the best at epoch 2"
    curves[2] = [9, 3.0, 2.5]
    assert judged("")["r2"] == "val_loss 2.5 by epoch 3 is not among the best at epoch 2"


def test_nobody_is_judged_between_milestones_or_at_the_last_epoch():
    def judged(about: str, epochs: int, *curves: list[float]) -> set[str]:
        spec = parse_spec(
            f"method: grid\nparameters: {{num_epochs: {{value: {epochs}}}}}\n"
            f"early_terminate: {{type: hyperband, {about}}}"
        )
        return set(
            search.runs_to_prune(
                spec, [ran(spec, spec.base, place, "running", one) for place, one in enumerate(curves)]
            )
        )

    curves = [[5, 1, 1, 1.0], [5, 1, 3, 4.0]]
    assert judged("max_iter: 5, s: 2, eta: 2", 9, *curves) == set()  # epochs 1 and 2: the third and fourth are none
    assert judged("max_iter: 9, s: 1, eta: 3, strict: true", 9, *curves) == {"r1"}
    assert judged("max_iter: 9, s: 1, eta: 3, strict: true", 3, *[curve[:3] for curve in curves]) == set()


def test_cores_are_shared_and_the_last_runs_take_them_all():
    assert share_of_cores(2, 2) == 1
    assert share_of_cores(2, 2, to_come=3) == 1
    assert share_of_cores(2, 2, to_come=1, parts_left=[0.1]) == 2  # it waits for the one that is nearly done
    assert share_of_cores(2, 2, to_come=1, parts_left=[0.9]) == 1
    assert share_of_cores(2, 1, to_come=5) == 2
    assert share_of_cores(8, 8, to_come=3, parts_left=[0.2]) == 2


def test_a_plan_says_how_many_and_how_long():
    spec = parse_spec("method: grid\nparameters: {learning_rate: {values: [0.1, 0.01, 0.001]}, device: {value: cpu}}")
    one, two = (plan_sweep(spec, {"builtin": (1000, 300)}, [], parallel) for parallel in (1, 2))
    assert (one.runs, two.at_once, [config.learning_rate for config in one.configs]) == (3, 2, [0.1, 0.01, 0.001])
    assert not one.time.measured
    assert one.time.seconds > 0
    assert makespan([3, 2, 2], 2) == 4
    assert makespan([3, 2, 2], 1) == 7


def test_progress_counts_epochs_of_all_runs():
    spec = parse_spec("method: grid\nparameters: {learning_rate: {values: [0.1, 0.01]}, num_epochs: {value: 4}}")
    first, second = spec.grid()
    half = progress(spec, [ran(spec, first, 0, losses=[1, 1, 1, 1])], 1)
    assert (half.ended, half.total, half.share, half.seconds_left) == (
        1,
        2,
        0.5,
        4 * 2.0 + 6,
    )  # 2 s an epoch, and a start
    assert progress(spec, [], 1).seconds_left is None
    whole = progress(spec, [ran(spec, each, 0, losses=[1, 1, 1, 1]) for each in (first, second)], 1)
    assert (whole.ended, whole.share) == (2, 1.0)


def test_hyperband_spares_the_run_that_is_best_by_now_though_it_was_not_at_the_milestone():
    spec = parse_spec(
        "method: grid\nparameters: {learning_rate: {value: 0.01}, num_epochs: {value: 20}}\n"
        "early_terminate: {type: hyperband, min_iter: 3, eta: 3}"
    )

    def judged(*curves: list[float]) -> list[str]:
        return list(
            search.runs_to_prune(spec, [ran(spec, spec.base, n, "running", curve) for n, curve in enumerate(curves)])
        )

    assert judged([9, 8, 3, 1, 0.5], [9, 8, 2], [9, 8, 2.5]) == ["r2"]
    assert judged([9, 8, 3], [9, 8, 2], [9, 8, 2.5]) == ["r0", "r2"]
