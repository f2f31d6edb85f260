"""How many windows a second training takes on 1, 2, 4 … threads of the CPU.

    python benchmarks/thread_speed.py [--preset NAME] [--windows N] [--batch-size B]

Random windows of 300 bases, in this process. Of three epochs the first, which compiles, is left out; the quicker of
the others counts. Threads beyond the number of shards of a batch are not used.

    python benchmarks/thread_speed.py --shard-sizes none 16 32

compares sizes of shards with the first, epoch by epoch in turns: the ratio of their speeds.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tfbind.config import PRESETS, parse_config
from tfbind.data.simulate import LENGTH
from tfbind.nn.kernels.compile import BlankData
from tfbind.nn.model import build_model
from tfbind.nn.training import Training
from tfbind.store.process import cpu_cores


def random_windows(count: int) -> BlankData:
    """Windows that have nothing to teach."""
    random = np.random.default_rng(0)
    codes = random.integers(0, 4, (count, LENGTH), dtype=np.uint8)
    return BlankData(np.zeros(count, "S1"), codes, random.random((count, LENGTH), dtype=np.float32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="recommended")
    parser.add_argument("--windows", type=int, default=6000)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--shard-sizes", nargs="+", default=["16"])
    arguments = parser.parse_args()
    data = random_windows(arguments.windows)
    torch.set_num_threads(1)  # as a run does
    threads, several = 1, len(arguments.shard_sizes) > 1
    while threads <= cpu_cores():
        settings = {"num_epochs": 7 if several else 3, "device": "cpu", "threads": threads}
        settings["batch_size"] = arguments.batch_size
        configs = [
            parse_config({**settings, "shard_size": size}, PRESETS[arguments.preset])
            for size in arguments.shard_sizes
        ]
        turns = zip(*(Training(build_model(config, LENGTH), data, config) for config in configs), strict=True)
        next(turns)
        speeds = np.array([[row["windows_per_second"] for row in rows] for rows in turns])
        print(f"{threads} threads: {speeds.max(axis=0).round()} windows/s", flush=True)
        if several:
            print("  ratio to the first, median:", np.median(speeds / speeds[:, :1], axis=0).round(3), flush=True)
        threads *= 2


if __name__ == "__main__":
    main()
