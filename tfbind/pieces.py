"""Pieces of a file's DNA, scored: whole short records together, or a region of a long one.

What is kept of each base lies in rows (1, N) float32, its score, or (2, N) with a model that scores tiles: below the
scores their changes between tiles, NaN where a base lies in one tile only.
"""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfbind.scoring import Model, Profile, Scores, score, score_windows
from tfbind.sequences import Codes, reverse_complement

SHORT = 4096  # longer records are scored one by one


@dataclass(frozen=True)
class Options:
    """How sequences are scored: both strands averaged, short ones padded, sites called from `threshold` on, None for
    the model's own."""

    both: bool = False
    pad: bool = False
    threshold: float | None = None


class Piece(NamedTuple):
    """Bases that are scored together: whole records of these `lengths`, one after the other, or, if None, a region of
    one record, of whose scores those from `first` to `last` (exclusive) are wanted."""

    codes: Codes
    lengths: list[int] | None
    first: int
    last: int


def rows_of(model: Model) -> int:
    """How many rows are kept."""
    return 1 if model.length is None else 2


def score_piece(model: Model, options: Options, piece: Piece) -> Scores:
    """The rows that are wanted of a piece."""
    if piece.lengths is None:
        return _kept(model, score(model, piece.codes, both=options.both))[:, piece.first : piece.last]
    scores = np.empty((rows_of(model), len(piece.codes)), np.float32)
    by_length: dict[int, list[int]] = {}
    for start, length in zip(itertools.accumulate(piece.lengths, initial=0), piece.lengths, strict=False):
        by_length.setdefault(length, []).append(start)
    for length, starts in by_length.items():
        places = np.array(starts)[:, None] + np.arange(length)
        scores[:, places] = _score_equal(model, piece.codes[places], options)
    return scores


def _kept(model: Model, found: Profile) -> Scores:
    """What is kept of a profile, in rows."""
    scores = np.full((rows_of(model), len(found.scores)), np.nan, np.float32)
    scores[0] = found.scores
    if found.change is not None:
        scores[1] = found.change
    return scores


def _score_equal(model: Model, codes: Codes, options: Options) -> Scores:
    """What is kept of records (N, L) of one length: (1, N, L) or (2, N, L)."""
    length = codes.shape[1]
    if length > SHORT or model.length not in (None, length):
        found = (score(model, row, both=options.both, pad=options.pad) for row in codes)
        return np.stack([_kept(model, profile) for profile in found], axis=1)
    scores = score_windows(model, codes)
    if options.both:
        scores = (scores + score_windows(model, reverse_complement(codes))[:, ::-1]) / np.float32(2)
    return np.stack([scores, np.full_like(scores, np.nan)][: rows_of(model)])
