"""Planted leaks are found and counted, each once; clean splits are called clean."""

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from tfbind.config import TrainConfig
from tfbind.datasets import import_pair
from tfbind.leaks import find_leaks
from tfbind.sequences import reverse_complement
from tfbind.splits import Split, split

LENGTH = 300


@dataclass(frozen=True)
class Named:
    codes: NDArray[np.uint8]
    names: NDArray[np.bytes_]


def random_windows(count: int, starts: list[int] | None = None) -> Named:
    codes = np.random.default_rng(3).integers(0, 4, (count, LENGTH), dtype=np.uint8)
    places = starts or [index * 1000 for index in range(count)]
    names = [f"chr1_{start}_{start + LENGTH - 1}" for start in places]
    return Named(codes, np.array(names, dtype=np.bytes_))


def halves(count: int) -> Split:
    """The first half trains; of the rest one quarter validates and one is sealed."""
    train, validation, test = np.split(np.arange(count), [count // 2, 3 * count // 4])
    return Split(train, validation, test, np.array([], dtype=np.intp))


def test_random_windows_share_nothing() -> None:
    found = find_leaks(random_windows(400), halves(400))
    assert (found.identical, found.mirrored, found.near, found.overlapping, found.touching) == (0, 0, 0, 0, 0)
    assert found.words == "None of the 200 held-out windows is a copy of one that trains."


def test_planted_leaks_are_counted_each_once() -> None:
    data = random_windows(400)
    data.codes[200] = data.codes[7]  # identical
    data.codes[201] = reverse_complement(data.codes[8])
    data.codes[390] = data.codes[9]  # in the sealed part
    data.codes[202] = data.codes[10]
    data.codes[202, ::60] = (data.codes[202, ::60] + 1) % 4  # five substitutions
    data.codes[203, 40:] = data.codes[11, :-40]  # moved by 40 bases
    data.codes[204, 40:] = reverse_complement(data.codes[12])[:-40]
    found = find_leaks(data, halves(400))
    assert (found.identical, found.mirrored, found.near) == (2, 1, 3)
    assert found.example == ("chr1_200000_200299", "chr1_7000_7299")
    assert "2 identical to, 1 the reverse complement of, 3 nearly the same as" in found.words


def test_a_repeat_shorter_than_half_a_window_is_no_near_copy() -> None:
    data = random_windows(400)
    data.codes[200:250, 100:200] = data.codes[0, 100:200]
    assert find_leaks(data, halves(400)).near == 0


@pytest.mark.parametrize(("distance", "overlapping", "touching"), [(299, 1, 0), (300, 0, 1), (301, 0, 0)])
def test_overlap_and_touch_by_hand(distance: int, overlapping: int, touching: int) -> None:
    data = random_windows(4, starts=[0, 10_000, 20_000, 10_000 + distance])
    parts = Split(np.array([0, 1]), np.array([2, 3]), np.array([], int), np.array([], int))
    found = find_leaks(data, parts)
    assert (found.overlapping, found.touching) == (overlapping, touching)


def test_names_without_coordinates_leave_places_unknown() -> None:
    data = random_windows(8)
    plain = Named(data.codes, np.array([f"w{i}" for i in range(8)], dtype=np.bytes_))
    found = find_leaks(plain, halves(8))
    assert (found.overlapping, found.touching) == (None, None)


def test_blocks_of_the_real_chromosome_have_fewer_neighbours_than_a_random_split(tmp_path, real_pair) -> None:
    data = import_pair(tmp_path, *real_pair, "chr22")
    found = {by: find_leaks(data, split(data, TrainConfig(split_by=by))) for by in ("windows", "blocks")}
    assert found["windows"].touching > 1000
    assert found["blocks"].touching == 0
    assert found["windows"].overlapping == 0
