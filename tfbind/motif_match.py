"""The known motifs nearest to a motif: TOMTOM over the vertebrate motifs of JASPAR.

The comparison is compiled by `warm_up`, else the first time it runs on a machine, which takes a minute or two, and
its imports take seconds later: a matter for a process of its own, never for a page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tfbind.jaspar import vertebrates
from tfbind.motifs import Motif

BEST = 3


@dataclass(frozen=True)
class Match:
    """A known motif that resembles a query. `e_value`: how many of those searched would resemble it so by chance."""

    name: str
    matrix_id: str
    e_value: float
    strand: str


def nearest(queries: Sequence[Motif], best: int = BEST) -> list[list[Match]]:
    """The `best` matches of each query, the closest first, by TOMTOM (Gupta et al., Genome Biology 8, R24, 2007)."""
    known = vertebrates()
    chances, strands = _compared(queries, known)
    return [
        [
            Match(
                known[at].name, known[at].matrix_id, float(row[at]) * len(known), "-" if strands[place, at] else "+"
            )
            for at in np.argsort(row, kind="stable")[:best]
        ]
        for place, row in enumerate(chances)
    ]


def resemblance(queries: Sequence[Motif], target: Motif) -> list[float]:
    """The chance that a random motif resembles `target` as much as each query does: TOMTOM's p-value.

    What is random is told by the columns of the known motifs.
    """
    chances, _ = _compared(queries, [target, *vertebrates()])
    return [float(chance) for chance in chances[:, 0]]


def _compared(queries: Sequence[Motif], targets: Sequence[Motif]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p-values and strands, a row for each query, a column for each target."""
    from memelite import tomtom

    if not queries:
        return np.empty((0, len(targets))), np.empty((0, len(targets)))
    chances, _, _, _, strands = tomtom(
        [query.probabilities for query in queries], [target.probabilities for target in targets]
    )
    return chances, strands
