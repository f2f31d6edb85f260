"""Real worker processes: queued, stopped, killed at any moment, resumed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest
from safetensors.numpy import load_file
from toy import toy_config, toy_home
from waiting import wait_for

from tfbind.config import PRESETS
from tfbind.data.dataset import open_dataset
from tfbind.runs import devices, folder as runs, launch, log as run_log
from tfbind.runs.launch import RunRequest
from tfbind.runs.worker import Worker
from tfbind.store import atomic
from tfbind.store.process import cpu_cores

LONG = {"num_epochs": 10_000, "early_stopping_patience": 10_000}
TIMES = ("seconds", "windows_per_second")


@pytest.fixture
def home(tmp_path):
    home = toy_home(tmp_path)
    yield home
    for run in runs.list_runs(home):
        status = run.status()
        if status.active and status.pid != os.getpid():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(status.pid, signal.SIGKILL)


def state(run) -> str:
    return run.state


def wait_for_end(run) -> str:
    wait_for(lambda: not run.status().active)
    return state(run)


def untimed(run) -> list[dict]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in runs.read_rows(run)]


def weights(run) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in load_file(run.folder / runs.BEST).items()}


def test_a_submitted_run_finishes_in_a_process_of_its_own(home):
    with devices.slots(home, "cpu", cpu_cores()):  # so that it waits
        order = RunRequest("a b; c", "shown")
        run = launch.submit(home, toy_config(), order)
        assert state(run) == "pending"
        wait_for(lambda: run.status().pid != os.getpid())
        assert state(run) == "pending"
        assert psutil.Process(run.status().pid).cmdline() == launch.command(toy_config(), order)
        assert os.getsid(run.status().pid) == run.status().pid
    assert wait_for_end(run) == "finished"
    assert [row["epoch"] for row in runs.read_rows(run)] == [1, 2, 3]
    assert runs.read_labels(run)["name"] == "a b; c"
    assert runs.read_record(run)["dataset_hash"] == open_dataset(home, "toy").hash
    assert run.status().device == "cpu"
    assert run.status().started < run.status().ended
    assert "finished" in run_log.tail(run)
    assert runs.read_config(run) == toy_config()


def command_of(home, *words: str) -> tuple[int, str]:
    """Exit code and errors of a command."""
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-m", "tfbind", *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stderr


def test_a_run_is_taken_up_by_the_command_that_it_was_made_for_and_by_no_other(home):
    """The flags are not read a second time, or these would be refused: the folder says all."""
    words = ["train", "--id", "made", "--learning-rate", "none"]
    run = launch.prepare(home, toy_config(), RunRequest(id="made")).create(words)
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    for other in (["train", "--dataset", "toy", "--id", "made"], [*words[:-1], "0.1", "--dataset", "toy"]):
        assert command_of(home, *other) == (2, "tfbind: --id made: that run exists already\n")
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before
    assert command_of(home, *words) == (0, "")
    assert (state(run), runs.read_config(run)) == ("finished", toy_config())
    assert run.read_state().command == words
    assert command_of(home, *words)[0] == 2  # it waits for nobody now


@pytest.mark.slow
def test_a_run_whose_worker_died_in_line_is_taken_up_by_the_same_command(home):
    words = ("train", "--dataset", "toy", "--num-epochs", "1", "--id", "waits")
    with devices.slots(home, "cpu", cpu_cores()):
        first = subprocess.Popen(
            [sys.executable, "-m", "tfbind", *words], env={**os.environ, "TFBIND_HOME": str(home)}
        )
        log = home / "runs" / "waits" / runs.LOG
        wait_for(lambda: 0 < atomic.mtime_ns(log) < atomic.mtime_ns(log.with_name(runs.STATE)))
        first.kill()
        first.wait()
    assert command_of(home, *words) == (0, "")
    assert state(runs.find(home, "waits")) == "finished"


def test_a_state_that_names_no_command_is_taken_up_by_none_and_resumed(home):
    """As versions before 0.2 wrote it."""
    run = launch.prepare(home, toy_config(num_epochs=1), RunRequest(id="old")).create(["train", "--id", "old"])
    path = run.folder / runs.STATE
    written = json.loads(path.read_text())
    del written["command"]
    path.write_text(json.dumps(written))
    assert launch.find_prepared(home, "old", ["train", "--id", "old"]) is None
    assert command_of(home, "resume", "old") == (0, "")


def test_a_worker_learns_from_what_was_opened_for_it(home):
    """Here the data set has been deleted since; and what has changed since is refused, as where a worker opens it."""
    for id in ("gone", "damaged"):
        prepared = launch.prepare(home, toy_config(num_epochs=1, threads=1), RunRequest(id=id))
        run = prepared.create()
        codes = prepared.dataset.path / "codes.npy"
        if id == "gone":
            moved = prepared.dataset.path.rename(home / "elsewhere")
        else:
            with codes.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(bytes([file.peek()[0] ^ 1]))
        ended = Worker(run, data=prepared.dataset, split=prepared.split).work()
        if id == "gone":
            assert ended == "finished"
            moved.rename(prepared.dataset.path)
    assert ended == "failed"
    assert "codes.npy" in run.status().error


def test_bad_input_is_refused_before_a_run_exists(home):
    for config, said in [
        (toy_config(dataset="nowhere"), "nowhere"),
        (toy_config(device="cuda"), "--device cuda: not on this machine; here: cpu"),
        (toy_config(validation_split=0.01), "validation_split"),
    ]:
        if config.device in devices.available_devices():
            continue
        with pytest.raises(ValueError, match=said):
            launch.submit(home, config)
    assert runs.list_runs(home) == []


def test_of_two_starts_at_once_one_runs_and_one_waits(home):
    config = toy_config(**LONG, threads=cpu_cores())
    started = []
    both = [threading.Thread(target=lambda: started.append(launch.submit(home, config))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    first, second = runs.list_runs(home)
    wait_for(lambda: len(runs.read_rows(first)) > 1)
    assert (state(first), state(second)) == ("running", "pending")
    assert (launch.queue_position(first), launch.queue_position(second)) == (1, 1)
    os.kill(first.status().pid, signal.SIGKILL)
    wait_for(lambda: state(second) == "running")
    assert state(first) == "crashed"
    second.stop()
    assert state(second) == "killed"


def test_a_waiting_run_can_be_cancelled_and_never_trains(home):
    with devices.slots(home, "cpu", cpu_cores()):
        waiting = launch.submit(home, toy_config())
        wait_for(lambda: waiting.status().pid != os.getpid())
        waiting.cancel()
        assert wait_for_end(waiting) == "killed"
    assert waiting.status().started is None


def test_a_stop_or_sigterm_keeps_every_finished_epoch_and_resume_goes_on(home):
    run = launch.submit(home, toy_config(**LONG))
    wait_for(lambda: len(runs.read_rows(run)) > 2)
    run.stop()
    assert state(run) == "killed"
    before = runs.read_rows(run)
    assert weights(run)
    launch.resume(run)
    with pytest.raises(ValueError, match="already"):
        launch.resume(run)
    wait_for(lambda: len(runs.read_rows(run)) > len(before) + 2)
    os.kill(run.status().pid, signal.SIGTERM)
    assert wait_for_end(run) == "killed"
    assert "killed" in run_log.tail(run)
    after = runs.read_rows(run)
    assert after[: len(before)] == before
    assert [row["epoch"] for row in after] == list(range(1, len(after) + 1))


def start_command(home, *flags: str) -> "subprocess.Popen[str]":
    """Train for long, in a process whose errors can be read."""
    command = [sys.executable, "-m", "tfbind", "train", "--dataset", "toy", "--num-channels", "4", *flags]
    command += [word for field, value in LONG.items() for word in (f"--{field}", str(value))]
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_home_that_is_moved_ends_its_runs_in_a_line_and_they_go_on_there(home):
    """Nothing of it comes back at the old place, where nobody would look for the epochs."""
    cores = str(cpu_cores())
    trains = start_command(home, "--id", "trains", "--threads", cores)
    wait_for(lambda: (home / "runs" / "trains" / runs.METRICS).exists())
    waits = start_command(home, "--id", "waits", "--threads", cores)
    log, status = (home / "runs" / "waits" / name for name in (runs.LOG, runs.STATE))
    wait_for(lambda: 0 < atomic.mtime_ns(log) < atomic.mtime_ns(status))  # then its log is open, and it waits
    moved = home.rename(home.with_name("elsewhere"))
    for id, process in (("trains", trains), ("waits", waits)):
        _, err = process.communicate(timeout=60)
        where = home / "runs" / id
        assert err.startswith(
            f"tfbind: {where}: moved or deleted while the run was active; where it is now, `resume`"
        )
        assert (process.returncode, len(err.splitlines())) == (1, 1)
        assert f"ERROR {where}: moved or deleted" in run_log.tail(runs.find(moved, id))
    assert not home.exists()
    run = runs.find(moved, "trains")
    before = runs.read_rows(run)
    assert state(run) == "crashed"
    launch.resume(run)
    wait_for(lambda: len(runs.read_rows(run)) > len(before))
    run.stop()
    assert runs.read_rows(run)[: len(before)] == before


def test_a_run_whose_folder_is_deleted_ends_and_does_not_go_on_in_what_it_writes_there(home):
    """`rm -r` does not get rid of a folder that files are written into meanwhile."""
    process = start_command(home, "--id", "gone")
    folder = home / "runs" / "gone"
    wait_for(lambda: (folder / runs.METRICS).exists())
    (folder / runs.CONFIG).unlink()  # first: by this the worker knows why it misses the others
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    _, err = process.communicate(timeout=60)
    assert err.startswith(f"tfbind: {folder}: moved or deleted while the run was active")
    assert (process.returncode, len(err.splitlines())) == (1, 1)


def test_more_epochs_start_from_the_best_weights_of_the_parent(home):
    parent = launch.prepare(home, toy_config(num_epochs=8)).create()
    assert Worker(parent).work() == "finished"
    with pytest.raises(ValueError, match=f"python -m tfbind train --from {parent.id}"):
        launch.resume(parent)
    with pytest.raises(ValueError, match="num_channels: 4 differs from 8"):
        launch.submit(home, toy_config(num_channels=4), RunRequest(parent=parent))
    child = launch.prepare(home, toy_config(num_epochs=1, learning_rate=1e-6), RunRequest(parent=parent)).create()
    assert Worker(child).work() == "finished"
    best = runs.best_row(runs.read_rows(parent))["val_loss"]
    assert runs.read_rows(child)[0]["val_loss"] == pytest.approx(best, rel=0.01)
    assert len(runs.read_rows(parent)) == 8


def test_only_an_active_run_can_be_stopped(home):
    run = runs.create(home, toy_config())
    run.set_state("finished")
    for act in (run.cancel, run.stop):
        with pytest.raises(ValueError, match="is finished; only a pending or running run can be stopped"):
            act()
    assert not run.stop_requested()


def test_command_of_a_preset_is_what_one_would_type():
    words = launch.command(PRESETS["recommended"], RunRequest("x"))
    assert words[:6] == [sys.executable, "-m", "tfbind", "train", "--dataset", "builtin"]
    assert words[-2:] == ["--name", "x"]
    assert words[words.index("--lr-schedule") + 1] == "one_cycle"
    assert "--num-channels" not in words
