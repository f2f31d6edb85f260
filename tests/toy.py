"""Data small enough to train on in a test: each base has a score of its own, and G the highest."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tfbind.config import TrainConfig
from tfbind.data.dataset import import_pair


@dataclass(frozen=True)
class Toy:
    """Codes (N, L) and scores (N, L), as a data set has them."""

    codes: NDArray[np.uint8]
    scores: NDArray[np.float32]


def toy_data(windows: int = 50, length: int = 20) -> Toy:
    """Windows whose score at a base is 0, 1, 4 or 2 for A, C, G or T: one convolution can learn it."""
    codes = np.random.default_rng(7).integers(0, 4, (windows, length), dtype=np.uint8)
    return Toy(codes, np.array([0, 1, 4, 2], dtype=np.float32)[codes])


def toy_config(**changes: object) -> TrainConfig:
    """A model of 2 blocks and 8 channels, with dropout so that every source of randomness is in play."""
    small = {
        "num_channels": 8,
        "num_res_blocks": 2,
        "batch_size": 8,
        "num_epochs": 3,
        "device": "cpu",
        "threads": 1,
        "dataset": "toy",
    }
    return TrainConfig(**{**small, **changes})


def toy_home(folder: Path) -> Path:
    """A home with the data set `toy`, imported from a pair of files as a user would."""
    data = toy_data()
    names = [f"toy_{window * 20}_{window * 20 + 19}" for window in range(len(data.codes))]
    letters = ["".join("ACGT"[code] for code in codes) for codes in data.codes]
    sequences, scores = folder / "toy_sequences.txt", folder / "toy_scores.txt"
    sequences.write_text(
        "sequence\twindow_name\n" + "".join(f"{s}\t{n}\n" for s, n in zip(letters, names, strict=True))
    )
    table = ["\t".join(names), *("\t".join(str(score) for score in row) for row in data.scores.T)]
    scores.write_text("\n".join(table) + "\n")
    import_pair(folder / "home", sequences, scores, "toy")
    return folder / "home"
