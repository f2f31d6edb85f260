"""Regions of a genome from a BED or narrowPeak file, and the windows around their middles or summits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbind.tables import counted, label, shown, whole_lines

MOST = 5_000_000
NARROWPEAK_COLUMNS = 10
SUMMIT = 9
MOST_DIGITS = 12


@dataclass(frozen=True)
class Region:
    """Where a region lies, 0-based and half-open, its middle (the summit where the file gives one), its line."""

    contig: str
    start: int
    end: int
    middle: int
    line: int


def read_regions(path: Path) -> list[Region]:
    """The regions of a BED file of three columns or more; with ten it is narrowPeak, whose last one is the summit.

    Blank lines, comments, `track` and `browser` lines are passed over.

    Raises:
        ValueError: one line: the file, the line, what is there and what was expected.
    """
    found: list[Region] = []
    number = 0
    for lines in whole_lines(path):
        for raw in lines.split(b"\n")[:-1]:
            number += 1
            if number > MOST:
                raise ValueError(f"{label(path)}: over {MOST:,} lines; expected fewer regions")
            text = raw.decode("ascii", "backslashreplace")
            if text.strip() and not text.startswith(("#", "track", "browser")):
                found.append(_region(text.rstrip("\r"), f"{label(path)}: line {number}", number))
    if not found:
        raise ValueError(f"{label(path)}: no region; expected BED: chromosome, start and end, separated by tabs")
    return found


def _region(text: str, place: str, number: int) -> Region:
    cells = text.split("\t") if "\t" in text else text.split()
    if len(cells) < 3 or not cells[0].strip() or not cells[0].isprintable():
        raise ValueError(
            f"{place}: {shown(text)}; expected BED: chromosome, start and end, separated by tabs, such as "
            "chr22 100 400"
        )
    start, end = _place(cells[1], place, "start"), _place(cells[2], place, "end")
    if end <= start:
        why = "is empty" if end == start else "ends before it starts"
        raise ValueError(f"{place}: {cells[0]}:{start}-{end} {why}; expected start < end")
    middle = (start + end) // 2
    if len(cells) == NARROWPEAK_COLUMNS and cells[SUMMIT].strip() != "-1":
        summit = _place(cells[SUMMIT], place, "summit")
        if summit >= end - start:
            raise ValueError(f"{place}: a summit {summit} bases from the start; expected less than {end - start}")
        middle = start + summit
    return Region(cells[0].strip(), start, end, middle, number)


def _place(cell: str, place: str, what: str) -> int:
    digits = cell.strip()
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{place}: {what} {shown(cell)}; expected a whole number, 0 or above")
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"{place}: {what} {shown(cell)}; no chromosome is that long")
    return int(digits)


def around(
    regions: list[Region], sizes: Mapping[str, int], called: Mapping[str, str], length: int, path: Path
) -> dict[str, list[int]]:
    """The starts of windows around the middles of regions, by contig, in order, each once.

    Of an even `length` the middle is the first base of the second half. Windows over an end are left out.

    Args:
        sizes: bases of each contig.
        called: what each contig of the regions is called in `sizes`; regions elsewhere are left out.

    Raises:
        ValueError: a region reaches past the end of its chromosome.
    """
    starts: dict[str, set[int]] = {}
    for region in regions:
        if region.contig not in called:
            continue
        contig = called[region.contig]
        if region.end > sizes[contig]:
            raise ValueError(
                f"{label(path)}: line {region.line}: {region.contig}:{region.start}-{region.end} reaches past the "
                f"end of {contig}, which has {counted(sizes[contig], 'base')}: made for another assembly?"
            )
        start = region.middle - length // 2
        if start >= 0 and start + length <= sizes[contig]:
            starts.setdefault(contig, set()).add(start)
    return {contig: sorted(places) for contig, places in starts.items()}


def elsewhere(
    taken: Mapping[str, list[tuple[int, int]]], sizes: Mapping[str, int], count: int, length: int, seed: int
) -> dict[str, list[int]]:
    """Random windows that overlap none of the stretches `taken` nor each other, on the chromosomes of `sizes`.

    Every place is as likely as any other. Fewer than `count` come back where there is no room for more.
    """
    rng = np.random.default_rng(seed)
    names = [name for name in sorted(sizes) if sizes[name] >= length]
    rooms = np.array([sizes[name] - length + 1 for name in names], dtype=float)
    blocks = {name: np.zeros(sizes[name] // length + 1, bool) for name in names}
    for name in names:
        for start, end in taken.get(name, ()):
            blocks[name][start // length : (end - 1) // length + 1] = True
    found: dict[str, list[int]] = {}
    for _ in range(20 * count if names else 0):
        name = names[int(rng.choice(len(names), p=rooms / rooms.sum()))]
        start = int(rng.integers(sizes[name] - length + 1))
        reached = blocks[name][start // length : (start + length - 1) // length + 1]
        if not reached.any():
            reached[:] = True
            found.setdefault(name, []).append(start)
            count -= 1
        if not count:
            break
    return {name: sorted(places) for name, places in found.items()}
