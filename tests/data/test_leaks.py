"""Planted leaks are found and counted, each once; clean splits are called clean."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter

from tfbind.config import TrainConfig
from tfbind.data.dataset import import_pair
from tfbind.data.leaks import Leaks, SharedWindows, find_leaks
from tfbind.data.pairs import read_pair
from tfbind.data.splits import Split, split
from tfbind.dna.codes import UNKNOWN, reverse_complement
from tfbind.store.schema import read_json, write_json

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


def only(data: Named) -> SharedWindows:
    """What the second half of some windows shares with the first, which trains."""
    train, validation = np.split(np.arange(len(data.codes)), 2)
    nothing = np.array([], dtype=np.intp)
    (found,) = find_leaks(data, Split(train, validation, nothing, nothing)).pairs
    return found


def changed(codes: NDArray[np.uint8], share: float, seed: int = 1) -> NDArray[np.uint8]:
    """The same with so many of the bases substituted."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(codes.shape) < share, (codes + rng.integers(1, 4, codes.shape)) % 4, codes).astype(
        np.uint8
    )


def test_random_windows_share_nothing() -> None:
    found = find_leaks(random_windows(400), halves(400))
    assert found.held_out == 200
    for one in found.pairs:
        assert (one.identical, one.mirrored, one.near, one.overlapping, one.touching) == (0, 0, 0, 0, 0)
    assert found.words == (
        "None of the 100 validation windows is a copy of one that trains. None of the 100 test windows is a copy of "
        "one that trains. None of the 100 test windows is a copy of one that validates."
    )
    assert not found.found


def test_planted_leaks_are_counted_each_once() -> None:
    data = random_windows(400)
    data.codes[200] = data.codes[7]  # identical
    data.codes[201] = reverse_complement(data.codes[8])
    data.codes[202] = data.codes[10]
    data.codes[202, ::60] = (data.codes[202, ::60] + 1) % 4  # five substitutions
    data.codes[203, 40:] = data.codes[11, :-40]  # moved by 40 bases
    data.codes[204, 40:] = reverse_complement(data.codes[12])[:-40]
    data.codes[390] = data.codes[9]  # in the sealed part
    leaks = find_leaks(data, halves(400))
    validation, test, between = leaks.pairs
    assert (validation.identical, validation.mirrored, validation.near) == (1, 1, 3)
    assert (test.identical, test.mirrored, test.near) == (1, 0, 0)
    assert not between.found
    assert validation.example == ("chr1_200000_200299", "chr1_7000_7299")
    assert "100 validation windows: 1 identical to, 1 the reverse complement of, 3 nearly the same as" in leaks.words


def test_what_the_test_shares_with_the_validation_is_told_apart() -> None:
    data = random_windows(400)
    data.codes[300:303] = changed(data.codes[200:203], 0.03)
    data.codes[303] = data.codes[203]
    validation, test, between = find_leaks(data, halves(400)).pairs
    assert not validation.found
    assert not test.found
    assert (between.part, between.other, between.identical, between.near) == ("test", "validation", 1, 3)
    assert "1 identical to, 3 nearly the same as a window that validates" in between.words


@pytest.mark.parametrize(
    ("share", "found", "turned", "moved"),
    [(0.02, 100, True, 0), (0.05, 100, False, 40), (0.08, 98, True, 40), (0.1, 90, False, 0)],
)
def test_copies_are_near_although_one_base_in_ten_differs(share: float, found: int, turned: bool, moved: int) -> None:
    data = random_windows(400)
    copies = changed(data.codes[:100], share)
    copies = reverse_complement(copies) if turned else copies
    data.codes[200:300, moved:] = copies[:, : LENGTH - moved]
    assert found <= only(data).near <= 100


def test_bases_that_are_unknown_in_both_are_not_the_same() -> None:
    data = random_windows(400)
    data.codes[200:300] = changed(data.codes[:100], 0.05)
    data.codes[:100, 100:] = data.codes[200:300, 100:] = UNKNOWN
    assert only(data).near == 0


def test_a_deletion_hides_no_copy() -> None:
    data = random_windows(400)
    data.codes[200:300, 150:-1] = data.codes[:100, 151:]
    data.codes[200:300, :150] = data.codes[:100, :150]
    assert only(data).near == 100


def test_of_a_large_family_every_member_is_found() -> None:
    data = random_windows(600)
    data.codes[:280] = data.codes[0]
    data.codes[300:320] = data.codes[0]
    data.codes[:] = changed(data.codes, 0.025)
    assert only(data).near == 20


@pytest.mark.parametrize(("length", "found"), [(20, 40), (24, 65), (30, 100), (40, 100)])
def test_short_windows_with_one_substitution(length: int, found: int) -> None:
    """Those of 30 bases all, shorter ones where 15 bases in a row are left."""
    whole = random_windows(2000)
    data = Named(whole.codes[:, :length], whole.names)
    places = np.random.default_rng(5).integers(0, length, 100)
    data.codes[1000:1100] = data.codes[:100]
    data.codes[np.arange(1000, 1100), places] = (data.codes[np.arange(1000, 1100), places] + 1) % 4
    assert found <= only(data).near <= 100


def test_a_repeat_shorter_than_half_a_window_is_no_near_copy() -> None:
    data = random_windows(400)
    data.codes[200:250, 100:200] = data.codes[0, 100:200]
    assert only(data).near == 0


def test_repeats_of_few_letters_are_no_near_copies() -> None:
    data = random_windows(400)
    data.codes[100:300, 50:250] = np.resize(np.array([1, 0], np.uint8), 200)  # CACACA...
    assert only(data).near == 0


@pytest.mark.parametrize(("distance", "overlapping", "touching"), [(299, 1, 0), (300, 0, 1), (301, 0, 0)])
def test_overlap_and_touch_by_hand(distance: int, overlapping: int, touching: int) -> None:
    found = only(random_windows(4, starts=[0, 10_000, 20_000, 10_000 + distance]))
    assert (found.overlapping, found.touching) == (overlapping, touching)


def test_names_without_coordinates_leave_places_unknown() -> None:
    data = random_windows(8)
    plain = Named(data.codes, np.array([f"w{i}" for i in range(8)], dtype=np.bytes_))
    found = find_leaks(plain, halves(8))
    assert all((one.overlapping, one.touching) == (None, None) for one in found.pairs)
    assert found.words.endswith("The names of all of 8 windows tell no place, so no overlap is seen.")


def test_one_name_without_coordinates_hides_no_overlap_of_the_others() -> None:
    data = random_windows(4, starts=[0, 10_000, 10_150, 30_000])
    names = [b"odd", *data.names.tolist()[1:]]
    found = find_leaks(Named(data.codes, np.array(names)), halves(4))
    assert [one.overlapping for one in found.pairs] == [1, 0, 0]
    assert found.words.endswith("The names of 1 of 4 windows tell no place, so no overlap is seen.")


@pytest.mark.parametrize("other", [b"chr1:10151-10450", b"1_10150_10449", b"1:10150-10450"])
def test_places_are_compared_however_they_are_written(other: bytes) -> None:
    data = random_windows(4, starts=[0, 10_000, 10_150, 30_000])
    names = np.array([*data.names.tolist()[:2], other, data.names[3]])
    found = only(Named(data.codes, names))
    assert (found.overlapping, found.touching) == (1, 0)


def test_leaks_are_kept_as_json_and_come_back(tmp_path: Path) -> None:
    data = random_windows(40)
    data.codes[20] = data.codes[0]
    found = find_leaks(data, halves(40))
    write_json(tmp_path / "leaks.json", asdict(found))
    assert TypeAdapter(Leaks).validate_python(read_json(tmp_path / "leaks.json")) == found


def test_blocks_of_the_real_chromosome_have_fewer_neighbours_than_a_random_split(tmp_path, real_pair) -> None:
    data = import_pair(tmp_path, *real_pair, "chr22")
    found = {by: find_leaks(data, split(data, TrainConfig(split_by=by))).pairs[0] for by in ("windows", "blocks")}
    assert found["windows"].touching > 1000
    assert found["blocks"].touching == 0
    assert found["windows"].overlapping == 0
    assert found["windows"].near < 500  # relatives of the repeats that human DNA is full of, a tenth of the windows


def test_of_copies_of_real_windows_nearly_all_are_found(real_pair) -> None:
    codes, rng = read_pair(*real_pair).codes, np.random.default_rng(0)
    train = codes[rng.permutation(len(codes))[:5000]]
    for share, found in ((0.08, 195), (0.1, 185)):
        both = Named(np.concatenate([train, changed(train[:200], share)]), np.array([b""] * 5200))
        train_part, copies, nothing = np.arange(5000), np.arange(5000, 5200), np.array([], dtype=np.intp)
        (pair,) = find_leaks(both, Split(train_part, copies, nothing, nothing)).pairs
        assert pair.near >= found


def test_dna_of_human_composition_read_backwards_is_no_copy_of_itself(real_pair) -> None:
    """Real repeats read from their end are words that no genome has, of the same letters and tandem repeats."""
    codes = read_pair(*real_pair).codes[::5]
    names = np.array([f"w{place}" for place in range(2 * len(codes))], dtype=np.bytes_)
    assert only(Named(np.concatenate([codes, codes[:, ::-1]]), names)).near <= 2
