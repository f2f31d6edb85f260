"""Files scored in the background, by real processes: shown as executed, killed, stopped, resumed."""

import io
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from waiting import wait_for

from tfbind.scoring import jobs
from tfbind.scoring.jobs import JobRequest
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
            jobs.stop(job)


def pid(job: jobs.Job) -> int:
    return read_json(job.folder / jobs.PROCESS)["owner"]["pid"]


def test_a_job_runs_as_it_is_shown_in_a_session_of_its_own_and_leaves_its_file(home):
    job = jobs.submit(home, ORDER, io.BytesIO(b">a\nACGTACGT\n>b\nGGGTAAACAGGG\n"))
    process = psutil.Process(pid(job))
    process.suspend()  # else it may have ended before it is looked at
    wait_for(lambda: process.cmdline() == jobs.command(job, ORDER))
    assert os.getsid(pid(job)) == pid(job)
    assert process.nice() == jobs.PAGE_FIRST
    process.resume()
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
    jobs.stop(job)
    assert jobs.read_status(job).state == "stopped"
    assert jobs.read_status(job).done >= crashed.done


def test_a_stopped_job_finishes_after_resume_with_the_answer_of_an_undisturbed_one(home):
    undisturbed = jobs.submit(home, ORDER, fasta(50_000))
    wait_for(lambda: jobs.read_status(undisturbed).state == "finished")
    job = jobs.submit(home, ORDER, fasta(50_000))
    jobs.stop(job)
    assert jobs.read_status(job).state == "stopped"
    (job.folder / jobs.LOG).unlink()
    jobs.resume(job)
    wait_for(lambda: jobs.read_status(job).state != "running")
    assert jobs.output(job, ORDER).read_bytes() == jobs.output(undisturbed, ORDER).read_bytes()


def test_a_frozen_job_is_stopped_all_the_same(home, monkeypatch):
    monkeypatch.setattr(jobs, "KILL_SECONDS", 1.0)
    job = jobs.submit(home, ORDER, fasta(BASES))
    psutil.Process(pid(job)).suspend()
    jobs.stop(job)
    assert jobs.read_status(job).state == "stopped"
    assert not jobs.owner_of(job).alive


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


def test_a_job_of_another_host_is_to_be_stopped_there_and_no_process_here_is_ended_for_it(home):
    job = jobs.submit(home, ORDER, io.BytesIO(b">a\nACGTACGT\n"))
    wait_for(lambda: jobs.read_status(job).state != "running")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        facts = read_json(job.folder / jobs.PROCESS)
        there = {"host": "elsewhere", "pid": other.pid, "heartbeat": time.time()}
        write_json(job.folder / jobs.PROCESS, facts | {"owner": facts["owner"] | there})
        assert jobs.read_status(job).state == "running"
        with pytest.raises(ValueError, match=f"^job {job.id} runs on host elsewhere; stop it there$"):
            jobs.stop(job)
        other.communicate(b"\n")
    assert other.returncode == 0
    write_json(job.folder / jobs.PROCESS, facts)


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
elif where == "process": jobs.subprocess.Popen = die
else: jobs.identify_process = die
order = jobs.JobRequest("a.fa", "builtin", ".tsv", "forward", 3.0, False)
jobs.submit(pathlib.Path(sys.argv[1]), order, io.BytesIO(b"ACGT" * (10**6 if where == "owner" else 1)))
"""


def test_the_process_of_a_job_is_known_though_its_server_was_killed_before_it_could_say_so(home):
    killed = subprocess.run([sys.executable, "-c", KILLED_IN_SUBMIT, home, "owner"])
    assert killed.returncode == -signal.SIGKILL
    (job,) = jobs.list_jobs(home)
    assert jobs.read_status(job).state == "running"
    with pytest.raises(ValueError, match="is running"):
        jobs.resume(job)
    jobs.stop(job)
    assert jobs.read_status(job).state == "stopped"


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
    assert [path.name for path in (home / "jobs").glob(".*")] == [jobs.LOCK]
    wait_for(lambda: {jobs.read_status(job).state for job in jobs.list_jobs(home)} == {"finished"})


def test_of_many_who_press_at_once_one_is_heard(home):
    job = jobs.submit(home, replace(ORDER, suffix=".bed"), fasta(BASES))

    def press(act):
        try:
            act(job)
        except ValueError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(4) as people:
        assert set(people.map(press, [jobs.stop] * 4)) <= {"", f"job {job.id} does not run"}
        assert jobs.read_status(job).state == "stopped"
        assert sorted(people.map(press, [jobs.resume] * 4)) == ["", *[f"job {job.id} is running"] * 3]
    wait_for(lambda: jobs.read_status(job).done > 1_000_000)
    assert jobs.read_status(job).state == "running"
    jobs.stop(job)
    with ThreadPoolExecutor(2) as people:
        said = sorted(people.map(press, [jobs.delete] * 2))
    assert said[0] == ""
    assert "job.json: the file is missing" in said[1]
    assert [path.name for path in (home / "trash").iterdir()] == [f"job-{job.id}"]
