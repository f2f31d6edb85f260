"""How long the published experiment takes from two files to a trained model, in its own pipeline and in this program.

    python benchmarks/train_speed.py SEQUENCES SCORES [--runs N] [--epochs E]

Both train the same model with the same mathematics and learning rate, in turns, as child processes of this one, on
the CPU. The published pipeline (`seed_pipeline.py`) is timed from opening its files, without its imports; this
program from the start of `data import` into an empty home to the end of `train`, with everything it starts.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

PROJECT = Path(__file__).resolve().parents[1]
SAMPLE_SECONDS = 0.1
LEARNING_RATE = "0.01"


@dataclass(frozen=True)
class Measurement:
    """One training run: seconds, peak memory in MB and the last epoch's Pearson."""

    seconds: float
    megabytes: float
    val_pearsonr: float


def resident(process: psutil.Process) -> int:
    """Bytes resident in a process and all its descendants; pages that they share count for each."""
    total = 0
    for member in [process, *process.children(recursive=True)]:
        try:
            total += member.memory_info().rss
        except psutil.NoSuchProcess:  # it ended since it was listed
            continue
    return total


def run(words: list[str], home: Path) -> tuple[str, float, float]:
    """Run a Python command with an own home to its end.

    Returns:
        the last line it printed, its wall seconds and its peak memory in MB.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    started, peak = time.perf_counter(), 0
    command = [sys.executable, *words]
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True) as child:
        process = psutil.Process(child.pid)
        while True:
            try:
                printed, _ = child.communicate(timeout=SAMPLE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, resident(process))
    seconds = time.perf_counter() - started
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return printed.splitlines()[-1], seconds, peak / 1e6


def published(sequences: Path, scores: Path, epochs: int, home: Path) -> Measurement:
    """The published pipeline, once."""
    words = ["benchmarks/seed_pipeline.py", str(sequences), str(scores), "--epochs", str(epochs)]
    line, _, megabytes = run([*words, "--learning-rate", LEARNING_RATE], home)
    result = json.loads(line)
    spent = ", ".join(f"{seconds:.0f}" for seconds in result["epochs"])
    print(f"  reading {result['reading']:.1f} s, encoding {result['encoding']:.1f} s, epochs {spent} s")
    return Measurement(result["seconds"], megabytes, result["rows"][-1]["val_pearsonr"])


def ours(sequences: Path, scores: Path, epochs: int, home: Path) -> Measurement:
    """This program, once: import, then training, each its own process."""
    files = ["--sequences", str(sequences), "--scores", str(scores)]
    _, importing, most = run(["-m", "tfbind", "data", "import", *files, "--name", "measured", "--json"], home)
    choice = ["--dataset", "measured", "--device", "cpu", "--learning-rate", LEARNING_RATE]
    words = ["-m", "tfbind", "train", *choice, "--num-epochs", str(epochs), "--json"]
    line, training, megabytes = run(words, home)
    row = json.loads(line)["rows"][-1]
    print(f"  import {importing:.1f} s, training {training:.1f} s with all it starts")
    return Measurement(importing + training, max(most, megabytes), row["val_pearsonr"])


def report(name: str, measurements: list[Measurement]) -> float:
    """Print one line of medians; returns the median seconds."""
    seconds = statistics.median(each.seconds for each in measurements)
    megabytes = statistics.median(each.megabytes for each in measurements)
    pearsons = ", ".join(f"{each.val_pearsonr:.4f}" for each in measurements)
    print(f"{name:<20}{seconds:8.1f} s   peak memory {megabytes:6.0f} MB   last val_pearsonr {pearsons}")
    return seconds


def main() -> None:
    """Measure in turns, so that a machine that slows down slows both, then print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sequences", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--runs", type=int, default=1, help="how often to run each")
    parser.add_argument("--epochs", type=int, default=5)
    chosen = parser.parse_args()
    files = chosen.sequences.resolve(), chosen.scores.resolve()
    ways = {"published pipeline": published, "this program": ours}
    measured: dict[str, list[Measurement]] = {name: [] for name in ways}
    for number in range(chosen.runs):
        for name, way in ways.items():
            print(f"run {number + 1} of {chosen.runs}, {name}:", flush=True)
            with tempfile.TemporaryDirectory() as home:
                measured[name].append(way(*files, chosen.epochs, Path(home)))
    print(f"\nmedians of {chosen.runs}, {chosen.epochs} epochs, {os.cpu_count()} CPUs")
    slow, fast = (report(name, measurements) for name, measurements in measured.items())
    print(f"this program is {slow / fast:.2f} times as fast")


if __name__ == "__main__":
    main()
