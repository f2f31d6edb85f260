"""DNA that was changed, base by base or variant by variant, and what that does to its scores.

Positions in words count from 1, in the original; arrays stay 0-based.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfbind.interpret import Variant, apply_variant
from tfbind.scoring import Scores, Site, call_sites
from tfbind.sequences import Codes, decode

ACTS = 0.1  # a base whose score moves by less is not counted among those that a change acts on
SLIGHT = 0.5  # a change that moves no score by more is called slight
ADDED = -1


@dataclass(frozen=True, eq=False)
class Edited:
    """Changed codes (L',), and for each of them its place in the original, `ADDED` where it has none there."""

    codes: Codes
    origin: NDArray[np.intp]

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


@dataclass(frozen=True)
class Effect:
    """What changes do to a profile.

    `change` is the largest difference at a base that both have, at `place` of the original, where the score was
    `before` and is `after`; `acts` are the first and last place at which the score moves by `ACTS` or more, None if
    there is none. `lost` are called sites of the original without a counterpart; `made` those without one before, in
    coordinates of the changed sequence.
    """

    change: float
    place: int
    before: float
    after: float
    acts: tuple[int, int] | None
    lost: list[Site]
    made: list[Site]


def edit(codes: Codes, changes: Iterable[Variant]) -> Edited:
    """Carry out changes one after the other, each in the coordinates that the ones before it left.

    Raises:
        ValueError: the sequence does not hold the reference of a change.
    """
    origin = np.arange(len(codes))
    for change in changes:
        codes, origin = apply_variant(codes, change), moved(origin, change)
    return Edited(codes, origin)


def moved(origin: NDArray[np.intp], change: Variant) -> NDArray[np.intp]:
    """Where the bases come from that are there after one more change."""
    kept = change.start + min(len(change.reference), len(change.alternative))
    added = np.full(max(len(change.alternative) - len(change.reference), 0), ADDED)
    return np.concatenate([origin[:kept], added, origin[change.start + len(change.reference) :]])


def substitution(codes: Codes, place: int, base: int) -> Variant:
    """The change of the base at a 0-based place to another."""
    return Variant(place, codes[place : place + 1], np.array([base], np.uint8))


def effect(before: Scores, after: Scores, edited: Edited, threshold: float) -> Effect | None:
    """Compare the profile (L,) of the original with that (L',) of the changed sequence; None if no base is in both.

    Args:
        threshold: the least score of a called site.
    """
    there = np.flatnonzero(edited.origin != ADDED)
    if not len(there):
        return None
    places = edited.origin[there]
    change = after[there] - before[places]
    largest = int(np.abs(change).argmax())
    acts = places[np.abs(change) >= ACTS]
    return Effect(
        float(change[largest]),
        int(places[largest]),
        float(before[places[largest]]),
        float(after[there[largest]]),
        (int(acts[0]), int(acts[-1])) if len(acts) else None,
        *lost_and_made(before, after, edited.origin, threshold),
    )


def lost_and_made(
    before: Scores, after: Scores, origin: NDArray[np.intp], threshold: float
) -> tuple[list[Site], list[Site]]:
    """The called sites of a profile (L,) that have no counterpart in that (L',) of the changed sequence, and those of
    this that have none in the first.

    Args:
        origin: (L',) as in `Edited`.
    """
    old, new = call_sites(before, threshold), call_sites(after, threshold)
    there, here = (np.zeros(len(before) + 1, bool) for _ in range(2))  # the last stands for `ADDED`, and stays False
    for site in old:
        there[site.start : site.end] = True
    for site in new:
        here[origin[site.start : site.end]] = True
    there[ADDED] = here[ADDED] = False
    lost = [site for site in old if not here[site.start : site.end].any()]
    made = [site for site in new if not there[origin[site.start : site.end]].any()]
    return lost, made


def headline(found: Effect) -> str:
    """What the changes do, in a few words."""
    done = [f"Destroys the site at {site.start + 1} to {site.end}" for site in found.lost]
    done += [f"makes a new site at {site.start + 1} to {site.end}" for site in found.made]
    if done:
        words = " and ".join(done)
        return words[0].upper() + words[1:]
    if abs(found.change) < SLIGHT:
        return "Changes little"
    return "Strengthens binding" if found.change > 0 else "Weakens binding"


def details(found: Effect, unit: str) -> str:
    """The size of the largest change, where it is, and where scores move; `unit` stands behind numbers."""
    largest = f"largest change {found.change:+.2f}{unit}, at base {found.place + 1}"
    words = f"{largest}, from {found.before:.2f} to {found.after:.2f}"
    if found.acts is None:
        return f"{words}; no score moves by {ACTS:g}{unit} or more."
    first, last = found.acts
    return f"{words}; it acts on bases {first + 1} to {last + 1}."


def describe(change: Variant) -> str:
    """A change as people write it, such as `12 A>G`, `12 deletes AC`."""
    reference, alternative = decode(change.reference), decode(change.alternative)
    if reference and alternative:
        return f"{change.start + 1} {reference}>{alternative}"
    return f"{change.start + 1} {'inserts' if alternative else 'deletes'} {reference or alternative}"
