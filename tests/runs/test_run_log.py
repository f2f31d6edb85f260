"""The log of a run: what programs read in it and what people see, also of what crashed, is torn or is old."""

import json
import os
import signal
import socket
import time
import traceback
from datetime import UTC, datetime

import pytest
from toy import toy_config, toy_home
from waiting import wait_for

from tfbind.__main__ import main
from tfbind.runs import folder, launch, log as run_log

LONG = {"num_epochs": 10_000, "early_stopping_patience": 10_000}
OLD = "2025-03-01 09:30:00,123 INFO runs on CPU, 1 thread"
LINE = '{"time": "2026-11-25T23:30:05.250Z", "level": "INFO", "message": "finished", "run": "r", "pid": 7}'


@pytest.fixture
def run(tmp_path):
    return folder.create(tmp_path, toy_config(), id="mine")


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = toy_home(tmp_path)
    monkeypatch.setenv("TFBIND_HOME", str(home))
    return home


@pytest.fixture
def tokyo(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")  # nine hours before UTC
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def lines(run) -> list[str]:
    return (run.folder / folder.LOG).read_text().splitlines()


def ended(run) -> str:
    return wait_for(lambda: not (status := run.status()).active and status.state)


def test_every_line_of_a_worker_is_an_object_that_says_when_who_and_what(home):
    began = datetime.now(UTC)
    run = launch.submit(home, toy_config())
    assert ended(run) == "finished"
    pid = run.status().pid
    entries = [json.loads(line) for line in lines(run)]
    times = [datetime.strptime(entry["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC) for entry in entries]
    assert times == sorted(times)
    assert began < times[0] < times[-1] < datetime.now(UTC)
    whose = {(entry["level"], entry["run"], entry["host"], entry["pid"]) for entry in entries}
    assert whose == {("INFO", run.id, socket.gethostname(), pid)}
    logged = ("epoch", "train_loss", "val_loss", "val_pearsonr", "seconds")
    rows = [{key: row[key] for key in logged} for row in folder.read_rows(run)]
    assert [{key: entry[key] for key in logged} for entry in entries if "epoch" in entry] == rows
    assert [entry["message"].split(":")[0] for entry in entries if "epoch" in entry] == [
        "epoch 1",
        "epoch 2",
        "epoch 3",
    ]
    assert (entries[0]["device"], entries[0]["threads"]) == ("cpu", 1)
    assert entries[1]["windows"] + entries[1]["held_out"] == 50
    assert (entries[-1]["state"], entries[-1]["error"]) == ("finished", None)


def test_an_exception_is_a_field_with_its_traceback_and_one_line_to_a_reader(home, capsys):
    config = toy_config(optimizer_type="SGD", learning_rate=10.0, norm="batch", num_epochs=50)
    run = launch.submit(home, config, launch.RunRequest(id="lost"))
    assert ended(run) == "failed"
    wait_for(lambda: lines(run)[-1].startswith("tfbind: "))  # what the command says to a terminal comes last
    *_, failed, end, printed = lines(run)
    failed, end = json.loads(failed), json.loads(end)
    assert printed == f"tfbind: {end['error']}"
    assert (failed["level"], failed["message"]) == ("ERROR", "failed")
    assert failed["exception"].startswith("Traceback (most recent call last):\n  File ")
    assert (end["state"], end["error"]) == ("failed", run.status().error)
    assert "the steps were too large" in end["error"]
    shown = run_log.tail(run, 100).splitlines()
    assert "Traceback" not in "\n".join(shown)
    at = next(number for number, line in enumerate(shown) if line.endswith(" ERROR failed"))
    assert shown[at + 1 : -2] == failed["exception"].splitlines()[-1:]
    assert run_log.tail(run, 3).splitlines() == shown[-3:]
    assert main(["runs", "lost"]) == 0
    assert capsys.readouterr().out.endswith(f"the last lines of its log:\n{run_log.tail(run)}\n")


def test_native_code_that_crashes_says_where_between_the_lines(home):
    run = launch.submit(home, toy_config(**LONG))
    wait_for(lambda: len(folder.read_rows(run)) > 1)  # the line of an epoch comes after its row
    os.kill(run.status().pid, signal.SIGSEGV)
    assert ended(run) == "crashed"
    shown = run_log.tail(run, 200)
    assert " INFO epoch 1: train_loss " in shown
    assert "Fatal Python error: Segmentation fault" in shown
    assert 'worker.py", line ' in shown


@pytest.mark.slow
def test_a_torn_line_costs_no_other(home):
    run = launch.submit(home, toy_config(**LONG))
    wait_for(lambda: len(folder.read_rows(run)) > 2)
    os.kill(run.status().pid, signal.SIGKILL)
    assert ended(run) == "crashed"
    log = run.folder / folder.LOG
    log.write_text(f"{lines(run)[0]}\n{lines(run)[1][:40]}")
    launch.resume(run)
    wait_for(lambda: len(lines(run)) > 4)
    run.stop(grace=0)
    assert run.state == "killed"
    whole, torn, *more = lines(run)
    assert json.loads(more[0])["message"] == json.loads(whole)["message"] == "runs on CPU, 1 thread"
    assert torn in run_log.tail(run, len(lines(run))).splitlines()


def test_a_note_ends_a_torn_line_and_begins_no_empty_one(run):
    run_log.note(run, "first")
    with (run.folder / folder.LOG).open("a") as log:
        log.write("torn")
    run_log.note(run, "said", "WARNING", losses=2)
    first, torn, said = lines(run)
    assert (json.loads(first)["message"], torn) == ("first", "torn")
    assert {"level": "WARNING", "message": "said", "losses": 2, "run": "mine"}.items() <= json.loads(said).items()


@pytest.mark.usefixtures("tokyo")
def test_a_reader_sees_local_times_and_what_is_no_such_line_as_it_is(run):
    assert run_log.tail(run) == ""
    (run.folder / folder.LOG).write_text(f"{OLD}\n{LINE}\n{LINE[:30]}\nSegmentation fault\n")
    assert run_log.tail(run, 4).splitlines() == [
        OLD,
        "2026-11-26 08:30:05 INFO finished",
        LINE[:30],
        "Segmentation fault",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "5",
        "[]",
        '"text"',
        '{"time": 5, "level": "INFO", "message": "m"}',
        '{"time": "soon", "level": "INFO", "message": "m"}',
        '{"time": "2026-11-25T23:30:05Z", "level": "INFO"}',
        '{"time": "0001-01-01T00:00:00+23:59", "level": "INFO", "message": "m"}',
        '{"time": "2026-11-25T23:30:05Z", "level": "INFO", "message": "m", "exception": 5}',
        "[" * 50_000,
    ],
)
def test_an_object_of_another_kind_is_shown_as_it_is(run, line):
    (run.folder / folder.LOG).write_text(f"{line}\n")
    assert run_log.tail(run) == line


def test_the_log_is_shown_from_its_end(run):
    (run.folder / folder.LOG).write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert run_log.tail(run, 2) == "line 99998\nline 99999"


def test_a_log_that_has_grown_too_long_loses_its_middle_and_what_is_appended_meanwhile_stays(run):
    path = run.folder / folder.LOG
    lines = [f"line {number:06d}\n" for number in range(100_000)]
    path.write_text("".join(lines))
    with path.open("a") as beside:
        run_log.trim(run)
        beside.write("appended\n")
    kept = path.read_text().splitlines(True)
    assert path.stat().st_size < run_log.MOST_BYTES
    cut = kept.index("[lines were left out here]\n")
    assert kept[:cut] == lines[:cut]
    assert [*lines, "appended\n"][-(len(kept) - cut - 1) :] == kept[cut + 1 :]
    run_log.trim(run)
    assert path.read_text().splitlines(True) == kept


@pytest.mark.slow
def test_what_a_process_prints_without_end_does_not_fill_the_disk(home):
    run = launch.submit(home, toy_config(**LONG))
    wait_for(lambda: folder.read_rows(run))
    with (run.folder / folder.LOG).open("ab") as printed:  # as its standard output is opened
        printed.write(b"a warning of native code\n" * 400_000)
    wait_for(lambda: (run.folder / folder.LOG).stat().st_size < run_log.MOST_BYTES)
    assert run.state == "running"
    run.stop()
    written = (run.folder / folder.LOG).read_text().splitlines()
    assert "runs on CPU" in written[0]
    assert "[lines were left out here]" in written
    assert json.loads(written[-1])["state"] == "killed"


def test_a_traceback_in_the_log_is_its_error_to_a_reader(home):
    run = folder.create(home, toy_config())
    try:
        try:
            raise OSError(28, "No space left on device", "/a")
        except OSError as error:
            raise MemoryError("Unable to allocate 3 GiB") from error
    except MemoryError:
        text = traceback.format_exc()
    run_log.append(run, f"before\n{text}after\n".encode())
    assert run_log.tail(run).splitlines() == [
        "before",
        "OSError: [Errno 28] No space left on device: '/a'",
        "MemoryError: Unable to allocate 3 GiB",
        "after",
    ]
