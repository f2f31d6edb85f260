"""What the stress tests share: a seed, commands, processes that live for a while, and what is left of a run."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from safetensors.numpy import load_file

from tfbind import runs
from tfbind.config import PROJECT
from tfbind.runs.folder import Run

SEED = int(os.environ.setdefault("TFBIND_STRESS_SEED", str(random.randrange(10**6))))  # one for all processes
TIMES = ("seconds", "windows_per_second")
LONG = {"num_epochs": 10_000, "early_stopping_patience": 10_000}
Start = Callable[..., "subprocess.Popen[str]"]


def tfbind(home: Path, *words: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """A command of the program, in a process whose files cannot grow beyond `limit` bytes."""
    code = (
        "import resource, sys\n"
        f"limit = {limit!r}\n"
        "limit and resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))\n"
        "from tfbind.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=300)


def wait_until(holds: Callable[[], object], seconds: float = 120) -> None:
    """Poll until `holds()` is true; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"seed {SEED}: waited in vain for {seconds} s"
        time.sleep(0.02)


def wait_for_end(run: Run, seconds: float = 120) -> str:
    """The state in which a run, or a sweep, ends."""
    wait_until(lambda: not run.status().active, seconds)
    return run.state


def wait_for_kill(run: Run, seconds: float) -> bool:
    """Let a run live for so long and kill its process; False if it had ended by then."""
    deadline = time.monotonic() + seconds
    while run.status().pid == os.getpid() or time.monotonic() < deadline:
        if not run.status().active:
            return False
        time.sleep(0.005)
    with contextlib.suppress(ProcessLookupError):
        os.kill(run.status().pid, signal.SIGKILL)
    return wait_for_end(run) == "crashed"


def halt(process: psutil.Process) -> None:
    """Stop a process where it stands; when this returns, it does nothing more."""
    process.suspend()
    wait_until(lambda: process.status() == psutil.STATUS_STOPPED)


def hold(found: Callable[[], list[Run]], number: int, epochs: int, worker: Callable[[Run], psutil.Process]) -> None:
    """Halt what trains each of so many runs once that has so many epochs: a quick one would end before the last one
    has begun."""
    held: set[Run] = set()

    def all_held() -> bool:
        for run in set(found()) - held:
            if len(runs.read_rows(run)) >= epochs:
                halt(worker(run))
                held.add(run)
        return len(held) == number

    wait_until(all_held)


def worked_on(run: Run) -> list[int]:
    """The processes whose command line names this run, but for this one."""
    commands = {process.pid: process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])}
    return [pid for pid, words in commands.items() if "tfbind" in words and run.id in words and pid != os.getpid()]


def said_truly(run: Run) -> bool:
    """Whether the run is said to be active by the living process that works on it, or there is neither."""
    status = run.status()
    return worked_on(run) == [status.pid] * status.active


def end_all(home: Path) -> None:
    """Kill every process that works on a run of this home."""
    for run in runs.list_runs(home):
        status = run.status()
        if status.active and status.pid != os.getpid():
            with contextlib.suppress(ValueError, ProcessLookupError):  # it has just ended
                run.kill()


def untimed(run: Run) -> list[dict[str, object]]:
    """The rows of a run without their times."""
    return [{key: value for key, value in row.items() if key not in TIMES} for row in runs.read_rows(run)]


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """Something mounted on this folder until the block ends; the test is skipped where tests may mount nothing."""
    if subprocess.run(["mount", *options, folder], capture_output=True).returncode:
        pytest.skip("this machine lets tests mount nothing")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)  # a worker may still be ending


def as_read(text: str) -> str:
    """Markdown as its reader sees it, where every mark in it is escaped."""
    return re.sub(r"\\([^\w\s])", r"\1", text.replace("\u2060", ""))


def contents(*folders: Path) -> dict[Path, bytes]:
    """Every file in these folders."""
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


def outcome(run: Run) -> tuple[list[dict[str, object]], dict[str, bytes]]:
    """What has to be equal however often a run was disturbed: its rows, but for their times, and its best weights."""
    return untimed(run), {name: value.tobytes() for name, value in load_file(run.folder / runs.BEST).items()}
