"""What the held-out windows share with those that train: copies, mirror images, near copies, overlapping places.

A model can answer a held-out window from memory that it has seen in training. Repeats make such windows anywhere.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfbind.sequences import UNKNOWN, Codes, reverse_complement
from tfbind.splits import Data, Places, Split, coordinates

WORD = 24  # long enough to be met twice by descent, not by chance
SAMPLED = 8  # one word in so many is looked at, the same words in every window
NEAR = 0.5
MOST_WINDOWS = 64  # a word in more windows than that is a repeat, which tells nothing of two windows
MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Leaks:
    """How many of the `held_out` windows are the same as one that trains, the reverse complement of one, share at
    least half of their words of 24 bases with a single one, overlap one along the genome, or lie edge to edge with
    one. `overlapping` and `touching` are None where the names have no coordinates. `example` names one pair."""

    held_out: int
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
        """One sentence for a reader."""
        counts = {
            "identical to": self.identical,
            "the reverse complement of": self.mirrored,
            "nearly the same as": self.near,
            "overlapping": self.overlapping or 0,
        }
        found = [f"{count:,} {how}" for how, count in counts.items() if count]
        beside = f" {self.touching:,} lie edge to edge with one." if self.touching else ""
        if not found:
            return f"None of the {self.held_out:,} held-out windows is a copy of one that trains.{beside}"
        pair = f", such as {self.example[0]} and {self.example[1]}" if self.example else ""
        return f"Of {self.held_out:,} held-out windows {', '.join(found)} a window that trains{pair}.{beside}"


def find_leaks(data: Data, parts: Split) -> Leaks:
    """Compare the held-out windows, validation and test, with those that train."""
    held = np.concatenate([parts.validation, parts.test])
    ours, theirs = np.asarray(data.codes[held]), np.asarray(data.codes[parts.train])
    same = _first_equal(ours, theirs)
    mirrored = np.where(same < 0, _first_equal(reverse_complement(ours), theirs), -1)
    near = np.where((same < 0) & (mirrored < 0), _nearest(ours, theirs), -1)
    overlapping, touching = _places(data, held, parts.train)
    counts = [int(np.count_nonzero(found >= 0)) for found in (same, mirrored, near)]
    example = _example(data, held, parts.train, (same, mirrored, near))
    return Leaks(len(held), counts[0], counts[1], counts[2], overlapping, touching, example)


def _rows(codes: Codes) -> NDArray[np.void]:
    contiguous = np.ascontiguousarray(codes)
    return contiguous.view(np.dtype((np.void, max(1, contiguous.shape[1])))).ravel()


def _first_equal(ours: Codes, theirs: Codes) -> NDArray[np.intp]:
    """For each of our rows the place of an equal one of theirs, -1 where there is none."""
    rows, order = _rows(theirs), np.argsort(_rows(theirs), kind="stable")
    wanted = _rows(ours)
    at = np.minimum(np.searchsorted(rows, wanted, sorter=order), len(rows) - 1)
    return np.where(rows[order[at]] == wanted, order[at], -1)


def _words(codes: Codes) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
    """The sampled words of both strands, as numbers equal for a word and its reverse complement, and their rows."""
    starts = codes.shape[1] - WORD + 1
    if starts < 1:
        return np.zeros(0, np.uint64), np.zeros(0, np.intp)
    forward = np.zeros((len(codes), starts), dtype=np.uint64)
    backward, unknown = np.zeros_like(forward), np.zeros(forward.shape, dtype=bool)
    for offset in range(WORD):
        base = codes[:, offset : offset + starts].astype(np.uint64)
        forward = forward << np.uint64(2) | (base & np.uint64(3))
        backward |= (np.uint64(3) - (base & np.uint64(3))) << np.uint64(2 * offset)
        unknown |= base == UNKNOWN
    words = np.minimum(forward, backward) * MIX
    chosen = ~unknown & (words >> np.uint64(40)) % np.uint64(SAMPLED) == 0
    found, rows = words[chosen], np.nonzero(chosen)[0]
    order = np.lexsort((rows, found))
    found, rows = found[order], rows[order]
    first = np.ones(len(found), dtype=bool)
    first[1:] = (found[1:] != found[:-1]) | (rows[1:] != rows[:-1])
    return found[first], rows[first]


def _nearest(ours: Codes, theirs: Codes) -> NDArray[np.intp]:
    """For each of our rows one of theirs that has at least the share `NEAR` of its words, -1 where there is none."""
    words, rows = _words(ours)
    known, known_rows = _words(theirs)
    nearest = np.full(len(ours), -1, dtype=np.intp)
    if not len(words) or not len(known):
        return nearest
    first, last = np.searchsorted(known, words, "left"), np.searchsorted(known, words, "right")
    met = np.where(last - first <= MOST_WINDOWS, last - first, 0)
    offsets = np.arange(met.sum()) - np.repeat(np.cumsum(met) - met, met)
    pairs = np.repeat(rows, met) * len(theirs) + known_rows[np.repeat(first, met) + offsets]
    together, shared = np.unique(pairs, return_counts=True)
    mine, other = np.divmod(together, len(theirs))
    enough = shared >= NEAR * np.bincount(rows, minlength=len(ours))[mine]
    nearest[mine[enough]] = other[enough]
    return nearest


def _places(data: Data, held: Places, train: Places) -> tuple[int | None, int | None]:
    """How many held-out windows overlap, and how many touch, one that trains."""
    try:
        chromosomes, starts = coordinates(data)
    except ValueError:
        return None, None
    length = data.codes.shape[1]
    # Far enough apart for no distance to reach from one chromosome to the next.
    along = starts + chromosomes * (int(starts.max(initial=0)) + 2 * length)
    theirs = np.sort(along[train])
    at = np.searchsorted(theirs, along[held])
    before = along[held] - theirs[np.maximum(at - 1, 0)]
    after = theirs[np.minimum(at, len(theirs) - 1)] - along[held]
    distance = np.minimum(np.where(at > 0, before, 2 * length), np.where(at < len(theirs), after, 2 * length))
    return int(np.count_nonzero(distance < length)), int(np.count_nonzero(distance == length))


def _example(data: Data, held: Places, train: Places, found: tuple[NDArray[np.intp], ...]) -> tuple[str, str] | None:
    for matches in found:
        for place in np.flatnonzero(matches >= 0)[:1]:
            ours, theirs = data.names[held[place]], data.names[train[matches[place]]]
            return ours.decode(errors="replace"), theirs.decode(errors="replace")
    return None
