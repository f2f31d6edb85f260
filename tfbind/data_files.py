"""The files in the folder of a data set, as an import wrote them: what they hold, and whether they still do.

Names (N,) bytes, codes (N, L) uint8 and scores (N, L) float32 are NumPy's files, opened as memory maps.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from tfbind.files import regular
from tfbind.json_files import read_json, unlike
from tfbind.sequences import LETTERS

FORMAT = 1
META, NAMES, CODES, SCORES = "meta.json", "names.npy", "codes.npy", "scores.npy"
ARRAYS = (NAMES, CODES, SCORES)
IN_META = {
    "created": str,
    "windows": PositiveInt,
    "length": PositiveInt,
    "hash": str,
    "origin": dict,
    "letters": dict[str, int],
    "scored": int | float,
    "coordinates": str | None,
    "notes": list[str],
}


def read_meta(folder: Path) -> dict[str, Any]:
    """What there is to know of a data set without its arrays.

    Raises:
        ValueError: the file is missing, damaged, or of another version.
    """
    path = folder / META
    meta = read_json(path)
    if meta.get("format") != FORMAT:
        raise ValueError(f"{path}: not a data set of format {FORMAT}, which this version reads")
    wrong = unlike(meta, IN_META)
    if wrong or "kind" not in meta["origin"] or not set(LETTERS) <= set(meta["letters"]):
        said = f"{', '.join(wrong) or 'origin or letters'} missing or of another kind"
        raise ValueError(f"{path}: {said}; expected the file that an import wrote")
    return meta


def map_array(path: Path) -> NDArray[Any]:
    """One of the arrays; its content is read when it is used.

    Raises:
        ValueError: the file is damaged.
        FileNotFoundError: it is missing.
    """
    try:
        with np.errstate(over="raise"):  # of a shape that no file has
            return np.lib.format.open_memmap(regular(path), mode="r")
    except (ArithmeticError, EOFError, MemoryError, RuntimeError, SyntaxError, TokenError, TypeError, ValueError):
        raise ValueError(f"{path}: not a readable array; expected the file that an import wrote") from None


def content_hash(folder: Path) -> str:
    """The hash of the arrays as they are now; read once for each time they were written."""
    return _read_hash(folder, tuple((folder / file).stat().st_mtime_ns for file in ARRAYS))


@lru_cache(maxsize=256)
def _read_hash(folder: Path, written: tuple[int, ...]) -> str:  # noqa: ARG001 - a file that changed is another one
    return hash_of(map_array(folder / file) for file in ARRAYS)


def hash_of(arrays: Iterable[NDArray[Any]]) -> str:
    """SHA-256 of names, codes and scores, in this order."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(array.view(np.uint8).data)
    return content.hexdigest()
