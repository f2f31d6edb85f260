"""What the parts of a split share: copies, mirror images, near copies, overlapping places.

A model can answer a held-out window from memory that it has seen in training, and so can whoever chose it by one part
answer another. Repeats make such windows anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfbind.data.splits import Data, Places, Split
from tfbind.dna import UNKNOWN, Codes, reverse_complement, window_places, word_numbers

WORD = 12  # bases; of 100 a copy with 8 changes keeps a third of its words
NEAR = 0.6
HINT = 0.2  # of the bases in shared words, and two windows are laid side by side
BESIDE = 0.7  # of a window, at least, lies beside the other
ALIKE = 0.87  # of those bases are the same: not so few as in members of one family of repeats
FEWEST_BASES = 15  # two windows share fewer by chance
MOST_WINDOWS = 1_000  # of those that have a word so many are looked at, the same ones for all words of a family
AT_ONCE = 4_000  # windows whose words are numbered in memory together
LIKELIEST = 8  # of the windows that share many words with another, so many are looked at base by base

Earlier = Literal["train", "validation"]
DOES: dict[Earlier, str] = {"train": "trains", "validation": "validates"}

# Of the words that two windows share: their starts in ours and in theirs, and whether they lie on the other strand.
SharedWords = tuple[Places, Places, NDArray[np.bool_]]


@dataclass(frozen=True)
class SharedWindows:
    """How many of the `windows` of one `part` are the same as one of the `other` part, the reverse complement of one,
    nearly the same as one, overlap one along the genome, or lie edge to edge with one.

    Nearly the same are windows of which 60 % of the bases, and 15 at least, lie in words of 12 bases that a single
    window of the other part has too, on either strand; or 20 %, where the two, laid side by side, have 87 % of the
    bases in common over 70 % of their length. Of 200 copies of windows of chromosome 22, 199 are found when one
    base in twelve was changed, 195 when one in ten was, 131 when one in eight was.
    `overlapping` and `touching` are None where the names of one part have no coordinates. `example` names one pair.
    """

    part: str
    other: Earlier
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
        return f"Among {windows}: {', '.join(found)} a window that {does}{pair}.{beside}"


@dataclass(frozen=True)
class Leaks:
    """What each held-out part shares with the parts before it; `unplaced` of all `windows` have names without
    coordinates, so that nobody knows what they overlap."""

    windows: int
    unplaced: int
    pairs: tuple[SharedWindows, ...]

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
    chromosomes, starts = window_places(data.names, data.codes.shape[1])
    within = np.concatenate([parts.train, parts.validation, parts.test])
    pairs: list[tuple[str, Earlier]] = [("validation", "train"), ("test", "train"), ("test", "validation")]
    shared = [
        _shared(data, (chromosomes, starts), (part, getattr(parts, part)), (other, getattr(parts, other)))
        for part, other in pairs
        if len(getattr(parts, part))
    ]
    return Leaks(len(within), int(np.count_nonzero(chromosomes[within] < 0)), tuple(shared))


def _shared(
    data: Data, where: tuple[Places, NDArray[np.int64]], part: tuple[str, Places], other: tuple[Earlier, Places]
) -> SharedWindows:
    ours, theirs = np.asarray(data.codes[part[1]]), np.asarray(data.codes[other[1]])
    same = _first_equal(ours, theirs)
    mirrored = np.where(same < 0, _first_equal(reverse_complement(ours), theirs), -1)
    near = np.where((same < 0) & (mirrored < 0), _nearest(ours, theirs), -1)
    counts = [int(np.count_nonzero(found >= 0)) for found in (same, mirrored, near)]
    places = _distances(*where, data.codes.shape[1], part[1], other[1])
    example = _example(data, part[1], other[1], (same, mirrored, near))
    return SharedWindows(part[0], other[0], len(ours), counts[0], counts[1], counts[2], *places, example)


def _rows(codes: Codes) -> NDArray[np.void]:
    contiguous = np.ascontiguousarray(codes)
    return contiguous.view(np.dtype((np.void, max(1, contiguous.shape[1])))).ravel()


def _first_equal(ours: Codes, theirs: Codes) -> NDArray[np.intp]:
    """For each of our rows the place of an equal one of theirs, -1 where there is none."""
    rows, order = _rows(theirs), np.argsort(_rows(theirs), kind="stable")
    wanted = _rows(ours)
    at = np.minimum(np.searchsorted(rows, wanted, sorter=order), len(rows) - 1)
    return np.where(rows[order[at]] == wanted, order[at], -1)


@dataclass(frozen=True)
class _Words:
    """The words of rows of codes, each once a row: a number that a word and its reverse complement share, in order;
    the row; the first start in it; whether the number is read off the reverse complement there."""

    numbers: NDArray[np.uint32]
    rows: NDArray[np.int32]
    starts: NDArray[np.int32]
    turned: NDArray[np.bool_]


def _words(codes: Codes, width: int) -> _Words:
    starts = codes.shape[1] - width + 1
    # Number, place and strand in one integer: to sort these takes half the memory of sorting places by numbers.
    kept = np.concatenate([_marked(codes, rows, width) for rows in _blocks(len(codes))])
    kept.sort()
    turned = (kept & 1).astype(bool)
    kept >>= 1
    flat = kept.astype(np.uint32)
    kept >>= 32
    numbers, rows = kept.astype(np.uint32), (flat // np.uint32(starts)).astype(np.int32)
    first = np.ones(len(numbers), dtype=bool)
    first[1:] = (numbers[1:] != numbers[:-1]) | (rows[1:] != rows[:-1])
    return _Words(numbers[first], rows[first], (flat[first] % np.uint32(starts)).astype(np.int32), turned[first])


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(at, min(at + AT_ONCE, rows)) for at in range(0, max(rows, 1), AT_ONCE))


def _marked(codes: Codes, rows: slice, width: int) -> NDArray[np.uint64]:
    """The words of some rows of codes: 31 bits of number, 32 of place, and one that says whether it was turned."""
    forward = word_numbers(codes[rows], width)
    reverse = word_numbers(reverse_complement(codes[rows]), width)[:, ::-1]
    positions = rows.start * forward.shape[1] + np.arange(forward.size, dtype=np.uint64).reshape(forward.shape)
    numbers = np.minimum(forward, reverse).astype(np.uint64)
    return (numbers << 33 | positions << 1 | (reverse < forward))[forward >= 0]


def _nearest(ours: Codes, theirs: Codes) -> NDArray[np.intp]:
    """For each of our rows one of theirs that is nearly the same, -1 where there is none."""
    width = min(WORD, ours.shape[1] // 2)
    nearest = np.full(len(ours), -1, dtype=np.intp)
    if ours.shape[1] < FEWEST_BASES:
        return nearest
    mine, known = _words(ours, width), _words(theirs, width)
    first = np.searchsorted(known.numbers, mine.numbers, "left")
    last = np.minimum(np.searchsorted(known.numbers, mine.numbers, "right"), first + MOST_WINDOWS)
    order = np.argsort(mine.rows, kind="stable")
    for row, words in enumerate(np.split(order, np.cumsum(np.bincount(mine.rows, minlength=len(ours)))[:-1])):
        met = last[words] - first[words]
        offsets = np.arange(met.sum()) - np.repeat(np.cumsum(met) - met, met)
        here, there = np.repeat(words, met), np.repeat(first[words], met) + offsets
        for other in _likeliest(known.rows[there], width, ours.shape[1]):
            both = known.rows[there] == other
            turned = mine.turned[here[both]] != known.turned[there[both]]
            shared = mine.starts[here[both]], known.starts[there[both]], turned
            if _near(ours[row], theirs[other], width, shared):
                nearest[row] = other
                break
    return nearest


def _likeliest(others: Places, width: int, length: int) -> list[int]:
    """Those of `others`, each of which is there once for a word that it shares, that may share enough, most first."""
    shared = np.bincount(others)
    likely = np.flatnonzero(shared * width >= max(FEWEST_BASES, HINT * length))
    chosen: list[int] = likely[np.argsort(-shared[likely], kind="stable")][:LIKELIEST].tolist()
    return chosen


def _near(ours: Codes, theirs: Codes, width: int, shared: SharedWords) -> bool:
    """Whether two windows (L,) that share these words are nearly the same."""
    covered = len(np.unique(shared[0][:, None] + np.arange(width)))
    if covered >= max(FEWEST_BASES, NEAR * len(ours)):
        return True
    return covered >= max(FEWEST_BASES, HINT * len(ours)) and _alike(ours, theirs, width, shared)


def _alike(ours: Codes, theirs: Codes, width: int, shared: SharedWords) -> bool:
    """Whether two windows (L,) have the same bases when they lie side by side as most of their shared words do."""
    length, (here, there, turned) = len(ours), shared
    shifts = np.where(turned, length - width - there, there) - here
    lines, counts = np.unique(shifts + 4 * length * turned, return_counts=True)  # a number for each strand and shift
    line = int(lines[counts.argmax()])
    shift, other_strand = (line - 4 * length, True) if line > 2 * length else (line, False)
    laid = reverse_complement(theirs[None])[0] if other_strand else theirs
    mine = ours[max(0, -shift) : length - max(0, shift)]
    same = (mine == laid[max(0, shift) : length - max(0, -shift)]) & (mine != UNKNOWN)
    return len(mine) >= BESIDE * length and int(np.count_nonzero(same)) >= ALIKE * len(mine)


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
