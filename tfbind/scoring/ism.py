"""What a model's score hangs on: every single base change tried out; and variants, however they are spelt.

Only the bases that a change can reach are scored again: with a local model twice its reach around the place, with a
model of fixed length the window that has the place nearest to its middle.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfbind.dna import Codes
from tfbind.scoring.model import Model, Scores, score_windows

LOOKED_AT = 64  # bases at a time, in search of the end of a repeat


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

    def widened(self, read: Callable[[int, int], Codes], length: int, most: int | None = None) -> "Variant":
        """The same change, trimmed, with every base that any spelling of it may take or add: equal for all spellings.

        Bases that come or go in a repeat may be any of its copies, so both alleles become the whole repeat.

        Args:
            read: the codes of the sequence from start to end (exclusive).
            length: bases of the sequence.
            most: a longer repeat is refused.

        Raises:
            ValueError: it does.
        """
        least = self.trimmed()
        start, end = least.start, least.start + len(least.reference)
        if len(least.reference) and len(least.alternative):
            return least
        unit = least.reference if len(least.reference) else least.alternative
        if not len(unit):
            return least
        before = _repeated(unit[::-1], lambda first, last: read(start - last, start - first)[::-1], start, most)
        after = _repeated(unit, lambda first, last: read(end + first, end + last), length - end, most)
        if most is not None and before + after > most:
            raise ValueError(f"in a repeat of over {most:,} bases")
        left, right = read(start - before, start), read(end, end + after)
        alleles = (np.concatenate([left, allele, right]) for allele in (least.reference, least.alternative))
        return Variant(start - before, *alleles)


def _repeated(unit: Codes, read: Callable[[int, int], Codes], length: int, most: int | None) -> int:
    """For how many bases a sequence goes on as repeats of a unit; nobody looks far beyond `most`."""
    found, step = 0, max(len(unit), LOOKED_AT)
    while found < length and (most is None or found <= most):
        there = read(found, min(found + step, length))
        alike = _alike(there, np.resize(np.roll(unit, -(found % len(unit))), len(there)))
        found += alike
        if alike < len(there):
            break
    return found


def _alike(one: Codes, other: Codes) -> int:
    """How many bases two sequences share from their start on."""
    common = min(len(one), len(other))
    differ = np.flatnonzero(one[:common] != other[:common])
    return int(differ[0]) if len(differ) else common


def mutagenesis(model: Model, codes: Codes, start: int, stop: int, both: bool = False) -> Mutagenesis:
    """Try every base change at the places `start` to `stop` (0-based half-open) of a sequence (L,).

    Args:
        both: average with the scores of the reverse complement.

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
        effect[:, np.array(places) - start] = _effects(model, codes, np.array(places), left, width, both)
    return Mutagenesis(start, codes[start:stop].copy(), effect)


def _surroundings(model: Model, place: int, bases: int) -> tuple[int, int]:
    """How many bases left of a place, and how many in all, have to be scored to see all that it can change."""
    if model.length is None:
        left = min(place, 2 * model.reach)
        return left, left + 1 + min(bases - 1 - place, 2 * model.reach)
    first = min(max(place - model.length // 2, 0), bases - model.length)
    return place - first, model.length


def _effects(
    model: Model, codes: Codes, places: NDArray[np.intp], left: int, width: int, both: bool
) -> NDArray[np.float32]:
    """(4, P) for places with the same surroundings."""
    windows = codes[(places - left)[:, None] + np.arange(width)]
    near = slice(None) if model.length else slice(max(0, left - model.reach), left + model.reach + 1)
    before = score_windows(model, windows, both)[:, near].sum(axis=1)
    effect = np.zeros((4, len(places)), dtype=np.float32)
    for base in range(4):
        other = codes[places] != base
        changed = windows[other]
        changed[:, left] = base
        if len(changed):
            effect[base, other] = score_windows(model, changed, both)[:, near].sum(axis=1) - before[other]
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
