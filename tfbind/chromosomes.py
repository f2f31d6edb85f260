"""What chromosomes are called, and which places the names of windows give."""

import re
from collections.abc import Collection, Mapping

import numpy as np
from numpy.typing import NDArray

_WINDOW = re.compile(rb"(.+)_(\d{1,15})_(\d{1,15})")
_RANGE = re.compile(rb"(.+):(\d{1,15})-(\d{1,15})")


def other_name(name: str) -> str:
    """The same chromosome as the other convention calls it: chr22 and 22, chrM and MT."""
    if name in ("chrM", "MT"):
        return "MT" if name == "chrM" else "chrM"
    return name.removeprefix("chr") if name.startswith("chr") else f"chr{name}"


def renamed(wanted: Collection[str], there: Collection[str] | Mapping[str, int]) -> dict[str, str]:
    """What each of the names `wanted` is called in `there`; names that are in neither convention are left out."""
    pairs = ((name, name if name in there else other_name(name)) for name in wanted)
    return {name: called for name, called in pairs if called in there}


def place(name: bytes, length: int) -> tuple[str, int] | None:
    """The chromosome and the 0-based start of a window of `length` bases, None where its name tells none.

    Names are `chr22_300_599`, which begins at 300, `chr22:301-600` (from the base of that number, end inclusive), or
    `chr22:300-600` (0-based, end exclusive).
    """
    if match := _WINDOW.fullmatch(name):
        return match[1].decode(errors="replace"), int(match[2])
    if match := _RANGE.fullmatch(name):
        start, end = int(match[2]), int(match[3])
        return match[1].decode(errors="replace"), start - (end - start == length - 1)
    return None


def places(names: NDArray[np.bytes_], length: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The number of the chromosome (N,), in order of name, and the start (N,) of windows; -1 and 0 where names (N,)
    tell none. Names of both conventions, such as chr22 and 22, have one number."""
    found = [place(name, length) for name in names.tolist()]
    numbers: dict[str, int] = {}
    for chromosome in sorted({there[0] for there in found if there}):
        numbers[chromosome] = numbers.get(other_name(chromosome), len(numbers))
    chromosomes = [numbers[there[0]] if there else -1 for there in found]
    starts = [there[1] if there else 0 for there in found]
    return np.array(chromosomes, dtype=np.intp), np.array(starts, dtype=np.int64)
