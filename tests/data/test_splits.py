"""Splits: every window in one part, parts of the sizes asked for, and no held-out window beside one that trains."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from numpy.typing import NDArray

from tfbind.config import TrainConfig
from tfbind.data.dataset import import_pair
from tfbind.data.splits import Split, coordinates, split, validation_groups

LENGTH = 10


@dataclass(frozen=True)
class Named:
    """Codes (N, L) and names (N,): all that a split reads."""

    codes: NDArray[np.uint8]
    names: NDArray[np.bytes_]


def windows(count: int) -> Named:
    return Named(np.zeros((count, LENGTH), np.uint8), np.array([f"w{i}" for i in range(count)], dtype=np.bytes_))


def along(*starts_of_chromosomes: list[int]) -> Named:
    names = [
        f"chr{number}_{start}_{start + LENGTH - 1}"
        for number, starts in enumerate(starts_of_chromosomes, start=1)
        for start in starts
    ]
    return Named(np.zeros((len(names), LENGTH), np.uint8), np.array(names, dtype=np.bytes_))


def parts(data: Named, **settings: object) -> Split:
    return split(data, TrainConfig(**settings))


def everything(found: Split) -> list[int]:
    return sorted([*found.train, *found.validation, *found.test, *found.left_out])


@given(st.integers(2, 500), st.floats(0.01, 0.9), st.floats(0, 0.9), st.integers(0, 2**31 - 1))
def test_windows_are_shared_out_once_in_the_sizes_asked_for(n: int, share: float, sealed: float, seed: int) -> None:
    settings = {"validation_split": share, "test_split": sealed, "seed": seed}
    held, shut = int(n * share), int(n * sealed)
    if not held or held + shut >= n or (sealed and not shut):
        with pytest.raises(ValueError, match="expected at least 1 in each"):
            parts(windows(n), **settings)
        return
    found = parts(windows(n), **settings)
    # The sizes that the published experiment gives torch's random_split.
    assert (len(found.validation), len(found.test), len(found.left_out)) == (held, shut, 0)
    assert everything(found) == list(range(n))
    assert all((np.diff(part) > 0).all() for part in (found.train, found.validation, found.test))
    assert parts(windows(n), **settings).hash == found.hash


def test_a_test_part_does_not_change_what_validates() -> None:
    without, with_test = parts(windows(100)), parts(windows(100), test_split=0.3)
    assert np.array_equal(without.validation, with_test.validation)
    assert set(with_test.train) < set(without.train)


def test_every_window_is_as_likely_to_be_held_out() -> None:
    held_out = np.concatenate([parts(windows(10), validation_split=0.3, seed=seed).validation for seed in range(400)])
    assert np.bincount(held_out, minlength=10) == pytest.approx(120, abs=5 * np.sqrt(400 * 0.3 * 0.7))


@pytest.mark.parametrize(("n", "share"), [(0, 0.2), (1, 0.5), (4, 0.2)])
def test_a_split_with_an_empty_part_is_refused(n: int, share: float) -> None:
    with pytest.raises(ValueError, match=f"of {n} windows?"):
        parts(windows(n), validation_split=share)


@given(
    st.lists(st.integers(0, 3_000).map(lambda tens: tens * 9_000), min_size=40, max_size=120, unique=True),
    st.integers(0, 10_000),
    st.sampled_from([0.0, 0.15]),
)
def test_blocks_leave_no_training_window_beside_a_held_out_one(starts: list[int], seed: int, sealed: float) -> None:
    data = along(starts, [start + 5 for start in starts])
    try:
        found = parts(data, split_by="blocks", test_split=sealed, seed=seed)
    except ValueError as error:  # all windows lie in so few places that a part stays empty
        assume("expected at least 1 in each" not in str(error))
        raise
    assert everything(found) == list(range(len(data.names)))
    chromosome, start = coordinates(data)
    for held in [*found.validation, *found.test]:
        near = (chromosome[found.train] == chromosome[held]) & (np.abs(start[found.train] - start[held]) <= LENGTH)
        assert not near.any()


def test_blocks_are_stretches_not_single_windows() -> None:
    data = along(list(range(0, 20_000_000, 10_000)))
    found = parts(data, split_by="blocks")
    breaks = np.count_nonzero(np.diff(found.validation) != 1)
    assert len(found.validation) == 400  # 4 of 20 blocks of 1,000,000 bases, of 100 windows each
    assert breaks <= 3


def test_chromosomes_stay_whole() -> None:
    data = along(*([0, 100, 200, 300] for _ in range(10)))
    found = parts(data, split_by="chromosomes", test_split=0.2)
    chromosome, _ = coordinates(data)
    for part in (found.train, found.validation, found.test):
        assert all(np.isin(np.flatnonzero(chromosome == number), part).all() for number in set(chromosome[part]))
    assert (len(found.train), len(found.validation), len(found.test)) == (24, 8, 8)


@pytest.mark.parametrize(
    ("data", "settings", "said"),
    [
        (windows(50), {"split_by": "blocks"}, "window 'w0' has no coordinates"),
        (along([0, 100, 200]), {"split_by": "chromosomes"}, "leaves 0 for training and 3 for validation"),
        (
            along([0], [0]),
            {"split_by": "chromosomes", "test_split": 0.2},
            "leaves 0 for training and 1 for validation and 1 for the test",
        ),
    ],
)
def test_what_cannot_be_split_so_is_refused_in_one_line(data: Named, settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parts(data, **settings)


def test_the_hash_tells_parts_apart() -> None:
    hashes = {parts(windows(100), **settings).hash for settings in ({}, {"seed": 1}, {"test_split": 0.1})}
    assert len(hashes) == 3


def test_blocks_of_the_real_chromosome_hold_out_what_was_asked_for(tmp_path, real_pair) -> None:
    data = import_pair(tmp_path, *real_pair, "chr22")
    found = split(data, TrainConfig(split_by="blocks", test_split=0.1))
    share = np.array([len(found.validation), len(found.test)]) / len(data)
    assert share == pytest.approx([0.2, 0.1], abs=0.05)
    assert len(found.left_out) < 0.01 * len(data)


def test_what_was_drawn_as_one_for_validation() -> None:
    data = along(list(range(0, 100, 10)), list(range(0, 50, 10)), list(range(0, 30, 10)))
    settings = {"validation_split": 0.3, "split_by": "chromosomes"}
    held = parts(data, **settings).validation
    chromosome = [data.names[place].split(b"_")[0] for place in held]
    groups = validation_groups(data, TrainConfig(**settings))
    assert [groups[place] == groups[0] for place in range(len(held))] == [one == chromosome[0] for one in chromosome]
    assert len(np.unique(groups)) == groups.max() + 1 == len(set(chromosome))
    assert validation_groups(data, TrainConfig(validation_split=0.3)).tolist() == list(range(5))


def test_data_of_one_chromosome_are_told_of_blocks() -> None:
    with pytest.raises(ValueError, match=r"leaves 0 for training .* A split by blocks divides chromosomes, too$"):
        parts(along(list(range(0, 100, 10))), split_by="chromosomes")
