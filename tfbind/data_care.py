"""Data sets compared, renamed, taken away as the course's pair of files, and thrown away."""

import gzip
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbind.datasets import Windows, check_free, data_folder, lock, open_dataset, open_stored
from tfbind.files import drafted, fill, to_trash
from tfbind.metrics import pearson
from tfbind.recover import EQUAL
from tfbind.sequences import decode

LONGEST_POSITIONAL = 20
SEQUENCES, SCORES = "{}_sequences.txt.gz", "{}_scores.txt.gz"


Users = Callable[[Path, str, str], list[str]]  # of a home, a name and a content hash: ids of active runs


def rename(home: Path, name: str, to: str, users: Users) -> Windows:
    """Give a data set another name. Runs find their data by content, so those that learnt from it still do.

    Raises:
        ValueError: there is none of that name, the new one is taken or cannot be used, or a run is using it.
    """
    with lock(home):
        data = _free(home, name, users)
        check_free(home, to, data.meta["origin"]["kind"])
        data.path.rename(data_folder(home) / to)
    return open_dataset(home, to)


def delete(home: Path, name: str, users: Users) -> Path:
    """Move a data set to the trash of its home; where it lies now.

    Raises:
        ValueError: there is none of that name, or a run is using it.
    """
    with lock(home):
        return to_trash(home, _free(home, name, users).path, f"data-{name}")


def _free(home: Path, name: str, users: Users) -> Windows:
    if os.sep in name:
        raise ValueError(f"data set {name!r}: a folder outside this home; expected the name of a data set in it")
    data = open_stored(home, name)  # to make or import one takes the lock that the caller holds
    active = users(home, data.name, data.hash)
    if active:
        raise ValueError(f"data set {name!r}: in use by run {active[0]}; stop it first")
    return data


@dataclass(frozen=True)
class Likeness:
    """How far two data sets agree on the windows of one name.

    `r` is Pearson's over all of their bases, `exact` the share of windows that have the same scores, to 0.01, at all
    the bases that were judged; None where there are none.
    """

    shared: int
    only_first: int
    only_second: int
    r: float | None
    exact: float | None


def compare(first: Windows, second: Windows, bases: int | None = None) -> Likeness:
    """Compare two data sets by the names of their windows; `exact` is judged on so many first bases, or on all.

    Raises:
        ValueError: their windows have other lengths, or fewer bases than are to be judged.
    """
    if first.length != second.length:
        raise ValueError(f"windows of {first.length} and of {second.length} bases; expected those of one length")
    if bases is not None and not 0 < bases <= first.length:
        raise ValueError(f"the first {bases} bases; expected 1 to {first.length}, the length of a window")
    place = {name: at for at, name in enumerate(second.names.tolist())}
    mine = [at for at, name in enumerate(first.names.tolist()) if name in place]
    theirs = [place[first.names[at]] for at in mine]
    x, y = np.asarray(first.scores[mine]), np.asarray(second.scores[theirs])
    exact = (np.abs(x - y)[:, :bases] < EQUAL).all(axis=1)
    return Likeness(
        len(mine),
        len(first) - len(mine),
        len(second) - len(mine),
        pearson(x, y),
        float(exact.mean()) if len(mine) else None,
    )


def export(data: Windows, folder: Path) -> tuple[Path, Path]:
    """Write a data set as the course's pair of files, gzip; importing them gives the same data.

    Raises:
        ValueError: `folder` is no folder, or holds such files already.
        OSError: they cannot be written.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder that exists")
    paths = (folder / SEQUENCES.format(data.name), folder / SCORES.format(data.name))
    for path in paths:
        if path.exists():
            raise ValueError(f"{path}: exists already and is not overwritten")
    with drafted(paths[0]) as sequences, drafted(paths[1]) as scores:  # one of the two is of no use
        fill(sequences, packed(sequence_lines(data)))
        fill(scores, packed(score_lines(data)))
    return paths


def packed(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Lines as the pieces of a gzip file."""
    return (gzip.compress(block, 6, mtime=0) for block in _blocks(lines))


def sequence_lines(data: Windows) -> Iterator[bytes]:
    """The table of sequences, line by line."""
    yield b"sequence\twindow_name\n"
    for name, codes in zip(data.names.tolist(), data.codes, strict=True):
        yield decode(codes).encode() + b"\t" + name + b"\n"


def score_lines(data: Windows) -> Iterator[bytes]:
    """The table of scores, a column for each window, line by line; numbers as short as they can be told apart."""
    yield b"\t".join(data.names.tolist()) + b"\n"
    for place in range(data.length):
        row = np.ascontiguousarray(data.scores[:, place])
        words = {value: _short(value) for value in np.unique(row)}
        yield "\t".join([words[value] for value in row]).encode() + b"\n"


def _short(value: np.float32) -> str:
    """A number in the fewest digits that tell it from others; with an exponent where it would have many zeros."""
    written = np.format_float_positional(value, trim="-")
    return written if len(written) <= LONGEST_POSITIONAL else np.format_float_scientific(value, trim="-")


def _blocks(lines: Iterator[bytes], size: int = 1 << 20) -> Iterator[bytes]:
    held: list[bytes] = []
    length = 0
    for line in lines:
        held.append(line)
        length += len(line)
        if length >= size:
            yield b"".join(held)
            held, length = [], 0
    yield b"".join(held)
