"""Observed scores for a sequence that is a window of a data set on disk, and windows to try a model on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbind.datasets import Windows, list_datasets, open_dataset
from tfbind.scoring import Scores
from tfbind.sequences import Codes
from tfbind.tables import shown

TRIES = 500


@dataclass(frozen=True, eq=False)
class Observed:
    """The scores (L,) of window `index` of a data set; `same` says whether it has the letters that were asked for."""

    dataset: str
    index: int
    scores: Scores
    same: bool


def find_window(home: Path, name: str, codes: Codes) -> Observed | None:
    """The window called `name`, that of a data set with these letters first; None if no data set has one.

    Raises:
        ValueError: a data set is damaged.
    """
    found = None
    for entry in list_datasets(home):
        data = open_dataset(home, entry["name"])
        for index in np.flatnonzero(data.names == name.encode())[:1].tolist():
            same = np.array_equal(data.codes[index], codes)
            found = Observed(data.name, index, np.array(data.scores[index]), same)
            if same:
                return found
    return found


def index_of(data: Windows, name: str) -> int:
    """The window of a data set that is called `name`.

    Raises:
        ValueError: there is none.
    """
    places = np.flatnonzero(data.names == name.strip().encode())
    if not len(places):
        example = data.names[0].decode(errors="replace")
        raise ValueError(
            f"data set {data.name!r} has no window {shown(name.strip())}; expected a name like {example}"
        )
    return int(places[0])


def draw_window(data: Windows, rng: np.random.Generator) -> int:
    """A window at random, one with a score above zero in its middle half if one is among the first `TRIES` drawn."""
    drawn = rng.integers(len(data), size=TRIES).tolist()
    middle = slice(data.length // 4, -(-3 * data.length // 4))
    return next((index for index in drawn if data.scores[index, middle].max() > 0), drawn[0])
