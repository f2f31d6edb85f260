"""In silico mutagenesis: the effect of every single base change on the scores; variants, however they are spelt.

Only the bases that a change can reach are scored again: with a local model twice its reach around the place, with a
model of fixed length the window that has the place nearest to its middle.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfbind.dna import UNKNOWN, Codes
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
        """(W,) what the base that is there adds to the sum: minus the mean effect of the others, four at an N."""
        return -self.effect.sum(axis=0) / np.where(self.reference < UNKNOWN, 3, 4).astype(np.float32)


@dataclass(frozen=True)
class Variant:
    """A change of a sequence: the codes from `start` (0-based) that are `reference` become `alternative`."""

    start: int
    reference: Codes
    alternative: Codes

    def trimmed(self) -> "Variant":
        """The variant without the bases that both alleles begin or end with."""
        prefix = _shared_prefix(self.reference, self.alternative)
        before, after = self.reference[prefix:], self.alternative[prefix:]
        suffix = _shared_prefix(before[::-1], after[::-1])
        return Variant(self.start + prefix, before[: len(before) - suffix], after[: len(after) - suffix])

    def widened(self, read: Callable[[int, int], Codes], length: int, most: int | None = None) -> "Variant":
        """The variant with every base that any spelling of it may delete or insert: equal for all spellings.

        Bases inserted into or deleted from a repeat may be any of its copies: both alleles become the whole repeat.

        Args:
            read: the codes of the sequence from start to end (exclusive).
            length: bases of the sequence.
            most: a longer repeat is refused.

        Raises:
            ValueError: it does.
        """
        trimmed = self.trimmed()
        start, end = trimmed.start, trimmed.start + len(trimmed.reference)
        if len(trimmed.reference) and len(trimmed.alternative):
            return trimmed
        unit = trimmed.reference if len(trimmed.reference) else trimmed.alternative
        if not len(unit):
            return trimmed
        before = _repeated(unit[::-1], lambda first, last: read(start - last, start - first)[::-1], start, most)
        after = _repeated(unit, lambda first, last: read(end + first, end + last), length - end, most)
        if most is not None and before + after > most:
            raise ValueError(f"in a repeat of over {most:,} bases")
        left, right = read(start - before, start), read(end, end + after)
        alleles = (np.concatenate([left, allele, right]) for allele in (trimmed.reference, trimmed.alternative))
        return Variant(start - before, *alleles)


def _repeated(unit: Codes, read: Callable[[int, int], Codes], length: int, most: int | None) -> int:
    """The number of bases for which a sequence repeats a unit, looked at little beyond `most`."""
    repeated, step = 0, max(len(unit), LOOKED_AT)
    while repeated < length and (most is None or repeated <= most):
        bases = read(repeated, min(repeated + step, length))
        matching = _shared_prefix(bases, np.resize(np.roll(unit, -(repeated % len(unit))), len(bases)))
        repeated += matching
        if matching < len(bases):
            break
    return repeated


def _shared_prefix(first: Codes, second: Codes) -> int:
    """The number of bases that two sequences share at their start."""
    common = min(len(first), len(second))
    differ = np.flatnonzero(first[:common] != second[:common])
    return int(differ[0]) if len(differ) else common


def mutagenesis(model: Model, codes: Codes, start: int, stop: int, both: bool = False) -> Mutagenesis:
    """Score every base change in a stretch of a sequence (in silico mutagenesis).

    Args:
        model: the model.
        codes: (L,) the sequence.
        start: of the stretch, 0-based.
        stop: its end, exclusive.
        both: average with the scores of the reverse complement.

    Returns:
        The effects (4, stop - start) in the unit of the scores.

    Raises:
        ValueError: the stretch is empty or reaches outside the sequence, or the sequence is too short for the model.
    """
    if not 0 <= start < stop <= len(codes):
        raise ValueError(f"places {start} to {stop}: expected a stretch within 0 to {len(codes)}")
    if model.length is not None and len(codes) < model.length:
        raise ValueError(f"the sequence has {len(codes)} bases; this model needs {model.length}")
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position in range(start, stop):
        groups[_surroundings(model, position, len(codes))].append(position)
    effect = np.zeros((4, stop - start), dtype=np.float32)
    for (left, width), positions in groups.items():
        effect[:, np.array(positions) - start] = _effects(model, codes, np.array(positions), left, width, both)
    return Mutagenesis(start, codes[start:stop].copy(), effect)


def _surroundings(model: Model, position: int, bases: int) -> tuple[int, int]:
    """The bases to score around a position to see all its effects: how many to the left, and how many in all."""
    if model.length is None:
        left = min(position, 2 * model.reach)
        return left, left + 1 + min(bases - 1 - position, 2 * model.reach)
    first = min(max(position - model.length // 2, 0), bases - model.length)
    return position - first, model.length


def _effects(
    model: Model, codes: Codes, places: NDArray[np.intp], left: int, width: int, both: bool
) -> NDArray[np.float32]:
    """(4, P) for places with the same surroundings."""
    windows = codes[(places - left)[:, None] + np.arange(width)]
    near = slice(None) if model.length else slice(max(0, left - model.reach), left + model.reach + 1)
    before = score_windows(model, windows, both)[:, near].sum(axis=1)
    effect = np.zeros((4, len(places)), dtype=np.float32)
    for base in range(4):
        different = codes[places] != base
        changed = windows[different]
        changed[:, left] = base
        if len(changed):
            effect[base, different] = score_windows(model, changed, both)[:, near].sum(axis=1) - before[different]
    return effect


def apply_variant(codes: Codes, variant: Variant) -> Codes:
    """Replace the reference of a variant by its alternative.

    Args:
        codes: (L,) the sequence.
        variant: the variant.

    Returns:
        The changed sequence (L',).

    Raises:
        ValueError: the sequence does not hold the reference there.
    """
    stop = variant.start + len(variant.reference)
    if stop > len(codes) or not np.array_equal(codes[variant.start : stop], variant.reference):
        raise ValueError(f"position {variant.start + 1}: the sequence does not have the variant's reference there")
    return np.concatenate([codes[: variant.start], variant.alternative, codes[stop:]])
