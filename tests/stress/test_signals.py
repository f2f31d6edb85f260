"""Processes that are asked to end, hung up on, or frozen for a while, at moments drawn at random: the state is true,
says why in words, and what goes on afterwards ends as if nothing had been."""

import contextlib
import random
import re
import signal
import time
from pathlib import Path

import psutil
import pytest
from driving import free_port, healthy, start_server
from life import LONG, SEED, halt, outcome, said_truly, wait_for_end, wait_until
from test_kills import RATES, child, results, start_sweep
from toy import toy_config

from tfbind.cli import doctor
from tfbind.runs import folder, launch
from tfbind.runs.folder import Run
from tfbind.runs.launch import RunRequest
from tfbind.sweeps import controller, sweep_folder

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
EPOCHS = 40
FROZEN_SECONDS = 3.0
REASON = re.compile(rf"{re.escape(folder.ENDED_OUTSIDE)}|the worker ended with exit code -?\d+ before it began")


def check_state(run: Run) -> None:
    """A run, or a sweep, that a signal ended says so: stopped, as one is by its user, or crashed with the reason."""
    status = run.status()
    if status.state == "crashed":
        assert REASON.fullmatch(status.error or ""), f"seed {SEED}: {status}"
    else:
        assert (status.state, status.error) in [("killed", None), ("finished", None)], f"seed {SEED}: {status}"


def freeze(process: psutil.Process, run: Run) -> None:
    """Freeze a process for a while, in which what it works on is as it was."""
    halt(process)
    before = run.status()
    time.sleep(FROZEN_SECONDS)
    assert run.status() == before, f"seed {SEED}"
    wrong = [finding.said for finding in doctor.examine(run.home) if finding.state == "wrong"]
    assert [said for said in wrong if run.id in said] == [], f"seed {SEED}"
    process.resume()


@pytest.mark.timeout(600)
def test_a_worker_that_is_asked_to_end_hung_up_on_or_frozen(home: Path) -> None:
    rng, begun = random.Random(SEED), time.monotonic()
    undisturbed = launch.submit(home, toy_config(num_epochs=EPOCHS), RunRequest(id="undisturbed"))
    assert wait_for_end(undisturbed) == "finished"
    lives, told = time.monotonic() - begun, []
    for number, number_of_signal in enumerate((*ENDING, signal.SIGSTOP)):
        run = launch.submit(home, toy_config(num_epochs=EPOCHS), RunRequest(id=f"signalled-{number}"))
        time.sleep(rng.uniform(0, lives))
        with contextlib.suppress(psutil.NoSuchProcess):  # it ends just now
            if worker := child("train", run.id):
                freeze(worker, run) if number_of_signal == signal.SIGSTOP else worker.send_signal(number_of_signal)
        wait_for_end(run)
        check_state(run)
        told.append(f"{signal.Signals(number_of_signal).name}: {run.state}")
        if run.state != "finished":
            launch.resume(run)
            assert wait_for_end(run) == "finished", f"seed {SEED}, {told[-1]}"
        assert outcome(run) == outcome(undisturbed), f"seed {SEED}, {told[-1]}"
    print(f"seed {SEED}: {', '.join(told)}")


@pytest.mark.timeout(600)
def test_a_controller_that_is_asked_to_end_hung_up_on_or_frozen(home: Path) -> None:
    rng = random.Random(SEED)
    undisturbed = start_sweep(home, "undisturbed")
    assert wait_for_end(undisturbed) == "finished"
    for number_of_signal in (signal.SIGTERM, signal.SIGHUP, signal.SIGSTOP):  # SIGINT is heard as SIGTERM is
        sweep = start_sweep(home, f"signalled-{number_of_signal}")
        said = f"seed {SEED}, {signal.Signals(number_of_signal).name}"
        wait_until(lambda sweep=sweep: sweep_folder.sweep_runs(sweep))
        time.sleep(rng.uniform(0, 3))
        with contextlib.suppress(psutil.NoSuchProcess):
            if led := child("sweep", sweep.id):
                freeze(led, sweep) if number_of_signal == signal.SIGSTOP else led.send_signal(number_of_signal)
        wait_for_end(sweep)
        check_state(sweep)
        if sweep.state != "finished":
            controller.resume(sweep)
        assert wait_for_end(sweep) == "finished", f"{said}: {sweep.status()}"
        assert len(sweep_folder.sweep_runs(sweep)) == len(RATES), said
        assert results(sweep) == results(undisturbed), said


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number_of_signal", ENDING)
def test_a_server_that_is_asked_to_end_or_hung_up_on_takes_no_run_with_it(home: Path, number_of_signal: int) -> None:
    run, port = (
        launch.submit(home, toy_config(**LONG), RunRequest(id=f"beside-{number_of_signal}-{SEED}")),
        free_port(),
    )
    server = start_server(home, port)
    wait_until(lambda: healthy(port) and len(folder.read_rows(run)) > 3)
    rows = folder.read_rows(run)
    server.send_signal(number_of_signal)
    server.wait(30)
    wait_until(lambda: len(folder.read_rows(run)) > len(rows) + 3)
    assert said_truly(run)
    assert folder.read_rows(run)[: len(rows)] == rows
