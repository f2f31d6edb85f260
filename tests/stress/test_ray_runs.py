"""Runs on a real Ray cluster whose folders are moved under them, or that wait for others."""

import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from toy import toy_config, toy_home

from tfbind import runs
from tfbind.cluster.runs import Cluster
from tfbind.runs import launch, log
from tfbind.runs.folder import Run
from tfbind.runs.launch import RunRequest

pytest.importorskip("ray", reason="Ray is not installed; pip install -r requirements-ray.txt")

from ray_cluster import RayCluster, start_command

SECONDS = 120
LONG = ["--dataset", "toy", "--num-epochs", "10000", "--early-stopping-patience", "10000", "--num-channels", "4"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    nodes = RayCluster()
    yield nodes
    nodes.stop()


def wait_for(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("what", ["the home", "the folder of the run"])
def test_a_run_there_whose_folder_is_moved_ends_in_a_line(cluster: RayCluster, tmp_path: Path, what: str) -> None:
    home = toy_home(tmp_path)
    training = start_command(home, "train", *LONG, "--id", "mine", "--ray", cluster.address)
    run = Run(home / "runs" / "mine")
    wait_for(lambda: runs.is_run(home, "mine") and runs.read_rows(run))
    place = home if what == "the home" else run.folder
    moved = place.rename(tmp_path / "elsewhere")
    _, err = training.communicate(timeout=SECONDS)
    said = "moved or deleted while the run was active; where it is now, `resume` goes on after its last epoch"
    assert (training.returncode, err) == (1, f"tfbind: {run.folder}: {said}\n")
    assert not place.exists()
    wait_for(lambda: not cluster.workers())
    kept = Run(moved / "runs" / "mine" if place == home else moved)
    assert (kept.state, runs.read_rows(kept)[0]["epoch"]) == ("crashed", 1)


def test_a_sweep_there_whose_home_is_moved_ends_in_a_line(cluster: RayCluster, tmp_path: Path) -> None:
    home = toy_home(tmp_path)
    spec = tmp_path / "spec.yaml"
    parameters = {"learning_rate": {"values": [0.01, 0.003]}, "num_epochs": {"value": 10_000}}
    spec.write_text(yaml.safe_dump({"method": "grid", "parameters": parameters}))
    words = ["--dataset", "toy", "--id", "mine", "--ray", cluster.address]
    sweep = start_command(home, "sweep", str(spec), *words)
    wait_for(lambda: len(list(home.glob(f"runs/*/{runs.METRICS}"))) == 2)
    where = home / "sweeps" / "mine"
    moved = home.rename(tmp_path / "elsewhere")
    _, err = sweep.communicate(timeout=SECONDS)
    said = "moved or deleted while the sweep was active; where it is now, `sweep --resume` goes on with its runs"
    assert (sweep.returncode, err) == (1, f"tfbind: {where}: {said}\n")
    assert not home.exists()
    assert {run.state for run in runs.list_runs(moved)} == {"crashed"}
    wait_for(lambda: not cluster.workers())


def test_a_run_and_a_sweep_that_wait_for_busy_cpus_say_so(cluster: RayCluster, tmp_path: Path) -> None:
    home = toy_home(tmp_path)
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump({"method": "grid", "parameters": {"learning_rate": {"values": [0.01]}}}))
    endless = toy_config(num_epochs=10_000, early_stopping_patience=10_000)
    with Cluster(cluster.address) as busy:
        others = [launch.submit(home, endless, RunRequest(id=id), cluster=busy) for id in ("first", "second")]
        work_until(busy, lambda: all(map(runs.read_rows, others)))
        commands = [
            start_command(home, "train", *LONG, "--id", "mine", "--ray", cluster.address),
            start_command(home, "sweep", str(spec), "--dataset", "toy", "--id", "s", "--ray", cluster.address),
        ]
        work_until(busy, lambda: len(told(commands)) == 2)
        of_sweep = next(run.id for run in runs.list_runs(home) if runs.read_record(run)["sweep"] == "s")
        said = f"waits for 1 free CPU of the Ray cluster at {cluster.address}; goes on by itself"
        for command, id in zip(commands, ("mine", of_sweep), strict=True):
            assert command.stderr is not None
            assert command.stderr.readline() == f"run {id} {said}\n"
            assert log.tail(runs.find(home, id), 1).endswith(f" WARNING {said}")
            command.terminate()
            assert command.communicate(timeout=SECONDS)[1] == ""
            assert command.returncode == 130


def told(commands: "list[subprocess.Popen[str]]") -> list[object]:
    """Those that have said something on stderr."""
    return select.select([command.stderr for command in commands], [], [], 0)[0]


def work_until(busy: Cluster, holds: Callable[[], object]) -> None:
    def step_and_look() -> object:
        busy.step(0.1)
        return holds()

    wait_for(step_and_look)
