"""Compiles what the training of every preset needs, so that the first run does not wait for it (torch).

python -m tfbind.warm_up
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfbind.config import PRESETS, parse_config
from tfbind.models import build_model
from tfbind.simulate import LENGTH
from tfbind.training import train

WINDOWS = 10


class Blank(NamedTuple):
    """Windows of A without a score: data only in kind and shape."""

    names: NDArray[np.bytes_]
    codes: NDArray[np.uint8]
    scores: NDArray[np.float32]


def warm_up() -> None:
    """Train one epoch on next to nothing with each preset."""
    shape = (WINDOWS, LENGTH)
    data = Blank(np.zeros(WINDOWS, "S1"), np.zeros(shape, np.uint8), np.zeros(shape, np.float32))
    for preset in PRESETS.values():
        config = parse_config({"num_epochs": 1, "device": "cpu", "threads": 1}, preset)
        next(train(build_model(config, LENGTH), data, config))


if __name__ == "__main__":
    warm_up()
