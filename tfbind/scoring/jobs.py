"""Jobs: files scored in the background by `python -m tfbind predict` or `variants`, which outlive the page.

A job is the folder `<home>/jobs/<id>/`: `job.json` is the request, `process.json` the process that works on it,
`input` is the file of DNA or of variants, `printed.txt` the output of the command, `failure.json` why it failed.
The progress of a job follows from the files that the command itself writes.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import psutil
from filelock import FileLock

from tfbind.config import python_path
from tfbind.errors import FAILURE, TfbindError
from tfbind.runs import size as size_words
from tfbind.scoring.checkpoint import DONE_FILE, PredictionCheckpoint
from tfbind.scoring.formats import writer_of
from tfbind.store import (
    KeptFile,
    ProcessIdentity,
    annotate_oserror,
    identify_process,
    kept_file,
    move_to_trash,
    require_regular_or_new,
    scratch,
    this_process,
)

ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{5}")
JOB, PROCESS, INPUT, LOG, STOP = "job.json", "process.json", "input", "printed.txt", "stop"
FAILURE_NAME = "failure.json"
FOLDER, LOCK = "jobs", ".lock"
MAX_MB = 200
DISK_PER_BYTE = 8  # of input: it, its codes, its scores and what is written of them
PAGE_FIRST = 10  # niceness of a job: whoever looks at a page goes first
COPY_BYTES = 1 << 20
KILL_SECONDS = 10.0  # to end, on being asked and on being killed
LOCK_SECONDS = 60.0
TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class JobRequest:
    """The request of a job: `file` is the name of the user's file, the rest are flags of the command.

    `genome` is the FASTA file that variants are called on, "" for a file of DNA.
    """

    file: str
    model: str
    suffix: str
    strand: str
    threshold: float
    pad: bool
    genome: str = ""

    @property
    def unit(self) -> str:
        """The unit of its progress."""
        return "variants" if self.genome else "bases"


@dataclass(frozen=True)
class Job:
    """A job by its folder, which need not exist yet."""

    folder: Path

    @property
    def id(self) -> str:
        """The name of the folder."""
        return self.folder.name

    @property
    def home(self) -> Path:
        """The home that it belongs to."""
        return self.folder.parents[1]


@dataclass(frozen=True)
class JobProcess:
    """The last process of a job: when it was `started`, the bytes `printed` before, and bases or variants `done`."""

    owner: ProcessIdentity
    printed: int
    done: int
    started: float


@dataclass(frozen=True)
class Failure:
    """Why the command of a job failed; `place` is the file in which, "" for none."""

    place: str
    detail: str


@dataclass(frozen=True)
class JobStatus:
    """The status of a job.

    `state` is one of running, finished, failed, stopped, crashed. `stage` (reading, scoring, writing), `done` and
    `total` bases or variants (0: not known) say how far it is, `seconds_left` how long it will take if known.
    `message` is the result or the error in one line.
    """

    state: str
    stage: str
    done: int
    total: int
    seconds_left: float | None
    message: str


REQUEST_FILE: KeptFile[JobRequest] = kept_file(JOB, JobRequest)
PROCESS_FILE: KeptFile[JobProcess] = kept_file(PROCESS, JobProcess)
FAILURE_FILE: KeptFile[Failure] = kept_file(FAILURE_NAME, Failure)


def new_id() -> str:
    """Generate an id; ids sort by time."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)[:5]}"


def job_of(home: Path, id: str) -> Job:
    """The job of a home with this id, which need not exist."""
    return Job(home / FOLDER / id)


def list_jobs(home: Path) -> list[Job]:
    """All jobs of a home, newest first."""
    folders = sorted((home / FOLDER).iterdir(), reverse=True) if (home / FOLDER).is_dir() else []
    return [Job(folder) for folder in folders if ID.fullmatch(folder.name) and (folder / JOB).exists()]


def read_request(job: Job) -> JobRequest:
    """Read the request of a job.

    Raises:
        ValueError: the file is damaged.
    """
    return REQUEST_FILE.read(job.folder / JOB)


def keep_failure(path: Path, error: object) -> None:
    """Write to a file why the command of a job fails.

    Args:
        path: the file.
        error: the error.
    """
    texts = (error.place, error.detail) if isinstance(error, TfbindError) else ("", str(error))
    FAILURE_FILE.write(path, Failure(*(" ".join(text.split()) for text in texts)))


def command(job: Job, request: JobRequest) -> list[str]:
    """The command line of a job."""
    name = "variants" if request.genome else "predict"
    arguments = [sys.executable, "-m", "tfbind", name, "--model", request.model]
    arguments += ["--data", str(job.folder / INPUT), "--out", str(output(job, request))]
    arguments += ["--threshold", f"{request.threshold:g}", "--strand", request.strand]
    if request.genome:
        return [*arguments, "--fasta", request.genome, "--keep-going"]
    return [*arguments, "--pad"] if request.pad else arguments


def output(job: Job, request: JobRequest) -> Path:
    """The path of the predictions, which exist when the job is finished."""
    return job.folder / f"predictions{request.suffix}"


def submit(home: Path, request: JobRequest, data: BinaryIO, id: str | None = None) -> Job:
    """Copy `data` into a new job and start it.

    Raises:
        ValueError: no format has this suffix, the file is too large, or too large for the disk.
        FileExistsError: there is a job of this id.
        OSError: the copy cannot be written.
    """
    if not request.genome:
        writer_of(Path(f"predictions{request.suffix}"))
    job = job_of(home, id or new_id())
    _check_size(home, data)
    with scratch(job.folder.parent, job.id) as draft:
        with annotate_oserror(job.folder / INPUT), (draft / INPUT).open("wb") as copy:
            shutil.copyfileobj(data, copy, COPY_BYTES)
        REQUEST_FILE.write(draft / JOB, request)
        (draft / LOG).touch()
        with _jobs_lock(home):
            if job.folder.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(job.folder))
            _write_process(Job(draft), this_process(), 0, 0)
            draft.rename(job.folder)
            try:
                _start(job, request)
            except BaseException:
                shutil.rmtree(job.folder)
                raise
    return job


def _jobs_lock(home: Path) -> FileLock:
    """The lock for starting, stopping and deleting jobs: of two such requests at once the second is refused."""
    return FileLock(home / FOLDER / LOCK, timeout=LOCK_SECONDS)


def _check_size(home: Path, data: BinaryIO) -> None:
    size = data.seek(0, os.SEEK_END)
    data.seek(0)
    if not size:
        raise ValueError("the file is empty")
    if size > MAX_MB << 20:
        raise ValueError(f"the file has {size / 2**20:,.0f} MB; at most {MAX_MB} are taken from the page")
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    if free < size * DISK_PER_BYTE:
        needed = size_words(size * DISK_PER_BYTE)
        raise ValueError(f"this needs about {needed} of disk; {size_words(free)} are free in {home}")


def resume(job: Job) -> None:
    """Resume a stopped, crashed or failed job after the last batch that was scored.

    Raises:
        ValueError: the job runs, or is finished.
    """
    with _jobs_lock(job.home):
        state = read_status(job).state
        if state in ("running", "finished"):
            raise ValueError(f"job {job.id} is {state}")
        (job.folder / STOP).unlink(missing_ok=True)
        _start(job, read_request(job))


def _start(job: Job, request: JobRequest) -> None:
    for draft in _drafts(output(job, request)):
        draft.unlink()
    _, done, _ = _progress(job, request)
    (job.folder / FAILURE_NAME).unlink(missing_ok=True)
    variables = {"TFBIND_HOME": str(job.home), "PYTHONPATH": python_path(), FAILURE: str(job.folder / FAILURE_NAME)}
    with require_regular_or_new(job.folder / LOG).open("ab") as log:
        printed = log.tell()
        _write_process(job, _process(job).owner, printed, done)  # earlier output is not taken for this process's
        child = subprocess.Popen(
            command(job, request),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **variables},
            start_new_session=True,
        )
    process = psutil.Process(child.pid)
    _write_process(job, identify_process(process), printed, done)
    process.nice(PAGE_FIRST)
    threading.Thread(target=child.wait, daemon=True).start()  # so that it leaves no zombie


def stop(job: Job) -> None:
    """Stop a running job, which can be resumed.

    Raises:
        ValueError: the job does not run, or on another host.
    """
    with _jobs_lock(job.home):
        if read_status(job).state != "running":
            raise ValueError(f"job {job.id} does not run")
        owner = owner_of(job)
        if not owner.here:
            raise ValueError(f"job {job.id} runs on host {owner.host}; stop it there")
        (job.folder / STOP).touch()
        if not _end_process(owner, signal.SIGTERM):  # it is frozen
            _end_process(owner, signal.SIGKILL)


def _end_process(owner: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal a process to end; return whether it does so in time."""
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        os.kill(owner.pid, number)
    deadline = time.monotonic() + KILL_SECONDS
    while owner.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    return not owner.alive


def delete(job: Job) -> Path:
    """Move a job that does not run to the trash of its home; return its path there.

    Raises:
        ValueError: the job runs.
    """
    with _jobs_lock(job.home):
        if read_status(job).state == "running":
            raise ValueError(f"job {job.id} runs; stop it first")
        return move_to_trash(job.home, job.folder, f"job-{job.id}")


def _write_process(job: Job, owner: ProcessIdentity, printed: int, done: int) -> None:
    """Record the process that works on a job from now on."""
    PROCESS_FILE.write(job.folder / PROCESS, JobProcess(owner, printed, done, time.time()))


def _process(job: Job) -> JobProcess:
    return PROCESS_FILE.read(job.folder / PROCESS)


def owner_of(job: Job) -> ProcessIdentity:
    """The process that works on a job, or the last one.

    Raises:
        ValueError: its file is missing or damaged.
    """
    owner = _process(job).owner
    return owner if owner.alive else _unrecorded_process(job) or owner


def _unrecorded_process(job: Job) -> ProcessIdentity | None:
    """The process of a job whose server was killed before it recorded it."""
    arguments = command(job, read_request(job))
    processes = (process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"] == arguments)
    with contextlib.suppress(psutil.NoSuchProcess):
        return next(map(identify_process, processes), None)
    return None


def read_status(job: Job) -> JobStatus:
    """The true status of a job: one whose process is gone does not run.

    Raises:
        ValueError: a file of it is damaged.
    """
    request = read_request(job)
    out = output(job, request)
    stage, done, total = _progress(job, request)
    if _process(job).owner.alive:
        return JobStatus("running", stage, done, total, _seconds_left(job, out, done, total), "")
    if out.exists():
        return JobStatus("finished", "writing", total, total, None, _last_line(job).removesuffix(f": {out}"))
    if (job.folder / STOP).exists():
        return JobStatus("stopped", stage, done, total, None, "")
    if (job.folder / FAILURE_NAME).exists():
        failure = FAILURE_FILE.read(job.folder / FAILURE_NAME)
        place = request.file if failure.place == INPUT else failure.place
        return JobStatus("failed", stage, done, total, None, ": ".join(filter(None, (place, failure.detail))))
    if _unrecorded_process(job):
        return JobStatus("running", stage, done, total, None, "")
    return JobStatus("crashed", stage, done, total, None, "the process ended without a word")


def _drafts(out: Path) -> list[Path]:
    """The drafts of an output, which killed commands leave behind."""
    return list(out.parent.glob(f".{out.name}.*"))


def _progress(job: Job, request: JobRequest) -> tuple[str, int, int]:
    """Stage, bases or variants done, and all of them, from the checkpoint or the draft beside the output."""
    out = output(job, request)
    if request.genome:
        rows = sum(_rows(draft) for draft in _drafts(out))
        return "scoring" if rows else "reading", rows, 0
    checkpoint = PredictionCheckpoint.beside(out)
    try:
        total = checkpoint.codes.stat().st_size
        if not checkpoint.about.exists():
            return "reading", total, 0
        done = int(DONE_FILE.read(checkpoint.done)["bases"]) if checkpoint.done.exists() else 0
    except (FileNotFoundError, ValueError):  # between two of its steps, or the command will say what is wrong
        return ("writing" if out.exists() else "reading"), 0, 0
    return ("scoring" if done < total else "writing"), done, total


def _rows(table: Path) -> int:
    try:
        with table.open("rb") as lines:
            return max(0, sum(not line.startswith(b"#") for line in lines) - 1)
    except FileNotFoundError:
        return 0


def _seconds_left(job: Job, out: Path, done: int, total: int) -> float | None:
    """Remaining seconds at the speed since this process began to score."""
    process = _process(job)
    first, about = process.done, PredictionCheckpoint.beside(out).about
    if not first < done < total or not about.exists():
        return None
    seconds = time.time() - max(process.started, about.stat().st_mtime)
    return seconds * (total - done) / (done - first) if seconds > 0 else None  # else the clock was set back


def _last_line(job: Job) -> str:
    """The last line that the process has printed, "" if there is none."""
    path = job.folder / LOG
    if not path.is_file():
        return ""
    with path.open("rb") as log:
        size = path.stat().st_size
        log.seek(max(0, min(_process(job).printed, size), size - TAIL_BYTES))
        lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
