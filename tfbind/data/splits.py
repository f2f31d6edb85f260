"""Split a data set into training, validation and test windows: at random, by blocks or by chromosomes.

Neighbouring windows resemble each other more than by chance, in composition and repeats. A random split puts such
neighbours on both sides; a split by blocks or by chromosomes does not.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfbind.config import TrainConfig
from tfbind.dna import Codes, window_places
from tfbind.errors import Setting, SettingsError
from tfbind.store import plural

Places = NDArray[np.intp]

BLOCK_BASES = (1_000_000, 100_000, 10_000)
FEWEST_BLOCKS = 10


class Data(Protocol):
    """A data set to split: codes (N, L), and, unless windows are drawn at random, names (N,) with coordinates."""

    @property
    def codes(self) -> Codes: ...

    @property
    def names(self) -> NDArray[np.bytes_]: ...


@dataclass(frozen=True)
class Split:
    """Indices into the windows of a data set, each in rising order; none is in two parts.

    `left_out` are windows beside a held-out one that would otherwise train: a site across their edge is in both.
    """

    train: Places
    validation: Places
    test: Places
    left_out: Places

    @property
    def hash(self) -> str:
        """SHA-256 of the parts: equal for equal parts of equally many windows."""
        content = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            content.update(np.int64(len(part)).tobytes() + part.astype(np.int64).tobytes())
        return content.hexdigest()


def split(data: Data, config: TrainConfig) -> Split:
    """Split a data set by a configuration.

    `windows` draws int(N * validation_split) windows for validation, then int(N * test_split) for the test. `blocks`
    and `chromosomes` draw whole groups, until a part has that many windows.

    Args:
        data: the data set.
        config: its `split_by`, `validation_split`, `test_split` and `seed`.

    Returns:
        The indices of the windows of each part.

    Raises:
        ValueError: a part would be empty, or the names have no coordinates to group by.
    """
    count = len(data.codes)
    sizes = [int(count * config.validation_split), int(count * config.test_split)]
    random = np.random.default_rng(config.seed)
    nothing = np.array([], dtype=np.intp)
    if config.split_by == "windows":
        order = random.permutation(count)
        validation, test, train = np.split(order, np.cumsum(sizes))
        return _check_parts(Split(np.sort(train), np.sort(validation), np.sort(test), nothing), config, count)
    chromosomes, starts = coordinates(data)
    groups = _groups(config, chromosomes, starts)
    at_least_one = [max(1, sizes[0]), max(1, sizes[1]) if config.test_split else 0]
    part_of = _draw(groups, at_least_one, random)
    train, validation, test = (np.flatnonzero(part_of == part) for part in (0, 1, 2))
    neighbours = _neighbours(chromosomes, starts, part_of, data.codes.shape[1])
    return _check_parts(Split(np.setdiff1d(train, neighbours), validation, test, neighbours), config, count)


def _check_parts(parts: Split, config: TrainConfig, count: int) -> Split:
    if len(parts.train) and len(parts.validation) and (len(parts.test) or not config.test_split):
        return parts
    test = (", ", Setting("test_split", "test_split"), f" {config.test_split}") if config.test_split else ()
    sizes = f"{len(parts.train)} for training and {len(parts.validation)} for validation"
    raise SettingsError(
        Setting("validation_split", "validation_split"),
        f" {config.validation_split}",
        *test,
        f" of {plural(count, 'window')} by {config.split_by} leaves {sizes}"
        f"{f' and {len(parts.test)} for the test' if test else ''}; expected at least 1 in each"
        f"{'. A split by blocks divides chromosomes, too' if config.split_by == 'chromosomes' else ''}",
    )


def coordinates(data: Data) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The number of the chromosome (N,), in order of name, and the 0-based start (N,) of each window.

    Raises:
        ValueError: a name has no coordinates.
    """
    chromosomes, starts = window_places(data.names, data.codes.shape[1])
    if (chromosomes < 0).any():
        name = data.names[int(chromosomes.argmin())].decode(errors="replace")[:40]
        raise SettingsError(
            Setting("split_by", "split_by"),
            f": window {name!r} has no coordinates; expected names CHROMOSOME_START_END or CHROMOSOME:START-END",
        )
    return chromosomes, starts


def validation_groups(data: Data, config: TrainConfig) -> NDArray[np.intp]:
    """The groups of the validation windows that were drawn together: the window itself, its block or its chromosome.

    Args:
        data: the data set.
        config: its split.

    Returns:
        The number of each window's group (M,), from 0.
    """
    validation = split(data, config).validation
    if config.split_by == "windows":
        return np.arange(len(validation))
    groups = _groups(config, *coordinates(data))[validation]
    return np.unique(groups, return_inverse=True)[1].reshape(-1)


def _groups(config: TrainConfig, chromosomes: NDArray[np.intp], starts: NDArray[np.int64]) -> NDArray[np.intp]:
    return chromosomes if config.split_by == "chromosomes" else _block_numbers(chromosomes, starts)


def _block_numbers(chromosomes: NDArray[np.intp], starts: NDArray[np.int64]) -> NDArray[np.intp]:
    """The number of each window's block, of the longest blocks that are at least `FEWEST_BLOCKS`."""
    groups = chromosomes
    for bases in BLOCK_BASES:
        places = np.stack([chromosomes, starts // bases], axis=1)
        groups = np.unique(places, axis=0, return_inverse=True)[1].reshape(-1)
        if groups.max(initial=-1) + 1 >= FEWEST_BLOCKS:
            break
    return groups


def _draw(groups: NDArray[np.intp], part_sizes: list[int], random: np.random.Generator) -> NDArray[np.intp]:
    """The part of each window: 1 validation, 2 test, 0 the rest. Groups are drawn until a part is full."""
    sizes = np.bincount(groups)
    parts = np.zeros(len(sizes), dtype=np.intp)
    filled = [0, 0]
    for group in random.permutation(len(sizes)):
        part = next((part for part in (0, 1) if filled[part] < part_sizes[part]), None)
        if part is None:
            break
        parts[group] = part + 1
        filled[part] += sizes[group]
    return parts[groups]


def _neighbours(
    chromosomes: NDArray[np.intp], starts: NDArray[np.int64], part_of: NDArray[np.intp], length: int
) -> Places:
    """Training windows that touch or overlap a held-out window."""
    order = np.lexsort((starts, chromosomes))
    near = np.zeros(len(order), dtype=bool)
    held = part_of[order] > 0
    for step in (1, -1):
        along = order[::step]
        last = np.maximum.accumulate(np.where(held[::step], np.arange(len(order)), -1))
        other = along[np.maximum(last, 0)]
        same = (last >= 0) & (chromosomes[other] == chromosomes[along])
        near[along] |= same & (np.abs(starts[along] - starts[other]) <= length)
    return np.flatnonzero(near & (part_of == 0))


def split_facts(parts: Split) -> dict[str, Any]:
    """The entries of a run's record on its split."""
    return {
        "split_hash": parts.hash,
        "split_windows": {
            "train": len(parts.train),
            "validation": len(parts.validation),
            "test": len(parts.test),
            "left_out": len(parts.left_out),
        },
    }
