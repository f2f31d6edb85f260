"""What a sweep runs next, and real controllers: killed, resumed, stopped, extended, retried."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stand_in import make_rows
from toy import toy_config, toy_home

from tfbind import data_care, launch, runs, sweep_control, sweep_folder, sweeps
from tfbind.config import PROJECT, TrainConfig
from tfbind.datasets import keep, open_dataset
from tfbind.files import words
from tfbind.history import Past
from tfbind.pairs import Pair
from tfbind.runs import ACTIVE
from tfbind.sweep_control import share_of_cores
from tfbind.sweep_folder import Sweep
from tfbind.sweep_plan import makespan, plan, progress
from tfbind.sweep_space import Spec
from tfbind.sweep_spec import parse_spec

SMALL = "num_channels: {value: 4}, num_res_blocks: {value: 1}, batch_size: {value: 8}"
SEARCH = """
metric: {{name: val_loss, goal: minimize}}
run_cap: {cap}
parameters:
  learning_rate: {{distribution: log_uniform_values, min: 1e-4, max: 1e-1}}
  num_channels: {{values: [4, 8, 16]}}
"""


def ran(
    spec: Spec, config: TrainConfig, number: int, state: str = "finished", losses: list[float] | None = None
) -> Past:
    """A run of `config` as a comparison sees it, on this machine's device and threads."""
    values = [1.0] if losses is None else losses
    rows = [row | {"val_loss": loss} for row, loss in zip(make_rows(len(values)), values, strict=True)]
    record = config.model_copy(update={"device": "cpu", "threads": 2}).model_dump()
    return Past(f"r{number}", f"r{number}", sweep_control.run_name(spec, config), state, "local", "s", record, rows)


def all_runs(spec: Spec, loss: Callable[[TrainConfig], float]) -> list[Past]:
    """Every run of a sweep, one after the other, where training gives `loss`."""
    past: list[Past] = []
    while configs := sweeps.next_configs(spec, past, sweeps.generator(spec, past)):
        past += [ran(spec, config, len(past) + place, losses=[loss(config)]) for place, config in enumerate(configs)]
    return past


# What comes next


def test_a_grid_is_what_is_not_there_yet():
    spec = parse_spec(
        "method: grid\nparameters: {learning_rate: {values: [0.1, 0.01]}, num_channels: {values: [4, 8]}}"
    )
    rng = np.random.default_rng(0)
    first, second, *others = sweeps.next_configs(spec, [], rng, 9)
    assert len(others) == 2
    past = [ran(spec, second, 0, "failed"), ran(spec, first, 1, "running")]
    assert sweeps.next_configs(spec, past, rng, 9) == others
    assert sweeps.next_configs(spec, past, rng, 1) == others[:1]
    assert sweeps.next_configs(spec, [ran(spec, each, 0) for each in (first, second, *others)], rng, 9) == []


def test_device_and_threads_make_no_other_point_unless_they_are_varied():
    spec = parse_spec("method: grid\nparameters: {threads: {values: [1, 2]}}")
    past = [ran(spec, TrainConfig(), 0)]  # on two threads
    assert [config.threads for config in sweeps.next_configs(spec, past, np.random.default_rng(0), 9)] == [1]
    plain = parse_spec("method: grid\nparameters: {learning_rate: {value: 0.01}}")
    assert sweeps.next_configs(plain, past, np.random.default_rng(0), 9) == []


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
    at_once = sweeps.next_configs(spec, [], sweeps.generator(spec), 6)
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
    best = sweeps.best(spec, past)
    assert best
    assert (best.id, sweeps.value(spec, best), sweeps.value(spec, past[2])) == ("r0", 1, None)
    assert sweeps.best(spec, past[2:]) is None


def test_hyperband_ends_the_worse_two_thirds_at_each_milestone():
    spec = parse_spec(
        "method: grid\nparameters: {learning_rate: {value: 0.01}, num_epochs: {value: 20}}\n"
        "early_terminate: {type: hyperband, min_iter: 2, eta: 3}"
    )
    config = spec.base

    def judged(*curves: list[float], state: str = "running") -> set[str]:
        past = [ran(spec, config, number, state, losses) for number, losses in enumerate(curves)]
        return set(sweeps.losing(spec, past))

    assert judged([5.0], [4.0], [3.0]) == set()  # nobody has reached epoch 2
    assert judged([9, 1.0], [9, 2.0], [9, 3.0]) == {"r1", "r2"}
    assert judged([9, 1.0], [9, 2.0], [9, 3.0], state="finished") == set()
    # At epoch 6 the first is alone; the others are behind, and judged at epoch 2 by what was there at epoch 2.
    assert judged([9, 5.0, 4, 3, 2, 1], [9, 2.0, 2], [9, 3.0, 2]) == {"r2"}


def test_cores_are_shared_and_the_last_runs_take_them_all():
    assert share_of_cores(2, 2) == 1
    assert share_of_cores(2, 2, to_come=3) == 1
    assert share_of_cores(2, 2, to_come=1, parts_left=[0.1]) == 2  # it waits for the one that is nearly done
    assert share_of_cores(2, 2, to_come=1, parts_left=[0.9]) == 1
    assert share_of_cores(2, 1, to_come=5) == 2
    assert share_of_cores(8, 8, to_come=3, parts_left=[0.2]) == 2


def test_a_plan_says_how_many_and_how_long():
    spec = parse_spec("method: grid\nparameters: {learning_rate: {values: [0.1, 0.01, 0.001]}, device: {value: cpu}}")
    one, two = (plan(spec, {"builtin": (1000, 300)}, [], parallel) for parallel in (1, 2))
    assert (one.runs, two.at_once, [config.learning_rate for config in one.configs]) == (3, 2, [0.1, 0.01, 0.001])
    assert not one.time.measured
    assert one.time.seconds > 0
    assert makespan([3, 2, 2], 2) == 4
    assert makespan([3, 2, 2], 1) == 7


def test_progress_counts_epochs_of_all_runs():
    spec = parse_spec("method: grid\nparameters: {learning_rate: {values: [0.1, 0.01]}, num_epochs: {value: 4}}")
    first, second = spec.grid()
    half = progress(spec, [ran(spec, first, 0, losses=[1, 1, 1, 1])], 1)
    assert (half.ended, half.total, half.share, half.seconds_left) == (1, 2, 0.5, 4 * 2.0)  # 2 s an epoch
    assert progress(spec, [], 1).seconds_left is None
    whole = progress(spec, [ran(spec, each, 0, losses=[1, 1, 1, 1]) for each in (first, second)], 1)
    assert (whole.ended, whole.share) == (2, 1.0)


# Real processes


@pytest.fixture
def home(tmp_path: Path):
    home = toy_home(tmp_path)
    yield home
    for sweep in sweep_folder.list_sweeps(home):
        kill(sweep)
    for run in runs.list_runs(home):
        kill(run)


def kill(job: runs.Run) -> None:
    status = runs.read_status(job)
    if status.active and status.pid != os.getpid():
        os.kill(status.pid, signal.SIGKILL)


def wait_for(holds: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def grid(rates: list[float], epochs: int, extra: str = "") -> str:
    parameters = f"learning_rate: {{values: {rates}}}, num_epochs: {{value: {epochs}}}, {SMALL}"
    return f"method: grid\nparameters: {{{parameters}, early_stopping_patience: {{value: 10000}}}}\n{extra}"


def command(home: Path, *words: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-m", "tfbind", "sweep", *words, "--json"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def write(home: Path, text: str) -> str:
    path = home / "sweep.yaml"
    path.write_text(text)
    return str(path)


def the_sweep(home: Path) -> Sweep:
    (sweep,) = sweep_folder.list_sweeps(home)
    return sweep


def rates(sweep: Sweep) -> list[float]:
    return sorted(runs.read_config(run).learning_rate for run in sweep_folder.sweep_runs(sweep))


def test_a_controller_killed_half_way_is_resumed_and_repeats_nothing(home: Path):
    text = grid([0.1, 0.03, 0.01, 0.003], 60)
    controller = command(home, write(home, text), "--dataset", "toy", "--id", "mine")
    wait_for(
        lambda: (
            (home / "sweeps" / "mine").exists() and any(map(runs.read_rows, sweep_folder.sweep_runs(the_sweep(home))))
        )
    )
    controller.kill()
    controller.communicate()
    sweep = the_sweep(home)
    assert runs.read_status(sweep).state == "crashed"
    before = sweep_folder.sweep_runs(sweep)
    assert 0 < len(before) < 4
    wait_for(lambda: not any(runs.read_status(run).active for run in before))
    assert {runs.read_status(run).state for run in before} == {"finished"}  # they went on without it
    again = command(home, "--resume", "mine")
    said, complaint = again.communicate(timeout=120)
    assert again.returncode == 0, complaint
    answer = json.loads(said.splitlines()[-1])
    assert (answer["id"], answer["state"]) == ("mine", "finished")
    assert rates(sweep) == [0.003, 0.01, 0.03, 0.1]
    assert [run.id for run in sweep_folder.sweep_runs(sweep)][: len(before)] == [run.id for run in before]
    assert answer["best"] in {run["id"] for run in answer["runs"]}
    best = min(answer["runs"], key=lambda run: run["val_loss"])
    assert best["id"] == answer["best"]
    assert [len(runs.read_rows(run)) for run in sweep_folder.sweep_runs(sweep)] == [60] * 4
    assert sweep_folder.read_text(sweep) == text
    _extend_and_retry(sweep)


def _extend_and_retry(sweep: Sweep) -> None:
    """The same sweep goes on: a value more in the grid, a run by hand, and a failed run tried again."""
    added = sweep_control.add_run(
        sweep, next(sweep_folder.read_spec(sweep).grid()).model_copy(update={"num_epochs": 1})
    )
    wait_for(lambda: not runs.read_status(added).active)
    with pytest.raises(ValueError, match=f"run {added.id} of this sweep has that configuration already"):
        sweep_control.add_run(sweep, runs.read_config(added))
    runs.take_over(added, "failed", error="a full disk")
    (added.folder / runs.METRICS).write_text("")
    sweep_folder.extend(sweep, grid([0.1, 0.03, 0.01, 0.003, 0.3], 60))
    sweep_control.retry(sweep)
    wait_for(lambda: not runs.read_status(sweep).active)
    assert runs.read_status(sweep).state == "finished"
    assert rates(sweep) == [0.003, 0.01, 0.03, 0.1, 0.1, 0.3]
    assert runs.read_status(added).state == "finished"
    assert (sweep.folder / "spec-1.yaml").read_text() == grid([0.1, 0.03, 0.01, 0.003], 60)


def test_sigterm_stops_the_runs_and_resume_goes_on_with_them(home: Path):
    controller = command(home, write(home, grid([0.1, 0.01, 0.001], 4000)), "--dataset", "toy", "--id", "mine")
    wait_for(
        lambda: (
            (home / "sweeps" / "mine").exists() and any(map(runs.read_rows, sweep_folder.sweep_runs(the_sweep(home))))
        )
    )
    controller.send_signal(signal.SIGTERM)
    controller.communicate(timeout=60)
    assert controller.returncode == 130
    sweep = the_sweep(home)
    stopped = sweep_folder.sweep_runs(sweep)
    assert runs.read_status(sweep).state == "killed"
    assert {runs.read_status(run).state for run in stopped} == {"killed"}
    kept = {run.id: len(runs.read_rows(run)) for run in stopped}
    sweep_control.resume(sweep)
    with pytest.raises(ValueError, match="already"):
        sweep_control.resume(sweep)
    wait_for(lambda: all(len(runs.read_rows(run)) > kept[run.id] for run in stopped))
    assert [run.id for run in sweep_folder.sweep_runs(sweep)] == [run.id for run in stopped]
    sweep_control.stop(sweep)
    assert not sweep_control.active_runs(sweep)
    with pytest.raises(ValueError, match="only a pending or running sweep can be stopped"):
        sweep_control.stop(sweep)


def test_what_has_lost_is_pruned_and_the_sweep_ends(home: Path):
    extra = "early_terminate: {type: hyperband, min_iter: 2, eta: 2}\n"
    text = grid([0.01, 1e-9, 1e-8], 400, extra)
    done = command(home, write(home, text), "--dataset", "toy", "--parallel", "2")
    _, complaint = done.communicate(timeout=150)
    assert done.returncode == 0, complaint
    past = sweep_folder.past(the_sweep(home))
    states = {run.config["learning_rate"]: run.state for run in past}
    assert states == {0.01: "finished", 1e-9: "pruned", 1e-8: "pruned"}
    assert all(len(run.rows) < 400 for run in past if run.state == "pruned")
    assert next(run for run in past if run.state == "pruned").error.startswith("pruned: val_loss")


def test_a_bad_file_is_one_line_and_nothing_is_made(home: Path):
    for text, said in [(grid([-1.0], 1), "parameters.learning_rate: -1.0"), ("method: grid", "parameters: expected")]:
        tried = command(home, write(home, text), "--dataset", "toy")
        _, complaint = tried.communicate(timeout=60)
        assert tried.returncode == 2
        assert said in complaint
        assert complaint.count("\n") == 1
    tried = command(home, write(home, grid([0.1], 1)), "--dataset", "nowhere")
    _, complaint = tried.communicate(timeout=60)
    assert (tried.returncode, "nowhere" in complaint) == (2, True)
    assert sweep_folder.list_sweeps(home) == []
    with pytest.raises(ValueError, match="no sweep 'gone'"):
        sweep_folder.find(home, "gone")


def test_a_sweep_whose_data_set_vanishes_fails_with_a_reason(home: Path):
    sweep = sweep_folder.create(home, grid([0.1], 1), toy_config())
    (home / "data" / "toy").rename(home / "data" / "gone")
    assert sweep_control.Controller(sweep).work() == "failed"
    assert "toy" in (runs.read_status(sweep).error or "")


def test_a_sweep_finds_its_data_by_their_content_and_repeats_nothing_of_it(home: Path):
    """Renamed, with other data under the old name; named anew in the sweep's file; then gone."""
    sweep = sweep_folder.create(home, grid([0.1], 1), toy_config())
    assert sweep_control.Controller(sweep).work() == "finished"
    learnt = data_care.rename(home, "toy", "mine").hash
    stored = open_dataset(home, "mine")
    keep(home, "toy", Pair(stored.names, stored.codes, stored.scores + 1), {"kind": "pair"})
    sweep_folder.extend(sweep, grid([0.1, 0.01], 1))
    sweep_control.resume(sweep)  # as the page does
    wait_for(lambda: not runs.read_status(sweep).active)
    assert (runs.read_status(sweep).state, runs.read_status(sweep).error) == ("finished", None)
    assert rates(sweep) == [0.01, 0.1]
    first, second = (runs.read_record(run) for run in sweep_folder.sweep_runs(sweep))
    assert (first["dataset"], second["dataset"]) == ("toy", "mine")
    assert first["dataset_hash"] == second["dataset_hash"] == learnt

    by_hand = runs.read_config(sweep_folder.sweep_runs(sweep)[0])
    with pytest.raises(ValueError, match="of this sweep has that configuration already"):
        sweep_control.add_run(sweep, by_hand.model_copy(update={"dataset": "mine"}))
    sweep_folder.extend(sweep, grid([0.1, 0.01], 1).replace("num_epochs", "dataset: {value: mine}, num_epochs"))
    assert sweep_control.Controller(sweep).work() == "finished"
    assert rates(sweep) == [0.01, 0.1]

    data_care.delete(home, "mine")
    with pytest.raises(ValueError, match="are not here: the data set toy has changed since"):
        sweep_folder.extend(sweep, grid([0.1, 0.01, 0.001], 1))
    assert sweep_folder.read_spec(sweep).size() == 2
    assert [run.state for run in sweep_folder.past(sweep)] == ["finished", "finished"]


def test_a_run_that_its_user_stopped_is_left_alone(home: Path):
    sweep = sweep_folder.create(home, grid([0.1], 3), toy_config())
    run = launch.prepare(home, next(sweep_folder.read_spec(sweep).grid()), launch.Order(sweep=sweep.id))
    runs.request_stop(run)
    runs.take_over(run, "killed", ended=time.time())
    assert sweep_control.Controller(sweep).work() == "finished"
    assert runs.read_status(run).state == "killed"
    assert [each.state for each in sweep_folder.past(sweep)] == ["killed"]
    assert not any(each.state in ACTIVE for each in sweep_folder.past(sweep))


def test_of_runs_that_failed_a_resumed_sweep_goes_on_with_those_that_found_the_disk_full(home: Path):
    sweep = sweep_folder.create(home, grid([0.1, 0.01], 3), toy_config())
    full, own = (
        launch.prepare(home, config, launch.Order(sweep=sweep.id)) for config in sweep_folder.read_spec(sweep).grid()
    )
    no_room = OSError(errno.ENOSPC, "No space left on device", str(full.folder / runs.CHECKPOINT))
    for run, error in ((full, no_room), (own, ValueError("the loss is not finite"))):
        runs.take_over(run, "failed", ended=time.time(), error=words(error))
    assert sweep_control.Controller(sweep).work() == "finished"
    assert [runs.read_status(run).state for run in (full, own)] == ["finished", "failed"]
    assert len(sweep_folder.sweep_runs(sweep)) == 2
