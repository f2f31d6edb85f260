"""How long the published sweep of three learning rates takes its own way, and as one `tfbind sweep`.

    python benchmarks/sweep_speed.py SEQUENCES SCORES [--epochs E] [--windows N] [--parallel K] [--only ours]

Its own way is three runs in turn, each of which reads and encodes both files (`seed_pipeline.py`, timed without its
imports). This program is timed from the start of `data import` into an empty home to the end of `sweep`, with every
process that it starts, on the CPU. Fewer epochs or windows make a trial; only the whole counts. The last line is
JSON.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

PROJECT = Path(__file__).resolve().parents[1]
SPEC = PROJECT / "tfbind" / "sweeps" / "examples" / "seed_sweep.yaml"


def first_windows(sequences: Path, scores: Path, count: int, folder: Path) -> tuple[Path, Path]:
    """The pair of files cut down to its first `count` windows."""
    targets = folder / "cut_sequences.txt.gz", folder / "cut_scores.txt.gz"
    frames = pd.read_csv(sequences, sep="\t").head(count), pd.read_csv(scores, sep="\t").iloc[:, :count]
    for frame, target in zip(frames, targets, strict=True):
        target.write_bytes(gzip.compress(frame.to_csv(sep="\t", index=False).encode()))
    return targets


def last_line(words: list[str], home: Path) -> tuple[dict[str, Any], float]:
    """The JSON that a command prints last, and its wall seconds.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    started = time.perf_counter()
    environment = {**os.environ, "TFBIND_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, *words], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - started


def its_own_way(files: list[str], rates: list[float], epochs: int, home: Path) -> float:
    """Seconds of the published pipeline, one run after the other."""
    total = 0.0
    for rate in rates:
        words = ["benchmarks/seed_pipeline.py", *files, "--epochs", str(epochs), "--learning-rate", str(rate)]
        found, _ = last_line(words, home)
        row = found["rows"][-1]
        total += found["seconds"]
        print(f"  {rate:g}: {found['seconds']:.1f} s, val_loss {row['val_loss']:.4f}, R {row['val_pearsonr']:.4f}")
    return total


def one_sweep(files: list[str], document: dict[str, Any], parallel: int | None, home: Path) -> float:
    """Seconds of this program: import, then the sweep."""
    pair = ["--sequences", files[0], "--scores", files[1]]
    _, importing = last_line(["-m", "tfbind", "data", "import", *pair, "--name", "measured", "--json"], home)
    spec = home / "sweep.yaml"
    spec.write_text(yaml.safe_dump(document))
    at_once = [] if parallel is None else ["--parallel", str(parallel)]
    words = ["-m", "tfbind", "sweep", str(spec), "--dataset", "measured", *at_once, "--json"]
    found, sweeping = last_line(words, home)
    for run in found["runs"]:
        rate, threads = run["config"]["learning_rate"], run["config"]["threads"]
        said = f"val_loss {run['val_loss']:.4f}, R {run['val_pearsonr']:.4f}" if run["epochs"] else run["state"]
        print(f"  {rate:g}: {run['seconds']:.1f} s in epochs on {threads} thread(s), {said}")
    print(f"  import {importing:.1f} s, sweep {sweeping:.1f} s with all it starts")
    return importing + sweeping


def main() -> None:
    """Measure one after the other and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sequences", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--windows", type=int, help="only the first N windows")
    parser.add_argument("--parallel", type=int, help="runs at once in the sweep")
    parser.add_argument("--only", choices=["published", "ours"], help="measure one side alone")
    chosen = parser.parse_args()
    document = yaml.safe_load(SPEC.read_text())
    document["parameters"] |= {"num_epochs": {"value": chosen.epochs}, "device": {"value": "cpu"}}
    rates = document["parameters"]["learning_rate"]["values"]
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        pair = chosen.sequences.resolve(), chosen.scores.resolve()
        files = [
            str(path) for path in (first_windows(*pair, chosen.windows, Path(folder)) if chosen.windows else pair)
        ]
        if chosen.only != "ours":
            print("three runs in turn, as published:", flush=True)
            figures["published"] = its_own_way(files, rates, chosen.epochs, Path(folder))
        if chosen.only != "published":
            print("one sweep of this program:", flush=True)
            figures["ours"] = one_sweep(files, document, chosen.parallel, Path(folder))
    if len(figures) == 2:
        figures["ratio"] = figures["published"] / figures["ours"]
        print(f"{figures['published']:.0f} s against {figures['ours']:.0f} s: {figures['ratio']:.2f} times as fast")
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
