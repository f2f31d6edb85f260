"""A Ray cluster loses workers, a node, its head, or the process that leads the runs: no finished epoch is lost, no
state lies, and the reason is said in words."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from life import LONG, Start, halt, hold, untimed, wait_until
from toy import toy_config

from tfbind import runs
from tfbind.cluster.runs import Cluster
from tfbind.runs import launch
from tfbind.runs.folder import Run
from tfbind.sweeps import sweep_folder

pytest.importorskip("ray", reason="Ray is not installed; pip install -r requirements-ray.txt")

from ray_cluster import RayCluster

RATES = [0.01, 0.003]
SECONDS = 90
WHY = "its head, or Ray on this machine, has ended or does not answer"


@pytest.fixture
def cluster() -> Iterator[RayCluster]:
    nodes = RayCluster()
    yield nodes
    nodes.stop()


def wait_for(holds: Callable[[], object]) -> None:
    wait_until(holds, SECONDS)


def start_sweep(start: Start, home: Path, address: str, epochs: int = 10_000) -> "subprocess.Popen[str]":
    """A sweep of two runs, one for each node."""
    config = {**toy_config(**{**LONG, "num_epochs": epochs}).model_dump(), "learning_rate": None}
    parameters = {field: {"value": value} for field, value in config.items() if value is not None}
    parameters |= {"learning_rate": {"values": RATES}}
    spec = home / "spec.yaml"
    spec.write_text(yaml.safe_dump({"method": "grid", "parameters": parameters}))
    return start("sweep", str(spec), "--id", "s", "--dataset", "toy", "--ray", address)


def both(home: Path, epochs: int) -> list[Run]:
    """The two runs of the sweep, once each has so many epochs."""
    wait_for(lambda: len(runs.list_runs(home)) == 2)
    found = runs.list_runs(home)
    wait_for(lambda: min(len(runs.read_rows(run)) for run in found) >= epochs)
    return found


def log(run: Run) -> str:
    return (run.folder / runs.LOG).read_text()


def test_killed_workers_cost_at_most_the_epoch_in_flight(cluster: RayCluster, home: Path, start: Start) -> None:
    sweep = start_sweep(start, home, cluster.address, epochs=400)
    hold(lambda: runs.list_runs(home), 2, 20, lambda run: cluster.worker(run.id))
    for process in cluster.workers():
        process.kill()
    out, err = sweep.communicate(timeout=SECONDS)
    assert sweep.returncode == 0, out + err
    for run in runs.list_runs(home):
        assert runs.read_status(run).state == "finished"
        assert log(run).count("its worker was lost") == 1
        here = launch.submit(home, runs.read_config(run))
        wait_for(lambda run=here: not runs.read_status(run).active)
        assert untimed(run) == untimed(here)


def test_a_node_that_goes_leaves_its_run_to_the_other(cluster: RayCluster, home: Path, start: Start) -> None:
    sweep = start_sweep(start, home, cluster.address)
    found = both(home, 5)
    there = next(run for run in found if "runs on 127.0.0.2" in log(run))
    cluster.nodes[1].kill()
    here = next(run for run in found if run != there)
    wait_for(lambda: "its worker was lost" in log(there) and runs.read_status(there).state == "pending")
    before = runs.read_rows(there)
    launch.stop(here)
    assert runs.read_status(here).state == "killed"
    wait_for(lambda: len(runs.read_rows(there)) > len(before) + 2)
    assert runs.read_rows(there)[: len(before)] == before
    again = log(there).split("its worker was lost")[1]
    assert "runs on" in again
    assert "runs on 127.0.0.2" not in again
    sweep.send_signal(signal.SIGTERM)
    sweep.communicate(timeout=SECONDS)
    assert sweep.returncode == 130


@pytest.fixture
def impatient() -> Iterator[RayCluster]:
    """A cluster that gives up on a node in seconds, where Ray by itself takes a minute."""
    nodes = RayCluster(patience=8)
    yield nodes
    nodes.stop()


def test_a_node_that_stands_still_for_good_leaves_its_run_to_the_other(
    impatient: RayCluster, home: Path, start: Start
) -> None:
    """As one whose power or network fails: no connection to it breaks."""
    sweep = start_sweep(start, home, impatient.address)
    found = both(home, 3)
    there = next(run for run in found if "runs on 127.0.0.2" in log(run))
    node = impatient.nodes[1]
    node.freeze()
    time.sleep(2)
    node.thaw()
    before = runs.read_rows(there)
    wait_for(lambda: len(runs.read_rows(there)) > len(before) + 2)
    assert "its worker was lost" not in log(there)
    node.freeze()
    wait_for(lambda: "its worker was lost (its node is gone); goes on from the last checkpoint" in log(there))
    before = runs.read_rows(there)
    launch.stop(next(run for run in found if run != there))
    wait_for(lambda: len(runs.read_rows(there)) > len(before) + 2)
    assert runs.read_rows(there)[: len(before)] == before
    node.thaw()
    wait_for(lambda: not node.workers())  # it ends by itself when it hears that it was given up
    sweep.send_signal(signal.SIGTERM)
    sweep.communicate(timeout=SECONDS)
    assert sweep.returncode == 130


def test_when_ray_here_stands_still_a_run_ends_in_words(impatient: RayCluster, home: Path) -> None:
    """The head answers as before, and Ray takes no data any more."""
    with Cluster(impatient.address) as there:
        halt(impatient.head.raylet())
        run = launch.submit(home, toy_config(), cluster=there)
        there.lead()
    said = f"the Ray cluster at {impatient.address} is gone: {WHY}"
    assert (runs.read_status(run).state, runs.read_status(run).error) == ("failed", said)


def test_a_prediction_does_not_wait_for_a_node_that_stands_still(
    impatient: RayCluster, start: Start, tmp_path: Path
) -> None:
    genome, out, here = (tmp_path / name for name in ("genome.fa", "there.tsv", "here.tsv"))
    genome.write_text(">chr1\n" + "ACGTTGTTTACATTGC" * 300_000 + "\n")
    words = ["predict", "--model", "builtin", "--data", str(genome), "--out"]
    command = start(*words, str(out), "--ray", impatient.address)
    wait_for(impatient.nodes[1].workers)
    impatient.nodes[1].freeze()
    assert command.communicate(timeout=SECONDS)[1] == ""
    assert start(*words, str(here)).communicate(timeout=SECONDS)[1] == ""
    assert out.read_bytes() == here.read_bytes()


def test_with_the_head_the_runs_end_in_words_and_go_on_here(cluster: RayCluster, home: Path, start: Start) -> None:
    sweep = start_sweep(start, home, cluster.address)
    found = both(home, 5)
    cluster.head.kill()
    killed = time.monotonic()
    _, err = sweep.communicate(timeout=SECONDS)
    assert time.monotonic() - killed < 30
    said = f"the Ray cluster at {cluster.address} is gone: {WHY}"
    assert (sweep.returncode, err) == (1, f"tfbind: {said}\n")
    for run in found:
        assert (runs.read_status(run).state, runs.read_status(run).error) == ("failed", said)
    before = {run: runs.read_rows(run) for run in found}
    unreachable = start("sweep", "--resume", "s")
    _, err = unreachable.communicate(timeout=SECONDS)
    assert unreachable.returncode == 1
    assert err.startswith(f"tfbind: --ray {cluster.address}: ")
    assert len(err.splitlines()) == 1
    again = start("sweep", "--resume", "s", "--ray", "off")
    wait_for(lambda: all(len(runs.read_rows(run)) > len(before[run]) + 2 for run in found))
    for run in found:
        assert runs.read_rows(run)[: len(before[run])] == before[run]
    again.send_signal(signal.SIGTERM)
    again.communicate(timeout=SECONDS)
    assert {runs.read_status(run).state for run in found} == {"killed"}


@pytest.mark.parametrize("alone", [True, False], ids=["controller", "all below it"])
def test_a_killed_controller_ends_its_tasks_and_another_goes_on(
    cluster: RayCluster, home: Path, start: Start, alone: bool
) -> None:
    sweep = start_sweep(start, home, cluster.address)
    found = both(home, 5)
    controller = psutil.Process(sweep.pid)
    halt(controller)  # it must not see what is below it go
    for process in [] if alone else controller.children():
        process.kill()
    sweep.kill()
    sweep.communicate()
    assert {runs.read_status(run).state for run in found} == {"crashed"}
    wait_for(lambda: not cluster.workers())
    before = {run: runs.read_rows(run) for run in found}
    again = start("sweep", "--resume", "s")
    wait_for(lambda: all(len(runs.read_rows(run)) > len(before[run]) + 2 for run in found))
    for run in found:
        assert runs.read_rows(run)[: len(before[run])] == before[run]
    stop = start("stop", "s")
    stop.communicate(timeout=SECONDS)
    again.communicate(timeout=SECONDS)
    assert {runs.read_status(run).state for run in (*found, sweep_folder.find(home, "s"))} == {"killed"}
