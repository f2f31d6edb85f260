"""Data sets downloaded with pinned checksums, compared, renamed, exported as the course's pair of files, deleted."""

import gzip
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbind.data.dataset import Windows, check_free, data_folder, import_pair, lock, open_dataset, open_stored, sha256
from tfbind.dna import decode
from tfbind.metrics import pearson
from tfbind.motifs import EQUAL
from tfbind.store import atomic_write, move_to_trash, scratch, write_draft

DOWNLOADS = "downloads"
SECONDS = 30.0  # without an answer
CHUNK = 2**17  # bytes
MOST_BYTES = 1 << 28  # of a file: a server may send without end

Tell = Callable[[float, str], None]
LONGEST_POSITIONAL = 20
SEQUENCES, SCORES = "{}_sequences.txt.gz", "{}_scores.txt.gz"


Users = Callable[[Path, str, str], list[str]]  # of a home, a name and a content hash: ids of active runs


@dataclass(frozen=True)
class Source:
    """A public pair: where it lies, and the SHA-256 of its two files by name, sequences first."""

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
    """What pooch expects of a progress bar; it ends a download that is too long. `total` is 0 where the server does
    not say how long a file is."""

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
        of = f" of {self.total / 1e6:.1f}" if self.total else ""
        self._tell(share, f"{self._file}: {self._done / 1e6:.1f}{of} MB")

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
    """Download a public pair and store it as a data set, called `key` unless it is given another name.

    What was downloaded before an interruption is not downloaded again.

    Args:
        address: a mirror to ask instead; the checksums stay.
        tell: told what is being done, a file at a time, and the share of it that is done.

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
        ask = pooch.HTTPDownloader(progressbar=_Bar(path.name, tell), chunk_size=CHUNK, timeout=SECONDS)
        with _told(url, checksum), scratch(path.parent, path.name) as aside:
            if not path.is_file() or sha256(path) != checksum:
                Path(pooch.retrieve(url, f"sha256:{checksum}", path.name, aside, downloader=ask)).replace(path)
    data = import_pair(home, paths[0], paths[1], name, progress=lambda share: tell(share, "Checking every window"))
    for path in paths:
        path.unlink(missing_ok=True)
    return data


@contextmanager
def _told(url: str, checksum: str) -> Iterator[None]:
    """What goes wrong with a download, in one line that names its address."""
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
        return move_to_trash(home, _free(home, name, users).path, f"data-{name}")


def _free(home: Path, name: str, users: Users) -> Windows:
    if os.sep in name:
        raise ValueError(f"data set {name!r}: a folder outside this home; expected the name of a data set in it")
    data = open_stored(home, name)  # to make or import one takes the lock that the caller holds
    active = users(home, data.name, data.hash)
    if active:
        raise ValueError(f"data set {name!r}: in use by run {active[0]}; stop it first")
    return data


@dataclass(frozen=True)
class DatasetAgreement:
    """How far two data sets agree on the windows of one name.

    `r` is Pearson's over all of their bases, `exact` the share of windows that have the same scores, to 0.01, at all
    the bases that were judged; None where there are none.
    """

    shared: int
    only_first: int
    only_second: int
    r: float | None
    exact: float | None


def compare(first: Windows, second: Windows, bases: int | None = None) -> DatasetAgreement:
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
    return DatasetAgreement(
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
    with atomic_write(paths[0]) as sequences, atomic_write(paths[1]) as scores:  # one of the two is of no use
        write_draft(sequences, gzip_lines(sequence_lines(data)))
        write_draft(scores, gzip_lines(score_lines(data)))
    return paths


def gzip_lines(lines: Iterator[bytes]) -> Iterator[bytes]:
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
