"""Data leakage between the parts of a split: copies, reverse complements, near copies, overlapping intervals.

A model can predict a held-out window from memory that it has seen in training, and a model chosen by one part fits
windows like those. Repeats make such windows anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfbind.data.splits import Data, Places, Split
from tfbind.dna import UNKNOWN, Codes, reverse_complement, window_places, word_numbers

WORD = 12  # bases; of 100 a copy with 8 changes keeps a third of its words
NEAR = 0.6  # the share of bases in shared words from which on windows are near copies
MIN_SHARED = 0.2  # the share from which on two windows are aligned
MIN_OVERLAP = 0.7  # of a window in its alignment
MIN_IDENTITY = 0.87  # of the aligned bases: more than members of one family of repeats have
FEWEST_BASES = 15  # two windows share fewer by chance
MOST_WINDOWS = 1_000  # with a word, that are compared: the same ones for all words of a family
AT_ONCE = 4_000  # windows whose words are numbered in memory together
MAX_ALIGNED = 8  # windows, of those that share the most words with another, that are aligned to it

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
        """Whether any windows are shared; windows that lie edge to edge do not count."""
        return bool(self.identical or self.mirrored or self.near or self.overlapping)

    @property
    def words(self) -> str:
        """The result in one sentence or two."""
        counts = {
            "identical to": self.identical,
            "the reverse complement of": self.mirrored,
            "nearly the same as": self.near,
            "overlapping": self.overlapping or 0,
        }
        shared = [f"{count:,} {relation}" for relation, count in counts.items() if count]
        touching = f" {self.touching:,} lie edge to edge with one." if self.touching else ""
        windows, does = f"{self.windows:,} {self.part} windows", DOES[self.other]
        if not shared:
            return f"None of the {windows} is a copy of one that {does}.{touching}"
        pair = f", such as {self.example[0]} and {self.example[1]}" if self.example else ""
        return f"Among {windows}: {', '.join(shared)} a window that {does}{pair}.{touching}"


@dataclass(frozen=True)
class Leaks:
    """The windows that each held-out part shares with the parts before it; `unplaced` of all `windows` have names
    without coordinates, so that their overlaps are unknown."""

    windows: int
    unplaced: int
    pairs: tuple[SharedWindows, ...]

    @property
    def held_out(self) -> int:
        """Windows that do not train."""
        return sum(pair.windows for pair in self.pairs if pair.other == "train")

    @property
    def found(self) -> bool:
        """Whether any two parts share windows."""
        return any(pair.found for pair in self.pairs)

    @property
    def words(self) -> str:
        """A sentence for each pair of parts, and one for windows without coordinates."""
        sentences = [pair.words for pair in self.pairs]
        if self.unplaced:
            count = "all" if self.unplaced == self.windows else f"{self.unplaced:,}"
            sentences.append(
                f"The names of {count} of {self.windows:,} windows tell no place, so no overlap is seen."
            )
        return " ".join(sentences)


def find_leaks(data: Data, parts: Split) -> Leaks:
    """Find the windows that the parts of a split share: validation and test with training, test with validation.

    Args:
        data: the data set.
        parts: of its split.

    Returns:
        The shared windows of each pair of parts.
    """
    chromosomes, starts = window_places(data.names, data.codes.shape[1])
    used = np.concatenate([parts.train, parts.validation, parts.test])
    pairs: list[tuple[str, Earlier]] = [("validation", "train"), ("test", "train"), ("test", "validation")]
    shared = [
        _shared(data, (chromosomes, starts), (part, getattr(parts, part)), (other, getattr(parts, other)))
        for part, other in pairs
        if len(getattr(parts, part))
    ]
    return Leaks(len(used), int(np.count_nonzero(chromosomes[used] < 0)), tuple(shared))


def _shared(
    data: Data, where: tuple[Places, NDArray[np.int64]], part: tuple[str, Places], other: tuple[Earlier, Places]
) -> SharedWindows:
    ours, theirs = np.asarray(data.codes[part[1]]), np.asarray(data.codes[other[1]])
    same = _first_equal(ours, theirs)
    mirrored = np.where(same < 0, _first_equal(reverse_complement(ours), theirs), -1)
    near = np.where((same < 0) & (mirrored < 0), _nearest(ours, theirs), -1)
    counts = [int(np.count_nonzero(matches >= 0)) for matches in (same, mirrored, near)]
    places = _distances(*where, data.codes.shape[1], part[1], other[1])
    example = _example(data, part[1], other[1], (same, mirrored, near))
    return SharedWindows(part[0], other[0], len(ours), counts[0], counts[1], counts[2], *places, example)


def _rows(codes: Codes) -> NDArray[np.void]:
    contiguous = np.ascontiguousarray(codes)
    return contiguous.view(np.dtype((np.void, max(1, contiguous.shape[1])))).ravel()


def _first_equal(ours: Codes, theirs: Codes) -> NDArray[np.intp]:
    """For each of our rows the index of an equal one of theirs, -1 where there is none."""
    rows, order = _rows(theirs), np.argsort(_rows(theirs), kind="stable")
    queries = _rows(ours)
    nearest = np.minimum(np.searchsorted(rows, queries, sorter=order), len(rows) - 1)
    return np.where(rows[order[nearest]] == queries, order[nearest], -1)


@dataclass(frozen=True)
class _Words:
    """The words of rows of codes, each once a row, in order of number: the lower number of the word and its reverse
    complement; the row; the first start in it; whether the number is that of the reverse complement."""

    numbers: NDArray[np.uint32]
    rows: NDArray[np.int32]
    starts: NDArray[np.int32]
    is_reverse: NDArray[np.bool_]


def _words(codes: Codes, width: int) -> _Words:
    starts = codes.shape[1] - width + 1
    # Number, place and strand in one integer: to sort these takes half the memory of sorting places by numbers.
    packed = np.concatenate([_pack_words(codes, rows, width) for rows in _row_slices(len(codes))])
    packed.sort()
    is_reverse = (packed & 1).astype(bool)
    packed >>= 1
    flat = packed.astype(np.uint32)
    packed >>= 32
    numbers, rows = packed.astype(np.uint32), (flat // np.uint32(starts)).astype(np.int32)
    first = np.ones(len(numbers), dtype=bool)
    first[1:] = (numbers[1:] != numbers[:-1]) | (rows[1:] != rows[:-1])
    return _Words(numbers[first], rows[first], (flat[first] % np.uint32(starts)).astype(np.int32), is_reverse[first])


def _row_slices(rows: int) -> Iterator[slice]:
    return (slice(at, min(at + AT_ONCE, rows)) for at in range(0, max(rows, 1), AT_ONCE))


def _pack_words(codes: Codes, rows: slice, width: int) -> NDArray[np.uint64]:
    """The words of some rows of codes: 31 bits of number, 32 of position, 1 if the number is the reverse one's."""
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
        counts = last[words] - first[words]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        word, match = np.repeat(words, counts), np.repeat(first[words], counts) + offsets
        for other in _candidates(known.rows[match], width, ours.shape[1]):
            both = known.rows[match] == other
            is_reverse = mine.is_reverse[word[both]] != known.is_reverse[match[both]]
            shared = mine.starts[word[both]], known.starts[match[both]], is_reverse
            if _near(ours[row], theirs[other], width, shared):
                nearest[row] = other
                break
    return nearest


def _candidates(others: Places, width: int, length: int) -> list[int]:
    """The windows that share enough words to be compared, most first; `others` has a window once for each word."""
    shared = np.bincount(others)
    enough = np.flatnonzero(shared * width >= max(FEWEST_BASES, MIN_SHARED * length))
    candidates: list[int] = enough[np.argsort(-shared[enough], kind="stable")][:MAX_ALIGNED].tolist()
    return candidates


def _near(ours: Codes, theirs: Codes, width: int, shared: SharedWords) -> bool:
    """Whether two windows (L,) that share these words are near copies."""
    covered = len(np.unique(shared[0][:, None] + np.arange(width)))
    if covered >= max(FEWEST_BASES, NEAR * len(ours)):
        return True
    return covered >= max(FEWEST_BASES, MIN_SHARED * len(ours)) and _aligned(ours, theirs, width, shared)


def _aligned(ours: Codes, theirs: Codes, width: int, shared: SharedWords) -> bool:
    """Whether two windows (L,) are similar when aligned, without gaps, at the shift of most of their shared words."""
    length, (our_starts, their_starts, is_reverse) = len(ours), shared
    shifts = np.where(is_reverse, length - width - their_starts, their_starts) - our_starts
    # A number for each strand and shift.
    diagonals, counts = np.unique(shifts + 4 * length * is_reverse, return_counts=True)
    diagonal = int(diagonals[counts.argmax()])
    shift, other_strand = (diagonal - 4 * length, True) if diagonal > 2 * length else (diagonal, False)
    target = reverse_complement(theirs[None])[0] if other_strand else theirs
    overlap = ours[max(0, -shift) : length - max(0, shift)]
    same = (overlap == target[max(0, shift) : length - max(0, -shift)]) & (overlap != UNKNOWN)
    return len(overlap) >= MIN_OVERLAP * length and int(np.count_nonzero(same)) >= MIN_IDENTITY * len(overlap)


def _distances(
    chromosomes: Places, starts: NDArray[np.int64], length: int, held: Places, other: Places
) -> tuple[int | None, int | None]:
    """How many of the windows `held` overlap, and how many touch, an `other` one; None without coordinates."""
    held, other = held[chromosomes[held] >= 0], other[chromosomes[other] >= 0]
    if not len(held) or not len(other):
        return None, None
    # Far enough apart for no distance to reach from one chromosome to the next.
    along = starts + chromosomes * (int(starts.max(initial=0)) + 2 * length)
    theirs = np.sort(along[other])
    after = np.searchsorted(theirs, along[held])
    to_previous = along[held] - theirs[np.maximum(after - 1, 0)]
    to_next = theirs[np.minimum(after, len(theirs) - 1)] - along[held]
    distance = np.minimum(
        np.where(after > 0, to_previous, 2 * length), np.where(after < len(theirs), to_next, 2 * length)
    )
    return int(np.count_nonzero(distance < length)), int(np.count_nonzero(distance == length))


def _example(data: Data, held: Places, other: Places, matches_by_kind: tuple[Places, ...]) -> tuple[str, str] | None:
    for matches in matches_by_kind:
        for row in np.flatnonzero(matches >= 0)[:1]:
            ours, theirs = data.names[held[row]], data.names[other[matches[row]]]
            return ours.decode(errors="replace"), theirs.decode(errors="replace")
    return None
