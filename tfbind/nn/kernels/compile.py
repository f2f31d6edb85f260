"""Compiles ahead of time what training with every preset and a search for known motifs need (loads torch).

python -m tfbind.nn.kernels.compile
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfbind.config import PRESETS, parse_config
from tfbind.data import LENGTH
from tfbind.motifs import jaspar_motif, nearest_motifs
from tfbind.nn.model import build_model
from tfbind.nn.training import Training

WINDOWS = 10


class BlankData(NamedTuple):
    """Windows of A with scores of zero: only types and shapes matter."""

    names: NDArray[np.bytes_]
    codes: NDArray[np.uint8]
    scores: NDArray[np.float32]


def warm_up() -> None:
    """Compile everything, in two processes."""
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        for job in [pool.submit(train_presets), pool.submit(search_motifs)]:
            job.result()


def search_motifs() -> None:
    """Look for one motif among the known ones."""
    nearest_motifs([jaspar_motif()])


def train_presets() -> None:
    """Train one epoch on a few windows with each preset."""
    shape = (WINDOWS, LENGTH)
    data = BlankData(np.zeros(WINDOWS, "S1"), np.zeros(shape, np.uint8), np.zeros(shape, np.float32))
    for preset in PRESETS.values():
        config = parse_config({"num_epochs": 1, "device": "cpu", "threads": 1}, preset)
        next(Training(build_model(config, LENGTH), data, config))


if __name__ == "__main__":
    warm_up()
