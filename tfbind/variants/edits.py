"""Edited DNA, and the effect of variants on its scores.

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
TOGETHER = 20  # bases within which changes are one variant


@dataclass(frozen=True, eq=False)
class EditedSequence:
    """Changed codes (L',), and the place of each in the original, `ADDED` where it has none.

    `origin` follows the changes as they are spelt; `paired` holds the places that every spelling agrees on.
    """

    codes: Codes
    origin: NDArray[np.intp]
    paired: NDArray[np.intp]

    def place(self, original: int) -> int:
        """The place in the changed sequence of a base of the original, or of the end behind the last base.

        Raises:
            ValueError: an earlier change deleted it.
        """
        places = np.flatnonzero(self.origin == original)
        if len(places):
            return int(places[0])
        if original == self.origin.max(initial=ADDED) + 1:
            return len(self.codes)
        raise ValueError(f"position {original + 1}: an earlier change took this base away")

    def aligned(self, original: Scores) -> Scores:
        """The scores (L,) of the original at the bases (L',) of the changed sequence, NaN where one was added."""
        return np.where(self.origin == ADDED, np.float32(np.nan), original[self.origin])

    def net(self, original: Codes) -> Variant:
        """The edits as one variant, from the first base that differs or has no sure pair to the last."""
        present = np.flatnonzero(self.paired != ADDED)
        different = self.paired[present][original[self.paired[present]] != self.codes[present]]
        blocks = _blocks(self.paired, len(original))
        start = min([*different[:1].tolist(), *(block.start for block in blocks)], default=0)
        end = max([*(different[-1:] + 1).tolist(), *(block.end for block in blocks)], default=0)
        return Variant(start, original[start:end], self.codes[start : len(self.codes) - len(original) + end])


@dataclass(frozen=True)
class VariantEffect:
    """The effect of changes on a profile, as `effects` defines it.

    `change` is the largest difference, at `place` of the original, from `before` to `after`; `acts` are the first and
    last place at which the score moves by `ACTS` or more, None if there is none. `lost` are called sites of the
    original without a counterpart; `gained` those of the changed sequence without one, in its coordinates.
    """

    change: float
    place: int
    before: float
    after: float
    acts: tuple[int, int] | None
    lost: list[Site]
    gained: list[Site]

    def shifted(self, by: int) -> "VariantEffect":
        """The effect in sequences that begin so many bases further to the left."""
        acts = None if self.acts is None else (self.acts[0] + by, self.acts[1] + by)
        lost, gained = ([site.shifted(by) for site in sites] for sites in (self.lost, self.gained))
        return VariantEffect(self.change, self.place + by, self.before, self.after, acts, lost, gained)


class Block(NamedTuple):
    """Bases of the original from `start` to `end` that became those from `first` to `last` of the changed one."""

    start: int
    end: int
    first: int
    last: int


def edit(codes: Codes, changes: Iterable[Variant]) -> EditedSequence:
    """Apply changes one after the other, each in the coordinates of the sequence after the ones before.

    Changes that add up to one insertion or deletion, or lie within `TOGETHER` bases, are paired as that one variant.

    Raises:
        ValueError: the sequence does not hold the reference of a change.
    """
    original, origin = codes, np.arange(len(codes))
    paired = origin
    for change in changes:
        changed = apply_variant(codes, change)
        paired = aligned_after(paired, change.widened(partial(take_slice, codes), len(codes)))
        codes, origin = changed, map_origin(origin, change)
    net = Variant(0, original, codes).trimmed()
    if min(sizes := (len(net.reference), len(net.alternative))) == 0 or max(sizes) <= TOGETHER:
        paired = aligned_after(np.arange(len(original)), net.widened(partial(take_slice, original), len(original)))
    return EditedSequence(codes, origin, paired)


def map_origin(origin: NDArray[np.intp], change: Variant) -> NDArray[np.intp]:
    """Update the origin of bases by one more change."""
    end = change.start + min(len(change.reference), len(change.alternative))
    added = np.full(max(len(change.alternative) - len(change.reference), 0), ADDED)
    return np.concatenate([origin[:end], added, origin[change.start + len(change.reference) :]])


def aligned_after(paired: NDArray[np.intp], widened: Variant) -> NDArray[np.intp]:
    """Update the sure pairs of bases by one more change, widened to all its spellings."""
    if len(widened.reference) == len(widened.alternative):
        return paired
    added = np.full(len(widened.alternative), ADDED)
    return np.concatenate([paired[: widened.start], added, paired[widened.start + len(widened.reference) :]])


def substitution(codes: Codes, place: int, base: int) -> Variant:
    """The variant that changes the base at a 0-based place."""
    return Variant(place, codes[place : place + 1], np.array([base], np.uint8))


def effect(before: Scores, after: Scores, edited: EditedSequence, threshold: float) -> VariantEffect | None:
    """The effect between the profiles (L,) of the original and (L',) of the edited DNA; None if one is empty."""
    if not len(before) or not len(after):
        return None
    return effects(before[None], after[None], edited.paired, threshold)[0]


def effects(before: Scores, after: Scores, paired: NDArray[np.intp], threshold: float) -> list[VariantEffect]:
    """The effects of variants on profiles: of N sequences (N, L) and (N, L') that the same changes were made to.

    Bases in `paired` are compared one to one. An insertion, a deletion, or bases exchanged for more or fewer have no
    such pairs, and in a repeat nobody can tell which copy came or went: that whole stretch is compared by its
    highest score, the next base on either side included. So the effect follows from the two sequences, not from the
    spelling of the variant; a site that is deleted with its bases counts in full, one that only moves does not.

    A called site is lost or gained if no base of it has a called one as its counterpart. Where bases have no pair, of
    all ways to place the gap among them that counts under which the sites of both fit best, one to one.

    Args:
        before: scores (N, L) of the originals.
        after: scores (N, L') of the changed sequences.
        paired: (L',) as in `EditedSequence`.
        threshold: the least score of a called site.

    Returns:
        The effect of each row.
    """
    present = np.flatnonzero(paired != ADDED)
    blocks = _blocks(paired, before.shape[1])
    places = np.broadcast_to(paired[present], (len(before), len(present)))
    old, new = before[:, paired[present]], after[:, present]
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
            float(change[row, column]),
            int(places[row, column]),
            float(old[row, column]),
            float(new[row, column]),
            _acting(places[row], change[row]),
            *sites[row],
        )
        for row, column in enumerate(largest.tolist())
    ]


def _acting(places: NDArray[np.intp], change: Scores) -> tuple[int, int] | None:
    acting = places[np.abs(change) >= ACTS]
    return (int(acting.min()), int(acting.max())) if len(acting) else None


def _blocks(paired: NDArray[np.intp], bases: int) -> list[Block]:
    """The stretches without pairs, with an original of so many bases."""
    present = np.flatnonzero(paired != ADDED)
    old = np.concatenate([[-1], paired[present], [bases]])
    new = np.concatenate([[-1], present, [len(paired)]])
    gaps = np.flatnonzero((np.diff(old) > 1) | (np.diff(new) > 1))
    return [Block(int(old[at]) + 1, int(old[at + 1]), int(new[at]) + 1, int(new[at + 1])) for at in gaps]


def _sites(
    before: Scores, after: Scores, paired: NDArray[np.intp], blocks: list[Block], threshold: float
) -> list[tuple[list[Site], list[Site]]]:
    """The sites lost and gained in each row."""
    called_before, called_after = before >= threshold, after >= threshold
    candidates = np.array(called_before.any(axis=1) | called_after.any(axis=1))
    if not blocks:
        candidates &= (called_before != called_after).any(axis=1)
    return [
        _lost_and_gained(before[row], after[row], paired, blocks, threshold) if changes else ([], [])
        for row, changes in enumerate(candidates.tolist())
    ]


def _lost_and_gained(
    before: Scores, after: Scores, paired: NDArray[np.intp], blocks: list[Block], threshold: float
) -> tuple[list[Site], list[Site]]:
    """The called sites of a profile (L,) that have no counterpart in that (L',) of the changed sequence, and those
    that have none the other way, block by block with the gap where they fit best."""
    old, new = call_sites(before, threshold), call_sites(after, threshold)
    aligned = paired
    for block in blocks:
        aligned = _gap_at(aligned, block, 0)
    for block in blocks:
        alignments = [_gap_at(aligned, block, left) for left in _places_of_gap(block, old, new)]
        aligned = min(
            alignments,
            key=lambda alignment: _misfit(old, new, _counterparts(old, new, alignment, len(before))),
        )
    pairs = _counterparts(old, new, aligned, len(before))
    matched_before, matched_after = {left for left, _ in pairs}, {right for _, right in pairs}
    return (
        [site for number, site in enumerate(old) if number not in matched_before],
        [site for number, site in enumerate(new) if number not in matched_after],
    )


def _places_of_gap(block: Block, old: list[Site], new: list[Site]) -> list[int]:
    """The offsets in a block at which the gap may be: of those between which no site begins or ends, the first."""
    most = min(block.end - block.start, block.last - block.first)
    starts = [site.start - block.start + 1 for site in old] + [site.start - block.first + 1 for site in new]
    ends = [site.end - block.end + most for site in old] + [site.end - block.last + most for site in new]
    return sorted({0, *(offset for offset in starts + ends if 0 < offset <= most)})


def _gap_at(paired: NDArray[np.intp], block: Block, left: int) -> NDArray[np.intp]:
    """Pair the bases of a block, too: the first `left` from its start, the others from its end."""
    aligned = paired.copy()
    right = min(block.end - block.start, block.last - block.first) - left
    aligned[block.first : block.last] = ADDED
    aligned[block.first : block.first + left] = np.arange(block.start, block.start + left)
    aligned[block.last - right : block.last] = np.arange(block.end - right, block.end)
    return aligned


def _counterparts(old: list[Site], new: list[Site], aligned: NDArray[np.intp], bases: int) -> set[tuple[int, int]]:
    """The pairs of sites before and after that have a base in common, by their numbers."""
    numbers_before, numbers_after = np.full(bases, -1), np.full(len(aligned), -1)
    for sites, site_numbers in ((old, numbers_before), (new, numbers_after)):
        for number, site in enumerate(sites):
            site_numbers[site.start : site.end] = number
    present = np.flatnonzero((aligned != ADDED) & (numbers_after >= 0))
    pairs = zip(numbers_before[aligned[present]].tolist(), numbers_after[present].tolist(), strict=True)
    return {pair for pair in pairs if pair[0] >= 0}


def _misfit(old: list[Site], new: list[Site], pairs: set[tuple[int, int]]) -> tuple[int, int, int]:
    """How badly sites fit: the number without a counterpart or with one too many, with one too many, and lost."""
    matched_before, matched_after = {left for left, _ in pairs}, {right for _, right in pairs}
    lost, gained = len(old) - len(matched_before), len(new) - len(matched_after)
    shared = 2 * len(pairs) - len(matched_before) - len(matched_after)
    return lost + gained + shared, shared, lost


def verdict(change: float, lost: Sequence[str], gained: Sequence[str]) -> str:
    """The effect of a variant in a few words, from its largest change and the names of its lost and gained sites."""
    changes = [f"destroys {site}" for site in lost] + [f"makes {site}" for site in gained]
    if changes:
        words = " and ".join(changes)
        return words[0].upper() + words[1:]
    if abs(change) < SLIGHT:
        return "Changes little"
    return "Strengthens binding" if change > 0 else "Weakens binding"


def headline(effect: VariantEffect) -> str:
    """The effect in a few words, with the places of sites."""
    lost = [f"the site at {site.start + 1} to {site.end}" for site in effect.lost]
    return verdict(effect.change, lost, [f"a new site at {site.start + 1} to {site.end}" for site in effect.gained])


def details(effect: VariantEffect, unit: str) -> str:
    """The largest change and where scores move, in words; `unit` follows the numbers."""
    largest = f"largest change {fixed(effect.change, 2, '+')}{unit}, at base {effect.place + 1}"
    words = f"{largest}, from {fixed(effect.before, 2)} to {fixed(effect.after, 2)}"
    if effect.acts is None:
        return f"{words}; no score moves by {ACTS:g}{unit} or more."
    first, last = effect.acts
    bases = f"base {first + 1}" if first == last else f"bases {first + 1} to {last + 1}"
    return f"{words}; it acts on {bases}."


def describe(codes: Codes, changes: Iterable[Variant]) -> list[str]:
    """Format changes as made one after the other, each with its place in the original: `12 A>G`, `12 deletes AC`."""
    origin, words = np.arange(len(codes) + 1), []
    for change in changes:
        reference, alternative = decode(change.reference), decode(change.alternative)
        what = f"{'inserts' if alternative else 'deletes'} {reference or alternative}"
        if reference and alternative:
            what = f"{reference}>{alternative}"
        place = int(origin[change.start])
        words.append(
            f"{place + 1} {what}" if place != ADDED else f"{change.start + 1} {what} of the changed sequence"
        )
        origin = map_origin(origin, change)
    return words
