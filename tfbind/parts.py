"""What a prediction keeps beside its output until that is written, and whether it is as it was written.

Records lie one after the other in `codes` (uint8), `scores` and, for a model that scores tiles, `changes` (float32).
`about` says what was read, with checksums of itself and of the codes; `done` how many bases have their scores, with
the checksums of these.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import NonNegativeInt

from tfbind.json_files import read_fields, write_json

FLOAT_BYTES = 4
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Parts:
    """The folder of the parts of a prediction."""

    folder: Path

    @classmethod
    def beside(cls, out: Path) -> "Parts":
        """Those of the output `out`."""
        return cls(out.with_name(f"{out.name}.parts"))

    @property
    def about(self) -> Path:
        return self.folder / "about.json"

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
        return self.folder / "done.json"

    def keep_about(self, identity: Mapping[str, Any], records: Iterable[Any]) -> None:
        """Say what prediction this is, and which records lie in the codes that were written."""
        about = {"identity": identity, "records": records, "codes": checksum(self.codes)}
        write_json(self.about, {**about, "crc32": _checksum_of(about)})

    def read_about(self) -> tuple[dict[str, Any], list[Any]]:
        """The identity and the records that were kept.

        Raises:
            ValueError: this, or the codes, are missing or not as they were written.
        """
        about = read_fields(self.about, {"identity": dict, "records": list, "codes": int, "crc32": int})
        if about.pop("crc32") != _checksum_of(about) or about["codes"] != checksum(self.codes):
            raise ValueError(f"{self.folder}: other parts than were written; the files were damaged")
        return about["identity"], about["records"]

    def keep_done(self, bases: int, checksums: Mapping[str, int]) -> None:
        """Say that so many bases have their scores, in files of these names and checksums."""
        write_json(self.done, {"bases": bases, "crc32": checksums})

    def read_done(self, paths: Iterable[Path]) -> tuple[int, dict[str, int]]:
        """How many bases have their scores in all of `paths`, with the checksums of these; none where any of it is
        missing, or not as it was written."""
        try:
            done = read_fields(self.done, {"bases": NonNegativeInt, "crc32": dict[str, int]})
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
