"""What the parts of a split share: copies, mirror images, near copies, overlapping places.

A model can answer a held-out window from memory that it has seen in training, and so can whoever chose it by one part
answer another. Repeats make such windows anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfbind.chromosomes import places
from tfbind.sequences import UNKNOWN, Codes, reverse_complement
from tfbind.splits import Data, Places, Split

WORD = 12  # bases; of 100 a copy with 8 changes keeps a third of its words
NEAR = 0.6
FEWEST_BASES = 15  # two windows share fewer by chance
MOST_WINDOWS = 1_000  # of those that have a word so many are looked at, the same ones for all words of a family
LIKELIEST = 8  # of the windows that share many words with another, so many are looked at base by base
DOES = {"train": "trains", "validation": "validates"}


@dataclass(frozen=True)
class Shared:
    """How many of the `windows` of one `part` are the same as one of the `other` part, the reverse complement of one,
    nearly the same as one, overlap one along the genome, or lie edge to edge with one.

    Nearly the same are windows of which 60 % of the bases, and 15 at least, lie in words of 12 bases that a single
    window of the other part has too, on either strand: most copies in which one base in twelve differs are.
    `overlapping` and `touching` are None where the names of one part have no coordinates. `example` names one pair.
    """

    part: str
    other: str
    windows: int
    identical: int
    mirrored: int
    near: int
    overlapping: int | None
    touching: int | None
    example: tuple[str, str] | None

    @property
    def found(self) -> bool:
        """Whether anything but neighbourhood was found."""
        return bool(self.identical or self.mirrored or self.near or self.overlapping)

    @property
    def words(self) -> str:
        """One sentence for a reader, or two."""
        counts = {
            "identical to": self.identical,
            "the reverse complement of": self.mirrored,
            "nearly the same as": self.near,
            "overlapping": self.overlapping or 0,
        }
        found = [f"{count:,} {how}" for how, count in counts.items() if count]
        beside = f" {self.touching:,} lie edge to edge with one." if self.touching else ""
        windows, does = f"{self.windows:,} {self.part} windows", DOES[self.other]
        if not found:
            return f"None of the {windows} is a copy of one that {does}.{beside}"
        pair = f", such as {self.example[0]} and {self.example[1]}" if self.example else ""
        return f"Of {windows} {', '.join(found)} a window that {does}{pair}.{beside}"


@dataclass(frozen=True)
class Leaks:
    """What each held-out part shares with the parts before it; `unplaced` of all `windows` have names without
    coordinates, so that nobody knows what they overlap."""

    windows: int
    unplaced: int
    pairs: tuple[Shared, ...]

    @classmethod
    def unpacked(cls, kept: Mapping[str, Any]) -> "Leaks":
        """From what `dataclasses.asdict` makes of it, read from JSON."""
        pairs = [{**one, "example": one["example"] and tuple(one["example"])} for one in kept["pairs"]]
        return cls(kept["windows"], kept["unplaced"], tuple(Shared(**one) for one in pairs))

    @property
    def held_out(self) -> int:
        """Windows that do not train."""
        return sum(one.windows for one in self.pairs if one.other == "train")

    @property
    def found(self) -> bool:
        """Whether anything but neighbourhood was found."""
        return any(one.found for one in self.pairs)

    @property
    def words(self) -> str:
        """A sentence for each pair of parts, and one for windows whose place nobody knows."""
        said = [one.words for one in self.pairs]
        if self.unplaced:
            how_many = "all" if self.unplaced == self.windows else f"{self.unplaced:,}"
            said.append(f"The names of {how_many} of {self.windows:,} windows tell no place, so no overlap is seen.")
        return " ".join(said)


def find_leaks(data: Data, parts: Split) -> Leaks:
    """Compare validation and test with what trains, and the test with the validation."""
    chromosomes, starts = places(data.names, data.codes.shape[1])
    within = np.concatenate([parts.train, parts.validation, parts.test])
    pairs = [("validation", "train"), ("test", "train"), ("test", "validation")]
    shared = [
        _shared(data, (chromosomes, starts), (part, getattr(parts, part)), (other, getattr(parts, other)))
        for part, other in pairs
        if len(getattr(parts, part))
    ]
    return Leaks(len(within), int(np.count_nonzero(chromosomes[within] < 0)), tuple(shared))


def _shared(
    data: Data, where: tuple[Places, NDArray[np.int64]], part: tuple[str, Places], other: tuple[str, Places]
) -> Shared:
    ours, theirs = np.asarray(data.codes[part[1]]), np.asarray(data.codes[other[1]])
    same = _first_equal(ours, theirs)
    mirrored = np.where(same < 0, _first_equal(reverse_complement(ours), theirs), -1)
    near = np.where((same < 0) & (mirrored < 0), _nearest(ours, theirs), -1)
    counts = [int(np.count_nonzero(found >= 0)) for found in (same, mirrored, near)]
    places = _distances(*where, data.codes.shape[1], part[1], other[1])
    example = _example(data, part[1], other[1], (same, mirrored, near))
    return Shared(part[0], other[0], len(ours), counts[0], counts[1], counts[2], *places, example)


def _rows(codes: Codes) -> NDArray[np.void]:
    contiguous = np.ascontiguousarray(codes)
    return contiguous.view(np.dtype((np.void, max(1, contiguous.shape[1])))).ravel()


def _first_equal(ours: Codes, theirs: Codes) -> NDArray[np.intp]:
    """For each of our rows the place of an equal one of theirs, -1 where there is none."""
    rows, order = _rows(theirs), np.argsort(_rows(theirs), kind="stable")
    wanted = _rows(ours)
    at = np.minimum(np.searchsorted(rows, wanted, sorter=order), len(rows) - 1)
    return np.where(rows[order[at]] == wanted, order[at], -1)


def _words(codes: Codes, width: int) -> tuple[NDArray[np.uint32], Places, Places]:
    """The words of each row, each once: a number equal for a word and its reverse complement, row and first start.
    In order of the numbers."""
    starts = codes.shape[1] - width + 1
    forward = np.zeros((len(codes), starts), dtype=np.uint32)
    backward, unknown = np.zeros_like(forward), np.zeros(forward.shape, dtype=bool)
    for offset in range(width):
        base = codes[:, offset : offset + starts].astype(np.uint32)
        forward = forward << 2 | (base & 3)
        backward |= (3 - (base & 3)) << (2 * offset)
        unknown |= base == UNKNOWN
    rows, places = np.nonzero(~unknown)
    numbers = np.minimum(forward, backward)[rows, places]
    order = np.argsort(numbers, kind="stable")
    numbers, rows, places = numbers[order], rows[order], places[order]
    first = np.ones(len(numbers), dtype=bool)
    first[1:] = (numbers[1:] != numbers[:-1]) | (rows[1:] != rows[:-1])
    return numbers[first], rows[first], places[first]


def _nearest(ours: Codes, theirs: Codes) -> NDArray[np.intp]:
    """For each of our rows one of theirs that is nearly the same, -1 where there is none."""
    length = ours.shape[1]
    width, needed = min(WORD, length // 2), max(FEWEST_BASES, NEAR * length)
    nearest = np.full(len(ours), -1, dtype=np.intp)
    if needed > length:
        return nearest
    words, rows, starts = _words(ours, width)
    known, known_rows, _ = _words(theirs, width)
    first, last = np.searchsorted(known, words, "left"), np.searchsorted(known, words, "right")
    last = np.minimum(last, first + MOST_WINDOWS)
    order = np.argsort(rows, kind="stable")
    for row, mine in enumerate(np.split(order, np.cumsum(np.bincount(rows, minlength=len(ours)))[:-1])):
        met = last[mine] - first[mine]
        offsets = np.arange(met.sum()) - np.repeat(np.cumsum(met) - met, met)
        others = known_rows[np.repeat(first[mine], met) + offsets]
        nearest[row] = _near_one(others, np.repeat(starts[mine], met), width, needed)
    return nearest


def _near_one(others: Places, starts: Places, width: int, needed: float) -> int:
    """One of `others`, each of which has the word at one of `starts`, that has so many of the bases; -1 for none."""
    shared = np.bincount(others)
    likely = np.flatnonzero(shared * width >= needed)
    for other in likely[np.argsort(-shared[likely], kind="stable")][:LIKELIEST].tolist():
        if len(np.unique(starts[others == other, None] + np.arange(width))) >= needed:
            return int(other)
    return -1


def _distances(
    chromosomes: Places, starts: NDArray[np.int64], length: int, held: Places, other: Places
) -> tuple[int | None, int | None]:
    """How many of the windows `held` overlap, and how many touch, an `other` one, as far as names tell places."""
    held, other = held[chromosomes[held] >= 0], other[chromosomes[other] >= 0]
    if not len(held) or not len(other):
        return None, None
    # Far enough apart for no distance to reach from one chromosome to the next.
    along = starts + chromosomes * (int(starts.max(initial=0)) + 2 * length)
    theirs = np.sort(along[other])
    at = np.searchsorted(theirs, along[held])
    before = along[held] - theirs[np.maximum(at - 1, 0)]
    after = theirs[np.minimum(at, len(theirs) - 1)] - along[held]
    distance = np.minimum(np.where(at > 0, before, 2 * length), np.where(at < len(theirs), after, 2 * length))
    return int(np.count_nonzero(distance < length)), int(np.count_nonzero(distance == length))


def _example(data: Data, held: Places, other: Places, found: tuple[Places, ...]) -> tuple[str, str] | None:
    for matches in found:
        for place in np.flatnonzero(matches >= 0)[:1]:
            ours, theirs = data.names[held[place]], data.names[other[matches[place]]]
            return ours.decode(errors="replace"), theirs.decode(errors="replace")
    return None
