"""What works beside a run is killed at moments drawn at random: the controller of a sweep, the server of the app, the
process that logs to W&B. The runs never notice, and whoever comes next finds the truth."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
import yaml
from driving import Server, free_port, healthy, start_server
from life import LONG, SEED, Start, contents, outcome, said_truly, tfbind, wait_for_end, wait_until
from toy import toy_config
from visitor import Visitor, visiting
from wandb_server import ENTITY, WandbServer

from tfbind.config import TrainConfig
from tfbind.runs import folder, launch
from tfbind.runs.folder import Run
from tfbind.runs.launch import RunRequest
from tfbind.store.atomic import is_draft
from tfbind.sweeps import controller as sweep_control, sweep_folder
from tfbind.sweeps.spec import parse_spec
from tfbind.sweeps.sweep_folder import Sweep
from tfbind.tracking import logger as wandb_log, logger as wandb_logged

KILLS, EXTENSIONS = 50, 4
RATES = [0.01, 0.003, 0.001, 0.0003]
EPOCHS = 60
SERVER_SECONDS = 6.0  # it has drawn a page and done what was asked of it within so long
PAUSE_SECONDS = 3.0  # an epoch takes 0.03 s, on a busy machine 0.3


# The controller of a sweep


def grid(rates: list[float], epochs: int) -> str:
    """The file of a sweep over learning rates."""
    fixed = toy_config(num_epochs=epochs).model_dump(exclude={"learning_rate"}, exclude_none=True)
    parameters = {field: {"value": value} for field, value in fixed.items()} | {"learning_rate": {"values": rates}}
    return yaml.safe_dump({"method": "grid", "parameters": parameters})


def start_sweep(home: Path, id: str) -> Sweep:
    """A sweep of four runs, started as a page starts it."""
    sweep = sweep_folder.create(home, parse_spec(grid(RATES, EPOCHS), TrainConfig(dataset="toy")), id=id)
    sweep.spawn(sweep_control.command(home, id, "toy", "seed"))
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
    return {folder.read_config(run).learning_rate: outcome(run) for run in sweep_folder.sweep_runs(sweep)}


@pytest.mark.timeout(1200)
def test_a_sweep_whose_controller_is_killed_at_any_instant_makes_each_run_once(home: Path) -> None:
    rng = random.Random(SEED)
    undisturbed = start_sweep(home, "undisturbed")
    assert wait_for_end(undisturbed) == "finished"
    users = contents(home / "data", undisturbed.folder)
    kills, number = 0, 0
    while kills < KILLS:
        number += 1
        sweep = start_sweep(home, f"killed-{number}")
        while controller := child("sweep", sweep.id):
            if not live(controller, rng.uniform(0, 6)):
                break
            kills += 1
            if wait_for_end(sweep) == "finished":  # it was at its exit
                break
            status = sweep.status()
            assert status.state == "crashed", f"seed {SEED}, sweep {number}"
            assert "ended" in (status.error or ""), f"seed {SEED}, sweep {number}: {status}"
            sweep_control.resume(sweep)
        assert wait_for_end(sweep) == "finished", f"seed {SEED}, sweep {number}: {sweep.status().error}"
        made = sweep_folder.sweep_runs(sweep)
        assert sorted(folder.read_config(run).learning_rate for run in made) == sorted(RATES), f"seed {SEED}"
        assert {run.state for run in made} == {"finished"}, f"seed {SEED}, sweep {number}"
        assert results(sweep) == results(undisturbed), f"seed {SEED}, sweep {number}"
    assert contents(home / "data", undisturbed.folder) == users
    print(f"seed {SEED}: {kills} kills in {number} sweeps")


@pytest.mark.timeout(600)
def test_an_extension_killed_at_any_instant_loses_no_file_and_makes_each_run_once(
    home: Path, start: Start, tmp_path: Path
) -> None:
    """Every other one in the moments around those in which it replaces the sweep's file."""
    rng, short, long = random.Random(SEED), grid(RATES[:1], 2), grid(RATES[:2], 2)
    (tmp_path / "short.yaml").write_text(short)
    (tmp_path / "long.yaml").write_text(long)
    assert tfbind(home, "sweep", str(tmp_path / "short.yaml"), "--id", "race").returncode == 0
    shutil.copytree(home, tmp_path / "begun")
    race, kills = sweep_folder.find(home, "race"), 0

    def extend() -> psutil.Process:
        return psutil.Process(start("sweep", "--extend", "race", str(tmp_path / "long.yaml")).pid)

    begun, process = time.monotonic(), extend()
    wait_until(lambda: sweep_folder.read_text(race) == long)
    replaced = time.monotonic() - begun
    process.wait(120)
    whole, lived = results(race), time.monotonic() - begun
    assert len(whole) == 2
    for number in range(EXTENSIONS):
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "begun", home)
        span = (0.8 * replaced, 1.2 * replaced) if number % 2 else (0, lived)
        kills += live(extend(), rng.uniform(*span))
        said = f"seed {SEED}, extension {number}"
        assert sweep_folder.read_text(race) in (short, long), said
        wait_until(lambda: not any(run.status().active for run in sweep_folder.sweep_runs(race)))
        again = tfbind(home, "sweep", "--extend", "race", str(tmp_path / "long.yaml"))
        assert again.returncode == 0, f"{said}: {again.stderr}"
        assert race.state == "finished", said
        assert len(sweep_folder.sweep_runs(race)) == 2, said
        assert results(race) == whole, said
        files = {path.name: path.read_text() for path in race.folder.glob("*.yaml")}
        assert files == {sweep_folder.SPEC: long, "spec-1.yaml": short}, said
        assert not any(is_draft(path.name) for path in race.folder.iterdir()), said
    print(f"seed {SEED}: {kills} kills in {lived:.1f} s of life, the file is replaced after {replaced:.1f} s")
    assert kills > 0


# The server of the app


@pytest.mark.timeout(1200)
def test_a_server_killed_at_any_instant_takes_no_run_with_it(home: Path) -> None:
    """From its first import to well after a press: each is asked to stop the run if it runs, else to resume it."""
    rng, port = random.Random(SEED), free_port()
    run = launch.submit(
        home, toy_config(**LONG), RunRequest(id=f"served-{os.getpid()}")
    )  # no other test, of now or before, has a worker of this name
    wait_until(lambda: len(folder.read_rows(run)) > 5)
    users = contents(home / "data")
    heard, life = {"Stop": 0, "Resume": 0}, SERVER_SECONDS
    for number in range(KILLS):
        before, rows = run.status(), folder.read_rows(run)
        label = "Stop" if before.active else "Resume"
        server = start_server(home, port)
        seconds = rng.uniform(0, life)
        pressed = press_until(server, port, run, label, time.monotonic() + seconds)
        if not pressed and seconds > life / 2:
            life *= 1.2  # on this machine a server needs longer to come so far
        wait_until(lambda: said_truly(run))
        status = run.status()
        place = f"seed {SEED}, server {number}, {label} pressed: {pressed}"
        assert folder.read_rows(run)[: len(rows)] == rows, place
        assert status.active or status.state == "killed" or status.error == folder.ENDED_OUTSIDE, f"{place}: {status}"
        assert pressed or status.pid == before.pid, f"{place}: {status}"
        heard[label] += status.active != before.active
    assert min(heard.values()) > 0, f"seed {SEED}: {heard}"
    assert contents(home / "data") == users
    epochs = [row["epoch"] for row in folder.read_rows(run)]
    assert epochs == list(range(1, len(epochs) + 1))
    print(f"seed {SEED}: {KILLS} kills, heard: {heard}")


def press_until(process: "subprocess.Popen[bytes]", port: int, run: Run, label: str, end: float) -> bool:
    """Let a server live until `end` and kill it; whether a session came to press its button in this time."""
    visitor, pressed = Visitor(f"run={run.id}"), False
    holds_until(end, lambda: healthy(port))
    with visiting(Server(process, f"http://127.0.0.1:{port}", run.home), [visitor]):
        before = len(folder.read_rows(run))
        if holds_until(end, visitor.last_epochs) and holds_until(end, lambda: visitor.offers(label)):
            (shown,) = visitor.last_epochs()
            assert before <= shown <= len(folder.read_rows(run)), f"seed {SEED}"
            assert visitor.complaints(["exception"]) == []
            visitor.press(label)
            pressed = True
        time.sleep(max(0, end - time.monotonic()))
        process.kill()
        process.wait()
    # What it has just forked bears its name until it becomes a worker.
    wait_until(lambda: process.args not in [each.info["cmdline"] for each in psutil.process_iter(["cmdline"])])
    return pressed


def holds_until(end: float, holds: Callable[[], object]) -> bool:
    """Poll until `holds()` is true, at most until `end`; whether it came true."""
    while not (held := bool(holds())) and time.monotonic() < end:
        time.sleep(0.02)
    return held


# The process that logs to W&B


def pauses(run: Run) -> list[float]:
    """Seconds from one epoch to the next, as its log has them."""
    entries = map(json.loads, (run.folder / folder.LOG).read_text().splitlines())
    times = [datetime.fromisoformat(entry["time"]) for entry in entries if "epoch" in entry]
    return [(after - before).total_seconds() for before, after in pairwise(times)]


@pytest.mark.timeout(1200)
def test_a_logging_process_killed_at_any_instant_costs_no_epoch_on_the_server(
    home: Path, server: WandbServer
) -> None:
    rng = random.Random(SEED)
    kills, number = 0, 0
    while kills < KILLS:
        number += 1
        run = launch.submit(home, toy_config(num_epochs=300, early_stopping_patience=300), RunRequest(wandb="online"))
        wait_until(lambda run=run: (run.folder / folder.WANDB).exists() and wandb_logged.read_logged(run))
        logger = psutil.Process(wandb_logged.read_logged(run).pid)
        while live(logger, rng.uniform(0, 6)):
            kills += 1
            logged = wandb_logged.read_logged(run)
            said = f"seed {SEED}, run {number}: {logged}"
            assert logged.state == "finished" or (logged.state == "incomplete" and logged.error), said
            logger = psutil.Process(wandb_log.start_sending(run).pid)
        assert wait_for_end(run) == "finished", f"seed {SEED}, run {number}"
        sent = tfbind(home, "runs", run.id, "--log")
        assert sent.returncode == 0, f"seed {SEED}, run {number}: {sent.stderr}"
        kept = server.runs[ENTITY, "tfbind"][run.id]
        assert [row["epoch"] for row in kept.history] == list(range(1, 301)), f"seed {SEED}, run {number}"
        assert kept.state == "finished"
        assert max(pauses(run)) < PAUSE_SECONDS, f"seed {SEED}, run {number}"
    print(f"seed {SEED}: {kills} kills in {number} runs")
