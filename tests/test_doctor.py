"""doctor names what is wrong, where, and how to mend it; and finds nothing wrong where nothing is."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock
from toy import toy_config, toy_home

from tfbind import devices, jobs, launch, runs
from tfbind.doctor import Finding, examine


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # the discard port: refused at once
    return toy_home(tmp_path)


def findings(home: Path) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in examine(home):
        found.setdefault(finding.subject, []).append(finding)
    return found


def test_a_sound_home_has_nothing_wrong(home):
    found = findings(home)
    assert [f.subject for fs in found.values() for f in fs if f.state == "wrong"] == []
    assert found["data sets"][0].said == "toy"
    assert f"{devices.cpu_cores()} CPU cores" in found["devices"][0].said


def test_a_crashed_run_and_a_damaged_one_are_named_with_the_remedy(home):
    gone = runs.create(home, toy_config(), id="gone")
    state = json.loads((gone.folder / runs.STATE).read_text())
    (gone.folder / runs.STATE).write_text(json.dumps({**state, "pid": 2**22 + 1, "state": "running"}))
    torn = runs.create(home, toy_config(), id="torn")
    (torn.folder / runs.METRICS).write_text("not a row\n")
    said = {finding.said.split(":")[0]: finding for finding in findings(home)["runs"]}
    assert said["crashed"].remedy == "python -m tfbind resume gone"
    assert "torn" in said["damaged"].said
    assert said["damaged"].state == "wrong"


def test_a_damaged_data_set_is_named(home):
    (home / "data" / "toy" / "codes.npy").write_bytes(b"")
    (wrong,) = [f for f in findings(home)["data sets"] if f.state == "wrong"]
    assert "codes.npy" in wrong.said


def test_a_worker_is_listed_with_its_locks_and_one_that_is_silent_with_the_remedy(home):
    long = toy_config(num_epochs=10_000, early_stopping_patience=10_000)
    run = launch.submit(home, long, launch.Order(id="long"))
    try:
        deadline = time.monotonic() + 60
        while not runs.read_rows(run):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        pid = runs.read_status(run).pid
        found = findings(home)
        (worker,) = found["workers"]
        assert worker.state == "ok"
        assert worker.said.startswith(f"run long: running, pid {pid}, last sign of life ")
        (lock,) = found["locks"]
        assert lock.state == "ok"
        assert lock.said == f"cpu-0, run-long: held by run long, pid {pid}"
        os.kill(pid, signal.SIGSTOP)
        state = json.loads((run.folder / runs.STATE).read_text())
        (run.folder / runs.STATE).write_text(json.dumps({**state, "heartbeat": time.time() - 90}))
        (worker,) = findings(home)["workers"]
        assert worker.state == "note"
        assert "last sign of life 1 min " in worker.said
        assert worker.remedy.startswith("python -m tfbind stop long")
    finally:
        launch.kill(run)


def test_a_file_that_is_scored_in_the_background_is_listed_until_it_ends(home):
    order = jobs.Order(file="g.fa", model="builtin", suffix=".csv", strand="forward", threshold=3.0, pad=False)
    job = jobs.submit(home, order, io.BytesIO(b">long\n" + b"ACGT" * 3_000_000))
    (worker,) = findings(home)["workers"]
    assert worker.said.startswith(f"scoring of a file {job.id}: running, pid {jobs.owner_of(job).pid}, for ")
    os.kill(jobs.owner_of(job).pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while jobs.owner_of(job).alive:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (worker,) = findings(home)["workers"]
    assert (worker.state, worker.remedy) == ("note", "Resume it on the Predict page")
    (job.folder / jobs.PROCESS).write_text("{")
    (worker,) = findings(home)["workers"]
    assert worker.state == "wrong"


def test_a_lock_that_no_run_of_this_home_holds_names_its_process(home):
    (home / "locks").mkdir(exist_ok=True)
    assert findings(home)["locks"][0].said.startswith("none is held")
    with FileLock(home / "locks" / "cpu-0.lock"):
        (lock,) = findings(home)["locks"]
    assert lock.state == "note"
    assert lock.said == f"cpu-0: held by pid {os.getpid()}, which no active run names"
    assert f"kill {os.getpid()}" in lock.remedy
    with FileLock(home / "locks" / "wandb-some-run.lock"):
        (lock,) = findings(home)["locks"]
    assert (lock.state, lock.said) == ("ok", f"wandb-some-run: held by pid {os.getpid()}, which sends rows to W&B")


def test_a_home_that_cannot_be_written_is_wrong(tmp_path):
    (tmp_path / "file").write_text("")
    (wrong,) = [f for f in findings(tmp_path / "file")["home"] if f.state == "wrong"]
    assert "TFBIND_HOME" in wrong.remedy


def test_the_command_ends_with_1_when_something_is_wrong(home):
    environment = {**os.environ, "TFBIND_HOME": str(home)}

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tfbind", "doctor", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    sound = ask()
    assert (sound.returncode, sound.stderr) == (0, "")
    assert "note   W&B" in sound.stdout
    (home / "data" / "toy" / "meta.json").write_text("{")
    broken = ask("--json")
    assert broken.returncode == 1
    assert "wrong" in {finding["state"] for finding in json.loads(broken.stdout)["findings"]}
