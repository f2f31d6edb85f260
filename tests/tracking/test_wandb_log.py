"""Runs logged by the real W&B client to a server on loopback: every epoch once, whatever goes wrong on the way."""

import getpass
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from stand_in import make_rows, make_run
from toy import toy_home
from waiting import wait_for
from wandb_server import ENTITY, KEY, Fault

from tfbind import runs
from tfbind.store.schema import read_json, write_json
from tfbind.tracking import logger
from tfbind.tracking.client import URL, WandbError
from tfbind.tracking.pull import import_offline


def wanted(home, state: str, epochs: int, mode: str = "online", **created):
    """A run that is to be logged."""
    run = make_run(home, state, epochs, **created)
    write_json(run.folder / runs.CONFIG, read_json(run.folder / runs.CONFIG) | {"wandb": mode, "sweep": "s-1"})
    return run


def log(run, url: str = "") -> logger.LogStatus:
    """Log a run to its end, to the server of the environment or another."""
    logger.start(run, secrets={URL: url}).wait(120)
    logged = logger.read_logged(run)
    assert logged
    return logged


def on_server(server, run):
    return server.runs[ENTITY, "tfbind"][run.id]


def epochs(server, run) -> list[int]:
    return [row["epoch"] for row in on_server(server, run).history]


def holds_key(folder) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_each_epoch_is_one_row_with_the_names_of_this_project_and_a_resumed_run_goes_on(tmp_path, server):
    run = wanted(tmp_path, "killed", 3)
    logged = log(run)
    assert (logged.mode, logged.state, logged.rows, logged.error) == ("online", "finished", 3, "")
    assert logged.url == f"{server.url}/{ENTITY}/tfbind/runs/{run.id}"
    kept = on_server(server, run)
    assert (kept.state, kept.group, kept.tags) == ("failed", "s-1", ["s-1"])
    assert kept.display_name == runs.read_labels(run)["name"]
    assert kept.config["learning_rate"]["value"] == runs.read_config(run).learning_rate
    assert kept.config["num_res_blocks"]["value"] == 3
    for row, ours in zip(kept.history, make_rows(3), strict=True):
        assert {name: row[name] for name in ours} == pytest.approx(ours)
        assert row["_step"] == row["epoch"]
    for row in make_rows(5)[3:]:
        runs.append_row(run, row)
    run.set_state("finished", ended=time.time())
    assert log(run).rows == 5
    assert epochs(server, run) == [1, 2, 3, 4, 5]
    assert on_server(server, run).state == "finished"
    assert server.unknown == []
    assert logger.describe_status(run) == f"W&B: logged online, 5 epochs, {logged.url}"
    assert holds_key(tmp_path) == []
    sent = "\n".join(server.seen)
    private = (socket.gethostname(), f'"{getpass.getuser()}"', str(tmp_path), sys.executable)
    assert [word for word in private if word in sent] == []
    assert [path.name for path in (tmp_path / "wandb").glob("*run-2*")] == []


def test_without_a_server_it_is_logged_offline_said_so_and_sent_later(tmp_path, server, monkeypatch):
    run = wanted(tmp_path, "finished", 4)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    logged = log(run)
    assert (logged.asked, logged.mode, logged.state, logged.rows) == ("online", "offline", "finished", 4)
    assert logger.describe_status(run).startswith(
        "W&B at http://127.0.0.1:9 could not be reached: connection refused; logged offline instead, 4 epochs in "
    )
    (offline,) = (tmp_path / "wandb").glob("offline-run-*")
    (past,) = import_offline(tmp_path, offline).records
    assert (past.id, past.state, past.source) == (run.id, "finished", "offline")
    assert past.rows == [pytest.approx(row) for row in make_rows(4)]
    assert past.config["learning_rate"] == runs.read_config(run).learning_rate
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    assert logger.send(run).state == "finished"
    assert epochs(server, run) == [1, 2, 3, 4]
    assert not offline.exists()


def test_offline_needs_no_key_and_a_torn_file_gives_the_rows_before_the_tear(tmp_path, server, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    run = wanted(tmp_path, "finished", 30, mode="offline")
    assert log(run).state == "finished"
    assert server.seen == []
    (file,) = (tmp_path / "wandb").rglob("*.wandb")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 2 // 3])
    (past,) = import_offline(tmp_path, file).records
    assert past.state == "crashed"
    assert 5 < len(past.rows) < 30
    assert past.rows == [pytest.approx(row) for row in make_rows(len(past.rows))]
    with pytest.raises(WandbError, match=r"^no W&B key: set WANDB_API_KEY, or keep one for 127.0.0.1 in netrc$"):
        logger.send(run)


@pytest.mark.usefixtures("server")
def test_logs_that_the_client_left_days_ago_are_deleted(tmp_path):
    folder = tmp_path / "wandb" / "client"
    log(wanted(tmp_path, "finished", 2, mode="offline"))
    left = list(folder.rglob("core-debug-*.log"))
    for path in left:
        os.utime(path, (time.time() - 2 * 86_400,) * 2)
    log(wanted(tmp_path, "finished", 2, mode="offline", id="second"))
    kept = list(folder.rglob("core-debug-*.log"))
    assert left
    assert kept
    assert set(kept).isdisjoint(left)


def test_the_key_may_lie_in_netrc(tmp_path, server, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "keys").write_text(f"machine 127.0.0.1 login user password {KEY}\n")
    (tmp_path / "keys").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "keys"))
    run = wanted(tmp_path / "home", "finished", 2)
    assert log(run).state == "finished"
    assert epochs(server, run) == [1, 2]
    assert holds_key(tmp_path / "home") == []


def test_rows_that_the_server_refuses_are_not_called_logged_and_can_be_sent_again(tmp_path, server):
    run = wanted(tmp_path, "finished", 3)
    server.fault = Fault("401", "file_stream")
    logged = log(run)
    assert (logged.mode, logged.state) == ("online", "incomplete")
    assert epochs(server, run) == []
    assert logger.describe_status(run) == not_arrived(
        server, run, "has 0 of 3 epochs: it refuses or has not taken them"
    )
    server.fault = None
    assert logger.send(run).state == "finished"
    assert epochs(server, run) == [1, 2, 3]


def not_arrived(server, run, why: str) -> str:
    again = f"`python -m tfbind runs {run.id} --log` sends what is missing"
    return f"W&B: perhaps not everything arrived (W&B at {server.url} {why}); {again}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("429", "answers nothing more for now (429: too many requests); wait a minute and try again"),
        ("hang", "does not answer"),
    ],
)
def test_a_server_that_fails_while_the_run_goes_on_is_named_until_rows_get_through(tmp_path, server, kind, why):
    run = wanted(tmp_path, "running", 1)
    child = logger.start(run)
    wait_for(lambda: server.find(ENTITY, "tfbind", run.id) and epochs(server, run) == [1])
    server.fault = Fault(kind)
    runs.append_row(run, make_rows(2)[1])
    well = f"W&B: logging, 2 epochs so far, {server.url}/{ENTITY}/tfbind/runs/{run.id}"
    wait_for(lambda: logger.describe_status(run) == f"{well}; rows do not get through (W&B at {server.url} {why})")
    server.fault = None
    server.released.set()
    wait_for(lambda: logger.describe_status(run) == well)
    run.set_state("finished", ended=time.time())
    assert child.wait(60) == 0
    assert epochs(server, run) == [1, 2]


@pytest.mark.slow
def test_a_refusal_is_said_while_the_run_goes_on(tmp_path, server):
    run = wanted(tmp_path, "running", 1)
    server.fault = Fault("401", "file_stream")
    child = logger.start(run)
    wait_for(lambda: "has 0 of 1 epochs: it refuses" in logger.describe_status(run))
    for row in make_rows(8)[1:]:
        runs.append_row(run, row)
    wait_for(lambda: logger.read_logged(run).rows == 8)
    assert "it refuses or has not taken them" in logger.describe_status(run)
    assert logger.describe_status(run).startswith("W&B: logging, ")
    run.set_state("finished", ended=time.time())
    assert child.wait(60) == 0
    server.fault = None
    assert logger.send(run).error == ""
    assert epochs(server, run) == list(range(1, 9))


def test_a_logging_process_that_is_killed_loses_nothing(tmp_path, server):
    run = wanted(tmp_path, "running", 2)
    child = logger.start(run)
    wait_for(lambda: (run.folder / runs.WANDB).exists() and logger.read_logged(run).rows == 2)
    with pytest.raises(ValueError, match="is being logged already"):
        logger.send(run)
    child.kill()
    child.wait()
    assert logger.read_logged(run).state == "incomplete"
    assert "the process that logs ended without a word" in logger.describe_status(run)
    runs.append_row(run, make_rows(3)[2])
    run.set_state("finished", ended=time.time())
    assert logger.send(run).state == "finished"
    assert epochs(server, run) == [1, 2, 3]


def test_a_wandb_agent_trains_with_its_flags_its_ids_and_its_signal(tmp_path, server):
    home = toy_home(tmp_path)
    environment = {**os.environ, "TFBIND_HOME": str(home), "WANDB_SWEEP_ID": "swp1", "WANDB_RUN_ID": "agentrun"}
    environment |= {"WANDB_PROJECT": "seed", "WANDB_ENTITY": ENTITY, "WANDB_SERVICE": "3-1-tcp-localhost-1"}
    flags = ["--learning_rate=0.01", "--num_channels=8", "--batch_size=8", "--num_epochs=10000", "--device=cpu"]
    words = [sys.executable, "-m", "tfbind", "train", "--dataset=toy", "--early_stopping_patience=10000", *flags]
    with (tmp_path / "said").open("w") as said_to:
        agent = subprocess.Popen(words, env=environment, stdout=said_to)
    wait_for(lambda: server.find(ENTITY, "seed", "agentrun"))
    kept = server.find(ENTITY, "seed", "agentrun")
    (run,) = runs.list_runs(home)
    wait_for(lambda: logger.read_logged(run).rows > 2)
    assert kept.sweep == "swp1"
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(120) == 130
    said = (tmp_path / "said").read_text()
    assert [row["epoch"] for row in kept.history] == [row["epoch"] for row in runs.read_rows(run)]
    assert kept.state == "failed"
    assert f"W&B: logged online, {len(kept.history)} epochs, {server.url}/{ENTITY}/seed/runs/agentrun" in said
    assert KEY not in said
    assert holds_key(home) == []


@pytest.mark.slow
def test_a_server_that_hangs_neither_stops_nor_slows_training(tmp_path, server):
    home = toy_home(tmp_path)
    server.fault = Fault("hang")
    words = "train --dataset toy --num-channels 8 --batch-size 8 --num-epochs 3 --device cpu --wandb online --id slow"
    worker = subprocess.Popen(
        [sys.executable, "-m", "tfbind", *words.split()],
        env={**os.environ, "TFBIND_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: (home / "runs" / "slow" / runs.WANDB).exists())
    run = runs.find(home, "slow")
    wait_for(lambda: run.state == "finished")
    assert logger.read_logged(run).state in logger.WORKING  # not at its end yet: nobody waits for it
    assert "does not answer; logged offline instead, 3 epochs" in worker.communicate(timeout=120)[0]
