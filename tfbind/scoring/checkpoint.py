"""Scores of a file's DNA in pieces, and what a prediction keeps of them until its output is written.

A piece is whole short records together, or a region of a long one. What is kept of each base lies in rows (1, N)
float32, its score, or (2, N) with a model that scores tiles: below the scores their changes between tiles, NaN where
a base lies in one tile only. Records lie one after the other in `codes` (uint8), `scores` and `changes` (float32).
`about` says what was read, with checksums of itself and of the codes; `done` how many bases have their scores, with
the checksums of these.
"""

import itertools
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import NonNegativeInt

from tfbind.dna import Codes
from tfbind.scoring.model import Model, Profile, Scores, score, score_windows
from tfbind.store import Facts, KeptFile, kept_file

SHORT = 4096  # longer records are scored one by one
FLOAT_BYTES = 4
CHUNK_BYTES = 1 << 20


class _About(Facts):
    identity: dict[str, Any]
    records: list[Any]
    codes: int
    crc32: int


class _Done(Facts):
    bases: NonNegativeInt
    crc32: dict[str, int]


ABOUT_FILE: KeptFile[dict[str, Any]] = kept_file("about.json", _About)
DONE_FILE: KeptFile[dict[str, Any]] = kept_file("done.json", _Done)


@dataclass(frozen=True)
class ScoringOptions:
    """How sequences are scored: both strands averaged, short ones padded, sites called from `threshold` on, None for
    the model's own."""

    both: bool = False
    pad: bool = False
    threshold: float | None = None


class Batch(NamedTuple):
    """Bases that are scored together: whole records of these `lengths`, one after the other, or, if None, a region of
    one record, of whose scores those from `first` to `last` (exclusive) are wanted."""

    codes: Codes
    lengths: list[int] | None
    first: int
    last: int


def rows_of(model: Model) -> int:
    """How many rows are kept."""
    return 1 if model.length is None else 2


def score_batch(model: Model, options: ScoringOptions, piece: Batch) -> Scores:
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


def _score_equal(model: Model, codes: Codes, options: ScoringOptions) -> Scores:
    """What is kept of records (N, L) of one length: (1, N, L) or (2, N, L)."""
    length = codes.shape[1]
    if length > SHORT or model.length not in (None, length):
        found = (score(model, row, both=options.both, pad=options.pad) for row in codes)
        return np.stack([_kept(model, profile) for profile in found], axis=1)
    scores = score_windows(model, codes, options.both)
    return np.stack([scores, np.full_like(scores, np.nan)][: rows_of(model)])


@dataclass(frozen=True)
class PredictionCheckpoint:
    """The folder of the parts of a prediction."""

    folder: Path

    @classmethod
    def beside(cls, out: Path) -> "PredictionCheckpoint":
        """Those of the output `out`."""
        return cls(out.with_name(f"{out.name}.parts"))

    @property
    def about(self) -> Path:
        return self.folder / ABOUT_FILE.name

    @property
    def codes(self) -> Path:
        return self.folder / "codes.u8"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.f32"

    @property
    def changes(self) -> Path:
        return self.folder / "changes.f32"

    @property
    def done(self) -> Path:
        return self.folder / DONE_FILE.name

    def keep_about(self, identity: Mapping[str, Any], records: Iterable[Any]) -> None:
        """Say what prediction this is, and which records lie in the codes that were written."""
        about = {"identity": identity, "records": records, "codes": checksum(self.codes)}
        ABOUT_FILE.write(self.about, {**about, "crc32": _checksum_of(about)})

    def read_about(self) -> tuple[dict[str, Any], list[Any]]:
        """The identity and the records that were kept.

        Raises:
            ValueError: this, or the codes, are missing or not as they were written.
        """
        about = ABOUT_FILE.read(self.about)
        if about.pop("crc32") != _checksum_of(about) or about["codes"] != checksum(self.codes):
            raise ValueError(f"{self.folder}: other parts than were written; the files were damaged")
        return about["identity"], about["records"]

    def keep_done(self, bases: int, checksums: Mapping[str, int]) -> None:
        """Say that so many bases have their scores, in files of these names and checksums."""
        DONE_FILE.write(self.done, {"bases": bases, "crc32": checksums})

    def read_done(self, paths: Iterable[Path]) -> tuple[int, dict[str, int]]:
        """How many bases have their scores in all of `paths`, with the checksums of these; none where any of it is
        missing, or not as it was written."""
        try:
            done = DONE_FILE.read(self.done)
        except ValueError:
            return 0, {}
        bases = done["bases"]
        found = {path.name: checksum(path, bases * FLOAT_BYTES) for path in paths}
        return (bases, done["crc32"]) if found == done["crc32"] else (0, {})


def checksum(path: Path, size: int | None = None) -> int | None:
    """The CRC-32 of a file, or of its first `size` bytes; None where it does not have them."""
    if not path.exists() or path.stat().st_size < (size or 0):
        return None
    left, found = path.stat().st_size if size is None else size, 0
    with path.open("rb") as file:
        while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
            found, left = zlib.crc32(chunk, found), left - len(chunk)
    return found


def _checksum_of(value: Any) -> int:
    return zlib.crc32(json.dumps(value).encode())
