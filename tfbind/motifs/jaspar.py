"""JASPAR 2026 (CC BY 4.0): motifs by id, by name, in bulk, and those similar to a motif by TOMTOM.

They are read without a network from the copy that pyjaspar installs. Those of a whole group are read with one query:
pyjaspar asks four times for each, which takes seconds. TOMTOM is compiled by `tfbind.nn.kernels.compile`, else the
first time it runs on a machine, which takes a minute or two, and its imports take seconds later: a matter for a
process of its own, never for a page.
"""

import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfbind.motifs.pwm import Motif, from_counts, jaspar_motif
from tfbind.store import quote

RELEASE = "JASPAR2026"
ID = re.compile(r"([A-Z]{2}\d{4})(?:\.(\d+))?", re.IGNORECASE)

BY_ID = "SELECT BASE_ID, VERSION, NAME FROM MATRIX WHERE UPPER(BASE_ID) = ?"
BY_NAME = "SELECT BASE_ID, VERSION, NAME FROM MATRIX WHERE UPPER(NAME) = ?"
ABOUT = """
    SELECT m.BASE_ID, m.VERSION, a.VAL, COUNT(DISTINCT d.col) FROM MATRIX m
    JOIN MATRIX_ANNOTATION a ON a.ID = m.ID AND a.TAG = 'tax_group'
    JOIN MATRIX_DATA d ON d.ID = m.ID WHERE UPPER(m.NAME) = ? GROUP BY m.ID
"""
BEST = 3


def find_motif(id_or_name: str) -> Motif:
    """The motif of an id such as MA0148.5 (without a version: the latest) or of a factor's name such as FOXA1.

    A name may be in any case. Names of one profile in several versions mean the latest of them.

    Raises:
        ValueError: there is none, or the name belongs to several profiles; the message lists their ids.
    """
    query = id_or_name.strip()
    match = ID.fullmatch(query)
    if match and match[2]:
        return jaspar_motif(query.upper())
    latest: dict[str, tuple[int, str]] = {}
    for base, version, name in _rows(BY_ID if match else BY_NAME, query):
        latest[base] = max(latest.get(base, (0, "")), (version, name))
    ids = [f"{base}.{version}" for base, (version, _) in sorted(latest.items())]
    if not ids:
        raise ValueError(
            f"motif {quote(query)}: not in JASPAR 2026; expected an id such as MA0148.5, a name such as FOXA1, or "
            "a motif file"
        )
    if len(ids) > 1:
        about = {
            f"{base}.{version}": f"{group}, {width} bases" for base, version, group, width in _rows(ABOUT, query)
        }
        listed = "; ".join(f"{id} ({about[id]})" if id in about else id for id in ids)
        raise ValueError(f"motif {quote(query)}: {len(ids)} profiles of JASPAR 2026; name one: {listed}")
    return jaspar_motif(ids[0])


@lru_cache(1)
def vertebrates() -> Sequence[Motif]:
    """The latest version of every vertebrate CORE motif, in order of id."""
    query = """
        SELECT m.BASE_ID, m.VERSION, m.NAME, d.row, d.col, d.val FROM MATRIX m
        JOIN MATRIX_ANNOTATION a ON a.ID = m.ID AND a.TAG = 'tax_group' AND a.VAL = 'vertebrates'
        JOIN MATRIX_DATA d ON d.ID = m.ID
        WHERE m.COLLECTION = 'CORE' ORDER BY m.BASE_ID, m.VERSION
    """
    cells: dict[str, tuple[int, str, list[tuple[int, int, float]]]] = {}
    for base, version, name, letter, column, count in _rows(query):
        if base not in cells or cells[base][0] != version:
            cells[base] = (version, name, [])
        cells[base][2].append(("ACGT".index(letter), column - 1, count))
    return tuple(_motif(f"{base}.{version}", name, counts) for base, (version, name, counts) in cells.items())


def _motif(matrix_id: str, name: str, cells: list[tuple[int, int, float]]) -> Motif:
    counts = np.zeros((4, max(column for _, column, _ in cells) + 1))
    for row, column, count in cells:
        counts[row, column] = count
    return from_counts(name, matrix_id, counts)


def _rows(query: str, *parameters: str) -> list[Any]:
    from pyjaspar import jaspardb  # with Biopython behind it: who needs no motif should not wait for them

    database = jaspardb(release=RELEASE)
    with closing(database.conn) as connection:
        rows: list[Any] = connection.execute(query, [word.upper() for word in parameters]).fetchall()
        return rows


@dataclass(frozen=True)
class MotifMatch:
    """A known motif similar to a query. `e_value`: how many of those searched would match as well by chance."""

    name: str
    matrix_id: str
    e_value: float
    strand: str


def nearest_motifs(queries: Sequence[Motif], best: int = BEST) -> list[list[MotifMatch]]:
    """Find the known motifs most similar to each query by TOMTOM (Gupta et al., Genome Biology 8, R24, 2007).

    Args:
        queries: the motifs to look for.
        best: how many matches of each.

    Returns:
        The matches of each query, the closest first.
    """
    known = vertebrates()
    p_values, strands = _tomtom(queries, known)

    def match(query: int, target: int) -> MotifMatch:
        motif, e_value = known[target], float(p_values[query, target]) * len(known)
        return MotifMatch(motif.name, motif.matrix_id, e_value, "-" if strands[query, target] else "+")

    order = np.argsort(p_values, axis=1, kind="stable")[:, :best]
    return [[match(query, target) for target in targets] for query, targets in enumerate(order.tolist())]


def resemblance(queries: Sequence[Motif], target: Motif) -> list[float]:
    """TOMTOM's p-value of the similarity of each query to a motif.

    The null model is the columns of the known motifs.

    Args:
        queries: the motifs to compare.
        target: the motif to compare them with.

    Returns:
        The p-value of each query.
    """
    p_values, _ = _tomtom(queries, [target, *vertebrates()])
    return [float(p_value) for p_value in p_values[:, 0]]


def _tomtom(queries: Sequence[Motif], targets: Sequence[Motif]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """p-values and strands, a row for each query, a column for each target."""
    from memelite import tomtom

    if not queries:
        return np.empty((0, len(targets))), np.empty((0, len(targets)))
    p_values, _, _, _, strands = tomtom(
        [query.probabilities for query in queries], [target.probabilities for target in targets]
    )
    return p_values, strands
