"""The known motifs nearest to a motif: TOMTOM over the vertebrate motifs of JASPAR.

The comparison is compiled the first time it runs on a machine, which takes a minute or two, and its imports take
seconds later: a matter for a process of its own, never for a page.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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


def nearest(queries: Sequence[Motif], own: Motif | None = None, best: int = BEST) -> list[list[Match]]:
    """The `best` matches of each query, the closest first, by TOMTOM (Gupta et al., Genome Biology 8, R24, 2007).

    Args:
        own: a motif to be among those searched, such as the one behind the labels.
    """
    from memelite import tomtom

    targets = [*([own] if own else []), *vertebrates()]
    if not queries:
        return []
    chances, _, _, _, strands, places = tomtom(
        [query.probabilities for query in queries], [target.probabilities for target in targets], n_nearest=best
    )
    return [
        [
            Match(targets[at].name, targets[at].matrix_id, float(chance) * len(targets), "-" if strand else "+")
            for at, chance, strand in zip(row.astype(np.intp), row_chances, row_strands, strict=True)
        ]
        for row, row_chances, row_strands in zip(places, chances, strands, strict=True)
    ]
