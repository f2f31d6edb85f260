"""Download data sets with pinned checksums; find those of runs; compare, rename, export and delete data sets."""

import gzip
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfbind.data.dataset import (
    META,
    Windows,
    check_free,
    data_folder,
    find_content,
    import_pair,
    lock,
    open_dataset,
    open_stored,
    open_validated,
    sha256,
)
from tfbind.dna import decode
from tfbind.metrics import pearson
from tfbind.motifs import EQUAL
from tfbind.store import atomic_write, move_to_trash, scratch, why_unwritable, write_draft

DOWNLOADS = "downloads"
TIMEOUT = 30.0  # seconds without an answer
CHUNK = 2**17  # bytes
MOST_BYTES = 1 << 28  # of a file: a server may send without end

Tell = Callable[[float, str], None]
LONGEST_POSITIONAL = 20
SEQUENCES, SCORES = "{}_sequences.txt.gz", "{}_scores.txt.gz"

Users = Callable[[Path, str, str], list[str]]  # of a home, a name and a content hash: ids of active runs


@dataclass(frozen=True)
class Source:
    """A public data set: the address of its two files, and the SHA-256 of each by name, sequences first."""

    address: str
    files: dict[str, str]
    about: str


SOURCES = {
    "course-chr22": Source(
        "https://raw.githubusercontent.com/inhyeoklee/DNA-LLM/91ef564493db22c06d602e22da7c26d89800551f"
        "/tf-binding-prediction/data/",
        {
            "chr22_sequences.txt.gz": "d23a20353ee6828441ebda3e35fe82910366ac73d70f92e51c1068ee8e75aabf",
            "chr22_scores.txt.gz": "2d62af728cafb70223e2f5fcc8cfd2522c1bf5818df20e60f4cc8facde12cbd9",
        },
        "23,139 windows of human chromosome 22 with FOXA1 motif scores: GENE 46100, University of Chicago, CC BY 4.0",
    )
}


class _Bar:
    """A progress bar in the form that pooch expects; ends a download that is too long. `total` is 0 where the server
    does not tell the size."""

    def __init__(self, file: str, tell: Tell) -> None:
        self.total = self._done = 0
        self._file, self._tell = file, tell

    def update(self, count: int) -> None:
        self._done += count
        if self._done > MOST_BYTES:
            raise OSError(f"{self._file}: the server sent over {MOST_BYTES:,} bytes; expected the file")
        if self.total:
            self._done = min(self._done, self.total)  # pooch counts the last piece as a whole one
        share = self._done / self.total if self.total else 0.0
        total = f" of {self.total / 1e6:.1f}" if self.total else ""
        self._tell(share, f"{self._file}: {self._done / 1e6:.1f}{total} MB")

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None: ...


def fetch(
    home: Path,
    key: str,
    name: str | None = None,
    address: str | None = None,
    sources: Mapping[str, Source] = SOURCES,
    tell: Tell = lambda _share, _words: None,
) -> Windows:
    """Download a public data set and store it.

    What was downloaded before an interruption is not downloaded again.

    Args:
        home: the project's home folder.
        key: of `sources`.
        name: what to call the data set; None for `key`.
        address: a mirror to ask instead; the checksums stay.
        sources: the public data sets.
        tell: called with the share done of the current step, and the step.

    Returns:
        The data set.

    Raises:
        ValueError: no such source, a name that is taken, or a file with another checksum.
        OSError: the files cannot be had or stored.
    """
    import pooch

    if key not in sources:
        raise ValueError(f"{key!r}: expected one of {', '.join(sources)}")
    source, name = sources[key], name or key
    check_free(home, name)
    pooch.get_logger().setLevel("WARNING")
    paths = [home / DOWNLOADS / file for file in source.files]
    for path, checksum in zip(paths, source.files.values(), strict=True):
        url = (address or source.address).rstrip("/") + "/" + path.name
        downloader = pooch.HTTPDownloader(progressbar=_Bar(path.name, tell), chunk_size=CHUNK, timeout=TIMEOUT)
        with _explain_errors(url, checksum), scratch(path.parent, path.name) as folder:
            if not path.is_file() or sha256(path) != checksum:
                Path(pooch.retrieve(url, f"sha256:{checksum}", path.name, folder, downloader=downloader)).replace(
                    path
                )
    data = import_pair(home, paths[0], paths[1], name, progress=lambda share: tell(share, "Checking every window"))
    for path in paths:
        path.unlink(missing_ok=True)
    return data


@contextmanager
def _explain_errors(url: str, checksum: str) -> Iterator[None]:
    """Turn errors of a download into one line that names its address."""
    import requests
    from requests import exceptions

    try:
        yield
    except requests.HTTPError as error:
        raise OSError(f"{url}: the server refused ({error}); expected the file, try again later") from None
    except (exceptions.MissingSchema, exceptions.InvalidSchema, exceptions.InvalidURL):
        raise ValueError(
            f"{url}: no address of a server; expected one that begins with http:// or https://"
        ) from None
    except requests.TooManyRedirects:
        raise OSError(f"{url}: the server sends the request round in circles; expected the file") from None
    except exceptions.ChunkedEncodingError:
        raise OSError(f"{url}: the download broke off before its end; try again") from None
    except requests.RequestException:
        raise OSError(
            f"{url}: no answer; this needs a network. On a machine without one, copy the two files there and use "
            "`data import` or, on the Data page, the tab for a pair of files"
        ) from None
    except ValueError:
        raise ValueError(f"{url}: not the file that was published: its SHA-256 is not {checksum}") from None


def open_training_data(home: Path, record: Mapping[str, Any]) -> Windows:
    """Open the data set that a run was trained on, also after a rename.

    Args:
        home: the project's home folder.
        record: of the run.

    Returns:
        The data set, its content checked.

    Raises:
        ValueError: the data set is not here, or damaged.
    """
    return open_validated(home, resolve_name(home, record))


def resolve_name(home: Path, record: Mapping[str, Any]) -> str:
    """The name by which `open_dataset` finds the data set of a run, also after a rename.

    Records of pulled runs and of early versions have no `dataset_hash`: the name is all that is known of their data.

    Args:
        home: the project's home folder.
        record: of the run.

    Returns:
        A name, or the folder in the record.

    Raises:
        ValueError: no data set of the home has that content.
    """
    name_or_folder, content = str(record["dataset"]), record.get("dataset_hash")
    if content is None:
        return name_or_folder
    try:
        data = open_dataset(home, name_or_folder)
        if data.hash == content:
            return name_or_folder
        problem = f"the data set {name_or_folder} has changed since ({data.path / META} has another hash)"
    except ValueError as error:
        problem = str(error)
    if match := find_content(home, content):
        return match[0]
    raise ValueError(f"the data that the run learnt from are not here: {problem}")


def rename(home: Path, name: str, to: str, users: Users) -> Windows:
    """Rename a data set. Runs find their data by content, so those that were trained on it still do.

    Args:
        home: the project's home folder.
        name: of the data set.
        to: its new name.
        users: finds the active runs on it.

    Returns:
        The data set under its new name.

    Raises:
        ValueError: there is none of that name, the new one is taken or cannot be used, or a run is using it.
    """
    with lock(home):
        data = _open_unused(home, name, users)
        check_free(home, to, data.meta["origin"]["kind"])
        data.path.rename(data_folder(home) / to)
    return open_dataset(home, to)


def delete(home: Path, name: str, users: Users) -> Path:
    """Move a data set to the trash of its home.

    Args:
        home: the project's home folder.
        name: of the data set.
        users: finds the active runs on it.

    Returns:
        Its path in the trash.

    Raises:
        ValueError: there is none of that name, or a run is using it.
    """
    with lock(home):
        return move_to_trash(home, _open_unused(home, name, users).path, f"data-{name}")


def _open_unused(home: Path, name: str, users: Users) -> Windows:
    if os.sep in name:
        raise ValueError(f"data set {name!r}: a folder outside this home; expected the name of a data set in it")
    data = open_stored(home, name)  # to make or import one takes the lock that the caller holds
    active = users(home, data.name, data.hash)
    if active:
        raise ValueError(f"data set {name!r}: in use by run {active[0]}; stop it first")
    return data


@dataclass(frozen=True)
class DatasetAgreement:
    """Agreement of two data sets on the windows that share a name.

    `r` is Pearson's over all of their bases, `exact` the share of windows with the same scores, to 0.01, at all bases
    compared; None where there are none.
    """

    shared: int
    only_first: int
    only_second: int
    r: float | None
    exact: float | None


def compare(first: Windows, second: Windows, bases: int | None = None) -> DatasetAgreement:
    """Compare two data sets by the names of their windows.

    Args:
        first, second: data sets of windows of one length.
        bases: how many first bases of a window `exact` compares; None for all.

    Returns:
        The agreement.

    Raises:
        ValueError: their windows have other lengths, or fewer bases than are to be judged.
    """
    if first.length != second.length:
        raise ValueError(f"windows of {first.length} and of {second.length} bases; expected those of one length")
    if bases is not None and not 0 < bases <= first.length:
        raise ValueError(f"the first {bases} bases; expected 1 to {first.length}, the length of a window")
    index_of = {name: index for index, name in enumerate(second.names.tolist())}
    mine = [index for index, name in enumerate(first.names.tolist()) if name in index_of]
    theirs = [index_of[first.names[index]] for index in mine]
    x, y = np.asarray(first.scores[mine]), np.asarray(second.scores[theirs])
    exact = (np.abs(x - y)[:, :bases] < EQUAL).all(axis=1)
    return DatasetAgreement(
        len(mine),
        len(first) - len(mine),
        len(second) - len(mine),
        pearson(x, y),
        float(exact.mean()) if len(mine) else None,
    )


def check_folder(folder: Path) -> None:
    """Refuse what is no folder, or cannot be written."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder that exists")
    if reason := why_unwritable(folder):
        raise ValueError(reason)


def export(data: Windows, folder: Path) -> tuple[Path, Path]:
    """Export a data set as the course's pair of files, gzip; importing them gives the same data.

    Args:
        data: the data set.
        folder: to write to.

    Returns:
        The paths of the sequences and of the scores.

    Raises:
        ValueError: `folder` is no folder, cannot be written, or holds such files already.
        OSError: they cannot be written.
    """
    check_folder(folder)
    paths = (folder / SEQUENCES.format(data.name), folder / SCORES.format(data.name))
    for path in paths:
        if path.exists():
            raise ValueError(f"{path}: exists already and is not overwritten")
    with atomic_write(paths[0]) as sequences, atomic_write(paths[1]) as scores:  # one of the two is of no use
        write_draft(sequences, gzip_lines(sequence_lines(data)))
        write_draft(scores, gzip_lines(score_lines(data)))
    return paths


def gzip_lines(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Compress lines to the pieces of a gzip file."""
    return (gzip.compress(block, 6, mtime=0) for block in _join_lines(lines))


def sequence_lines(data: Windows) -> Iterator[bytes]:
    """The table of sequences, line by line."""
    yield b"sequence\twindow_name\n"
    for name, codes in zip(data.names.tolist(), data.codes, strict=True):
        yield decode(codes).encode() + b"\t" + name + b"\n"


def score_lines(data: Windows) -> Iterator[bytes]:
    """The table of scores, a column for each window, line by line; numbers in the fewest digits that round-trip."""
    yield b"\t".join(data.names.tolist()) + b"\n"
    for base in range(data.length):
        row = np.ascontiguousarray(data.scores[:, base])
        words = {value: _short(value) for value in np.unique(row)}
        yield "\t".join([words[value] for value in row]).encode() + b"\n"


def _short(value: np.float32) -> str:
    """A number in the fewest digits that round-trip; with an exponent where it would have many zeros."""
    positional = np.format_float_positional(value, trim="-")
    return positional if len(positional) <= LONGEST_POSITIONAL else np.format_float_scientific(value, trim="-")


def _join_lines(lines: Iterator[bytes], size: int = 1 << 20) -> Iterator[bytes]:
    pending: list[bytes] = []
    size_of_pending = 0
    for line in lines:
        pending.append(line)
        size_of_pending += len(line)
        if size_of_pending >= size:
            yield b"".join(pending)
            pending, size_of_pending = [], 0
    yield b"".join(pending)
