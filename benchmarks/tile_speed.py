"""What the shape of the tiles of matrix products does to training: the chosen one against 12 rows on any processor.

    python benchmarks/tile_speed.py [--preset NAME] [--runs N] [--windows N] [--threads T]

Random windows of 300 bases. Both shapes train in turns, in processes and with compiled code of their own, on the
processor that numba compiles for; on one with AVX-512 they are the same. There

    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= python benchmarks/tile_speed.py

compiles as for a processor that has AVX2 only. Of a run's epochs the first, which compiles, is left out.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch
from thread_speed import random_windows

from tfbind.config import PRESETS, parse_config
from tfbind.data.simulate import LENGTH
from tfbind.nn.kernels import gemm
from tfbind.nn.model import build_model
from tfbind.nn.training import Training

TWELVE_ROWS = gemm.TileRows(12, 4, 12, 4)
EPOCHS = 4


def train_with(shape: gemm.TileRows, preset: str, windows: int, threads: int) -> None:
    """Train with tiles of a shape; print the CPU seconds and the windows a second of each epoch but the first.

    Kernels take the tiles that are there when they compile: in the first epoch.
    """
    gemm.MR, gemm.MR_EDGE, gemm.MR_HALF, gemm.MR_HALF_EDGE = shape
    gemm._tile, gemm._tile_edge = (gemm._microkernel(rows, gemm.NR) for rows in (shape.mr, shape.mr_edge))
    half = shape.mr_half, shape.mr_half_edge
    gemm._half, gemm._half_edge = (gemm._microkernel(rows, gemm.NR_HALF) for rows in half)
    torch.set_num_threads(1)  # as a run does
    config = parse_config({"num_epochs": EPOCHS, "device": "cpu", "threads": threads}, PRESETS[preset])
    found, before = [], time.process_time()
    for row in Training(build_model(config, LENGTH), random_windows(windows), config):
        now = time.process_time()
        found.append((now - before, row["windows_per_second"]))
        before = now
    print(json.dumps(found[1:]))


def processor() -> str:
    """The processor of this machine, in its own words, and the features of it that numba compiles for."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "this processor")
    features = [feature for feature, there in gemm.target_features().items() if there]
    return f"{name}, {psutil.cpu_count()} cores; compiled for {', '.join(features) or 'none of the known features'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="recommended")
    parser.add_argument("--runs", type=int, default=3, help="how often to run each")
    parser.add_argument("--windows", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--shape", type=json.loads, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.shape:
        train_with(gemm.TileRows(*chosen.shape), chosen.preset, chosen.windows, chosen.threads)
        return
    shapes = {"12 rows": TWELVE_ROWS, "as chosen": gemm.select_tile(gemm.target_features())[1]}
    epochs: dict[str, list[tuple[float, float]]] = {name: [] for name in shapes}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(chosen.runs):
            for name, shape in shapes.items():
                words = [sys.executable, __file__, *sys.argv[1:], "--shape", json.dumps(shape)]
                environment = {**os.environ, "NUMBA_CACHE_DIR": f"{folder}/{name}"}
                done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
                epochs[name] += json.loads(done.stdout)
    print(processor())
    print(f"medians of {chosen.runs} x {EPOCHS - 1} epochs of {chosen.windows:,} windows, {chosen.preset}")
    for name, found in epochs.items():
        seconds, speeds = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"{name:<10} {shapes[name]}: {seconds:6.2f} CPU-s an epoch, {speeds:6,.0f} windows/s")


if __name__ == "__main__":
    main()
