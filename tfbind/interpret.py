"""What a model's score hangs on: every single base change tried out, and where a variant changes it most.

Only the bases that a change can reach are scored again: with a local model twice its reach around the place, with a
model of fixed length the window that has the place nearest to its middle.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfbind.scoring import Model, Scores, score_windows
from tfbind.sequences import Codes


@dataclass(frozen=True)
class Mutagenesis:
    """The effect of every single base change in a stretch of DNA.

    `effect` (4, W): rows A C G T, columns the places `start` to `start + W`: by how much the sum of the scores that
    the change can reach rises. 0 where the base is there already.
    """

    start: int
    reference: Codes
    effect: NDArray[np.float32]

    @property
    def contribution(self) -> Scores:
        """(W,) what the base that is there adds to the sum: minus the mean effect of the three others."""
        return -self.effect.sum(axis=0) / np.float32(3)


@dataclass(frozen=True)
class Variant:
    """A change of a sequence: the codes from `start` (0-based) that are `reference` become `alternative`."""

    start: int
    reference: Codes
    alternative: Codes

    def trimmed(self) -> "Variant":
        """The same change without the bases that both alleles begin or end with."""
        first = _alike(self.reference, self.alternative)
        before, after = self.reference[first:], self.alternative[first:]
        last = _alike(before[::-1], after[::-1])
        return Variant(self.start + first, before[: len(before) - last], after[: len(after) - last])


def _alike(one: Codes, other: Codes) -> int:
    """How many bases two sequences share from their start on."""
    common = min(len(one), len(other))
    differ = np.flatnonzero(one[:common] != other[:common])
    return int(differ[0]) if len(differ) else common


def mutagenesis(model: Model, codes: Codes, start: int, stop: int) -> Mutagenesis:
    """Try every base change at the places `start` to `stop` (0-based half-open) of a sequence (L,).

    Raises:
        ValueError: the stretch is empty or reaches outside the sequence, or the sequence is too short for the model.
    """
    if not 0 <= start < stop <= len(codes):
        raise ValueError(f"places {start} to {stop}: expected a stretch within 0 to {len(codes)}")
    if model.length is not None and len(codes) < model.length:
        raise ValueError(f"the sequence has {len(codes)} bases; this model needs {model.length}")
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place in range(start, stop):
        groups[_surroundings(model, place, len(codes))].append(place)
    effect = np.zeros((4, stop - start), dtype=np.float32)
    for (left, width), places in groups.items():
        effect[:, np.array(places) - start] = _effects(model, codes, np.array(places), left, width)
    return Mutagenesis(start, codes[start:stop].copy(), effect)


def _surroundings(model: Model, place: int, bases: int) -> tuple[int, int]:
    """How many bases left of a place, and how many in all, have to be scored to see all that it can change."""
    if model.length is None:
        left = min(place, 2 * model.reach)
        return left, left + 1 + min(bases - 1 - place, 2 * model.reach)
    first = min(max(place - model.length // 2, 0), bases - model.length)
    return place - first, model.length


def _effects(model: Model, codes: Codes, places: NDArray[np.intp], left: int, width: int) -> NDArray[np.float32]:
    """(4, P) for places with the same surroundings."""
    windows = codes[(places - left)[:, None] + np.arange(width)]
    near = slice(None) if model.length else slice(max(0, left - model.reach), left + model.reach + 1)
    before = score_windows(model, windows)[:, near].sum(axis=1)
    effect = np.zeros((4, len(places)), dtype=np.float32)
    for base in range(4):
        other = codes[places] != base
        changed = windows[other]
        changed[:, left] = base
        if len(changed):
            effect[base, other] = score_windows(model, changed)[:, near].sum(axis=1) - before[other]
    return effect


def apply_variant(codes: Codes, variant: Variant) -> Codes:
    """The sequence (L',) with the alternative in place of the reference.

    Raises:
        ValueError: the sequence does not hold the reference there.
    """
    stop = variant.start + len(variant.reference)
    if stop > len(codes) or not np.array_equal(codes[variant.start : stop], variant.reference):
        raise ValueError(f"position {variant.start + 1}: the sequence does not have the variant's reference there")
    return np.concatenate([codes[: variant.start], variant.alternative, codes[stop:]])


def largest_change(reference: Scores, alternative: Scores, variant: Variant) -> tuple[Scores, NDArray[np.intp]]:
    """The change (N,) of the highest size in each row of scores (N, L) and (N, L'), and its place (N,) in the first.

    Bases that both have are compared one to one. What only one of them has is compared by its highest score, the
    bases beside it included: a site that is lost with its bases counts in full, one that only moves does not count.
    """
    variant = variant.trimmed()
    removed, added = len(variant.reference), len(variant.alternative)
    first = variant.start + min(removed, added)  # of what only one has
    after = reference.shape[1] - variant.start - removed
    end, end_there = reference.shape[1] - after, alternative.shape[1] - after
    shared = np.concatenate([np.arange(first), np.arange(end, reference.shape[1])])
    there = np.concatenate([np.arange(first), np.arange(end_there, alternative.shape[1])])
    changes = alternative[:, there] - reference[:, shared]
    places = np.broadcast_to(shared, changes.shape)
    if removed != added:
        left = max(first - 1, 0)
        lost, gained = reference[:, left : end + 1], alternative[:, left : end_there + 1]
        changes = np.column_stack([changes, gained.max(axis=1) - lost.max(axis=1)])
        places = np.column_stack([places, left + lost.argmax(axis=1)])
    rows, largest = np.arange(len(changes)), np.abs(changes).argmax(axis=1)
    return changes[rows, largest], places[rows, largest]
