"""A Ray cluster loses workers, a node, its head, or the process that leads the runs: no finished epoch is lost, no
state lies, and the reason is said in words."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from life import LONG, Start, hold, untimed, wait_until
from toy import toy_config

from tfbind import runs
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
        assert run.state == "finished"
        assert log(run).count("its worker was lost") == 1
        here = launch.submit(home, runs.read_config(run))
        wait_for(lambda run=here: not run.status().active)
        assert untimed(run) == untimed(here)


def test_a_node_that_goes_leaves_its_run_to_the_other(cluster: RayCluster, home: Path, start: Start) -> None:
    sweep = start_sweep(start, home, cluster.address)
    found = both(home, 5)
    there = next(run for run in found if "runs on 127.0.0.2" in log(run))
    cluster.nodes[1].kill()
    here = next(run for run in found if run != there)
    wait_for(lambda: "its worker was lost" in log(there) and there.state == "pending")
    before = runs.read_rows(there)
    here.stop()
    assert here.state == "killed"
    wait_for(lambda: len(runs.read_rows(there)) > len(before) + 2)
    assert runs.read_rows(there)[: len(before)] == before
    again = log(there).split("its worker was lost")[1]
    assert "runs on" in again
    assert "runs on 127.0.0.2" not in again
    sweep.send_signal(signal.SIGTERM)
    sweep.communicate(timeout=SECONDS)
    assert sweep.returncode == 130


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
        assert (run.state, run.status().error) == ("failed", said)
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
    assert {run.state for run in found} == {"killed"}


def test_after_a_killed_controller_resume_goes_on(cluster: RayCluster, home: Path, start: Start) -> None:
    sweep = start_sweep(start, home, cluster.address)
    found = both(home, 5)
    sweep.kill()
    sweep.communicate()
    assert {run.state for run in found} == {"crashed"}
    wait_for(lambda: not cluster.workers())
    before = {run: runs.read_rows(run) for run in found}
    again = start("sweep", "--resume", "s")
    wait_for(lambda: all(len(runs.read_rows(run)) > len(before[run]) + 2 for run in found))
    for run in found:
        assert runs.read_rows(run)[: len(before[run])] == before[run]
    stop = start("stop", "s")
    stop.communicate(timeout=SECONDS)
    again.communicate(timeout=SECONDS)
    assert {run.state for run in (*found, sweep_folder.find(home, "s"))} == {"killed"}


def test_a_prediction_on_a_cluster_that_has_no_cpu_says_so_and_goes_on_with_one(start: Start, tmp_path: Path) -> None:
    genome, out = tmp_path / "genome.fa", tmp_path / "p.tsv"
    genome.write_text(">chr1\n" + "ACGTTGTTTACATTGC" * 100 + "\n")
    nodes = RayCluster(0, ())
    try:
        words = ["predict", "--model", "builtin", "--data", str(genome), "--out", str(out), "--ray", nodes.address]
        nobody = start(*words)
        said = f"no node of the Ray cluster at {nodes.address} has a CPU; with one, the same command goes on"
        assert nobody.communicate(timeout=SECONDS)[1] == f"tfbind: {said}\n"
        assert nobody.returncode == 1
        nodes.join()
        assert start(*words).communicate(timeout=SECONDS)[1] == ""
    finally:
        nodes.stop()
    assert out.exists()
