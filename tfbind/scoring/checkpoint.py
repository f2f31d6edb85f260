"""Scoring in batches, and the checkpoint of a prediction: what is on the disk until its output is written.

A batch is whole short records together, or a region of a long one. Its scores are rows (1, N) float32, or (2, N) with
a model that scores tiles: below the scores their changes between tiles, NaN where a base lies in one tile only.
Records lie one after the other in `codes` (uint8), `scores` and `changes` (float32). `about` says what was read, with
checksums of itself and of the codes; `done` how many bases have their scores, with the checksums of these.
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
    """Options of scoring.

    `both`: average with the scores of the reverse complement. `pad`: pad short sequences with N. `threshold`: the
    least score of a called site, None for the model's own.
    """

    both: bool = False
    pad: bool = False
    threshold: float | None = None


class Batch(NamedTuple):
    """Bases that are scored together: records of these `lengths`, one after the other, or a region of one record.

    Of a region, whose `lengths` are None, only the scores from `first` to `last` (exclusive) are of use.
    """

    codes: Codes
    lengths: list[int] | None
    first: int
    last: int


def rows_of(model: Model) -> int:
    """The number of rows: scores, and changes with a model that scores tiles."""
    return 1 if model.length is None else 2


def score_batch(model: Model, options: ScoringOptions, batch: Batch) -> Scores:
    """Score a batch.

    Args:
        model: the model.
        options: how to score.
        batch: the bases.

    Returns:
        Scores (1, N) float32, or (2, N) with their changes between tiles.
    """
    if batch.lengths is None:
        return _profile_rows(model, score(model, batch.codes, both=options.both))[:, batch.first : batch.last]
    scores = np.empty((rows_of(model), len(batch.codes)), np.float32)
    by_length: dict[int, list[int]] = {}
    for start, length in zip(itertools.accumulate(batch.lengths, initial=0), batch.lengths, strict=False):
        by_length.setdefault(length, []).append(start)
    for length, starts in by_length.items():
        places = np.array(starts)[:, None] + np.arange(length)
        scores[:, places] = _score_equal(model, batch.codes[places], options)
    return scores


def _profile_rows(model: Model, profile: Profile) -> Scores:
    """The rows (1, L) or (2, L) of a profile."""
    scores = np.full((rows_of(model), len(profile.scores)), np.nan, np.float32)
    scores[0] = profile.scores
    if profile.change is not None:
        scores[1] = profile.change
    return scores


def _score_equal(model: Model, codes: Codes, options: ScoringOptions) -> Scores:
    """The rows (1, N, L) or (2, N, L) of records (N, L) of one length."""
    length = codes.shape[1]
    if length > SHORT or model.length not in (None, length):
        profiles = (score(model, row, both=options.both, pad=options.pad) for row in codes)
        return np.stack([_profile_rows(model, profile) for profile in profiles], axis=1)
    scores = score_windows(model, codes, options.both)
    return np.stack([scores, np.full_like(scores, np.nan)][: rows_of(model)])


@dataclass(frozen=True)
class PredictionCheckpoint:
    """The checkpoint of a prediction, by its folder."""

    folder: Path

    @classmethod
    def beside(cls, out: Path) -> "PredictionCheckpoint":
        """The checkpoint of the output `out`."""
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

    def write_about(self, identity: Mapping[str, Any], records: Iterable[Any]) -> None:
        """Write the identity of the prediction and the records in `codes`."""
        about = {"identity": identity, "records": records, "codes": checksum(self.codes)}
        ABOUT_FILE.write(self.about, {**about, "crc32": _checksum_of(about)})

    def read_about(self) -> tuple[dict[str, Any], list[Any]]:
        """Read the identity and the records.

        Raises:
            ValueError: `about` or `codes` is missing or damaged.
        """
        about = ABOUT_FILE.read(self.about)
        if about.pop("crc32") != _checksum_of(about) or about["codes"] != checksum(self.codes):
            raise ValueError(f"{self.folder}: other parts than were written; the files were damaged")
        return about["identity"], about["records"]

    def write_done(self, bases: int, checksums: Mapping[str, int]) -> None:
        """Write how many bases have their scores, and the checksums of the files with them, by name."""
        DONE_FILE.write(self.done, {"bases": bases, "crc32": checksums})

    def read_done(self, paths: Iterable[Path]) -> tuple[int, dict[str, int]]:
        """Read how many bases have their scores in all of `paths`, and the checksums of these.

        None have where any of it is missing or damaged.
        """
        try:
            record = DONE_FILE.read(self.done)
        except ValueError:
            return 0, {}
        bases = record["bases"]
        checksums = {path.name: checksum(path, bases * FLOAT_BYTES) for path in paths}
        return (bases, record["crc32"]) if checksums == record["crc32"] else (0, {})


def checksum(path: Path, size: int | None = None) -> int | None:
    """The CRC-32 of a file, or of its first `size` bytes; None where it does not have them."""
    if not path.exists() or path.stat().st_size < (size or 0):
        return None
    remaining, crc = path.stat().st_size if size is None else size, 0
    with path.open("rb") as file:
        while remaining > 0 and (chunk := file.read(min(remaining, CHUNK_BYTES))):
            crc, remaining = zlib.crc32(chunk, crc), remaining - len(chunk)
    return crc


def _checksum_of(value: Any) -> int:
    return zlib.crc32(json.dumps(value).encode())
