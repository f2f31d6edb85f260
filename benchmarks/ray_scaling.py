"""How long one sweep takes on a Ray cluster of one and of two nodes with one CPU each, and here without Ray.

    python benchmarks/ray_scaling.py [--runs R] [--epochs E] [--times N] [--preset quick]

Needs two cores for the two nodes, which are started on the loopback of this machine and stopped again. A sweep is
timed from its command to its end, with the connection to the cluster and the start of its workers; the median of N
counts. The built-in data are made first, in a home of their own. Then the published model is trained on few windows,
for 2 and for 202 epochs: the difference is what the app's machine spends on an epoch that comes in. The last line is
JSON.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml

PROJECT = Path(__file__).resolve().parents[1]
PORT = 26_479
HEAD = f"127.0.0.1:{PORT}"
STOP_SECONDS = 60
FEW = 60
EPOCHS = (2, 202)


@contextmanager
def node(folder: Path, *words: str) -> Iterator[None]:
    """A node with one CPU, as long as the context lasts."""
    options = ["--num-cpus=1", "--object-store-memory=200000000", "--disable-usage-stats", "--block"]
    command = [Path(sys.executable).with_name("ray"), "start", *words, *options]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "Ray runtime started" in line:
                break
        else:
            raise RuntimeError(said)
        try:
            yield
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


@contextmanager
def cluster(count: int) -> Iterator[None]:
    """A cluster of so many nodes."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        folder = Path(name)
        mine = [f"--port={PORT}", "--include-dashboard=false", f"--temp-dir={folder / 'ray'}"]
        stack.enter_context(node(folder, "--head", "--node-ip-address=127.0.0.1", *mine))
        for number in range(2, count + 1):
            stack.enter_context(node(folder, f"--address={HEAD}", f"--node-ip-address=127.0.0.{number}"))
        yield


def tfbind(home: Path, *words: str) -> tuple[str, float]:
    """What a command prints, and its wall seconds.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    started = time.perf_counter()
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "tfbind", *words],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout, time.perf_counter() - started


def sweep(home: Path, spec: Path, preset: str, *where: str) -> tuple[float, dict[str, Any]]:
    """Seconds of the sweep, and what it found."""
    words = ["sweep", str(spec), "--dataset", "builtin", "--preset", preset, *where, "--json"]
    out, seconds = tfbind(home, *words)
    return seconds, json.loads(out.splitlines()[-1])


def megabytes(home: Path, run: str) -> float:
    """What an epoch of a run hands over at most."""
    names = ("last.ckpt", "best.safetensors", "validation.npz")
    return sum((home / "runs" / run / name).stat().st_size for name in names) / 1e6


def taking_in(home: Path, folder: Path) -> dict[str, float]:
    """Milliseconds of this machine's CPU for each epoch that a node hands over, and its megabytes."""
    rng = np.random.default_rng(0)
    names = [f"few_{300 * number}_{300 * number + 299}" for number in range(FEW)]
    lines = [f"{''.join(rng.choice(list('ACGT'), 300))}\t{name}" for name in names]
    (folder / "few_sequences.txt").write_text("\n".join(["sequence\twindow_name", *lines]) + "\n")
    table = [names, *rng.random((300, FEW)).round(3).astype(str).tolist()]
    (folder / "few_scores.txt").write_text("\n".join("\t".join(row) for row in table) + "\n")
    pair = ["--sequences", str(folder / "few_sequences.txt"), "--scores", str(folder / "few_scores.txt")]
    tfbind(home, "data", "import", *pair, "--name", "few")
    spent = []
    for epochs in EPOCHS:
        before = cpu_seconds()
        more = ["--num-epochs", str(epochs), "--early-stopping-patience", "999", "--threads", "1"]
        out, _ = tfbind(home, "train", "--dataset", "few", *more, "--ray", HEAD, "--json")
        spent.append(cpu_seconds() - before)
    first, second = spent
    run = json.loads(out.splitlines()[-1])["id"]
    return {"epoch_cpu_ms": 1000 * (second - first) / (EPOCHS[1] - EPOCHS[0]), "few_epoch_mb": megabytes(home, run)}


def cpu_seconds() -> float:
    """What the processes that this one waited for, and those that they waited for, have spent."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    """Measure each way in turn, several times, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--preset", default="quick")
    chosen = parser.parse_args()
    fixed = {"device": "cpu", "threads": 1, "num_epochs": chosen.epochs}
    parameters: dict[str, Any] = {name: {"value": value} for name, value in fixed.items()}
    parameters["seed"] = {"values": list(range(chosen.runs))}
    ways = {"1 node": (1, "--ray", HEAD), "2 nodes": (2, "--ray", HEAD), "here, 1 at a time": (0, "--parallel", "1")}
    ways["here, 2 at once"] = (0, "--parallel", "2")
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        tfbind(home, "data", "build", "builtin")
        spec = home / "sweep.yaml"
        spec.write_text(yaml.safe_dump({"method": "grid", "parameters": parameters}))
        for _ in range(chosen.times):
            for way, (count, *where) in ways.items():
                with cluster(count) if count else ExitStack():
                    took, found = sweep(home, spec, chosen.preset, *where)
                seconds[way].append(took)
                print(f"  {way}: {took:.1f} s", flush=True)
        figures["data_mb"] = sum(path.stat().st_size for path in (home / "data" / "builtin").glob("*.npy")) / 1e6
        figures["epoch_mb"] = megabytes(home, found["runs"][0]["id"])
        with cluster(1):
            figures |= taking_in(home, Path(folder))
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    print(f"{chosen.runs} runs of {chosen.epochs} epochs, {chosen.preset}, built-in data, medians of {chosen.times}")
    for way, median in medians.items():
        print(f"  {way:20} {median:6.1f} s  {medians['1 node'] / median:5.2f} times 1 node")
    print(f"  data set {figures['data_mb']:.1f} MB once a node; an epoch hands over {figures['epoch_mb']:.2f} MB")
    print(
        f"  an epoch of {figures['few_epoch_mb']:.2f} MB costs this machine {figures['epoch_cpu_ms']:.0f} ms of CPU"
    )
    print(json.dumps({name: round(value, 2) for name, value in {**medians, **figures}.items()}))


if __name__ == "__main__":
    main()
