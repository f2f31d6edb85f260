"""What works beside a run is killed at moments drawn at random: the controller of a sweep, the server of the app, the
process that logs to W&B. The runs never notice, and whoever comes next finds the truth."""

import contextlib
import os
import random
import time
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import yaml
from driving import Server, free_port, serve
from life import LONG, SEED, outcome, tfbind, wait_for_end, wait_until
from toy import toy_config
from visitor import Visitor, visiting
from wandb_server import ENTITY, KEY, WandbServer

from tfbind import launch, runs, sweep_control, sweep_folder, wandb_log
from tfbind.config import TrainConfig
from tfbind.launch import Order
from tfbind.runs import Run
from tfbind.sweep_folder import Sweep

KILLS = 50
RATES = [0.01, 0.003, 0.001, 0.0003]
EPOCHS = 60
SERVER_KILLS = 3  # of each kind
LOG_KILLS = 20
PAUSE_SECONDS = 3.0  # an epoch takes 0.03 s, on a busy machine 0.3


# The controller of a sweep


def start_sweep(home: Path, id: str) -> Sweep:
    """A sweep of four runs, started as a page starts it."""
    fixed = toy_config(num_epochs=EPOCHS).model_dump(exclude={"learning_rate"}, exclude_none=True)
    parameters = {field: {"value": value} for field, value in fixed.items()} | {"learning_rate": {"values": RATES}}
    text = yaml.safe_dump({"method": "grid", "parameters": parameters})
    sweep = sweep_folder.create(home, text, TrainConfig(dataset="toy"), id=id)
    launch.start(sweep, sweep_control.command(home, id, "toy", "seed"))
    return sweep


def child(*words: str) -> psutil.Process | None:
    """The living child of this process whose command line has these words."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE and set(words) <= set(process.cmdline()):
                return process
    return None


def live(process: psutil.Process, seconds: float) -> bool:
    """Let a process live for so long and kill it; False if it had ended by then."""
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(seconds)
        return False
    process.kill()
    process.wait(30)
    return True


def results(sweep: Sweep) -> dict[float, object]:
    return {runs.read_config(run).learning_rate: outcome(run) for run in sweep_folder.sweep_runs(sweep)}


@pytest.mark.timeout(1200)
def test_a_sweep_whose_controller_is_killed_at_any_instant_makes_each_run_once(home: Path) -> None:
    rng = random.Random(SEED)
    undisturbed = start_sweep(home, "undisturbed")
    assert wait_for_end(undisturbed) == "finished"
    kills, number = 0, 0
    while kills < KILLS:
        number += 1
        sweep = start_sweep(home, f"killed-{number}")
        while controller := child("sweep", sweep.id):
            if not live(controller, rng.uniform(0, 6)):
                break
            kills += 1
            assert wait_for_end(sweep) in ("crashed", "finished"), f"seed {SEED}, sweep {number}"
            if runs.read_status(sweep).state == "finished":
                break
            sweep_control.resume(sweep)
        assert wait_for_end(sweep) == "finished", f"seed {SEED}, sweep {number}: {runs.read_status(sweep).error}"
        made = sweep_folder.sweep_runs(sweep)
        assert sorted(runs.read_config(run).learning_rate for run in made) == sorted(RATES), f"seed {SEED}"
        assert {runs.read_status(run).state for run in made} == {"finished"}, f"seed {SEED}, sweep {number}"
        assert results(sweep) == results(undisturbed), f"seed {SEED}, sweep {number}"
    print(f"seed {SEED}: {kills} kills in {number} sweeps")


# The server of the app


@pytest.mark.timeout(600)
def test_a_server_killed_at_any_instant_takes_no_run_with_it(home: Path) -> None:
    rng, port = random.Random(SEED), free_port()
    run = launch.submit(home, toy_config(**LONG), Order(id="served"))
    wait_for_more(run)
    launch.stop(run)
    for attempt in range(SERVER_KILLS):
        with watched(home, port, run) as (server, visitor):  # in the middle of starting a worker
            visitor.press("Resume")
            die(server, rng.uniform(0, 0.5))
        with watched(home, port, run) as (server, visitor):  # while the worker trains
            if not runs.read_status(run).active:
                visitor.press("Resume")
            wait_for_more(run)
            wait_until(lambda visitor=visitor: "running" in visitor.words())
            worker = runs.read_status(run).pid
            die(server, rng.uniform(0, 3))
        wait_for_more(run)
        status = runs.read_status(run)
        assert (status.state, status.pid) == ("running", worker), f"seed {SEED}, attempt {attempt}"
        with watched(home, port, run) as (_, visitor):
            visitor.press("Stop")
            assert wait_for_end(run) == "killed"
            wait_until(lambda visitor=visitor: "killed" in visitor.words())
            assert visitor.last_epochs() == {len(runs.read_rows(run))}, f"seed {SEED}, attempt {attempt}"
    epochs = [row["epoch"] for row in runs.read_rows(run)]
    assert epochs == list(range(1, len(epochs) + 1))


@contextlib.contextmanager
def watched(home: Path, port: int, run: Run) -> Iterator[tuple[Server, Visitor]]:
    """An app, and a session that has seen how far the run is."""
    before, visitor = len(runs.read_rows(run)), Visitor(f"run={run.id}")
    with serve(home, port) as server, visiting(server, [visitor]):
        wait_until(visitor.last_epochs)
        (shown,) = visitor.last_epochs()
        assert before <= shown <= len(runs.read_rows(run)), f"seed {SEED}"
        assert visitor.complaints(["exception"]) == []
        yield server, visitor


def die(server: Server, seconds: float) -> None:
    time.sleep(seconds)
    server.process.kill()
    server.process.wait()


def wait_for_more(run: Run) -> None:
    """Wait until it has trained on."""
    done = len(runs.read_rows(run))
    wait_until(lambda: len(runs.read_rows(run)) > done + 5)


# The process that logs to W&B


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbServer]:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    with WandbServer() as server:
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        yield server


def pauses(run: Run) -> list[float]:
    """Seconds from one epoch to the next, as its log has them."""
    lines = [line for line in (run.folder / runs.LOG).read_text().splitlines() if " epoch " in line]
    times = [datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f") for line in lines]
    return [(after - before).total_seconds() for before, after in pairwise(times)]


@pytest.mark.timeout(1200)
def test_a_logging_process_killed_at_any_instant_costs_no_epoch_on_the_server(home: Path, wandb: WandbServer) -> None:
    rng = random.Random(SEED)
    kills, number = 0, 0
    while kills < LOG_KILLS:
        number += 1
        run = launch.submit(home, toy_config(num_epochs=300, early_stopping_patience=300), Order(wandb="online"))
        wait_until(lambda run=run: (run.folder / runs.WANDB).exists() and wandb_log.read_logged(run))
        logger = psutil.Process(wandb_log.read_logged(run).pid)
        while live(logger, rng.uniform(0, 6)):
            kills += 1
            state = wandb_log.read_logged(run).state
            assert state in ("incomplete", "finished"), f"seed {SEED}, run {number}: {state}"  # finished: at its exit
            logger = psutil.Process(wandb_log.begin_sending(run).pid)
        assert wait_for_end(run) == "finished", f"seed {SEED}, run {number}"
        sent = tfbind(home, "runs", run.id, "--log")
        assert sent.returncode == 0, f"seed {SEED}, run {number}: {sent.stderr}"
        kept = wandb.runs[ENTITY, "tfbind"][run.id]
        assert [row["epoch"] for row in kept.history] == list(range(1, 301)), f"seed {SEED}, run {number}"
        assert kept.state == "finished"
        assert max(pauses(run)) < PAUSE_SECONDS, f"seed {SEED}, run {number}"
    print(f"seed {SEED}: {kills} kills in {number} runs")
