"""The contract of a job, with real processes: started, killed, stopped, frozen, on another host, moved.

What is tried here holds for runs, sweeps, predictions in the background and the logging to W&B, which are jobs.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from filelock import FileLock
from waiting import wait_for

from tfbind.store import Busy, Job, KeptFile, ProcessIdentity, spawn, this_process
from tfbind.store.process import AHEAD_SECONDS, FRESH_SECONDS


@dataclass(frozen=True, kw_only=True)
class TaskState(ProcessIdentity):
    """The state of a task: waits, works, done, killed, or crashed."""

    state: str
    error: str = ""

    @property
    def active(self) -> bool:
        return self.state in ("waits", "works")


@dataclass(frozen=True)
class Task(Job[TaskState]):
    """A job that counts until it is asked to stop."""

    state_file = KeptFile("task.json", TaskState)
    output = "said.txt"
    niceness = 3

    def write(self, state: str, error: str = "") -> None:
        status = TaskState(**asdict(this_process()), state=state, error=error)
        self.state_file.write(self.folder / "task.json", status)

    def write_pending(self) -> None:
        self.write("waits")

    def write_unstarted(self, state: str, error: str, _reason: object = None) -> None:
        self.write(state, error)

    def state_after_death(self, state: TaskState) -> TaskState:
        stopped = self.stop_requested()
        return TaskState(**asdict(state) | {"state": "killed" if stopped else "crashed"})

    def check_idle(self) -> None:
        if self.status().active:
            raise Busy(f"task {self.id} works already")

    def work(self) -> None:
        """Count, a number a file, until a stop is requested or the folder is gone."""
        with self.lock():
            self.write("works")
            number = len(list(self.folder.glob("*.count")))
            while not self.stop_requested():
                (self.folder / f"{number}.count").touch()
                number += 1
                time.sleep(0.01)
            self.write("killed")


WORK = [sys.executable, __file__]
PATH = {"PYTHONPATH": os.pathsep.join(sys.path)}  # so that it finds what tests share


@pytest.fixture
def task(tmp_path: Path) -> Iterator[Task]:
    folder = tmp_path / "home" / "tasks" / "one"
    folder.mkdir(parents=True)
    task = Task(folder)
    task.write("done")
    yield task
    for path in tmp_path.glob("*/tasks/one/task.json"):
        Task(path.parent).kill()


def start(task: Task) -> "subprocess.Popen[bytes]":
    task.enqueue()
    return task.spawn([*WORK, str(task.folder)], PATH)


def started(task: Task) -> int:
    """The process of a task that has begun to count."""
    start(task)
    wait_for(lambda: task.status().state == "works" and list(task.folder.glob("*.count")))
    return task.status().pid


def test_a_worker_runs_in_a_session_of_its_own_and_outlives_nobody_else(task: Task) -> None:
    pid = started(task)
    assert (os.getsid(pid), psutil.Process(pid).nice() - os.nice(0)) == (pid, Task.niceness)
    assert psutil.Process(pid).environ()["TFBIND_HOME"] == str(task.home)
    assert psutil.Process(pid).cmdline() == [*WORK, str(task.folder)]
    assert not task.wait_for_end(0)
    task.stop()
    assert (task.status().state, task.stop_requested()) == ("killed", True)
    with pytest.raises(ValueError, match=r"^task one does not run$"):
        task.stop()


def test_a_killed_worker_is_a_crash_whose_lock_is_free_and_the_next_goes_on(task: Task) -> None:
    for number in range(3):
        os.kill(started(task), signal.SIGKILL)
        wait_for(lambda: not task.status().active)
        assert task.status().state == "crashed"
        counts = sorted(int(path.stem) for path in task.folder.glob("*.count"))
        assert counts == list(range(len(counts))), number
    task.request_stop("by hand")
    assert (task.status().state, task.stop_file.read_text()) == ("killed", "by hand")
    with task.lock(seconds=0):
        pass


def test_a_stop_that_comes_before_the_worker_is_heeded_and_a_start_withdraws_it(task: Task) -> None:
    task.request_stop()
    child = start(task)
    assert not task.stop_requested()
    task.cancel()
    assert child.wait(30) == 0
    assert task.status().state == "killed"
    assert len(list(task.folder.glob("*.count"))) == 0


def test_a_frozen_worker_is_killed_after_the_grace(task: Task) -> None:
    psutil.Process(started(task)).suspend()
    task.stop(grace=0.3)
    assert task.status().state == "killed"


def test_one_that_ends_with_the_grace_is_not_killed(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    task.write("works")

    def wait_in_vain(_self: Task, _seconds: float) -> bool:
        task.write("done")
        return False

    monkeypatch.setattr(Task, "wait_for_end", wait_in_vain)
    task.stop()
    assert task.status().state == "done"


def test_of_many_who_start_it_at_once_one_does(task: Task) -> None:
    def press(_: int) -> str:
        try:
            start(task)
        except Busy as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as people:
        assert sorted(people.map(press, range(4))) == ["", *["task one works already"] * 3]
    wait_for(lambda: task.status().state == "works")
    other = subprocess.run([*WORK, str(task.folder)], env=os.environ | PATH, capture_output=True, text=True)
    assert "task one: another process is working on it" in other.stderr
    assert task.status().state == "works"
    with ThreadPoolExecutor(3) as people:
        list(people.map(lambda _: task.stop_requested() or task.stop(), range(3)))
    assert task.status().state == "killed"


def test_what_a_worker_from_elsewhere_has_just_begun_is_not_started_over_it(task: Task) -> None:
    """In the moment between its lock and its first word."""
    task.request_stop()
    before = (task.folder / "task.json").read_bytes()
    with task.lock(), pytest.raises(Busy, match="another process is working on it"):
        task.enqueue()
    assert (task.stop_requested(), (task.folder / "task.json").read_bytes()) == (True, before)


def test_who_only_looks_whether_it_is_locked_keeps_nobody_from_it(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    with task.lock():
        pass
    (path,) = (task.home / "locks").iterdir()
    assert path.name == "task-one.lock"
    looking = FileLock(path, thread_local=False)
    looking.acquire()
    monkeypatch.setattr(time, "sleep", lambda _: looking.release())  # it is let go while it is waited for
    with task.lock():
        assert not looking.is_locked


def test_a_worker_that_never_begins_is_said_to(task: Task) -> None:
    task.enqueue()
    task.spawn([sys.executable, "-c", "print('no', file=__import__('sys').stderr); raise SystemExit(3)"])
    wait_for(lambda: task.status().error)  # dead at once, and known to be when its starter has fetched the exit code
    assert task.status().error == "the worker ended with exit code 3 before it began"
    assert task.tail() == ["no"]
    assert task.tail(start=3) == []
    task.enqueue()
    with pytest.raises(OSError, match="No such file"):
        task.spawn([str(task.folder / "no-program")])
    assert (task.status().state, task.status().error.rpartition(": ")[2]) == ("failed", "no such file or directory")


def test_the_end_of_an_earlier_worker_says_nothing_of_what_waits_for_a_later_one(task: Task) -> None:
    others = set(threading.enumerate())
    task.enqueue()
    child = task.spawn([sys.executable, "-c", "import time; time.sleep(60)"])
    (reaper,) = set(threading.enumerate()) - others
    task.write_pending()
    child.kill()
    reaper.join(60)
    assert not reaper.is_alive()
    assert (task.status().state, task.status().error) == ("waits", "")


def test_a_starter_that_is_killed_with_its_group_takes_no_worker_with_it(task: Task) -> None:
    code = (
        "import os, sys, test_job; from pathlib import Path\n"
        "test_job.start(test_job.Task(Path(sys.argv[1]))); os.killpg(0, 9)"
    )
    words = [sys.executable, "-c", code, task.folder]
    assert subprocess.run(words, env=os.environ | PATH, start_new_session=True).returncode == -signal.SIGKILL
    assert task.status().active, "though its worker has not come yet"
    wait_for(lambda: task.status().state == "works")
    task.stop()


def test_a_folder_that_is_moved_takes_its_job_with_it(task: Task) -> None:
    pid = started(task)
    home = task.home.rename(task.home.with_name("elsewhere"))
    moved = Task(home / "tasks" / "one")
    wait_for(lambda: not moved.status().active)  # it misses its folder, and ends
    assert (moved.status().state, moved.status().pid) == ("crashed", pid)
    assert not task.home.exists()
    started(moved)
    moved.stop()
    trashed = moved.trash("task-")
    assert trashed == home / "trash" / "task-one"
    assert not moved.folder.exists()
    assert (trashed / "0.count").exists()


def edit(task: Task, **changes: Any) -> str:
    """The state of a task, of which its file says something else."""
    path = task.folder / "task.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return task.status().state


def test_alive_means_this_very_process(task: Task) -> None:
    task.write("works")
    with spawn([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        born = psutil.Process(child.pid).create_time()
        assert edit(task, pid=child.pid, process_started=born) == "works"
        assert edit(task, process_started=born - 100) == "crashed", "another process has that number now"
        assert edit(task, process_started=born) == "works"
        child.kill()
        wait_for(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
        assert task.status().state == "crashed", "dead, though nobody has fetched its exit code"
    assert edit(task, pid=2**22 + 1) == "crashed"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the start of a process does not move with the clock")
@pytest.mark.parametrize("hours", [-5, 5])
def test_a_process_lives_on_when_the_clock_is_set(task: Task, hours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    booted = psutil.boot_time()
    task.write("works")
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: booted + hours * 3600)  # what the kernel tells then
    assert psutil.Process().create_time() != pytest.approx(task.read_state().process_started, abs=3600)
    assert task.status().state == "works"
    assert edit(task, process_started=task.read_state().process_started - 100) == "crashed"


@pytest.mark.parametrize(
    ("heartbeat", "state"),
    [
        (-FRESH_SECONDS / 2, "works"),
        (-2 * FRESH_SECONDS, "crashed"),
        (AHEAD_SECONDS / 2, "works"),  # its clock may be ahead, but not so far that its job never ends
        (3600, "crashed"),
        (1e300, "crashed"),
    ],
)
def test_on_another_host_a_fresh_heartbeat_means_alive(task: Task, heartbeat: float, state: str) -> None:
    task.write("works")
    assert edit(task, host="elsewhere", pid=1, heartbeat=time.time() + heartbeat) == state
    task.write("done")


def test_what_works_on_another_host_is_to_be_stopped_there_and_nothing_here_is_killed_for_it(task: Task) -> None:
    task.write("works")
    with spawn([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        edit(task, host="elsewhere", pid=other.pid, heartbeat=time.time())
        with pytest.raises(ValueError, match=r"^task one runs on host elsewhere; stop it there$"):
            task.stop(grace=0.1)
        assert task.stop_requested(), "it may see this there"
        other.communicate(b"\n")
    assert other.returncode == 0
    task.write("done")


def test_a_job_is_stopped_by_ctrl_c_only_where_this_process_owns_it(task: Task) -> None:
    for state, requested in (("done", False), ("works", True)):
        task.write(state)
        with pytest.raises(KeyboardInterrupt), task.stopped_on_interrupt():
            raise KeyboardInterrupt
        assert task.stop_requested() is requested
    with pytest.raises(KeyboardInterrupt), Task(task.folder / "none").stopped_on_interrupt():
        raise KeyboardInterrupt


if __name__ == "__main__":
    Task(Path(sys.argv[1])).work()
