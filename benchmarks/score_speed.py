"""How many bases a second `predict` scores, from a FASTA file to a bigWig, beside a plain loop and a motif scanner.

    python benchmarks/score_speed.py [--model FILE.safetensors] [--bases N] [--runs N]

All three take the same simulated chromosome, in turns, on the CPU:

- this program: `python -m tfbind predict` as a process of its own, from its start to the finished bigWig;
- the published way: a Python loop encodes each window of 300 bases, base by base (`seed_pipeline.py`), then torch
  scores batches of 64 in evaluation mode with the same weights; its scores stay in memory;
- lightmotif (`pip install lightmotif==0.10.1`; left out where it is missing): FOXA1 of JASPAR scanned on both
  strands, which stay in memory. For scale: a scan looks up one number for each base of the motif.

The scores of the first two are compared where no window's edge is near. Local models only (`norm=batch`).
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pybigtools
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from seed_pipeline import LENGTH, one_hot
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfbind.data.simulate import simulate_chromosome
from tfbind.dna.codes import decode
from tfbind.motifs.pwm import jaspar_motif
from tfbind.nn.onnx import read_shape
from tfbind.scoring.model import BUILTIN_FOLDER

PROJECT = Path(__file__).resolve().parents[1]
BATCH, LINE, SEED = 64, 60, 5
ALLOWED = 1e-5


def simulated(bases: int) -> str:
    """DNA of human composition."""
    random, parts, made = np.random.default_rng(SEED), [], 0
    while made < bases:
        parts.append(simulate_chromosome(random)[0])
        made += len(parts[-1])
    return decode(np.concatenate(parts)[:bases])


def convolution(inputs: int, outputs: int, width: int) -> nn.Conv1d:
    """A convolution that keeps the length."""
    return nn.Conv1d(inputs, outputs, width, padding=width // 2, bias=False)


class Block(nn.Module):
    """Two convolutions beside an identity."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = convolution(channels, channels, width), nn.BatchNorm1d(channels)
        self.conv2, self.norm2 = convolution(channels, channels, width), nn.BatchNorm1d(channels)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        out = torch.relu(self.norm1(self.conv1(X)))
        return torch.relu(self.norm2(self.conv2(out)) + X)


class Network(nn.Module):
    """The network of some weights with batch norm, as anyone would write it: (N, 4, L) -> (N, L)."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        super().__init__()
        channels, _, first = weights["initial_conv.weight"].shape
        blocks = read_shape({name: value.numpy() for name, value in weights.items()}).blocks
        width = weights["res_blocks.0.conv1.weight"].shape[-1] if blocks else 1
        self.initial_conv, self.initial_norm = convolution(4, channels, first), nn.BatchNorm1d(channels)
        self.res_blocks = nn.Sequential(*(Block(channels, width) for _ in range(blocks)))
        self.final_conv = nn.Conv1d(channels, 1, 1)
        self.load_state_dict(weights)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return self.final_conv(self.res_blocks(torch.relu(self.initial_norm(self.initial_conv(X))))).squeeze(1)


def ours(model: Path, genome: Path, out: Path) -> float:
    """Seconds of `predict`, from the start of its process to its end."""
    words = ["-m", "tfbind", "predict", "--model", str(model), "--data", str(genome), "--out", str(out), "--json"]
    started = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=PROJECT, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    print(f"  this program: {seconds:.2f} s, of which {json.loads(done.stdout)['seconds']:.2f} s after its start")
    return seconds


@torch.no_grad()
def published(model: Path, genome: Path) -> tuple[float, NDArray[np.float32]]:
    """Seconds of the published way, and its scores (N, 300)."""
    network = Network(load_file(model)).eval()
    started = time.perf_counter()
    letters = "".join(genome.read_text().split("\n")[1:])
    inputs = [one_hot(letters[start : start + LENGTH]) for start in range(0, len(letters) - LENGTH + 1, LENGTH)]
    encoded = time.perf_counter()
    batches = (torch.stack(inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH))
    scores = torch.cat([network(batch) for batch in batches]).numpy()
    ended = time.perf_counter()
    print(
        f"  published way: {ended - started:.2f} s, encoding {encoded - started:.2f}, scoring {ended - encoded:.2f}"
    )
    return ended - started, scores


def scan(lightmotif: Any, genome: Path) -> float:
    """Seconds in which lightmotif scores every place of both strands."""
    counts = np.rint(jaspar_motif().probabilities * 1000).astype(int)
    matrix = lightmotif.CountMatrix(dict(zip("ACGT", counts.tolist(), strict=True))).normalize(0.1).log_odds()
    started = time.perf_counter()
    striped = lightmotif.stripe("".join(genome.read_text().split("\n")[1:]))
    for strand in (matrix, matrix.reverse_complement()):
        strand.calculate(striped)
    seconds = time.perf_counter() - started
    print(f"  lightmotif: {seconds:.2f} s")
    return seconds


def largest_difference(bigwig: Path, windows: NDArray[np.float32], reach: int) -> float:
    """Between the scores of both, where a base is at least `reach` bases from its window's edges."""
    values = np.asarray(pybigtools.open(str(bigwig)).values("sim1", 0, windows.size, fillna=None))
    inside = slice(reach, LENGTH - reach)
    return float(np.abs(values.reshape(windows.shape) - windows)[:, inside].max())


def main() -> None:
    """Measure in turns, so that a machine that slows down slows all, then print medians."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=BUILTIN_FOLDER / "seed0.safetensors")
    parser.add_argument("--bases", type=int, default=9_000_000)
    parser.add_argument("--runs", type=int, default=1)
    chosen = parser.parse_args()
    try:
        lightmotif = importlib.import_module("lightmotif")
    except ImportError:
        lightmotif = None
    seconds: dict[str, list[float]] = {"this program": [], "published way": []}
    letters = simulated(chosen.bases // LENGTH * LENGTH)
    reach = read_shape({name: value.numpy() for name, value in load_file(chosen.model).items()}).receptive_field // 2
    with tempfile.TemporaryDirectory() as folder:
        genome, out = Path(folder) / "genome.fa", Path(folder) / "scores.bw"
        lines = [letters[start : start + LINE] for start in range(0, len(letters), LINE)]
        genome.write_text("\n".join([">sim1", *lines, ""]))
        for number in range(chosen.runs):
            print(f"run {number + 1} of {chosen.runs}:", flush=True)
            seconds["this program"].append(ours(chosen.model.resolve(), genome, out))
            spent, scores = published(chosen.model, genome)
            seconds["published way"].append(spent)
            if lightmotif:
                seconds.setdefault("lightmotif", []).append(scan(lightmotif, genome))
        difference = largest_difference(out, scores, reach)
    print(f"\nmedians of {chosen.runs}, {len(letters):,} bases, {os.cpu_count()} CPUs, {chosen.model.name}")
    speeds = {name: len(letters) / statistics.median(each) / 1e6 for name, each in seconds.items()}
    for name, speed in speeds.items():
        print(f"{name:<15}{speed:8.2f} million bases/s")
    print(
        f"this program is {speeds['this program'] / speeds['published way']:.1f} times as fast as the published way"
    )
    print(f"largest difference of their scores: {difference:.1e}; allowed: {ALLOWED:.0e}")
    sys.exit(difference > ALLOWED)


if __name__ == "__main__":
    main()
