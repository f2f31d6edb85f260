"""Files scored in the background, by real processes: shown as executed, killed, stopped, resumed."""

import io
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from waiting import wait_for

from tfbind.scoring import jobs
from tfbind.scoring.jobs import JobRequest, PredictionJob
from tfbind.store.schema import read_json, write_json

ORDER = JobRequest(file="genome.fa", model="builtin", suffix=".bedgraph", strand="forward", threshold=3.0, pad=False)
BASES = 12_000_000


def fasta(bases: int) -> io.BytesIO:
    codes = np.random.default_rng(3).integers(0, 4, bases)
    return io.BytesIO(b">long\n" + np.frombuffer(b"ACGT", np.uint8)[codes].tobytes() + b"\n")


@pytest.fixture
def home(tmp_path: Path):
    home = tmp_path / "home"
    yield home
    for job in jobs.list_jobs(home):
        if jobs.read_status(job).state == "running":
            job.stop()


def pid(job: PredictionJob) -> int:
    """The worker of a job, once it has come."""
    return wait_for(lambda: (owner := job.read_state().owner.pid) != os.getpid() and owner)


def test_a_job_runs_as_it_is_shown_in_a_session_of_its_own_and_leaves_its_file(home):
    job = jobs.submit(home, ORDER, io.BytesIO(b">a\nACGTACGT\n>b\nGGGTAAACAGGG\n"))
    process = psutil.Process(pid(job))
    assert process.cmdline() == jobs.command(job, ORDER)
    assert os.getsid(process.pid) == process.pid
    assert process.nice() - os.nice(0) == PredictionJob.niceness
    wait_for(lambda: jobs.read_status(job).state != "running")
    assert jobs.read_status(job).state == "finished"
    assert jobs.read_status(job).message.startswith("2 records, 20 bases in ")
    rows = [line for line in jobs.output(job, ORDER).read_text().splitlines() if not line.startswith("#")]
    assert len(rows) == 20
    assert [found.id for found in jobs.list_jobs(home)] == [job.id]
    with pytest.raises(ValueError, match="is finished"):
        jobs.resume(job)
    trash = jobs.delete(job)
    assert (trash / "predictions.bedgraph").exists()
    assert jobs.list_jobs(home) == []


@pytest.mark.slow
def test_a_killed_job_is_crashed_and_goes_on_where_it_was(home):
    job = jobs.submit(home, replace(ORDER, suffix=".bed"), fasta(BASES))
    wait_for(lambda: jobs.read_status(job).stage == "scoring" and jobs.read_status(job).done > 2_000_000)
    status = jobs.read_status(job)
    assert (status.state, status.stage, status.total) == ("running", "scoring", BASES)
    os.kill(pid(job), signal.SIGKILL)
    wait_for(lambda: jobs.read_status(job).state != "running")
    crashed = jobs.read_status(job)
    assert crashed.state == "crashed"
    assert crashed.done >= status.done
    jobs.resume(job)
    assert jobs.read_status(job).done >= crashed.done
    wait_for(lambda: jobs.read_status(job).seconds_left)
    with pytest.raises(ValueError, match="is running"):
        jobs.resume(job)
    job.stop()
    assert jobs.read_status(job).state == "stopped"
    assert jobs.read_status(job).done >= crashed.done


def test_a_stopped_job_finishes_after_resume_with_the_answer_of_an_undisturbed_one(home):
    undisturbed = jobs.submit(home, ORDER, fasta(50_000))
    wait_for(lambda: jobs.read_status(undisturbed).state == "finished")
    job = jobs.submit(home, ORDER, fasta(50_000))
    job.stop()
    assert jobs.read_status(job).state == "stopped"
    (job.folder / jobs.LOG).unlink()
    jobs.resume(job)
    wait_for(lambda: jobs.read_status(job).state != "running")
    assert jobs.output(job, ORDER).read_bytes() == jobs.output(undisturbed, ORDER).read_bytes()


def test_what_cannot_be_scored_is_failed_with_its_line(home):
    job = jobs.submit(home, ORDER, io.BytesIO(b">p\nMKVLAETRRPFQQWLMKVLSEFIPQ\n"))
    wait_for(lambda: jobs.read_status(job).state != "running")
    assert jobs.read_status(job).state == "failed"
    assert jobs.read_status(job).message.startswith(
        "genome.fa: record p: letter 'L' at position 4 (1-based); this looks like"
    )


def test_what_is_too_large_or_empty_is_refused_before_anything_is_written(home):
    class Huge(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            return (jobs.MAX_MB << 20) + 1 if whence else super().seek(offset)

    with pytest.raises(ValueError, match="at most 200"):
        jobs.submit(home, ORDER, Huge(b"A"))
    with pytest.raises(ValueError, match="empty"):
        jobs.submit(home, ORDER, io.BytesIO())
    with pytest.raises(ValueError, match="no format"):
        jobs.submit(home, replace(ORDER, suffix=".exe"), io.BytesIO(b"ACGT"))
    assert jobs.list_jobs(home) == []


def test_the_second_click_of_a_double_click_starts_nothing(home):
    id = jobs.new_id()
    job = jobs.submit(home, ORDER, io.BytesIO(b"ACGT"), id)
    with pytest.raises(FileExistsError):
        jobs.submit(home, ORDER, io.BytesIO(b"ACGT"), id)
    wait_for(lambda: jobs.read_status(job).state == "finished")


def test_damaged_files_of_a_job_are_one_line(home):
    job = jobs.submit(home, ORDER, io.BytesIO(b"ACGT"))
    wait_for(lambda: jobs.read_status(job).state == "finished")
    process = job.folder / jobs.PROCESS
    write_json(process, read_json(process) | {"printed": 2**62})  # no file is so long
    assert jobs.read_status(job).state == "finished"
    (job.folder / jobs.JOB).write_text('{"file": "x"}')
    with pytest.raises(ValueError, match=r"job\.json: model, suffix, strand, threshold, pad missing"):
        jobs.read_status(job)
    (job.folder / jobs.JOB).unlink()
    assert jobs.list_jobs(home) == []


KILLED_IN_SUBMIT = """
import io, os, pathlib, signal, sys
from tfbind.scoring import jobs
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
where = sys.argv[2]
if where == "copy": jobs.shutil.copyfileobj = die
elif where == "order": type(jobs.REQUEST_FILE).write = die
else: jobs.PredictionJob.spawn = die
order = jobs.JobRequest("a.fa", "builtin", ".tsv", "forward", 3.0, False)
jobs.submit(pathlib.Path(sys.argv[1]), order, io.BytesIO(b"ACGT"))
"""


@pytest.mark.parametrize("where", ["copy", "order", "process"])
def test_of_a_server_killed_while_it_starts_a_job_nothing_is_left_but_a_job_that_can_go_on(home, where):
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_SUBMIT, home, where])
    assert killed.returncode == -signal.SIGKILL
    listed = jobs.list_jobs(home)
    assert [jobs.read_status(job).state for job in listed] == ["crashed"] * (where == "process")
    for job in listed:
        jobs.resume(job)
    other = jobs.submit(home, ORDER, io.BytesIO(b"ACGT"))
    assert sorted(path.name for path in (home / "jobs").glob("[!.]*")) == sorted(j.id for j in [*listed, other])
    assert list((home / "jobs").glob(".*")) == []
    wait_for(lambda: {jobs.read_status(job).state for job in jobs.list_jobs(home)} == {"finished"})
