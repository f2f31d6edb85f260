"""Jobs: files scored in the background by `python -m tfbind predict` or `variants`, which outlive the page.

A job is the folder `<home>/jobs/<id>/`: `job.json` is the request, `process.json` the process that works on it,
`input` is the file of DNA or of variants, `printed.txt` the output of the command, `failure.json` why it failed.
The progress of a job follows from the files that the command itself writes.
"""

import errno
import os
import re
import secrets
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from tfbind.errors import JOB as JOB_VARIABLE, TfbindError
from tfbind.runs import size as size_words
from tfbind.scoring.checkpoint import DONE_FILE, PredictionCheckpoint
from tfbind.scoring.formats import writer_of
from tfbind.store import (
    HANDOVER_SECONDS,
    HEARTBEAT_SECONDS,
    NOBODY,
    Busy,
    Job,
    KeptFile,
    ProcessIdentity,
    annotate_oserror,
    kept_file,
    rename_exclusive,
    scratch,
    this_process,
)

ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-f]{5}")
JOB, PROCESS, INPUT, LOG = "job.json", "process.json", "input", "printed.txt"
FAILURE_NAME = "failure.json"
FOLDER = "jobs"
MAX_MB = 200
DISK_PER_BYTE = 8  # of input: it, its codes, its scores and what is written of them
PAGE_FIRST = 10  # niceness of a job: whoever looks at a page goes first
COPY_BYTES = 1 << 20
STOP_SECONDS = 0.1  # a request to stop is seen so late at most


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
class JobProcess:
    """The last process of a job: when it was `started`, the bytes `printed` before, and bases or variants `done`."""

    owner: ProcessIdentity
    printed: int
    done: int
    started: float

    @property
    def active(self) -> bool:
        """Whether it works: its last words are files beside."""
        return self.owner.alive

    def owned_by(self, owner: ProcessIdentity) -> "JobProcess":
        """The same with another owner."""
        return replace(self, owner=owner)


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


@dataclass(frozen=True)
class PredictionJob(Job[JobProcess]):
    """A file that is scored in the background, by its folder, which need not exist yet."""

    state_file = PROCESS_FILE
    output = LOG
    streams = ("stdout", "stderr")
    niceness = PAGE_FIRST

    def check_idle(self) -> None:
        """Check that it can be resumed."""
        state = read_status(self).state
        if state in ("running", "finished"):
            raise ValueError(f"job {self.id} is {state}")

    def write_pending(self) -> None:
        """Write that it waits for its worker, and where that begins: earlier output is not taken for its own."""
        for draft in _drafts(output(self, read_request(self))):
            draft.unlink()
        (self.folder / FAILURE_NAME).unlink(missing_ok=True)
        log = self.folder / LOG
        _, done, _ = _progress(self, read_request(self))
        self.write_state(JobProcess(this_process(), log.stat().st_size if log.is_file() else 0, done, time.time()))

    def write_unstarted(self, *_: Any) -> None:
        """Write that no worker comes; why, its output says or the error."""
        self.write_state(self.read_state().owned_by(NOBODY))

    @contextmanager
    def work(self) -> Iterator[None]:
        """Be the worker of the job, and end, as by SIGTERM, when its stop is requested.

        Raises:
            Busy: another process works on it.
        """
        with self.lock(HANDOVER_SECONDS):
            self.write_state(self.read_state().owned_by(this_process()))
            threading.Thread(target=self._listen, daemon=True).start()
            yield

    def _listen(self) -> None:
        """Wait for a request to stop, and show until then that this process lives."""
        beaten = time.monotonic()
        while not self.stop_requested():
            if time.monotonic() - beaten >= HEARTBEAT_SECONDS:
                beaten = time.monotonic()
                with suppress(ValueError, OSError):  # a full disk, or a folder that is gone, is not for it to say
                    self.write_state(self.read_state().owned_by(this_process()))
            time.sleep(STOP_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)


def new_id() -> str:
    """Generate an id; ids sort by time."""
    return f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)[:5]}"


def job_of(home: Path, id: str) -> PredictionJob:
    """The job of a home with this id, which need not exist."""
    return PredictionJob(home / FOLDER / id)


def list_jobs(home: Path) -> list[PredictionJob]:
    """All jobs of a home, newest first."""
    folders = sorted((home / FOLDER).iterdir(), reverse=True) if (home / FOLDER).is_dir() else []
    return [PredictionJob(folder) for folder in folders if ID.fullmatch(folder.name) and (folder / JOB).exists()]


def read_request(job: PredictionJob) -> JobRequest:
    """Read the request of a job.

    Raises:
        ValueError: the file is damaged.
    """
    return REQUEST_FILE.read(job.folder / JOB)


def keep_failure(job: PredictionJob, error: object) -> None:
    """Write why the command of a job fails, unless another process works on that.

    Args:
        job: the job.
        error: the error.
    """
    if not isinstance(error, Busy):
        texts = (error.place, error.detail) if isinstance(error, TfbindError) else ("", str(error))
        FAILURE_FILE.write(job.folder / FAILURE_NAME, Failure(*(" ".join(text.split()) for text in texts)))


def command(job: PredictionJob, request: JobRequest) -> list[str]:
    """The command line of a job."""
    name = "variants" if request.genome else "predict"
    arguments = [sys.executable, "-m", "tfbind", name, "--model", request.model]
    arguments += ["--data", str(job.folder / INPUT), "--out", str(output(job, request))]
    arguments += ["--threshold", f"{request.threshold:g}", "--strand", request.strand]
    if request.genome:
        return [*arguments, "--fasta", request.genome, "--keep-going"]
    return [*arguments, "--pad"] if request.pad else arguments


def output(job: PredictionJob, request: JobRequest) -> Path:
    """The path of the predictions, which exist when the job is finished."""
    return job.folder / f"predictions{request.suffix}"


def submit(home: Path, request: JobRequest, data: BinaryIO, id: str | None = None) -> PredictionJob:
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
        PredictionJob(draft).write_pending()
        if not rename_exclusive(draft, job.folder):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(job.folder))
    try:
        _spawn(job, request)
    except BaseException:
        shutil.rmtree(job.folder)
        raise
    return job


def _spawn(job: PredictionJob, request: JobRequest) -> None:
    job.spawn(command(job, request), {JOB_VARIABLE: str(job.folder)})


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


def resume(job: PredictionJob) -> None:
    """Resume a stopped, crashed or failed job after the last batch that was scored.

    Raises:
        ValueError: the job runs, or is finished.
    """
    job.enqueue()
    _spawn(job, read_request(job))


def delete(job: PredictionJob) -> Path:
    """Move a job that does not run to the trash of its home; return its path there.

    Raises:
        ValueError: the job runs.
    """
    with job.lock():
        if read_status(job).state == "running":
            raise ValueError(f"job {job.id} runs; stop it first")
        return job.trash("job-")


def read_status(job: PredictionJob) -> JobStatus:
    """The true status of a job: one whose process is gone does not run.

    Raises:
        ValueError: a file of it is damaged.
    """
    request = read_request(job)
    out = output(job, request)
    stage, done, total = _progress(job, request)
    if job.read_state().active:
        return JobStatus("running", stage, done, total, _seconds_left(job, out, done, total), "")
    if out.exists():
        return JobStatus("finished", "writing", total, total, None, _last_line(job).removesuffix(f": {out}"))
    if job.stop_requested():
        return JobStatus("stopped", stage, done, total, None, "")
    if (job.folder / FAILURE_NAME).exists():
        failure = FAILURE_FILE.read(job.folder / FAILURE_NAME)
        place = request.file if failure.place == INPUT else failure.place
        return JobStatus("failed", stage, done, total, None, ": ".join(filter(None, (place, failure.detail))))
    return JobStatus("crashed", stage, done, total, None, "the process ended without a word")


def _drafts(out: Path) -> list[Path]:
    """The drafts of an output, which killed commands leave behind."""
    return list(out.parent.glob(f".{out.name}.*"))


def _progress(job: PredictionJob, request: JobRequest) -> tuple[str, int, int]:
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


def _seconds_left(job: PredictionJob, out: Path, done: int, total: int) -> float | None:
    """Remaining seconds at the speed since this process began to score."""
    process = job.read_state()
    first, about = process.done, PredictionCheckpoint.beside(out).about
    if not first < done < total or not about.exists():
        return None
    seconds = time.time() - max(process.started, about.stat().st_mtime)
    return seconds * (total - done) / (done - first) if seconds > 0 else None  # else the clock was set back


def _last_line(job: PredictionJob) -> str:
    """The last line that the process has printed, "" if there is none."""
    return next((line for line in reversed(job.tail(job.read_state().printed)) if line.strip()), "")
