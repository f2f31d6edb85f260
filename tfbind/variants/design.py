"""Design of DNA: the fewest base changes that destroy, weaken or make the site of a stretch."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tfbind.dna import Codes, decode, reverse_complement
from tfbind.scoring import Model, Scores, Site, Variant, score_windows
from tfbind.variants.edits import effects, substitution

Goal = Literal["destroy", "weaken", "strengthen"]
Change = tuple[int, int]  # a 0-based place and the new base

MOST_CHANGES = 4
LONGEST = 60  # bases of a stretch
EXHAUSTIVE = 2  # changes up to which all are tried
BEAM = 150  # designs of one change less that are continued, where not all can be tried
FLANK = 15  # bases on either side of an oligo's changes


@dataclass(frozen=True)
class Design:
    """Base changes that reach a goal.

    `before` and `after` are the highest scores of the stretch; `lost` are the sites beyond it that are destroyed.
    """

    changes: tuple[Variant, ...]
    before: float
    after: float
    lost: tuple[Site, ...]


def design(
    model: Model,
    codes: Codes,
    start: int,
    end: int,
    goal: Goal,
    level: float,
    *,
    threshold: float,
    protected: Collection[int] = (),
    both: bool = False,
    most: int = MOST_CHANGES,
    keep: int = 10,
) -> list[Design]:
    """Find the fewest base changes in a stretch that bring its highest score below a level, or up to it.

    Up to two changes all are tried; of more, those that continue the best designs of one change less. Designs that
    make a new site beyond the stretch are left out.

    Args:
        model: the model. One that takes windows of a fixed length scores the window around the stretch.
        codes: (L,) the sequence.
        start: of the stretch, 0-based.
        end: its end, exclusive.
        goal: `destroy` and `weaken` bring it below the level, `strengthen` to the level or above.
        level: a score; for `destroy` usually the threshold.
        threshold: the least score of a called site.
        protected: 0-based places that stay as they are.
        both: average with the scores of the reverse complement.
        most: changes at most.
        keep: designs at most.

    Returns:
        Designs of the fewest changes that reach the goal, best first: without lost sites before others, then by the
        score: lowest for `destroy`, nearest to the level for `weaken`, highest for `strengthen`. Empty where none is
        found.

    Raises:
        ValueError: the stretch is empty, too long or outside the sequence, nothing in it may change, or the sequence
            is too short for the model.
    """
    if not 0 <= start < end <= len(codes):
        raise ValueError(f"bases {start + 1} to {end}: expected a stretch within 1 to {len(codes)}")
    if end - start > LONGEST:
        raise ValueError(f"a stretch of {end - start} bases; expected at most {LONGEST}")
    if not 1 <= most <= MOST_CHANGES:
        raise ValueError(f"{most} changes; expected 1 to {MOST_CHANGES}")
    left, right = _surroundings(model, start, end, len(codes))
    search = _Search(model, codes[left:right], start - left, end - left, both)
    places = [place for place in range(start, end) if codes[place] < 4 and place not in protected]
    singles = [(place - left, base) for place in places for base in range(4) if base != codes[place]]
    if not singles:
        raise ValueError(f"bases {start + 1} to {end}: all are protected or unknown; expected one that may change")
    sign = 1 if goal == "strengthen" else -1
    candidates: list[tuple[Change, ...]] = [()]
    for number in range(1, most + 1):
        candidates = list(_longer(candidates, singles, number))
        if not candidates:
            return []
        after = search.scores(candidates)
        highest = after[:, search.stretch].max(axis=1)
        reached = np.flatnonzero(highest >= level if goal == "strengthen" else highest < level)
        order = np.argsort(highest[reached] if goal == "destroy" else -highest[reached], kind="stable")
        designs = search.designs(candidates, after, reached[order], threshold, left, keep)
        if designs:
            return designs
        best = np.argsort(-sign * highest, kind="stable")
        candidates = [candidates[row] for row in best[:BEAM]] if number >= EXHAUSTIVE else candidates
    return []


def _surroundings(model: Model, start: int, end: int, bases: int) -> tuple[int, int]:
    """The bases that have to be scored to see what changes in a stretch do."""
    if model.length is None:
        return max(0, start - 2 * model.reach), min(bases, end + 2 * model.reach)
    if bases < model.length:
        raise ValueError(f"the sequence has {bases} bases; this model needs {model.length}")
    left = min(max((start + end - model.length) // 2, 0), bases - model.length)
    return left, left + model.length


def _longer(
    candidates: Sequence[tuple[Change, ...]], singles: Sequence[Change], number: int
) -> Iterable[tuple[Change, ...]]:
    """The sets of `number` changes: all of them, or those that continue the candidates."""
    if number <= EXHAUSTIVE:
        by_place: dict[int, list[Change]] = {}
        for change in singles:
            by_place.setdefault(change[0], []).append(change)
        for places in combinations(by_place, number):
            yield from product(*(by_place[place] for place in places))
        return
    longer = {
        tuple(sorted((*candidate, change)))
        for candidate in candidates
        for change in singles
        if change[0] not in {place for place, _ in candidate}
    }
    yield from sorted(longer)


@dataclass(frozen=True, eq=False)
class _Search:
    """The surroundings (W,) of a stretch from `start` to `end`, and how they are scored."""

    model: Model
    codes: Codes
    start: int
    end: int
    both: bool

    @property
    def stretch(self) -> slice:
        return slice(self.start, self.end)

    def scores(self, candidates: Sequence[tuple[Change, ...]]) -> Scores:
        """The scores (N, W) after each set of changes."""
        return score_windows(self.model, self._changed(candidates), self.both)

    def _changed(self, candidates: Sequence[tuple[Change, ...]]) -> Codes:
        changed = np.repeat(self.codes[None], len(candidates), axis=0)
        changes = np.array(candidates, np.intp).reshape(len(candidates), -1, 2)
        changed[np.arange(len(candidates))[:, None], changes[:, :, 0]] = changes[:, :, 1]
        return changed

    def designs(
        self,
        candidates: Sequence[tuple[Change, ...]],
        after: Scores,
        rows: NDArray[np.intp],
        threshold: float,
        left: int,
        keep: int,
    ) -> list[Design]:
        """The best candidates among these rows, which are in order, that make no new site beyond the stretch."""
        before = self.scores([()])
        designs: list[Design] = []
        for row in rows.tolist():
            (effect,) = effects(before, after[row : row + 1], np.arange(len(self.codes)), threshold)
            if any(map(self._beyond, effect.gained)):
                continue
            designs.append(
                Design(
                    tuple(self._variant(place, base, left) for place, base in candidates[row]),
                    float(before[0, self.stretch].max()),
                    float(after[row, self.stretch].max()),
                    tuple(site.shifted(left) for site in effect.lost if self._beyond(site)),
                )
            )
            if sum(not design.lost for design in designs) >= keep:
                break
        return sorted(designs, key=lambda each: len(each.lost))[:keep]

    def _variant(self, place: int, base: int, left: int) -> Variant:
        change = substitution(self.codes, place, base)
        return Variant(left + place, change.reference, change.alternative)

    def _beyond(self, site: Site) -> bool:
        return site.end <= self.start or site.start >= self.end


def oligos(name: str, codes: Codes, changes: Sequence[Variant], flank: int = FLANK) -> list[dict[str, str | int]]:
    """The oligos to order for a design: original and changed, both strands.

    Args:
        name: of the sequence.
        codes: (L,) the sequence.
        changes: base changes that do not shift each other.
        flank: bases on either side of the changes.

    Returns:
        Rows with `name`, `sequence` (5' to 3'), `length` and `gc`, in per cent.
    """
    places = [change.start for change in changes]
    first, last = max(0, min(places) - flank), min(len(codes), max(places) + 1 + flank)
    changed = codes.copy()
    for change in changes:
        changed[change.start] = change.alternative[0]
    rows: list[dict[str, str | int]] = []
    for kind, sequence in (("original", codes[first:last]), ("changed", changed[first:last])):
        for strand, letters in (("forward", sequence), ("reverse", reverse_complement(sequence))):
            gc = round(100 * float(np.isin(letters, (1, 2)).mean()))
            label = f"{name} {first + 1}-{last} {kind} {strand}"
            rows.append({"name": label, "sequence": decode(letters), "length": len(letters), "gc": gc})
    return rows
