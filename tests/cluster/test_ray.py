"""Runs and predictions on a real Ray cluster of two nodes are those of this machine."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from toy import toy_config, toy_home

from tfbind import runs
from tfbind.cluster import protocol
from tfbind.cluster.protocol import Driver, Gone
from tfbind.cluster.runs import Cluster
from tfbind.dna.codes import decode
from tfbind.nn.model import build_model
from tfbind.nn.weights import pack_weights
from tfbind.runs import launch
from tfbind.runs.folder import Run
from tfbind.runs.launch import RunRequest

pytest.importorskip("ray", reason="Ray is not installed; pip install -r requirements-ray.txt")

from ray_cluster import RayCluster, start_command, web_server, words_of

pytestmark = pytest.mark.slow

TIMES = ("seconds", "windows_per_second")
SECONDS = 120


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    nodes = RayCluster()
    yield nodes
    nodes.stop()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_home(tmp_path_factory.mktemp("ray"))


def tfbind(home: Path, *words: str) -> tuple[int, str, str]:
    with start_command(home, *words) as process:
        out, err = process.communicate(timeout=SECONDS)
    return process.returncode, out, err


def kept(run: Run) -> tuple[list[dict[str, object]], dict[str, bytes]]:
    """What has to be equal wherever a run was trained: rows but for their times, weights, graph, predictions."""
    rows = [{key: value for key, value in row.items() if key not in TIMES} for row in runs.read_rows(run)]
    weights = np.load(run.folder / runs.VALIDATION)
    files = {name: weights[name].tobytes() for name in weights.files}
    return rows, {**files, "graph": (run.folder / runs.GRAPH).read_bytes()}


def test_a_sweep_over_two_nodes_leaves_what_the_same_runs_leave_here(cluster: RayCluster, home: Path) -> None:
    fixed = toy_config(num_epochs=4).model_dump(exclude={"learning_rate", "first_kernel_size"})
    rates = [0.01, 0.003]
    parameters = {field: {"value": value} for field, value in fixed.items()} | {"learning_rate": {"values": rates}}
    spec = home / "spec.yaml"
    spec.write_text(yaml.safe_dump({"method": "grid", "parameters": parameters}))
    code, out, err = tfbind(home, "sweep", str(spec), "--dataset", "toy", "--ray", cluster.address, "--json")
    assert code == 0, err
    there = [runs.find(home, run["id"]) for run in json.loads(out.splitlines()[-1])["runs"]]
    assert [runs.read_config(run).learning_rate for run in there] == rates
    on = {line.split("runs on ")[1].split(",")[0] for run in there for line in log(run) if "node of the Ray" in line}
    assert len(on) == 2
    for run in there:
        words = ["--learning-rate", str(runs.read_config(run).learning_rate), "--id", f"here-{run.id}"]
        flags = [word for field, value in fixed.items() for word in ("--" + field.replace("_", "-"), str(value))]
        code, _, err = tfbind(home, "train", *flags, *words)
        assert code == 0, err
        here = runs.find(home, f"here-{run.id}")
        assert kept(run) == kept(here)
        assert {path.name for path in run.folder.iterdir()} == {path.name for path in here.folder.iterdir()}
        assert run.state == "finished"
        assert log(run)[1:] == log(here)


def log(run: Run) -> list[str]:
    return [json.loads(line)["message"] for line in (run.folder / runs.LOG).read_text().splitlines()]


def test_a_run_that_is_stopped_there_goes_on_here(cluster: RayCluster, home: Path) -> None:
    flags = ["--num-epochs", "10000", "--early-stopping-patience", "10000", "--num-channels", "4", "--threads", "1"]
    training = start_command(home, "train", "--dataset", "toy", *flags, "--id", "long", "--ray", cluster.address)
    run = Run(home / "runs" / "long")
    deadline = time.monotonic() + SECONDS
    while not (run.folder / runs.METRICS).exists() or len(runs.read_rows(run)) < 3:
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    assert run.state == "running"
    assert run.status().pid == training.pid
    assert tfbind(home, "stop", "long")[:2] == (0, "run long: killed\n")
    out, err = training.communicate(timeout=SECONDS)
    assert training.returncode == 130, err
    assert "`python -m tfbind resume long` goes on" in out
    before = runs.read_rows(run)
    deadline = time.monotonic() + SECONDS
    with start_command(home, "resume", "long") as again:
        while len(runs.read_rows(run)) < len(before) + 3:
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)
        assert runs.read_rows(run)[: len(before)] == before
        again.terminate()
        again.communicate(timeout=SECONDS)
    assert again.returncode == 130


def test_a_lost_worker_is_told_in_words_and_a_stopped_one_holds_up_nothing(cluster: RayCluster, home: Path) -> None:
    endless = toy_config(num_epochs=10_000, early_stopping_patience=10_000, num_channels=4)
    with Cluster(cluster.address) as there:

        def work_until(holds: Callable[[], object]) -> None:
            deadline = time.monotonic() + SECONDS
            while not holds():
                assert time.monotonic() < deadline, "waited in vain"
                there.step(0.1)

        def worker_of(run: Run) -> list[psutil.Process]:
            return [worker for worker in cluster.workers() if words_of(worker).startswith(f"ray::tfbind {run.id}")]

        stopped, lost = (launch.submit(home, endless, RunRequest(id=id), cluster=there) for id in ("stopped", "lost"))
        work_until(lambda: runs.read_rows(stopped) and runs.read_rows(lost))
        (worker,) = worker_of(lost)
        worker.kill()
        work_until(lambda: any("its worker was lost" in line for line in log(lost)))
        (said,) = [line for line in log(lost) if "its worker was lost" in line]
        assert said.endswith(
            "its worker was lost (its process was killed or crashed); goes on from the last checkpoint"
        )
        (worker,) = worker_of(stopped)
        worker.suspend()
        stopped.request_stop()
        work_until(lambda: stopped.state == "killed")
        work_until(lambda: not worker.is_running())
        rows = len(runs.read_rows(lost))
        work_until(lambda: len(runs.read_rows(lost)) > rows + 3)


def test_a_run_that_was_to_stop_is_killed_when_the_cluster_is_lost_before(cluster: RayCluster, home: Path) -> None:
    with Cluster(cluster.address) as there:
        stopped, other = (
            launch.submit(home, toy_config(), RunRequest(id=id), cluster=there) for id in ("to-stop", "on")
        )
        stopped.request_stop()
        assert there.end_all("the cluster is gone") == [other]
    assert [run.state for run in (stopped, other)] == ["killed", "failed"]
    assert [run.status().error for run in (stopped, other)] == [None, "the cluster is gone"]


def test_a_run_that_is_interrupted_before_it_is_led_is_killed(cluster: RayCluster, home: Path) -> None:
    def interrupted() -> None:
        with Cluster(cluster.address) as there:
            launch.submit(home, toy_config(), RunRequest(id="interrupted"), cluster=there)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    status = Run(home / "runs" / "interrupted").status()
    assert (status.state, status.error) == ("killed", None)


@pytest.mark.parametrize(("length", "suffix"), [(None, ".bw"), (300, ".tsv")])
def test_a_prediction_there_is_that_of_here_byte_for_byte(
    cluster: RayCluster, home: Path, tmp_path: Path, length: int | None, suffix: str
) -> None:
    rng = np.random.default_rng(1)
    lengths = {"chr1": 1_200_000, "chrM": 300, "chr2": 9_100}  # the first is more than is scored at a time
    codes = {name: rng.integers(0, 4, bases, dtype=np.uint8) for name, bases in lengths.items()}
    genome = tmp_path / "genome.fa"
    genome.write_text("".join(f">{name}\n{decode(letters)}\n" for name, letters in codes.items()))
    model = "builtin"
    if length is not None:  # its changes between tiles come back as well, and are a column of the table
        model = str(tmp_path / "fixed.safetensors")
        network = build_model(toy_config(num_res_blocks=1, norm="layer"), length)
        Path(model).write_bytes(pack_weights(network, {}))
    here, there = tmp_path / f"here{suffix}", tmp_path / f"there{suffix}"
    words = ["predict", "--model", model, "--data", str(genome), "--strand", "both", "--out"]
    assert tfbind(home, *words, str(here))[0] == 0
    code, _, err = tfbind(home, *words, str(there), "--ray", cluster.address)
    assert code == 0, err
    assert there.read_bytes() == here.read_bytes()
    assert length is None or there.read_text().splitlines()[1].endswith("\tchange")


@pytest.mark.parametrize(
    ("address", "code", "said"),
    [
        ("ray://127.0.0.1:10001", 2, "expected auto or HOST:PORT of the head"),
        ("127.0.0.1:1", 1, "--ray 127.0.0.1:1: connection refused"),
        ("127.0.0.1:99999", 2, "expected auto or HOST:PORT of the head"),
        ("a..b:6379", 1, "encoding with 'idna' codec failed"),
    ],
)
def test_what_is_no_cluster_is_one_line(home: Path, address: str, code: int, said: str) -> None:
    ended, _, err = tfbind(home, "train", "--dataset", "toy", "--ray", address)
    assert ended == code
    assert err.startswith(f"tfbind: --ray {address}: ")
    assert said in err
    assert len(err.splitlines()) == 1


def test_what_listens_and_is_no_ray_is_one_line_in_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "CONNECT_SECONDS", 10.0)
    with web_server() as address, pytest.raises(Gone) as refused:
        Driver(address)
    assert str(refused.value) == f"--ray {address}: not joined in 10 s: {protocol.NOT_JOINED}"


def test_the_clusters_that_a_machine_has_joined_are_told_by_their_nodes(cluster: RayCluster) -> None:
    there = "--gcs-address=10.0.0.1:6379"
    commands = [
        ["/opt/ray/raylet/raylet", "--node_id=1", there],
        ["/opt/ray/raylet/raylet", "--node_id=2", there, "--python_worker_command=python --gcs-address=10.0.0.9:1"],
        ["python", "worker.py", "--gcs-address=10.0.0.2:6379"],
        [],
    ]
    assert protocol.joined(commands) == ["10.0.0.1:6379"]
    ports = [address.rpartition(":")[2] for address in protocol.joined_here()]
    assert cluster.port in ports  # Ray writes the loopback as the address of the machine


def test_a_run_for_which_no_node_has_room_is_refused(cluster: RayCluster, home: Path) -> None:
    code, _, err = tfbind(home, "train", "--dataset", "toy", "--threads", "3", "--ray", cluster.address)
    assert code == 2
    assert "--threads 3: no node of the Ray cluster" in err
    assert "the largest of 2 has 1 CPUs, none has a GPU" in err


@pytest.mark.parametrize("variable", ["local", "ray://127.0.0.1:1"])
def test_an_environment_that_names_no_cluster_is_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", variable)
    code, _, err = tfbind(home, "train", "--dataset", "toy", "--ray", "auto")
    assert code == 2
    assert err.startswith(f"tfbind: --ray auto, RAY_ADDRESS={variable}: expected auto or HOST:PORT")
    assert len(err.splitlines()) == 1


def test_the_environment_says_which_cluster_auto_is(cluster: RayCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    with Cluster("auto") as there:
        assert there.room(toy_config()) == 2
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with Cluster(cluster.address) as there:
        assert there.room(toy_config()) == 2
