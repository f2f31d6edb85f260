"""Clusters of other kinds: nodes that come late, go and come back, too few of them, several sweeps at once, and what
is no cluster at all."""

import contextlib
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from life import LONG, Start, halt, hold, outcome, wait_for_end, wait_until
from toy import toy_config, toy_data, toy_home

from tfbind import runs
from tfbind.cluster import protocol
from tfbind.cluster.protocol import END_SECONDS, NO_SETTINGS, PREFACE, Driver, Gone
from tfbind.cluster.runs import Cluster
from tfbind.data import dataset
from tfbind.data.pairs import Pair
from tfbind.runs import launch
from tfbind.runs.folder import Run
from tfbind.runs.launch import Order
from tfbind.sweeps import sweep_folder

pytest.importorskip("ray", reason="Ray is not installed; pip install -r requirements-ray.txt")

from ray_cluster import RayCluster, web_server

SECONDS = 90
CONNECT_SECONDS = 45
WHY = "its head, or Ray on this machine, has ended or does not answer"
LOST_SECONDS = 30  # a head that is gone is known to be after so long


@pytest.fixture
def headed() -> Iterator[RayCluster]:
    """A cluster whose head trains nothing, and nobody else yet."""
    cluster = RayCluster(0, ())
    yield cluster
    cluster.stop()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder with blanks"
    folder.mkdir()
    return toy_home(folder)


def log(run: Run) -> str:
    return (run.folder / runs.LOG).read_text()


def rows(run: Run) -> int:
    return len(runs.read_rows(run))


def train(address: str) -> list[str]:
    """The words that train the run `r` without an end."""
    return ["train", *launch.flags(toy_config(**LONG)), "--id", "r", "--ray", address]


def test_nodes_that_come_late_and_go_and_come_back(headed: RayCluster, home: Path, start: Start) -> None:
    words = train(headed.address)
    refused = start(*words)
    _, err = refused.communicate(timeout=SECONDS)
    assert refused.returncode == 2
    assert "the largest of 1 has 0 CPUs, none has a GPU" in err
    assert len(err.splitlines()) == 1
    assert runs.list_runs(home) == []
    node = headed.join(2)
    training = start(*words)
    run = Run(home / "runs" / "r")
    wait_until(lambda: (run.folder / runs.CONFIG).exists() and rows(run) > 2, SECONDS)
    node.kill()
    wait_until(lambda: "waits: --device cpu, --threads 1: no node" in log(run), SECONDS)
    before = runs.read_rows(run)
    assert runs.read_status(run).state == "pending"
    headed.join(2)
    wait_until(lambda: rows(run) > len(before) + 2, SECONDS)
    assert runs.read_rows(run)[: len(before)] == before
    headed.nodes[-1].kill()
    wait_until(lambda: log(run).count("waits: --device cpu, --threads 1: no node") == 2, SECONDS)
    launch.cancel(run)
    wait_until(lambda: runs.read_status(run).state == "killed", 10)
    training.communicate(timeout=SECONDS)
    assert training.returncode == 130


def test_a_prediction_on_a_cluster_that_has_no_cpu_says_so(headed: RayCluster, start: Start, tmp_path: Path) -> None:
    genome, out = tmp_path / "genome.fa", tmp_path / "out" / "p.tsv"
    out.parent.mkdir()
    genome.write_text(">chr1\n" + "ACGTTGTTTACATTGC" * 500_000 + "\n")
    words = ["predict", "--model", "builtin", "--data", str(genome), "--out", str(out), "--ray", headed.address]
    said = f"tfbind: no node of the Ray cluster at {headed.address} has a CPU; with one, the same command goes on\n"
    nobody = start(*words)
    assert nobody.communicate(timeout=SECONDS)[1] == said
    assert nobody.returncode == 1
    node = headed.join()
    alone = start(*words)
    wait_until(lambda: (out.with_name("p.tsv.parts") / "done.json").exists(), SECONDS)
    node.kill()
    lines = alone.communicate(timeout=SECONDS)[1].splitlines(keepends=True)
    assert lines.pop() == said
    # Ray may count the CPU of a lost node until it knows that the node is lost.
    assert all(line.startswith("waits for a free CPU of the Ray cluster") for line in lines)
    assert alone.returncode == 1
    headed.join()
    again = start(*words)
    assert again.communicate(timeout=SECONDS)[1] == ""
    assert len(list(out.parent.iterdir())) == 2  # where it comes from lies beside it


def test_killed_tasks_leave_nothing_on_their_node(headed: RayCluster, home: Path, start: Start) -> None:
    headed.join()
    training = start(*train(headed.address))
    run = Run(home / "runs" / "r")
    wait_until(lambda: (run.folder / runs.CONFIG).exists() and rows(run) > 2, SECONDS)
    for losses in (1, 2):
        for worker in headed.workers():
            worker.kill()
        wait_until(lambda losses=losses: log(run).count("its worker was lost") == losses, SECONDS)
        before = rows(run)
        wait_until(lambda before=before: rows(run) > before + 2, SECONDS)
    assert len(list(headed.folder.glob("tfbind-*"))) == 1
    launch.stop(run)
    training.communicate(timeout=SECONDS)
    assert list(headed.folder.glob("tfbind-*")) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_who_speaks_to_the_cluster_is_killed_and_that_is_what_is_said(
    headed: RayCluster, home: Path, start: Start, how: signal.Signals
) -> None:
    headed.join()
    training = start(*train(headed.address))
    run = Run(home / "runs" / "r")
    wait_until(lambda: (run.folder / runs.CONFIG).exists() and rows(run) > 2, SECONDS)
    for child in psutil.Process(training.pid).children():
        child.send_signal(how)
    _, err = training.communicate(timeout=SECONDS)
    said = f"the process that speaks to the Ray cluster at {headed.address} was killed, or out of memory"
    assert err == f"tfbind: {said}\n"
    assert (runs.read_status(run).state, runs.read_status(run).error) == ("failed", said)


def test_two_sweeps_at_once_on_data_that_are_renamed_meanwhile(headed: RayCluster, home: Path, start: Start) -> None:
    headed.join(2)
    config = toy_config(num_epochs=400)
    parameters = {name: {"value": value} for name, value in config.model_dump(exclude_none=True).items()}
    spec = home / "spec.yaml"
    spec.write_text(yaml.safe_dump({"method": "grid", "parameters": parameters | {"learning_rate": {"value": 0.01}}}))
    sweeps = [start("sweep", str(spec), "--id", id, "--ray", headed.address) for id in ("a", "b")]
    hold(lambda: runs.list_runs(home), 2, 3, lambda run: headed.worker(run.id))
    there = runs.list_runs(home)
    (home / "data" / "toy").rename(home / "data" / "other")
    for worker in headed.workers():
        worker.kill()
    for sweep in sweeps:
        assert sweep.communicate(timeout=SECONDS)[1] == ""
        assert sweep.returncode == 0
    here = launch.submit(home, config.model_copy(update={"learning_rate": 0.01, "dataset": "other"}))
    assert wait_for_end(here) == "finished"
    for run in there:
        assert outcome(run) == outcome(here)
        assert log(run).count("its worker was lost") == 1


def test_two_sweeps_and_a_prediction_share_one_cpu(
    headed: RayCluster, home: Path, start: Start, tmp_path: Path
) -> None:
    headed.join()
    config = toy_config(num_epochs=40)
    here = launch.submit(home, config.model_copy(update={"learning_rate": 0.01}))
    parameters = {name: {"value": value} for name, value in config.model_dump(exclude_none=True).items()}
    spec, genome = home / "spec.yaml", tmp_path / "genome.fa"
    spec.write_text(yaml.safe_dump({"method": "grid", "parameters": parameters | {"learning_rate": {"value": 0.01}}}))
    genome.write_text(">chr1\n" + "ACGTTGTTTACATTGC" * 30_000 + "\n")
    words = ["predict", "--model", "builtin", "--data", str(genome), "--out"]
    commands = [
        *(start("sweep", str(spec), "--id", id, "--ray", headed.address) for id in ("a", "b")),
        start(*words, str(tmp_path / "there.tsv"), "--ray", headed.address),
    ]
    where = f"the Ray cluster at {headed.address}"
    waits = f"waits for a free CPU of {where}, which has 1; goes on by itself"
    run_waits = rf"run \S+ waits for 1 free CPU of {where}; goes on by itself"
    for command, said in zip(commands, (run_waits, run_waits, waits), strict=True):
        assert re.fullmatch(rf"({said}\n)?", command.communicate(timeout=SECONDS)[1])
        assert command.returncode == 0
    wait_until(lambda: not runs.read_status(here).active)
    assert len(runs.list_runs(home)) == 3
    for run in runs.list_runs(home):
        assert outcome(run) == outcome(here)
    assert start(*words, str(tmp_path / "here.tsv")).communicate(timeout=SECONDS)[1] == ""
    assert (tmp_path / "there.tsv").read_bytes() == (tmp_path / "here.tsv").read_bytes()


def test_who_stops_while_data_are_on_their_way_leaves_nothing_behind(
    headed: RayCluster, home: Path, start: Start
) -> None:
    """The data are more than a node keeps in memory."""
    toy = toy_data(80_000, 300)
    names = np.array([f"toy_{number}" for number in range(len(toy.codes))], dtype=bytes)
    dataset.keep(home, "large", Pair(names, toy.codes, toy.scores), {"kind": "toy"})
    headed.join(2)
    config = toy_config(**LONG, dataset="large")
    training = start("train", *launch.flags(config), "--id", "r", "--ray", headed.address)
    run = Run(home / "runs" / "r")
    assert training.stdout
    assert training.stdout.readline().startswith("run r: ")  # the cluster has its order
    training.send_signal(signal.SIGINT)
    training.communicate(timeout=SECONDS)
    assert training.returncode == 130
    assert (runs.read_status(run).state, rows(run)) == ("killed", 0)
    time.sleep(END_SECONDS)  # of whoever speaks to the cluster
    assert headed.workers() == []
    again = start(
        "train", *launch.flags(toy_config(**LONG)), "--id", "next", "--threads", "2", "--ray", headed.address
    )
    wait_until(lambda: (home / "runs" / "next").exists() and rows(Run(home / "runs" / "next")) > 2, SECONDS)
    launch.stop(Run(home / "runs" / "next"))
    again.communicate(timeout=SECONDS)


def test_a_run_that_no_node_can_take_ends_its_sweep_and_is_not_the_reason_of_the_others(
    headed: RayCluster, home: Path, start: Start
) -> None:
    headed.join(2)
    config = toy_config(**LONG).model_dump(exclude={"threads"}, exclude_none=True)
    parameters = {name: {"value": value} for name, value in config.items()} | {"threads": {"values": [1, 3]}}
    spec = home / "spec.yaml"
    spec.write_text(yaml.safe_dump({"method": "grid", "parameters": parameters}))
    sweep = start("sweep", str(spec), "--id", "s", "--ray", headed.address)
    _, err = sweep.communicate(timeout=SECONDS)
    reason = f"--device cpu, --threads 3: no node of the Ray cluster at {headed.address} has that"
    assert sweep.returncode == 1
    assert err.startswith(f"tfbind: {reason}; the largest of 2 has 2 CPUs")
    (run,) = runs.list_runs(home)
    assert runs.read_status(run).state == "failed"
    assert (runs.read_status(run).error or "").startswith(f"its sweep has failed: {reason}")


def test_the_data_of_a_run_need_to_be_here_when_it_begins_only(headed: RayCluster, home: Path) -> None:
    headed.join()
    with Cluster(headed.address) as there:
        run = launch.submit(home, toy_config(**LONG), Order(id="r"), cluster=there)

        def work_until(holds: Callable[[], bool]) -> None:
            deadline = time.monotonic() + SECONDS
            while not holds():
                assert time.monotonic() < deadline
                there.step(0.1)

        work_until(lambda: rows(run) >= 3)
        shutil.rmtree(home / "data" / "toy")
        for worker in headed.workers():
            worker.kill()
        work_until(lambda: "its worker was lost" in log(run))
        before = rows(run)
        work_until(lambda: rows(run) >= before + 3)
        runs.request_stop(run)
        there.lead()
    assert runs.read_status(run).state == "killed"


def test_auto_is_the_only_cluster_of_the_machine_and_no_guess(headed: RayCluster, home: Path, start: Start) -> None:
    words = ["train", "--dataset", "toy", "--ray", "auto"]
    other = RayCluster(0, ())
    try:
        guess = start(*words)
        _, err = guess.communicate(timeout=SECONDS)
        assert guess.returncode == 2
        assert err.startswith("tfbind: --ray auto: this machine has joined several clusters; name one: ")
        ports = [address.rpartition(":")[2] for address in err.split("name one: ")[1].strip().split(", ")]
        assert {headed.port, other.port} <= set(ports)
    finally:
        other.stop()
    gone = start(*words)
    _, err = gone.communicate(timeout=SECONDS)
    assert gone.returncode == 2  # there is no CPU in the one that is left; there may be more, of other tests
    assert f":{other.port}" not in err
    assert runs.list_runs(home) == []


@pytest.mark.usefixtures("home")
def test_a_head_that_is_lost_while_a_command_joins_is_told_in_bounded_time(start: Start) -> None:
    """It answers the first knock as a head does, and nothing after that."""
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        command = start("train", "--dataset", "toy", "--ray", address)
        with head.accept()[0] as knocking:
            knocking.recv(len(PREFACE))
            knocking.sendall(NO_SETTINGS)
    lost = time.monotonic()
    _, err = command.communicate(timeout=2 * CONNECT_SECONDS)
    assert time.monotonic() - lost < LOST_SECONDS
    assert command.returncode == 1
    assert err == f"tfbind: --ray {address}: the Ray cluster at {address} is gone: {WHY}\n"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_is_interrupted_while_it_joins_is_killed(home: Path, start: Start, how: signal.Signals) -> None:
    spec = home / "spec.yaml"
    spec.write_text(yaml.safe_dump({"method": "grid", "parameters": {"learning_rate": {"values": [0.01]}}}))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        sweep = start("sweep", str(spec), "--id", "s", "--dataset", "toy", "--ray", address)
        with silent.accept()[0]:
            sweep.send_signal(how)
            _, err = sweep.communicate(timeout=SECONDS)
    assert (sweep.returncode, err) == (130, "tfbind: interrupted\n")
    status = runs.read_status(sweep_folder.find(home, "s"))
    assert (status.state, status.error) == ("killed", None)


def test_ray_here_that_is_lost_while_a_command_joins_is_told_in_words(
    headed: RayCluster, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray ends the process that joins it, and logs that in a line of its own."""
    raylet = headed.head.raylet()
    for process in (psutil.Process(raylet.ppid()), raylet):  # the first would end the head as well
        halt(process)
    command = start("train", "--dataset", "toy", "--ray", headed.address)
    wait_until(lambda: any(headed.folder.glob("ray/session_*/logs/python-core-driver-*.log")), SECONDS)
    raylet.kill()
    lost = time.monotonic()
    _, err = command.communicate(timeout=2 * CONNECT_SECONDS)
    assert time.monotonic() - lost < LOST_SECONDS
    assert command.returncode == 1
    assert err == f"tfbind: --ray {headed.address}: the Ray cluster at {headed.address} is gone: {WHY}\n"
    monkeypatch.setattr(protocol, "CONNECT_SECONDS", 15.0)
    with pytest.raises(Gone, match=r"not joined in 15 s: its head does not answer, or this machine is no node of it"):
        Driver(headed.address)


def test_what_is_no_ray_is_told_in_bounded_time(home: Path, start: Start) -> None:
    """A server of web pages, and a socket that never answers."""
    with web_server() as web, contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        addresses = [web, f"127.0.0.1:{silent.getsockname()[1]}"]
        began = time.monotonic()
        commands = [start("train", "--dataset", "toy", "--ray", address) for address in addresses]
        for address, command in zip(addresses, commands, strict=True):
            _, err = command.communicate(timeout=2 * CONNECT_SECONDS)
            assert command.returncode == 1
            assert err.startswith(f"tfbind: --ray {address}: ")
            assert len(err.splitlines()) == 1
        assert time.monotonic() - began < CONNECT_SECONDS
    assert runs.list_runs(home) == []
