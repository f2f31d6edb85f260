"""The simulated genome against the published composition, and its labels against their own rule."""

import itertools

import numpy as np
import pytest

from tfbind.data.simulate import DINUCLEOTIDES, LENGTH, Simulation, simulate_chromosome, simulate_windows
from tfbind.motifs.pwm import paint


@pytest.fixture(scope="module")
def made() -> Simulation:
    return simulate_windows(windows=6_500)  # more than one chromosome


def places(made: Simulation) -> list[tuple[str, int, int]]:
    parts = [name.split("_") for name in made.names]
    return [(chromosome, int(start), int(end)) for chromosome, start, end in parts]


def test_neighbours_follow_each_other_as_in_the_human_genome() -> None:
    codes = simulate_chromosome(np.random.default_rng(0))[0].astype(int)
    pairs = np.bincount(codes[:-1] * 4 + codes[1:], minlength=16).reshape(4, 4) / (len(codes) - 1)
    assert pytest.approx(1, abs=1e-4) == DINUCLEOTIDES.sum()
    assert np.abs(pairs - DINUCLEOTIDES).max() < 0.001
    assert np.isin(codes, (1, 2)).mean() == pytest.approx(0.41, abs=0.005)


def test_there_are_as_many_windows_as_asked_for_and_each_has_a_hit(made: Simulation) -> None:
    assert len(made.names) == len(set(made.names)) == 6_500
    assert made.codes.shape == made.scores.shape == (6_500, LENGTH)
    assert (made.codes.dtype, made.scores.dtype) == (np.uint8, np.float32)
    assert made.codes.max() == 3
    assert (made.scores > 0).any(axis=1).all()


def test_windows_lie_on_a_grid_in_genome_order_with_inclusive_ends(made: Simulation) -> None:
    found = places(made)
    assert all(start % LENGTH == 0 and end == start + LENGTH - 1 for _, start, end in found)
    assert [(int(chromosome.removeprefix("sim")), start) for chromosome, start, _ in found] == sorted(
        (int(chromosome.removeprefix("sim")), start) for chromosome, start, _ in found
    )
    assert {chromosome for chromosome, _, _ in found} == {"sim1", "sim2"}


def test_scored_positions_are_as_dense_as_in_the_real_labels(made: Simulation) -> None:
    assert (made.scores > 0).mean() == pytest.approx(0.039, abs=0.002)
    assert np.median((made.scores > 0).sum(axis=1)) == made.motif.width
    assert made.scores[made.scores > 0].min() >= made.threshold


def test_two_windows_that_touch_are_painted_as_one_stretch(made: Simulation) -> None:
    found = places(made)
    touching = [
        place
        for place, (left, right) in enumerate(itertools.pairwise(found))
        if left[0] == right[0] and left[2] + 1 == right[1]
    ]
    codes = np.hstack([made.codes[touching], made.codes[np.add(touching, 1)]])
    scores = np.hstack([made.scores[touching], made.scores[np.add(touching, 1)]])
    inner = slice(made.motif.width + 4, -made.motif.width - 4)  # beyond the reach of what lies outside
    assert np.array_equal(paint(made.motif, codes, made.threshold)[:, inner], scores[:, inner])
    across = (scores[:, LENGTH - 1] > 0) & (scores[:, LENGTH - 1] == scores[:, LENGTH])
    assert across.sum() > 10


def test_the_seed_decides_everything() -> None:
    first, again, other = simulate_windows(100, seed=1), simulate_windows(100, seed=1), simulate_windows(100, seed=2)
    assert first.names == again.names
    assert np.array_equal(first.codes, again.codes)
    assert np.array_equal(first.scores, again.scores)
    assert not np.array_equal(first.codes, other.codes)
