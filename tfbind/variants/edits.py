"""DNA that was changed, base by base or variant by variant, and what that does to its scores.

Positions in words count from 1, in the original; arrays stay 0-based.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfbind.dna import Codes, decode, take_slice
from tfbind.scoring import Scores, Site, Variant, apply_variant, call_sites
from tfbind.text import fixed

ACTS = 0.1  # a base whose score moves by less is not counted among those that a change acts on
SLIGHT = 0.5  # a change that moves no score by more is called slight
ADDED = -1


@dataclass(frozen=True, eq=False)
class EditedSequence:
    """Changed codes (L',), and for each of them its place in the original, `ADDED` where it has none there.

    `origin` follows the changes as they are spelt; `paired` holds the places that every spelling agrees on.
    """

    codes: Codes
    origin: NDArray[np.intp]
    paired: NDArray[np.intp]

    def place(self, original: int) -> int:
        """Where the base at a place of the original is now; the place behind the last base is one, too.

        Raises:
            ValueError: an earlier change took it away.
        """
        found = np.flatnonzero(self.origin == original)
        if len(found):
            return int(found[0])
        if original == self.origin.max(initial=ADDED) + 1:
            return len(self.codes)
        raise ValueError(f"position {original + 1}: an earlier change took this base away")

    def aligned(self, original: Scores) -> Scores:
        """The original's scores (L,) at the bases (L',) that are there now, NaN where one was added."""
        return np.where(self.origin == ADDED, np.float32(np.nan), original[self.origin])

    def net(self, original: Codes) -> Variant:
        """One variant that does the same: all from the first base that differs or has no sure pair to the last."""
        there = np.flatnonzero(self.paired != ADDED)
        differ = self.paired[there][original[self.paired[there]] != self.codes[there]]
        blocks = _blocks(self.paired, len(original))
        start = min([*differ[:1].tolist(), *(block.start for block in blocks)], default=0)
        end = max([*(differ[-1:] + 1).tolist(), *(block.end for block in blocks)], default=0)
        return Variant(start, original[start:end], self.codes[start : len(self.codes) - len(original) + end])


@dataclass(frozen=True)
class VariantEffect:
    """What changes do to a profile, by the rules of `effects`.

    `change` is the largest difference, at `place` of the original, from `before` to `after`; `acts` are the first and
    last place at which the score moves by `ACTS` or more, None if there is none. `lost` are called sites of the
    original without a counterpart; `made` those without one before, in coordinates of the changed sequence.
    """

    change: float
    place: int
    before: float
    after: float
    acts: tuple[int, int] | None
    lost: list[Site]
    made: list[Site]

    def shifted(self, by: int) -> "VariantEffect":
        """The same where the sequences go on for so many bases to the left."""
        acts = None if self.acts is None else (self.acts[0] + by, self.acts[1] + by)
        lost, made = ([site.shifted(by) for site in sites] for sites in (self.lost, self.made))
        return VariantEffect(self.change, self.place + by, self.before, self.after, acts, lost, made)


class Block(NamedTuple):
    """Bases of the original, from `start` to `end`, that became those of the changed sequence from `first` to `last`,
    base for base or not."""

    start: int
    end: int
    first: int
    last: int


def edit(codes: Codes, changes: Iterable[Variant]) -> EditedSequence:
    """Carry out changes one after the other, each in the coordinates that the ones before it left.

    Raises:
        ValueError: the sequence does not hold the reference of a change.
    """
    origin = paired = np.arange(len(codes))
    for change in changes:
        changed = apply_variant(codes, change)
        paired = aligned_after(paired, change.widened(partial(take_slice, codes), len(codes)))
        codes, origin = changed, map_origin(origin, change)
    return EditedSequence(codes, origin, paired)


def map_origin(origin: NDArray[np.intp], change: Variant) -> NDArray[np.intp]:
    """Where the bases come from that are there after one more change."""
    kept = change.start + min(len(change.reference), len(change.alternative))
    added = np.full(max(len(change.alternative) - len(change.reference), 0), ADDED)
    return np.concatenate([origin[:kept], added, origin[change.start + len(change.reference) :]])


def aligned_after(paired: NDArray[np.intp], widened: Variant) -> NDArray[np.intp]:
    """The places of the original that bases surely come from, after one more change, as wide as it may be."""
    if len(widened.reference) == len(widened.alternative):
        return paired
    added = np.full(len(widened.alternative), ADDED)
    return np.concatenate([paired[: widened.start], added, paired[widened.start + len(widened.reference) :]])


def substitution(codes: Codes, place: int, base: int) -> Variant:
    """The change of the base at a 0-based place to another."""
    return Variant(place, codes[place : place + 1], np.array([base], np.uint8))


def effect(before: Scores, after: Scores, edited: EditedSequence, threshold: float) -> VariantEffect | None:
    """What turned the profile (L,) of the original into that (L',) of the changed sequence; None if one is empty."""
    if not len(before) or not len(after):
        return None
    return effects(before[None], after[None], edited.paired, threshold)[0]


def effects(before: Scores, after: Scores, paired: NDArray[np.intp], threshold: float) -> list[VariantEffect]:
    """What changes do to scores, the one definition: of profiles (N, L) without and (N, L') with the same changes.

    Bases in `paired` are compared one to one. An insertion, a deletion, or bases exchanged for more or fewer have no
    such pairs, and in a repeat nobody can tell which copy came or went: that whole stretch is compared by its
    highest score, the base beside it on either side included. So the effect follows from the two sequences, not from
    the spelling of the variant; a site that goes with its bases counts in full, one that only moves does not.

    A called site is lost, or made, if no base of it has a called one as its counterpart. Where bases have no pair, of
    all ways to place the gap among them that counts under which the sites of both fit best, one to one.

    Args:
        paired: (L',) as in `Edited`.
        threshold: the least score of a called site.
    """
    there = np.flatnonzero(paired != ADDED)
    blocks = _blocks(paired, before.shape[1])
    places = np.broadcast_to(paired[there], (len(before), len(there)))
    old, new = before[:, paired[there]], after[:, there]
    for block in blocks:
        first, last = max(block.start - 1, 0), max(block.first - 1, 0)
        stretch, changed = before[:, first : block.end + 1], after[:, last : block.last + 1]
        places = np.column_stack([places, first + stretch.argmax(axis=1)])
        old, new = np.column_stack([old, stretch.max(axis=1)]), np.column_stack([new, changed.max(axis=1)])
    change = new - old
    largest = np.abs(change).argmax(axis=1)
    sites = _sites(before, after, paired, blocks, threshold)
    return [
        VariantEffect(
            float(change[row, at]),
            int(places[row, at]),
            float(old[row, at]),
            float(new[row, at]),
            _acting(places[row], change[row]),
            *sites[row],
        )
        for row, at in enumerate(largest.tolist())
    ]


def _acting(places: NDArray[np.intp], change: Scores) -> tuple[int, int] | None:
    acting = places[np.abs(change) >= ACTS]
    return (int(acting.min()), int(acting.max())) if len(acting) else None


def _blocks(paired: NDArray[np.intp], bases: int) -> list[Block]:
    """The stretches without pairs, in an original of so many bases."""
    there = np.flatnonzero(paired != ADDED)
    old = np.concatenate([[-1], paired[there], [bases]])
    new = np.concatenate([[-1], there, [len(paired)]])
    gaps = np.flatnonzero((np.diff(old) > 1) | (np.diff(new) > 1))
    return [Block(int(old[at]) + 1, int(old[at + 1]), int(new[at]) + 1, int(new[at + 1])) for at in gaps]


def _sites(
    before: Scores, after: Scores, paired: NDArray[np.intp], blocks: list[Block], threshold: float
) -> list[tuple[list[Site], list[Site]]]:
    """The sites lost and made in each row."""
    called, called_there = before >= threshold, after >= threshold
    some = np.array(called.any(axis=1) | called_there.any(axis=1))
    if not blocks:
        some &= (called != called_there).any(axis=1)
    return [
        _lost_and_made(before[row], after[row], paired, blocks, threshold) if changes else ([], [])
        for row, changes in enumerate(some.tolist())
    ]


def _lost_and_made(
    before: Scores, after: Scores, paired: NDArray[np.intp], blocks: list[Block], threshold: float
) -> tuple[list[Site], list[Site]]:
    """The called sites of a profile (L,) that have no counterpart in that (L',) of the changed sequence, and those
    that have none the other way, block by block with the gap where they fit best."""
    old, new = call_sites(before, threshold), call_sites(after, threshold)
    aligned = paired
    for block in blocks:
        aligned = _gap_at(aligned, block, 0)
    for block in blocks:
        ways = [_gap_at(aligned, block, kept) for kept in _places_of_gap(block, old, new)]
        aligned = min(ways, key=lambda way: _misfit(old, new, _counterparts(old, new, way, len(before))))
    met = _counterparts(old, new, aligned, len(before))
    found, found_there = {left for left, _ in met}, {right for _, right in met}
    return (
        [site for number, site in enumerate(old) if number not in found],
        [site for number, site in enumerate(new) if number not in found_there],
    )


def _places_of_gap(block: Block, old: list[Site], new: list[Site]) -> list[int]:
    """After how many bases of a block the gap may be; of places between which no site begins or ends, the first."""
    most = min(block.end - block.start, block.last - block.first)
    begun = [site.start - block.start + 1 for site in old] + [site.start - block.first + 1 for site in new]
    ended = [site.end - block.end + most for site in old] + [site.end - block.last + most for site in new]
    return sorted({0, *(at for at in begun + ended if 0 < at <= most)})


def _gap_at(paired: NDArray[np.intp], block: Block, kept: int) -> NDArray[np.intp]:
    """Pairs in a block, too: its first `kept` bases from the left, the others from the right."""
    aligned = paired.copy()
    right = min(block.end - block.start, block.last - block.first) - kept
    aligned[block.first : block.last] = ADDED
    aligned[block.first : block.first + kept] = np.arange(block.start, block.start + kept)
    aligned[block.last - right : block.last] = np.arange(block.end - right, block.end)
    return aligned


def _counterparts(old: list[Site], new: list[Site], aligned: NDArray[np.intp], bases: int) -> set[tuple[int, int]]:
    """The numbers of the sites of either side that have a base in common."""
    numbers, numbers_there = np.full(bases, -1), np.full(len(aligned), -1)
    for sites, inside in ((old, numbers), (new, numbers_there)):
        for number, site in enumerate(sites):
            inside[site.start : site.end] = number
    there = np.flatnonzero((aligned != ADDED) & (numbers_there >= 0))
    pairs = zip(numbers[aligned[there]].tolist(), numbers_there[there].tolist(), strict=True)
    return {pair for pair in pairs if pair[0] >= 0}


def _misfit(old: list[Site], new: list[Site], met: set[tuple[int, int]]) -> tuple[int, int, int]:
    """How badly sites fit: how many have no counterpart or one too many; how many have one too many; are lost."""
    found, found_there = {left for left, _ in met}, {right for _, right in met}
    lost, made = len(old) - len(found), len(new) - len(found_there)
    shared = 2 * len(met) - len(found) - len(found_there)
    return lost + made + shared, shared, lost


def verdict(change: float, lost: Sequence[str], made: Sequence[str]) -> str:
    """What a variant does, in a few words, given its largest change and what its lost and made sites are called."""
    done = [f"destroys {site}" for site in lost] + [f"makes {site}" for site in made]
    if done:
        words = " and ".join(done)
        return words[0].upper() + words[1:]
    if abs(change) < SLIGHT:
        return "Changes little"
    return "Strengthens binding" if change > 0 else "Weakens binding"


def headline(found: VariantEffect) -> str:
    """What the changes do, in a few words, with the places of sites."""
    lost = [f"the site at {site.start + 1} to {site.end}" for site in found.lost]
    return verdict(found.change, lost, [f"a new site at {site.start + 1} to {site.end}" for site in found.made])


def details(found: VariantEffect, unit: str) -> str:
    """The size of the largest change, where it is, and where scores move; `unit` stands behind numbers."""
    largest = f"largest change {fixed(found.change, 2, '+')}{unit}, at base {found.place + 1}"
    words = f"{largest}, from {fixed(found.before, 2)} to {fixed(found.after, 2)}"
    if found.acts is None:
        return f"{words}; no score moves by {ACTS:g}{unit} or more."
    first, last = found.acts
    acted = f"base {first + 1}" if first == last else f"bases {first + 1} to {last + 1}"
    return f"{words}; it acts on {acted}."


def describe(change: Variant) -> str:
    """A change as people write it, such as `12 A>G`, `12 deletes AC`."""
    reference, alternative = decode(change.reference), decode(change.alternative)
    if reference and alternative:
        return f"{change.start + 1} {reference}>{alternative}"
    return f"{change.start + 1} {'inserts' if alternative else 'deletes'} {reference or alternative}"
